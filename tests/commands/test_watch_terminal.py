"""git hub-session watch in a real terminal (tmux), with Textual and without it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pexpect
import pytest

from tests.support.hub import CHECKOUT, NOW, PYTHON, Hub

pytestmark = pytest.mark.slow

KEYS = "d diff  l log  s shell  / filter  o sort  ? help  q quit"


class Terminal:
    """A shell in a tmux window of its own server."""

    def __init__(self, hub: Hub, directory: Path, *, columns: int = 80, rows: int = 24) -> None:
        self.directory = directory
        self._socket = str(directory / "tmux")
        self._hub = hub
        environ = {**hub.environ, "GIT_TEST_DATE_NOW": str(NOW), "PS1": "$ ", "TERM": "xterm"}
        self._call(
            *("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows)),
            *("sh", "-i"),
            environ=environ,
        )
        self.wait_for("$")

    def _call(self, *words: str, environ: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *words],
            cwd=self._hub.top,
            env=environ or self._hub.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self._call("send-keys", *keys)

    def type(self, command: str) -> None:
        """Type a command line."""
        self.press("-l", command)
        self.press("Enter")

    def resize(self, columns: int, rows: int) -> None:
        self._call("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> list[str]:
        """Return the lines on the screen without empty lines at the end."""
        return self._call("capture-pane", "-p").rstrip().split("\n")

    def joined_lines(self) -> list[str]:
        """Return the lines on the screen. A line that the terminal has wrapped is one line."""
        return self._call("capture-pane", "-p", "-J").rstrip().split("\n")

    def colors(self) -> bool:
        """Return True if the screen shows a color. Bold and reverse text is no color."""
        sequences = re.findall(r"\x1b\[([0-9;]*)m", self._call("capture-pane", "-p", "-e"))
        codes = {code for sequence in sequences for code in sequence.split(";")}
        return any(re.fullmatch("(?:[349]|10)[0-8]", code) for code in codes)

    def is_alternate(self) -> bool:
        """Return True if a program uses the alternate screen."""
        return self._call("display-message", "-p", "#{alternate_on}").strip() == "1"

    def wait_for(self, *texts: str) -> list[str]:
        """Wait until all texts are on the screen. Return the screen."""
        self.wait_until(lambda: all(text in "\n".join(self.screen()) for text in texts))
        return self.screen()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "\n".join(self.screen())
            time.sleep(0.05)

    def close(self) -> None:
        self._call("kill-server")


@pytest.fixture
def spawned(hub: Hub) -> Hub:
    """Return a session with two agents, of which one has failed."""
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    hub.run("spawn", "-q", "s1")
    script = 'echo "output of $HUB_AGENT"; [ $HUB_AGENT = agent-1 ] || exit 3'
    hub.run("exec", "-q", "s1", "--", "sh", "-c", script)
    hub.commit(hub.top.parent / "project.hub" / "s1" / "agent-1", "new", "text\n")
    return hub


@pytest.fixture
def terminal(spawned: Hub, tmp_path: Path) -> Iterator[Terminal]:
    window = Terminal(spawned, tmp_path)
    yield window
    window.close()


def start(terminal: Terminal, *options: str, prefix: str = "") -> list[str]:
    """Start the live view, and return the screen."""
    line = shlex.join(["git", "hub-session", "watch", *options])
    terminal.type(f"clear; {prefix} {line}; echo status=$?")
    return terminal.wait_for("need", "output of agent-2")


def pid_of_watch(hub: Hub) -> int:
    """Return the process that shows the view in the repository of the hub."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            is_here = os.readlink(f"/proc/{name}/cwd") == str(hub.top)
        except OSError:
            continue
        if is_here and b"watch" in words and b"git" not in words[:1]:
            return int(name)
    raise AssertionError("no watch")


def expect_end(terminal: Terminal, status: int) -> None:
    """Wait for the end of the view. The terminal is as before."""
    screen = terminal.wait_for(f"status={status}")
    assert not terminal.is_alternate()
    assert not any("Traceback" in line or "fatal" in line for line in screen)
    terminal.type("stty -a | grep -o '[-]*icanon\\|[-]*isig\\|[-]*echo ' | tr '\\n' ' '; echo end")
    terminal.wait_for("isig icanon echo  end")


