"""git as it is called: what is tried again."""

from __future__ import annotations

import shutil

import pytest

from git_hub_session.errors import GitFailed
from git_hub_session.git.command import Git
from tests.support.hub import Hub


def git_that(hub: Hub, failed: str) -> Git:
    """A git that runs the shell command `failed` after each call that fails."""
    programs = hub.top.parent / "programs"
    programs.mkdir()
    real = shutil.which("git", path=hub.environ["PATH"])
    script = f'#!/bin/sh\n{real} "$@" && exit\nstatus=$?\n{failed}\nexit $status\n'
    (programs / "git").write_text(script)
    (programs / "git").chmod(0o755)
    environ = {**hub.environ, "PATH": f"{programs}:{hub.environ['PATH']}"}
    return Git(str(hub.top / ".git"), environ)


@pytest.mark.parametrize("is_there", [True, False])
def test_an_entry_that_another_git_is_making(hub: Hub, *, is_there: bool) -> None:
    """git dies of an empty `commondir`. It has made nothing then, also in an empty directory."""
    hub.session(agents=1)
    commondir = hub.top / ".git" / "worktrees" / "agent-1" / "commondir"
    commondir.write_text("")
    where = hub.top.parent / "new"
    if is_there:
        where.mkdir()
    git_that(hub, f"echo ../.. >{commondir}").add_worktree(str(where), "main", ["--detach"])
    assert (where / "file").read_text() == "first\n"


def test_a_directory_that_is_in_the_way(hub: Hub) -> None:
    """git is not asked again: somebody's file is there."""
    where = hub.top.parent / "new"
    where.mkdir()
    (where / "mine").write_text("mine\n")
    tries = hub.top.parent / "tries"
    with pytest.raises(GitFailed):
        git_that(hub, f"echo once >>{tries}").add_worktree(str(where), "main", ["--detach"])
    assert tries.read_text() == "once\n"
