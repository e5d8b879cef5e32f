"""Choose the commit and the settings of a session that has a parent."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Refused, WrongState
from git_hub_session.git.ref_names import HEADS, agent_name
from git_hub_session.lineage.digest import encode_digest
from git_hub_session.lineage.parent import Parent, find_ancestors, parent_state, read_parent
from git_hub_session.merge.options import MergeOptions
from git_hub_session.merge.winner import NoImprovement, choose_winner, moves_since_evaluation
from git_hub_session.session.baseline import baseline_state, last_evaluation
from git_hub_session.session.create import ParentData
from git_hub_session.session.state import FINISHED, NEW_SESSION_HINT, State
from git_hub_session.worktree.reattach import refuse_other_branches
from git_hub_session.worktree.uncommitted import has_own_commit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import Store

_OWN_KEYS = ("session_id", "created", "baseline")


class NextSession(NamedTuple):
    """The winner of a session, and the settings of the session that continues it."""

    parent: Parent
    values: Mapping[str, str]
    """The values of config.yaml that the next session inherits."""
    baseline: str
    """The metric of the winner with its unit, or '' without a metric."""


def choose_next_session(session: Session, project: Project) -> NextSession:
    """Return the winner and the settings of a session. Change nothing.

    Raises:
        Refused: the session is not evaluated, an agent is not on its branch, or a branch moved since
            the evaluation.
        NoImprovement: the winner is not better than the baseline.
    """
    _refuse_state(session)
    refuse_other_branches(session, project)
    sid = session.id
    try:
        winner, result = choose_winner(session, project.repo, MergeOptions())
    except Refused as error:
        if error.hint.startswith("git hub-session merge "):  # the user wants a session, not a merge
            error.hint = f"git hub-session eval {sid}"
        raise
    assert result is not None
    name = agent_name(winner.agent)
    into = HEADS + session.config.base_branch
    moves = [*moves_since_evaluation(session, project.repo, winner, result, into=into)]
    if moves:
        raise Refused(moves[0], hint=f"git hub-session eval {sid}")
    if not has_own_commit(result.commit, session, project.repo, winner):
        raise Refused(f"{name} has no commit of its own", hint=f"git hub-session eval {sid}")
    evaluation = last_evaluation(session)
    if evaluation.is_regression(result):
        raise NoImprovement(
            f"no agent of session '{sid}' improves on the baseline",
            hint=f"git hub-session archive {sid}",
        )
    values = {key: text for key, text in session.config.values.items() if key not in _OWN_KEYS}
    has_metric = bool(evaluation.metric) and result.metric is not None and not evaluation.by_ratio
    baseline = f"{result.metric:.12g} {evaluation.unit}".rstrip() if has_metric else ""
    parent = Parent(sid, winner.agent, winner.attempt, result.commit)
    return NextSession(parent, values, baseline)


def improves_on_baseline(session: Session, project: Project) -> bool:
    """Return False if the winner of a session is not better than the baseline.

    Without a winner or a baseline, return True: the next step reports what is missing.
    """
    try:
        choose_next_session(session, project)
    except NoImprovement:
        return False
    except Refused:
        return True
    return True


def is_final(session: Session) -> bool:
    """Return True if no later session can improve on the winner.

    Without a metric, no result is better than a pass. A judge can prefer one passing agent to
    another, so its ranking is never final.
    """
    evaluation = last_evaluation(session)
    has_passed = any(result.passed for result in session.ranking)
    return has_passed and not evaluation.metric and evaluation.verdict is None


def is_compared_with_parent(session: Session, store: Store) -> bool:
    """Return True if the baseline of a session is its parent.

    The baseline was measured, has the value of the parent's winner, or is the start that a judge has
    compared with. Another number or another metric says nothing about the parent.
    """
    parent = read_parent(session)
    if parent is None:
        return False
    evaluation = last_evaluation(session)
    if evaluation.has_no_improvement or evaluation.has_measured_baseline:
        return True
    earlier = store.read(parent.session_id)
    earlier_evaluation = last_evaluation(earlier)
    keys = (evaluation.metric, evaluation.unit)
    return keys == (earlier_evaluation.metric, earlier_evaluation.unit) and any(
        result.metric is not None and float(f"{result.metric:.12g}") == evaluation.baseline
        for result in earlier.results
        if (result.agent, result.attempt) == (parent.agent, parent.attempt)
    )


def is_only_baseline_measured(session: Session, project: Project) -> bool:
    """Return True if the last evaluation measured the baseline, but no agent.

    Return False if the commits of an agent are not on its branch: they may improve.
    """
    try:
        refuse_other_branches(session, project)
    except Refused:
        return False
    has_baseline = last_evaluation(session).has_measured_baseline
    return has_baseline and all(result.reason for result in session.ranking)


def prepare_parent_data(session: Session, chosen: NextSession, project: Project) -> ParentData:
    """Return the state and the digest of a new session that starts from the winner.

    Args:
        session: the session of the winner.
    """
    parent = chosen.parent
    state = parent_state(parent)
    if chosen.baseline:
        state |= baseline_state(chosen.baseline, in_place=last_evaluation(session).in_place)
    ancestors = [*find_ancestors(session, project.store.read), (parent, session)]
    digest = encode_digest(ancestors, project.store, project.repo)
    return ParentData(session.id, state, digest)


def _refuse_state(session: Session) -> None:
    sid, state = session.id, session.state
    if state is State.EVALUATING:
        return
    verb = "spawn" if state is State.INIT else "eval"
    raise WrongState(
        f"session '{sid}' is '{state}': no session can start from its winner",
        hint=NEW_SESSION_HINT if state in FINISHED else f"git hub-session {verb} {sid}",
    )
