"""The paths of a repository are those of git and pygit2, in all layouts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import metadata
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


class Location(NamedTuple):
    """The current directory and the environment of a command, and the expected hub."""

    cwd: Path
    hub: Path
    environ: Mapping[str, str] = {}


def _top(hub: Hub) -> Location:
    return Location(hub.top, hub.top / ".agenthub")


def _subdirectory(hub: Hub) -> Location:
    return Location(hub.top / "sub", hub.top / ".agenthub")


def _in_git_directory(hub: Hub) -> Location:
    return Location(hub.top / ".git" / "refs", hub.top / ".agenthub")


def _through_a_link(hub: Hub) -> Location:
    link = hub.top.parent / "link"
    link.symlink_to(hub.top / "sub")
    return Location(link, hub.top / ".agenthub")


def _detached(hub: Hub) -> Location:
    hub.git("checkout", "-q", "--detach")
    return _top(hub)


def _add_linked_worktree(hub: Hub) -> Path:
    path = hub.top.parent / "linked"
    hub.git("worktree", "add", "-q", path)
    return path


def _linked_worktree(hub: Hub) -> Location:
    return Location(_add_linked_worktree(hub) / "sub", hub.top / ".agenthub")


def _linked_worktree_in_worktree(hub: Hub) -> Location:
    hub.git("worktree", "add", "-q", hub.top / "sub" / "inner")
    return Location(hub.top / "sub" / "inner", hub.top / ".agenthub")


def _relative_links(hub: Hub) -> Location:
    linked = _add_linked_worktree(hub)
    (linked / ".git").write_text("gitdir: ../project/.git/worktrees/linked\n")
    return Location(linked, hub.top / ".agenthub")


def _worktree_settings(hub: Hub) -> Location:
    linked = _add_linked_worktree(hub)
    hub.git("config", "extensions.worktreeConfig", "true")
    hub.git("config", "--worktree", "core.worktree", "..")
    return Location(linked, hub.top / ".agenthub")


def _bare_by_worktree_settings(hub: Hub) -> Location:
    linked = _add_linked_worktree(hub)
    hub.git("config", "extensions.worktreeConfig", "true")
    hub.git("config", "--unset", "core.bare")
    hub.git("config", "--worktree", "core.bare", "true")
    return Location(linked, hub.top / ".git" / "agenthub")


def _bare(hub: Hub) -> Location:
    path = hub.top.parent / "bare"
    hub.git("clone", "-q", "--bare", hub.top, path)
    return Location(path, path / "agenthub")


def _inside_bare(hub: Hub) -> Location:
    location = _bare(hub)
    return Location(location.cwd / "refs" / "heads", location.hub)


def _bare_without_core_bare(hub: Hub) -> Location:
    location = _bare(hub)
    hub.git("config", "--unset", "core.bare", cwd=location.cwd)
    return location


def _linked_worktree_of_bare(hub: Hub) -> Location:
    bare = _bare(hub)
    path = hub.top.parent / "of-bare"
    hub.git("worktree", "add", "-q", "-b", "w", path, cwd=bare.cwd)
    return Location(path / "sub", bare.hub)


def _bare_as_dot_git(hub: Hub) -> Location:
    path = hub.top.parent / "around"
    hub.git("clone", "-q", "--bare", hub.top, path / ".git")
    return Location(path, path / ".git" / "agenthub")


def _linked_worktree_beside_bare_dot_git(hub: Hub) -> Location:
    bare = _bare_as_dot_git(hub)
    hub.git("worktree", "add", "-q", "-b", "w", "w", cwd=bare.cwd)
    return Location(bare.cwd / "w", bare.hub)


def _gitfile_to_bare(hub: Hub) -> Location:
    path = hub.top.parent / "around"
    hub.git("clone", "-q", "--bare", hub.top, path / ".bare")
    (path / ".git").write_text("gitdir: ./.bare\n")
    return Location(path, path / ".bare" / "agenthub")


def _clone_with_separate_git_dir(hub: Hub) -> Path:
    path = hub.top.parent / "separate"
    hub.git("clone", "-q", f"--separate-git-dir={hub.top.parent / 'store'}", hub.top, path)
    return path


def _separate_git_directory(hub: Hub) -> Location:
    path = _clone_with_separate_git_dir(hub)
    return Location(path / "sub", path / ".agenthub")


def _separate_in_hook(hub: Hub) -> Location:
    path = _clone_with_separate_git_dir(hub)
    return Location(path / "sub", path / ".agenthub", {"GIT_DIR": str(hub.top.parent / "store")})


def _separate_by_both(hub: Hub) -> Location:
    path = _clone_with_separate_git_dir(hub)
    return Location(
        hub.top, path / ".agenthub", {"GIT_DIR": "../store", "GIT_WORK_TREE": str(path)}
    )


def _submodule(hub: Hub) -> Location:
    inner = hub.top.parent / "inner"
    hub.git("clone", "-q", hub.top, inner)
    hub.git("submodule", "--quiet", "add", inner, "module")
    return Location(hub.top / "module" / "sub", hub.top / "module" / ".agenthub")


def _linked_worktree_of_submodule(hub: Hub) -> Location:
    location = _submodule(hub)
    path = hub.top.parent / "of-module"
    hub.git("worktree", "add", "-q", "-b", "w", path, cwd=location.cwd)
    return Location(path, location.hub)


def _in_git_directory_of_submodule(hub: Hub) -> Location:
    return Location(hub.top / ".git" / "modules" / "module", _submodule(hub).hub)


def _nested_repository(hub: Hub) -> Location:
    hub.git("init", "-q", hub.top / "nested")
    return Location(hub.top / "nested", hub.top / "nested" / ".agenthub")


def _damaged_git_dir_is_skipped(hub: Hub) -> Location:
    (hub.top / "sub" / ".git").mkdir()
    return Location(hub.top / "sub", hub.top / ".agenthub")


def _git_dir(hub: Hub) -> Location:
    return Location(hub.top.parent, hub.top / ".agenthub", {"GIT_DIR": "project/.git"})


def _git_dir_in_subdirectory(hub: Hub) -> Location:
    # git uses the subdirectory as the worktree. The hub stays at the top.
    return Location(hub.top / "sub", hub.top / ".agenthub", {"GIT_DIR": str(hub.top / ".git")})


def _git_dir_and_work_tree(hub: Hub) -> Location:
    return Location(
        hub.top.parent,
        hub.top / ".agenthub",
        {"GIT_DIR": "project/.git", "GIT_WORK_TREE": "project"},
    )


def _git_dir_names_a_gitfile(hub: Hub) -> Location:
    linked = _add_linked_worktree(hub)
    return Location(linked, hub.top / ".agenthub", {"GIT_DIR": ".git"})


def _git_dir_of_linked_worktree(hub: Hub) -> Location:
    # git exports this value to hooks in a linked worktree.
    linked = _add_linked_worktree(hub)
    return Location(
        linked, hub.top / ".agenthub", {"GIT_DIR": str(hub.top / ".git" / "worktrees" / "linked")}
    )


def _git_dir_of_linked_worktree_of_bare(hub: Hub) -> Location:
    location = _linked_worktree_of_bare(hub)
    git_dir = hub.top.parent / "bare" / "worktrees" / "of-bare"
    return Location(location.cwd.parent, location.hub, {"GIT_DIR": str(git_dir)})


def _git_dir_bare(hub: Hub) -> Location:
    location = _bare(hub)
    return Location(
        hub.top, location.hub, {"GIT_DIR": str(location.cwd), "GIT_IMPLICIT_WORK_TREE": "0"}
    )


def _git_dir_dot_in_push_hook(hub: Hub) -> Location:
    location = _bare(hub)
    return Location(location.cwd, location.hub, {"GIT_DIR": "."})


def _git_dir_of_submodule(hub: Hub) -> Location:
    location = _submodule(hub)
    git_dir = hub.top / ".git" / "modules" / "module"
    return Location(hub.top.parent, location.hub, {"GIT_DIR": str(git_dir)})


def _work_tree_without_git_dir(hub: Hub) -> Location:
    # GIT_WORK_TREE of one call does not change the main worktree. The hub stays there.
    export = hub.top.parent / "export"
    export.mkdir()
    return Location(hub.top / "sub", hub.top / ".agenthub", {"GIT_WORK_TREE": str(export)})


def _bare_option(hub: Hub) -> Location:
    return Location(
        hub.top, hub.top / ".agenthub", {"GIT_DIR": ".git", "GIT_IMPLICIT_WORK_TREE": "0"}
    )


def _common_dir(hub: Hub) -> Location:
    linked = _add_linked_worktree(hub)
    git_dir = hub.top / ".git" / "worktrees" / "linked"
    (git_dir / "commondir").unlink()
    return Location(
        linked,
        hub.top / ".agenthub",
        {"GIT_DIR": str(git_dir), "GIT_COMMON_DIR": str(hub.top / ".git")},
    )


def _common_dir_discovered(hub: Hub) -> Location:
    linked = _add_linked_worktree(hub)
    (hub.top / ".git" / "worktrees" / "linked" / "commondir").unlink()
    return Location(linked, hub.top / ".agenthub", {"GIT_COMMON_DIR": str(hub.top / ".git")})


def _ceiling_is_the_current_directory(hub: Hub) -> Location:
    return Location(hub.top, hub.top / ".agenthub", {"GIT_CEILING_DIRECTORIES": str(hub.top)})


def _odd_names(hub: Hub) -> Location:
    path = hub.top.parent / os.fsdecode(b"we ird\n\xff")
    hub.git("clone", "-q", hub.top, path)
    return Location(path / "sub", path / ".agenthub")


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
    _bare_without_core_bare,
    _linked_worktree_of_bare,
    _bare_as_dot_git,
    _linked_worktree_beside_bare_dot_git,
    _gitfile_to_bare,
    _separate_git_directory,
    _separate_in_hook,
    _separate_by_both,
    _submodule,
    _linked_worktree_of_submodule,
    _in_git_directory_of_submodule,
    _nested_repository,
    _damaged_git_dir_is_skipped,
    _git_dir,
    _git_dir_in_subdirectory,
    _git_dir_and_work_tree,
    _git_dir_names_a_gitfile,
    _git_dir_of_linked_worktree,
    _git_dir_of_linked_worktree_of_bare,
    _git_dir_bare,
    _git_dir_dot_in_push_hook,
    _git_dir_of_submodule,
    _work_tree_without_git_dir,
    _bare_option,
    _common_dir,
    _common_dir_discovered,
    _ceiling_is_the_current_directory,
    _odd_names,
)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_paths_are_those_of_git(hub: Hub, layout: Callable[[Hub], Location]) -> None:
    """The paths equal those of `git rev-parse`, and of pygit2 if it can find the repository."""
    location = layout(hub)
    paths = find_repository(str(location.cwd), {**hub.environ, **location.environ})
    assert (paths.git_dir, paths.common_dir, paths.worktree) == _paths_of_git(hub, location)
    assert paths.hub == str(location.hub)
    version = tuple(int(part) for part in metadata.version("pygit2").split(".")[:2])
    is_readable = layout is not _odd_names or version >= (1, 17)  # not UTF-8
    if not location.environ and paths.worktree and is_readable:  # pygit2 reads no environment
        assert (paths.git_dir, paths.worktree) == _paths_of_pygit2(location.cwd)


def _paths_of_git(hub: Hub, location: Location) -> tuple[str, str, str]:
    def rev_parse(option: str) -> str:
        result = hub.call(
            "git", "rev-parse", "--path-format=absolute", option,
            cwd=location.cwd, environ=location.environ,
        )  # fmt: skip
        return os.path.realpath(result.out.removesuffix("\n")) if result.code == 0 else ""

    return rev_parse("--git-dir"), rev_parse("--git-common-dir"), rev_parse("--show-toplevel")


def _paths_of_pygit2(cwd: Path) -> tuple[str, str]:
    repository = pygit2.Repository(str(cwd))  # pygit2 also searches the parent directories
    return os.path.realpath(repository.path), os.path.realpath(repository.workdir or "/")


def test_hub_named_by_the_environment(hub: Hub) -> None:
    """GIT_HUB_SESSION_DIR names the hub, relative to the current directory."""
    environ = {**hub.environ, "GIT_HUB_SESSION_DIR": "../elsewhere/hub"}
    assert find_repository(str(hub.top), environ).hub == str(hub.top.parent / "elsewhere" / "hub")


def _error_message(cwd: Path, environ: Mapping[str, str]) -> str:
    with pytest.raises((NotARepository, NoMainWorktree)) as raised:
        find_repository(str(cwd), environ)
    return raised.value.message


def test_errors_have_the_messages_of_git(hub: Hub, environ: Mapping[str, str]) -> None:
    outside = hub.top.parent / "outside"
    (outside / "deep").mkdir(parents=True)
    worktree = _add_linked_worktree(hub)
    git_dir = hub.top / ".git" / "worktrees" / "linked"
    (git_dir / "HEAD").write_text("nonsense\n")
    cases = {
        "nothing": (outside, {}),
        "ceiling": (
            hub.top / "sub",
            {"GIT_CEILING_DIRECTORIES": f"relative:{hub.top}"},
        ),
        "named": (hub.top, {"GIT_DIR": "nowhere"}),
        "broken git dir": (worktree, {}),
    }
    for name, (cwd, variables) in cases.items():
        result = hub.call("git", "rev-parse", "--git-dir", cwd=cwd, environ=variables)
        message = _error_message(cwd, {**environ, **variables}).replace("'", "")
        assert result.code == 128, name
        # git 2.55 prints "(null)" for the path.
        git_message = result.err.replace("'", "").replace("(null)", str(git_dir))
        assert git_message == f"fatal: {message}\n", name


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
    """The error names the invalid .git file. The repository above the directory is not used."""
    nested = hub.top / "nested"
    nested.mkdir()
    (nested / ".git").write_bytes(content)
    assert _error_message(nested, environ) == message.format(nested)
    assert hub.call("git", "rev-parse", "--git-dir", cwd=nested).code == 128


def test_an_unknown_main_worktree(hub: Hub) -> None:
    """A separate git dir does not record its main worktree, so the command fails."""
    worktree = _clone_with_separate_git_dir(hub)
    linked = hub.top.parent / "of-separate"
    hub.git("worktree", "add", "-q", "-b", "w", linked, cwd=worktree)
    git_dir = hub.top.parent / "store"
    message = f"cannot find the main worktree of '{git_dir}'"
    assert _error_message(linked, hub.environ) == message
    assert _error_message(git_dir, hub.environ) == message
    assert _error_message(hub.top, {**hub.environ, "GIT_DIR": str(git_dir)}) == message
    paths = find_repository(str(linked), {**hub.environ, "GIT_HUB_SESSION_DIR": "/hub"})
    assert paths == RepositoryPaths(
        str(git_dir / "worktrees" / "of-separate"),
        str(git_dir),
        str(linked),
        "",
        "/hub",
        paths.owners,
        "",
    )


def test_links_in_ceilings(hub: Hub, environ: Mapping[str, str]) -> None:
    """Links in GIT_CEILING_DIRECTORIES are resolved, except after an empty component."""
    link = hub.top.parent / "link"
    link.symlink_to(hub.top)
    for ceilings in (f"{link}", f"/nowhere:{link}", f":{link}", f"/nowhere::{link}"):
        variables = {"GIT_CEILING_DIRECTORIES": ceilings}
        result = hub.call("git", "rev-parse", "--git-dir", cwd=hub.top / "sub", environ=variables)
        try:
            hub_path = find_repository(str(hub.top / "sub"), {**environ, **variables}).hub
        except NotARepository:
            hub_path = ""
        assert bool(hub_path) == (result.code == 0), ceilings
