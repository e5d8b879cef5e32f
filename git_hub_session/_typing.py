"""typing's names, without typing: what loads it starts 5 ms later, and `list` takes 35 in all.

typed.pyi tells a type checker that these are typing's own. At run time annotations are
never evaluated (`from __future__ import annotations`), so only three of the names have
anything to do.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable

TYPE_CHECKING = False
Any = NoReturn = Protocol = Self = TextIO = object


class _NamedTupleMeta(type):
    """Makes of a class body with annotations what collections.namedtuple makes of names."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, object]) -> type:
        if not bases:
            return super().__new__(cls, name, bases, body)
        fields = body.pop("__annotations__", {})
        defaults = [body.pop(field) for field in fields if field in body]
        made = namedtuple(name, fields, defaults=defaults, module=body.pop("__module__"))
        for attribute, value in body.items():
            if attribute != "__qualname__":
                setattr(made, attribute, value)
        return made


class NamedTuple(metaclass=_NamedTupleMeta):
    """A tuple whose fields have names: the annotations of the class that inherits from it."""


def NewType(_name: str, supertype: type) -> Callable[[object], object]:
    """The type itself: only a type checker tells the two apart."""
    return supertype
