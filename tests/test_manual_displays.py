"""The command lines that the manual page shows beside its section EXAMPLES, typed by a user."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.hub import Hub, Result
from tests.support.manual import PAGE, displays

TEXT = PAGE.read_text()
EXAMPLES = displays(TEXT.partition("\n.Sh EXAMPLES\n")[2].partition("\n.Sh ")[0])
DISPLAYS = [each for each in displays(TEXT) if each not in EXAMPLES]
TYPED = (
    "git hub-session exec",
    "git config --global hubsession.executor",
    "git hub-session run --task",
    "git hub-session run -F",
    "git hub-session diff",
    "cd ",
    "git config hubsession.agents",
    "source <(git",
    'eval "$(git',
    "git hub-session restore",
    "git hub-session schema",
    "[hubsession]",
    "git config --add remote",
    "git hub-session --list",
)
# The states of a session, and the grammar of porcelain.
NO_COMMANDS = ("init -> running", "output = *record")
# test_displays_restore_show_and_delete_saved_work types these.
SAVED_WORK = ("git worktree add <path>", "git stash show")


def display(start: str) -> str:
    """Return the only display with this start."""
    assert start in TYPED
    [found] = [each for each in DISPLAYS if each.startswith(start)]
    return found


def type_display(hub: Hub, start: str, **words: str) -> Result:
    """Type the commands of a display with words in the place of <words>. They must succeed."""
    text = display(start)
    for name, word in words.items():
        text = text.replace(f"<{name}>", word)
    result = hub.call("sh", "-e", "-c", text)
    assert result.code == 0, result
    return result


def install_agent(hub: Hub) -> None:
    """Install a `claude` that reads its prompt and commits a faster program, and a benchmark."""
    hub.commit(hub.top, "speed", "9\n")
    hub.commit(hub.top, "bench.py", 'print("ms:", open("speed").read())\n')
    agent = Path(hub.environ["PATH"].partition(":")[0], "claude")
    agent.write_text(
        '#!/bin/sh\ntest "$1" = -p && grep -q "Make it fast" || exit\n'
        'echo $((7 - ${HUB_AGENT#agent-})) >speed; git commit -qam "An idea"\n'
    )
    agent.chmod(0o755)


@pytest.mark.slow
def test_run_and_its_defaults(hub: Hub) -> None:
    """`run` with its options, and with a file .hubsession whose commands are approved."""
    install_agent(hub)
    refused = hub.call("sh", "-c", display("git hub-session run --task"))
    assert (refused.code, "use --yes" in refused.err) == (1, True), refused
    merge = refused.err.splitlines()[-1].removeprefix("hint: ")
    assert hub.call("sh", "-c", merge).code == 0
    assert (hub.top / "speed").read_text() == "4\n"

    hub.commit(hub.top, "speed", "9\n")
    hub.commit(hub.top, ".hubsession", display("[hubsession]"))
    (hub.top / "task.md").write_text("Make it fast\n")
    for name in ("agentCmd", "eval"):
        [value] = hub.json("config", name)["settings"][0]["values"]
        hub.git("config", f"hubsession.{name}", value)
    type_display(hub, "git config hubsession.agents")
    result = hub.call("sh", "-c", f"{display('git hub-session run -F').strip()} --yes")
    assert (result.code, result.err) == (0, ""), result
    assert (hub.top / "speed").read_text() == "2\n"


def test_commands_for_one_agent(hub: Hub) -> None:
    install_agent(hub)
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    hub.run("spawn", "-q", "s1")
    type_display(hub, "git hub-session exec", id="s1")
    worktree = hub.top.parent / "project.hub" / "s1" / "agent-2"
    assert (worktree / "speed").read_text() == "5\n"
    (worktree / "src").mkdir()
    hub.commit(worktree, "src/new", "one\n")
    assert "{+one+}" in type_display(hub, "git hub-session diff").out
    line = f"{display('cd ')}pwd"
    note = "the newest unfinished session is 's1'\n"
    assert hub.call("sh", "-e", "-c", line) == Result(0, f"{worktree}\n", note)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    type_display(hub, "git hub-session restore", id="s1", agent="agent-2")
    assert worktree.is_dir()
    assert not (worktree.parent / "agent-1").exists()


def test_an_executor(hub: Hub) -> None:
    """`ssh gpu1` is a program that runs its last words here."""
    ssh = Path(hub.environ["PATH"].partition(":")[0], "ssh")
    ssh.write_text('#!/bin/sh\ntest "$1" = gpu1 && shift && exec sh -c "$*"\n')
    ssh.chmod(0o755)
    type_display(hub, "git config --global hubsession.executor")
    words = hub.run("completion", "--words", "--", "exec", "--on", "g").out
    assert words == "words\ngpu1\tssh gpu1\n"
    hub.git("init", "-q", "--bare", "../remote")
    hub.git("remote", "add", "origin", str(hub.top.parent / "remote"))
    hub.git("push", "-q", "origin", "main")
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    result = hub.run("exec", "-q", "--on", "gpu1", "s1", "--", "true")
    assert result.code == 0, result


def test_a_mirror_without_the_refs_of_the_hub(hub: Hub) -> None:
    hub.git("init", "-q", "--bare", "../mirror")
    hub.git("remote", "add", "backup", "../mirror")
    hub.session(agents=1)
    hub.git("update-ref", "refs/hub/rescue/s1/agent-1/attempt-1/1", "main")
    type_display(hub, "git config --add remote", name="backup")
    mirror = hub.git("for-each-ref", "--format=%(refname)", cwd=hub.top.parent / "mirror")
    assert mirror.splitlines() == ["refs/heads/main"]
    before = hub.refs()
    assert hub.call("git", "fetch", "-q", "--prune", "backup").code == 0
    assert before.items() <= hub.refs().items()


@pytest.mark.slow
def test_calls_of_agenthub(hub: Hub) -> None:
    hub.session(agents=1)
    result = type_display(hub, "git hub-session --list", id="s1", state="running")
    assert "agent-1: removed ../worktrees/s1/agent-1, kept its branch\n" in result.out
    assert hub.state()["state"] == "running"


def test_a_schema(hub: Hub) -> None:
    result = type_display(hub, "git hub-session schema")
    assert json.loads(result.out)["title"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_lines_for_shells(hub: Hub, shell: str) -> None:
    """Each line for a shell is typed in this shell."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    home = Path(hub.environ["HOME"])
    (home / ".zfunc").mkdir()
    for start in ("source <(git", 'eval "$(git'):
        for line in display(start).splitlines():
            # The function `hubcd` of zsh is loaded like that of bash.
            if line.startswith("eval") and shell == "zsh":
                line = line.replace("bash", "zsh")
            if f" {shell}" in line:
                assert hub.call(shell, "-c", line) == Result(0), line
    if shell == "zsh":
        function = (home / ".zfunc" / "_git-hub-session").read_text()
        assert function == hub.run("completion", "zsh").out


def test_every_display_is_known() -> None:
    known = (*TYPED, *NO_COMMANDS, *SAVED_WORK)
    assert [each for each in DISPLAYS if not each.startswith(known)] == []
    assert len(DISPLAYS) == len(known) == 18
    source = Path(__file__).read_text()
    assert [start for start in TYPED if source.count(start) < 2] == []
