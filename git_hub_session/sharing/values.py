"""The values of state.json that leave a clone, and their types.

A record is hostile input, and a clone has values that must not leave it: paths of worktrees, the
settings of git, the progress of a running command. Therefore each key is listed here with its type.
A key that is not listed, and a value of another type, are left out in both directions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import agent_number, is_object_id
from git_hub_session.session.state import AgentStatus, State
from git_hub_session.util.json_values import as_mapping, as_number
from git_hub_session.util.machine import MAX_TEXT as MAX_MACHINE_TEXT
from git_hub_session.util.numbers import MAX_COUNT

if TYPE_CHECKING:
    from git_hub_session._typing import Any

    Kind = Callable[[object], Any]
    """A function that returns a value of its type, or INVALID."""

INVALID = object()
"""The value of a key that is left out."""

MAX_TEXT = 1 << 16  # characters
_MAX_ITEMS = 1000
_ATTEMPT = r"attempt-[1-9][0-9]{0,8}"
_RUN = r"(exec|eval)-[1-9][0-9]{0,8}"
_TIME = r"[0-9T:.+Z-]{1,40}"
_PART = r"|[0-9a-f]{16}"
# An absolute path, of which only the last name stays: `/home/ada/x/agent-1` becomes `agent-1`.
_DIRECTORIES = r"(?<![\w./:-])(?:[A-Za-z]:[/\\]+|~?/+|file:/+)(?=\S)(?:[^\s'\"/\\]+[/\\]+)*"

LASTING = (AgentStatus.READY, AgentStatus.DONE, AgentStatus.FAILED)
"""The statuses of agents that are true on every machine."""


def canonical(value: object) -> str:
    """Return the one JSON text of a value: two values are equal if their texts are."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def without_paths(text: str) -> str:
    """Return the text with the last name of each absolute path in its place."""
    shorter = re.sub(_DIRECTORIES, "", text)
    while shorter != text:
        text, shorter = shorter, re.sub(_DIRECTORIES, "", shorter)
    return shorter


