"""The live view with Textual, driven by its pilot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from textual.pilot import Pilot
from textual.widgets import Log

from git_hub_session.watch.facts import Snapshot, WatchedAgent, WatchedSession
from git_hub_session.watch.log_screen import LogScreen
from git_hub_session.watch.screen import Actions, Help, LiveView
from git_hub_session.watch.table import AgentTable
from tests.support.watched import HOSTILE, NOW, SNAPSHOT, agent, style

Test = Callable[[LiveView, "Pilot[None]"], Awaitable[None]]


class Fake:
    """The repository of a live view: the snapshots that it returns, and the commands that ran."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self.snapshots = [*snapshots]
        self.commands: list[Sequence[str]] = []
        self.log = ["line 1", "line 2"]

    def collect(self) -> Snapshot:
        return self.snapshots.pop(0) if len(self.snapshots) > 1 else self.snapshots[0]

    def read_log(self, session: WatchedSession, agent: WatchedAgent) -> list[str]:
        return [f"{session.session_id} {agent.progress.name}", *self.log]

    def run(self, words: Sequence[str]) -> None:
        self.commands.append(words)

    def view(self) -> LiveView:
        actions = Actions(self.collect, self.read_log, self.run, lambda: False)
        return HeadlessView(actions, style(80), 3600.0)


class HeadlessView(LiveView):
    """A view without a terminal that another program could get."""

    @contextmanager
    def suspend(self) -> Iterator[None]:
        yield


def drive(fake: Fake, test: Test, size: tuple[int, int] = (80, 24)) -> None:
    """Run the view in a terminal of this size, and call `test` after the first refresh."""

    async def run() -> None:
        view = fake.view()
        async with view.run_test(size=size, notifications=True) as pilot:
            await settle(view, pilot)
            await test(view, pilot)
        assert view.bug is None

    asyncio.run(run())


async def settle(view: LiveView, pilot: Pilot[None]) -> None:
    """Wait until the facts are read and shown."""
    await view.workers.wait_for_complete()
    await pilot.pause()


def lines(view: LiveView) -> list[str]:
    """Return the text on the screen without empty lines at the end."""
    strips = view.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips).rstrip().split("\n")


def test_the_screen() -> None:
    async def check(view: LiveView, pilot: Pilot[None]) -> None:
        assert lines(view)[:6] == [
            "1 session, 3 agents, 2 need you  sorted by need",
            "AGENT            STATE         NEXT    FILES  RANK  METRIC  OUTPUT",
            "20260317-143022  running 2/3                                Make the 世界 fast",
            "  agent-3        failed (3)    look                         error: no",
            "  agent-1        done          commit      3     1  141     tests passed",
            "  agent-2        running 1:15                               compiling 世界",
        ]
        assert lines(view)[-3:] == [
            "20260317-143022",
            "Make the 世界 fast",
            "d diff  l log  s shell  / filter  o sort  ? help  q quit",
        ]
        await pilot.press("down", "j")
        assert lines(view)[-7:-1] == [
            "20260317-143022 agent-1: done",
            "remarks: 3 files uncommitted, not measured",
            "commit: 5 minutes: Use a cache",
            "post: 60 seconds: results: p50 is 141",
            "| first",
            "| tests passed",
        ]

    drive(Fake(SNAPSHOT), check)


def test_keys_for_an_agent() -> None:
    """A session has no diff, no log and no shell. A message says so."""
    fake = Fake(SNAPSHOT)

    async def check(view: LiveView, pilot: Pilot[None]) -> None:
        await pilot.press("d", "s", "l")
        await settle(view, pilot)
        assert fake.commands == []
        assert "\n".join(lines(view)).count("Select an agent first.") == 3
        await pilot.press("end", "d", "home", "down", "s")
        assert fake.commands == [
            ("diff", "20260317-143022", "agent-2"),
            ("shell", "20260317-143022", "agent-3"),
        ]

    drive(fake, check)


def test_the_log_is_followed() -> None:
    fake = Fake(SNAPSHOT)

    async def check(view: LiveView, pilot: Pilot[None]) -> None:
        await pilot.press("down", "l")
        await pilot.pause()
        log = view.screen.query_one(Log)
        assert [*log.lines][:3] == ["20260317-143022 agent-3", "line 1", "line 2"]
        fake.log = [HOSTILE.encode("unicode_escape").decode()]
        assert isinstance(view.screen, LogScreen)
        view.screen.action_update()
        await pilot.pause()
        assert log.lines[1] == fake.log[0]
        await pilot.press("escape")
        assert lines(view)[1].startswith("AGENT")

    drive(fake, check)


