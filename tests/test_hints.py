"""Each hint of the program is typed by a test. A new hint without such a test fails here.

A test names its hints with `types` or `Case` (tests/support/hints.py). It fails if it does not type
them. This file compares these names with the hints in the source of the package.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.hint_templates import HintTemplates

TESTS = Path(__file__).resolve().parent
PACKAGE = TESTS.parent / "git_hub_session"

STATEMENTS = {"nothing was changed", "'{}' is a final state"}
"""Lines below an error that tell the user to do nothing."""
_NAMING = {"types", "Case", "corrected"}


def typed_templates(path: Path) -> Iterator[str]:
    """Yield the templates that the tests in a file name."""
    tree = ast.parse(path.read_text())
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            first = {"types": len(node.args)}.get(node.func.id, 1)
            for value in node.args[:first] if node.func.id in _NAMING else ():
                text = constants.get(value.id) if isinstance(value, ast.Name) else value
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield text.value


def untyped_templates() -> tuple[set[str], set[str]]:
    """Return the hints that no test types, and the names that are no hint of the package."""
    paths = [path for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
    typed = {template for path in paths for template in typed_templates(path)}
    templates = {*HintTemplates(PACKAGE).read()}
    return templates - typed, typed - templates


def test_each_hint_is_typed_by_a_test() -> None:
    """A new hint needs a test that types it: tests/hints/ has a table for each kind of command."""
    untyped, unknown = untyped_templates()
    assert sorted(untyped - STATEMENTS) == []
    assert sorted(unknown) == [], "these tests name hints that the program does not have"


def test_each_statement_is_in_the_program() -> None:
    assert sorted(STATEMENTS - {*HintTemplates(PACKAGE).read()}) == []
