"""Collect the project's prose as units. A unit is a text with its kind, file and line.

A unit is a docstring, an attribute docstring, a comment block or a message of a Python file, a
paragraph, a list item or a table cell of a Markdown file, or a paragraph of an mdoc manual page.
Code and quotations are replaced by "X", because a quoted text has its own style.
"""

from __future__ import annotations

import ast
import builtins
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Unit(NamedTuple):
    """A piece of prose, with its file and line."""

    kind: str
    """'docstring', 'attribute', 'comment', 'message', 'markdown' or 'mdoc'."""
    path: Path
    line: int
    text: str


class PythonFile(NamedTuple):
    """A Python file and its syntax tree."""

    path: Path
    source: str
    tree: ast.Module


def read_units(paths: Iterable[Path]) -> list[Unit]:
    """Return the units of the files, and of all files below the directories."""
    paths = [*paths]
    units = python_units(read_python_files(paths))
    for file in list_files(paths, ".md"):
        units += markdown_units(file, file.read_text(encoding="utf-8"))
    for file in list_files(paths, ".1"):
        units += mdoc_units(file, file.read_text(encoding="utf-8"))
    return units


def list_files(paths: Iterable[Path], suffix: str) -> Iterator[Path]:
    """Yield the files with the suffix, also below the directories, but no hidden files."""
    for path in paths:
        if path.is_dir():
            files = sorted(path.rglob(f"*{suffix}"))
            yield from (file for file in files if "/." not in f"/{file.relative_to(path)}")
        elif path.suffix == suffix:
            yield path


def read_python_files(paths: Iterable[Path]) -> list[PythonFile]:
    """Parse the Python files among the paths and below the directories."""
    files = []
    for path in list_files(paths, ".py"):
        source = path.read_text(encoding="utf-8")
        files.append(PythonFile(path, source, ast.parse(source)))
    return files


# --- Python ---------------------------------------------------------------------------------------


def python_units(files: Iterable[PythonFile]) -> list[Unit]:
    """Return the docstrings, attribute docstrings, comments and messages of the files."""
    files = [*files]
    errors = _error_classes(files)
    units: list[Unit] = []
    for path, source, tree in files:
        for node, text in docstrings(tree):
            units.append(Unit("docstring", path, node.body[0].lineno, _plain(text)))
        units += [Unit("attribute", path, line, _plain(text)) for line, text in attributes(tree)]
        units += [Unit("comment", path, line, _plain(text)) for line, text in _comments(source)]
        units += [Unit("message", path, line, text) for line, text in _messages(tree, errors)]
    return units


def docstrings(tree: ast.Module) -> Iterator[tuple[Documented, str]]:
    """Yield each module, class and function that has a docstring, and the docstring."""
    for node in ast.walk(tree):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield node, text


def attributes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each string below an assignment."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef):
            continue
        for index, statement in enumerate(node.body[1:]):
            if isinstance(statement, ast.Expr) and isinstance(
                node.body[index], ast.Assign | ast.AnnAssign
            ):
                for _, text in _texts(statement.value):
                    yield statement.lineno, text


# Comments that tools read.
DIRECTIVE = re.compile(r"(?:fmt|mypy|pragma|ruff|type):|noqa\b|!")
SEPARATOR = re.compile(r"[-=# ]+")


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each block of comments in one column."""
    blocks: list[tuple[int, list[str]]] = []
    end = (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            if (line, column) != end:
                blocks.append((line, []))
            end = (line + 1, column)
            text = token.string.lstrip("# ")
            if not DIRECTIVE.match(text) and not SEPARATOR.fullmatch(text):
                blocks[-1][1].append(text)
    return ((line, text) for line, texts in blocks if " " in (text := " ".join(texts)))


# Classes and decorators with texts that a user reads. Every class of errors has them too.
MESSAGE_CLASSES = {"Command", "Finding", "Option", "Problem", "Reason", "Rule", "check", "finding"}
# Methods and functions that print such a text.
MESSAGE_CALLS = {"hint", "note", "progress", "warn", "warning"}
MESSAGE_KEYWORDS = {"help", "hint", "message", "note", "summary"}


def _messages(tree: ast.Module, errors: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each message, hint, note, summary and option help."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        is_message = _is_message_call(node, errors)
        values = [*node.args] if is_message else []
        for keyword in node.keywords:
            if is_message or keyword.arg in MESSAGE_KEYWORDS:
                values.append(keyword.value)
        for value in values:
            for line, text in _texts(value):
                # A text without a space is a code or a name; "--option" is a usage.
                if " " in text.strip() and not text.startswith("-"):
                    yield line, " ".join(text.split())


def _is_message_call(call: ast.Call, errors: set[str]) -> bool:
    name = _last_name(call.func)
    if name == "__init__" and isinstance(call.func, ast.Attribute):
        return _last_name(call.func.value) == "super"  # An error class builds its own message.
    return name in errors | MESSAGE_CLASSES | MESSAGE_CALLS


def _error_classes(files: Iterable[PythonFile]) -> set[str]:
    """Return the names of Python's exceptions and of the classes that derive from them."""
    builtin = [value for value in vars(builtins).values() if isinstance(value, type)]
    errors = {value.__name__ for value in builtin if issubclass(value, BaseException)}
    nodes = [node for file in files for node in ast.walk(file.tree)]
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    known_count = 0
    while known_count < len(errors):
        known_count = len(errors)
        errors |= {
            node.name for node in classes if any(_last_name(base) in errors for base in node.bases)
        }
    return errors


