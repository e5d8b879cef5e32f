"""Find each hint of the package in its source, as a template with `{}` for each inserted value.

A hint is the value of a parameter, field or variable called hint or advice, or the result of a
function called so. The value can be a text, a constant, the result of another function, or lines
that are joined. Each line is a template.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

_NAMES = re.compile(r"(?i)(.*_)?(hints?|advice)$")
"""The names of parameters, fields, variables and functions that hold hints."""
_FOLLOWED = re.compile(r"(.*_)?(hints?|advice|command|retry)$")
"""The names of parameters that can be a whole line of a hint."""
_UNCHANGED_BY = {"strip", "lstrip", "rstrip", "splitlines", "filter", "list", "tuple", "sorted"}
"""Calls whose result has the lines of their object or of their last argument."""
_PREFIX = "hint: "
_COMMAND_FOLLOWS = r"[(;] ?[a-z]+ (it|them): $"
"""The text of a warning before a command."""


class Scope(NamedTuple):
    """The place of an expression."""

    module: Module
    function: ast.FunctionDef | None


Values = Iterator[tuple[ast.expr, Scope]]
Seen = set[tuple[str, ast.expr]]
"""The expressions that were resolved for one hint, each with the purpose."""


class Module:
    """A module of the package: its functions and its constants."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text())

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        """{name: value} of the assignments at the top of the module."""
        statements = [node for node in self.tree.body if not isinstance(node, ast.FunctionDef)]
        return dict(_assignments(statements))

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef]:
        """{name: function} of all functions and methods."""
        nodes = ast.walk(self.tree)
        return {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}


