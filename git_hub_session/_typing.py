"""The names of `typing` that the package uses, without the import of `typing`.

That import takes 5 ms, and `list` takes 35 ms in all. `_typing.pyi` tells type checkers that these
names are those of `typing`. At run time, annotations are not evaluated
(`from __future__ import annotations`), so only NamedTuple and NewType need an implementation.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable

TYPE_CHECKING = False
Any = NoReturn = Protocol = Self = TextIO = object


class _NamedTupleMeta(type):
    """The metaclass that turns a class with annotations into a `collections.namedtuple`."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, object]) -> type:
        if not bases:
            return super().__new__(cls, name, bases, body)
        fields = body.pop("__annotations__", {})
        defaults = [body.pop(field) for field in fields if field in body]
        new_class = namedtuple(name, fields, defaults=defaults, module=body.pop("__module__"))
        for attribute, value in body.items():
            if attribute != "__qualname__":
                setattr(new_class, attribute, value)
        return new_class


class NamedTuple(metaclass=_NamedTupleMeta):
    """A tuple with named fields: the annotations of the class that inherits from it."""


def NewType(_name: str, supertype: type) -> Callable[[object], object]:
    """Return `supertype`: only type checkers distinguish the new type from it."""
    return supertype
