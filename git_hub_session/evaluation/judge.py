"""Let a command judge the candidates: it reads them as JSON, and prints a ranking as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from shlex import quote

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.board.board import Board
from git_hub_session.board.errors import NoHub, NoSuchChannel
from git_hub_session.errors import Damaged, Refused
from git_hub_session.evaluation.result import EvalResult, RankedCandidate, Verdict
from git_hub_session.evaluation.runner import CommandResult, TargetRunner
from git_hub_session.evaluation.targets import MeasureTarget
from git_hub_session.git.ref_names import agent_name, parse_agent_name
from git_hub_session.metric.metric import parse_documents
from git_hub_session.ranking.ranking import Rank
from git_hub_session.session.agent_environment import agent_environment
from git_hub_session.session.agents import comparison_base

if TYPE_CHECKING:
    from git_hub_session.session import runs
    from git_hub_session.session.project import Project

_NAME = "judge"
_INPUT = "judge.json"
_RANKING, _VERDICT, _IMPROVES = "ranking", "verdict", "improves"
_MAX_DIFF = 256 << 10  # bytes of the diff of one candidate
_MAX_POST = 64 << 10  # characters
_MAX_VERDICT = 10_000  # characters
_MAX_QUOTE = 100
_RESULTS = "results"
"""The channel of the board with the agents' reports."""


class JudgeFailed(Refused):
    """The judge's command failed, or printed no valid ranking. Nothing was recorded."""

    code = "judge-failed"


class Judge(NamedTuple):
    """A command that ranks candidates."""

    command: str
    """A command line for sh."""
    direction: str = ""
    """The better direction of the metric, or ''."""
    tolerance: float | None = None
    """The largest difference to the best metric, as a fraction, or None for no limit.

    The judge does not rank a candidate with a larger difference.
    """
    timeout: float | None = None
    """The time limit in seconds."""


def judge_candidates(
    result: EvalResult, judge: Judge, project: Project, run: runs.Run, task_file: str
) -> EvalResult:
    """Return the result with the judge's ranking.

    Candidates without a rank, or with a reason, are not judged, and stay behind the others. If only
    one candidate is left and has a metric, the command does not run. Without a metric, only the
    command can tell if the candidate improves on the baseline.

    Args:
        task_file: the path of the file with the task.

    Raises:
        JudgeFailed: the command failed, or its ranking is not a permutation of the candidates.
    """
    judged = _select_candidates(result, judge)
    if not judged or (len(judged) == 1 and _has_metric(judged[0])):
        note = f"the judge did not run: {'only one' if judged else 'no'} agent can be ranked"
        result = result._replace(notes=(*result.notes, note))
        return result if result.metric_command else _rank_none(result, judge)
    document = _describe_candidates(result, judged, judge.direction, project)
    run.write_file(_INPUT, f"{json.dumps(document, indent=2)}\n".encode())
    base = result.session.base_commit
    environ = agent_environment(project.environ, result.session, None, base, task_file)
    target = MeasureTarget(_NAME, "", project.cwd, environ)
    runner = TargetRunner([target], run, project, jobs=1)
    answer = _run_judge(judge, target, runner, run, project)
    hint = f"read its output in {run.path}/{_NAME}.log"
    if answer.failure:
        raise JudgeFailed(f"the judge failed: {answer.failure}", hint=hint)
    agents = [ranked.candidate.branch.agent for ranked in judged]
    verdict = _parse_answer(answer.output.decode("utf-8", "replace"), agents, hint)
    return result._replace(
        candidates=_reorder(result.candidates, verdict.ranking),
        notes=(*result.notes, *runner.notes),
        verdict=verdict._replace(judge=judge.command),
    )


def _rank_none(result: EvalResult, judge: Judge) -> EvalResult:
    """Return the result with a verdict that ranks no candidate."""
    return result._replace(verdict=Verdict((), "", judge.command))


def _run_judge(
    judge: Judge, target: MeasureTarget, runner: TargetRunner, run: runs.Run, project: Project
) -> CommandResult:
    progress = project.progress("Judging", 1)
    command = f"exec <{quote(f'{run.path}/{_INPUT}')}\n{judge.command}"
    try:
        results = runner.run(command, [target], lambda: progress(1), timeout=judge.timeout)
    finally:
        runner.close()
    return results[_NAME]


def _select_candidates(result: EvalResult, judge: Judge) -> list[RankedCandidate]:
    """Return the candidates that the judge may rank, in their present order."""
    candidates = [ranked for ranked in result.candidates if _can_be_judged(ranked, result)]
    if judge.tolerance is None:
        return candidates
    measured = [
        (ranked, ranked.score.metric)
        for ranked in candidates
        if ranked.score and ranked.score.values
    ]
    best = min((value for _, value in measured), default=0.0)
    if judge.direction == "higher":
        best = max((value for _, value in measured), default=0.0)
    limit = judge.tolerance * abs(best)
    return [ranked for ranked, value in measured if abs(value - best) <= limit]


