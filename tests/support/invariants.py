"""What holds of a repository whatever was done to it, once all is quiet."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from tests.support.hub import Hub, Result
from tests.support.stores import NEXT

# Names that only ever lie about while a command runs, ours or git's.
_PASSING = re.compile(r".*\.(lock|tmp)|hub-session.*|\..*\.hub-trash")


def whole(hub: Hub, *, commits: Iterable[str] = (), gaps: bool = False) -> None:
    """All of it: git's objects, the sessions, every one of the `commits`, and nothing left lying about."""
    checked = hub.call("git", "fsck", "--connectivity-only", "--no-dangling", "--no-progress")
    assert checked == Result(0), checked
    unreachable = set(commits) - reachable(hub)
    assert not unreachable, f"commits that no ref leads to: {unreachable}"
    sessions_are_lawful(hub, gaps=gaps)
    assert leftovers(hub) == [], leftovers(hub)


def reachable(hub: Hub) -> set[str]:
    """The commits that a ref or a worktree's HEAD leads to."""
    return set(hub.git("rev-list", "--all").splitlines())


def sessions_are_lawful(hub: Hub, *, gaps: bool = False) -> None:
    """Each can be read, and its history leads in lawful steps from `init` to where it stands.

    With `gaps` AgentHub's script took some of them, which it writes into no history.
    """
    for session in hub.json("list")["sessions"]:
        sid = session["session_id"]
        state = hub.state(sid)
        stands, history = "init", state.get("history", [])
        while "doctor" in (step["verb"] for step in history):  # it starts anew
            stands, history = history[0]["to"], history[1:]
        for step in history:
            before, source, stands = stands, step["from"], step["to"]
            assert source in (after(before) if gaps else [before]), (sid, state)
            assert stands == NEXT.get(source) or (source, stands) == END, (sid, state)
        assert state["state"] in (after(stands) if gaps else [stands]), (sid, state)
        assert session["state"] == state["state"], (sid, state)
        config = hub.directory(sid) / "config.yaml"
        assert f"session_id: {sid}" in config.read_text().replace('"', ""), sid


END = ("evaluating", "archived")


def after(state: str) -> set[str]:
    """The states that lawful steps lead to from one, itself too."""
    following = {NEXT[state]} if state in NEXT else set()
    following |= {END[1]} if state == END[0] else set()
    return {state}.union(*map(after, following))


def leftovers(hub: Hub) -> list[str]:
    """What a command that ended should have taken away."""
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
    """Which of the `contents` is in no worktree's file, and in nothing that a ref leads to."""
    listed = hub.git("rev-list", "--objects", "--all").splitlines()
    objects = {line.partition(" ")[0] for line in listed}
    missing = {text for text in contents if blob(text) not in objects}
    for place in (hub.top, hub.worktrees, hub.top.parent / "project.hub"):
        for directory, directories, files in os.walk(place):
            directories[:] = [name for name in directories if name not in (".git", ".agenthub")]
            missing -= {Path(directory, name).read_text() for name in files}
    return sorted(missing)


def blob(text: str) -> str:
    """The object id of a file that holds the text."""
    data = text.encode()
    return hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest()
