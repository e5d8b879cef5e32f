"""The pictures of the documents: a session in a terminal, the live view, the report (`make pictures`).

The script plays the tournament of docs/tutorial.md with the real program. It replaces the clock, the
time that the benchmark prints, and the duration of the agents, so that two runs draw the same.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen
from tempfile import TemporaryDirectory

from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.text import Text

from git_hub_session.session.project import Project
from git_hub_session.watch.collect import Collector
from git_hub_session.watch.facts import Snapshot, WatchedAgent
from git_hub_session.watch.screen import Actions, LiveView
from tests.support.browser import CHROMIUM, run_browser
from tests.support.hub import CHECKOUT, NOW, Hub, sealed_environment, wait_for
from tests.support.terminal import run_in_terminal
from tests.support.tutorial import create_tutorial_project, tutorial_steps
from tests.support.watched import style

PICTURES = CHECKOUT / "docs" / "pictures"
SESSION, WATCH, REPORT = "session.svg", "watch.svg", "report.png"
_COLUMNS, _ROWS = 100, 30
_LIVE_ROWS = 19
_PAGE = "820,845"
"""The size of the browser: the part of the report up to the ranking."""

# Each run of the benchmark prints the next of five values. A file counts the runs.
_TIMES = """\
case $(cat words.py) in
*Counter*) name=counter values='1.21 1.08 1.06 1.11 0.98' ;;
*set*) name=set values='148.31 160.40 181.92 155.27 164.73' ;;
*) name=list values='536.26 520.49 531.70 548.15 539.92' ;;
esac
printf x >>"$HOME/$name"
number=$(($(wc -c <"$HOME/$name") % 5 + 1))
ms=$(echo $values | cut -d ' ' -f $number)"""

_EARLIER_AGENTS = """\
case $HUB_AGENT in
agent-1) echo '# Counter' >>words.py ;;
agent-2) echo '# set' >>words.py ;;
esac
echo 'tests passed'
"""

# One agent has posted, one works, one has failed.
_LIVE_AGENTS = """\
case $HUB_AGENT in
agent-1)
    echo 'from collections import Counter' >words.py
    git commit -q -a -m 'Count with a dictionary'
    git hub-session board post -q results -m '1.1 ms, and the tests pass'
    echo 'ran 12 tests'
    echo 'tests passed' ;;
agent-2)
    echo '# one pass' >>words.py
    echo 'running tests'
    sleep 600 ;;
agent-3)
    echo 'AssertionError'
    exit 1 ;;
esac
"""


def _run(hub: Hub, command: str, *words: str | Path) -> None:
    result = hub.run(command, "-q", *words)
    assert result.code == 0, result


# --- A session in a terminal ----------------------------------------------------------------------


def play_session(hub: Hub) -> list[tuple[str, str]]:
    """Type the commands of the tutorial up to the merge. Return each with its output."""
    played = []
    file = hub.top.parent / "step"
    for step, (command, _) in enumerate(tutorial_steps()):
        file.write_text(command)
        output = run_in_terminal(
            hub, str(file), program="sh", columns=_COLUMNS, rows=_ROWS, environ=_clock(60 * step)
        )
        played.append((command, re.sub(r"\b\d+\.\ds\b", "0.1s", output)))
        if " merge " in command:
            return played
    raise AssertionError("the tutorial has no merge")


def _clock(seconds: int) -> dict[str, str]:
    """Return the variables of the terminal, and those that set the clock of git and the program."""
    now = str(NOW + seconds)
    dates = {name: f"{now} +0000" for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE")}
    # A slow machine draws no progress.
    fixed = {"TERM": "xterm-256color", "GIT_PROGRESS_DELAY": "3600", "GIT_TEST_DATE_NOW": now}
    return {**fixed, **dates}


def draw_session(played: Sequence[tuple[str, str]]) -> str:
    """Return the SVG of a terminal with the commands of `git hub-session` and their output."""
    console = Console(
        file=io.StringIO(),
        width=_COLUMNS,
        record=True,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    shown = [step for step in played if "hub-session" in step[0] and " status " not in step[0]]
    for command, output in shown:
        console.print(Text.assemble(("$ ", "bold green"), (command.rstrip("\n"), "bold")))
        for line in AnsiDecoder().decode(output.replace("\r\n", "\n")):
            console.print(line, soft_wrap=True)
    return _without_fonts(console.export_svg(title="git hub-session"))


def _without_fonts(svg: str) -> str:
    """Remove the fonts of another server. A picture in a document may not load them."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", "Fira Code, DejaVu Sans Mono, Menlo, monospace")
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


# --- The live view --------------------------------------------------------------------------------