class HintTemplates:
    """The hints of a package."""

    def __init__(self, package: Path) -> None:
        self._modules = [Module(path) for path in sorted(package.rglob("*.py"))]

    def read(self) -> dict[str, set[str]]:
        """Return {template: the files that have its text}."""
        found: dict[str, set[str]] = {}
        for module in self._modules:
            for node, function in _nodes(module.tree, None):
                for value in self._hints_of(node):
                    for text, path in self._resolve(value, Scope(module, function), set()):
                        for line in map(str.strip, text.split("\n")):
                            if re.search(r"\w", line):
                                found.setdefault(line, set()).add(path.name)
        return found

    # --- Expressions that are hints ---------------------------------------------------------------

    def _hints_of(self, node: ast.AST) -> Iterator[ast.expr]:
        """Yield the hints that a node of the syntax tree contains itself."""
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg and _NAMES.match(keyword.arg):
                    yield keyword.value
            name = _name(node.func)
            position = self._positions.get(name, len(node.args))
            yield from node.args if name == "hints" else node.args[position : position + 1]
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_NAMES.match(_name(target)) for target in targets):
                yield node.value
        elif isinstance(node, ast.FunctionDef):
            yield from _returns(node) if _NAMES.match(node.name) else ()
            yield from _hint_defaults(node.args)
        elif isinstance(node, ast.JoinedStr) and _text(node).startswith(_PREFIX):
            yield node
        elif isinstance(node, ast.JoinedStr):
            yield from _commands_in(node)

    @cached_property
    def _positions(self) -> dict[str, int]:
        """{function or class: the position of its hint among the arguments}."""
        found = {"HubError": 1}
        nodes = [node for module in self._modules for node in ast.walk(module.tree)]
        for node in nodes:
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.args]
                names = names[1:] if names[:1] == ["self"] else names
                found.update((node.name, i) for i, name in enumerate(names) if _NAMES.match(name))
        found.pop("__init__", None)
        classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        for _ in range(4):  # the depth of the class tree
            for node in classes:
                bases = [found[_name(base)] for base in node.bases if _name(base) in found]
                fields = _parameters(node)
                own = [i for i, name in enumerate(fields or ()) if _NAMES.match(name)]
                for position in own[:1] or (bases[:1] if fields is None else []):
                    found[node.name] = position
        return found

    # --- Texts of an expression -------------------------------------------------------------------

    def _resolve(self, node: ast.expr, scope: Scope, seen: Seen) -> Iterator[tuple[str, Path]]:
        """Yield each text that an expression can have, with the file that contains the text."""
        if ("text", node) in seen:
            return
        seen.add(("text", node))
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.removeprefix(_PREFIX), scope.module.path
        elif isinstance(node, ast.JoinedStr):
            yield from self._resolve_f_string(node, scope, seen)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left = [text for text, _ in self._resolve(node.left, scope, seen)] or ["{}"]
            right = [text for text, _ in self._resolve(node.right, scope, seen)] or ["{}"]
            yield from ((a + b, scope.module.path) for a in left for b in right)
        elif isinstance(node, ast.Call):
            yield from self._resolve_call(node, scope, seen)
        else:
            for value, where in self._parts(node, scope, seen):
                yield from self._resolve(value, where, seen)

    def _parts(self, node: ast.expr, scope: Scope, seen: Seen) -> Values:
        """Yield the expressions of which an expression is one or all."""
        match node:
            case ast.IfExp():
                yield from ((value, scope) for value in (node.body, node.orelse))
            case ast.BoolOp() | ast.Dict():
                yield from ((value, scope) for value in node.values)
            case ast.List() | ast.Tuple():
                yield from ((value, scope) for value in node.elts)
            case ast.Starred() | ast.NamedExpr():
                yield node.value, scope
            case ast.ListComp() | ast.GeneratorExp():
                yield node.elt, scope
            case ast.Lambda():
                yield node.body, scope
            case ast.Subscript():
                yield from self._items(node, scope, seen)
            case ast.Name():
                yield from self._named(node.id, scope)
            case ast.Attribute():
                yield from self._results(self._properties.get(node.attr, []))
            case _:
                pass

    def _resolve_f_string(
        self, node: ast.JoinedStr, scope: Scope, seen: Seen
    ) -> Iterator[tuple[str, Path]]:
        for line in _lines(node):
            values = [part for part in line if not isinstance(part, str)]
            text = "".join(part if isinstance(part, str) else "{}" for part in line)
            if text.removeprefix(_PREFIX) == "{}":
                yield from self._resolve(values[0], scope, seen)
            else:
                yield text.removeprefix(_PREFIX), scope.module.path

    def _resolve_call(self, node: ast.Call, scope: Scope, seen: Seen) -> Iterator[tuple[str, Path]]:
        name = _name(node.func)
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        if name == "join" and isinstance(receiver, ast.Constant):
            lines = [t for v in node.args for t, _ in self._resolve(v, scope, seen)]
            if "\n" not in str(receiver.value) and isinstance(node.args[0], ast.List):
                words = [_constant(value) for value in node.args[0].elts]
                lines = [str(receiver.value).join(words)]
            yield from ((line, scope.module.path) for line in lines)
        elif name == "format" and receiver:
            for text, path in self._resolve(receiver, scope, seen):
                yield re.sub(r"\{\w*\}", "{}", text), path
        else:
            unchanged = [receiver] if receiver else node.args[-1:]
            values = [(value, scope) for value in unchanged] if name in _UNCHANGED_BY else []
            if name == "replace_line":
                values = [(value, scope) for value in node.args[2:]]
            for value, where in values or self._results(self._called(name, scope)):
                yield from self._resolve(value, where, seen)

    # --- Names ------------------------------------------------------------------------------------

    @cached_property
    def _functions(self) -> dict[str, list[Scope]]:
        found: dict[str, list[Scope]] = {}
        for module in self._modules:
            for name, function in module.functions.items():
                found.setdefault(name, []).append(Scope(module, function))
        return found

    @cached_property
    def _properties(self) -> dict[str, list[Scope]]:
        return {
            name: scopes
            for name, scopes in self._functions.items()
            if any(scope.function and scope.function.decorator_list for scope in scopes)
        }

    def _called(self, name: str, scope: Scope) -> list[Scope]:
        if name in scope.module.functions:
            return [Scope(scope.module, scope.module.functions[name])]
        return self._functions.get(name, [])

    @cached_property
    def _calls(self) -> dict[str, list[tuple[ast.Call, Scope]]]:
        found: dict[str, list[tuple[ast.Call, Scope]]] = {}
        for module in self._modules:
            for node, function in _nodes(module.tree, None):
                if isinstance(node, ast.Call):
                    found.setdefault(_name(node.func), []).append((node, Scope(module, function)))
        return found

    def _passed(self, function: ast.FunctionDef, name: str) -> Values:
        """Yield what the callers of a function pass as the parameter `name`."""
        names = [argument.arg for argument in function.args.args]
        names = names[1:] if names[:1] == ["self"] else names
        is_unique = _FOLLOWED.match(name) and len(self._functions.get(function.name, ())) == 1
        for call, scope in self._calls.get(function.name, ()) if is_unique else ():
            by_name = dict(zip(names, call.args, strict=False))
            by_name |= {keyword.arg or "": keyword.value for keyword in call.keywords}
            if name in by_name:
                yield by_name[name], scope

    def _results(self, scopes: Iterable[Scope]) -> Values:
        for scope in scopes:
            for value in _returns(scope.function):
                yield value, scope

    def _named(self, name: str, scope: Scope) -> Values:
        """Yield the values of a local variable, a constant or the results of a function."""
        body = scope.function.body if scope.function else []
        local = [value for target, value in _local_assignments(scope.function) if target == name]
        if local:
            yield from ((value, scope) for value in [*local, *_added(body, name)])
        elif scope.function and name in _parameter_names(scope.function):
            yield from self._passed(scope.function, name)
        elif name in scope.module.constants:
            yield scope.module.constants[name], scope._replace(function=None)
        elif name.isupper():
            for module in self._modules:
                if name in module.constants:
                    yield module.constants[name], Scope(module, None)
        else:
            yield from self._results(self._called(name, scope))

    def _items(self, node: ast.Subscript, scope: Scope, seen: Seen) -> Values:
        """Yield an item of a tuple, or the values of a dict."""
        index = node.slice.value if isinstance(node.slice, ast.Constant) else None
        for value, where in self._containers(node.value, scope, seen):
            if isinstance(value, ast.Dict):
                yield value, where
            elif isinstance(index, int) and index < len(value.elts):
                yield value.elts[index], where

    def _containers(
        self, node: ast.expr, scope: Scope, seen: Seen
    ) -> Iterator[tuple[ast.Tuple | ast.Dict, Scope]]:
        """Yield each tuple or dict that an expression can be."""
        if isinstance(node, ast.Tuple | ast.Dict):
            yield node, scope
        elif ("container", node) not in seen:
            seen.add(("container", node))
            values = self._parts(node, scope, seen)
            if isinstance(node, ast.Call):
                values = self._results(self._called(_name(node.func), scope))
            for value, where in values:
                yield from self._containers(value, where, seen)


