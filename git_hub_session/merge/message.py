"""The message of a merge commit: AgentHub's words, and trailers for programs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import agent_name
from git_hub_session.merge.options import PARAGRAPH
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.util.numbers import format_values
from git_hub_session.util.text import describe_pass, escape_control

if TYPE_CHECKING:
    from git_hub_session.merge.plan import MergePlan

_TRAILER = re.compile(r"[A-Za-z0-9-]+: ")


def merge_message(plan: MergePlan, text: str | None, rounds: str, signer: str = "") -> str:
    """Return the user's message `text`, or AgentHub's message if it is None, with the trailers.

    AgentHub's message also names the `rounds`, the earlier winners, unless they are ''. A message of
    white space stays as it is, so that the merge rejects it as empty.

    Args:
        signer: the name and the address for a Signed-off-by line, or ''.
    """
    lines = [*_trailers(plan), *([f"Signed-off-by: {signer}"] if signer else [])]
    trailers = "".join(f"{line}\n" for line in lines)
    if text is None:
        return f"{_default_text(plan, rounds)}{PARAGRAPH}{trailers}"
    message = text.rstrip()
    if not message:
        return message
    # The first paragraph is the subject. Git does not look for trailers there.
    _, separator, last = message.rpartition(PARAGRAPH)
    has_trailers = separator and all(map(_TRAILER.match, last.split("\n")))
    return f"{message}\n{trailers}" if has_trailers else f"{message}{PARAGRAPH}{trailers}"


def _default_text(plan: MergePlan, rounds: str) -> str:
    """Return AgentHub's message with the first line of the task, and the earlier rounds."""
    winner = agent_name(plan.winner.agent)
    sid = plan.session.id
    task = plan.session.config.title
    text = (
        f"hub: merge {winner} from session {sid}\n\nTask: {task}\nWinner: {winner}\nSession: {sid}"
    )
    return f"{text}\nEarlier rounds: {rounds}" if rounds else text


def _trailers(plan: MergePlan) -> Iterator[str]:
    yield f"Hub-Session: {plan.session.id}"
    yield f"Hub-Agent: {plan.winner_name}"
    evaluation = last_evaluation(plan.session)
    metric, baseline = evaluation.metric, plan.baseline
    result = plan.result
    # A metric of another commit says nothing about the merged commit.
    if result is None or result.commit != plan.tip:
        return
    if result.metric is None and result.passed is not None:
        yield f"Hub-Result: {describe_pass(result.passed)}"
    if not metric or result.metric is None:
        return
    values = (result.metric,) if baseline is None else (baseline, result.metric)
    unit = f" {evaluation.unit}" if evaluation.unit else ""
    change = " -> ".join(f"{value}{unit}" for value in format_values(*values))
    yield f"Hub-Metric: {escape_control(f'{metric} {change}')}"