def draw_live_view(hub: Hub) -> str:
    """Return the SVG of the live view while one agent works and another session has a ranking."""
    words = ("--metric", "ms", "--direction", "lower", "--eval", "python3 bench.py")
    for command in (
        ("init", "--id", "start", "--agents", "2", "--task", "Start faster", *words),
        ("spawn", "start"),
        ("exec", "--commit", "start", "--", "sh", "-c", _EARLIER_AGENTS),
        ("eval", "--repeat", "5", "start"),
        ("init", "--id", "words", "--task", "Make most_common fast", *words),
        ("spawn", "words"),
    ):
        _run(hub, *command)
    with _running_agents(hub) as process, chdir(hub.top):
        environ = {**hub.environ, "GIT_TEST_DATE_NOW": str(NOW + 75)}
        collector = Collector(Project(environ), None)
        wait_for(lambda: _is_in_the_middle(collector.collect()), process)
        return _without_fonts(asyncio.run(_take_screenshot(collector)))


@contextmanager
def _running_agents(hub: Hub) -> Iterator[Popen[bytes]]:
    """Run the agents of the session `words` during the `with` block."""
    words = ("git", "hub-session", "exec", "-q", "words", "--", "sh", "-c", _LIVE_AGENTS)
    with Popen(words, cwd=hub.top, env={**hub.environ, **_clock(0)}, stderr=DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def _is_in_the_middle(snapshot: Snapshot) -> bool:
    """Return True if one agent has finished, one has changed a file, and one has failed."""
    agents = [
        agent for one in snapshot.sessions if one.session_id == "words" for agent in one.agents
    ]
    states = [agent.progress.state for agent in agents]
    return (
        states == ["done", "running", "failed"]
        and bool(agents[0].subject and agents[0].post)
        and agents[1].output == ("running tests",)
        and agents[1].progress.uncommitted == 1
    )


async def _take_screenshot(collector: Collector) -> str:
    def collect() -> Snapshot:
        return _without_machine(collector.collect())

    actions = Actions(collect, lambda *_: [], lambda _: None, lambda: False)
    view = LiveView(actions, style(_COLUMNS, color=True), interval=3600.0)
    async with view.run_test(size=(_COLUMNS, _LIVE_ROWS)) as pilot:
        await view.workers.wait_for_complete()
        await pilot.press("j", "j")
        await pilot.pause()
        return view.export_screenshot(title="git hub-session watch")


def _without_machine(snapshot: Snapshot) -> Snapshot:
    """Replace the paths, the process ids and the times of files."""

    def replace(agent: WatchedAgent) -> WatchedAgent:
        place = "/".join(Path(agent.worktree).parts[-3:])
        return agent._replace(
            worktree=f"~/{place}",
            pids=tuple(range(4711, 4711 + len(agent.pids[:1]))),
            output_time=snapshot.now - 12 if agent.output else None,
        )

    sessions = (one._replace(agents=tuple(map(replace, one.agents))) for one in snapshot.sessions)
    return snapshot._replace(sessions=tuple(sessions))


# --- The report -----------------------------------------------------------------------------------


def draw_report(hub: Hub, target: Path) -> None:
    """Write a PNG of the upper part of the report on the played session."""
    page = hub.top / "report.html"
    _run(hub, "report", "-o", page, "words")
    run_browser(
        hub.top.parent / "profile",
        f"--screenshot={target}",
        f"--window-size={_PAGE}",
        "--hide-scrollbars",
        "--blink-settings=preferredColorScheme=1",
        page.as_uri(),
    )


# --- All pictures ---------------------------------------------------------------------------------


@contextmanager
def tutorial_project(*, committed: bool = False) -> Iterator[Hub]:
    """Yield the project of the tutorial in a temporary directory."""
    with TemporaryDirectory(prefix="git-hub-session-pictures-") as directory:
        top = Path(directory)
        environ = {**sealed_environment(top), "GIT_PAGER": "cat"}
        hub = create_tutorial_project(top / "words", environ, times=_TIMES)
        if committed:
            hub.git("add", ".")
            hub.git("commit", "-q", "-m", "Count words")
        yield hub


def main() -> None:
    """Write all pictures into docs/pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tutorial_project(committed=True) as hub:
        (PICTURES / WATCH).write_text(draw_live_view(hub))
    with tutorial_project() as hub:
        (PICTURES / SESSION).write_text(draw_session(play_session(hub)))
        if not CHROMIUM:
            sys.exit(f"cannot write {REPORT}: chromium is not installed")
        draw_report(hub, PICTURES / REPORT)


if __name__ == "__main__":
    main()
