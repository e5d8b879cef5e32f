"""push and fetch in clones with other settings, hooks and shapes."""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.support.clones import add_clone, add_session, post, shared_files
from tests.support.hints import find_hint, type_hint, types
from tests.support.hub import Hub, Result
from tests.support.interrupt import run_with_injected_code

BRANCH = "refs/heads/hub/s1/agent-{}/attempt-1"
SETTINGS = {
    "fetch.prune": "true",
    "fetch.pruneTags": "true",
    "fetch.fsckObjects": "true",
    "fetch.writeCommitGraph": "true",
    "push.default": "nothing",
    "push.followTags": "true",
    "push.recurseSubmodules": "only",
    "push.useForceIfIncludes": "true",
    "remote.origin.mirror": "true",
    "remote.origin.prune": "true",
    "remote.origin.push": "refs/heads/*:refs/elsewhere/*",
    "remote.origin.tagOpt": "--tags",
    "submodule.recurse": "true",
    "transfer.hideRefs": "refs/hub",
    "color.ui": "always",
    "core.abbrev": "4",
}


@pytest.fixture
def first(hub: Hub, remote: Path) -> Hub:
    """Return a clone that has pushed a session of two agents."""
    add_session(hub)
    assert hub.run("push").code == 0
    return hub


def remote_refs(hub: Hub, remote: Path) -> str:
    return hub.git("-C", remote, "for-each-ref", "--format=%(refname) %(objectname)")


def test_settings_of_the_user_for_push_and_fetch(first: Hub, remote: Path) -> None:
    other = add_clone(first, "other", str(remote))
    for name, value in SETTINGS.items():
        other.git("config", name, value)
    before = remote_refs(first, remote)
    result = other.run("fetch")
    assert (result.code, result.err) == (0, "")
    post(other, "ada")
    result = other.run("push")
    assert (result.code, result.err) == (0, "")
    names = [line.split()[0] for line in remote_refs(first, remote).splitlines()]
    assert names == [line.split()[0] for line in before.splitlines()]
    assert first.run("fetch").code == 0
    assert shared_files(first) == shared_files(other)


def test_a_hook_of_this_clone_that_refuses(first: Hub, remote: Path) -> None:
    post(first, "ada")
    before = remote_refs(first, remote)
    hook = first.top / ".git" / "hooks" / "pre-push"
    hook.write_text("#!/bin/sh\necho 'not on a \033[31mTuesday' >&2\nexit 1\n")
    hook.chmod(0o755)
    result = first.run("push")
    assert (result.code, result.out) == (128, "")
    assert result.err.startswith("fatal: cannot push to 'origin': not on a ")
    assert "\033" not in result.err
    assert remote_refs(first, remote) == before
    hook.unlink()
    assert first.run("push").code == 0


def test_a_server_without_push_options(first: Hub, remote: Path) -> None:
    post(first, "ada")
    first.git("config", "push.pushOption", "x")
    message = "cannot push to 'origin': the receiving end does not support push options"
    result = first.run("push")
    assert (result.code, result.out) == (128, "")
    assert result.err.startswith(f"fatal: {message}")
    assert "trying again" not in result.err


@pytest.mark.parametrize("hook", ["pre-receive", "update"])
def test_a_server_without_space(first: Hub, remote: Path, hook: str) -> None:
    post(first, "ada")
    script = remote / "hooks" / hook
    script.write_text("#!/bin/sh\necho 'quota exceeded \033[31m' >&2\nexit 1\n")
    script.chmod(0o755)
    before = remote_refs(first, remote)
    result = first.run("push", "--rescue", "--logs")
    assert (result.code, result.out) == (1, "")
    error, hint = result.err.splitlines()
    assert error.startswith("error: 'origin' refuses session 's1': ")
    assert error.endswith("; quota exceeded")
    assert hint == "hint: git hub-session push --rescue --logs origin s1"
    assert "\033" not in result.err
    assert remote_refs(first, remote) == before