def _nodes(
    node: ast.AST, function: ast.FunctionDef | None
) -> Iterator[tuple[ast.AST, ast.FunctionDef | None]]:
    """Yield each node below `node`, with the function that contains it."""
    for child in ast.iter_child_nodes(node):
        inside = child if isinstance(child, ast.FunctionDef) else function
        yield child, inside
        yield from _nodes(child, inside)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _constant(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "{}"


def _text(node: ast.JoinedStr) -> str:
    return "".join(map(_constant, node.values))


def _lines(node: ast.JoinedStr) -> list[list[str | ast.expr]]:
    """Return the lines of an f-string, each as its texts and its values."""
    lines: list[list[str | ast.expr]] = [[]]
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            lines[-1].append(part.value)
        else:
            first, *rest = _constant(part).split("\n")
            lines[-1].append(first)
            lines += [[text] for text in rest]
    return lines


def _commands_in(node: ast.JoinedStr) -> Iterator[ast.expr]:
    """Yield each command in a warning: an inserted value after "update them: "."""
    for before, value in pairwise(node.values):
        if isinstance(value, ast.FormattedValue) and re.search(_COMMAND_FOLLOWS, _constant(before)):
            yield value.value


def _parameter_names(function: ast.FunctionDef) -> list[str]:
    return [argument.arg for argument in [*function.args.args, *function.args.kwonlyargs]]


def _returns(function: ast.FunctionDef | None) -> Iterator[ast.expr]:
    for node in ast.walk(function) if function else ():
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) and node.value:
            yield node.value


def _hint_defaults(arguments: ast.arguments) -> Iterator[ast.expr]:
    names = [*arguments.posonlyargs, *arguments.args]
    pairs = zip(names[len(names) - len(arguments.defaults) :], arguments.defaults, strict=True)
    for argument, default in [
        *pairs,
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]:
        if default and _NAMES.match(argument.arg):
            yield default


def _parameters(node: ast.ClassDef) -> list[str] | None:
    """Return the parameters of a class, or None if it inherits them."""
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return [argument.arg for argument in statement.args.args[1:]]
    if "NamedTuple" in map(_name, node.bases):
        return [_name(item.target) for item in node.body if isinstance(item, ast.AnnAssign)]
    return None


def _assignments(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    """Yield the name and the value of each assignment, also of loops and comprehensions."""
    for node in (node for statement in body for node in ast.walk(statement)):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _bind(target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value:
            yield from _bind(node.target, node.value)
        elif isinstance(node, ast.For | ast.comprehension):
            yield from _bind(node.target, node.iter)


@cache
def _local_assignments(function: ast.FunctionDef | None) -> list[tuple[str, ast.expr]]:
    return [*_assignments(function.body)] if function else []


def _bind(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple):
        for index, element in enumerate(target.elts):
            item = ast.Subscript(value, ast.Constant(index), ast.Load())
            yield _name(element), item


def _added(body: Iterable[ast.stmt], name: str) -> Iterator[ast.expr]:
    """Yield what is added to a list with `+=`, append or extend."""
    for node in (node for statement in body for node in ast.walk(statement)):
        if isinstance(node, ast.AugAssign) and _name(node.target) == name:
            yield node.value
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("append", "extend")
            and _name(node.func.value) == name
        ):
            yield from node.args
