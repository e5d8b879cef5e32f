"""The paths of a repository are those of git and pygit2, in every layout."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pygit2
import pytest

from git_hub_session.git.discovery import (
    NoMainWorktree,
    NotARepository,
    RepositoryPaths,
    find_repository,
)
from tests.support.hub import Hub


class Spot(NamedTuple):
    """The current directory and the environment of a command, and the expected hub."""

    cwd: Path
    hub: Path
    environ: Mapping[str, str] = {}


def _top(hub: Hub) -> Spot:
    return Spot(hub.top, hub.top / ".agenthub")


def _subdirectory(hub: Hub) -> Spot:
    return Spot(hub.top / "sub", hub.top / ".agenthub")


def _in_git_directory(hub: Hub) -> Spot:
    return Spot(hub.top / ".git" / "refs", hub.top / ".agenthub")


def _through_a_link(hub: Hub) -> Spot:
    link = hub.top.parent / "link"
    link.symlink_to(hub.top / "sub")
    return Spot(link, hub.top / ".agenthub")


def _detached(hub: Hub) -> Spot:
    hub.git("checkout", "-q", "--detach")
    return _top(hub)


def _linked(hub: Hub) -> Path:
    path = hub.top.parent / "linked"
    hub.git("worktree", "add", "-q", path)
    return path


def _linked_worktree(hub: Hub) -> Spot:
    return Spot(_linked(hub) / "sub", hub.top / ".agenthub")


def _linked_worktree_in_worktree(hub: Hub) -> Spot:
    hub.git("worktree", "add", "-q", hub.top / "sub" / "inner")
    return Spot(hub.top / "sub" / "inner", hub.top / ".agenthub")


def _relative_links(hub: Hub) -> Spot:
    linked = _linked(hub)
    (linked / ".git").write_text("gitdir: ../project/.git/worktrees/linked\n")
    return Spot(linked, hub.top / ".agenthub")


def _worktree_settings(hub: Hub) -> Spot:
    linked = _linked(hub)
    hub.git("config", "extensions.worktreeConfig", "true")
    hub.git("config", "--worktree", "core.worktree", "..")
    return Spot(linked, hub.top / ".agenthub")


def _bare_by_worktree_settings(hub: Hub) -> Spot:
    linked = _linked(hub)
    hub.git("config", "extensions.worktreeConfig", "true")
    hub.git("config", "--unset", "core.bare")
    hub.git("config", "--worktree", "core.bare", "true")
    return Spot(linked, hub.top / ".git" / "agenthub")


def _bare(hub: Hub) -> Spot:
    path = hub.top.parent / "bare"
    hub.git("clone", "-q", "--bare", hub.top, path)
    return Spot(path, path / "agenthub")


def _inside_bare(hub: Hub) -> Spot:
    spot = _bare(hub)
    return Spot(spot.cwd / "refs" / "heads", spot.hub)


def _bare_without_saying_so(hub: Hub) -> Spot:
    spot = _bare(hub)
    hub.git("config", "--unset", "core.bare", cwd=spot.cwd)
    return spot


def _linked_to_bare(hub: Hub) -> Spot:
    bare = _bare(hub)
    path = hub.top.parent / "of-bare"
    hub.git("worktree", "add", "-q", "-b", "w", path, cwd=bare.cwd)
    return Spot(path / "sub", bare.hub)


def _bare_as_dot_git(hub: Hub) -> Spot:
    path = hub.top.parent / "around"
    hub.git("clone", "-q", "--bare", hub.top, path / ".git")
    return Spot(path, path / ".git" / "agenthub")


def _linked_beside_bare_dot_git(hub: Hub) -> Spot:
    around = _bare_as_dot_git(hub)
    hub.git("worktree", "add", "-q", "-b", "w", "w", cwd=around.cwd)
    return Spot(around.cwd / "w", around.hub)


def _gitfile_to_bare(hub: Hub) -> Spot:
    path = hub.top.parent / "around"
    hub.git("clone", "-q", "--bare", hub.top, path / ".bare")
    (path / ".git").write_text("gitdir: ./.bare\n")
    return Spot(path, path / ".bare" / "agenthub")


def _separate(hub: Hub) -> Path:
    path = hub.top.parent / "separate"
    hub.git("clone", "-q", f"--separate-git-dir={hub.top.parent / 'store'}", hub.top, path)
    return path


def _separate_git_directory(hub: Hub) -> Spot:
    path = _separate(hub)
    return Spot(path / "sub", path / ".agenthub")


def _separate_in_hook(hub: Hub) -> Spot:
    path = _separate(hub)
    return Spot(path / "sub", path / ".agenthub", {"GIT_DIR": str(hub.top.parent / "store")})


def _separate_by_both(hub: Hub) -> Spot:
    path = _separate(hub)
    return Spot(hub.top, path / ".agenthub", {"GIT_DIR": "../store", "GIT_WORK_TREE": str(path)})


def _submodule(hub: Hub) -> Spot:
    inner = hub.top.parent / "inner"
    hub.git("clone", "-q", hub.top, inner)
    hub.git("submodule", "--quiet", "add", inner, "module")
    return Spot(hub.top / "module" / "sub", hub.top / "module" / ".agenthub")


def _linked_to_submodule(hub: Hub) -> Spot:
    spot = _submodule(hub)
    path = hub.top.parent / "of-module"
    hub.git("worktree", "add", "-q", "-b", "w", path, cwd=spot.cwd)
    return Spot(path, spot.hub)


def _in_git_directory_of_submodule(hub: Hub) -> Spot:
    return Spot(hub.top / ".git" / "modules" / "module", _submodule(hub).hub)


def _nested_repository(hub: Hub) -> Spot:
    hub.git("init", "-q", hub.top / "nested")
    return Spot(hub.top / "nested", hub.top / "nested" / ".agenthub")


def _damaged_git_dir_is_skipped(hub: Hub) -> Spot:
    (hub.top / "sub" / ".git").mkdir()
    return Spot(hub.top / "sub", hub.top / ".agenthub")


def _git_dir(hub: Hub) -> Spot:
    return Spot(hub.top.parent, hub.top / ".agenthub", {"GIT_DIR": "project/.git"})


def _git_dir_from_below(hub: Hub) -> Spot:
    # git then uses the subdirectory as the worktree. The hub does not move.
    return Spot(hub.top / "sub", hub.top / ".agenthub", {"GIT_DIR": str(hub.top / ".git")})


def _git_dir_and_work_tree(hub: Hub) -> Spot:
    return Spot(
        hub.top.parent,
        hub.top / ".agenthub",
        {"GIT_DIR": "project/.git", "GIT_WORK_TREE": "project"},
    )


def _git_dir_names_a_gitfile(hub: Hub) -> Spot:
    linked = _linked(hub)
    return Spot(linked, hub.top / ".agenthub", {"GIT_DIR": ".git"})


def _git_dir_of_linked_worktree(hub: Hub) -> Spot:
    # git exports this value to hooks in a linked worktree.
    linked = _linked(hub)
    return Spot(
        linked, hub.top / ".agenthub", {"GIT_DIR": str(hub.top / ".git" / "worktrees" / "linked")}
    )


def _git_dir_of_linked_to_bare(hub: Hub) -> Spot:
    spot = _linked_to_bare(hub)
    git_dir = hub.top.parent / "bare" / "worktrees" / "of-bare"
    return Spot(spot.cwd.parent, spot.hub, {"GIT_DIR": str(git_dir)})


def _git_dir_bare(hub: Hub) -> Spot:
    spot = _bare(hub)
    return Spot(hub.top, spot.hub, {"GIT_DIR": str(spot.cwd), "GIT_IMPLICIT_WORK_TREE": "0"})


def _git_dir_dot_in_push_hook(hub: Hub) -> Spot:
    spot = _bare(hub)
    return Spot(spot.cwd, spot.hub, {"GIT_DIR": "."})


def _git_dir_of_submodule(hub: Hub) -> Spot:
    spot = _submodule(hub)
    git_dir = hub.top / ".git" / "modules" / "module"
    return Spot(hub.top.parent, spot.hub, {"GIT_DIR": str(git_dir)})


def _work_tree_alone(hub: Hub) -> Spot:
    # A worktree for one call is not the main worktree. The sessions do not move.
    export = hub.top.parent / "export"
    export.mkdir()
    return Spot(hub.top / "sub", hub.top / ".agenthub", {"GIT_WORK_TREE": str(export)})


def _bare_option(hub: Hub) -> Spot:
    return Spot(hub.top, hub.top / ".agenthub", {"GIT_DIR": ".git", "GIT_IMPLICIT_WORK_TREE": "0"})


def _common_dir(hub: Hub) -> Spot:
    linked = _linked(hub)
    entry = hub.top / ".git" / "worktrees" / "linked"
    (entry / "commondir").unlink()
    return Spot(
        linked,
        hub.top / ".agenthub",
        {"GIT_DIR": str(entry), "GIT_COMMON_DIR": str(hub.top / ".git")},
    )


def _common_dir_discovered(hub: Hub) -> Spot:
    linked = _linked(hub)
    (hub.top / ".git" / "worktrees" / "linked" / "commondir").unlink()
    return Spot(linked, hub.top / ".agenthub", {"GIT_COMMON_DIR": str(hub.top / ".git")})


def _ceiling_is_the_current_directory(hub: Hub) -> Spot:
    return Spot(hub.top, hub.top / ".agenthub", {"GIT_CEILING_DIRECTORIES": str(hub.top)})


def _odd_names(hub: Hub) -> Spot:
    path = hub.top.parent / os.fsdecode(b"we ird\n\xff")
    hub.git("clone", "-q", hub.top, path)
    return Spot(path / "sub", path / ".agenthub")


LAYOUTS = (
    _top,
    _subdirectory,
    _in_git_directory,
    _through_a_link,
    _detached,
    _linked_worktree,
    _linked_worktree_in_worktree,
    _relative_links,
    _worktree_settings,
    _bare_by_worktree_settings,
    _bare,
    _inside_bare,
    _bare_without_saying_so,
    _linked_to_bare,
    _bare_as_dot_git,
    _linked_beside_bare_dot_git,
    _gitfile_to_bare,
    _separate_git_directory,
    _separate_in_hook,
    _separate_by_both,
    _submodule,
    _linked_to_submodule,
    _in_git_directory_of_submodule,
    _nested_repository,
    _damaged_git_dir_is_skipped,
    _git_dir,
    _git_dir_from_below,
    _git_dir_and_work_tree,
    _git_dir_names_a_gitfile,
    _git_dir_of_linked_worktree,
    _git_dir_of_linked_to_bare,
    _git_dir_bare,
    _git_dir_dot_in_push_hook,
    _git_dir_of_submodule,
    _work_tree_alone,
    _bare_option,
    _common_dir,
    _common_dir_discovered,
    _ceiling_is_the_current_directory,
    _odd_names,
)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_paths_are_those_of_git(hub: Hub, layout: Callable[[Hub], Spot]) -> None:
    """The paths equal those of git rev-parse, and of pygit2 if it can find the repository."""
    spot = layout(hub)
    paths = find_repository(str(spot.cwd), {**hub.environ, **spot.environ})
    assert (paths.git_dir, paths.common_dir, paths.worktree) == _paths_of_git(hub, spot)
    assert paths.hub == str(spot.hub)
    if not spot.environ and paths.worktree:  # pygit2 does not read the environment
        assert (paths.git_dir, paths.worktree) == _paths_of_pygit2(spot.cwd)


def _paths_of_git(hub: Hub, spot: Spot) -> tuple[str, str, str]:
    def rev_parse(option: str) -> str:
        result = hub.call(
            "git", "rev-parse", "--path-format=absolute", option,
            cwd=spot.cwd, environ=spot.environ,
        )  # fmt: skip
        return os.path.realpath(result.out.removesuffix("\n")) if result.code == 0 else ""

    return rev_parse("--git-dir"), rev_parse("--git-common-dir"), rev_parse("--show-toplevel")


def _paths_of_pygit2(cwd: Path) -> tuple[str, str]:
    repository = pygit2.Repository(str(cwd))  # pygit2 also searches the parent directories
    return os.path.realpath(repository.path), os.path.realpath(repository.workdir or "/")


def test_hub_named_by_the_environment(hub: Hub) -> None:
    """GIT_HUB_SESSION_DIR has priority. It is relative to the current directory."""
    environ = {**hub.environ, "GIT_HUB_SESSION_DIR": "../elsewhere/hub"}
    assert find_repository(str(hub.top), environ).hub == str(hub.top.parent / "elsewhere" / "hub")


def _error_message(cwd: Path, environ: Mapping[str, str]) -> str:
    with pytest.raises((NotARepository, NoMainWorktree)) as raised:
        find_repository(str(cwd), environ)
    return raised.value.message


def test_errors_have_the_messages_of_git(hub: Hub, environ: Mapping[str, str]) -> None:
    """Each error has the message that git itself prints."""
    outside = hub.top.parent / "outside"
    (outside / "deep").mkdir(parents=True)
    gone = _linked(hub)
    broken = hub.top / ".git" / "worktrees" / "linked"
    (broken / "HEAD").write_text("nonsense\n")
    cases = {
        "nothing": (outside, {}),
        "ceiling": (
            hub.top / "sub",
            {"GIT_CEILING_DIRECTORIES": f"relative:{hub.top}"},
        ),
        "named": (hub.top, {"GIT_DIR": "nowhere"}),
        "broken git dir": (gone, {}),
    }
    for name, (cwd, more) in cases.items():
        result = hub.call("git", "rev-parse", "--git-dir", cwd=cwd, environ=more)
        message = _error_message(cwd, {**environ, **more}).replace("'", "")
        assert result.code == 128, name
        # git 2.55 prints "(null)" for the path.
        by_git = result.err.replace("'", "").replace("(null)", str(broken))
        assert by_git == f"fatal: {message}\n", name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nonsense\n", "invalid gitfile format: '{}/.git'"),
        (b"", "invalid gitfile format: '{}/.git'"),
        (b"gitdir: \n", "no path in gitfile: '{}/.git'"),
        (b"gitdir: nowhere\n", "not a git repository: '{}/nowhere'"),
        (b"gitdir: \xff\n", "not a git repository: '{}/\udcff'"),
    ],
)
def test_damaged_gitfile(
    hub: Hub, environ: Mapping[str, str], content: bytes, message: str
) -> None:
    """The error names an invalid .git file. The repository above it is not used instead."""
    nested = hub.top / "nested"
    nested.mkdir()
    (nested / ".git").write_bytes(content)
    assert _error_message(nested, environ) == message.format(nested)
    assert hub.call("git", "rev-parse", "--git-dir", cwd=nested).code == 128


def test_an_unknown_main_worktree(hub: Hub) -> None:
    """A separate git dir does not record its worktree, so the command fails."""
    separate = _separate(hub)
    linked = hub.top.parent / "of-separate"
    hub.git("worktree", "add", "-q", "-b", "w", linked, cwd=separate)
    store = hub.top.parent / "store"
    message = f"cannot find the main worktree of '{store}'"
    assert _error_message(linked, hub.environ) == message
    assert _error_message(store, hub.environ) == message
    assert _error_message(hub.top, {**hub.environ, "GIT_DIR": str(store)}) == message
    named = find_repository(str(linked), {**hub.environ, "GIT_HUB_SESSION_DIR": "/hub"})
    assert named == RepositoryPaths(
        str(store / "worktrees" / "of-separate"), str(store), str(linked), "", "/hub", named.owners
    )


def test_links_in_ceilings(hub: Hub, environ: Mapping[str, str]) -> None:
    """Links in ceilings are resolved, except after an empty component."""
    link = hub.top.parent / "link"
    link.symlink_to(hub.top)
    for ceilings in (f"{link}", f"/nowhere:{link}", f":{link}", f"/nowhere::{link}"):
        more = {"GIT_CEILING_DIRECTORIES": ceilings}
        result = hub.call("git", "rev-parse", "--git-dir", cwd=hub.top / "sub", environ=more)
        try:
            hub_path = find_repository(str(hub.top / "sub"), {**environ, **more}).hub
        except NotARepository:
            hub_path = ""
        assert bool(hub_path) == (result.code == 0), ceilings
