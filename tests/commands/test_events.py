"""Events: a command of the user gets each event as JSON, after the change."""

from __future__ import annotations

import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from git_hub_session.programs.background import BackgroundCommand
from tests.support.answers import EVENT, find_differences
from tests.support.hub import CHECKOUT, PYTHON, Hub, Result, is_alive, wait_for
from tests.support.transcripts import code_blocks

EVENTS = ("spawned", "agentDone", "evaluated", "merged", "archived", "cleaned")
SAVE = 'cat >>"$OLDPWD"/events; echo "$HUB_EVENT $HUB_SESSION_ID $PWD" >>"$OLDPWD"/places'
AGENT = 'echo "ms: ${HUB_AGENT#agent-}0" >ms && git commit --allow-empty -qam "By $HUB_AGENT"'
RUN = ("run", "-q", "--id", "s1", "--agents", "2", "--task", "Go", "--agent-cmd", AGENT)
MEASURE = ("--eval", "cat ms", "--metric", "ms", "--direction", "lower", "--baseline", "50")


def is_dead(pid: int) -> bool:
    """Return True if a process does not run."""
    return not is_alive(pid)


def configure(hub: Hub, script: str, *events: str) -> None:
    """Set the command of the events, by default of all events."""
    for event in events or EVENTS:
        hub.git("config", f"hubsession.hook.{event}", script)


@pytest.fixture
def saving(hub: Hub) -> Hub:
    """Return a hub that saves its events."""
    hub.commit(hub.top, "ms", "ms: 50\n")
    target = hub.top.parent
    configure(hub, f"OLDPWD='{target}'; {SAVE}")
    return hub


def events(hub: Hub) -> list[dict[str, Any]]:
    """Return the saved events. Each one must fit the schema."""
    path = hub.top.parent / "events"
    lines = path.read_text().splitlines() if path.exists() else []
    documents = [json.loads(line) for line in lines]
    for document in documents:
        assert find_differences(EVENT, document) == []
    return documents


def names(hub: Hub) -> list[str]:
    """Return the names of the saved events."""
    return [event["event"] for event in events(hub)]


def test_the_events_of_a_run(saving: Hub) -> None:
    assert saving.run(*RUN, *MEASURE, "--yes", "--jobs", "1") == Result(0, "s1\n")
    assert names(saving) == ["spawned", "agentDone", "agentDone", "evaluated", "merged"]
    places = (saving.top.parent / "places").read_text().splitlines()
    assert places == [f"{name} s1 {saving.top}" for name in names(saving)]
    spawned, *done, evaluated, merged = events(saving)
    [first] = [event for event in done if event["agent"] == 1]
    for event in events(saving):
        assert event["repository"] == str(saving.top)
        assert event["session_id"] == "s1"
        assert event["time"] == "2026-03-17T14:30:22.000000+00:00"
    assert [agent["agent"] for agent in spawned["spawned"]] == [1, 2]
    assert (first["agent"], first["exit_code"], first["commits"]) == (1, 0, 1)
    assert [(row["agent"], row["metric"]) for row in evaluated["agents"]] == [
        (1, 10.0),
        (2, 20.0),
    ]
    assert (merged["agent"], merged["state"], merged["value"]) == (1, "merged", 10.0)
    assert merged["commit"] == saving.git("rev-parse", "main")
    assert (merged["files"], merged["dry_run"]) == (1, False)


def test_archive_and_cleanup(saving: Hub) -> None:
    for sid in ("s1", "s2"):
        saving.session(sid, agents=1)
        saving.commit(saving.worktree(1, sid), "file", "x\n")
    assert saving.run("archive", "-q", "s1").code == 0
    assert saving.run("cleanup", "-q", "s2").code == 0
    archived, cleaned = events(saving)
    assert (archived["event"], archived["session_id"], archived["state"]) == (
        "archived",
        "s1",
        "archived",
    )
    assert [each["path"] for each in archived["removed"]] == [str(saving.worktree(1))]
    assert (cleaned["event"], cleaned["session_id"]) == ("cleaned", "s2")
    assert [each["branch"] for each in cleaned["removed"]] == ["hub/s2/agent-1/attempt-1"]


