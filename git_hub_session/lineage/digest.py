"""The digest of all earlier attempts, for the agents of a new session.

Their commands find its path in HUB_PREVIOUS. docs/format.md describes the file.
"""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.session.agents import find_base_commit
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.session.evaluation_log import read_evaluations
from git_hub_session.system.json_file import encode_json

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.lineage.parent import Parent
    from git_hub_session.session.model import Session
    from git_hub_session.session.store import Store

# JSON escapes a byte as six bytes at most. So the digest stays smaller than the limit of readers.
_MAX_DIFF = 64 << 10
_MAX_DIFFS = 2 << 20


class _Attempt(NamedTuple):
    """The result of one attempt."""

    agent: int
    attempt: int
    commit: str
    rank: int | None = None
    """The rank in the last evaluation, or None."""
    value: float | None = None
    unit: str = ""
    delta: float | None = None
    reason: str = ""
    ratio: float | None = None
    """The ratio to the base branch on the same machine, if several machines have measured."""


def encode_digest(
    ancestors: Sequence[tuple[Parent, Session | None]], store: Store, repo: GitRepo
) -> bytes:
    """Return the digest of the sessions as JSON, the oldest session first.

    The diffs have a limit. The newest sessions and the best attempts get their diffs first.
    """
    rounds = []
    limit = _MAX_DIFFS
    for parent, session in reversed(ancestors):
        if session is not None:
            attempts, limit = _attempt_fields(session, store, repo, limit)
            rounds.append({**_round_fields(parent, session), "attempts": attempts})
    return encode_json({"rounds": rounds[::-1]})


def _round_fields(parent: Parent, session: Session) -> dict[str, Any]:
    evaluation = last_evaluation(session)
    return {
        "session_id": session.id,
        "task": session.config.task,
        "base_commit": session.base_commit or None,
        "metric": evaluation.metric or None,
        "direction": evaluation.direction or None,
        "unit": evaluation.unit or None,
        "baseline": evaluation.baseline,
        "verdict": evaluation.verdict,
        "winner": {"agent": parent.agent, "attempt": parent.attempt, "commit": parent.commit},
    }


def _attempt_fields(
    session: Session, store: Store, repo: GitRepo, limit: int
) -> tuple[list[dict[str, Any]], int]:
    """Return the fields of all attempts of a session, and the rest of `limit`, in bytes."""
    base = find_base_commit(session, repo)
    documents = []
    for attempt in _read_attempts(session, store):
        fields = attempt._asdict()
        fields |= {name: fields[name] or None for name in ("unit", "reason")}
        if base and repo.has_commit(attempt.commit):
            text, is_truncated = repo.diff_text(attempt.commit, base, min(limit, _MAX_DIFF))
            limit = max(limit - len(text.encode()), 0)
            stat = repo.diff_stat(attempt.commit, base)
            fields |= {**stat._asdict(), "diff": text, "diff_truncated": is_truncated}
        documents.append(fields)
    return documents, limit


def _read_attempts(session: Session, store: Store) -> list[_Attempt]:
    """Return all evaluated attempts of a session, the best first.

    state.json has the last evaluation. The log has the attempts that only earlier ones measured.
    """
    attempts: dict[tuple[int, int], _Attempt] = {}
    try:
        with store.open_directory(session.id) as directory:
            entries = read_evaluations(directory).entries
    except (HubError, OSError):
        entries = ()
    for entry in entries:
        if entry.commit:
            attempts[entry.agent, entry.attempt] = _Attempt(
                *(entry.agent, entry.attempt, entry.commit, None),
                *(entry.value, entry.unit, entry.delta, entry.reason),
                ratio=entry.ratio,
            )
    unit = last_evaluation(session).unit
    for result in session.results:
        attempts[result.agent, result.attempt] = _Attempt(
            *(result.agent, result.attempt, result.commit, result.rank or None),
            *(result.metric, unit, result.delta, result.reason),
            ratio=result.ratio,
        )
    return sorted(attempts.values(), key=_sort_key)


def _sort_key(attempt: _Attempt) -> tuple[bool, int, int, int]:
    return (attempt.rank is None, attempt.rank or 0, attempt.agent, attempt.attempt)
