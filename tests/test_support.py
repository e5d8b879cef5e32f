"""Shared test code is in tests/support: no module imports from a test file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.hub import CHECKOUT


def imported_modules(file: Path) -> Iterator[str]:
    """Yield the full names of the modules that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_module_imports_from_a_test_file() -> None:
    files = {
        f"tests.{'.'.join(file.relative_to(CHECKOUT / 'tests').with_suffix('').parts)}"
        for file in (CHECKOUT / "tests").rglob("test_*.py")
    }
    imports = {
        (file.name, module)
        for file in (CHECKOUT / "tests").rglob("*.py")
        for module in imported_modules(file)
        if module in files
    }
    assert imports == set()