def test_ancestors_that_a_merge_archives(saving: Hub) -> None:
    script = AGENT.replace("0", "$((9 - $(git rev-list --count HEAD)))")
    run = [script if word is AGENT else word for word in RUN]
    assert saving.run(*run, *MEASURE, "--yes", "--rounds", "2").code == 0
    finished = [(each["event"], each["session_id"]) for each in events(saving)][-2:]
    assert finished == [("merged", "s1-r2"), ("archived", "s1")]
    assert [saving.state(sid)["state"] for sid in ("s1-r2", "s1")] == ["merged", "archived"]


def test_no_event_without_a_change(saving: Hub) -> None:
    """Dry runs, commands that find nothing to do, and commands that are refused."""
    saving.session("s1", agents=2)
    for words in (
        ("spawn", "-n", "s1"),
        ("spawn", "s1"),
        ("exec", "-n", "s1", "--", "true"),
        ("eval", "-n", "s1"),
        ("archive", "-n", "s1"),
        ("cleanup", "-n", "s1"),
        (*RUN[:-4], "-n", *RUN[-4:]),
    ):
        saving.run(*words)
        assert events(saving) == [], words
    assert saving.run("cleanup", "-q", "s1").code == 0
    assert saving.run("cleanup", "-q", "s1").code == 0
    assert names(saving) == ["cleaned"]
    assert saving.run("merge", "--yes", "s1").code != 0
    assert names(saving) == ["cleaned"]


def test_a_failure_is_a_warning(hub: Hub) -> None:
    """Nothing is undone, the exit status does not change, and `-q` does not hide the warning."""
    configure(hub, "echo out; echo err >&2; exit 3")
    hub.session("s1")
    result = hub.run("spawn", "-q", "s1")
    warning = "out\nerr\nwarning: the command of hubsession.hook.spawned failed (exit 3)\n"
    assert result == Result(0, "", warning)
    assert hub.state()["state"] == "running"
    result = hub.run("exec", "-q", "s1", "--", "true")
    assert result == Result(0, "", warning.replace("spawned", "agentDone"))
    configure(hub, "kill -9 $$", "archived")
    assert hub.run("archive", "-q", "s1").err == (
        "warning: the command of hubsession.hook.archived failed (exit 137)\n"
    )
    assert hub.state()["state"] == "archived"


def test_standard_output_stays_json(hub: Hub) -> None:
    configure(hub, "echo noise", "spawned")
    hub.session("s1")
    assert hub.json("spawn", "s1")["session_id"] == "s1"


def test_input_that_is_not_read(hub: Hub) -> None:
    """A command that ends at once gets no SIGPIPE, whatever the size of the event."""
    hub.session("s1", agents=1)
    configure(hub, "true", "cleaned")
    assert hub.run("cleanup", "-q", "s1") == Result(0)


def test_no_lock_is_held(hub: Hub) -> None:
    """The command can read and change the session."""
    configure(
        hub, "git hub-session status s1 >/dev/null && git hub-session archive -q s1", "spawned"
    )
    hub.session("s1")
    assert hub.run("spawn", "-q", "s1", environ={"HUB_TEST_LOCK_WAIT": "0.1"}) == Result(0)
    assert hub.state()["state"] == "archived"


def test_git_finds_the_main_worktree(hub: Hub) -> None:
    """The variables of a hook of git do not reach the command."""
    out = hub.top.parent / "out"
    configure(hub, f"git rev-parse --show-toplevel --git-dir >'{out}'", "spawned")
    hub.session("s1")
    hub.session("s2", agents=1)
    where = hub.worktree(1, "s2")
    git_dir = hub.git("rev-parse", "--absolute-git-dir", cwd=where)
    environ = {"GIT_DIR": git_dir, "GIT_PREFIX": "sub/"}
    assert hub.run("spawn", "-q", "s1", cwd=where, environ=environ).code == 0
    assert out.read_text() == f"{hub.top}\n.git\n"


def test_a_tracked_file_sets_no_command(hub: Hub) -> None:
    hub.commit(hub.top, ".hubsession", '[hubsession "hook"]\n\tspawned = touch ../made\n')
    hub.session("s1")
    warning = "warning: '.hubsession': only 'git config' can set: 'hubsession.hook.spawned'\n"
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert hub.run("config", "hook.spawned").err == warning
    assert not (hub.top.parent / "made").exists()


