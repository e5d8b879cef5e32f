"""Only one function parses integers. Environment variables may have any number of digits."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from git_hub_session.util.numbers import (
    MAX_COUNT,
    MAX_INT64,
    difference,
    format_number,
    format_values,
    midpoint,
    parse_int,
    parse_octal,
)
from tests.support.hub import CHECKOUT, Hub

LONG = "1" * 5_000
"""A number that `int` rejects with ValueError."""


@pytest.mark.parametrize(
    ("text", "maximum", "number"),
    [
        ("0", 9, 0),
        ("9", 9, 9),
        ("10", 9, None),
        ("007", 9, 7),
        ("0" * 5_000, 9, 0),
        ("0" * 5_000 + "9", 9, 9),
        ("999999999", MAX_COUNT, 999_999_999),
        ("1000000000", MAX_COUNT, None),
        (str(MAX_INT64), MAX_INT64, MAX_INT64),
        (str(MAX_INT64 + 1), MAX_INT64, None),
        (LONG, MAX_INT64, None),
        ("0", 0, 0),
        ("0", -1, None),
        ("", 9, None),
        ("-1", 9, None),
        ("+1", 9, None),
        (" 1", 9, None),
        ("1\n", 9, None),
        ("1_0", 99, None),
        ("1.0", 99, None),
        ("0x1", 99, None),
        ("٣", 9, None),  # a digit for str.isdigit and for int
        ("²", 9, None),  # a digit for str.isdigit, an error for int
    ],
)
def test_parse_int(text: str, maximum: int, number: int | None) -> None:
    assert parse_int(text, maximum) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("644", 0o644),
        ("0770", 0o770),
        ("00644", None),
        ("", None),
        ("8", None),
        ("181", None),
        ("-7", None),
        ("7 ", None),
        ("٣", None),
        ("0o7", None),
    ],
)
def test_parse_octal(text: str, number: int | None) -> None:
    assert parse_octal(text, max_digits=4) == number


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((180.0, 142.5), ["180", "142.5"]),
        ((5.0, 5.0), ["5", "5"]),
        ((1234567.0, 1234568.0), ["1234567", "1234568"]),
        ((0.1, 0.1 + 2**-54), ["0.1", "0.1000000000000001"]),
        ((1e300, -1e300), ["1e+300", "-1e+300"]),
        ((0.0,), ["0"]),
    ],
)
def test_different_values_look_different(values: tuple[float, ...], texts: list[str]) -> None:
    assert format_values(*values) == texts


def test_date_with_many_digits(hub: Hub) -> None:
    """The clock is used if GIT_TEST_DATE_NOW is later than the year 9999."""
    hub.session()
    for seconds in (LONG, "253402300800"):
        result = hub.run("list", environ={"GIT_TEST_DATE_NOW": seconds}, now=None)
        assert (result.code, result.err) == (0, "")
    last = hub.run("update", "s1", "--state", "running", now=253_402_300_799)
    assert (last.code, last.err) == (0, "")
    assert hub.state("s1")["updated"] == "9999-12-31T23:59:59.000000+00:00"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's own files can belong to SUDO_UID")
def test_user_id_with_many_digits(hub: Hub) -> None:
    hub.session()
    result = hub.run("list", environ={"SUDO_UID": LONG})
    assert (result.code, result.err) == (0, "")


def test_no_other_module_parses_integers_from_text() -> None:
    """Other modules pass to `int` a number, or text whose length a pattern or git limits."""
    allowed_calls = {
        ("_finder", "int(status.st_mtime)"),  # a float
        ("board.posts", "int(match[1])"),  # at most nine digits
        ("commands._status.claims", "int(known.at)"),  # a float
        ("doctor.checks.worktrees", "int(match[1])"),  # at most nine digits
        ("git.ref_names", "int(match[1])"),  # at most nine digits
        ("git.ref_names", "int(match[2])"),
        ("git.ref_names", "int(match[3])"),
        ("git.ref_names", "int(match[3] or 0)"),
        ("git.ref_names", "int(match[4])"),
        ("git.diff", "int(entry.filemode)"),
        ("sharing.record_commit", "int(project.now())"),  # a float
        ("stash.create", "int(mode, 8)"),
        ("stash.create", "int(stage)"),
        ("util.mounts", "int(match[1], 8)"),
        ("stash.round_trip", "int(words[2])"),  # from git
        ("system.deletable", "int(match[1], 16)"),  # from the kernel
        ("system.trace", "int(now % 1 * 1000000.0)"),  # a float
        ("system.trace", "int(value)"),  # one digit
        ("util.clock", "int(seconds)"),  # a float
        ("watch.table", "int(self.scroll_offset.y)"),  # a float
    }
    package = CHECKOUT / "git_hub_session"
    calls = {
        (str(path.relative_to(package).with_suffix("")).replace("/", "."), ast.unparse(node))
        for path in sorted(package.rglob("*.py"))
        if path.relative_to(package) != Path("util/numbers.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if _parses_an_integer(node)
    }
    assert calls - allowed_calls == set()


def _parses_an_integer(node: ast.AST) -> bool:
    """Return True if the node is a call of `int` or a method that tests for digits."""
    if isinstance(node, ast.Attribute):
        return node.attr in ("isdigit", "isdecimal", "isnumeric")
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "int"
    return False


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (12.5, "12.5"),
        (100 / 3, "33.3333"),
        (1234567, "1234567"),
        (1234567.25, "1234567.25"),
        (1e15, "1e+15"),
        (1e-9, "1e-09"),
        (-0.5, "-0.5"),
    ],
)
def test_format_number(number: float, text: str) -> None:
    assert format_number(number) == text


def test_format_values_and_signs() -> None:
    assert format_values() == []
    assert format_values(1.0, None, 1.0, 100 / 3) == ["1", "", "1", "33.3333"]
    assert format_values(0.1234567, 0.12345678) == ["0.1234567", "0.1234568"]
    near = 0.1 + 0.2
    assert format_values(near, 0.3, sign="+") == [
        "+0.30000000000000004",
        "+0.29999999999999999",
    ]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (142.031, 144.0, -1.969),
        (0.3, 0.1, 0.2),
        (1000000.3, 1000000.1, 0.2),
        (5, 3, 2.0),
        (1e300, 1.5, 1e300),
        (1e-20, 1e-20, 0.0),
        (2.0**53, 1.0, 2.0**53 - 1),
    ],
)
def test_difference_has_no_binary_noise(first: float, second: float, expected: float) -> None:
    assert difference(first, second) == expected


def test_midpoint_has_no_binary_noise() -> None:
    assert (0.1 + 0.2) / 2 != 0.15
    assert midpoint(0.1, 0.2) == 0.15
    assert midpoint(1, 2) == 1.5
    assert midpoint(0.12345678901234567, 0.12345678901234567) == 0.12345678901234567
