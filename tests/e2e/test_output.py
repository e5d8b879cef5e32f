"""The output has no control characters. Write errors and signals end the command."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.hub import COMMAND, PYTHON, Hub, Result
from tests.support.interrupt import count_changes, run_with_injected_code, sample

# The characters that control a terminal. The output never contains them.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
EVIL = "red \x1b[31m\x1b]0;title\x07 \x9b2J \r over \u202eltr \u2066iso\u2069 \u2028 bell\x07"


def run_shell(hub: Hub, script: str) -> Result:
    """Run a bash script with `git hub-session` on PATH."""
    return hub.call("bash", "-c", script)


def create_hostile_session(hub: Hub) -> None:
    """Create a session with control characters in all texts that commands print."""
    options = ["--eval", EVIL, "--metric", f"m{EVIL}", "--direction", "lower"]
    hub.run("init", "-q", "--id", "s1", "--task", f"{EVIL}\nsecond line {EVIL}", *options)
    hub.run("update", "s1", "--state", "running", "--reason", f"why {EVIL}\nmore {EVIL}")
    path = hub.worktrees / os.fsdecode(b"p\x1b[2J\xff\nx")
    hub.git("worktree", "add", "-q", "-b", "hub/s1/\u202eagent", path)
    hub.git("commit", "-q", "--allow-empty", "-m", f"subject {EVIL}", cwd=path)
    (path / "new").write_text("x")
    hub.git("worktree", "lock", "--reason", f"because {EVIL}", path)
    broken = hub.top / ".agenthub" / "sessions" / "broken"
    broken.mkdir()
    (broken / "config.yaml").write_text(f'task: "{EVIL}')
    (broken / "state.json").write_text(json.dumps({"state": EVIL}))
    (hub.top / ".agenthub" / "sessions" / "\x1b[2J").mkdir()


def test_output_has_no_control_characters(hub: Hub) -> None:
    """No command writes a control character to standard output or standard error."""
    create_hostile_session(hub)
    for arguments in (
        ["list"],
        ["status", "s1"],
        ["status", "broken"],
        ["log", "s1"],
        ["update", "s1", "--state", EVIL],
        ["status", EVIL],
        ["cleanup", EVIL],
        [EVIL],
        ["list", f"--{EVIL}"],
        ["list", f"--sort={EVIL}"],
        ["init", "--id", EVIL, "--task", "x"],
        ["init", "--base-branch", EVIL, "--task", "x"],
        ["init", "--dry-run", "--task", EVIL, "--id", "s9"],
        ["init", "-F", f"/{EVIL}"],
        ["cleanup", "-n", "s1"],
        ["cleanup", "s1"],
    ):
        result = hub.run(*arguments)
        assert result.code in (0, 1, 128, 129), result
        assert UNSAFE.search(result.out) is None, result.out
        assert UNSAFE.search(result.err) is None, result.err
        assert "\udcff" not in result.out + result.err


def test_formats_stay_valid_with_hostile_content(hub: Hub) -> None:
    """JSON is valid ASCII. Each porcelain value is one line. -z writes the raw bytes."""
    create_hostile_session(hub)
    for arguments in (["list"], ["status", "s1"], ["log", "s1"], ["cleanup", "-n", "s1"]):
        json_result = hub.run(*arguments, "--format=json")
        assert json_result.out.isascii()
        assert json.loads(json_result.out)
        porcelain_result = hub.run(*arguments, "--format=porcelain")
        assert porcelain_result.out.isascii()
        assert UNSAFE.search(porcelain_result.out) is None
        for line in porcelain_result.out.splitlines():
            assert re.fullmatch(r'[a-z_]+( ([^"\\]*|"([^"\\]|\\.)*"))?|', line), line
    document = json.loads(hub.run("status", "s1", "--format=json").out)
    path = os.fsencode(document["worktrees"][0]["worktree"])
    assert path == os.fsencode(hub.worktrees) + b"/p\x1b[2J\xff\nx"
    assert f"worktree {os.fsdecode(path)}\0" in hub.run("status", "s1", "-z").out
    assert document["config"]["task"] == f"{EVIL}\nsecond line {EVIL}"


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}])
def test_locale_without_the_arrow_character(hub: Hub, locale: dict[str, str]) -> None:
    """The output has '->' in place of the arrow, and the exit status is 0."""
    hub.session("s1", task="größer → besser")
    result = hub.run("update", "s1", "--state", "running", environ=locale)
    assert result == Result(0, "Session s1: init -> running\n")
    for arguments in (["list"], ["status", "s1"], ["log", "s1"], ["list", "--format=json"]):
        assert hub.run(*arguments, environ=locale).code == 0


def test_encoding_without_the_arrow_character(hub: Hub) -> None:
    """With PYTHONIOENCODING=ascii, the output has '->' in place of the arrow."""
    hub.session("s1", task="größer")
    code = (
        f"import sys; sys.path.insert(0, {str(COMMAND.parent.parent)!r})\n"
        "from git_hub_session.main import main; sys.exit(main())"
    )
    environ = {"PYTHONIOENCODING": "ascii"}
    command = [PYTHON, "-c", code, "update", "s1", "--state", "running"]
    assert hub.call(*command, environ=environ) == Result(0, "Session s1: init -> running\n")
    listing = hub.call(PYTHON, "-c", code, "list", environ=environ)
    assert (listing.code, listing.out.splitlines()[1].split()[-1]) == (0, "gr\\xf6\\xdfer")


def test_output_to_a_full_device(hub: Hub) -> None:
    """A read-only command fails. A command that has changed something succeeds."""
    hub.session("s1")
    error = "fatal: cannot write to standard output: No space left on device\n"
    for arguments in ("list", "status s1", "list -z", "-h", "list -h"):
        assert run_shell(hub, f"git hub-session {arguments} >/dev/full") == Result(128, "", error)
    assert run_shell(hub, "git hub-session update s1 --state running >/dev/full") == Result(0)
    assert hub.state("s1")["state"] == "running"
    assert run_shell(hub, "git hub-session init --task x --id s2 >/dev/full") == Result(0)
    assert run_shell(hub, "git hub-session cleanup s1 >/dev/full") == Result(0)
    (hub.directory("s1") / "state.json").write_text("{")
    listing = run_shell(hub, "git hub-session list 2>/dev/full")
    assert (listing.code, listing.out.count("\n"), listing.err) == (1, 3, "")


def test_closed_streams(hub: Hub) -> None:
    """Closed streams are reopened as /dev/null, as in git, so that no file gets their numbers."""
    hub.session("s1", agents=1)
    (hub.worktree(1) / "new").write_text("x\n")
    command = "git-hub-session"  # git would reopen the streams
    assert run_shell(hub, f"{command} list >&-") == Result(0)
    assert run_shell(hub, f"{command} nope 2>&-") == Result(129)
    assert run_shell(hub, f"{command} update s1 --state running <&- >&- 2>&-") == Result(0)
    assert run_shell(hub, f"{command} cleanup s1 <&- >&- 2>&-") == Result(0)
    assert not hub.worktree(1).exists()
    assert hub.git("show", "refs/hub/rescue/s1/agent-1/attempt-1/1^3:new") == "x"
    assert hub.state("s1")["state"] == "running"
    result = run_shell(hub, f"{command} init -F - <&-")
    assert (result.code, result.err) == (129, "error: the task is empty\n")


def test_reader_that_closes_the_pipe(hub: Hub) -> None:
    """The command prints no error and exits with 141, as after SIGPIPE."""
    hub.run("init", "-q", "--id", "s1", "-F", "-", stdin="long " * 60000)
    for command in ("git hub-session", "git-hub-session"):
        result = run_shell(
            hub, f'{command} list --format=json | head -c 1; echo "${{PIPESTATUS[0]}}"'
        )
        assert result == Result(0, "{141\n")


SLOW_UPDATE = """\
import os, sys, time
sys.path.insert(0, {checkout!r})
sys.argv[0] = "git-hub-session"
from git_hub_session.main import run_and_exit
import git_hub_session.system.directory
replace = os.replace
def slow(*arguments, **keywords):
    print("now", flush=True)
    time.sleep(30)
    replace(*arguments, **keywords)
