"""The invariants of a repository after any sequence of commands, when no command runs."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from tests.support.hub import Hub, Result
from tests.support.stores import NEXT

# Files that exist only while this program or git runs.
_PASSING = re.compile(r".*\.(lock|tmp)|hub-session.*|\..*\.hub-trash")


def whole(hub: Hub, *, commits: Iterable[str] = (), gaps: bool = False) -> None:
    """Check the objects of git, the sessions, the `commits`, and that nothing is left over.

    Args:
        commits: commits that must be reachable.
        gaps: see `sessions_are_lawful`.
    """
    checked = hub.call("git", "fsck", "--connectivity-only", "--no-dangling", "--no-progress")
    assert checked == Result(0), checked
    unreachable = set(commits) - reachable(hub)
    assert not unreachable, f"unreachable commits: {unreachable}"
    sessions_are_lawful(hub, gaps=gaps)
    assert leftovers(hub) == [], leftovers(hub)


def reachable(hub: Hub) -> set[str]:
    """Return the commits that a ref or the HEAD of a worktree reaches."""
    return set(hub.git("rev-list", "--all").splitlines())


def sessions_are_lawful(hub: Hub, *, gaps: bool = False) -> None:
    """Check that each session is readable, and that its history leads from `init` to its state.

    With `gaps`, transitions by AgentHub's script are missing in the history.
    """
    for session in hub.json("list")["sessions"]:
        sid = session["session_id"]
        state = hub.state(sid)
        current = "init"
        history = state.get("history", [])
        while "doctor" in (step["verb"] for step in history):  # the doctor starts a new history
            current = history[0]["to"]
            history = history[1:]
        for step in history:
            source = step["from"]
            assert source in (after(current) if gaps else [current]), (sid, state)
            current = step["to"]
            assert current == NEXT.get(source) or (source, current) == END, (sid, state)
        assert state["state"] in (after(current) if gaps else [current]), (sid, state)
        assert session["state"] == state["state"], (sid, state)
        config = hub.directory(sid) / "config.yaml"
        assert f"session_id: {sid}" in config.read_text().replace('"', ""), sid


END = ("evaluating", "archived")


def after(state: str) -> set[str]:
    """Return `state` and the states that legal transitions reach from it."""
    following = {NEXT[state]} if state in NEXT else set()
    following |= {END[1]} if state == END[0] else set()
    return {state}.union(*map(after, following))


def leftovers(hub: Hub) -> list[str]:
    """Return the files and directories that a finished command should have removed."""
    places = [
        hub.top / ".git",
        hub.top / ".agenthub",
        hub.worktrees,
        hub.top.parent / "project.hub",
    ]
    found = [
        os.path.join(directory, name)
        for place in places
        for directory, directories, files in os.walk(place)
        for name in [*directories, *files]
        if _PASSING.fullmatch(name)
    ]
    return sorted(os.path.relpath(path, hub.top.parent) for path in found)


def lost(hub: Hub, contents: Iterable[str]) -> list[str]:
    """Return those of the `contents` that no file of a worktree and no reachable blob has."""
    listed = hub.git("rev-list", "--objects", "--all").splitlines()
    objects = {line.partition(" ")[0] for line in listed}
    missing = {text for text in contents if blob(text) not in objects}
    for place in (hub.top, hub.worktrees, hub.top.parent / "project.hub"):
        for directory, directories, files in os.walk(place):
            directories[:] = [name for name in directories if name not in (".git", ".agenthub")]
            missing -= {Path(directory, name).read_text() for name in files}
    return sorted(missing)


def blob(text: str) -> str:
    """Return the object id of a file with this text."""
    data = text.encode()
    return hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest()
