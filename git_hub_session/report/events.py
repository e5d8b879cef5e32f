"""The events of a session in the order of their time."""

from __future__ import annotations

from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.ref_names import agent_number
from git_hub_session.report.tables import Column, Table, format_time, short_id
from git_hub_session.session.attempts import earlier_attempts
from git_hub_session.session.evaluation_log import evaluation_name, group_evaluations
from git_hub_session.session.runs import read_last_run
from git_hub_session.util.clock import format_clock, parse_iso
from git_hub_session.util.json_values import as_mapping, as_number, as_text
from git_hub_session.util.numbers import MAX_COUNT
from git_hub_session.util.text import count_noun

if TYPE_CHECKING:
    from git_hub_session.report.facts import SessionFacts

STATE, RUN, COMMIT, POST, EVALUATION = "state", "run", "commit", "post", "evaluation"
_KINDS = (STATE, RUN, COMMIT, POST, EVALUATION)


class Event(NamedTuple):
    """One event. `agent` is 0 for an event of the session."""

    at: float
    """The time in seconds since the epoch."""
    kind: str
    text: str
    agent: int = 0
    attempt: int = 0
    end: float | None = None
    """The end of a run, or None."""
    by: str = ""
    """The user that caused the event, or ''."""


def list_events(facts: SessionFacts) -> list[Event]:
    """Return the recorded events, oldest first. An event without a valid time is left out."""
    found = [
        *_state_events(facts),
        *_run_events(facts),
        *_commit_events(facts),
        *_evaluation_events(facts),
        *_post_events(facts),
    ]
    return sorted(found, key=lambda event: (event.at, _KINDS.index(event.kind)))


def events_table(facts: SessionFacts) -> Table:
    """Return the time line as a table."""
    headers = (
        Column("Time"),
        Column("By", wraps=True),
        Column("Kind"),
        Column("Event", is_code=True, wraps=True),
    )
    rows = [
        (
            format_time(event.at),
            event.by or (facts.label(event.agent, event.attempt) if event.agent else ""),
            event.kind,
            event.text,
        )
        for event in list_events(facts)
    ]
    return Table(headers, tuple(rows), has_newest_last=True)


def _state_events(facts: SessionFacts) -> Iterator[Event]:
    created = parse_iso(facts.session.created)
    if created is not None:
        yield Event(created, STATE, "created")
    for step in facts.history:
        at = parse_iso(step.at)
        if at is not None:
            reason = f": {step.reason}" if step.reason else ""
            yield Event(
                at, STATE, f"{step.source} → {step.target} ({step.verb}){reason}", by=step.by
            )


def _run_events(facts: SessionFacts) -> Iterator[Event]:
    """Yield the last run of each attempt. Older versions recorded no start."""
    session = facts.session
    for name in filter(agent_number, session.agents):
        last = session.agent_record(name).attempt
        for attempt in [*earlier_attempts(session, name), last]:
            fields = as_mapping(session.attempt_fields(name, attempt).get("exec"))
            start = parse_iso(as_text(fields.get("started")))
            if start is None or not attempt:
                continue
            seconds = as_number(fields.get("seconds"))
            is_valid = seconds is not None and 0 <= seconds <= MAX_COUNT
            end = start + seconds if seconds is not None and is_valid else None
            outcome = "started"
            if end is not None:
                run = read_last_run(session, name, attempt=attempt)
                outcome = f"{run.failure or run.state} after {format_clock(end - start)}"
            text = f"{as_text(fields.get('run'))}: {outcome}"
            yield Event(start, RUN, text, agent_number(name), attempt, end)


def _commit_events(facts: SessionFacts) -> Iterator[Event]:
    for summary in facts.attempts:
        branch = summary.attempt.branch
        for commit in reversed(summary.commits):
            text = f"{short_id(commit.oid)} {commit.subject}"
            yield Event(commit.time, COMMIT, text, branch.agent, branch.attempt)


def _evaluation_events(facts: SessionFacts) -> Iterator[Event]:
    for group in group_evaluations(facts.log.entries):
        at = parse_iso(group[0].at)
        if at is not None:
            text = f"{evaluation_name(group[0])}: {count_noun(len(group), 'result')}"
            yield Event(at, EVALUATION, text, by=group[0].by)


def _post_events(facts: SessionFacts) -> Iterator[Event]:
    last = {agent.agent: agent.attempt for agent in facts.agents}
    for post in facts.posts:
        at = parse_iso(post.timestamp)
        if at is None:
            continue
        number = agent_number(post.author)
        by = "" if number else post.author
        yield Event(at, POST, f"{post.channel}/{post.id}", number, last.get(number, 1), by=by)
