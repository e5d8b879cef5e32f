"""git hub-session exec --on ssh:HOST in a clone without a remote: a repository on the host."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clones import add_clone
from tests.support.hints import find_hint, follow_hint, type_hint, types
from tests.support.hub import Hub, Result, wait_for
from tests.support.remotes import SshHost, run_sshd
from tests.support.workers import finish, start_command

pytestmark = pytest.mark.slow
COMMIT = 'echo "$HUB_AGENT" >work && git add work && git commit -qm work'
_ATTEMPTS = "refs/heads/hub/s1/"


@pytest.fixture
def host(hub: Hub, far_home: Path, tmp_path: Path) -> Iterator[SshHost]:
    """Return the host `far`. The repository has no remote, and a session with two agents."""
    created = hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    assert created == Result(0, "s1\n")
    variables = {"HOME": str(far_home), "PATH": hub.environ["PATH"]}
    with run_sshd(tmp_path / "keys", variables) as host:
        hub.environ["GIT_SSH_COMMAND"] = host.command
        yield host


def execute(hub: Hub, *words: str) -> Result:
    """Run `git hub-session exec --on ssh:far` to its end."""
    return finish(start_command(hub, "exec", "--on", "ssh:far", *words))


def repository(far_home: Path) -> Path:
    """Return the only bare repository on the host."""
    [path] = (far_home / ".cache" / "git-hub-session" / "remotes").iterdir()
    return path


def published(hub: Hub, far_home: Path, prefix: str = "refs/") -> dict[str, str]:
    """Return {ref: object id} of the bare repository on the host."""
    listed = hub.git("ls-remote", str(repository(far_home)), f"{prefix}*").splitlines()
    return {ref: oid for oid, ref in (line.split("\t") for line in listed) if ref != "HEAD"}


def note(far_home: Path) -> str:
    """Return the note about the repository on the host."""
    url = f"ssh://far/~/.cache/git-hub-session/remotes/{repository(far_home).name}"
    return f"no remote is configured: sharing s1 through {url}\n"


def test_the_session_travels_to_the_host(hub: Hub, host: SshHost, far_home: Path) -> None:
    main = hub.git("rev-parse", "main")
    result = execute(hub, "s1", "--", "sh", "-c", COMMIT)
    assert (result.code, result.err) == (0, note(far_home)), result
    theirs = published(hub, far_home)
    attempts = {ref: oid for ref, oid in theirs.items() if ref.startswith(_ATTEMPTS)}
    assert [*attempts] == [f"{_ATTEMPTS}agent-{n}/attempt-1" for n in (1, 2)]
    assert hub.refs(_ATTEMPTS) == attempts
    assert theirs["refs/heads/main"] == main
    assert not [ref for ref in theirs if ref.startswith("refs/hub/claims/")]
    for number in (1, 2):
        tip = attempts[f"{_ATTEMPTS}agent-{number}/attempt-1"]
        assert hub.git("log", "-1", "--format=%an %P", tip) == f"Eve {main}"
    assert hub.git("remote") == ""


def test_the_next_call_uses_the_repository_again(hub: Hub, host: SshHost, far_home: Path) -> None:
    assert execute(hub, "--only", "1", "s1", "--", "sh", "-c", COMMIT).code == 0
    main = hub.commit(hub.top, "file", "later\n")
    words = ("--only", "2", "s1", "--", "sh", "-c", f"cat file; {COMMIT}")
    result = execute(hub, *words)
    assert (result.code, result.err) == (0, note(far_home)), result
    assert [*hub.refs(_ATTEMPTS)] == [f"{_ATTEMPTS}agent-{n}/attempt-1" for n in (1, 2)]
    assert published(hub, far_home)["refs/heads/main"] == main
    clones = [each.parent for each in far_home.glob(".cache/git-hub-session/*/.git")]
    assert len(clones) == 1
    assert hub.git("remote", "get-url", "origin", cwd=clones[0]) == str(repository(far_home))


def test_another_clone_fetches_by_the_url(hub: Hub, host: SshHost, far_home: Path) -> None:
    assert execute(hub, "s1", "--", "sh", "-c", COMMIT).code == 0
    other = add_clone(hub, "other", str(hub.top))
    url = note(far_home).split()[-1]
    assert other.run("fetch", url, "s1").code == 0
    assert other.refs(_ATTEMPTS) == hub.refs(_ATTEMPTS)


@types("git push --force {} {}")
def test_a_base_branch_that_was_rewritten(hub: Hub, host: SshHost, far_home: Path) -> None:
    assert execute(hub, "--only", "1", "s1", "--", "true").code == 0
    hub.git("commit", "-q", "--amend", "-m", "rewritten")
    result = execute(hub, "--only", "2", "s1", "--", "true")
    assert (result.code, result.out) == (1, "")
    assert " refuses 'main': " in result.err
    type_hint(hub, find_hint(result, "git push --force {} {}"))
    assert execute(hub, "--only", "2", "s1", "--", "sh", "-c", COMMIT).code == 0


def test_cancel(hub: Hub, host: SshHost, far_home: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    script = f"{COMMIT}; touch {started}; exec sleep 600"
    words = ("--on", "ssh:far", "--only", "1", "s1", "--", "sh", "-c", script)
    process = start_command(hub, "exec", *words)
    wait_for(started.exists, process)
    os.killpg(process.pid, signal.SIGINT)
    assert finish(process).code in (-signal.SIGINT, 128 + signal.SIGINT)
    assert execute(hub, "--cancel", "s1") == Result(0, "Ended 1 worker on ssh:far\n")
    assert [*hub.refs(_ATTEMPTS)] == [f"{_ATTEMPTS}agent-1/attempt-1"]


def test_a_host_that_cannot_be_reached(hub: Hub, host: SshHost, far_home: Path) -> None:
    host.stop()
    result = execute(hub, "s1", "--", "true")
    host.start()
    assert (result.code, result.out) == (128, "")
    assert result.err.splitlines()[-1] == "fatal: connection to 'ssh:far' failed"
    assert [each.name for each in far_home.iterdir()] == [".gitconfig"]


@types("git remote add origin <url>")
@pytest.mark.parametrize("executors", ["ssh:far,ssh:other", "box"])
def test_executors_that_need_a_remote(hub: Hub, host: SshHost, executors: str) -> None:
    hub.git("config", "--global", "hubsession.executor.box.command", "env")
    command = ("exec", "--on", executors, "s1", "--", "true")
    result = finish(start_command(hub, *command))
    assert (result.code, result.out) == (128, "")
    assert result.err.startswith("fatal: no remote is configured")
    hint = find_hint(result, "git remote add origin <url>")
    hub.git("init", "-q", "--bare", hub.top.parent / "shared.git")
    assert hub.call("sh", "-c", hint.replace("<url>", "../shared.git")).code == 0
    follow_hint(hint)
    hub.git("push", "-q", "origin", "main")
    assert finish(start_command(hub, *command)).code == (1 if "other" in executors else 0)
