"""Files that `cleanup` cannot delete. It finds them before it renames or deletes anything."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cleanup import everything, kept, removed, saved
from tests.support.hints import follow_hint, hints, type_hint, types
from tests.support.hub import Hub, Result
from tests.support.interrupt import run_with_injected_code
from tests.support.other_user import (
    AS_USER,
    RUN_COMMAND,
    can_run_as_user,
    give_to_user,
    public_hub,
)

OTHER_USER = 65533

needs_root = pytest.mark.skipif(
    bool(os.geteuid()) or not can_run_as_user(),
    reason="needs root, setpriv, and a checkout that another user can read",
)


@pytest.fixture
def hub(environ: Mapping[str, str]) -> Iterator[Hub]:
    """Return a repository in a directory that the user USER can read."""
    with public_hub(environ) as hub:
        yield hub


@pytest.fixture
def worktree(hub: Hub) -> Path:
    """Return the worktree of the only agent of session s1. It ignores the directory `build`."""
    (hub.top / ".git" / "info").mkdir(exist_ok=True)
    (hub.top / ".git" / "info" / "exclude").write_text("build/\n")
    path = hub.session("s1", agents=1).worktree(1)
    (path / "build").mkdir()
    (path / "build" / "own").write_text("own\n")
    return path


def run_as_user(hub: Hub, *arguments: str) -> Result:
    """Run `git hub-session <arguments>` as USER."""
    return hub.call(*AS_USER, *RUN_COMMAND, *arguments)


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """Make a file or directory immutable."""
    assert path.exists()  # a missing path would skip the test
    if subprocess.run(["chattr", "+i", path], capture_output=True).returncode:
        pytest.skip("needs chattr +i, and a file system that has it")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path])


@needs_root
@types("{}rm -r {}")
def test_directory_of_another_user(hub: Hub, worktree: Path) -> None:
    """A container has created files as another user. Nothing else is deleted."""
    foreign = worktree / "build" / "cache"
    foreign.mkdir()
    (foreign / "object").write_text("built\n")
    give_to_user(hub)
    os.chown(foreign, OTHER_USER, OTHER_USER)
    os.chown(foreign / "object", OTHER_USER, OTHER_USER)
    before = everything(hub)
    result = run_as_user(hub, "cleanup", "s1")
    assert result == kept(
        worktree,
        f"cannot delete the files of another user in '{foreign}'",
        f"sudo rm -r {foreign}",
    )
    assert everything(hub) == before
    assert run_as_user(hub, "cleanup", "-n", "s1").code == 1
    assert hub.call("rm", "-r", foreign) == Result(0)  # root needs no sudo
    follow_hint(hints(result)[0])
    assert run_as_user(hub, "cleanup", "s1") == removed(worktree)


@needs_root
def test_empty_directory_of_another_user(hub: Hub, worktree: Path) -> None:
    """The owner of the parent directory may delete it."""
    foreign = worktree / "build" / "cache"
    foreign.mkdir()
    give_to_user(hub)
    os.chown(foreign, OTHER_USER, OTHER_USER)
    assert run_as_user(hub, "cleanup", "s1") == removed(worktree)


@needs_root
def test_sticky_directory_of_another_user(hub: Hub, worktree: Path) -> None:
    """The directory is writable for all, but only the owner of a file may delete it."""
    shared = worktree / "build" / "shared"
    shared.mkdir()
    (shared / "object").write_text("built\n")
    give_to_user(hub)
    os.chown(shared, OTHER_USER, OTHER_USER)
    os.chown(shared / "object", OTHER_USER, OTHER_USER)
    shared.chmod(0o1777)
    before = everything(hub)
    assert run_as_user(hub, "cleanup", "s1") == kept(
        worktree, f"cannot delete the files of another user in '{shared}'", f"sudo rm -r {shared}"
    )
    assert everything(hub) == before


@needs_root
@types("chmod u+wx {}")
def test_parent_directory_that_is_not_writable(hub: Hub, worktree: Path) -> None:
    give_to_user(hub)
    worktree.parent.chmod(0o555)
    before = everything(hub)
    assert run_as_user(hub, "cleanup", "s1") == kept(
        worktree,
        f"cannot rename or delete anything in '{worktree.parent}': no write permission",
        f"chmod u+wx {worktree.parent}",
    )
    assert everything(hub) == before
    type_hint(hub, f"chmod u+wx {worktree.parent}")
    assert run_as_user(hub, "cleanup", "s1") == removed(worktree)


@needs_root
@types("get write permission for {}")
def test_parent_directory_of_another_user(hub: Hub, worktree: Path) -> None:
    """Only its owner can follow the hint."""
    give_to_user(hub)
    os.chown(worktree.parent, OTHER_USER, OTHER_USER)
    before = everything(hub)
    result = run_as_user(hub, "cleanup", "s1")
    message = f"cannot rename or delete anything in '{worktree.parent}': no write permission"
    hint = f"get write permission for {worktree.parent}"
    assert result == kept(worktree, message, hint)
    assert everything(hub) == before
    worktree.parent.chmod(0o777)
    follow_hint(hint)
    assert run_as_user(hub, "cleanup", "s1") == removed(worktree)


@needs_root
def test_own_directory_that_is_not_writable(hub: Hub, worktree: Path) -> None:
    """The owner can make the directory writable, so the worktree is removed."""
    (worktree / "build").chmod(0o500)
    give_to_user(hub)
    assert run_as_user(hub, "cleanup", "s1") == removed(worktree)


@needs_root
@types("{}chattr -{} {}")
@pytest.mark.parametrize("name", ["build/own", "build", "sub/other", "empty"])
def test_immutable(hub: Hub, worktree: Path, name: str) -> None:
    """Even root cannot delete an immutable file, or a file in an immutable directory."""
    (worktree / "empty").mkdir()
    path = worktree / name
    with immutable(path):
        before = everything(hub)
        result = hub.run("cleanup", "s1")
        message = f"cannot delete '{path}': it is immutable"
        assert result == kept(worktree, message, f"chattr -i {path}")
        assert everything(hub) == before
        type_hint(hub, f"chattr -i {path}")
        assert hub.run("cleanup", "s1") == removed(worktree)


@needs_root
@types("delete {} and run the command again")
def test_immutable_during_the_deletion(hub: Hub, worktree: Path) -> None:
    """The directory was checked and renamed before. After the hint, the removal is finished."""
    directory = worktree.with_name(".agent-1.hub-trash") / "sub"
    with immutable(hub.top):
        pass  # the file system has chattr +i
    code = f"subprocess.run(['chattr', '+i', {str(directory)!r}])"
    try:
        result = run_with_injected_code(hub, "cleanup", "s1", code=code, only="os.remove")
        hint = f"delete {directory / 'other'} and run the command again"
        message = f"cannot delete '{directory / 'other'}': Operation not permitted"
        assert result == kept(worktree, message, hint)
    finally:
        subprocess.run(["chattr", "-i", directory])
    (directory / "other").unlink()
    follow_hint(hint)
    assert hub.run("cleanup", "s1") == removed(worktree)
    assert not directory.parent.exists()


@needs_root
@types("{}chattr -{} {}")
@pytest.mark.parametrize("name", ["build/own", "build", "sub/other", "empty", "", ".git", ".."])
def test_append_only(hub: Hub, worktree: Path, name: str) -> None:
    """Nothing is renamed or saved before the attribute is removed."""
    (worktree / "empty").mkdir()
    (worktree / "new").write_text("new\n")
    path = Path(os.path.normpath(worktree / name))
    if subprocess.run(["chattr", "+a", path], capture_output=True).returncode:
        pytest.skip("needs chattr +a, and a file system that has it")
    try:
        before = everything(hub)
        result = hub.run("cleanup", "s1")
        message = f"cannot delete '{path}': it is append-only"
        assert result == kept(worktree, message, f"chattr -a {path}")
        assert everything(hub) == before
        type_hint(hub, f"chattr -a {path}")
        assert hub.run("cleanup", "s1") == saved(worktree)
    finally:
        subprocess.run(["chattr", "-a", path], capture_output=True)


_DROPPED = "-dac_override,-dac_read_search,-fowner"


def run_without_capabilities(hub: Hub, *arguments: str) -> Result:
    """Run `git hub-session <arguments>` as root in a container without capabilities."""
    drop = ("setpriv", f"--bounding-set={_DROPPED}", f"--inh-caps={_DROPPED}")
    return hub.call(*drop, *RUN_COMMAND, *arguments)


@needs_root
@pytest.mark.parametrize("name", [".", "build"])
def test_read_only_directory_without_capabilities(hub: Hub, worktree: Path, name: str) -> None:
    """A read-only directory of root is not immutable: the removal makes it writable."""
    (worktree / name).chmod(0o555)
    assert run_without_capabilities(hub, "cleanup", "s1") == removed(worktree)
    assert not worktree.exists()


@needs_root
def test_directory_of_another_user_without_capabilities(hub: Hub, worktree: Path) -> None:
    os.chown(worktree / "build", OTHER_USER, OTHER_USER)
    before = everything(hub)
    result = run_without_capabilities(hub, "cleanup", "s1")
    assert result.code == 1
    assert "immutable" not in result.out
    assert f"'{worktree}/build'" in result.out
    assert everything(hub) == before


@needs_root
@types("chmod u+rwx {}")
def test_unreadable_directory(hub: Hub, worktree: Path) -> None:
    """The hint makes the directory readable. Its path is complete."""
    directory = worktree / "build" / "private files"
    directory.mkdir(mode=0o700)
    (directory / "file").write_text("private\n")
    directory.chmod(0)
    command = f"chmod u+rwx '{directory}'"
    message = f"cannot inspect the worktree: Permission denied: '{directory}'"
    assert run_without_capabilities(hub, "cleanup", "s1") == kept(worktree, message, command)
    type_hint(hub, command)
    assert run_without_capabilities(hub, "cleanup", "s1") == removed(worktree)


@needs_root
@pytest.mark.parametrize("name", ["logs/HEAD", "logs", "ORIG_HEAD"])
def test_unreadable_file_of_git(hub: Hub, worktree: Path, name: str) -> None:
    """A commit that only the reflog of a worktree names is not lost. A container wrote the file."""
    hub.git("checkout", "-q", "--detach", cwd=worktree)
    oid = hub.commit(worktree, "new", "new\n")
    hub.git("checkout", "-q", "hub/s1/agent-1/attempt-1", cwd=worktree)
    path = hub.top / ".git" / "worktrees" / "agent-1" / name
    mode = path.stat().st_mode
    path.chmod(0)
    for option in ("-q", "--force"):
        result = run_without_capabilities(hub, "cleanup", option, "s1")
        assert result.code == 1
        message = f"  cannot inspect the worktree: Permission denied: '{path}'\n"
        assert f"{message}  hint: chmod u+rwx {path}\n" in result.out + result.err
    assert worktree.exists()
    path.chmod(mode)
    assert run_without_capabilities(hub, "cleanup", "-q", "s1").code == 0
    hub.git("gc", "-q", "--prune=now")
    assert hub.git("cat-file", "-t", oid) == "commit"


@needs_root
def test_unreadable_reflog_of_an_archived_branch(hub: Hub, worktree: Path) -> None:
    """git would delete the reflog with the branch. The branch stays."""
    lost = hub.commit(worktree, "new", "new\n")
    hub.git("commit", "-q", "--amend", "-m", "amended", cwd=worktree)
    assert hub.run("cleanup", "-q", "s1").code == 0
    path = hub.top / ".git" / "logs" / "refs" / "heads" / "hub" / "s1" / "agent-1" / "attempt-1"
    path.chmod(0)
    refs = hub.refs()
    for command in (("archive", "s1"), ("cleanup", "--archive", "s1")):
        result = run_without_capabilities(hub, *command)
        assert result.code == 1
        warning = f"warning: cannot archive the branches: Permission denied: '{path}'\n"
        assert result.err.startswith(warning)
        assert hub.refs() == refs
    path.chmod(0o644)
    assert run_without_capabilities(hub, "archive", "-q", "s1").code == 0
    hub.git("gc", "-q", "--prune=now")
    assert hub.git("cat-file", "-t", lost) == "commit"


def check_immutable_directory(hub: Hub, directory: Path, subject: str, ended_by: str) -> None:
    """Check that `spawn` and `restore` name the directory, and that `spawn` changes nothing.

    Args:
        ended_by: the command that removes the worktree in between.
    """
    message = f"cannot create {subject} in '{directory}': it is immutable"
    hint = f"chattr -i {directory}"
    before = hub.refs()
    with immutable(directory):
        spawned = hub.run("spawn", "s1")
        assert (spawned, hub.refs()) == (Result(1, "", f"error: {message}\nhint: {hint}\n"), before)
    assert hub.run("spawn", "-q", "s1").code == 0
    hub.run(ended_by, "-q", "s1")
    directory.mkdir(exist_ok=True)  # git removes an empty directory of refs
    with immutable(directory):
        restored = hub.run("restore", "s1")
        assert restored.code == 1
        assert f"{message}\nhint: {hint}\n" in restored.err
        type_hint(hub, hint)
        assert hub.run("restore", "-q", "s1").code == 0


@types("{}chattr -{} {}")
def test_git_dirs_below_an_immutable_directory(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.git("worktree", "add", "-q", hub.top.parent / "other")
    check_immutable_directory(hub, hub.top / ".git" / "worktrees", "a git dir", "cleanup")


@types("{}chattr -{} {}")
@pytest.mark.parametrize("directory", ["refs/heads/hub", "logs/refs/heads/hub", "refs/heads"])
def test_branches_below_an_immutable_directory(hub: Hub, directory: str) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    branches = hub.top / ".git" / directory
    branches.mkdir(exist_ok=True)
    check_immutable_directory(hub, branches, "a branch", "archive")


def test_worktree_of_a_branch_below_an_immutable_directory(hub: Hub) -> None:
    """The branch exists, so nothing is created there."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    hub.run("cleanup", "-q", "s1")
    with immutable(hub.top / ".git" / "refs" / "heads" / "hub"):
        assert hub.run("restore", "-q", "s1").code == 0