def test_filter_and_order() -> None:
    async def check(view: LiveView, pilot: Pilot[None]) -> None:
        await pilot.press("/", *"agent-1q", "backspace")
        await pilot.pause()
        assert lines(view)[0] == "1 session, 1 agent, 1 needs you  sorted by need  filter: agent-1"
        assert lines(view)[-1] == "filter: agent-1_"
        await pilot.press("enter", "o")
        await pilot.pause()
        assert lines(view)[0] == "1 session, 1 agent, 1 needs you  sorted by name  filter: agent-1"
        await pilot.press("escape")
        await pilot.pause()
        assert [line.split()[0] for line in lines(view)[3:6]] == ["agent-1", "agent-2", "agent-3"]
        await pilot.press("/", "x", "escape")
        await pilot.pause()
        assert lines(view)[0] == "1 session, 3 agents, 2 need you  sorted by name"

    drive(Fake(SNAPSHOT), check)


def test_the_selected_agent_stays_selected() -> None:
    """Also if its row moves. If the agent disappears, another row is selected."""
    [session] = SNAPSHOT.sessions
    fixed = session._replace(agents=tuple(agent(number, "done") for number in (1, 2, 3)))
    shorter = session._replace(agents=(agent(1, "done"),))
    snapshots = [SNAPSHOT, Snapshot(NOW, (fixed,)), Snapshot(NOW, (shorter,)), Snapshot(NOW)]

    async def check(view: LiveView, pilot: Pilot[None]) -> None:
        table = view.query_one(AgentTable)
        await pilot.press("down")
        selected = []
        for _ in snapshots:
            selected.append(table.selected)
            await pilot.press("r")
            await settle(view, pilot)
        sid = session.session_id
        assert selected == [(sid, 3), (sid, 3), (sid, 1), None]
        await pilot.press("down", "d")
        assert lines(view)[0] == "0 sessions, 0 agents, none needs you  sorted by need"

    drive(Fake(*snapshots), check)


MANY = Snapshot(
    NOW,
    (
        WatchedSession(
            "s1",
            "running",
            "Many",
            tuple(agent(number, "running", output=(f"line {number}",)) for number in range(1, 201)),
        ),
    ),
)


@pytest.mark.parametrize("size", [(40, 24), (80, 24), (160, 50), (20, 5), (1, 1)])
def test_sizes(size: tuple[int, int]) -> None:
    async def check(view: LiveView, pilot: Pilot[None]) -> None:
        for key in ("end", "pageup", "pagedown", "home", "question_mark"):
            await pilot.press(key)
            await pilot.pause()
            assert len(lines(view)) <= size[1]
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert isinstance(view.screen, Help)
        await pilot.press("escape", "end")
        await pilot.pause()
        assert "  agent-200  running        line 200" in lines(view)
        await pilot.resize_terminal(*size)
        await pilot.pause()

    drive(Fake(MANY), check, size)


def test_hostile_texts_stay_text() -> None:
    """No text is markup, and no character controls the terminal."""
    texts = agent(1, "failed", failure=HOSTILE, off_branch=HOSTILE, subject=HOSTILE, commit_time=1)
    hostile = WatchedSession("s1", "running", "[bold]title[/bold", agents=(texts,))

    async def check(view: LiveView, pilot: Pilot[None]) -> None:
        await pilot.press("down", "/", "[", "escape")
        await pilot.pause()
        text = "".join(lines(view))
        assert text.isprintable()
        assert "[bold]title[/bold" in text
        assert r"\x1b[2J" in text

    drive(Fake(Snapshot(NOW, (hostile,))), check, (200, 30))


def test_an_error_is_shown() -> None:
    async def check(view: LiveView, pilot: Pilot[None]) -> None:
        assert lines(view)[0] == r"error: no \x1b repository  sorted by need"

    drive(Fake(Snapshot(NOW, error="no \x1b repository")), check)


def test_a_bug_ends_the_view() -> None:
    fake = Fake(SNAPSHOT)

    def fail() -> Snapshot:
        raise ZeroDivisionError

    async def run() -> LiveView:
        actions = Actions(fail, fake.read_log, fake.run, lambda: False)
        view = LiveView(actions, style(80), 3600.0)
        async with view.run_test() as pilot:
            await pilot.pause()
        return view

    assert isinstance(asyncio.run(run()).bug, ZeroDivisionError)