def clean(fields: object, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """Return the valid values of the keys in `kinds`."""
    mapping = as_mapping(fields)
    values = {key: kind(mapping[key]) for key, kind in kinds.items() if key in mapping}
    return {key: value for key, value in values.items() if value is not INVALID}


def text(value: object) -> Any:
    """Accept a text that a person has written."""
    return value if isinstance(value, str) and len(value) <= MAX_TEXT else INVALID


def _pathless_text(value: object) -> Any:
    """Accept a text of this program, without the directories in it."""
    return without_paths(value) if isinstance(value, str) and len(value) <= MAX_TEXT else INVALID


def _optional_text(value: object) -> Any:
    return None if value is None else text(value)


def time(value: object) -> Any:
    """Accept a time in ISO 8601. It is only shown: no decision depends on it."""
    return _match(value, _TIME)


def object_id(value: object) -> Any:
    return value if isinstance(value, str) and is_object_id(value) else INVALID


def _optional_object_id(value: object) -> Any:
    return value if value == "" else object_id(value)


def _run(value: object) -> Any:
    return _match(value, _RUN)


def _match(value: object, pattern: str) -> Any:
    return value if isinstance(value, str) and re.fullmatch(pattern, value) else INVALID


def number(value: object) -> Any:
    """Accept a finite number that is not too large, or null."""
    return value if value is None or as_number(value) is not None else INVALID


def count(value: object) -> Any:
    """Accept an integer that is not too large, or null."""
    is_count = type(value) is int and abs(value) <= MAX_COUNT
    return value if value is None or is_count else INVALID


def _attempt_number(value: object) -> Any:
    return value if type(value) is int and 0 < value <= MAX_COUNT else INVALID


def flag(value: object) -> Any:
    return value if value is None or isinstance(value, bool) else INVALID


def _list_of(kind: Kind) -> Kind:
    """Return the type of a list with at most _MAX_ITEMS values. The invalid values are left out."""

    def clean_list(value: object) -> Any:
        if not isinstance(value, list):
            return INVALID
        return [item for item in map(kind, value[:_MAX_ITEMS]) if item is not INVALID]

    return clean_list


def _mapping_of(pattern: str, kind: Kind) -> Kind:
    """Return the type of an object whose keys match a pattern."""

    def clean_mapping(value: object) -> Any:
        keys = [key for key in as_mapping(value) if re.fullmatch(pattern, key)]
        return clean(value, dict.fromkeys(keys[:_MAX_ITEMS], kind))

    return clean_mapping


def _object_of(kinds: Mapping[str, Kind]) -> Kind:
    def clean_object(value: object) -> Any:
        return clean(value, kinds) if isinstance(value, dict) else INVALID

    return clean_object


def _relative_path(value: object) -> Any:
    """Accept a path below the top of a repository."""
    is_relative = isinstance(value, str) and without_paths(value) == value
    return text(value) if is_relative and ".." not in str(value).split("/") else INVALID


def _lasting_status(value: object) -> Any:
    """Accept a status that is true on every machine. Another one is that of a running command."""
    return value if value in LASTING else str(AgentStatus.READY)


def _state(value: object) -> Any:
    return value if is_state(value) else INVALID


def is_state(value: object) -> bool:
    """Return True if a value of a JSON file is the name of a state."""
    return isinstance(value, str) and value in {str(state) for state in State}


_EXEC = {
    "run": _run,
    "exit_code": count,
    "seconds": number,
    "commits": count,
    "cut_off": _pathless_text,
    "started": time,
    "time_limit": number,
    "tries": count,
    "commit": object_id,
    "not_committed": _pathless_text,
}
_ATTEMPT_KINDS: dict[str, Kind] = {"status": _lasting_status, "exec": _object_of(_EXEC)}
AGENT_KINDS: dict[str, Kind] = {
    **_ATTEMPT_KINDS,
    "attempt": _attempt_number,
    "attempts": _mapping_of(_ATTEMPT, _object_of(_ATTEMPT_KINDS)),
    "starts": _mapping_of(_ATTEMPT, object_id),
}
"""The shared keys of an agent, without its result."""


def _short_text(value: object) -> Any:
    """Accept a text of another machine about itself."""
    return value if isinstance(value, str) and len(value) <= MAX_MACHINE_TEXT else INVALID


_MACHINE = _object_of(
    {"host": _short_text, "processor": _short_text, "cpus": count, "load": number}
)

_VERDICT = {
    "at": time,
    "by": text,
    "ranking": _list_of(text),
    "text": text,
    "judge": _pathless_text,
    "improves": flag,
}
EVALUATION_KINDS: dict[str, Kind] = {
    "at": time,
    "base": _optional_object_id,
    "run": _run,
    "command": _pathless_text,
    "metric": _optional_text,
    "metric_regex": text,
    "direction": _optional_text,
    "baseline": number,
    "baseline_failure": _pathless_text,
    "baseline_spread": number,
    "in_place": flag,
    "by_ratio": flag,
    "unit": text,
    "time_limit": number,
    "guard": _list_of(_relative_path),
    "require": _list_of(text),
    "holdout": _object_of({"paths": _list_of(_relative_path), "sha256": text}),
    "verdict": _object_of(_VERDICT),
}
RESULT_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("rank", "attempt", "last_attempt", "files", "insertions", "deletions"), count),
    **dict.fromkeys(("metric", "spread", "delta", "margin", "baseline", "ratio"), number),
    "commit": object_id,
    "tree": _optional_object_id,
    "tie": flag,
    "passed": flag,
    "reason": _pathless_text,
    **dict.fromkeys(("values", "base_values"), _list_of(number)),
    "machine": _MACHINE,
    "guarded": _list_of(_relative_path),
}
MERGE_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("agent", "attempt"), _attempt_number),
    **dict.fromkeys(("tip", "commit"), object_id),
    "base": _optional_object_id,
    "into": text,
    "kind": text,
}
PARENT_KINDS: dict[str, Kind] = {
    "session_id": text,
    **dict.fromkeys(("agent", "attempt"), _attempt_number),
    "commit": object_id,
}
HISTORY_KINDS: dict[str, Kind] = {
    "at": time,
    "from": _state,
    "to": _state,
    "by": text,
    "verb": text,
    "reason": text,
    **dict.fromkeys(("number", "agent", "attempt"), _attempt_number),
}
EVALUATION_ENTRY_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("at",), time),
    **dict.fromkeys(("by", "metric", "unit", "verdict"), text),
    "run": lambda value: value if value == "" else _run(value),
    **dict.fromkeys(("agent", "attempt"), _attempt_number),
    **dict.fromkeys(("commit", "tree", "base"), _optional_object_id),
    **dict.fromkeys(("value", "baseline", "delta", "ratio"), number),
    **dict.fromkeys(("values", "base_values"), _list_of(number)),
    "machine": _MACHINE,
    "part_of": lambda value: _match(value, _PART),
    "rank": count,
    **dict.fromkeys(("tie", "passed", "improves"), flag),
    **dict.fromkeys(("reason", "judge", "base_reason"), _pathless_text),
}


def clean_agent(fields: object) -> dict[str, Any]:
    """Return the shared values of an agent. A running command does not leave its machine."""
    agent = clean(fields, AGENT_KINDS)
    if as_mapping(fields).get("status") not in LASTING:
        agent.pop("exec", None)
    return agent


def clean_evaluation(evaluation: object, results: Mapping[str, object]) -> dict[str, Any]:
    """Return an evaluation with the results of its agents, which belong together."""
    names = {name: result for name, result in results.items() if agent_number(name)}
    cleaned = {
        name: None if result is None else clean(result, RESULT_KINDS)
        for name, result in sorted(names.items())
    }
    return {"evaluation": clean(evaluation, EVALUATION_KINDS), "results": cleaned}
