"""The names of `typing` that the package uses, without the import of `typing`.

That import takes 5 ms, and `list` takes 35 ms in all. `_typing.pyi` tells type checkers that these
names are those of `typing`. At run time, annotations are not evaluated
(`from __future__ import annotations`), so only NamedTuple and NewType need an implementation.

`collections.namedtuple` compiles source text for each class, which takes 0.1 ms. `list` loads 22
such classes, and `status` 60. This NamedTuple compiles no source text, up to 14 fields.
"""

from __future__ import annotations

from collections import _tuplegetter  # type: ignore[attr-defined]  # the getter of namedtuple
from collections.abc import Callable, Iterable, Sequence
from types import CodeType, FunctionType

TYPE_CHECKING = False
Any = NoReturn = Protocol = Self = TextIO = object

_new = tuple.__new__
# fmt: off
# The constructors of tuples with 0 to 14 fields. `_make_constructor` replaces the names.
_constructors = [
    lambda cls: _new(cls, ()),
    lambda cls, a: _new(cls, (a,)),
    lambda cls, a, b: _new(cls, (a, b)),
    lambda cls, a, b, c: _new(cls, (a, b, c)),
    lambda cls, a, b, c, d: _new(cls, (a, b, c, d)),
    lambda cls, a, b, c, d, e: _new(cls, (a, b, c, d, e)),
    lambda cls, a, b, c, d, e, f: _new(cls, (a, b, c, d, e, f)),
    lambda cls, a, b, c, d, e, f, g: _new(cls, (a, b, c, d, e, f, g)),
    lambda cls, a, b, c, d, e, f, g, h: _new(cls, (a, b, c, d, e, f, g, h)),
    lambda cls, a, b, c, d, e, f, g, h, i: _new(cls, (a, b, c, d, e, f, g, h, i)),
    lambda cls, a, b, c, d, e, f, g, h, i, j: _new(cls, (a, b, c, d, e, f, g, h, i, j)),
    lambda cls, a, b, c, d, e, f, g, h, i, j, k: _new(cls, (a, b, c, d, e, f, g, h, i, j, k)),
    lambda cls, a, b, c, d, e, f, g, h, i, j, k, l: _new(cls, (a, b, c, d, e, f, g, h, i, j, k, l)),
    lambda cls, a, b, c, d, e, f, g, h, i, j, k, l, m: _new(cls, (a, b, c, d, e, f, g, h, i, j, k, l, m)),
    lambda cls, a, b, c, d, e, f, g, h, i, j, k, l, m, n: _new(cls, (a, b, c, d, e, f, g, h, i, j, k, l, m, n)),
]
# fmt: on
_codes: list[CodeType] = [constructor.__code__ for constructor in _constructors]


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
    code = _constructor_code(len(fields)).replace(
        co_name="__new__", co_qualname=f"{class_name}.__new__", co_varnames=("cls", *fields)
    )
    return FunctionType(code, globals(), "__new__", defaults)


def _constructor_code(count: int) -> CodeType:
    if count < len(_codes):
        return _codes[count]
    names = "".join(f"field_{index}, " for index in range(count))
    code: CodeType = eval(f"lambda cls, {names}: _new(cls, ({names}))").__code__
    return code


def NewType(_name: str, supertype: type) -> Callable[[object], object]:
    """Return `supertype`: only type checkers distinguish the new type from it."""
    return supertype
