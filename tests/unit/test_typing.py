"""NamedTuple of the package behaves as typing.NamedTuple."""

from __future__ import annotations

import copy
import pickle
import typing
from collections.abc import Callable
from typing import Any

import pytest

import git_hub_session._typing


class Expected(typing.NamedTuple):
    """A point with a label."""

    x: int
    y: int
    label: str = "?"

    @property
    def sum(self) -> int:
        return self.x + self.y


class Point(git_hub_session._typing.NamedTuple):
    """A point with a label."""

    x: int
    y: int
    label: str = "?"

    @property
    def sum(self) -> int:
        return self.x + self.y


CALLS: dict[str, Callable[[Any], object]] = {
    "positional": lambda cls: tuple(cls(1, 2)),
    "keywords": lambda cls: tuple(cls(y=2, x=1, label="a")),
    "fields": lambda cls: (cls(1, 2).x, cls(1, 2).y, cls(1, 2).label),
    "a property": lambda cls: cls(1, 2).sum,
    "the dictionary": lambda cls: cls(1, 2)._asdict(),
    "a changed copy": lambda cls: tuple(cls(1, 2)._replace(y=3)),
    "equality with a tuple": lambda cls: cls(1, 2) == (1, 2, "?"),
    "order": lambda cls: cls(1, 2) < cls(1, 3),
    "from values": lambda cls: tuple(cls._make(iter([1, 2, "a"]))),
    "the names": lambda cls: cls._fields,
    "the documentation": lambda cls: cls.__doc__,
    "the module": lambda cls: cls.__module__,
    "the text": lambda cls: repr(cls(1, 2)).removeprefix(cls.__name__),
    "a deep copy": lambda cls: tuple(copy.deepcopy(cls(1, 2))),
    "pickle": lambda cls: tuple(pickle.loads(pickle.dumps(cls(1, 2)))),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_results_are_those_of_typing(call: Callable[[Any], object]) -> None:
    assert call(Point) == call(Expected)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Point(),  # type: ignore[call-arg]
        lambda: Point(1, 2, "", 4),  # type: ignore[call-arg]
        lambda: Point(1, 2, z=3),  # type: ignore[call-arg]
        lambda: Point(1, 2)._replace(z=3),  # type: ignore[call-arg]
        lambda: Point._make([1, 2]),
        lambda: setattr(Point(1, 2), "x", 3),
        lambda: setattr(Point(1, 2), "z", 3),
    ],
    ids=[
        "no value",
        "a value too many",
        "unknown",
        "replace unknown",
        "a value too few",
        "set",
        "set unknown",
    ],
)
def test_it_refuses_other_fields(call: Callable[[], object]) -> None:
    with pytest.raises((TypeError, AttributeError)):
        call()


def test_classes_with_as_many_fields_keep_their_own_names() -> None:
    class Other(git_hub_session._typing.NamedTuple):
        a: int
        b: int
        c: int = 5

    assert Other(b=1, a=2)._asdict() == {"a": 2, "b": 1, "c": 5}
    assert Point(y=1, x=2)._asdict() == {"x": 2, "y": 1, "label": "?"}
