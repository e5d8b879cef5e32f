"""Measure the sizes of a package: its functions, directories and chains of imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from radon.complexity import cc_visit_ast
from radon.visitors import Function as RadonFunction

Imports = dict[str, set[str]]
"""The imports of each module of a package, without modules of other packages."""


class Function(NamedTuple):
    """A function and its sizes."""

    path: Path
    line: int
    name: str
    lines: int
    """The lines from `def` to the end, with the docstring."""
    positional_parameters: int
    """The parameters that can be passed by position, without `self` and `cls`."""
    complexity: int
    """The cyclomatic complexity by radon."""


def list_functions(package: Path) -> list[Function]:
    """Return all functions and methods below a directory."""
    return [function for path in sorted(package.rglob("*.py")) for function in _functions(path)]


def _functions(path: Path) -> Iterator[Function]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = [block for block in cc_visit_ast(tree) if isinstance(block, RadonFunction)]
    complexities = {block.lineno: block.complexity for block in blocks}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            yield Function(
                path,
                node.lineno,
                node.name,
                lines=(node.end_lineno or node.lineno) - node.lineno + 1,
                positional_parameters=len(names) - (names[:1] in (["self"], ["cls"])),
                # Radon counts a nested function as a part of the outer function.
                complexity=complexities.get(node.lineno, 0),
            )


def count_files(package: Path) -> dict[Path, int]:
    """Return the number of Python files in each directory."""
    counts: dict[Path, int] = {}
    for path in package.rglob("*.py"):
        counts[path.parent] = counts.get(path.parent, 0) + 1
    return counts


# --- Imports --------------------------------------------------------------------------------------


def read_imports(package: Path) -> Imports:
    """Return the imports at run time, also imports in functions, but none under TYPE_CHECKING."""
    trees = {
        _module_name(path, package): ast.parse(path.read_text(encoding="utf-8"))
        for path in package.rglob("*.py")
    }
    return {
        module: {name for name in _imported_names(tree, {*trees}) if name != module}
        for module, tree in trees.items()
    }


def _module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported_names(node: ast.AST, modules: set[str]) -> Iterator[str]:
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=otherwise):
            children: list[ast.AST] = [*otherwise]
        case ast.ImportFrom(module=str(source), names=aliases):
            for alias in aliases:
                # The name can be a module, or a name that the source defines.
                name = f"{source}.{alias.name}"
                yield from modules & ({name} if name in modules else {source})
            children = []
        case ast.Import(names=aliases):
            yield from modules & {alias.name for alias in aliases}
            children = []
        case _:
            children = [*ast.iter_child_nodes(node)]
    for child in children:
        yield from _imported_names(child, modules)


def longest_chain(imports: Imports) -> list[str]:
    """Return the longest chain in which each module imports the next module.

    Raises:
        graphlib.CycleError: modules import each other.
    """
    chains: dict[str, list[str]] = {}
    for module in TopologicalSorter(imports).static_order():
        imported_chains = [chains[name] for name in sorted(imports[module])]
        chains[module] = [module, *max(imported_chains, key=len, default=[])]
    return max(chains.values(), key=len, default=[])
