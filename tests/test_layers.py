"""Check the architecture: which package imports which, and which module owns each external thing.

docs/architecture.md explains the rules. The tables of this file are their exact form.
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

# The packages of a layer may import those of the layers above it in this table, and each other
# if the third column allows it. A name is a directory or a module of the package's top level.
BASE = "__init__ _typing errors util"
SYSTEM = f"{BASE} system programs"
GIT = f"{SYSTEM} git"
SETTINGS = f"{GIT} settings"
SESSION = f"{SETTINGS} session"
WORKTREES = f"{SESSION} worktree stash removal temporary"
LAYERS = {
    "__init__": "",
    "_typing": "",
    "_finder": "_typing",
    "errors": BASE,
    "util": BASE,
    "metric": f"{BASE} metric",
    "schemas": f"{BASE} schemas",
    "system": f"{BASE} system",
    "programs": SYSTEM,
    "git": GIT,
    "settings": SETTINGS,
    "executors": f"{SETTINGS} executors",
    "session": SESSION,
    "board": f"{SESSION} board",
    "lineage": f"{SESSION} lineage",
    "worktree": f"{SESSION} worktree",
    "stash": f"{SESSION} worktree stash",
    "removal": f"{SESSION} worktree stash removal",
    "temporary": WORKTREES,
    "agents": f"{WORKTREES} board agents",
    "ranking": f"{GIT} ranking",
    "evaluation": f"{WORKTREES} board metric ranking evaluation",
    "claims": f"{SESSION} claims",
    "distributed": f"{WORKTREES} ranking evaluation distributed",
    "cleanup": f"{WORKTREES} board lineage claims cleanup",
    "restore": f"{WORKTREES} board restore",
    "merge": f"{WORKTREES} board lineage cleanup merge",
    "doctor": f"{WORKTREES} board lineage claims cleanup sharing doctor",
    "hooks": f"{SESSION} hooks",
    "sharing": f"{WORKTREES} board lineage claims cleanup sharing",
    "worker": f"{WORKTREES} board lineage agents claims cleanup sharing distributed worker",
    "review": f"{WORKTREES} board review",
    "events": f"{SESSION} schemas events",
    "cli": f"{SESSION} metric schemas events cli",
    "report": f"{WORKTREES} board lineage review ranking schemas events cli report",
    "watch": f"{WORKTREES} board review schemas cli watch",
    "completion": f"{SESSION} metric board schemas events cli completion",
    "api": f"{WORKTREES} programs schemas cli api",
    "commands": f"{WORKTREES} board lineage agents metric schemas ranking evaluation distributed claims cleanup restore merge doctor review sharing worker executors events hooks cli "
    "completion report watch commands",
    "main": f"{SYSTEM} cli commands main",
    "__main__": "_typing _finder main",
}

# A library or module of the standard library, and the only modules of the package that import it.
OWNERS = {
    "pygit2": "git.libgit2",
    "yaml": "session.config_file",
    "psutil": "system.psutil_processes",
    "textual": "watch.screen watch.table watch.log_screen",
    "rich": "watch.table",
    "subprocess": "git.process programs.background programs.capture programs.foreground programs.piped programs.watched system.processes "
    "system.supervision.supervisor",
    "fcntl": "system.directory system.temporary",
    "pickle": "system.parallel",  # it reads only data that a fork of this process has written
    "threading": "",
    "argparse": "",
    "logging": "",
    "dataclasses": "",  # the import takes 8 ms
    # `demo` removes only the directory that it has created. system.tree.remove_if_unchanged
    # removes everything else.
    "shutil": "commands.demo",
    "tempfile": "commands.demo system.temporary",
}

# The modules that neither read a file nor a clock nor the environment, and the only modules
# of the standard library that they may import.
PURE = (
    "util.text util.numbers git.config git.environment git.ref_names session.state "
    "session.history session.model session.record cli.options cli.parser metric.metric "
    "metric.quantity metric.requirement settings.table completion.expected evaluation.units ranking.ranking board.posts "
    "sharing.values sharing.session_values sharing.record sharing.merge_records sharing.session_record"
)
PURE_IMPORTS = {
    *(
        "__future__",
        "collections",
        "collections.abc",
        "datetime",
        "enum",
        "functools",
        "hashlib",
        "json",
        "re",
        "struct",
    ),
    *("textwrap", "typing", "unicodedata"),
}

# Every import inside a function: a command must not wait for a module that it does not use.
LATE_IMPORTS = {
    ("__main__", "_finder"),
    ("__main__", "main"),
    ("cli.context", "events.send"),
    ("cli.context", "settings.table"),
    ("cli.output", "cli.formats"),
    ("cli.output", "cli.paging.full_screen"),
    ("cli.output", "cli.paging.pager"),
    ("cli.output", "cli.terminal"),
    ("cli.progress.lines", "cli.terminal"),
    ("cli.output", "termios"),
    ("cli.output", "settings.table"),
    ("cli.options", "textwrap"),
    ("cli.context", "git.head"),
    ("commands.init", "agents.adopt_session"),
    ("commands.init", "merge.next_session"),
    ("commands.init", "temporary.holdout"),
    ("commands._attempt.arguments", "report.winner"),
    ("completion.complete", "board.board"),
    ("commands.eval", "commands._eval.on"),
    ("commands.eval", "commands._executors.call"),
    ("commands.eval", "distributed.rank"),
    ("commands.work", "commands._eval.worker"),
    ("commands.work", "worker.measure"),
    ("commands.exec", "commands._exec.on"),
    ("commands._executors.call", "executors.slurm_launcher"),
    ("commands.exec", "commands._executors.call"),
    ("executors.far_script", "executors.wheel"),
    ("executors.launcher", "executors.wheel"),
    ("commands.list", "cleanup.archive_limit"),
    ("commands.list", "git.ref_names"),
    ("commands.list", "git.refs"),
    ("commands.list", "lineage.parent"),
    ("commands.list", "session.create"),
    ("commands._status.guarded", "evaluation.guard"),
    ("commands._status.jobs", "executors.slurm"),
    ("commands._status.jobs", "session.evaluation_log"),
    ("commands._status.jobs", "executors.slurm_record"),
    ("commands._status.view", "lineage.parent"),
    ("commands.status", "commands._status.short"),
    ("commands.status", "commands._status.view"),
    ("commands.log", "commands._log.frontier"),
    ("commands.log", "commands._log.graph"),
    ("commands.update", "session.agents"),
    ("commands.update", "worktree.reattach"),
    ("commands._share.arguments", "util.similar"),
    ("commands._share.automatic", "commands._share.arguments"),
    ("commands._share.automatic", "sharing.fetch"),
    ("commands._share.automatic", "sharing.push"),
    ("commands.status", "commands._share.automatic"),
    ("commands.watch", "watch.screen"),
    ("git.discovery", "git.hidden_hub"),
    ("git.libgit2", "system.temporary"),
    ("git.process", "programs.watched"),
    ("system.stored_files", "hashlib"),
    ("main", "util.similar"),
    ("main", "system.trace"),
    ("main", "traceback"),
    ("system.supervision.supervisor", "ctypes"),
    ("system.temporary", "tempfile"),
    ("session.config_file", "util.yaml_text"),
    ("session.config_file", "yaml"),
    ("session.layout", "git.worktrees"),
    ("session.project", "git.command"),
    ("session.project", "git.config_files"),
    ("session.project", "git.process"),
    ("session.project", "git.repository"),
    ("session.project", "session.approvals"),
    ("session.project", "settings.settings"),
    ("session.project", "system.processes"),
    ("session.runs", "system.procfs"),
    ("session.store", "system.parallel"),
    ("session.store", "system.procfs"),
    ("sharing.unpushed", "sharing.local_record"),
    ("sharing.unpushed", "sharing.record_commit"),
    ("system.deletable", "ctypes"),
    ("system.io", "select"),
    ("system.procfs", "system.psutil_processes"),
    ("merge.merge", "merge.replay"),
    ("merge.merge", "merge.undo"),
    ("merge.plan", "merge.replay"),
    ("programs.watched", "select"),
    ("restore.commands", "restore.plan"),
    ("system.parallel", "pickle"),
    ("util.shell", "shlex"),
    ("util.text", "unicodedata"),
    ("worktree.status", "system.parallel"),
    ("worktree.tracked_files", "hashlib"),
}

# A function, and the only modules that call it.
CALLERS = {
    "print": "",
    "input": "",
    "eval": "_typing",  # as in collections.namedtuple; the source has only numbered names
    "exec": "",
    "os.rename": "session.layout session.store removal.discard removal.recover removal.remove removal.trash "
    "doctor.registration hooks.files",
    "os.replace": "system.directory removal.journal temporary.objects hooks.files",
    "os.system": "",
    "os.fork": "system.parallel system.supervision.supervisor",
    "sys.exit": "__main__",
}

# An attribute of this process or of the machine, and the only modules that read it.
READERS = {
    # main checks that the streams are open before the command opens a file.
    "sys.stdout": "cli.output main",
    "sys.stderr": "cli.output cli.progress.lines main",
    "sys.stdin": "cli.output main",
    "sys.argv": "main",
    "os.environ": "system.temporary cli.context cli.output cli.progress.lines main",
    "os.getcwd": "session.project",
    "time.time": "session.project system.trace",
}

LARGEST_FILE = 350
# The files that are larger, with the reason.
LARGER_FILES = {
    "git.repository": 435,  # every read through pygit2
}


class Import(NamedTuple):
    """The statement in `module` that imports `target`."""

    module: str
    target: str
    time: str
    """'load', 'call' (inside a function) or 'type' (under TYPE_CHECKING)."""


def module_name(path: Path) -> str:
    """Return the dotted name of a file in the package, without the name of the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


