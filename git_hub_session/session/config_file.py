"""config.yaml: text to a dict of strings, and back.

AgentHub builds the file by hand and escapes nothing, so a task with quotes, colons or
newlines makes a file that is no YAML, or worse, one in which the task forges a setting.
A file in exactly AgentHub's layout is therefore read as AgentHub meant it: the task is
what lies between `task: "` and the LAST `"` before `agent_count:`, taken literally. Any
other file is YAML whose scalars are all strings. What is neither is damaged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Damaged

if TYPE_CHECKING:
    from types import ModuleType


LIMIT = 1 << 20  # bytes

# libyaml's parser recurses in C: 30,000 brackets overflow an 8 MiB stack (pygit2.md, section 7).
_MAX_NESTING = 100

# AgentHub's layout around the two texts that it does not escape.
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
# The same in one, where those two are a line each without a quote, as nearly all are: there is
# then one way only to read it. The three above are compiled when a file is not like that.
_AGENTHUB_LAYOUT = re.compile(
    rf"""{_HEAD}(?P<task>[^"\n]*)"\n{_MIDDLE}(?:eval_cmd: "(?P<eval_cmd>[^"\n]*)"\n)?{_TAIL}"""
)

# These two are compiled when a file is first written.
# Words with one space between them; a colon or '#' that YAML would take for its own has no place.
_PLAIN = r"(?:[A-Za-z0-9_./+]|-(?=[0-9.]))(?:[A-Za-z0-9_./+@%-]|:(?! |\Z)| (?=[A-Za-z0-9_./+%-]))*"
_LITERAL_KEYS = frozenset({"task", "eval_cmd"})
_UNQUOTABLE = r'["\\\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]'


def parse_config(text: str) -> dict[str, str]:
    """The settings in a config.yaml; raises Damaged where it is neither AgentHub's layout nor YAML."""
    usual = _AGENTHUB_LAYOUT.fullmatch(text)
    if usual is not None:
        return {key: value for key, value in usual.groupdict().items() if value is not None}
    return _parse_agenthub(text) or _parse_yaml(text)


def _parse_agenthub(text: str) -> dict[str, str]:
    """The settings of a file in exactly AgentHub's layout, else {}; linear in the text's length."""
    head = re.match(_HEAD, text)
    end = text.rfind(_TASK_END)
    if head is None or end < head.end():
        return {}
    middle = re.compile(_MIDDLE).match(text, end + 2)
    if middle is None:
        return {}
    values = {"session_id": head[1], "task": text[head.end() : end], **middle.groupdict()}
    at = middle.end()
    if text.startswith(_EVAL_START, at):
        start, stop = at + len(_EVAL_START), text.rfind(_EVAL_END)
        if stop < start:
            return {}
        values["eval_cmd"] = text[start:stop]
        at = stop + len(_EVAL_END)
    if at == len(text):
        return values
    tail = re.compile(_TAIL).fullmatch(text, at)
    if tail is None:
        return {}
    return values | {key: value for key, value in tail.groupdict().items() if value is not None}


def _parse_yaml(text: str) -> dict[str, str]:
    yaml = _import_yaml()
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        depth = 0
        # The event parser keeps its own stack; what loads a document recurses.
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent):
                raise Damaged("config.yaml: an alias, where plain settings are expected")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_NESTING:
                raise Damaged("config.yaml: nested too deep")
        document = yaml.load(text, Loader=loader)
    except yaml.YAMLError as fault:
        # libyaml 0.2.6 counts the brackets ahead of the events that are counted above.
        if "nesting depth" in (getattr(fault, "problem", None) or ""):
            raise Damaged("config.yaml: nested too deep") from None
        mark = getattr(fault, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark is not None else ""
        raise Damaged(f"config.yaml: not valid YAML{line}") from None
    except (RecursionError, ValueError):
        raise Damaged("config.yaml: not valid YAML") from None
    if document is None or document == "":
        raise Damaged("config.yaml: empty")
    if not isinstance(document, dict):
        raise Damaged("config.yaml: not a mapping")
    return {
        key: value
        for key, value in document.items()
        if isinstance(key, str) and isinstance(value, str)
    }


def _import_yaml() -> ModuleType:
    import yaml  # 17 ms: a file in AgentHub's layout does not need it

    return yaml


def render_config(values: Mapping[str, str]) -> str:
    """A config.yaml that reads back as `values` (whose text is UTF-8), in their order.

    AgentHub's layout where every text is plain; else a YAML style that AgentHub's layout
    does not match, so that nothing in a task can be taken for a setting.
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
        # AgentHub's scripts take every line with a colon for a setting, also within a block.
        if ":" not in value and not value.endswith("\n"):
            return "|2-\n" + "\n".join(f"  {line}" if line else "" for line in value.split("\n"))
    return _quote_scalar(value)


def _quote_scalar(value: str) -> str:
    """A double-quoted scalar that no file in AgentHub's layout has: it carries its tag."""
    out = []
    for char in value:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif char == "\n":
            out.append("\\n")
        elif re.match(_UNQUOTABLE, char):
            out.append(f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
        else:
            out.append(char)
    return '!!str "' + "".join(out) + '"'