def test_quit(terminal: Terminal) -> None:
    screen = start(terminal)
    assert screen[0] == "1 session, 2 agents, 2 need you  sorted by need"
    assert screen[-1] == KEYS
    assert terminal.is_alternate()
    assert terminal.colors()
    terminal.press("q")
    expect_end(terminal, 0)


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)],
)
def test_a_signal_restores_the_terminal(
    terminal: Terminal, spawned: Hub, number: int, status: int
) -> None:
    start(terminal)
    os.kill(pid_of_watch(spawned), number)
    expect_end(terminal, status)


def test_ctrl_c(terminal: Terminal) -> None:
    start(terminal)
    terminal.press("C-c")
    expect_end(terminal, 130)


def test_ctrl_z_and_fg(terminal: Terminal) -> None:
    """The shell gets the terminal as it was, and `fg` shows the view again."""
    start(terminal)
    terminal.press("C-z")
    terminal.wait_until(lambda: not terminal.is_alternate())
    terminal.type("set -m; jobs; echo stopped")
    terminal.wait_for("stopped")
    terminal.type("fg")
    terminal.wait_for(KEYS)
    terminal.press("q")
    terminal.wait_until(lambda: not terminal.is_alternate())


def test_resize(terminal: Terminal) -> None:
    start(terminal)
    terminal.resize(40, 24)
    terminal.wait_until(lambda: terminal.screen()[-1] == "d diff  l log  s shell  ? help  q quit")
    assert all(len(line) <= 40 for line in terminal.screen())
    terminal.resize(160, 50)
    terminal.wait_for("LAST COMMIT")
    terminal.press("q")
    expect_end(terminal, 0)


@pytest.mark.parametrize(
    ("prefix", "options"), [("NO_COLOR=1", ()), ("", ("--no-color",)), ("", ("--color=never",))]
)
def test_no_color(terminal: Terminal, prefix: str, options: tuple[str, ...]) -> None:
    start(terminal, *options, prefix=prefix)
    assert not terminal.colors()
    terminal.press("q")
    expect_end(terminal, 0)


def test_diff_log_and_shell(terminal: Terminal, spawned: Hub) -> None:
    """The other program gets the terminal, and the view comes back after it."""
    start(terminal)
    terminal.press("/", "agent-1", "Enter", "Down")
    terminal.wait_for("s1 agent-1: done")
    terminal.press("d")
    terminal.wait_for("+text")
    terminal.press("q", "Enter")
    terminal.wait_for(KEYS)
    terminal.press("l")
    terminal.wait_for("(Escape: back)")
    terminal.press("q")
    terminal.wait_for(KEYS)
    terminal.press("s")
    terminal.wait_until(lambda: not terminal.is_alternate())
    terminal.type('echo "in $HUB_AGENT"; exit')
    terminal.wait_for("in agent-1")
    terminal.press("Enter")
    terminal.wait_for(KEYS)
    terminal.press("q")
    expect_end(terminal, 0)


def test_a_signal_while_a_shell_runs(terminal: Terminal, spawned: Hub) -> None:
    """The shell of the agent ends too."""
    start(terminal)
    pid = pid_of_watch(spawned)
    terminal.press("Down", "s")
    terminal.wait_until(lambda: not terminal.is_alternate())
    terminal.type('echo "in $HUB_AGENT"')
    terminal.wait_for("in agent-2")
    os.kill(pid, signal.SIGTERM)
    expect_end(terminal, 143)


# --- Without Textual ------------------------------------------------------------------------------


WITHOUT_TEXTUAL = f"""\
import sys
sys.path.insert(0, {str(CHECKOUT)!r})
sys.argv[0] = "git-hub-session"
sys.modules["textual"] = None
from git_hub_session.__main__ import command
command()"""


def start_plain(terminal: Terminal, *options: str, prefix: str = "") -> list[str]:
    """Start the view as if Textual was not installed, and return the screen."""
    line = shlex.join([PYTHON, "-c", WITHOUT_TEXTUAL, "watch", *options])
    script = terminal.directory / "plain"
    script.write_text(f"exec {line}\n")
    terminal.type(f"clear; {prefix} sh {script}; echo status=$?")
    return terminal.wait_for("need", "output of agent-2")


def interrupt_plain(terminal: Terminal) -> None:
    """Press Ctrl-C. The shell then runs no further command of its line."""
    terminal.press("C-c")
    terminal.wait_until(lambda: not terminal.is_alternate())


