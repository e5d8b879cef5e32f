"""What does not fit about git, the repository, and the hub as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from shlex import quote

from git_hub_session.board.board import Board
from git_hub_session.doctor.finding import Finding
from git_hub_session.doctor.snapshot import HubSnapshot
from git_hub_session.errors import GitFailed, HubError, describe_read_error
from git_hub_session.session import layout as hub
from git_hub_session.worktree.checkouts import Checkout

_SHOWN = 3  # as many examples as one reads


def look(facts: HubSnapshot) -> Iterator[Finding]:
    """All of it."""
    yield from check_git(facts)
    if facts.open_error is not None:
        fault = facts.open_error
        yield Finding("cannot-open", "the repository", fault.message, advice=fault.hint)
    top = facts.project.paths.hub
    if facts.hub_error is not None:
        yield Finding(
            "hub-damaged",
            top,
            facts.hub_error.message,
            advice=f"look where it leads, then: rm {quote(top)}",
        )
        return
    yield from check_tracked_hub(facts, top)
    if os.path.isdir(top):
        yield from check_board(top)
        yield from check_invalid_entries(facts, top)
    yield from check_case_conflicts(facts)


def check_git(facts: HubSnapshot) -> Iterator[Finding]:
    try:
        version, lacking = facts.project.git.missing_features()
    except HubError as fault:
        if fault.code == "git-missing":
            yield Finding("git-missing", "git", fault.message, advice=fault.hint)
        return  # else it is the repository, and said
    if lacking:
        needs = ", ".join(f"'git {name}' as in {since}" for name, since in lacking.items())
        evidence = f"it is git {version}, and what is needed is {needs}"
        yield Finding("git-too-old", "git", evidence, advice="put a newer git on PATH")


def check_tracked_hub(facts: HubSnapshot, top: str) -> Iterator[Finding]:
    """Sessions that are part of a commit, or may become one: each checkout gets them, and none of them is the hub."""
    place = facts.project.paths
    main, name = place.main_worktree, _hub_path_in_worktree(place.main_worktree, top)
    if not name:
        return
    around = Checkout(place.common_dir, main)
    if _is_tracked(facts, around, name):
        yield Finding(
            "hub-copied",
            top,
            "git tracks files of it: who checks out a commit that has them gets other sessions in place of these",
            advice=f"cp -r {quote(top)} {quote(top)}.copy; "
            f"git -C {quote(main)} rm -r -q --cached {quote(name)}",
        )
    elif os.path.isdir(top) and not (hub.has_gitignore(top) or _is_ignored(facts, around, name)):
        evidence = "it has no .gitignore: 'git add -A' and 'git clean' take the sessions"
        yield Finding("hub-not-ignored", top, evidence, fix="write one")
    for worktree in facts.worktrees:
        copy = os.path.join(worktree.path, name)
        is_copy = worktree.path and os.path.isdir(f"{copy}/sessions")
        if is_copy and _is_tracked(facts, Checkout(worktree.git_dir, worktree.path), name):
            yield Finding(
                "hub-copied",
                copy,
                "a copy of the hub that git tracks in a linked worktree; nobody reads it",
                advice=f"git -C {quote(worktree.path)} rm -r -q --cached {quote(name)}",
            )


def _hub_path_in_worktree(main: str, top: str) -> str:
    """How the hub is called in the main worktree, '' where it lies elsewhere."""
    name = os.path.relpath(os.path.realpath(top), main) if main else ".."
    return "" if name.startswith("..") or name.split("/")[0] == ".git" else name


def _is_tracked(facts: HubSnapshot, around: Checkout, name: str) -> bool:
    words = ["ls-files", "-z", "--", f":(top,literal){name}/sessions"]
    try:
        return bool(around.git(facts.project).run(words))
    except (HubError, OSError):
        return False  # said already


def _is_ignored(facts: HubSnapshot, around: Checkout, name: str) -> bool:
    words = ["check-ignore", "-q", "--", f"{name}/sessions"]
    try:
        around.git(facts.project).run(words)
    except GitFailed as fault:
        return fault.status != 1
    except HubError:
        return True  # nobody can tell
    return True


def check_board(top: str) -> Iterator[Finding]:
    board = Board(top)
    try:
        for channel in board.channels():
            if channel.reason:
                path = f"{top}/board/{channel.name}"
                yield Finding(
                    "hub-damaged",
                    path,
                    channel.reason,
                    advice=f"look at it, then: mv {quote(path)} {quote(path)}.away",
                )
    except (HubError, OSError) as fault:
        path = f"{top}/board"
        advice = f"look at it, then: mv {quote(path)} {quote(path)}.away"
        yield Finding("hub-damaged", path, describe_read_error(fault), advice=advice)
    for note in board.warnings:
        why = note.partition(": ")[2] or note
        yield Finding(
            "board-damaged", f"{top}/board", why, fix="count the posts, and write it anew"
        )


def check_invalid_entries(facts: HubSnapshot, top: str) -> Iterator[Finding]:
    for name in hub.incomplete_sessions(top):
        path, fix = f"{top}/sessions/{name}", "delete it"
        yield Finding("half-made-session", path, "left by an init that was cut off", fix=fix)
    for stray in facts.invalid_entries:
        yield Finding(
            "not-a-session",
            f"{top}/sessions/{stray.id}",
            stray.reason,
            advice=f"mv {quote(f'{top}/sessions/{stray.id}')} somewhere else",
        )


def check_case_conflicts(facts: HubSnapshot) -> Iterator[Finding]:
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