def test_a_value_that_is_no_text(hub: Hub) -> None:
    """The change was made before, so the invalid value is only a warning."""
    hub.session("s1")
    with (hub.top / ".git" / "config").open("ab") as file:
        file.write(b'[hubsession "hook"]\n\tspawned = \377\n\tagentDone = \377\n')
    warning = "warning: the value of hubsession.hook.{} is not UTF-8\n"
    assert hub.run("spawn", "-q", "s1") == Result(0, "", warning.format("spawned"))
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0, "", warning.format("agentDone"))


def test_a_bare_repository(hub: Hub, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    hub.git("clone", "-q", "--bare", hub.top, bare)
    place = Hub(bare, hub.environ)
    out = tmp_path / "out"
    place.git("config", "hubsession.hook.spawned", f"cat >'{out}'; pwd >>'{out}'")
    assert place.run("init", "-q", "--id", "s1", "--task", "x", "--agents", "1").code == 0
    assert place.run("spawn", "-q", "s1") == Result(0)
    document, directory = out.read_text().splitlines()
    assert (json.loads(document)["repository"], directory) == (str(bare), str(bare))


def test_a_background_process_is_left(hub: Hub, tmp_path: Path) -> None:
    """As with git's hooks, the command does not wait for the process and does not end it."""
    pid, release = tmp_path / "pid", tmp_path / "release"
    os.mkfifo(release)
    configure(hub, f"(read line <'{release}') & echo $! >'{pid}'", "spawned")
    hub.session("s1")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert is_alive(int(pid.read_text()))
    release.write_text("end\n")
    wait_for(lambda: not is_alive(int(pid.read_text())))


def test_the_time_limit(tmp_path: Path) -> None:
    """The whole process group ends, also a process that ignores SIGTERM."""
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 600 & echo $! $$ >'{pids}.new'; mv '{pids}.new' '{pids}'; wait"
    command = BackgroundCommand(script, str(tmp_path), {"PATH": os.environ["PATH"]}, b"")
    wait_for(pids.exists)
    assert command.wait(0.0) is None
    for pid in map(int, pids.read_text().split()):
        wait_for(partial(is_dead, pid))


def test_a_slow_command_is_reported(hub: Hub) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\n"
        "from git_hub_session.events import send; send.TIME_LIMIT = 0.0\n"
        "from git_hub_session.main import run_and_exit; run_and_exit()"
    )
    configure(hub, "sleep 600", "spawned")
    hub.session("s1")
    result = hub.call(PYTHON, "-I", "-c", program, "spawn", "-q", "s1")
    warning = "warning: the command of hubsession.hook.spawned was ended after 0 seconds\n"
    assert result == Result(0, "", warning)


@pytest.mark.skipif(not shutil.which("jq"), reason="the examples use jq")
def test_the_examples_of_the_document(hub: Hub) -> None:
    """Run the commands of docs/format.md with a notify-send and a curl that save what they get."""
    section = (CHECKOUT / "docs" / "format.md").read_text().partition("\n## Events\n")[2]
    [example] = code_blocks(section.partition("\n## ")[0], "sh")
    out = hub.top.parent / "out"
    for program, script in {
        "notify-send": 'printf "%s|" "$@"; echo',
        "curl": 'printf "%s|" "$@"; cat',
    }.items():
        path = hub.top.parent / "bin" / program
        path.write_text(f"#!/bin/sh\n{{ {script}; }} >>'{out}'\n")
        path.chmod(0o755)
    assert hub.call("sh", "-ec", example) == Result(0)
    hub.session("s1", task='A "quoted" task')
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0)
    notified = out.read_text().splitlines()
    assert notified == ["Session s1|agent-1 has finished|"]
    out.unlink()
    hub.commit(hub.top.parent / "project.hub" / "s1" / "agent-1", "file", "new\n")
    assert hub.run("eval", "-q", "--ranking", "1", "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    words, _, text = out.read_text().rpartition("|")
    assert words.endswith("|https://chat.example.com/hook")
    assert json.loads(text)["text"] == "agent-1 of session s1 was merged into main"
