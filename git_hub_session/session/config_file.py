"""Read and write config.yaml as a dict of strings.

AgentHub writes the file line by line and escapes nothing. A task with quotes, colons or line feeds
then makes invalid YAML, or YAML in which a part of the task looks like a setting. Therefore a file
in exactly AgentHub's layout is read literally. Its task is the text between `task: "` and the last
`"` before `agent_count:`. Every other file is read as YAML in which all scalars are strings.
A file that is neither is damaged. docs/format.md describes the layouts that are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Damaged

if TYPE_CHECKING:
    from types import ModuleType


MAX_CONFIG_BYTES = 1 << 20

# libyaml's parser recurses in C: 30,000 brackets overflow a stack of 8 MiB.
_MAX_NESTING = 100

# AgentHub's layout, in parts: the task and the eval command lie between them, not escaped.
_HEAD = r'session_id: (?P<session_id>[^\n"\']+)\ntask: "'
_TASK_END = '"\nagent_count:'
_MIDDLE = (
    r"agent_count: (?P<agent_count>-?[0-9]+)\n"
    r"""base_branch: (?P<base_branch>[^\s"'][^\s]*)\n"""
    r"""created: (?P<created>[^\n"']+)\n"""
)
_EVAL_START, _EVAL_END = 'eval_cmd: "', '"\n'
_TAIL = (
    r"""(?:metric: (?P<metric>[^\n"']+)\n)?"""
    r"""(?:direction: (?P<direction>[^\n"']+)\n)?"""
    r"""(?:baseline: (?P<baseline>[^\n"']+)\n?)?"""
)
# The whole layout with a task and an eval command of one line without quotes. Nearly all files
# match it, and a match is unambiguous. For the other files, the parts above are compiled.
_AGENTHUB_LAYOUT = re.compile(
    rf"""{_HEAD}(?P<task>[^"\n]*)"\n{_MIDDLE}(?:eval_cmd: "(?P<eval_cmd>[^"\n]*)"\n)?{_TAIL}"""
)

# The next patterns are compiled when the first file is written.
# Words with single spaces that YAML reads as plain text: no ': ', and no '#'.
_PLAIN = r"(?:[A-Za-z0-9_./+]|-(?=[0-9.]))(?:[A-Za-z0-9_./+@%-]|:(?! |\Z)| (?=[A-Za-z0-9_./+%-]))*"
_LITERAL_KEYS = frozenset({"task", "eval_cmd"})
# The keys with a value in each line.
_LIST_KEYS = frozenset({"guard", "require"})
_UNQUOTABLE = r'["\\\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]'


def parse_config(text: str) -> dict[str, str]:
    """Return the settings in config.yaml, or raise Damaged if the text is in no known layout."""
    match = _AGENTHUB_LAYOUT.fullmatch(text)
    if match is not None:
        return _matched_groups(match)
    return _parse_agenthub(text) or _parse_yaml(text)


def _matched_groups(match: re.Match[str]) -> dict[str, str]:
    return {key: value for key, value in match.groupdict().items() if value is not None}


def _parse_agenthub(text: str) -> dict[str, str]:
    """Return the settings in exactly AgentHub's layout, or {}. The time is linear in the length."""
    head = re.match(_HEAD, text)
    task_end = text.rfind(_TASK_END)
    if head is None or task_end < head.end():
        return {}
    middle = re.compile(_MIDDLE).match(text, task_end + 2)
    if middle is None:
        return {}
    task = text[head.end() : task_end]
    values = {"session_id": head[1], "task": task, **middle.groupdict()}
    position = middle.end()
    if text.startswith(_EVAL_START, position):
        start = position + len(_EVAL_START)
        eval_end = text.rfind(_EVAL_END)
        if eval_end < start:
            return {}
        values["eval_cmd"] = text[start:eval_end]
        position = eval_end + len(_EVAL_END)
    if position == len(text):
        return values
    tail = re.compile(_TAIL).fullmatch(text, position)
    return {} if tail is None else values | _matched_groups(tail)


def _parse_yaml(text: str) -> dict[str, str]:
    yaml = _import_yaml()
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        _check_events(yaml, yaml.parse(text, Loader=loader))
        document = yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise _yaml_error(error) from None
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


def _yaml_error(error: Exception) -> Damaged:
    # libyaml 0.2.6 has its own limit, and it counts brackets before `_check_events` sees them.
    if "nesting depth" in (getattr(error, "problem", None) or ""):
        return Damaged("config.yaml: nested too deeply")
    mark = getattr(error, "problem_mark", None)
    line = f" (line {mark.line + 1})" if mark is not None else ""
    return Damaged(f"config.yaml: not valid YAML{line}")


def _import_yaml() -> ModuleType:
    import yaml  # 17 ms, and a file in AgentHub's layout does not need it

    return yaml


def render_config(values: Mapping[str, str]) -> str:
    """Return a config.yaml from which parse_config() reads exactly `values`, in their order.

    Use AgentHub's layout if all texts are plain. Otherwise use a YAML style that does not match
    AgentHub's layout, so that no part of a task is read as a setting. All values must be UTF-8.
    """
    text = "".join(f"{key}: {_render_scalar(key, value)}\n" for key, value in values.items())
    if parse_config(text) != dict(values):
        text = "".join(
            f"{key}: {_quote_scalar(value) if key in _LITERAL_KEYS else _render_scalar(key, value)}\n"
            for key, value in values.items()
        )
    return text


def _render_scalar(key: str, value: str) -> str:
    if key in _LITERAL_KEYS and not re.search(_UNQUOTABLE, value):
        return f'"{value}"'
    if key not in _LITERAL_KEYS and re.fullmatch(_PLAIN, value):
        return value
    if not re.search(_UNQUOTABLE, re.sub(r'[\n"\\]', "", value)):
        if "\n" not in value:
            return "'" + value.replace("'", "''") + "'"
        # AgentHub's scripts read every line with a colon as a setting, even inside a block.
        if ":" not in value and not value.endswith("\n"):
            return "|2-\n" + "\n".join(f"  {line}" if line else "" for line in value.split("\n"))
    return _quote_scalar(value)


def _quote_scalar(value: str) -> str:
    """Return a double-quoted scalar. Its tag `!!str` does not match AgentHub's layout."""
    pieces = []
    for char in value:
        if char in '"\\':
            pieces.append("\\" + char)
        elif char == "\n":
            pieces.append("\\n")
        elif re.match(_UNQUOTABLE, char):
            code = ord(char)
            pieces.append(f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
        else:
            pieces.append(char)
    return '!!str "' + "".join(pieces) + '"'