os.replace = slow
run_and_exit()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_before_state_json_is_replaced(hub: Hub, number: signal.Signals) -> None:
    """The signal ends the command. It removes the temporary file and keeps the old state."""
    hub.session("s1")
    before = sorted(os.listdir(hub.directory()))
    code = SLOW_UPDATE.format(checkout=str(COMMAND.parent.parent))
    with subprocess.Popen(
        [PYTHON, "-I", "-c", code, "update", "s1", "--state", "running"],
        cwd=hub.top, env=hub.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"now\n"
        assert any(name.endswith(".tmp") for name in os.listdir(hub.directory()))
        process.send_signal(number)
        assert process.wait(timeout=120) == -number
        assert process.stderr.read() == b""
    assert sorted(os.listdir(hub.directory())) == before
    assert hub.run("update", "s1", "--state", "running").code == 0


def test_ignored_signal_remains_ignored(hub: Hub) -> None:
    """`nohup git hub-session ...` continues after SIGHUP, which a closed terminal sends."""
    hub.session("s1")
    program = hub.top.parent / "slow.py"
    code = SLOW_UPDATE.replace("time.sleep(30)", "os.kill(os.getpid(), 1)")
    program.write_text(code.format(checkout=str(COMMAND.parent.parent)))
    command = f"{PYTHON} -I {program} update s1 --state running"
    assert run_shell(hub, f"trap '' HUP; {command}") == Result(
        0, "now\nSession s1: init → running\n"
    )


def find_leftovers(hub: Hub) -> list[str]:
    """Return the lock files and temporary files in the hub and the repository."""
    return [
        os.path.join(directory, name)
        for directory, _, names in os.walk(hub.top)
        for name in names
        if name.endswith((".tmp", ".lock"))
    ]


def test_cleanup_interrupted_at_any_moment(hub: Hub) -> None:
    """No lock or temporary file remains. The next run removes all worktrees and saves all changes.

    SIGTERM arrives before one of the changes of the command.
    """
    hub.session("s1")
    create_changed_worktrees(hub, 1)
    count = count_changes(hub, "cleanup", "s1")
    for attempt, number in enumerate(sample(count, short=8), start=2):
        create_changed_worktrees(hub, attempt)
        code = "os.kill(os.getpid(), signal.SIGTERM)"
        result = run_with_injected_code(hub, "cleanup", "s1", code=code, nth=number)
        assert (result.code, result.err) == (-signal.SIGTERM, ""), (number, result)
        assert find_leftovers(hub) == [], number
        assert hub.run("cleanup", "s1").code == 0
        assert [path for path in Path(hub.worktrees, "s1").iterdir()] == []
        for agent in range(1, 4):
            rescue = f"refs/hub/rescue/s1/agent-{agent}/attempt-{attempt}/1"
            assert hub.git("show", f"{rescue}^3:new") == str(attempt)


def create_changed_worktrees(hub: Hub, attempt: int) -> None:
    """Create the worktrees of an attempt of three agents, each with an untracked file."""
    for agent in range(1, 4):
        path = hub.spawn("s1", agent, attempt=attempt)
        (path / "new").write_text(f"{attempt}\n")
