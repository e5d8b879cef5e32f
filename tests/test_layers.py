"""The architecture, held like any behaviour: who may import whom, who alone owns what, and sizes.

The table LAYERS is the one place where the rules are written down; docs/architecture.md
shows the same as text.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.hub import CHECKOUT

PACKAGE = CHECKOUT / "git_hub_session"


class Layer(NamedTuple):
    """A floor of the house: who lives there, and whom they may import when they run.

    `types` may be named in annotations besides (imports under TYPE_CHECKING), `doors` be
    imported inside a function besides.
    """

    name: str
    modules: str
    imports: str = ""
    types: str = ""
    doors: str = ""


VALUES = "typed errors states refnames session history clock escape gitconfig gitenviron gitignore gitindex options tasks metric ranking posts util util.numbers"
LIGHT = "copies tree heads worktrees procfs refs sidebyside"
HEAVY = "gitrepo gitcommand processes trust"

# From the ground up. A pattern with * is a directory: a new file in it needs no new row.
LAYERS = (
    Layer("L0 values", VALUES, imports=VALUES),
    Layer("L0 signals", "signals", imports="typed"),
    Layer("L0 library", "libgit2"),
    Layer("L0 files", "regular"),
    Layer(
        "L1 doors",
        f"{LIGHT} {HEAVY} files configfile discovery identity trace",
        imports=f"{VALUES} signals libgit2 regular heads refs",
    ),
    Layer(
        "L2 store",
        "documents hub store runs channels board",
        imports=f"{VALUES} files configfile procfs sidebyside documents hub store channels",
    ),
    Layer(
        "L3 operations",
        "operations operations.*",
        imports=f"{VALUES} {LIGHT} regular signals hub store runs board operations.*",
        # The heavy doors come with the scene: an operation opens none.
        types="gitrepo gitcommand processes discovery files",
    ),
    Layer(
        "L4 views",
        "views views.*",
        imports=f"{VALUES} views.view views.report views.post",
        types="store board channels operations.*",
    ),
    Layer(
        "L4 context",
        "context",
        imports=f"{VALUES} regular store discovery identity heads",
        types=f"{HEAVY} views.view",
        doors=HEAVY,
    ),
    Layer("L4 table", "commands", imports="typed"),
    Layer(
        "L4 commands",
        "commands.*",
        imports=f"{VALUES} {LIGHT} store board context views views.* operations.* commands.*",
    ),
    Layer(
        "L5 render",
        "render render.*",
        imports=f"{VALUES} views.view render.*",
        doors="render.*",
    ),
    Layer(
        "L6 command line",
        "cli __main__",
        imports="__init__ typed errors options signals commands context render cli",
        types="views.view",
        doors="trace",
    ),
    Layer("the package", "__init__"),
)

# What has one owner, and who it is.
OWNERS = {
    "pygit2": "libgit2",
    "yaml": "configfile",
    "subprocess": "gitcommand processes",
    "fcntl": "files",
    "pickle": "sidebyside",  # only ever what a fork of ours has written
    "threading": "",
    "argparse": "",
    "logging": "",
    "dataclasses": "",  # 8 ms of every start
    # Only what the demonstration itself made is deleted without a look (tree.remove looks).
    "shutil": "commands.demo",
    "tempfile": "commands.demo operations.mergetree libgit2",
}

# The values know no clock, no file and no environment; these modules have none of them.
PURE = {
    *("__future__", "collections.abc", "datetime", "enum", "re", "struct", "textwrap", "typing"),
    *("collections", "json", "unicodedata"),
}

# The only imports inside functions: what a command that does not need it must not wait for.
LATE = {
    ("__main__", "cli"),
    ("cli", "difflib"),
    ("cli", "trace"),
    ("cli", "traceback"),
    ("commands.path", "operations.links"),
    ("configfile", "yaml"),
    ("context", "gitcommand"),
    ("context", "gitrepo"),
    ("context", "identity"),
    ("context", "processes"),
    ("context", "shlex"),
    ("context", "trust"),
    ("context", "heads"),
    ("libgit2", "tempfile"),
    ("operations.mergetree", "tempfile"),
    ("options", "textwrap"),
    ("escape", "unicodedata"),
    ("store", "procfs"),
    ("store", "sidebyside"),
    ("operations.survey", "sidebyside"),
    ("render", "select"),
    ("render", "render.machine"),
    ("render", "render.style"),
}

CALLS = {
    "print": "",
    "input": "",
    "eval": "",
    "exec": "",
    "os.rename": "store operations.removal",
    "os.replace": "files operations.note",
    "os.system": "",
    "os.fork": "sidebyside",
    "sys.exit": "__main__",
}
NAMES = {
    # cli looks whether they are open, before anything else is opened.
    "sys.stdout": "render cli",
    "sys.stderr": "render cli",
    "sys.stdin": "cli render",
    "sys.argv": "cli",
    "os.environ": "cli context gitrepo render",
    "os.getcwd": "context",
    "time.time": "context trace",
}

FILE, COMMAND, FUNCTION = 350, 75, 41
# What is larger, and why it reads better so.
LARGER = {
    "gitrepo": 482,  # one library's one door
    "commands.init": 145,  # every option is checked here, one small function each
    "commands.board": 110,  # four forms, and what each of them takes
    "commands.cleanup": 90,  # which sessions are meant
    "commands.exec": 85,  # what is done where nobody reads on
    "commands.merge": 100,  # what is shown and asked before
    "commands.run": 115,  # six commands, one after another
    "commands.eval": 150,  # what is measured, and whether it may run
    "commands.demo": 260,  # a play, and the stage it is played on
    "commands.demo._play": 90,  # read from top to bottom, like what it shows
    "gitindex._parse": 55,  # one loop over every worktree's every file: a call would cost
}


class Import(NamedTuple):
    """`module` imports `target`: when it runs, in a function ('late'), or for annotations ('type')."""

    module: str
    target: str
    when: str


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


@cache
def _trees() -> dict[str, ast.Module]:
    return {_name(path): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def _modules() -> list[str]:
    return list(_trees())


@cache
def _imports() -> list[Import]:
    return [found for module, tree in _trees().items() for found in _found(module, tree, "run")]


def _found(module: str, node: ast.AST, when: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from _found(module, child, "type")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _found(module, child, "late")
        elif isinstance(child, ast.Import):
            yield from (Import(module, _ours(alias.name), when) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert not child.level, f"{module}: imports are absolute"
            yield from (Import(module, target, when) for target in _targets(child))
        else:
            yield from _found(module, child, when)


def _targets(statement: ast.ImportFrom) -> set[str]:
    """The modules that a `from … import …` loads: a name can be a module itself."""
    source = _ours(statement.module or "")
    below = {f"{source}.{alias.name}".removeprefix("__init__.") for alias in statement.names}
    modules = {target for target in below if target in _modules()}
    return modules if len(modules) == len(below) else modules | {source}


def _ours(name: str) -> str:
    """Names of the package without its own name; the package itself is `__init__`."""
    return "__init__" if name == "git_hub_session" else name.removeprefix("git_hub_session.")


def _is_in(name: str, patterns: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns.split())


def _layer(module: str) -> Layer:
    layers = [layer for layer in LAYERS if _is_in(module, layer.modules)]
    assert len(layers) == 1, f"{module} is in {[layer.name for layer in layers]}, not in one layer"
    return layers[0]


@pytest.mark.parametrize("module", _modules())
def test_every_module_imports_only_what_its_layer_may(module: str) -> None:
    layer = _layer(module)
    may = {
        "run": layer.imports,
        "type": f"{layer.imports} {layer.types}",
        "late": f"{layer.imports} {layer.doors}",
    }
    assert [
        f"{found.target} ({found.when})"
        for found in _imports()
        if found.module == module
        and found.target in _modules()
        and not _is_in(found.target, may[found.when])
    ] == []


def test_no_command_knows_another() -> None:
    """But for `run`, which is the others one after another."""
    assert [
        found
        for found in _imports()
        if found.module.startswith("commands.") and found.target.startswith("commands.")
        if found.module != "commands.run"
    ] == []


def test_imports_make_no_circle() -> None:
    """Not even those in functions; only annotations may point up."""
    graph: dict[str, set[str]] = {module: set() for module in _modules()}
    for found in _imports():
        if found.target in graph and found.when != "type":
            graph[found.module].add(found.target)
    assert set(TopologicalSorter(graph).static_order()) == set(graph)


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_has_one_owner(library: str) -> None:
    assert [
        found.module
        for found in _imports()
        if found.when != "type"
        and found.target.split(".")[0] == library
        and not _is_in(found.module, OWNERS[library])
    ] == []


def test_values_are_pure() -> None:
    assert [
        (found.module, found.target)
        for found in _imports()
        if _is_in(found.module, VALUES)
        and found.target not in _modules()
        and found.target not in PURE
    ] == []


def test_imports_in_functions_have_fixed_addresses() -> None:
    late = {(found.module, found.target) for found in _imports() if found.when == "late"}
    assert late - LATE == set()


@pytest.mark.parametrize("call", CALLS)
def test_a_call_has_one_owner(call: str) -> None:
    assert [
        f"{module}:{node.lineno}"
        for module, tree in _trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == call
        and not _is_in(module, CALLS[call])
    ] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_process_is_seen_in_one_place(name: str) -> None:
    assert [
        f"{module}:{node.lineno}"
        for module, tree in _trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) == name
        and not _is_in(module, NAMES[name])
    ] == []


def test_refs_are_spelled_in_one_module() -> None:
    """No literal has a ref in it, but for what the demonstration types; docstrings may speak of refs."""
    spelled = re.compile(r"refs/|(?<![.\w])hub/")
    assert [
        f"{module}:{node.lineno}: {node.value!r}"
        for module, tree in _trees().items()
        for node in _literals(tree)
        if not _is_in(module, "refnames commands.demo") and spelled.search(str(node.value))
    ] == []


def _literals(tree: ast.Module) -> Iterator[ast.Constant]:
    told = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
    }  # docstrings, also those of fields
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node


@pytest.mark.parametrize("module", _modules())
def test_files_and_functions_stay_small(module: str) -> None:
    usual = COMMAND if module.startswith("commands.") else FILE
    lines = len((PACKAGE / _path(module)).read_text().splitlines())
    functions = {
        f"{module}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(_trees()[module])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    too_large = {
        name: size for name, size in functions.items() if size > LARGER.get(name, FUNCTION)
    }
    assert (too_large, lines <= LARGER.get(module, usual)) == ({}, True), f"{lines} lines"


def _path(module: str) -> str:
    file = module.replace(".", "/")
    return f"{file}/__init__.py" if (PACKAGE / file).is_dir() else f"{file}.py"


def test_the_package_tree_names_every_module() -> None:
    """docs/architecture.md has one line for each module; the commands share one."""
    text = (CHECKOUT / "docs" / "architecture.md").read_text()
    tree = text.partition("## Packages\n```\n")[2].partition("\n```\n")[0]
    files = {
        path.relative_to(PACKAGE).as_posix()
        for pattern in ("*.py", "*.sh")
        for path in PACKAGE.rglob(pattern)
    }
    commands = {file for file in files if fnmatchcase(file, "commands/[a-z]*.py")}
    markers = {file for file in files if file.endswith("/__init__.py")} - {"commands/__init__.py"}
    assert _named_in(tree) == {*(files - commands - markers), "commands/VERB.py"}


def _named_in(tree: str) -> set[str]:
    """Return the files of an indented tree, in which a directory ends with a slash."""
    parents: list[str] = []
    named = set()
    for line in filter(None, tree.splitlines()):
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 4
        parents = parents[:depth]
        if name.endswith("/"):
            parents.append(name)
        else:
            named.add("".join([*parents, name]))
    return named
