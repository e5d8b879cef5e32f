"""Checks of git, the repository and the hub as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.board.board import Board
from git_hub_session.doctor.checks.hub_copies import (
    check_copies,
    check_other_hubs,
    check_tracked_hub,
    is_tracked,
    main_git,
)
from git_hub_session.doctor.finding import Finding, Problem, check
from git_hub_session.errors import GitFailed, HubError, describe_read_error
from git_hub_session.git.hidden_hub import HubHidden
from git_hub_session.session import layout
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.doctor.snapshot import HubSnapshot
    from git_hub_session.git.command import GitAt
    from git_hub_session.session.project import Project

_MAX_EXAMPLES = 3


def hub_findings(hub: HubSnapshot) -> Iterator[Finding]:
    """Run the checks of this module."""
    try:
        version, missing = hub.project.git.missing_features()
    except HubError as error:
        yield from check_git_exists(error)
    else:
        yield from check_git_version(version, missing)
    yield from check_repository(hub)
    if hub.hub_error is not None:
        yield from check_hub_directory(hub.project.paths.hub, hub.hub_error)
        return
    path = _path_in_main_worktree(hub)
    if path:
        yield from check_tracked_hub(path, hub)
        yield from check_ignored_hub(path, hub)
    yield from check_copies(hub)
    yield from check_other_hubs(hub)
    if os.path.isdir(hub.project.paths.hub):
        board = Board(hub.project.paths.hub)
        yield from check_channels(board, hub)
        yield from check_board_index(board, hub)
        yield from check_incomplete_sessions(hub)
        yield from check_session_names(hub)
    yield from check_case_conflicts(hub)


def hidden_hub_findings(project: Project) -> list[Finding]:
    """Return the finding about the setting that hides the hub. It has to be corrected first."""
    try:
        _paths = project.paths  # find the hub
    except HubHidden as error:
        return list(check_hidden_hub(error))
    return []


@check("hub-hidden", "core.bare or core.worktree hides the hub")
def check_hidden_hub(error: HubHidden) -> Iterator[Problem]:
    yield Problem("the repository", error.message, advice=error.hint)


@check("git-missing", "git cannot be started")
def check_git_exists(error: HubError) -> Iterator[Problem]:
    # check_repository reports an error that concerns the repository.
    if error.code == "git-missing":
        yield Problem("git", error.message, advice=error.hint)


@check("git-too-old", "git is too old for some commands")
def check_git_version(version: str, missing: Mapping[str, str]) -> Iterator[Problem]:
    if missing:
        needed = ", ".join(f"'git {name}' (since {since})" for name, since in missing.items())
        evidence = f"git {version} does not have {needed}"
        yield Problem("git", evidence, advice="put a newer git on PATH")


@check("cannot-open", "libgit2 cannot open the repository")
def check_repository(hub: HubSnapshot) -> Iterator[Problem]:
    if hub.open_error is not None:
        yield Problem("the repository", hub.open_error.message, advice=hub.open_error.hint)


hub_damaged = check(
    "hub-damaged", "the hub, a session or a channel is a symbolic link or cannot be read"
)


@hub_damaged
def check_hub_directory(path: str, error: HubError) -> Iterator[Problem]:
    yield Problem(path, error.message, advice=f"inspect its target, then: rm {quote_word(path)}")


def write_gitignore(_finding: Finding, hub: HubSnapshot) -> list[str]:
    """Write the .gitignore of the hub."""
    layout.write_gitignore(hub.project.paths.hub)
    return []


@check("hub-not-ignored", "git does not ignore the hub", fix=write_gitignore)
def check_ignored_hub(path: str, hub: HubSnapshot) -> Iterator[Problem]:
    directory = hub.project.paths.hub
    if not os.path.isdir(directory) or layout.has_gitignore(directory):
        return
    git = main_git(hub)
    if not (is_tracked(git, f"{path}/sessions") or _is_ignored(git, path)):
        evidence = "the hub has no .gitignore: 'git add -A' adds it, 'git clean' deletes it"
        yield Problem(directory, evidence, fix="write a .gitignore")


def _path_in_main_worktree(hub: HubSnapshot) -> str:
    """Return the path of the hub relative to the main worktree, or '' if it is outside."""
    main_worktree = hub.project.paths.main_worktree
    if not main_worktree:
        return ""
    path = os.path.relpath(os.path.realpath(hub.project.paths.hub), main_worktree)
    return "" if path.startswith("..") or path.split("/")[0] == ".git" else path


def _is_ignored(git: GitAt, path: str) -> bool:
    """Return True if git ignores the hub, or if git cannot tell."""
    arguments = ["check-ignore", "-q", "--", f"{path}/sessions"]
    try:
        git.run(arguments)
    except GitFailed as error:
        return error.status != 1
    except HubError:
        return True
    return True


@hub_damaged
def check_channels(board: Board, hub: HubSnapshot) -> Iterator[Problem]:
    """Read all channels. `board.warnings` is complete afterward."""
    directory = f"{hub.project.paths.hub}/board"
    try:
        for channel in board.channels():
            if channel.reason:
                path = f"{directory}/{channel.name}"
                yield Problem(path, channel.reason, advice=_move_away_advice(path))
    except (HubError, OSError) as error:
        yield Problem(directory, describe_read_error(error), advice=_move_away_advice(directory))


def _move_away_advice(path: str) -> str:
    return f"inspect it, then: mv {quote_word(path)} {quote_word(path)}.away"


def rebuild_board_index(_finding: Finding, hub: HubSnapshot) -> list[str]:
    """Count the posts and write the index of the board again."""
    Board(hub.project.paths.hub).rebuild_index()
    return []


@check("board-damaged", "the index of the board cannot be read", fix=rebuild_board_index)
def check_board_index(board: Board, hub: HubSnapshot) -> Iterator[Problem]:
    """Report the warnings that the board collected while its channels were read."""
    for warning in board.warnings:
        yield Problem(
            f"{hub.project.paths.hub}/board",
            warning.partition(": ")[2] or warning,
            fix="count the posts and write the index again",
        )


def remove_incomplete_sessions(_finding: Finding, hub: HubSnapshot) -> list[str]:
    """Remove the files that interrupted calls of `init` have left."""
    layout.remove_incomplete_sessions(hub.project.paths.hub)
    return []


@check("half-made-session", "an init was interrupted", fix=remove_incomplete_sessions)
def check_incomplete_sessions(hub: HubSnapshot) -> Iterator[Problem]:
    for name in layout.incomplete_sessions(hub.project.paths.hub):
        path = f"{hub.project.paths.hub}/sessions/{name}"
        yield Problem(path, "an interrupted init left it", fix="delete it")


not_a_session = check("not-a-session", "an entry of the hub is not a session")


@not_a_session
def check_session_names(hub: HubSnapshot) -> Iterator[Problem]:
    """Find directory entries whose name is not a session id."""
    for entry in hub.invalid_entries:
        path = f"{hub.project.paths.hub}/sessions/{entry.id}"
        yield Problem(path, entry.reason, advice=f"mv {quote_word(path)} somewhere else")


@check("ids-fold", "two ids differ only in case")
def check_case_conflicts(hub: HubSnapshot) -> Iterator[Problem]:
    ids_by_folded_id: dict[str, list[str]] = {}
    for sid in hub.sessions:
        ids_by_folded_id.setdefault(sid.lower(), []).append(sid)
    for first, *others in ids_by_folded_id.values():
        if others:
            examples = ", ".join(f"'{sid}'" for sid in others[:_MAX_EXAMPLES])
            yield Problem(
                first,
                f"the id differs from {examples} only in case",
                advice="archive one of them before you clone to a case-insensitive disk",
            )
