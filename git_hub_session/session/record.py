"""Record transitions, agents, results and saved work in a session.

Each function returns a changed copy of the session. The caller saves it under the session's lock.
"""

from __future__ import annotations

from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Damaged, Refused
from git_hub_session.git.ref_names import AgentBranch, agent_name
from git_hub_session.session.history import (
    RESOLVE_VERB,
    Winner,
    merges_by_winner,
    next_decision,
    recorded_endings,
    recorded_merges,
)
from git_hub_session.session.model import MergeRecord, Session
from git_hub_session.session.state import State, check_transition
from git_hub_session.util.json_values import as_count, as_mapping
from git_hub_session.util.text import quote_list

if TYPE_CHECKING:
    from git_hub_session._typing import Any


def with_transition(
    session: Session, target: State, *, at: str, by: str, verb: str, reason: str = ""
) -> Session:
    """Return the session after one transition, which is added to its history.

    Raises:
        IllegalTransition: the state machine has no such step.
        Damaged: `history` in state.json is not a list.
    """
    check_transition(session.state, target)
    step = _make_step(session, target, at=at, by=by, verb=verb, reason=reason)
    history = session.document.get("history", [])
    if not isinstance(history, list):
        raise Damaged("state.json: 'history' is not a list")
    document = {
        **session.document,
        "state": str(target),
        "updated": at,
        "history": [*history, step],
    }
    return session._replace(state=target, document=document)


def with_decision(
    session: Session,
    target: State,
    *,
    at: str,
    by: str,
    reason: str,
    winner: tuple[int, int] | None = None,
) -> Session:
    """Return the session whose two endings, or different winners, are settled.

    Args:
        winner: the agent and the attempt, or 0 for its only merged attempt.

    Raises:
        Refused: no other clone has ended the session in another way. Or several clones have merged
            it, and `winner` is none of the merged attempts.
    """
    history = session.document.get("history", [])
    merges = merges_by_winner(recorded_merges(session)) if target is State.MERGED else {}
    is_open = str(target) in recorded_endings(session) or len(merges) > 1
    if not is_open or not isinstance(history, list):
        raise Refused(f"nothing to settle: session '{session.id}' was not both merged and archived")
    chosen = _choose_merged(session, sorted(merges), winner)
    decision = {
        "number": next_decision(step for step in history if isinstance(step, dict)),
        **(chosen._asdict() if chosen else {}),
    }
    step = _make_step(session, target, at=at, by=by, verb=RESOLVE_VERB, reason=reason) | decision
    document = {
        **session.document,
        "state": str(target),
        "updated": at,
        **({"merge": dict(merges[chosen])} if chosen else {}),
        "history": [*history, step],
    }
    return session._replace(state=target, document=document)


def _make_step(
    session: Session, target: State, *, at: str, by: str, verb: str, reason: str
) -> dict[str, Any]:
    """Return an entry of the history."""
    step = {"at": at, "from": str(session.state), "to": str(target), "by": by, "verb": verb}
    return {**step, **({"reason": reason} if reason else {})}


def _choose_merged(
    session: Session, winners: list[Winner], wanted: tuple[int, int] | None
) -> Winner | None:
    """Return the winner to keep. Return None if no winner is given, and clones merged only one."""
    if wanted is None and len(winners) < 2:
        return None
    names = quote_list([winner.name for winner in winners])
    if wanted is None:
        raise Refused(
            f"clones have merged different winners: {names}",
            hint=f"git hub-session update --resolve merged --winner {winners[0].name} {session.id}",
        )
    agent, attempt = wanted
    matching = [each for each in winners if each.agent == agent and attempt in (0, each.attempt)]
    if len(matching) == 1:
        return matching[0]
    name = Winner(agent, attempt).name if attempt else agent_name(agent)
    raise Refused(
        f"'{name}' is not one of several merged winners: {names}"
        if winners
        else f"nothing to settle: clones of session '{session.id}' have merged one winner"
    )


def without_change(session: Session, changed: Session, original: Session) -> Session:
    """Return the session without the change from `original` to `changed`.

    Keep what another program has changed since.
    """
    document = _without_change(session.document, changed.document, original.document)
    return session._replace(document=document)


def _without_change(
    current: Mapping[str, Any], changed: Mapping[str, Any], original: Mapping[str, Any]
) -> dict[str, Any]:
    result = dict(current)
    for key in changed:
        new, old = changed[key], original.get(key)
        if key in original and new == old:
            continue
        value = current.get(key)
        if value != new and isinstance(value, dict) and isinstance(new, dict):
            result[key] = _without_change(value, new, as_mapping(old))
        elif value == new and key in original:
            result[key] = old
        elif value == new:
            result.pop(key, None)
    return result


def with_agents(session: Session, changes: Mapping[str, Mapping[str, Any]], *, at: str) -> Session:
    """Return the session with changed agents, such as {"agent-2": {"status": "ready"}}."""
    agents = dict(as_mapping(session.document.get("agents")))
    for name, change in changes.items():
        agents[name] = {**session.agent_fields(name), **change}
    return session._replace(document={**session.document, "updated": at, "agents": agents})


