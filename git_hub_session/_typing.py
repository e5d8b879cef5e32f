"""The names of `typing` that the package uses, without the import of `typing`.

That import takes 5 ms, and `list` takes 35 ms in all. `_typing.pyi` tells type checkers that these
names are those of `typing`. At run time, annotations are not evaluated
(`from __future__ import annotations`), so only NamedTuple and NewType need an implementation.

`collections.namedtuple` compiles source text for each class, which takes 0.1 ms. `list` loads 22
such classes, and `status` 60. This NamedTuple compiles once for each number of fields.
"""

from __future__ import annotations

from collections import _tuplegetter  # type: ignore[attr-defined]  # the getter of namedtuple
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType

TYPE_CHECKING = False
Any = NoReturn = Protocol = Self = TextIO = object

_constructors: dict[int, FunctionType] = {}  # one for each number of fields


class _NamedTupleMeta(type):
    """The metaclass that turns the annotations of a class into the fields of a tuple."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, object]) -> type:
        if not bases:
            return super().__new__(cls, name, bases, body)
        annotations: dict[str, object] = body.pop("__annotations__", {})  # type: ignore[assignment]
        fields = tuple(annotations)
        defaults = tuple(body.pop(field) for field in fields if field in body)
        body.update({field: _tuplegetter(index, "") for index, field in enumerate(fields)})
        body.update(__slots__=(), _fields=fields, __new__=_make_constructor(name, fields, defaults))
        return type(name, (_FieldMethods, tuple), body)


class NamedTuple(metaclass=_NamedTupleMeta):
    """A tuple with named fields: the annotations of the class that inherits from it."""


class _FieldMethods:
    """The methods of `collections.namedtuple` that need the names of the fields."""

    __slots__ = ()
    _fields: tuple[str, ...]

    @classmethod
    def _make(cls, values: Iterable[object]) -> object:
        """Return a tuple with as many values as there are fields. Raise TypeError otherwise."""
        result = tuple.__new__(cls, values)  # type: ignore[type-var]
        count = tuple.__len__(result)  # type: ignore[arg-type]
        if count != len(cls._fields):
            raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {count}")
        return result

    def __repr__(self) -> str:
        fields = (f"{name}={value!r}" for name, value in self._asdict().items())
        return f"{type(self).__name__}({', '.join(fields)})"

    def __getnewargs__(self) -> tuple[object, ...]:
        """Return the arguments with which copy and pickle create the tuple again."""
        return tuple(self)  # type: ignore[arg-type]

    def _asdict(self) -> dict[str, object]:
        """Return the fields as {name: value}."""
        return dict(zip(self._fields, self, strict=True))  # type: ignore[call-overload]

    def _replace(self, **changes: object) -> object:
        """Return a copy with the given fields changed. Raise TypeError for an unknown field."""
        return type(self)(**{**self._asdict(), **changes})


def _make_constructor(
    class_name: str, fields: Sequence[str], defaults: tuple[object, ...]
) -> FunctionType:
    """Return `__new__` of a tuple class, with the fields as its parameters."""
    count = len(fields)
    if count not in _constructors:
        names = "".join(f"field_{index}, " for index in range(count))
        source = f"lambda cls, {names}: new(cls, ({names}))"
        _constructors[count] = eval(source, {"new": tuple.__new__})
    template = _constructors[count]
    code = template.__code__.replace(
        co_name="__new__", co_qualname=f"{class_name}.__new__", co_varnames=("cls", *fields)
    )
    return FunctionType(code, template.__globals__, "__new__", defaults)


def NewType(_name: str, supertype: type) -> Callable[[object], object]:
    """Return `supertype`: only type checkers distinguish the new type from it."""
    return supertype
