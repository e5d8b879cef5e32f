"""The demonstration: played whole, in every way the command can be started, and stopped half-way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub import CHECKOUT, COMMAND, PYTHON, Hub, Result

ID = r"[0-9]{8}-[0-9]{6}"
TIME = r"[0-9T:.-]+\+00:00"
LONG_PATH = r"/\S+/git-hub-session-demo-[a-z0-9_]+"


@pytest.fixture
def elsewhere(hub: Hub, tmp_path: Path) -> Path:
    """The directory for temporary files, outside of every repository; it has to be empty in the end."""
    path = tmp_path / "tmp"
    path.mkdir()
    hub.environ["TMPDIR"] = str(path)
    return path


def plain(text: str) -> str:
    """`text` without what differs from run to run."""
    text = re.sub(LONG_PATH, "TOP", text)
    text = re.sub(ID, "ID", text)
    text = re.sub(TIME, "TIME", text)
    text = re.sub(r"(HEAD is now at) [0-9a-f]+", r"\1 OID", text)
    return re.sub(r"[0-9]+ seconds? ago", "now", text)


STORY = """\
# A small program is slow. Three agents shall make it faster, the best one wins.
$ git init -q && git add . && git commit -q -m 'Find primes'
$ cat candidates.py
def candidates(n):
    return range(2, n)
$ python3 bench.py
168 primes, 78021 divisions

# A session says what the agents are to do, and how a result is measured.
$ git hub-session init --task 'Find the primes with fewer divisions' \\
    --agents 3 --eval 'python3 bench.py' \\
    --metric divisions --direction lower --baseline 78021
Initialized session ID in .agenthub/sessions/ID
  Task: Find the primes with fewer divisions
  Agents: 3
  Base branch: main
  Eval: python3 bench.py
  Metric: divisions (lower)
  Baseline: 78021
  State: init

# Each agent gets a branch and a worktree of its own.
$ git worktree add -q -b hub/ID/agent-1/attempt-1 ../agent-1
$ git worktree add -q -b hub/ID/agent-2/attempt-1 ../agent-2
$ git worktree add -q -b hub/ID/agent-3/attempt-1 ../agent-3
$ git hub-session update ID --state running
Session ID: init → running

# The agents work, and commit what they have.
$ printf 'def candidates(n):\\n    return %s\\n' \\
    'range(2, n // 2 + 1)' > ../agent-1/candidates.py
$ git -C ../agent-1 commit -q -a -m 'Stop halfway'
$ printf 'def candidates(n):\\n    return %s\\n' \\
    'range(2, int(n**0.5) + 1)' > ../agent-2/candidates.py
$ git -C ../agent-2 commit -q -a -m 'Stop at the square root'
$ printf 'def candidates(n):\\n    return %s\\n' \\
    '[d for d in range(2, n) if d == 2 or d % 2]' > ../agent-3/candidates.py
$ git -C ../agent-3 commit -q -a -m 'Try odd numbers only'

# Agent 3 is not done: it has a change that is staged, and a new file.
$ echo '# next: a sieve' >> ../agent-3/candidates.py
$ git -C ../agent-3 add candidates.py
$ echo 'crossed = set()' > ../agent-3/sieve.py

# How far are they? '*' marks a tip that no other agent's branch contains.
$ git hub-session list
"""


def test_the_whole_tournament(hub: Hub, elsewhere: Path) -> None:
    """Outside of a repository, without an identity, with hooks and signing that would fail."""
    (elsewhere.parent / "home" / ".gitconfig").write_text(
        "[core]\n\thooksPath = /bin\n[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = false\n"
        "[merge]\n\tff = only\n"
    )
    result = hub.run("demo", cwd=elsewhere, environ={"GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "x"})
    assert (result.code, result.err) == (0, "")
    shown = plain(result.out)
    assert shown.startswith(STORY)
    # What was uncommitted comes back by the line that cleanup printed, and by no other.
    line = re.search(r"bring it back: (.*)", result.out)
    assert line is not None
    assert f"\n$ {line[1]}\n" in result.out
    before, _, after = shown.partition("$ git hub-session cleanup ID\n")
    status = "$ git -C ../agent-3 status --short\nM  candidates.py\n?? sieve.py\n"
    assert status in before
    assert status in after
    assert "$ ls ..\ncopy\nproject\n" in after
    assert "candidates.py: the same bytes\nsieve.py: the same bytes\n" in after
    assert after.endswith(
        "Cleaned up 1 worktree for session ID\n$ git branch\n* main\n"
        "$ git tag\nhub/archive/ID/agent-1\nhub/archive/ID/agent-2\nhub/archive/ID/agent-3\n"
    )
    assert list(elsewhere.iterdir()) == []


def test_the_state_machine_is_walked_through(hub: Hub, elsewhere: Path) -> None:
    """All of git hub-session's commands are typed, in the order in which a session lives."""
    shown = plain(hub.run("--demo", "--format", "json", cwd=elsewhere).out)
    assert re.findall(r"^\$ git hub-session (.*?)(?: \\)?$", shown, re.MULTILINE) == [
        "init --task 'Find the primes with fewer divisions'",
        "update ID --state running",
        "list",
        "status",
        "update ID --state evaluating",
        "update ID --state merged",
        "log ID",
        "cleanup ID",
        "cleanup --archive ID",
    ]
    results = (
        "168 primes, 40042 divisions\n168 primes, 5287 divisions\n168 primes, 39675 divisions\n"
    )
    assert results in shown
    assert "../agent-3 (1 changed, 1 untracked)" in shown