def with_attempts(
    session: Session, changes: Mapping[AgentBranch, Mapping[str, Any]], *, at: str
) -> Session:
    """Return the session with changed attempts, at most one of each agent.

    The last attempt of an agent is the entry of the agent. `attempts` has the earlier ones.
    """
    agents = {}
    for branch, change in changes.items():
        name, key = agent_name(branch.agent), f"attempt-{branch.attempt}"
        fields = session.agent_fields(name)
        if branch.attempt < as_count(fields.get("attempt")):
            attempts = as_mapping(fields.get("attempts"))
            change = {"attempts": {**attempts, key: {**as_mapping(attempts.get(key)), **change}}}
        agents[name] = change
    return with_agents(session, agents, at=at)


_ATTEMPT_KEYS = ("status", "exec", "worktree")
"""The keys of an agent that describe its last attempt."""


def attempt_change(
    session: Session, branch: AgentBranch, *, status: str, worktree: str
) -> dict[str, Any]:
    """Return the changed fields of an agent whose last attempt is `branch` now.

    If the attempt is new, `attempts` keeps the status, the run and the worktree of the one before.

    Args:
        status: an AgentStatus.
        worktree: the path of the worktree of the attempt, or ''.
    """
    fields = session.agent_fields(agent_name(branch.agent))
    change: dict[str, Any] = {"status": status, "attempt": branch.attempt, "worktree": worktree}
    if fields.get("exec"):
        change["exec"] = {}
    last = as_count(fields.get("attempt"))
    if last in (0, branch.attempt):
        return change
    kept = {key: fields[key] for key in _ATTEMPT_KEYS if key in fields}
    attempts = {**as_mapping(fields.get("attempts")), f"attempt-{last}": kept}
    attempts.pop(f"attempt-{branch.attempt}", None)
    return {**change, "attempts": attempts}


def with_evaluation(
    session: Session,
    evaluation: Mapping[str, Any],
    results: Mapping[str, Mapping[str, Any]],
    *,
    at: str,
) -> Session:
    """Return the session with new results, such as {"agent-2": {"rank": 1, …}}.

    Set the result of an agent to None if the agent was only in an earlier evaluation.
    """
    previous = {
        name: {"result": None} for name in session.agents if "result" in session.agent_fields(name)
    }
    current = {name: {"result": result} for name, result in results.items()}
    evaluated = with_agents(session, {**previous, **current}, at=at)
    return evaluated._replace(document={**evaluated.document, "evaluation": dict(evaluation)})


def with_verdict(
    session: Session,
    evaluation: Mapping[str, Any],
    results: Mapping[str, Mapping[str, Any]],
    *,
    at: str,
) -> Session:
    """Return the session with the ranking of a person or a judge, and keep all measured values.

    Args:
        evaluation: the fields `at` and `base` for a session without measured values, and `verdict`.
        results: the new ranks, such as {"agent-2": {"rank": 1, …}}. Other agents lose their rank.
    """
    recorded = as_mapping(session.document.get("evaluation"))
    measured = recorded if "metric" in recorded else {}
    merged = {
        name: {"result": _with_rank(session.agent_fields(name).get("result"), results.get(name))}
        for name in dict.fromkeys((*session.agents, *results))
        if name in results or "result" in session.agent_fields(name)
    }
    ranked = with_agents(session, merged, at=at)
    verdict = {"verdict": evaluation["verdict"]}
    document = {**ranked.document, "evaluation": {**evaluation, **measured, **verdict}}
    return ranked._replace(document=document)


def _with_rank(recorded: object, result: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a recorded result with the rank of a new one, or without a rank.

    Drop the recorded values if they belong to another commit.
    """
    measured = as_mapping(recorded)
    if result is None:
        return {**measured, "rank": None, "tie": False} if _has_values(measured) else None
    if not _has_values(measured) or measured.get("commit") != result["commit"]:
        return dict(result)
    return {**measured, **{key: value for key, value in result.items() if key != "metric"}}


def _has_values(result: Mapping[str, Any]) -> bool:
    return any(result.get(key) is not None for key in ("metric", "passed")) or bool(
        result.get("reason")
    )


def with_merge(session: Session, merge: MergeRecord, *, at: str) -> Session:
    """Return the session with its winner and the merge commit."""
    return session._replace(document={**session.document, "updated": at, "merge": merge._asdict()})


def with_work(
    session: Session, work: Mapping[str, Mapping[str, str | None]], *, at: str
) -> Session:
    """Return the session with the saved changes of attempts, or `session` itself if none is new.

    Args:
        work: the rescue refs, such as {"agent-2": {"attempt-1": ref}}.
    """
    changes = {}
    for agent, refs in work.items():
        recorded = as_mapping(session.agent_fields(agent).get("work"))
        merged = {**recorded, **refs}
        if merged != recorded:
            changes[agent] = {"work": merged}
    return with_agents(session, changes, at=at) if changes else session


def with_base_commit(session: Session, commit: str) -> Session:
    """Return the session with the commit from which agents start, unless it has one."""
    if session.base_commit:
        return session
    return session._replace(document={**session.document, "base_commit": commit})


def with_rescues(session: Session, rescues: Mapping[str, list[str]], *, at: str) -> Session:
    """Return the session with rescue refs of agents, or `session` itself if none is new.

    Args:
        rescues: the rescue refs, such as {"agent-2": [ref]}.
    """
    changes = {}
    for agent, refs in rescues.items():
        saved = session.agent_fields(agent).get("rescue")
        recorded = saved if isinstance(saved, list) else []
        new = [ref for ref in refs if ref not in recorded]
        if new:
            changes[agent] = {"rescue": [*recorded, *new]}
    return with_agents(session, changes, at=at) if changes else session
