"""The invariants of a repository after any sequence of commands, when no command runs."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from tests.support.hub import Hub, Result
from tests.support.stores import NEXT

# The names of files that exist only while this program or git runs. The file hub-session-id stays.
_TEMPORARY_NAME = re.compile(r".*\.(lock|tmp)|hub-session(?!-id$).*|\..*\.hub-trash")


def check_repository(hub: Hub, *, commits: Iterable[str] = (), gaps: bool = False) -> None:
    """Check git's objects and all sessions, and that no temporary file and no lock is left.

    Args:
        commits: commits that must be reachable.
        gaps: allow transitions that are missing in the history (see `check_sessions`).
    """
    fsck = hub.call("git", "fsck", "--connectivity-only", "--no-dangling", "--no-progress")
    assert fsck == Result(0), fsck
    unreachable = set(commits) - reachable_commits(hub)
    assert not unreachable, f"unreachable commits: {unreachable}"
    check_sessions(hub, gaps=gaps)
    assert leftovers(hub) == [], leftovers(hub)


def reachable_commits(hub: Hub) -> set[str]:
    """Return the commits that a ref or the HEAD of a worktree reaches."""
    return set(hub.git("rev-list", "--all").splitlines())


def check_sessions(hub: Hub, *, gaps: bool = False) -> None:
    """Check that each session is readable, and that its history leads from `init` to its state.

    With `gaps`, transitions may be missing in the history: AgentHub's script does not record them.
    """
    for session in hub.json("list")["sessions"]:
        sid = session["session_id"]
        state = hub.state(sid)
        current = "init"
        history = state.get("history", [])
        while "doctor" in (step["verb"] for step in history):  # `doctor` starts a new history
            current = history[0]["to"]
            history = history[1:]
        before = current
        for step in history:
            source = step["from"]
            # Two clones, or a tool that sets the state back, can make a step from the same state.
            allowed = {before, *reachable_states(current)} if gaps else {current}
            assert source in allowed, (sid, state)
            before, current = source, step["to"]
            assert current == NEXT.get(source) or (source, current) == ARCHIVING, (sid, state)
        assert state["state"] in (reachable_states(current) if gaps else [current]), (sid, state)
        assert session["state"] == state["state"], (sid, state)
        config = hub.directory(sid) / "config.yaml"
        assert f"session_id: {sid}" in config.read_text().replace('"', ""), sid


ARCHIVING = ("evaluating", "archived")
"""The transition that `archive` makes. `NEXT` has all other transitions."""


def reachable_states(state: str) -> set[str]:
    """Return `state` and the states that legal transitions reach from it."""
    next_states = {NEXT[state]} if state in NEXT else set()
    next_states |= {ARCHIVING[1]} if state == ARCHIVING[0] else set()
    return {state}.union(*map(reachable_states, next_states))


def leftovers(hub: Hub) -> list[str]:
    """Return the files and directories that a finished command should have removed."""
    tops = [
        hub.top / ".git",
        hub.top / ".agenthub",
        hub.worktrees,
        hub.top.parent / "project.hub",
    ]
    paths = [
        os.path.join(directory, name)
        for top in tops
        for directory, directories, files in os.walk(top)
        for name in [*directories, *files]
        if _TEMPORARY_NAME.fullmatch(name)
    ]
    return sorted(os.path.relpath(path, hub.top.parent) for path in paths)


def lost_contents(hub: Hub, contents: Iterable[str]) -> list[str]:
    """Return the `contents` that are neither in a file of a worktree nor in a reachable blob."""
    lines = hub.git("rev-list", "--objects", "--all").splitlines()
    objects = {line.partition(" ")[0] for line in lines}
    missing = {text for text in contents if blob_id(text) not in objects}
    for top in (hub.top, hub.worktrees, hub.top.parent / "project.hub"):
        for directory, directories, files in os.walk(top):
            directories[:] = [name for name in directories if name not in (".git", ".agenthub")]
            missing -= {Path(directory, name).read_text() for name in files}
    return sorted(missing)


def blob_id(text: str) -> str:
    """Return the object id of a file with this text."""
    data = text.encode()
    return hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest()
