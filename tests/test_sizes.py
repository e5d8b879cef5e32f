"""Functions, directories and chains of imports stay small enough to read."""

from __future__ import annotations

from graphlib import CycleError
from os.path import relpath
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.complexity import (
    Function,
    count_files,
    list_functions,
    longest_chain,
    read_imports,
)

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = CHECKOUT / "git_hub_session"


class Limit(NamedTuple):
    """The largest value of a field of Function."""

    field: str
    largest: int


# The limit of ruff's C901 is in pyproject.toml.
FUNCTION_LIMITS = (Limit("lines", 40), Limit("positional_parameters", 5), Limit("complexity", 15))
LARGEST_DIRECTORY = 20
LARGEST_COMMANDS = 45  # one file for each command (docs/decisions.md)
LONGEST_CHAIN = 12


def exceeding(functions: list[Function], limit: Limit) -> list[str]:
    """Return the functions over the limit, the largest first, with their places."""
    sizes = [(getattr(function, limit.field), function) for function in functions]
    return [
        f"{relpath(function.path, CHECKOUT)}:{function.line}: {function.name}: {size} {limit.field}"
        for size, function in sorted(sizes, reverse=True)
        if size > limit.largest
    ]


@pytest.mark.parametrize("limit", FUNCTION_LIMITS, ids=[limit.field for limit in FUNCTION_LIMITS])
def test_functions_stay_small(limit: Limit) -> None:
    functions = list_functions(PACKAGE)
    assert functions
    if found := exceeding(functions, limit):
        summary = f"{len(found)} functions exceed the limit of {limit.largest} {limit.field}"
        pytest.fail("\n".join([summary, *found]), pytrace=False)


def test_directories_stay_small() -> None:
    counts = {relpath(path, CHECKOUT): count for path, count in count_files(PACKAGE).items()}
    assert counts[PACKAGE.name]
    assert counts.pop(f"{PACKAGE.name}/commands") <= LARGEST_COMMANDS
    assert {path: count for path, count in counts.items() if count > LARGEST_DIRECTORY} == {}


def test_chains_of_imports_stay_short() -> None:
    imports = read_imports(PACKAGE)
    assert imports["git_hub_session.__main__"]
    chain = longest_chain(imports)
    if len(chain) > LONGEST_CHAIN:
        summary = f"a chain of {len(chain)} imports (limit: {LONGEST_CHAIN})"
        pytest.fail("\n".join([summary, *chain]), pytrace=False)


# --- The measures ---------------------------------------------------------------------------------

CODE = """\
class Store:
    @property
    def read(self, a, /, b, *, c):
        if a:
            return b
        return c


async def write():
    def inner(x):
        return x and 1
"""


def test_sizes_of_functions(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text(CODE)
    functions = {function.name: function for function in list_functions(tmp_path)}
    assert functions["read"] == Function(
        file, 3, "read", lines=4, positional_parameters=2, complexity=2
    )
    assert (functions["write"].line, functions["write"].lines) == (9, 3)
    assert functions["inner"].positional_parameters == 1
    found = exceeding([*functions.values()], Limit("lines", 3))
    assert found == [f"{relpath(file, CHECKOUT)}:3: read: 4 lines"]


def test_files_of_directories(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.py", "b.py", "sub/c.py", "sub/notes.md"):
        (tmp_path / name).touch()
    assert count_files(tmp_path) == {tmp_path: 2, tmp_path / "sub": 1}


def package_with(tmp_path: Path, **modules: str) -> Path:
    """Create a package with these modules."""
    package = tmp_path / "p"
    package.mkdir()
    for name, code in {"__init__": "", **modules}.items():
        (package / f"{name}.py").write_text(code)
    return package


def test_imports_at_run_time(tmp_path: Path) -> None:
    package = package_with(
        tmp_path,
        a="from p.b import B\nfrom p import c\nimport os\nfrom os import path\n",
        b="def late():\n    import p.c\n",
        c="if TYPE_CHECKING:\n    from p.a import A\nelse:\n    from p import d, VERSION\n",
        d="",
    )
    imports = read_imports(package)
    assert imports == {
        "p": set(),
        "p.a": {"p.b", "p.c"},
        "p.b": {"p.c"},
        "p.c": {"p", "p.d"},
        "p.d": set(),
    }
    assert longest_chain(imports) in (["p.a", "p.b", "p.c", "p"], ["p.a", "p.b", "p.c", "p.d"])


def test_a_cycle_of_imports_is_an_error(tmp_path: Path) -> None:
    package = package_with(tmp_path, a="import p.b", b="import p.a")
    with pytest.raises(CycleError):
        longest_chain(read_imports(package))
