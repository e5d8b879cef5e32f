"""Git.add_worktree, which tries again after some failures."""

from __future__ import annotations

import shutil

import pytest

from git_hub_session.errors import GitFailed
from git_hub_session.git.command import Git
from tests.support.hub import Hub


def git_with_failure_hook(hub: Hub, command: str) -> Git:
    """Return a Git whose git runs a shell command after each call that fails."""
    programs = hub.top.parent / "programs"
    programs.mkdir()
    git = shutil.which("git", path=hub.environ["PATH"])
    script = f'#!/bin/sh\n{git} "$@" && exit\nstatus=$?\n{command}\nexit $status\n'
    (programs / "git").write_text(script)
    (programs / "git").chmod(0o755)
    environ = {**hub.environ, "PATH": f"{programs}:{hub.environ['PATH']}"}
    return Git(str(hub.top / ".git"), environ)


@pytest.mark.parametrize("exists", [True, False])
def test_add_is_retried_while_another_git_adds_a_worktree(hub: Hub, *, exists: bool) -> None:
    """git fails on an empty `commondir` before it creates files. The second call succeeds."""
    hub.session(agents=1)
    commondir = hub.top / ".git" / "worktrees" / "agent-1" / "commondir"
    commondir.write_text("")
    path = hub.top.parent / "new"
    if exists:
        path.mkdir()
    git_with_failure_hook(hub, f"echo ../.. >{commondir}").add_worktree(
        str(path), "main", ["--detach"]
    )
    assert (path / "file").read_text() == "first\n"


def test_add_is_not_retried_in_a_directory_with_files(hub: Hub) -> None:
    """The directory has a file of the user, so git is called only once."""
    path = hub.top.parent / "new"
    path.mkdir()
    (path / "mine").write_text("mine\n")
    tries = hub.top.parent / "tries"
    with pytest.raises(GitFailed):
        git_with_failure_hook(hub, f"echo once >>{tries}").add_worktree(
            str(path), "main", ["--detach"]
        )
    assert tries.read_text() == "once\n"
