"""git hub-session watch in a real repository, without Textual."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from git_hub_session.session.project import Project
from git_hub_session.watch.collect import Collector
from git_hub_session.watch.facts import WatchedAgent, WatchedSession
from tests.support.hub import NOW, Hub, Result, process_in, snapshot, wait_for


@pytest.fixture
def spawned(hub: Hub) -> Hub:
    """Return a session with two agents and their worktrees."""
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast\nand small", "--agents", "2")
    hub.run("spawn", "-q", "s1")
    return hub


def worktree(hub: Hub, agent: int = 1) -> Path:
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


@contextmanager
def running_exec(hub: Hub, script: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command for all agents during the `with` block."""
    words = ["git", "hub-session", "exec", "-q", "s1", "--", "sh", "-c", script]
    with subprocess.Popen(
        words, cwd=hub.top, env=hub.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def collector(hub: Hub, monkeypatch: pytest.MonkeyPatch, sid: str | None = None) -> Collector:
    monkeypatch.chdir(hub.top)
    project = Project({**hub.environ, "GIT_TEST_DATE_NOW": str(NOW)})
    return Collector(project, None if sid is None else project.store.ids()[0])


def one_session(watched: Collector) -> WatchedSession:
    [session] = watched.collect().sessions
    return session


def one_agent(watched: Collector, number: int = 1) -> WatchedAgent:
    return next(each for each in one_session(watched).agents if each.progress.agent == number)


def test_without_a_terminal_the_table_is_printed_once(spawned: Hub) -> None:
    """It changes nothing, and the output lists what each agent left."""
    script = '[ $HUB_AGENT = agent-2 ] && { echo "no luck"; exit 3; }; echo done >new; echo ok'
    spawned.run("exec", "-q", "s1", "--", "sh", "-c", script)
    files = snapshot(spawned.top), snapshot(worktree(spawned).parent)
    assert spawned.run("watch") == Result(
        0,
        "1 session, 2 agents, 3 need you\n"
        "AGENT      STATE        NEXT    FILES  OUTPUT\n"
        "s1         running 2/2  eval           Make it fast\n"
        "  agent-2  failed (3)   look           no luck\n"
        "  agent-1  done         commit      1  ok\n",
    )
    assert spawned.run("watch", "s1") == spawned.run("watch", "s")
    assert (snapshot(spawned.top), snapshot(worktree(spawned).parent)) == files


def test_an_empty_hub(hub: Hub) -> None:
    assert hub.run("watch") == Result(0, "0 sessions, 0 agents, none needs you\n")
    assert hub.run("watch", "s1").code == 128


def test_finished_sessions_are_shown_by_id_only(hub: Hub) -> None:
    hub.session("s1").session("s2")
    for state in ("running", "evaluating", "archived"):
        hub.run("update", "-q", "s2", "--state", state)
    assert hub.run("watch").out.splitlines()[2:] == ["s1     init   spawn  Make it fast"]
    assert hub.run("watch", "s2").out.splitlines()[2:] == ["s2     archived  Make it fast"]


def test_a_damaged_session_does_not_hide_the_others(hub: Hub) -> None:
    hub.session("s1").session("s2")
    (hub.directory("s2") / "state.json").write_text("{")
    lines = hub.run("watch").out.splitlines()
    assert lines[0] == "2 sessions, 0 agents, 2 need you"
    assert lines[2].startswith("s2     broken  look   ")
    assert lines[3] == "s1     init    spawn  Make it fast"


@pytest.mark.parametrize("value", ["0", "x", "-1s"])
def test_an_interval_is_a_time(hub: Hub, value: str) -> None:
    assert hub.run("watch", f"--interval={value}").code == 129


def test_each_change_is_seen_at_the_next_refresh(
    spawned: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first refresh fills the caches, so each later one finds only what has changed."""
    watched = collector(spawned, monkeypatch)
    agent = one_agent(watched)
    assert agent == WatchedAgent(agent.progress, worktree=str(worktree(spawned)))
    assert (agent.progress.state, agent.progress.uncommitted) == ("ready", 0)
    tip = spawned.commit(worktree(spawned), "new", "text", message="Add a file")
    assert one_agent(watched).subject == "Add a file"
    spawned.git("pack-refs", "--all")
    assert one_agent(watched).subject == "Add a file"
    spawned.git("reset", "-q", "--hard", f"{tip}^", cwd=worktree(spawned))
    assert one_agent(watched).subject == ""
    spawned.run("board", "post", "progress", "-m", "half way", cwd=worktree(spawned))
    post = one_agent(watched).post
    assert post is not None
    assert post.text == "half way"
    spawned.git("worktree", "remove", worktree(spawned))
    assert one_agent(watched).worktree == ""
    spawned.run("update", "-q", "s1", "--state", "evaluating")
    assert one_session(watched).state == "evaluating"


def test_new_files_are_counted_while_a_process_works(
    spawned: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file of git tells that a file has changed. A scan finds it within some refreshes."""
    watched = collector(spawned, monkeypatch)
    with process_in(worktree(spawned)) as pid:
        assert one_agent(watched).pids == (pid,)
        (worktree(spawned) / "new").write_text("text")
        wait_for(lambda: one_agent(watched).progress.uncommitted == 1)
    (worktree(spawned) / "new").unlink()
    spawned.git("update-index", "--refresh", cwd=worktree(spawned))
    wait_for(lambda: one_agent(watched).pids == ())


def test_a_running_command(spawned: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its time and its output are shown. A killed run needs a look."""
    watched = collector(spawned, monkeypatch, "s1")
    go = tmp_path / "go"
    script = f"printf '\\033[31mone\\033[0m\\n'; while [ ! -e {go} ]; do sleep 0.05; done; echo two"
    with running_exec(spawned, script) as process:
        wait_for(lambda: one_agent(watched).output == ("one",), process)
        agent = one_agent(watched)
        assert agent.progress.state == "running"
        assert agent.progress.started is not None
        assert agent.output_time is not None
        assert agent.pids
        go.touch()
        wait_for(lambda: one_agent(watched).output == ("one", "two"))
        wait_for(lambda: one_agent(watched).progress.state == "done")


def test_a_log_that_is_a_link_is_not_read(spawned: Hub, tmp_path: Path) -> None:
    """A cloned hub could contain a link to any file of the user."""
    spawned.run("exec", "-q", "s1", "--", "echo", "text")
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    log = spawned.directory() / "output" / "exec-1" / "agent-1.log"
    log.unlink()
    log.symlink_to(secret)
    assert "secret" not in spawned.run("watch").out


def test_a_deleted_repository_is_reported(spawned: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = collector(spawned, monkeypatch)
    assert watched.collect().error == ""
    os.rename(spawned.top / ".agenthub", spawned.top / "moved")
    assert watched.collect().sessions == ()
    os.rename(spawned.top / "moved", spawned.top / ".agenthub")
    assert len(watched.collect().sessions) == 1
