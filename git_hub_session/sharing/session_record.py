"""Turn a session of this clone into a record, and a record into a changed session."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.session.model import Config, Session
from git_hub_session.session.state import State
from git_hub_session.sharing.record import (
    Entry,
    Record,
    SharedPost,
    Stamp,
    make_record,
    stamp_attempt,
)
from git_hub_session.sharing.session_values import (
    BASELINE,
    EVALUATION,
    MERGE,
    MERGES,
    clean_config,
    clean_evaluations,
    clean_facts,
    clean_history,
    clean_merges,
    clean_values,
)
from git_hub_session.sharing.values import (
    AGENT_KINDS,
    HISTORY_KINDS,
    MERGE_KINDS,
    canonical,
    clean,
)
from git_hub_session.util.json_values import as_count, as_mapping, as_texts

if TYPE_CHECKING:
    from collections.abc import Sequence


class SessionParts(NamedTuple):
    """A session with its other files, as they are in this clone."""

    session: Session
    log: Sequence[bytes] = ()
    """The lines of the log of evaluations."""
    posts: tuple[SharedPost, ...] = ()
    previous: bytes = b""


def own_record(parts: SessionParts, known: Record | None, clone: str) -> Record:
    """Return the record of this clone. Merge it with the last record that the clone knows.

    Args:
        known: the last record of the session that this clone has written or merged, or None.
        clone: the id of this clone, for the stamps of changed entries.
    """
    document = parts.session.document
    entries = with_stamps(clean_values(document), known.entries if known else {}, clone)
    return make_record(
        config={**clean_config(parts.session.config.values), "session_id": parts.session.id},
        state=str(parts.session.state),
        endings=as_texts(document.get("endings")),
        facts=clean_facts(document),
        entries=entries,
        merges=clean_merges(document),
        history=clean_history(document.get("history")),
        evaluations=clean_evaluations(parts.log),
        posts=parts.posts,
        previous=parts.previous,
    )


def with_stamps(
    values: Mapping[str, str], known: Mapping[str, Entry], clone: str
) -> dict[str, Entry]:
    """Return the entries of this clone, with a new stamp for each one that differs.

    Args:
        values: the canonical JSON of the entries by name.
        known: the entries of the last record that this clone knows.
        clone: the id of this clone.
    """
    return {
        name: _with_stamp(Entry(Stamp(stamp_attempt(name, text), 1, clone), text), known.get(name))
        for name, text in values.items()
    }


def _with_stamp(entry: Entry, known: Entry | None) -> Entry:
    if known is None:
        return entry
    if known.text == entry.text:
        return known
    return entry._replace(stamp=entry.stamp._replace(counter=known.stamp.counter + 1))


def missing_lines(parts: SessionParts, record: Record) -> list[bytes]:
    """Return the lines of the record that the log of evaluations does not have."""
    present = {*clean_evaluations(parts.log)}
    return [f"{line}\n".encode() for line in record.evaluations if line not in present]


def merged_config(config: Config, record: Record) -> Config:
    """Return the configuration with a baseline of the record, or `config` itself."""
    if BASELINE in config.values or BASELINE not in record.config:
        return config
    return Config({**config.values, BASELINE: record.config[BASELINE]})


def with_record(session: Session, record: Record, *, at: str, busy: Container[str]) -> Session:
    """Return the session with the values of a record, or `session` itself if nothing differs.

    A fact that this clone knows is kept: a record of a remote may only add facts.

    Args:
        at: the time of the change, for `updated`.
        busy: the agents for which a command is running here. Their entries are kept.
    """
    own = clean_values(session.document)
    changed = {
        name: entry
        for name, entry in record.entries.items()
        if own.get(name) != entry.text and name not in busy
    }
    document = {
        **{name: json.loads(text) for name, text in record.facts.items()},
        **session.document,
        "state": record.state,
        **({"endings": list(record.endings)} if len(record.endings) > 1 else {}),
        "history": _merge_histories(session.document.get("history"), record.history),
    }
    document = _with_merges(_with_entries(document, changed), record)
    if canonical(document) == canonical(session.document):
        return session
    document["updated"] = at
    return session._replace(state=State(record.state), document=document)


def _merge_histories(history: object, merged: Iterable[str]) -> object:
    """Return the merged history. Keep the entries of this clone with all of their keys."""
    steps = history if isinstance(history, list) else []
    own = {canonical(clean(step, HISTORY_KINDS)): step for step in steps}
    return [own.get(text, json.loads(text)) for text in merged]


def _with_entries(document: Mapping[str, Any], entries: Mapping[str, Entry]) -> dict[str, Any]:
    agents = dict(as_mapping(document.get("agents")))
    changed = {**document, "agents": agents}
    for name, entry in entries.items():
        if name == EVALUATION:
            changed[EVALUATION] = entry.value[EVALUATION]
            _set_results(agents, entry.value["results"])
        else:
            agents[name] = _with_agent(as_mapping(agents.get(name)), entry.value)
    return changed


def _with_merges(document: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """Return state.json with the merge that counts, and with all merges if there are several."""
    changed = dict(document)
    if record.merges and canonical(clean(document.get(MERGE), MERGE_KINDS)) != record.merge:
        changed[MERGE] = json.loads(record.merge)
    if len(record.merges) > 1:
        changed[MERGES] = [json.loads(text) for text in record.merges]
    return changed


def _set_results(agents: dict[str, Any], results: Mapping[str, Any]) -> None:
    for name in {*agents, *results}:
        fields = {key: value for key, value in as_mapping(agents.get(name)).items()}
        fields.pop("result", None)
        agents[name] = {**fields, **({"result": results[name]} if name in results else {})}


def _with_agent(fields: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of an agent with shared values. Keep what belongs to this machine.

    The worktree of the last attempt here can be that of an earlier attempt now.
    """
    own = {key: item for key, item in fields.items() if key not in AGENT_KINDS}
    last = as_count(fields.get("attempt"))
    worktrees = {
        name: as_mapping(attempt).get("worktree")
        for name, attempt in as_mapping(fields.get("attempts")).items()
    }
    if last != value["attempt"]:
        worktrees[f"attempt-{last}"] = own.pop("worktree", None)
    changed = {**own, **value}
    attempts = {
        name: {**attempt, **({"worktree": worktrees[name]} if worktrees.get(name) else {})}
        for name, attempt in as_mapping(value.get("attempts")).items()
    }
    return {**changed, **({"attempts": attempts} if attempts else {})}
