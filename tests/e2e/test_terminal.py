"""In a real terminal: widths, colours, and ^C."""

from __future__ import annotations

import re
import unicodedata

import pexpect
import pytest

from tests.support.hub import NOW, Hub

TASKS = {
    "ascii": "Make the parser twice as fast without giving up a single one of its error messages",
    "wide": "漢字" * 30,
    "marks": "e\u0301" * 80,
}


def terminal(hub: Hub, *words: str, columns: int, **more: str) -> str:
    """What `git hub-session <words>` writes to a terminal that is so wide, byte for byte."""
    environ = {**hub.environ, "TERM": "xterm", "GIT_TEST_DATE_NOW": str(NOW), **more}
    shown, code = pexpect.run(  # type: ignore[str-unpack]
        " ".join(["git", "hub-session", *words]),
        cwd=str(hub.top),
        env=environ,
        encoding="utf-8",
        withexitstatus=True,
        dimensions=(24, columns),
        timeout=30,
    )
    assert code == 0, shown
    return str(shown)


def columns_of(line: str) -> int:
    """How wide a terminal shows a line: an independent reckoning."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
    marks = sum(unicodedata.category(char) == "Mn" for char in plain)
    wide = sum(unicodedata.east_asian_width(char) == "W" for char in plain)
    return len(plain) - marks + wide


@pytest.mark.parametrize("columns", [80, 60, 120])
def test_tasks_are_cut_to_the_terminal(hub: Hub, columns: int) -> None:
    """Each line uses the width there is, within a wide character, and no more; whole in a pipe."""
    for sid, task in TASKS.items():
        hub.session(sid, task=task)
    lines = terminal(hub, "list", columns=columns).splitlines()
    assert len(lines) == 4
    for line in lines[1:]:
        assert columns - 1 <= columns_of(line) <= columns
        assert line.endswith("…")
    piped = hub.run("list").out
    assert all(task in piped for task in TASKS.values())


def test_narrow_terminal(hub: Hub) -> None:
    """The age makes way for the task, then the number of agents; ten columns are left to it, never none."""
    hub.session("ascii", task=TASKS["ascii"])
    plain = ("list", "--color=never")
    assert terminal(hub, *plain, columns=40).splitlines() == [
        "SESSION ID  STATE  AGENTS  TASK",
        "ascii       init   1       Make the par…",
    ]
    assert (
        terminal(hub, *plain, columns=36).splitlines()[1] == "ascii       init   Make the parser …"
    )
    line = terminal(hub, *plain, columns=20).splitlines()[1]
    assert line.endswith("  Make the …")


def test_a_narrow_ranking(hub: Hub) -> None:
    """What nobody has is left out where the line has no room for it, and nothing else."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    hub.run("spawn", "-q", "s1")
    measure = ("eval", "s1", "--eval", "'echo ms: 5'", "--metric", "ms", "--direction", "lower")
    first = "   1  agent-1       5      0  +0/-0  tie"
    assert terminal(hub, *measure, columns=40).splitlines()[:2] == [
        "RANK  AGENT    METRIC  FILES  +/-",
        first,
    ]
    with_baseline = terminal(hub, *measure, "--baseline", "7", columns=40).splitlines()
    assert with_baseline[:2] == [
        "RANK  AGENT    METRIC  DELTA  FILES  +/-",
        "   1  agent-1       5     -2      0  +0/-0  tie",
    ]
    assert terminal(hub, *measure, columns=80).splitlines()[0].split()[3:5] == ["DELTA", "SPREAD"]


def test_columns_and_ellipsis_of_the_environment(hub: Hub) -> None:
    """COLUMNS wins over the terminal, as in git; the ellipsis is ASCII where the locale is."""
    hub.session("ascii", task=TASKS["ascii"])
    line = terminal(hub, "list", "--color=never", columns=80, COLUMNS="70", LC_ALL="C")
    assert [len(text) for text in line.splitlines()][1:] == [70]
    assert line.endswith("...\r\n")


