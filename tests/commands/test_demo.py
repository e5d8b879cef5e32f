"""The demonstration: played whole, in every way the command can be started, and stopped half-way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.hub import CHECKOUT, COMMAND, PYTHON, Hub, Result, new_hub, sealed_environment

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
    text = re.sub(TIME, "TIME", text)
    return re.sub(r"[0-9]+ seconds? ago", "now", text)


@contextmanager
def playing(hub: Hub, command: list[str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the demonstration in a process group of its own."""
    with subprocess.Popen(
        [*command, "demo"],
        cwd=cwd,
        env=hub.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield process
        process.communicate(timeout=120)


def read_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """Read the output of the demonstration until a line contains `text`, and return the lines."""
    assert process.stdout is not None
    lines = [""]
    while text not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    return lines


STORY = """\
# This small program is slow. Three agents will make it faster.
$ git init -q && git add . && git commit -q -m 'Find primes'
$ cat candidates.py
def candidates(n):
    return range(2, n)
$ python3 bench.py
primes: 168
divisions: 78021

# Any command can be an agent. This script plays three agents with different ideas.
# The third agent leaves uncommitted work: a staged change and a new file.
$ cat "$(command -v agent)"
#!/bin/sh
"""

TOURNAMENT = """\
Initialized session primes in .agenthub/sessions/primes
  Task: Find them with fewer divisions
  Agents: 3
  Base branch: main
  Eval: python3 bench.py
  Metric: divisions (lower)
  State: init
Baseline: divisions 78021
"""

RANKS = """\
RANK  AGENT    METRIC   DELTA  SPREAD  FILES  +/-
   1  agent-2    5287  -72734       -      1  +1/-1
   2  agent-3   39675  -38346       -      1  +1/-1
   3  agent-1   40042  -37979       -      1  +1/-1
Session primes: running → evaluating
"""

MERGED = """\
# The program is faster, and its history has the winner's commit.
$ python3 bench.py
primes: 168
divisions: 5287
$ git log --graph --format=%s
*   hub: merge agent-2 from session primes
|\\  
| * Stop at the square root
|/  
* Find primes

# The other branches are tags now. A ref keeps the uncommitted work of agent 3.
$ git tag
hub/archive/primes/agent-1
hub/archive/primes/agent-3
$ git for-each-ref --format='%(refname)' refs/hub
refs/hub/rescue/primes/agent-3/attempt-1/1

# Restore the worktree of agent 3. The staged change is staged again.
$ git hub-session restore primes --agent 3
Restored agent-3 in ../project.hub/primes/agent-3 on hub/primes/agent-3/attempt-1
  branch from tag hub/archive/primes/agent-3
  work from refs/hub/rescue/primes/agent-3/attempt-1/1
$ cd "$(git hub-session path primes 3)" && git status --short && tail -n 1 *.py
M  candidates.py
?? sieve.py
==> bench.py <==
print("divisions:", divisions)

==> candidates.py <==
# next: a sieve

==> sieve.py <==
crossed = set()
"""

END = """\
# Remove the worktree again. Its changes are saved again.
$ git hub-session cleanup --archive -q primes && ls ../project.hub/primes
$ git hub-session list
SESSION ID  STATE   AGENTS  UPDATED  TASK
primes      merged  3       now  Find them with fewer divisions
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output of one whole demonstration, called as AgentHub spells it, with a format.

    It runs outside of a repository, without an identity, with hooks and signing that would fail.
    """
    top = tmp_path_factory.mktemp("demo")
    hub = new_hub(top / "project", sealed_environment(top))
    temporary = top / "tmp"
    temporary.mkdir()
    (top / "home" / ".gitconfig").write_text(
        "[core]\n\thooksPath = /bin\n[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = false\n"
        "[merge]\n\tff = only\n"
    )
    environ = {"TMPDIR": str(temporary), "GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "x"}
    result = hub.run("--demo", "--format", "json", cwd=temporary, environ=environ)
    assert (result.code, result.err) == (0, "")
    assert list(temporary.iterdir()) == []
    return plain(result.out)


def test_the_whole_tournament(shown: str) -> None:
    assert shown.startswith(STORY)
    for part in (TOURNAMENT, RANKS, MERGED):
        assert part in shown
    for agent, idea in ((1, "Stop halfway"), (2, "Stop at the square root"), (3, "Odd numbers")):
        assert f"agent-{agent} | {idea}\n" in shown
    assert "$ git hub-session log primes\nTIME  evaluating → merged  (now)\n" in shown
    assert "    - **Archived**: hub/archive/primes/agent-1, hub/archive/primes/agent-3\n" in shown
    # An age is as wide as it happens to be.
    assert re.sub(r"UPDATED +TASK", "UPDATED  TASK", shown).endswith(END)


def test_the_commands_of_the_demonstration(shown: str) -> None:
    assert re.findall(r"^\$ git hub-session ([a-z]+)", shown, re.MULTILINE) == [
        *("run", "restore", "log", "board", "cleanup", "list")
    ]


def test_a_command_line_has_at_most_80_columns(shown: str) -> None:
    typed = re.findall(r"^\$ .*", shown, re.MULTILINE)
    assert [line for line in typed if len(line) > 80] == []


@pytest.mark.parametrize(
    "command",
    [
        [str(COMMAND)],
        [PYTHON, "-m", "git_hub_session"],
        [str(Path(PYTHON).parent / "git-hub-session")],
    ],
    ids=["checkout", "module", "installed"],
)
def test_the_demonstration_runs_the_program_that_was_started(
    hub: Hub, elsewhere: Path, command: list[str]
) -> None:
    """The demonstration does not run another git-hub-session that is on PATH."""
    if not Path(command[0]).exists():
        pytest.skip("this interpreter has no git-hub-session installed")
    other = hub.top.parent / "bin" / "git-hub-session"
    other.write_text("#!/bin/sh\necho another program; exit 77\n")
    if "-m" in command:
        hub.environ["PYTHONPATH"] = str(CHECKOUT)
    with playing(hub, command, elsewhere) as process:
        lines = read_until(process, "Initialized session primes")
        assert "another program\n" not in lines
        os.killpg(process.pid, signal.SIGTERM)
    assert list(elsewhere.iterdir()) == []


def test_keep(hub: Hub, elsewhere: Path) -> None:
    result = hub.run("demo", "--keep", cwd=elsewhere)
    [kept] = elsewhere.iterdir()
    assert (result.code, result.err.splitlines()[-1]) == (0, f"kept: {kept}/project")
    assert hub.git("log", "-1", "--format=%s", cwd=kept / "project").startswith(
        "hub: merge agent-2"
    )


def test_a_step_that_fails(hub: Hub, elsewhere: Path) -> None:
    """The demonstration ends there, says which step it was, and leaves nothing behind."""
    real = hub.call("sh", "-c", "command -v git").out.strip()
    git = hub.top.parent / "bin" / "git"
    git.write_text(
        f'#!/bin/sh\n[ "$1" != commit ] || {{ echo "not today" >&2; exit 3; }}\nexec {real} "$@"\n'
    )
    git.chmod(0o755)
    result = hub.call("git-hub-session", "demo", cwd=elsewhere)
    assert result.code == 128
    command = "git init -q && git add . && git commit -q -m 'Find primes'"
    assert result.err.endswith(
        f"fatal: the demo stopped: '{command}' exited with status 3\n"
        "hint: git hub-session demo --keep\n"
    )
    assert result.out.endswith(f"$ {command}\nnot today\n")
    assert list(elsewhere.iterdir()) == []


def test_without_git(hub: Hub, elsewhere: Path, tmp_path: Path) -> None:
    programs = tmp_path / "few"
    programs.mkdir()
    result = hub.call(
        PYTHON, "-m", "git_hub_session", "demo", cwd=CHECKOUT, environ={"PATH": str(programs)}
    )
    assert result.code == 128
    assert result.err.startswith("fatal: the demo stopped: 'git init")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(hub: Hub, elsewhere: Path, number: signal.Signals) -> None:
    """^C reaches the whole foreground group, as in a terminal; the repository goes all the same."""
    with playing(hub, [PYTHON, "-m", "git_hub_session"], CHECKOUT) as process:
        read_until(process, "Spawned agent-3")
        assert len(list(elsewhere.iterdir())) == 1
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (-number, "")
    assert list(elsewhere.iterdir()) == []


def test_nobody_reads_on(hub: Hub, elsewhere: Path) -> None:
    result = hub.call("sh", "-c", "{ git-hub-session demo; echo $? >&2; } | head -n 1")
    assert result == Result(
        0,
        "# This small program is slow. Three agents will make it faster.\n",
        "141\n",
    )
    assert list(elsewhere.iterdir()) == []
