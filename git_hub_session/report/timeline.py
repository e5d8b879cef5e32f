"""The charts over time: the time line of a session, and the graph of its commits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.report.events import COMMIT, EVALUATION, POST, RUN, STATE, list_events
from git_hub_session.report.markup import Markup, element
from git_hub_session.report.svg import (
    WIDTH,
    Scale,
    box,
    chart,
    diamond,
    dot,
    label,
    line,
    series_class,
)
from git_hub_session.report.tables import format_time, short_id

if TYPE_CHECKING:
    from git_hub_session.report.events import Event
    from git_hub_session.report.facts import Graph, SessionFacts

_ROW = 26
_TOP = 46
_LEFT = 160
_MAX_ROWS = 60
_LANE = 16
_STEP = 24
_MAX_LANES = 24
_MAX_SUBJECT = 60


def time_chart(facts: SessionFacts) -> Markup:
    """Return the states of the session, and the runs, commits and posts of each attempt."""
    events = list_events(facts)
    times = [time for event in events for time in (event.at, event.end) if time is not None]
    if len({*times}) < 2:
        return Markup()
    scale = Scale(min(times), max(times), _LEFT, WIDTH - 30)
    attempts = sorted({(event.agent, event.attempt) for event in events if event.agent})[:_MAX_ROWS]
    rows = {key: _TOP + _ROW * (index + 1.5) for index, key in enumerate(attempts)}
    bottom = _TOP + _ROW * (len(rows) + 1)
    marks = [*_states(events, scale, facts), *_evaluations(events, scale, bottom)]
    for (agent, attempt), y in rows.items():
        marks.append(line(_LEFT, y, WIDTH - 30, y, "grid"))
        marks.append(label(_LEFT - 10, y + 4, facts.label(agent, attempt), anchor="end", most=22))
    for event in events:
        if (event.agent, event.attempt) in rows:
            marks += _agent_marks(event, scale, rows[event.agent, event.attempt])
    marks.append(label(_LEFT, bottom + 18, format_time(scale.low), class_="muted"))
    marks.append(
        label(WIDTH - 30, bottom + 18, format_time(scale.high), anchor="end", class_="muted")
    )
    marks += _legend(bottom + 40)
    description = (
        "The first row has the states of the session. Each other row is an attempt: a bar is its last"
        " run, a dot a commit, a diamond a post. A dashed line is an evaluation."
    )
    return chart("Time line", description, bottom + 52, *marks)


def _states(events: Sequence[Event], scale: Scale, facts: SessionFacts) -> Iterator[Markup]:
    """Yield a bar for each state from its start to the next one."""
    steps = [(event.at, event.text) for event in events if event.kind == STATE]
    y = _TOP + _ROW * 0.5
    yield label(_LEFT - 10, y + 4, "session", anchor="end")
    names = ["init", *(step.target for step in facts.history)]
    ends = [*(at for at, _ in steps), scale.high][1:]
    for index, ((at, text), end) in enumerate(zip(steps, ends, strict=True)):
        name = names[index] if len(names) == len(steps) else text
        start, width = scale.place(at), scale.place(end) - scale.place(at)
        yield box(
            start, y - 8, width, 16, class_=f"band b{index % 2}", tip=f"{name}: {format_time(at)}"
        )
        if width > 7 * len(name):
            yield label(start + 5, y + 4, name, class_="value")


def _evaluations(events: Sequence[Event], scale: Scale, bottom: float) -> Iterator[Markup]:
    last = 0.0
    for event in events:
        if event.kind == EVALUATION:
            x = scale.place(event.at)
            yield line(x, _TOP - 14, x, bottom, "baseline")
            if x - last > 60:
                last = x
                name = event.text.partition(":")[0]
                yield label(x, _TOP - 20, name, anchor="middle", class_="muted", most=14)


def _agent_marks(event: Event, scale: Scale, y: float) -> Iterator[Markup]:
    x = scale.place(event.at)
    tip = f"{format_time(event.at)} {event.text}"
    if event.kind == RUN:
        end = scale.place(event.end) if event.end is not None else scale.end
        yield box(x, y - 6, end - x, 12, class_="run", tip=tip)
    elif event.kind == COMMIT:
        yield dot(x, y, 4, "commit", tip)
    elif event.kind == POST:
        yield diamond(x, y, 5, "post", tip)


def _legend(y: float) -> list[Markup]:
    return [
        box(_LEFT, y - 9, 22, 10, class_="run"),
        label(_LEFT + 28, y, "run", class_="muted"),
        dot(_LEFT + 80, y - 4, 4, "commit"),
        label(_LEFT + 90, y, "commit", class_="muted"),
        diamond(_LEFT + 160, y - 4, 5, "post"),
        label(_LEFT + 170, y, "post", class_="muted"),
        line(_LEFT + 222, y - 10, _LEFT + 222, y + 2, "baseline"),
        label(_LEFT + 230, y, "evaluation", class_="muted"),
    ]


def graph_chart(facts: SessionFacts) -> Markup:
    """Return the graph of the commits, the newest first."""
    graph = facts.graph
    order = sort_commits(graph)
    if not order:
        return Markup()
    lanes = find_lanes(facts)
    rows = {oid: 20 + _STEP * index for index, oid in enumerate(order)}
    tips = {summary.attempt.commit: summary.attempt.branch for summary in facts.attempts}
    right = 24 + _LANE * (min(max(lanes.values()), _MAX_LANES) + 1)
    marks = list(_edges(graph, lanes, rows))
    for oid in order:
        commit, lane = graph.commits[oid], lanes[oid]
        name = facts.branch_label(tips[oid]) if oid in tips else ""
        tip = f"{short_id(oid)} {commit.subject}"
        marks.append(dot(_lane_x(lane), rows[oid], 5, _lane_class(lane), tip))
        marks.append(label(right, rows[oid] + 4, short_id(oid), class_="id"))
        x = right + 108
        if name:
            marks.append(label(x, rows[oid] + 4, name, class_=f"name {_lane_class(lane)}"))
            x += 8 * len(name) + 10
        most = max(10, min(_MAX_SUBJECT, round((WIDTH - x) / 7.2)))
        marks.append(label(x, rows[oid] + 4, commit.subject, most=most))
    description = (
        "Each row is a commit, the newest first. A line leads to its parent."
        " The first lane is the base branch, each other lane an attempt."
    )
    return chart("Commits", description, 20 + _STEP * len(order), *marks)


def sort_commits(graph: Graph) -> list[str]:
    """Return the commits, each one before its parents, and newer commits first."""
    shown = graph.commits.keys()
    children = dict.fromkeys(shown, 0)
    for oid in shown:
        for parent in graph.parents[oid]:
            if parent in children:
                children[parent] += 1
    waiting = [(-graph.commits[oid].time, oid) for oid in shown if not children[oid]]
    heapify(waiting)
    order = []
    while waiting:
        _, oid = heappop(waiting)
        order.append(oid)
        for parent in graph.parents[oid]:
            if parent in children:
                children[parent] -= 1
                if not children[parent]:
                    heappush(waiting, (-graph.commits[parent].time, parent))
    return order


def find_lanes(facts: SessionFacts) -> dict[str, int]:
    """Return the lane of each commit: 0 for the base branch, then one for each attempt."""
    graph = facts.graph
    lanes: dict[str, int] = {}
    for number, summary in enumerate(facts.attempts, 1):
        waiting = [summary.attempt.commit]
        while waiting:
            oid = waiting.pop()
            # The commits from which the attempts start have no parents here.
            if oid in graph.commits and oid not in lanes and graph.parents[oid]:
                lanes[oid] = number
                waiting += graph.parents[oid]
    return {oid: lanes.get(oid, 0) for oid in graph.commits}


def _lane_x(lane: int) -> float:
    return 16 + _LANE * min(lane, _MAX_LANES)


def _lane_class(lane: int) -> str:
    return f"dot {series_class(lane - 1)}" if lane else "dot base"


def _edges(graph: Graph, lanes: Mapping[str, int], rows: Mapping[str, float]) -> Iterator[Markup]:
    for oid, y in rows.items():
        for parent in graph.parents[oid]:
            if parent in rows:
                x1, x2, end = _lane_x(lanes[oid]), _lane_x(lanes[parent]), rows[parent]
                color = _lane_class(max(lanes[oid], lanes[parent])).removeprefix("dot ")
                # The line leaves the lane of an attempt in the last row before its parent.
                turn = end - _STEP if lanes[oid] >= lanes[parent] else y + _STEP
                points = (
                    f"M{x1:.1f} {y:.1f}L{x1 if lanes[oid] >= lanes[parent] else x2:.1f}"
                    f" {turn:.1f}L{x2:.1f} {end:.1f}"
                )
                yield element("path", d=points, class_=f"edge {color}")