def test_a_server_whose_disk_is_full(first: Hub, remote: Path) -> None:
    """Nothing is changed. The line of the hint works when there is space again."""
    disk = first.top.parent / "disk"
    disk.mkdir()
    words = ("mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk))
    if os.geteuid() or first.call(*words).code:
        pytest.skip("only root can create a small file system")
    try:
        full = disk / "full.git"
        first.git("clone", "-q", "--mirror", remote, full)
        first.git("remote", "set-url", "origin", full)
        first.run("push", "-q")
        before = remote_refs(first, full)
        post(first, "ada")
        with pytest.raises(OSError), open(disk / "file", "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        result = first.run("push", "s1")
        assert (result.code, result.out) == (1, ""), result
        assert result.err.startswith("error: 'origin' refuses session 's1': unpacker error ")
        assert "No space left on device" in result.err
        assert result.err.splitlines()[-1] == "hint: git hub-session push origin s1"
        assert remote_refs(first, full) == before
        (disk / "file").unlink()
        assert first.run("push", "s1").code == 0
        assert remote_refs(first, full) != before
    finally:
        first.call("umount", str(disk))


class _BusyHandler(BaseHTTPRequestHandler):
    """Refuse each request, as the rate limit of a hosting service does."""

    requests: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.requests.append(self.path)
        self.send_error(429)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


def run_with_a_busy_server(hub: Hub, remote: Path, verb: str, *words: str) -> Result:
    """Run a command while a server of the web refuses each request, and check its messages.

    `verb` is the start of the messages, such as "push to". The hint repeats the command.
    """
    _BusyHandler.requests.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _BusyHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/x"
        hub.git("remote", "set-url", "origin", url)
        result = hub.run(*words)
        server.shutdown()
        thread.join()
    hub.git("remote", "set-url", "origin", remote)
    error = f"cannot {verb} 'origin': unable to access '{url}/': The requested URL returned error"
    tries = [f"{error}: 429; trying again in {pause} s" for pause in (1, 2, 4)]
    lines = [*tries, f"error: {error}: 429", f"hint: git hub-session {' '.join(words)}"]
    assert (result.code, result.out, result.err.splitlines()) == (1, "", lines)
    assert len(_BusyHandler.requests) == 4
    return result


@pytest.mark.slow
@types("git hub-session fetch {}")
def test_fetch_from_a_server_with_a_rate_limit(first: Hub, remote: Path) -> None:
    words = ("fetch", "--dry-run", "origin", "s1")
    result = run_with_a_busy_server(first, remote, "fetch from", *words)
    done = type_hint(first, find_hint(result, "git hub-session fetch {}"))
    assert done == Result(0, "Session s1 has no changes on origin\n")


@pytest.mark.slow
@types("git hub-session push {}")
def test_a_server_with_a_rate_limit(first: Hub, remote: Path) -> None:
    """The request is sent again with longer pauses, and then the user gets the line to type."""
    post(first, "ada")
    before = remote_refs(first, remote)
    words = ("push", "--rescue", "--logs", "origin", "s1")
    result = run_with_a_busy_server(first, remote, "push to", *words)
    assert remote_refs(first, remote) == before
    type_hint(first, find_hint(result, "git hub-session push {}"))
    assert remote_refs(first, remote) != before


@pytest.mark.parametrize("kind", ["--bare", "--mirror"])
def test_a_bare_clone(first: Hub, remote: Path, kind: str) -> None:
    bare = first.top.parent / "bare.git"
    first.git("clone", "-q", kind, remote, bare)
    clone = Hub(bare, first.environ)
    result = clone.run("fetch")
    assert (result.code, result.err) == (0, "")
    assert clone.run("list", "--format=json").code == 0
    assert [each["session_id"] for each in clone.json("list")["sessions"]] == ["s1"]
    assert clone.run("push").out == "Session s1 is up to date on origin\n"
    exposed = kind == "--mirror"  # git deletes the refs of the hub there, and doctor says so
    found = {each["code"] for each in clone.json("doctor", code=int(exposed))["findings"]}
    assert found == ({"refs-exposed"} if exposed else set())


def test_a_shallow_clone_publishes_its_commits(first: Hub, remote: Path) -> None:
    path = first.top.parent / "project.hub" / "s1" / "agent-1"
    for text in ("one", "two"):
        first.commit(path, "file", text)
    first.run("push")
    shallow = Hub(first.top.parent / "shallow", first.environ)
    first.git("clone", "-q", "--depth", "1", f"file://{remote}", shallow.top)
    assert shallow.run("fetch").code == 0
    shallow.git("switch", "-q", "hub/s1/agent-2/attempt-1")
    tip = shallow.commit(shallow.top, "file", "three")
    assert shallow.run("push").code == 0
    assert BRANCH.format(2) + f" {tip}" in remote_refs(first, remote)
    first.git("-C", remote, "fsck", "--no-dangling")


def test_a_clone_without_the_base_branch(first: Hub, remote: Path) -> None:
    first.git("-C", remote, "branch", "other", "main")
    clone = Hub(first.top.parent / "single", first.environ)
    first.git("clone", "-q", "--single-branch", "-b", "other", remote, clone.top)
    assert clone.run("fetch").code == 0
    assert clone.run("status", "s1").code == 0
    post(clone, "ada")
    assert clone.run("push").code == 0
    assert clone.git("branch", "--list", "main") == ""


def test_a_collection_between_fetch_and_use(first: Hub, remote: Path) -> None:
    tip = first.commit(first.top.parent / "project.hub" / "s1" / "agent-1", "file", "x")
    first.run("push")
    other = add_clone(first, "other", str(remote))
    other.run("fetch")
    other.git("gc", "-q", "--prune=now")
    assert other.refs("refs/heads/hub")[BRANCH.format(1)] == tip
    assert other.git("fsck", "--no-dangling") == ""
    assert other.run("push").out == "Session s1 is up to date on origin\n"


def test_a_worktree_that_is_created_during_a_fetch(first: Hub, remote: Path) -> None:
    other = add_clone(first, "other", str(remote))
    other.run("fetch")
    old = other.refs("refs/heads/hub")[BRANCH.format(1)]
    new = first.commit(first.top.parent / "project.hub" / "s1" / "agent-1", "file", "x")
    first.run("push")
    path = other.top.parent / "late"
    words = ["git", "worktree", "add", "-q", str(path), "hub/s1/agent-1/attempt-1"]
    result = run_with_injected_code(
        other, "fetch", "s1", code=f"subprocess.run({words!r})", opened="state.json"
    )
    assert other.git("rev-parse", "HEAD", cwd=path) == old
    assert other.git("status", "--porcelain", cwd=path) == ""
    kept = f"'hub/s1/agent-1/attempt-1' was not moved to {new[:12]}: a worktree has it checked out"
    assert (result.code, result.err.splitlines()[0]) == (1, f"warning: {kept}")
