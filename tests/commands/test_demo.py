"""`demo`: its output, each way to start the command, and interruptions."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.hints import follow_hint, types
from tests.support.hub import CHECKOUT, COMMAND, PYTHON, Hub, Result, new_hub, sealed_environment

TIME = r"[0-9T:.-]+\+00:00"
LONG_PATH = r"/\S+/git-hub-session-demo-[a-z0-9_]+"


@pytest.fixture
def temporary_directory(hub: Hub, tmp_path: Path) -> Path:
    """Return the directory for temporary files. It must be empty at the end of a test."""
    path = tmp_path / "tmp"
    path.mkdir()
    hub.environ["TMPDIR"] = str(path)
    return path


def remove_varying_parts(text: str) -> str:
    """Replace the text that differs between two runs: paths and times."""
    text = re.sub(LONG_PATH, "TOP", text)
    text = re.sub(TIME, "TIME", text)
    return re.sub(r"[0-9]+ seconds? ago", "now", text)


@contextmanager
def start_demo(hub: Hub, command: list[str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the demonstration in its own process group, and yield the process."""
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
Time limit for each measurement: 60 s (10 times the longest run of the baseline, at least 60 s)
"""

RANKS = """\
RANK  AGENT    METRIC   DELTA  SPREAD  FILES  +/-
   1  agent-2    5287  -72734       -      1  +1/-1
   2  agent-3   39675  -38346       -      1  +1/-1  2 files uncommitted, not measured
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
$ git for-each-ref --format='%(refname)' refs/hub/rescue
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
def demo_output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the output of a complete demonstration.

    AgentHub's form `--demo` starts it with a format, outside of a repository and without a user name.
    The configured hooks and the signing program would fail.
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
    return remove_varying_parts(result.out)


def test_complete_demonstration(demo_output: str) -> None:
    assert demo_output.startswith(STORY)
    for part in (TOURNAMENT, RANKS, MERGED):
        assert part in demo_output
    for agent, idea in ((1, "Stop halfway"), (2, "Stop at the square root"), (3, "Odd numbers")):
        assert f"agent-{agent} | {idea}\n" in demo_output
    assert "$ git hub-session log primes\nTIME  evaluating → merged  (now)\n" in demo_output
    assert (
        "    - **Archived**: hub/archive/primes/agent-1, hub/archive/primes/agent-3\n"
        in demo_output
    )
    # The width of the column UPDATED varies.
    assert re.sub(r"UPDATED +TASK", "UPDATED  TASK", demo_output).endswith(END)


def test_commands_of_the_demonstration(demo_output: str) -> None:
    assert re.findall(r"^\$ git hub-session ([a-z]+)", demo_output, re.MULTILINE) == [
        *("run", "restore", "log", "board", "cleanup", "list")
    ]


def test_commands_have_at_most_80_columns(demo_output: str) -> None:
    commands = re.findall(r"^\$ .*", demo_output, re.MULTILINE)
    assert [command for command in commands if len(command) > 80] == []


@pytest.mark.parametrize(
    "command",
    [
        [str(COMMAND)],
        [PYTHON, "-m", "git_hub_session"],
        [str(Path(PYTHON).parent / "git-hub-session")],
    ],
    ids=["checkout", "module", "installed"],
)
def test_demonstration_runs_the_command_that_was_started(
    hub: Hub, temporary_directory: Path, command: list[str]
) -> None:
    """Another git-hub-session on PATH is not run."""
    if not Path(command[0]).exists():
        pytest.skip("this interpreter has no git-hub-session installed")
    other = hub.top.parent / "bin" / "git-hub-session"
    other.write_text("#!/bin/sh\necho another program; exit 77\n")
    if "-m" in command:
        hub.environ["PYTHONPATH"] = str(CHECKOUT)
    with start_demo(hub, command, temporary_directory) as process:
        lines = read_until(process, "Initialized session primes")
        assert "another program\n" not in lines
        os.killpg(process.pid, signal.SIGTERM)
    assert list(temporary_directory.iterdir()) == []


def test_option_keep(hub: Hub, temporary_directory: Path) -> None:
    result = hub.run("demo", "--keep", cwd=temporary_directory)
    [kept] = temporary_directory.iterdir()
    assert (result.code, result.err.splitlines()[-1]) == (0, f"kept: {kept}/project")
    assert hub.git("log", "-1", "--format=%s", cwd=kept / "project").startswith(
        "hub: merge agent-2"
    )


@types("git hub-session demo --keep")
def test_failing_step(hub: Hub, temporary_directory: Path) -> None:
    """The demonstration stops, names the failed step and leaves no files."""
    git_path = hub.call("sh", "-c", "command -v git").out.strip()
    wrapper = hub.top.parent / "bin" / "git"
    wrapper.write_text(
        f'#!/bin/sh\n[ "$1" != commit ] || {{ echo "not today" >&2; exit 3; }}\nexec {git_path} "$@"\n'
    )
    wrapper.chmod(0o755)
    result = hub.call("git-hub-session", "demo", cwd=temporary_directory)
    assert result.code == 128
    command = "git init -q && git add . && git commit -q -m 'Find primes'"
    assert result.err.endswith(
        f"fatal: the demo stopped: '{command}' exited with status 3\n"
        "hint: git hub-session demo --keep\n"
    )
    assert result.out.endswith(f"$ {command}\nnot today\n")
    assert list(temporary_directory.iterdir()) == []
    again = hub.call("git-hub-session", "demo", "--keep", cwd=temporary_directory)
    assert again.code == 128
    [kept] = temporary_directory.iterdir()
    assert again.err == (
        f"kept: {kept}/project\nfatal: the demo stopped: '{command}' exited with status 3\n"
    )
    assert (kept / "project" / "bench.py").exists()
    follow_hint("git hub-session demo --keep")


def test_without_git(hub: Hub, temporary_directory: Path, tmp_path: Path) -> None:
    programs = tmp_path / "few"
    programs.mkdir()
    result = hub.call(
        PYTHON, "-m", "git_hub_session", "demo", cwd=CHECKOUT, environ={"PATH": str(programs)}
    )
    assert result.code == 128
    assert result.err.startswith("fatal: the demo stopped: 'git init")
    assert list(temporary_directory.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal(hub: Hub, temporary_directory: Path, number: signal.Signals) -> None:
    """The process group gets the signal, as from Ctrl-C. The repository is removed."""
    with start_demo(hub, [PYTHON, "-m", "git_hub_session"], CHECKOUT) as process:
        read_until(process, "Spawned agent-3")
        assert len(list(temporary_directory.iterdir())) == 1
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (-number, "")
    assert list(temporary_directory.iterdir()) == []


def test_closed_output(hub: Hub, temporary_directory: Path) -> None:
    result = hub.call("sh", "-c", "{ git-hub-session demo; echo $? >&2; } | head -n 1")
    assert result == Result(
        0,
        "# This small program is slow. Three agents will make it faster.\n",
        "141\n",
    )
    assert list(temporary_directory.iterdir()) == []


def test_a_program_of_the_demo_finds_the_output_closed(hub: Hub) -> None:
    """Python ends with status 120 if it cannot flush its output. Here it is no failed step."""
    script = "{ git-hub-session demo; echo $? >&2; } | sed '/python3 bench.py/q' >/dev/null"
    for _ in range(3):
        assert hub.call("sh", "-c", script) == Result(0, "", "141\n")