def test_colour(hub: Hub) -> None:
    """In a terminal, unless NO_COLOR, TERM=dumb or --color=never."""
    hub.session("s1")
    painted = "\x1b[36minit \x1b[m"
    assert painted in terminal(hub, "list", columns=80)
    for more in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in terminal(hub, "list", columns=80, **more)
        assert painted in terminal(hub, "list", "--color=always", columns=80, **more)
        assert painted in terminal(hub, "list", "--color", columns=80, **more)
    assert "\x1b" not in terminal(hub, "list", "--color=never", columns=80)
    for format_ in ("json", "porcelain"):
        assert "\x1b" not in terminal(
            hub, "list", "--color=always", f"--format={format_}", columns=80
        )
    assert "\x1b" not in hub.run("list").out
    assert painted in hub.run("list", "--color=always").out


def test_gits_pager(hub: Hub) -> None:
    """git starts the pager (pager.hub-session); the text comes in colour, and whole."""
    hub.session("s1", task=TASKS["ascii"])
    hub.git("config", "pager.hub-session", "sed 's/^/paged: /'")
    shown = terminal(hub, "list", columns=60)
    assert shown.startswith("paged: SESSION ID")
    assert f"\x1b[36minit \x1b[m  1       0 seconds ago  {TASKS['ascii']}\r\n" in shown


def test_progress(hub: Hub) -> None:
    """git's delay set to none: how far it is, on one line a step, before the answer. The forks' share counts too."""
    hub.session("s1", agents=2)
    (hub.worktree(2) / "new").write_text("new\n")

    def played(*words: str) -> str:
        return terminal(hub, *words, columns=200, GIT_PROGRESS_DELAY="0")

    shown = played("cleanup", "s1")
    assert shown.startswith(
        "\rSaving work:  50% (1/2)\rSaving work: 100% (2/2), done.\r\n"
        "\rRemoving worktrees:  50% (1/2)\rRemoving worktrees: 100% (2/2), done.\r\n"
        "Saved uncommitted work of hub/s1/agent-2/attempt-1 in "
    )
    assert hub.run("init", "-q", "--id", "s2", "--task", "x", "--agents", "9").code == 0
    shown = played("spawn", "s2")
    assert "\rAdding worktrees: 100% (9/9), done.\r\nSpawned agent-1 in " in shown
    shown = played("archive", "s2")
    assert "\rRemoving worktrees: 100% (9/9), done.\r\nRemoved worktree: " in shown
    assert "Removing" not in played("cleanup", "s2")


def test_long_numbers_in_the_environment(hub: Hub) -> None:
    """Python cannot convert 5,000 digits: the terminal's own width and git's default delay are used."""
    long = "1" * 5_000
    hub.session("s1", agents=1, task=TASKS["ascii"])
    line = terminal(hub, "list", "--color=never", columns=60, COLUMNS=long).splitlines()[1]
    assert columns_of(line) == 60
    shown = terminal(hub, "cleanup", "s1", columns=200, GIT_PROGRESS_DELAY=long)
    assert shown.startswith("Removed worktree: ")


def test_interrupt(hub: Hub) -> None:
    """^C ends it as any program: nothing is said, and a shell sees 130."""
    hub.session("s1")
    holder = pexpect.spawn("flock", [str(hub.directory()), "cat"], encoding="utf-8")
    holder.sendline("held")
    holder.expect("held\r\nheld")
    script = "git hub-session update s1 --state running; echo code=$?"
    child = pexpect.spawn(
        "bash", ["-c", f"trap : INT; echo go; {script}"], cwd=str(hub.top),
        env={**hub.environ, "TERM": "xterm"}, encoding="utf-8", timeout=20,
    )  # fmt: skip
    child.expect("go\r\n")
    with pytest.raises(pexpect.TIMEOUT):
        child.expect("code=", timeout=1.5)  # it waits for the lock
    child.sendintr()
    child.expect("code=130\r\n")
    assert str(child.before).strip() == "^C"
    holder.terminate()
    holder.close()
    child.close()
    assert hub.state("s1")["state"] == "init"