@cache
def syntax_trees() -> dict[str, ast.Module]:
    """Return the syntax tree of each module."""
    return {
        module_name(path): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))
    }


def modules() -> list[str]:
    """Return the names of all modules."""
    return list(syntax_trees())


@cache
def imports() -> list[Import]:
    """Return the imports of all modules."""
    return [
        statement
        for module, tree in syntax_trees().items()
        for statement in find_imports(module, tree, "load")
    ]


def find_imports(module: str, node: ast.AST, time: str) -> Iterator[Import]:
    """Yield the imports below a node of the syntax tree."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from find_imports(module, child, "type")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from find_imports(module, child, "call")
        elif isinstance(child, ast.Import):
            yield from (Import(module, local_name(alias.name), time) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert not child.level, f"{module}: relative import"
            yield from (Import(module, target, time) for target in imported_modules(child))
        else:
            yield from find_imports(module, child, time)


def imported_modules(statement: ast.ImportFrom) -> set[str]:
    """Return the modules that a `from ... import` loads. An imported name can be a module."""
    source = local_name(statement.module or "")
    candidates = {f"{source}.{alias.name}".removeprefix("__init__.") for alias in statement.names}
    loaded = {candidate for candidate in candidates if candidate in modules()}
    return loaded if len(loaded) == len(candidates) else loaded | {source}


def local_name(name: str) -> str:
    """Return a module name without the name of the package."""
    return "__init__" if name == "git_hub_session" else name.removeprefix("git_hub_session.")


def package_of(module: str) -> str:
    """Return the directory of a module, or the module itself on the top level."""
    return module.split(".")[0]


def matches(name: str, patterns: str) -> bool:
    """Return True if the name matches one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns.split())


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_lower_layers(module: str) -> None:
    allowed = LAYERS[package_of(module)].split()
    assert [
        statement.target
        for statement in imports()
        if statement.module == module
        and statement.time != "type"
        and statement.target in modules()
        and package_of(statement.target) not in allowed
    ] == []


