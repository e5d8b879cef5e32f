"""Two and more clones of one repository that share sessions through a remote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.support.hub import Hub, Result


def add_clone(hub: Hub, name: str, url: str, environ: Mapping[str, str] | None = None) -> Hub:
    """Return another clone of the remote, beside the repository `hub`.

    Args:
        url: the URL of the remote, which has the branch main.
        environ: the variables that a client of this remote needs.
    """
    top = hub.top.parent / name / "project"
    top.parent.mkdir()
    clone = Hub(top, {**hub.environ, **(environ or {})})
    clone.git("clone", "-q", url, top, cwd=hub.top.parent)
    return clone


def connect(hub: Hub, url: str, environ: Mapping[str, str] | None = None) -> Hub:
    """Add the remote `origin` to a repository, and push main to it."""
    connected = Hub(hub.top, {**hub.environ, **(environ or {})})
    connected.git("remote", "add", "origin", url)
    connected.git("push", "-q", "origin", "main")
    return connected


def bare_remote(hub: Hub) -> Path:
    """Create an empty bare repository beside the repository `hub`."""
    path = hub.top.parent / "shared.git"
    hub.git("init", "-q", "--bare", path)
    return path


def add_session(hub: Hub) -> None:
    """Create the session s1 with two agents."""
    created = hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    assert created == Result(0, "s1\n")
    assert hub.run("spawn", "-q", "s1").code == 0


def merge_different_winners(first: Hub, second: Hub, sid: str = "s1") -> None:
    """Create agents in one clone of a session, and merge another agent in each clone."""
    assert first.run("spawn", "-q", sid).code == 0
    for number in (1, 2):
        first.commit(Path(first.json("path", sid, str(number))["path"]), f"by-{number}", "work")
    assert first.run("push", sid).code == 0
    assert second.run("fetch").code == 0
    for number, clone in ((1, first), (2, second)):
        assert clone.run("update", sid, "--state", "evaluating").code == 0
        merged = clone.run("merge", sid, "--agent", str(number), "--yes", "--no-cleanup")
        assert merged.code == 0, merged


def post(hub: Hub, author: str) -> None:
    """Write a post to the board of a clone."""
    words = ("board", "post", "results", "--session", "s1", "--author", author, "-m", "x")
    assert hub.run(*words).code == 0


def shared_files(hub: Hub, sid: str = "s1") -> dict[str, str]:
    """Return the files of the record of a session, as `git show` reads them."""
    ref = f"refs/hub/sessions/{sid}"
    paths = hub.git("ls-tree", "-r", "--name-only", ref).splitlines()
    return {path: hub.git("show", f"{ref}:{path}") for path in paths}


def write_claim(hub: Hub, ref: str, **changes: str | int) -> str:
    """Write the claim of a worker on another machine to a ref, and return its object id."""
    values = {
        "host": "gpu1",
        "user": "Bob <bob@example.com>",
        "boot_id": "b",
        "pid": 7,
        "at": "2026-03-17T14:30:22+00:00",
        "generation": 1,
        "nonce": "n",
        **changes,
    }
    blob = hub.git("hash-object", "-w", "--stdin", stdin=json.dumps(values))
    tree = hub.git("mktree", stdin=f"100644 blob {blob}\tclaim.json\n")
    oid = hub.git("commit-tree", "-m", "claim", tree)
    hub.git("update-ref", ref, oid)
    return oid
