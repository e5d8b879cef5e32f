"""The work of the agents: their changes, their commits, their failures and guarded paths."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import agent_name
from git_hub_session.report.tables import Column, Table, format_time, short_id
from git_hub_session.session.runs import RunState
from git_hub_session.worktree.uncommitted import uncommitted_text

if TYPE_CHECKING:
    from git_hub_session.report.facts import SessionFacts
    from git_hub_session.worktree.agent_progress import AgentProgress

_FAILED = (str(RunState.FAILED), str(RunState.TIMED_OUT), str(RunState.INTERRUPTED))


def sizes_table(facts: SessionFacts) -> Table:
    """Return the size of the changes of each attempt."""
    headers = (
        Column("Agent"),
        Column("Strategy", is_code=True, wraps=True),
        Column("Commits", is_number=True),
        Column("Files", is_number=True),
        Column("Lines added", is_number=True),
        Column("Lines deleted", is_number=True),
    )
    rows = []
    for summary in facts.attempts:
        branch, diff = summary.attempt.branch, summary.diff
        sizes = map(str, diff) if diff else ("?", "?", "?")
        strategy = summary.strategy.partition("\n")[0]
        rows.append((facts.branch_label(branch), strategy, str(summary.commit_count), *sizes))
    return Table(headers, tuple(rows)).without_empty_columns()


def commits_table(facts: SessionFacts) -> Table:
    """Return the newest commits of each attempt."""
    headers = (
        Column("Agent"),
        Column("Commit"),
        Column("Time"),
        Column("Subject", is_code=True, wraps=True),
    )
    rows = [
        (
            facts.branch_label(summary.attempt.branch),
            short_id(commit.oid),
            format_time(commit.time),
            commit.subject,
        )
        for summary in facts.attempts
        for commit in summary.commits
    ]
    return Table(headers, tuple(rows))


def failures_table(facts: SessionFacts) -> Table:
    """Return the agents whose last run failed or was interrupted, or that have uncommitted work."""
    rows = [
        (
            facts.label(agent.agent, agent.attempt),
            agent.state_text,
            agent.failure,
            _describe_uncommitted(agent),
            agent.off_branch,
        )
        for agent in facts.agents
        if agent.state in _FAILED or agent.off_branch or _describe_uncommitted(agent)
    ]
    headers = (
        Column("Agent"),
        Column("State"),
        Column("Failure", is_code=True, wraps=True),
        Column("Uncommitted"),
        Column("Remarks", is_code=True, wraps=True),
    )
    return Table(headers, tuple(rows)).without_empty_columns()


def _describe_uncommitted(agent: AgentProgress) -> str:
    last = [uncommitted_text(agent.uncommitted)] if agent.uncommitted else []
    earlier = [
        f"attempt-{attempt}: {uncommitted_text(count)}"
        for attempt, count in agent.earlier_uncommitted.items()
    ]
    return ", ".join(last + earlier)


def guarded_table(facts: SessionFacts) -> Table:
    """Return the guarded paths that the measured attempts changed."""
    rows = [(agent_name(agent.agent), path) for agent in facts.agents for path in agent.guarded]
    return Table((Column("Agent"), Column("Changed path", is_code=True, wraps=True)), tuple(rows))