def test_only_run_imports_other_commands() -> None:
    """Modules that start with an underscore are shared by commands."""
    assert [
        statement
        for statement in imports()
        if statement.module.startswith("commands.")
        and statement.module != "commands.run"
        and re.match(r"commands\.[^_]", statement.target)
    ] == []


def test_the_table_of_commands_imports_no_command() -> None:
    assert [
        statement
        for statement in imports()
        if statement.module == "commands" and package_of(statement.target) == "commands"
    ] == []


def test_imports_have_no_cycle() -> None:
    """Imports inside functions count. Imports for annotations do not."""
    graph: dict[str, set[str]] = {module: set() for module in modules()}
    for statement in imports():
        if statement.target in graph and statement.time != "type":
            graph[statement.module].add(statement.target)
    assert set(TopologicalSorter(graph).static_order()) == set(graph)


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_has_one_owner(library: str) -> None:
    assert [
        statement.module
        for statement in imports()
        if statement.time != "type"
        and package_of(statement.target) == library
        and not matches(statement.module, OWNERS[library])
    ] == []


def test_pure_modules_import_only_pure_modules_of_python() -> None:
    assert [
        (statement.module, statement.target)
        for statement in imports()
        if matches(statement.module, PURE)
        and statement.target not in modules()
        and statement.target not in PURE_IMPORTS
    ] == []