HINT = f"hint: {PYTHON} -m pip install 'textual>=1.0'"


def test_the_hint_names_the_extra(terminal: Terminal) -> None:
    """The table is the same. The extra installs Textual, and then the view has keys."""
    screen = start_plain(terminal)
    assert screen[0] == "1 session, 2 agents, 2 need you"
    assert screen[2:4] == [
        "s1         running 2/2  eval  Make it fast",
        "  agent-2  failed (3)   look  output of agent-2",
    ]
    assert terminal.joined_lines()[-2:] == ["Press Ctrl-C to quit.", HINT]
    interrupt_plain(terminal)
    requirements = [line.replace(" ", "") for line in metadata.requires("git-hub-session") or ()]
    assert f"{shlex.split(HINT)[-1]};extra=='watch'" in requirements
    start(terminal)
    terminal.wait_for(KEYS)
    terminal.press("q")


def test_the_command_of_the_hint_stays_whole(terminal: Terminal) -> None:
    """The terminal wraps it, so that the user can copy it. A small terminal truncates it."""
    start_plain(terminal, "--interval=1")
    for width in (len(HINT), len(HINT) - 1, len(HINT) + 1, 40):
        terminal.resize(width, 24)
        terminal.wait_until(
            lambda: (
                [line.rstrip() for line in terminal.joined_lines()[-2:]]
                == ["Press Ctrl-C to quit.", HINT]
            )
        )
    assert terminal.joined_lines()[0].rstrip() == "1 session, 2 agents, 2 need you"
    terminal.resize(40, 6)
    terminal.wait_until(lambda: len(terminal.screen()[-1]) == 40 and len(terminal.screen()) <= 6)
    assert HINT.startswith(terminal.screen()[-1][:30])
    interrupt_plain(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_restores_the_terminal_of_the_plain_table(
    terminal: Terminal, spawned: Hub, number: int
) -> None:
    start_plain(terminal, "-q")
    assert terminal.is_alternate()
    assert HINT not in terminal.screen()
    os.kill(pid_of_watch(spawned), number)
    expect_end(terminal, 128 + number)


def test_ctrl_z_in_the_plain_table(terminal: Terminal) -> None:
    start_plain(terminal)
    terminal.press("C-z")
    terminal.wait_until(lambda: not terminal.is_alternate())
    terminal.type("fg")
    terminal.wait_for(HINT)
    interrupt_plain(terminal)


def test_the_plain_table_is_resized_and_has_colors(terminal: Terminal) -> None:
    start_plain(terminal, "--interval=1")
    assert terminal.colors()
    terminal.resize(40, 5)
    terminal.wait_for("… 4 more rows")
    interrupt_plain(terminal)


def test_a_dumb_terminal_gets_no_control_sequence(spawned: Hub) -> None:
    """The table is printed again below only after a change. Ctrl-C ends it."""
    environ = {**spawned.environ, "TERM": "dumb", "GIT_TEST_DATE_NOW": str(NOW)}
    child = pexpect.spawn(
        "git hub-session watch --interval=1",
        cwd=str(spawned.top),
        env=environ,
        encoding="utf-8",
        timeout=60,
    )
    child.expect("2 agents, 2 need you")
    child.expect("output of agent-1")
    spawned.run("update", "-q", "s1", "--state", "evaluating")
    child.expect("2 agents, 1 needs you")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.signalstatus == signal.SIGINT or child.exitstatus == 130
    assert "\x1b" not in str(child.before)


@pytest.mark.parametrize("is_plain", [True, False])
def test_a_lost_terminal(spawned: Hub, *, is_plain: bool) -> None:
    """The process ends without SIGHUP too, and reports no bug."""
    words = [PYTHON, "-c", WITHOUT_TEXTUAL] if is_plain else ["git", "hub-session"]
    environ = {**spawned.environ, "TERM": "xterm", "GIT_TEST_DATE_NOW": str(NOW)}
    screen, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    with subprocess.Popen(
        [*words, "watch", "--interval=1"],
        cwd=spawned.top,
        env=environ,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        shown = b""
        while b"output of agent-2" not in shown:
            shown += os.read(screen, 1 << 16)
        os.close(screen)
        # git dies of a signal as its command does, or exits with the status of a shell.
        assert process.wait(60) in ((128,) if is_plain else (129, -signal.SIGHUP))
