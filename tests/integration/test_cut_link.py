"""A link between two hosts that is cut while they work. Nothing is lost, and nothing hangs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clones import add_clone, connect
from tests.support.hub import PYTHON, Hub, Result, wait_for
from tests.support.link import Link, link_to_host
from tests.support.remotes import ServedRepository, run_sshd, serve
from tests.support.workers import finish, published_attempts, start_command

pytestmark = pytest.mark.slow
COMMIT = "echo x >work && git add work && git commit -qm work"
_PUSH = """
import os, sys
from git_hub_session.session.project import Project
from git_hub_session.sharing.remote import Remote, RemoteFailed
project = Project({**os.environ}, directory=sys.argv[1])
remote = Remote(project.git, sys.argv[2], silence_limit=1.0, pauses=(0.1,), note=print)
try:
    remote.push(["HEAD:refs/heads/new"])
except RemoteFailed as error:
    print(error.message)
"""


@pytest.fixture
def link() -> Iterator[Link]:
    """Return the link to the host `far`."""
    with link_to_host() as link:
        yield link


@pytest.fixture
def served(link: Link, tmp_path: Path) -> Iterator[ServedRepository]:
    """Return a remote of `git daemon` on this machine."""
    with serve("git", tmp_path / "server", link.near) as served:
        yield served


@pytest.fixture
def first(hub: Hub, served: ServedRepository) -> Hub:
    """Return a clone with a published session of one agent."""
    connect(hub, served.url)
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "1")
    assert hub.run("push", "-q", "s1").code == 0
    return hub


@pytest.fixture
def far(first: Hub, served: ServedRepository) -> Hub:
    """Return a clone that a test uses on the host."""
    return add_clone(first, "far", served.url)


def wait_command(started: Path, go: Path) -> str:
    """Return a shell command that creates a file and waits for another one."""
    return f"touch {started}; until test -e {go}; do sleep 0.05; done"


def test_exec_on(first: Hub, link: Link, tmp_path: Path) -> None:
    """The worker goes on. The same call shows it when the link works again."""
    shared = tmp_path / "server" / "shared.git"
    first.git("remote", "set-url", "origin", f"file://{shared}")
    started, go = tmp_path / "started", tmp_path / "go"
    script = f"{wait_command(started, go)}; echo went on; {COMMIT}"
    words = ("exec", "--on", "ssh:far", "s1", "--", "sh", "-c", script)
    variables = {key: first.environ[key] for key in ("HOME", "PATH")}
    with run_sshd(tmp_path / "keys", variables, link.far, link.prefix) as host:
        alive = "-o ServerAliveInterval=1 -o ServerAliveCountMax=2"
        first.environ["GIT_SSH_COMMAND"] = f"{host.command} {alive}"
        process = start_command(first, *words)
        wait_for(started.exists, process)
        link.cut()
        result = finish(process)
        assert result.code == 1
        assert (
            "error: connection to 'ssh:far' was lost; its worker may go on"
            in result.err.splitlines()
        )
        link.mend()
        second = start_command(first, *words)
        assert second.stderr is not None
        assert second.stderr.readline() == "ssh:far: worker 1 was running already\n"
        go.touch()
        shown = finish(second)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines()[0] == "ssh:far: agent-1 | went on"
    assert [*first.refs("refs/heads/hub/s1")] == ["refs/heads/hub/s1/agent-1/attempt-1"]


def test_work(far: Hub, served: ServedRepository, link: Link, tmp_path: Path) -> None:
    """The renewals of the claim fail while the link is cut. The command goes on."""
    started, go = tmp_path / "started", tmp_path / "go"
    far.git("config", "hubsession.claimTimeout", "3")
    script = f"{COMMIT}; {wait_command(started, go)}"
    process = start_command(far, "work", "s1", "--", "sh", "-c", script, prefix=link.prefix)
    wait_for(started.exists, process)
    link.cut()
    assert process.stderr is not None
    line = process.stderr.readline()
    while "cannot push to 'origin'" not in line:
        assert line, "the worker has ended"
        line = process.stderr.readline()
    link.mend()
    go.touch()
    result = finish(process)
    assert result.code == 0, result
    [tip] = published_attempts(served).values()
    assert served.git("log", "-1", "--format=%s", tip) == "work"
    assert served.refs("refs/hub/claims/") == {}


def test_push(far: Hub, served: ServedRepository, link: Link, tmp_path: Path) -> None:
    """The remote changes its refs, and its answer is lost until the link works again."""
    started, go = tmp_path / "started", tmp_path / "go"
    far.run("fetch", "-q", "s1")
    assert far.run("spawn", "-q", "s1").code == 0
    served.install_hook("pre-receive", wait_command(started, go))
    process = start_command(far, "push", "s1", prefix=link.prefix)
    wait_for(started.exists, process)
    link.cut()
    go.touch()
    wait_for(lambda: bool(published_attempts(served)), process)
    link.mend()
    result = finish(process)
    assert (result.code, result.err) == (0, "")
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]
    again = start_command(far, "push", "--format=json", "s1", prefix=link.prefix)
    [session] = json.loads(finish(again).out)["sessions"]
    assert session["refs"] == []


def test_a_push_into_a_cut_link_ends(far: Hub, served: ServedRepository, link: Link) -> None:
    """git waits for ever. The silence limit ends it, and the ref is unchanged."""
    before = served.refs()
    link.cut()
    words = (*link.prefix, PYTHON, "-c", _PUSH, str(far.top), served.url)
    result = far.call(*words)
    link.mend()
    reason = f"cannot push to '{served.url}': no answer for 1 s"
    assert result == Result(0, f"{reason}; trying again in 0.1 s\n{reason}\n")
    assert served.refs() == before