@pytest.mark.parametrize("name", sorted({*PURE.split(), *(module for module, _ in LATE_IMPORTS)}))
def test_the_tables_name_existing_modules(name: str) -> None:
    assert name in modules()


def test_imports_inside_functions_are_listed() -> None:
    late = {
        (statement.module, statement.target) for statement in imports() if statement.time == "call"
    }
    assert late == LATE_IMPORTS


@pytest.mark.parametrize("function", CALLERS)
def test_a_function_has_fixed_callers(function: str) -> None:
    assert [
        f"{module}:{node.lineno}"
        for module, tree in syntax_trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == function
        and not matches(module, CALLERS[function])
    ] == []


@pytest.mark.parametrize("attribute", READERS)
def test_an_attribute_of_the_process_has_fixed_readers(attribute: str) -> None:
    assert [
        f"{module}:{node.lineno}"
        for module, tree in syntax_trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) == attribute
        and not matches(module, READERS[attribute])
    ] == []


def test_only_session_and_board_write_files_of_the_hub() -> None:
    """SafeDirectory is the only way to write into the hub."""
    users = {
        package_of(module)
        for module, tree in syntax_trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("SafeDirectory")
    }
    # `report` writes the file that the user names, and `executors` a record in the git dir.
    assert users <= {"system", "session", "board", "report", "executors"}


def test_refs_are_spelled_in_one_module() -> None:
    """Literals contain no ref. The table of settings has a default, and the demonstration
    prints what a user types."""
    spelled = re.compile(r"refs/|(?<![.\w])hub/")
    assert [
        f"{module}:{node.lineno}: {node.value!r}"
        for module, tree in syntax_trees().items()
        for node in string_literals(tree)
        if not matches(module, "git.ref_names settings.table commands.demo")
        and spelled.search(str(node.value))
    ] == []


def string_literals(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yield the strings of a module that are not docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
        ):
            yield node


@pytest.mark.parametrize("module", modules())
def test_files_stay_small(module: str) -> None:
    file = PACKAGE / module.replace(".", "/")
    path = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    assert len(path.read_text().splitlines()) <= LARGER_FILES.get(module, LARGEST_FILE)


def test_the_package_tree_names_every_module() -> None:
    """docs/architecture.md has one line for each module. The commands share one line."""
    text = (CHECKOUT / "docs" / "architecture.md").read_text()
    tree = text.partition("## Packages\n```\n")[2].partition("\n```\n")[0]
    files = {
        path.relative_to(PACKAGE).as_posix()
        for pattern in ("*.py", "*.sh", "*.zsh", "*.fish", "*.css")
        for path in PACKAGE.rglob(pattern)
    }
    commands = {file for file in files if fnmatchcase(file, "commands/[a-z]*.py")}
    markers = {file for file in files if file.endswith("/__init__.py")} - {"commands/__init__.py"}
    assert files_in_tree(tree) == {*(files - commands - markers), "commands/VERB.py"}


def files_in_tree(tree: str) -> set[str]:
    """Return the files of an indented tree, in which a directory ends with a slash."""
    parents: list[str] = []
    files = set()
    for line in filter(None, tree.splitlines()):
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 4
        parents = parents[:depth]
        if name.endswith("/"):
            parents.append(name)
        else:
            files.add("".join([*parents, name]))
    return files
