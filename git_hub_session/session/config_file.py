"""Read and write config.yaml as a dict of strings.

AgentHub writes the file line by line and escapes nothing. A task with quotes, colons or line feeds
then makes invalid YAML, or YAML in which a part of the task looks like a setting. Therefore a file
in AgentHub's layout is read literally. People and other programs add lines, comments and blank lines
to it, or save it with CR LF. None of them changes how the nine keys of AgentHub are read:

- The task is the text from `task: "` to the last `"` before the line `agent_count:`.
- The eval command is the text from `eval_cmd: "` to the last `"` at the end of a line, without the
  lines of other settings and comments after it.
- Each of the other seven is the rest of its line, if that contains no quote. A comment after it is
  ignored.

Spaces before and after the colon of a key do not matter, and none is needed after it. The seven keys
can be indented, unless they continue the YAML of another key. A comment can follow the last `"` of a
text.

All other lines of such a file are YAML, and so is every other file. All scalars are strings. A file
that is neither is damaged. docs/format.md describes the layouts that are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Damaged

if TYPE_CHECKING:
    from types import ModuleType


MAX_CONFIG_BYTES = 1 << 20

# libyaml's parser recurses in C: 30,000 brackets overflow a stack of 8 MiB.
_MAX_NESTING = 100

# AgentHub's layout with a task and an eval command of one line without quotes. Nearly all files match
# it, and a match is unambiguous.
_VALUE = r"""[^\n"']*[^ \n"']"""  # without a space at the end
_SIMPLE_LAYOUT = re.compile(
    rf"""session_id: (?P<session_id>{_VALUE})\ntask: "(?P<task>[^"\n]*)"\n"""
    r"""agent_count: (?P<agent_count>-?[0-9]+)\nbase_branch: (?P<base_branch>[^\s"'][^\s]*)\n"""
    rf"""created: (?P<created>{_VALUE})\n(?:eval_cmd: "(?P<eval_cmd>[^"\n]*)"\n)?"""
    rf"""(?:metric: (?P<metric>{_VALUE})\n)?(?:direction: (?P<direction>{_VALUE})\n)?"""
    rf"""(?:baseline: (?P<baseline>{_VALUE})\n?)?"""
)

# The next patterns are compiled at their first use: `list` rarely needs them.
# A task in one of the last two styles was written by `render_config` and is YAML.
_TASK = r'^task[ \t]*:[ \t]*("|\|2-$|!!str ")'
_COUNT = r"^[ \t]*agent_count[ \t]*:"
_EVAL = r'^eval_cmd[ \t]*:[ \t]*"'
_CLOSING_QUOTE = r'"[ \t]*(?:#.*)?$'
# The lines that are read literally. A value cannot start with `|` or `>`: they start a block.
_LITERAL = (
    r"""(agent_count)[ \t]*:[ \t]*(-?[0-9]+)|(base_branch)[ \t]*:[ \t]*([^\s"'|>]\S*)"""
    r"""|(session_id|created|metric|direction|baseline)[ \t]*:[ \t]*([^\s"'|>][^"']*)"""
)
_KEY = r"""["']?([A-Za-z_][\w.-]*)["']?[ \t]*:(?:\s|$)"""
_REQUIRED = {"session_id", "task", "agent_count", "base_branch", "created"}
_MAX_TRIES = 8  # a command can have lines that look like the line `agent_count:`

_LITERAL_KEYS = frozenset({"task", "eval_cmd"})
# The keys with a value in each line.
_LIST_KEYS = frozenset({"guard", "require"})
_USED_KEYS = frozenset(_SIMPLE_LAYOUT.groupindex) | _LIST_KEYS
_USED_KEYS |= {"metric_regex", "template", "strategies", "holdout"}


def parse_config(text: str) -> dict[str, str]:
    """Return the settings in config.yaml, or raise Damaged if the text is in no known layout."""
    match = _SIMPLE_LAYOUT.fullmatch(text)
    # Search one character first: it is several times as fast, and `list` reads many files.
    if match is not None and not ("\t" in text or ("#" in text and " #" in text)):
        return {key: value for key, value in match.groupdict().items() if value is not None}
    layout = _split_layout(text)
    if layout is None:
        return _parse_yaml(text)
    blocks = _parse_blocks(layout.blocks)
    return {
        key: blocks.get(key, value)
        for key, value in layout.values.items()
        if key in blocks or key not in layout.blocks
    }


class _Layout(NamedTuple):
    """The parts of a config.yaml in AgentHub's layout."""

    values: dict[str, str]
    """The literal values, and '' for each key in `blocks`, in the order of the file."""
    blocks: dict[str, list[str]]
    """The YAML of the other keys: the line of each key and the lines that continue it."""


def _split_layout(text: str) -> _Layout | None:
    """Return the parts of the file, or None if it is not in AgentHub's layout.

    The time is linear in the length of the text.
    """
    text = text.removeprefix("\ufeff")
    if text.count("\n") == text.count("\r\n"):
        text = text.replace("\r\n", "\n")
    task = re.search(_TASK, text, re.MULTILINE)
    if task is None:
        return None
    counts = re.compile(_COUNT, re.MULTILINE).finditer(text, task.end())
    for start in reversed([match.start() for match in counts][-_MAX_TRIES:]):
        layout = _split_at(text[: task.start()], text[task.start() : start - 1], text[start:])
        if layout is not None:
            return layout
    return None


def _split_at(head: str, task: str, tail: str) -> _Layout | None:
    """Return the parts of a file whose line `agent_count:` starts the text `tail`."""
    layout = _Layout({}, {})
    _add_lines(head, layout)
    opening = re.match(_TASK, task, re.MULTILINE)
    if opening and opening[1] == '"':
        start, end = opening.end(), _closing_quote(task, opening.end())
        if end < 0:
            return None
        more = task[end + 1 :].partition("\n")[2]
        layout.values["task"] = _trim_spaces(task[start:end])
        _add_lines(more, layout)
    else:
        _add_lines(task, layout)
    command = re.search(_EVAL, tail, re.MULTILINE)
    _add_lines(tail[: command.start()] if command else tail, layout)
    if command:
        parts = _split_command(tail[command.end() :])
        if parts is None:
            return None
        layout.values["eval_cmd"], more = parts
        _add_lines(more, layout)
    return layout if layout.values.keys() >= _REQUIRED else None


def _split_command(text: str) -> tuple[str, str] | None:
    """Return the eval command and the lines after it, given the text after the first quote."""
    lines = text.split("\n")
    ends = [index for index, line in enumerate(lines) if re.search(_CLOSING_QUOTE, line.rstrip())]
    if not ends:
        return None
    certain = [index for index in ends if index == 0 or not _is_setting(lines[index])]
    end = certain[-1] if certain else ends[-1]
    last = lines[end].rstrip()
    command = "\n".join([*lines[:end], last[: _closing_quote(last, 0)]])
    return _trim_spaces(command), "\n".join(lines[end + 1 :])


def _closing_quote(text: str, start: int) -> int:
    """Return the index of the quote that ends the text at `start`, or -1 if there is none.

    A quote at the end of a line, or before a comment, ends it. Prefer the last quote of the text.
    """
    end = text.rfind('"', start)
    if end >= 0 and _is_ignored(text[end + 1 :].partition("\n")[0]):
        return end
    ends = [match.start() for match in re.finditer(_CLOSING_QUOTE, text[start:], re.MULTILINE)]
    return start + ends[-1] if ends else -1


def _trim_spaces(text: str) -> str:
    """Return the text without the spaces that `_pad_quotes` adds."""
    text = text[1:] if text.startswith(' "') else text
    return text[:-1] if text.endswith('" ') else text


def _is_setting(line: str) -> bool:
    """Return True if the line is a comment or YAML that ends with a quote of its own."""
    if _is_ignored(line):
        return True
    is_yaml = _continues_block(line) or re.match(_KEY, line) is not None
    return is_yaml and line.count('"') % 2 == 0


def _is_ignored(line: str) -> bool:
    """Return True if the line is blank or a comment."""
    return not line.strip() or line.lstrip().startswith("#")


def _add_lines(text: str, layout: _Layout) -> None:
    """Add the literal values and the YAML in the lines of `text`. The last line of a key counts."""
    block: list[str] = []
    is_in_yaml = False  # AgentHub ignores spaces before a key. After a YAML key they mean a value.
    for line in text.split("\n"):
        key = re.match(_KEY, line)
        bare = line if is_in_yaml else line.lstrip(" \t")
        literal = re.fullmatch(_LITERAL, re.split("[ \t]#", bare, maxsplit=1)[0].rstrip())
        if literal:
            name, value = filter(None, literal.groups())
            layout.blocks.pop(name, None)
            layout.values[name] = value
            block, is_in_yaml = [], False
        elif key:
            layout.values[key[1]] = ""
            layout.blocks[key[1]] = block = [line]
            is_in_yaml = True
        elif _continues_block(line):
            block.append(line)
        else:
            block = []  # Neither a setting nor a part of one: ignore the line.


def _continues_block(line: str) -> bool:
    return line.startswith((" ", "\t", "- ")) or not line.strip()


def _parse_blocks(blocks: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Parse the YAML of each key alone. Raise Damaged if the YAML of a used key is invalid.

    Ignore the other keys if their YAML is invalid. Parse them at once: a file can have many.
    """
    values: dict[str, str] = {}
    unknown: list[str] = []
    for key, lines in blocks.items():
        if key in _USED_KEYS:
            values |= _parse_yaml("\n".join(lines), key)
        else:
            unknown += lines
    try:
        return (_parse_yaml("\n".join(unknown)) if unknown else {}) | values
    except Damaged:
        return values


def _parse_yaml(text: str, key: str = "") -> dict[str, str]:
    """Parse a whole file, or only the lines of `key`."""
    import yaml  # 17 ms, and a file in AgentHub's layout does not need it

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        _check_events(yaml, yaml.parse(text, Loader=loader))
        document = yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise _yaml_error(error, key) from None
    except (RecursionError, ValueError):
        raise Damaged("config.yaml: not valid YAML") from None
    if document is None or document == "":
        raise Damaged("config.yaml: empty")
    if not isinstance(document, dict):
        raise Damaged("config.yaml: not a mapping")
    values = {key: _join_list(key, value) for key, value in document.items()}
    return {
        key: value
        for key, value in values.items()
        if isinstance(key, str) and isinstance(value, str)
    }


def _join_list(key: object, value: object) -> object:
    """Return the value. Join a list of several texts to one text, with a text in each line.

    Raise Damaged if such a key has another value: a requirement must not be ignored.
    """
    if key not in _LIST_KEYS or isinstance(value, str):
        return value
    items = value if isinstance(value, list) else [value]
    texts = [item for item in items if isinstance(item, str)]
    if texts != items:
        raise Damaged(f"config.yaml: '{key}' is not a list of texts")
    return "\n".join(texts)


def _check_events(yaml: ModuleType, events: Iterable[object]) -> None:
    """Raise Damaged if the document has an alias or is nested too deeply.

    Check this before the document is loaded: the event parser keeps its own stack, but the
    loader recurses.
    """
    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise Damaged("config.yaml: aliases are not allowed")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_NESTING:
            raise Damaged("config.yaml: nested too deeply")


def _yaml_error(error: Exception, key: str) -> Damaged:
    # libyaml 0.2.6 has its own limit, and it counts brackets before `_check_events` sees them.
    if "nesting depth" in (getattr(error, "problem", None) or ""):
        return Damaged("config.yaml: nested too deeply")
    mark = getattr(error, "problem_mark", None)
    line = f" (line {mark.line + 1})" if mark is not None else ""
    return Damaged(f"config.yaml: not valid YAML{f' (key {key!r})' if key else line}")


def render_config(values: Mapping[str, str]) -> str:
    """Return a config.yaml from which parse_config() reads exactly `values`, in their order.

    Write a task and an eval command so that AgentHub's scripts read the same text, if they can. All
    values must be UTF-8.
    """
    from git_hub_session.util.yaml_text import quote_scalar

    text = "".join(f"{key}: {_render_value(key, value)}\n" for key, value in values.items())
    if not _has_settings(text, values):
        text = "".join(
            f"{key}: {quote_scalar(value) if key in _LITERAL_KEYS else _render_value(key, value)}\n"
            for key, value in values.items()
        )
    return text


def append_setting(text: str, key: str, value: str) -> str:
    """Return the text of a config.yaml with one more setting, which must not be there yet.

    Keep all other lines: a user or another program may have written them.
    """
    expected = {**parse_config(text), key: value}
    line_end = "\r\n" if "\r\n" in text else "\n"
    start = text if text.endswith("\n") else f"{text}{line_end}"
    added = f"{start}{key}: {_render_value(key, value)}{line_end}"
    return added if _has_settings(added, expected) else render_config(expected)


def _has_settings(text: str, values: Mapping[str, str]) -> bool:
    """Return True if parse_config() reads exactly `values`."""
    try:
        return parse_config(text) == dict(values)
    except Damaged:
        return False


def _render_value(key: str, value: str) -> str:
    # Most commands write no config.yaml.
    from git_hub_session.util.yaml_text import render_literal, render_scalar

    return render_literal(value) if key in _LITERAL_KEYS else render_scalar(value)