def _can_be_judged(ranked: RankedCandidate, result: EvalResult) -> bool:
    candidate = ranked.candidate
    has_rank = ranked.rank is not None or result.metric_command is None
    is_fit = candidate.is_eligible and not candidate.is_left_out and ranked.is_counted
    return has_rank and is_fit and not ranked.reason


def _has_metric(ranked: RankedCandidate) -> bool:
    return bool(ranked.score and ranked.score.values)


def _reorder(
    candidates: Sequence[RankedCandidate], ranking: Sequence[int]
) -> tuple[RankedCandidate, ...]:
    """Return the candidates in the order of the ranking, then the others in their order."""
    counted = {each.candidate.branch.agent: each for each in candidates if each.is_counted}
    first = [counted[agent]._replace(rank=Rank(agent, 1)) for agent in ranking]
    others = [
        each
        for each in candidates
        if each.candidate.branch.agent not in ranking or not each.is_counted
    ]
    return tuple(
        ranked._replace(rank=ranked.rank._replace(place=place)) if ranked.rank else ranked
        for place, ranked in enumerate((*first, *others), 1)
    )


def _describe_candidates(
    result: EvalResult, judged: Sequence[RankedCandidate], direction: str, project: Project
) -> dict[str, Any]:
    """Return the document that the judge reads."""
    session = result.session
    metric = result.metric_command.metric if result.metric_command else ""
    return {
        "session_id": session.id,
        "task": session.config.task,
        "metric": metric or None,
        "direction": direction or None,
        "unit": result.unit or None,
        "baseline": result.baseline,
        "candidates": [_candidate_fields(ranked, metric, result, project) for ranked in judged],
    }


def _candidate_fields(
    ranked: RankedCandidate, metric: str, result: EvalResult, project: Project
) -> dict[str, Any]:
    candidate = ranked.candidate
    base = comparison_base(result.session, project.repo)
    patches = project.repo.patches(candidate.commit, base)
    diff, is_truncated = _limit_patches(patches.items())
    values = ranked.score.values if ranked.score else ()
    return {
        "agent": candidate.branch.agent,
        "attempt": candidate.branch.attempt,
        "commit": candidate.commit,
        "base": base,
        "rank": ranked.rank.place if ranked.rank else None,
        "metrics": {metric or "metric": ranked.score.metric} if ranked.score and values else {},
        "values": list(values),
        "delta": ranked.delta,
        "files": [os.fsdecode(path) for path in patches],
        "diff": diff,
        "truncated": is_truncated,
        "guarded": list(candidate.guarded),
        "post": _read_post(candidate.agent, result, project),
    }


def _limit_patches(patches: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, str], bool]:
    """Return the diff of each path up to the limit, and True if a part is missing."""
    left = _MAX_DIFF
    diff = {}
    is_truncated = False
    for path, patch in patches:
        is_truncated |= len(patch) > left
        if left:
            diff[os.fsdecode(path)] = patch[:left].decode("utf-8", "replace")
        left = max(left - len(patch), 0)
    return diff, is_truncated


def _read_post(name: str, result: EvalResult, project: Project) -> str | None:
    """Return the agent's last report on the board, or None."""
    board = Board(project.paths.hub)
    try:
        post = board.find_last_post(_RESULTS, session=result.session.id, author=name)
    except (NoHub, NoSuchChannel, Damaged):
        return None
    return post.text[:_MAX_POST] if post else None


def _parse_answer(output: str, agents: Sequence[int], hint: str) -> Verdict:
    """Return the verdict in the last JSON object that has a ranking."""
    answer = None
    for document, _ in parse_documents(output):
        if isinstance(document, dict) and _RANKING in document:
            answer = document
    if answer is None:
        raise JudgeFailed("the judge printed no JSON object with a 'ranking'", hint=hint)
    given = answer[_RANKING]
    ranking = [_find_agent(item, agents) for item in given] if isinstance(given, list) else []
    if sorted(ranking) != sorted(agents):
        wanted = ", ".join(map(agent_name, sorted(agents)))
        raise JudgeFailed(
            f"the judge's ranking does not list each of {wanted} once: {_quote(given)}", hint=hint
        )
    text = answer.get(_VERDICT)
    text = "" if text is None else text
    if not isinstance(text, str):
        raise JudgeFailed(f"the judge's verdict is not a text: {_quote(text)}", hint=hint)
    improves = answer.get(_IMPROVES)
    if improves is not None and not isinstance(improves, bool):
        raise JudgeFailed(
            f"the judge's 'improves' is not true or false: {_quote(improves)}", hint=hint
        )
    text = text.strip()[:_MAX_VERDICT]
    return Verdict(tuple(ranking), text, improves=improves)


def _find_agent(item: object, agents: Sequence[int]) -> int:
    """Return the agent that `item` names, such as 2 or "agent-2", or 0."""
    if isinstance(item, str):
        return parse_agent_name(item)
    # parse_documents() reads an integer as a float.
    is_number = isinstance(item, float)
    return next((agent for agent in agents if is_number and agent == item), 0)


def _quote(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _MAX_QUOTE else f"{text[:_MAX_QUOTE]}..."
