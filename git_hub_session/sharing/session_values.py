"""Take the shared values out of the files of a session, or of a record of a remote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Damaged
from git_hub_session.git.ref_names import agent_number
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.session.state import State
from git_hub_session.sharing.values import (
    EVALUATION_ENTRY_KINDS,
    HISTORY_KINDS,
    MERGE_KINDS,
    PARENT_KINDS,
    canonical,
    clean,
    clean_agent,
    clean_evaluation,
    object_id,
    text,
    time,
)
from git_hub_session.system.json_file import parse_json
from git_hub_session.util.json_values import as_mapping, as_texts

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.sharing.values import Kind

BASELINE = "baseline"
"""The only key of config.yaml that a command adds later."""
CONFIG_KEYS = (
    *("session_id", "task", "agent_count", "base_branch", "created"),
    *("eval_cmd", "metric", "direction", BASELINE, "metric_regex"),
    *("guard", "require", "template", "strategies"),
)
"""The keys of config.yaml that are shared. The path of `holdout` belongs to one machine."""

EVALUATION = "evaluation"
"""The name of the entry that is not an agent."""
MERGE, MERGES = "merge", "merges"
"""The keys of the merge that counts, and of the merges of all clones."""
EVALUATIONS = "evaluations.jsonl"
"""The log of evaluations in a record."""

_MAX_HISTORY = 10_000
_MERGE_KEYS = {"agent", "attempt", "tip", "into", "commit"}


def clean_config(values: Mapping[str, str]) -> dict[str, str]:
    """Return the shared values of config.yaml."""
    return {key: values[key] for key in CONFIG_KEYS if key in values}


def clean_facts(state: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts of a session that never change, as canonical JSON."""
    kinds: dict[str, Kind] = {"created": time, "base_commit": object_id}
    kinds |= dict.fromkeys(("measured_baseline", "in_place_baseline"), text)
    facts = clean(state, kinds)
    parent = clean(state.get("parent"), PARENT_KINDS)
    if len(parent) == len(PARENT_KINDS):
        facts["parent"] = parent
    return {name: canonical(value) for name, value in facts.items() if value}


def clean_history(history: object) -> tuple[str, ...]:
    """Return the transitions of a history as canonical JSON. Skip invalid entries."""
    steps = history[:_MAX_HISTORY] if isinstance(history, list) else ()
    cleaned = (clean(step, HISTORY_KINDS) for step in steps)
    return tuple(canonical(step) for step in cleaned if step.get("to"))


def clean_evaluations(lines: Iterable[bytes]) -> tuple[str, ...]:
    """Return the lines of a log of evaluations as canonical JSON. Skip invalid lines."""
    return tuple(filter(None, map(clean_evaluation_line, lines)))


def clean_evaluation_line(line: bytes) -> str:
    """Return the canonical JSON of a line of a log of evaluations, or ''."""
    if not line.strip():
        return ""
    try:
        entry = clean(parse_json(EVALUATIONS, line), EVALUATION_ENTRY_KINDS)
    except Damaged:
        return ""
    return canonical(entry) if "agent" in entry else ""


def clean_values(state: Mapping[str, Any]) -> dict[str, str]:
    """Return the canonical JSON of the entries in a state.json, by name."""
    fields = as_mapping(state.get("agents"))
    names = [name for name in fields if 0 < agent_number(name) <= MAX_AGENTS]
    values = {name: clean_agent(fields[name]) for name in names}
    values = {name: value for name, value in values.items() if "attempt" in value}
    agents = {name: as_mapping(fields[name]) for name in names}
    results = {name: agent["result"] for name, agent in agents.items() if "result" in agent}
    evaluation = clean_evaluation(state.get(EVALUATION), results)
    if evaluation[EVALUATION]:
        values[EVALUATION] = evaluation
    return {name: canonical(value) for name, value in values.items()}


def clean_merges(state: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the canonical JSON of the merges in a state.json, or () if no clone has merged.

    A merge is recorded before it is made. Until then, it belongs to one clone.
    """
    if str(State.MERGED) not in (state.get("state"), *as_texts(state.get("endings"))):
        return ()
    others = state.get(MERGES)
    merges = [state.get(MERGE), *(others[:_MAX_HISTORY] if isinstance(others, list) else ())]
    cleaned = (clean(merge, MERGE_KINDS) for merge in merges)
    return tuple(canonical(merge) for merge in cleaned if _MERGE_KEYS <= merge.keys())
