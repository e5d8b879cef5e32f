"""What does not fit about git, the repository, and the hub as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from shlex import quote

from git_hub_session import hub
from git_hub_session.board import Board
from git_hub_session.errors import HubError
from git_hub_session.operations.doctor.facts import Facts
from git_hub_session.operations.doctor.finding import Finding

_SHOWN = 3  # as many examples as one reads


def look(facts: Facts) -> Iterator[Finding]:
    """All of it."""
    yield from _git(facts)
    if facts.closed is not None:
        fault = facts.closed
        yield Finding("cannot-open", "the repository", fault.message, advice=fault.hint)
    top = facts.scene.place.hub
    if facts.refusal is not None:
        yield Finding(
            "hub-damaged",
            top,
            facts.refusal.message,
            advice=f"look where it leads, then: rm {quote(top)}",
        )
        return
    yield from _copies(facts)
    if os.path.isdir(top):
        yield from _hub(facts, top)
        yield from _strays(facts, top)
    yield from _folded(facts)


def _git(facts: Facts) -> Iterator[Finding]:
    try:
        version, lacking = facts.scene.git.lacking()
    except HubError as fault:
        yield Finding("git-missing", "git", fault.message, advice=fault.hint)
        return
    if lacking:
        needs = ", ".join(f"'git {name}' as in {since}" for name, since in lacking.items())
        evidence = f"it is git {version}, and what is needed is {needs}"
        yield Finding("git-too-old", "git", evidence, advice="put a newer git on PATH")


def _copies(facts: Facts) -> Iterator[Finding]:
    """Sessions that are part of a commit: each checkout gets them, and none of them is the hub."""
    scene, top = facts.scene, facts.scene.place.hub
    main = scene.place.main_worktree
    name = os.path.relpath(top, main) if main else ""
    if not main or name.startswith(".."):
        return
    inside = {"GIT_DIR": scene.place.common_dir, "GIT_WORK_TREE": main}
    try:
        listed = scene.git.run(["ls-files", "-z", "--", f"{name}/sessions"], environ=inside)
    except HubError:
        listed = b""  # said already
    if listed:
        count = listed.count(b"\0")
        yield Finding(
            "hub-copied",
            top,
            f"{count} of its files are tracked by git: who clones the repository gets the sessions",
            advice=f"git rm -r -q --cached {quote(name)} && git commit -m 'untrack the hub'",
        )
    for worktree in facts.worktrees:
        copy = os.path.join(worktree.path, name, "sessions")
        if worktree.path and os.path.isdir(copy):
            yield Finding(
                "hub-copied",
                os.path.dirname(copy),
                "a copy of the hub in a linked worktree, which nobody reads",
                advice="git rm -r -q --cached it, on the branch that has it",
            )


def _hub(facts: Facts, top: str) -> Iterator[Finding]:
    main = facts.scene.place.main_worktree
    if main and os.path.realpath(top).startswith(f"{main}/") and not hub.is_ignored(top):
        yield Finding(
            "hub-not-ignored",
            top,
            "it has no .gitignore: 'git add -A' and 'git clean' take the sessions",
            fix="write one",
        )
    board = Board(top)
    try:
        for channel in board.channels():
            if channel.reason:
                yield Finding(
                    "hub-damaged",
                    f"{top}/board/{channel.name}",
                    channel.reason,
                    advice="look at it, and move it away",
                )
    except (HubError, OSError) as fault:
        yield Finding("hub-damaged", f"{top}/board", str(fault), advice="move it away")
    for note in board.notes:
        why = note.partition(": ")[2] or note
        yield Finding(
            "board-damaged", f"{top}/board", why, fix="count the posts, and write it anew"
        )


def _strays(facts: Facts, top: str) -> Iterator[Finding]:
    for name in hub.half_made(top):
        path, fix = f"{top}/sessions/{name}", "delete it"
        yield Finding("half-made-session", path, "left by an init that was cut off", fix=fix)
    for stray in facts.strays:
        yield Finding(
            "not-a-session",
            f"{top}/sessions/{stray.id}",
            stray.reason,
            advice="move it out of the hub",
        )


def _folded(facts: Facts) -> Iterator[Finding]:
    alike: dict[str, list[str]] = {}
    for sid in facts.sessions:
        alike.setdefault(sid.lower(), []).append(sid)
    for sids in alike.values():
        if len(sids) > 1:
            others = ", ".join(f"'{sid}'" for sid in sids[1 : _SHOWN + 1])
            yield Finding(
                "ids-fold",
                sids[0],
                f"differs from {others} only by case: where names fold case they are one",
                advice="do not clone it to such a disk before one of them is archived",
            )