def test_lines_that_hold_no_path_are_80_columns_wide_at_the_most(hub: Hub, elsewhere: Path) -> None:
    typed = re.findall(r"^[$#] .*", hub.run("demo", cwd=elsewhere).out, re.MULTILINE)
    assert [line for line in typed if len(line) > 80 and str(elsewhere) not in line] == []


@pytest.mark.parametrize(
    "command",
    [
        [str(COMMAND)],
        [PYTHON, "-m", "git_hub_session"],
        [str(Path(PYTHON).parent / "git-hub-session")],
    ],
    ids=["checkout", "module", "installed"],
)
def test_it_plays_itself_and_no_other_on_path(
    hub: Hub, elsewhere: Path, command: list[str]
) -> None:
    """However it was started, what it types runs the same program, not the one that PATH finds."""
    if not Path(command[0]).exists():
        pytest.skip("this interpreter has no git-hub-session installed")
    other = hub.top.parent / "bin" / "git-hub-session"
    other.write_text("#!/bin/sh\necho another program; exit 77\n")
    environ = {"PYTHONPATH": str(CHECKOUT)} if "-m" in command else {}
    result = hub.call(*command, "demo", cwd=elsewhere, environ=environ)
    assert (result.code, result.err) == (0, "")
    assert "another program" not in result.out
    assert list(elsewhere.iterdir()) == []


def test_keep(hub: Hub, elsewhere: Path) -> None:
    result = hub.run("demo", "--keep", cwd=elsewhere)
    [kept] = elsewhere.iterdir()
    assert (result.code, result.err) == (0, f"kept: {kept}/project\n")
    assert hub.git("log", "-1", "--format=%s", cwd=kept / "project") == "Merge agent 2"


def test_a_step_that_fails(hub: Hub, elsewhere: Path) -> None:
    """The demonstration ends there, says which step it was, and leaves nothing behind."""
    real = hub.call("sh", "-c", "command -v git").out.strip()
    git = hub.top.parent / "bin" / "git"
    git.write_text(
        f'#!/bin/sh\n[ "$1" != merge ] || {{ echo "no merge today" >&2; exit 3; }}\nexec {real} "$@"\n'
    )
    git.chmod(0o755)
    result = hub.call("git-hub-session", "demo", cwd=elsewhere)
    assert Result(result.code, err=plain(result.err)) == Result(
        128,
        err="fatal: the demonstration stopped: exit code 3 from "
        "'git merge --no-ff -m 'Merge agent 2' hub/ID/agent-2/attempt-1'\n"
        "hint: 'git hub-session demo --keep' leaves the repository for a look\n",
    )
    assert plain(result.out).endswith(
        "$ git merge --no-ff -m 'Merge agent 2' hub/ID/agent-2/attempt-1\nno merge today\n"
    )
    assert list(elsewhere.iterdir()) == []


def test_without_git(hub: Hub, elsewhere: Path, tmp_path: Path) -> None:
    programs = tmp_path / "few"
    programs.mkdir()
    result = hub.call(
        PYTHON, "-m", "git_hub_session", "demo", cwd=CHECKOUT, environ={"PATH": str(programs)}
    )
    assert result.code == 128
    assert result.err.startswith("fatal: the demonstration stopped: exit code 127 from 'git init")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(hub: Hub, elsewhere: Path, number: signal.Signals) -> None:
    """^C reaches the whole foreground group, as in a terminal; the repository goes all the same."""
    with subprocess.Popen(
        [sys.executable, "-m", "git_hub_session", "demo"],
        cwd=CHECKOUT,
        env=hub.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while "worktree add" not in process.stdout.readline():
            assert process.poll() is None
        assert len(list(elsewhere.iterdir())) == 1
        os.killpg(process.pid, number)
        process.stdout.read()
        assert (process.wait(timeout=60), process.stderr.read()) == (-number, "")
    assert list(elsewhere.iterdir()) == []


def test_nobody_reads_on(hub: Hub, elsewhere: Path) -> None:
    result = hub.call("sh", "-c", "{ git-hub-session demo; echo $? >&2; } | head -n 1")
    assert result == Result(
        0,
        "# A small program is slow. Three agents shall make it faster, the best one wins.\n",
        "141\n",
    )
    assert list(elsewhere.iterdir()) == []