def _texts(node: ast.expr) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each string that the value of an expression can contain."""
    match node:
        case ast.Constant(value=str(text)):
            yield node.lineno, text
        case ast.JoinedStr(values=parts):
            yield node.lineno, "".join(_part(part) for part in parts)
        case ast.IfExp(body=first, orelse=second) | ast.BinOp(left=first, right=second):
            yield from _texts(first)
            yield from _texts(second)
        case ast.Tuple(elts=values) | ast.List(elts=values) | ast.BoolOp(values=values):
            for value in values:
                yield from _texts(value)


def _part(part: ast.expr) -> str:
    """Return the text of a part of an f-string, and "X" for a replacement field."""
    return str(part.value) if isinstance(part, ast.Constant) else "X"


def _last_name(node: ast.expr) -> str:
    """Return "name" for the expressions name, a.name, name(...) and name[...]."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=inner) | ast.Subscript(value=inner):
            return _last_name(inner)
    return ""


# --- Markdown and mdoc ----------------------------------------------------------------------------

FENCE = re.compile(r"\s*(?:```|~~~)")
ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+")
NO_PROSE = re.compile(r"\s*(?:#{1,6} |<!--|\[[^]]+\]:|[-=*_]{3,}\s*$)")
CODE_LINE = re.compile(r" {4}|\t")
LINK = re.compile(r"!?\[([^]]*)\]\([^)]*\)")
EMPHASIS = re.compile(r"(?<!\w)[*_]{1,3}(?=\S)|(?<=\S)[*_]{1,3}(?!\w)")


class _Paragraph:
    """The lines of a paragraph that is not complete yet."""

    def __init__(self, kind: str, path: Path) -> None:
        self.kind = kind
        self.path = path
        self.start = 0
        self.texts: list[str] = []

    def add(self, line: int, text: str) -> None:
        """Append a line of text."""
        self.start = self.start if self.texts else line
        self.texts.append(text)

    def end(self) -> Iterator[Unit]:
        """Yield the paragraph if it has more than two words, and begin the next one."""
        text = " ".join(self.texts)
        self.texts = []
        if len(text.split()) > 2:
            yield Unit(self.kind, self.path, self.start, _plain(text))


def markdown_units(path: Path, source: str) -> Iterator[Unit]:
    """Yield the paragraphs, list items and table cells, but no headings and no code."""
    paragraph = _Paragraph("markdown", path)
    is_code = False
    for number, line in enumerate(source.splitlines(), start=1):
        is_fence = FENCE.match(line) is not None
        is_code ^= is_fence
        is_item = ITEM.match(line) is not None
        is_row = line.lstrip().startswith("|")
        is_blank = is_fence or is_code or not line.strip() or NO_PROSE.match(line) is not None
        if is_blank or is_item or is_row:
            yield from paragraph.end()
        if is_blank or (CODE_LINE.match(line) and not paragraph.texts and not is_item):
            continue
        for cell in re.split(r"(?<!\\)\|", line) if is_row else [ITEM.sub("", line, count=1)]:
            paragraph.add(number, EMPHASIS.sub("", LINK.sub(r"\1", cell.strip("> "))))
            if is_row:
                yield from paragraph.end()
    yield from paragraph.end()


MACRO = re.compile(r"\.([A-Z][a-z]{1,2})\b")
# Macros that begin or end a paragraph.
BLOCKS = {"Sh", "Ss", "Pp", "Bl", "El", "It", "Bd", "Ed", "Dd", "Dt", "Os", "Nd"}


def mdoc_units(path: Path, source: str) -> Iterator[Unit]:
    """Yield the paragraphs of a manual page, but no headings and no displays."""
    paragraph = _Paragraph("mdoc", path)
    is_display = False
    for number, line in enumerate(source.splitlines(), start=1):
        match = MACRO.match(line)
        macro = match[1] if match else ""
        if macro in BLOCKS:
            yield from paragraph.end()
            is_display = macro == "Bd" or (is_display and macro != "Ed")
        elif not is_display and not line.startswith('.\\"'):
            paragraph.add(number, _macro_text(line) if macro else line.replace("\\&", ""))
    yield from paragraph.end()


def _macro_text(line: str) -> str:
    """Return "X" for a macro and its arguments, with the punctuation at the end."""
    last = line.split()[-1]
    return "X" + last if last in ".,;:)" else "X"


QUOTATION = re.compile(r"(`+).+?\1|\"[^\"]*\"|“[^”]*”")


def _plain(text: str) -> str:
    """Return the text in one line, with "X" in place of code and quotations."""
    return QUOTATION.sub("X", " ".join(text.split()))
