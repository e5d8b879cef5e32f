"""The worktrees that `cleanup` keeps, with exit code 1, a reason and no change."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cleanup import (
    everything,
    kept,
    read_content,
    removed,
    repair_commands,
    run_restore_commands,
    saved,
    shown_path,
)
from tests.support.doctor import list_findings
from tests.support.hints import type_hint, types
from tests.support.hub import Hub, Result, snapshot, wait_until_started

ABORT = "git hub-session cleanup --force s1"
DOCTOR = "git hub-session doctor s1"


@pytest.fixture
def worktree(hub: Hub) -> Path:
    """Return the worktree of the only agent of session s1. The worktree has one commit."""
    path = hub.session("s1", agents=1).worktree(1)
    hub.commit(path, "file", "second\n")
    return path


def worktree_git_dir(hub: Hub, name: str = "agent-1") -> Path:
    """Return the git dir of a worktree."""
    return hub.top / ".git" / "worktrees" / name


def assert_kept(hub: Hub, expected: Result, *arguments: str, cwd: Path | None = None) -> None:
    """Run `cleanup`, compare the result, and check that no file or ref has changed."""
    before = everything(hub)
    assert hub.run("cleanup", "--dry-run", *arguments, "s1", cwd=cwd).code == 1
    assert everything(hub) == before
    assert hub.run("cleanup", *arguments, "s1", cwd=cwd) == expected
    assert everything(hub) == before


@contextmanager
def start_process(cwd: Path) -> Iterator[int]:
    """Run a process in the directory `cwd`, and yield its id."""
    process = subprocess.Popen(["sleep", "600"], cwd=cwd)
    wait_until_started(process)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("arguments", [(), ("--force",), ("--force", "--discard", "--archive")])
def test_locked(hub: Hub, worktree: Path, arguments: tuple[str, ...]) -> None:
    """No option overrides a lock. The reason of the lock is printed."""
    hub.git("worktree", "lock", "--reason", "on a stick\n\x1b[2J", worktree)
    unlock = f"git worktree unlock {worktree}"
    expected = kept(worktree, "locked: on a stick\\n\\x1b[2J", unlock)
    if "--archive" in arguments:
        first, *lines = expected.out.splitlines()
        first += ", kept branch: checked out in a worktree"
        expected = Result(1, "\n".join([first, *lines]) + "\n")
    assert_kept(hub, expected, *arguments)
    hub.call("sh", "-c", unlock)
    assert hub.run("cleanup", "s1") == removed(worktree)


def test_locked_and_missing(hub: Hub, worktree: Path) -> None:
    """A worktree on a removable disk is locked while the disk is not mounted."""
    hub.git("worktree", "lock", worktree)
    worktree.rename(worktree.parent / "unplugged")
    assert_kept(
        hub, kept(worktree, "locked", f"git worktree unlock {worktree}"), "--force", "--discard"
    )


def start_merge(hub: Hub, worktree: Path) -> str:
    """Start a merge without a conflict, and return the name of the operation."""
    hub.git("branch", "other", "main")
    other = hub.worktrees / "other"
    hub.git("worktree", "add", "-q", other, "other")
    hub.commit(other, "new", "other\n")
    hub.git("worktree", "remove", other)
    hub.git("merge", "-q", "--no-ff", "--no-commit", "other", cwd=worktree)
    return "merge"


def commit_on_other_branch(hub: Hub, worktree: Path) -> str:
    """Commit a change on the branch `other` that conflicts with the worktree. Return the commit."""
    other = hub.worktrees / "other"
    hub.git("worktree", "add", "-q", "-b", "other", other, "main")
    oid = hub.commit(other, "file", "other\n")
    hub.git("worktree", "remove", other)
    return oid


def start_cherry_pick(hub: Hub, worktree: Path) -> str:
    """Stop in a cherry-pick whose conflict is resolved."""
    oid = commit_on_other_branch(hub, worktree)
    assert hub.call("git", "cherry-pick", oid, cwd=worktree).code == 1
    hub.git("checkout", "-q", "--ours", "file", cwd=worktree)
    hub.git("add", "file", cwd=worktree)
    return "cherry-pick"


def start_revert(hub: Hub, worktree: Path) -> str:
    """Stop in a revert whose conflict is resolved."""
    first = hub.git("rev-parse", "HEAD", cwd=worktree)
    hub.commit(worktree, "file", "third\n")
    assert hub.call("git", "revert", "--no-edit", first, cwd=worktree).code == 1
    hub.git("checkout", "-q", "--ours", "file", cwd=worktree)
    hub.git("add", "file", cwd=worktree)
    return "revert"


def start_rebase_merge(hub: Hub, worktree: Path) -> str:
    """Stop in a rebase with the merge backend. Its conflict is resolved."""
    commit_on_other_branch(hub, worktree)
    assert hub.call("git", "rebase", "--merge", "other", cwd=worktree).code == 1
    hub.git("checkout", "-q", "--ours", "file", cwd=worktree)
    hub.git("add", "file", cwd=worktree)
    return "rebase"


def start_rebase_apply(hub: Hub, worktree: Path) -> str:
    """Stop in a rebase with the apply backend. Its conflict is resolved."""
    commit_on_other_branch(hub, worktree)
    assert hub.call("git", "rebase", "--apply", "other", cwd=worktree).code != 0
    hub.git("checkout", "-q", "--ours", "file", cwd=worktree)
    hub.git("add", "file", cwd=worktree)
    return "rebase"


def start_bisect(hub: Hub, worktree: Path) -> str:
    """Start a bisect, which detaches HEAD."""
    for number in range(4):
        hub.commit(worktree, "file", f"{number}\n")
    hub.git("bisect", "start", "HEAD", "main", cwd=worktree)
    assert hub.call("git", "symbolic-ref", "HEAD", cwd=worktree).code != 0
    return "bisect"


OPERATIONS = [
    start_merge,
    start_cherry_pick,
    start_revert,
    start_rebase_merge,
    start_rebase_apply,
    start_bisect,
]


@pytest.mark.parametrize(
    "start_operation", OPERATIONS, ids=lambda start_operation: start_operation.__name__
)
def test_in_the_middle_of_an_operation(
    hub: Hub, worktree: Path, start_operation: Callable[[Hub, Path], str]
) -> None:
    """HEAD may be detached. The files of the operation name the branch."""
    operation = start_operation(hub, worktree)
    abort_command = "bisect reset" if operation == "bisect" else f"{operation} --abort"
    assert_kept(
        hub,
        kept(
            worktree,
            f"in the middle of a {operation}",
            f"git -C {worktree} {abort_command}\ngit hub-session cleanup --force s1",
        ),
    )


@pytest.mark.parametrize(
    "start_operation", OPERATIONS, ids=lambda start_operation: start_operation.__name__
)
def test_missing_in_the_middle_of_an_operation(
    hub: Hub, worktree: Path, start_operation: Callable[[Hub, Path], str]
) -> None:
    """The git dir has the state of the operation.

    The repair command recreates the worktree in it.
    """
    operation = start_operation(hub, worktree)
    before = read_content(hub, worktree)
    shutil.rmtree(worktree)
    repair_command = (
        f"mkdir -p {worktree} && {relink_command(worktree)} && git -C {worktree} checkout-index -a"
    )
    assert_kept(hub, kept(worktree, f"in the middle of a {operation}", f"{ABORT}\n{DOCTOR}"))
    assert repair_commands(hub) == [repair_command]
    assert hub.call("sh", "-c", repair_command).code == 0
    assert read_content(hub, worktree) == before
    abort = "bisect reset" if operation == "bisect" else f"{operation} --abort"
    hint = f"git -C {worktree} {abort}\n{ABORT}"
    assert_kept(hub, kept(worktree, f"in the middle of a {operation}", hint))


def test_missing_with_unmerged_entries(hub: Hub, worktree: Path) -> None:
    commit_on_other_branch(hub, worktree)
    assert hub.call("git", "merge", "other", cwd=worktree).code == 1
    shutil.rmtree(worktree)
    repair_command = (
        f"mkdir -p {worktree} && {relink_command(worktree)} && git -C {worktree} checkout-index -a"
    )
    assert_kept(hub, kept(worktree, "unmerged entries: 'file'", DOCTOR), "--force", "--discard")
    assert repair_commands(hub) == [repair_command]
    assert hub.call("sh", "-c", repair_command).code == 0
    assert hub.git("status", "--short", "file", cwd=worktree) == "UU file"


def test_unmerged_entries_with_force(hub: Hub, worktree: Path) -> None:
    commit_on_other_branch(hub, worktree)
    assert hub.call("git", "merge", "other", cwd=worktree).code == 1
    hint = f"git -C {worktree} status"
    assert_kept(hub, kept(worktree, "unmerged entries: 'file'", hint), "--force", "--discard")


def test_unmerged_entries_without_an_operation(hub: Hub, worktree: Path) -> None:
    """`git stash apply` leaves unmerged entries after a conflict."""
    (worktree / "file").write_text("stashed\n")
    hub.git("stash", cwd=worktree)
    hub.commit(worktree, "file", "third\n")
    assert hub.call("git", "stash", "apply", cwd=worktree).code == 1
    assert_kept(hub, kept(worktree, "unmerged entries: 'file'", f"git -C {worktree} status"))


def test_locked_index(hub: Hub, worktree: Path) -> None:
    lock = worktree_git_dir(hub) / "index.lock"
    lock.write_bytes(b"")
    assert_kept(
        hub,
        kept(
            worktree,
            "the index is locked: a git command is running or was killed",
            f"wait for the git command, or delete {lock}",
        ),
        "--force",
        "--discard",
    )


@pytest.mark.parametrize("damage", ["empty", "short", "garbage"])
def test_unreadable_index(hub: Hub, worktree: Path, damage: str) -> None:
    index = worktree_git_dir(hub) / "index"
    content = index.read_bytes()
    index.write_bytes(
        {"empty": b"", "short": content[:70], "garbage": b"DIRC" + b"\xff" * 90}[damage]
    )
    before = everything(hub)
    result = hub.run("cleanup", "--force", "--discard", "s1")
    assert (result.code, result.err) == (1, "")
    assert result.out.startswith(f"agent-1: kept {shown_path(worktree)}\n  index: ")
    assert everything(hub) == before
    assert hub.json("cleanup", "s1", code=1)["sessions"][0]["kept"][0]["code"] == "unreadable-index"


def test_unreadable_head_belongs_to_no_session(hub: Hub, worktree: Path) -> None:
    (worktree_git_dir(hub) / "HEAD").write_bytes(b"")
    before = everything(hub)
    assert hub.run("cleanup", "--force", "s1") == removed()
    assert everything(hub) == before


def test_deleted_branch(hub: Hub, worktree: Path) -> None:
    tip = hub.git("rev-parse", "HEAD", cwd=worktree)
    hub.git("update-ref", "-d", "refs/heads/hub/s1/agent-1/attempt-1")
    hint = f"git branch hub/s1/agent-1/attempt-1 {tip}"
    assert_kept(hub, kept(worktree, "HEAD points to no commit", hint), "--force", "--discard")
    (worktree_git_dir(hub) / "logs" / "HEAD").unlink()
    hint = "git hub-session doctor s1"
    assert_kept(hub, kept(worktree, "HEAD points to no commit", hint), "--force", "--discard")


def test_process_in_the_worktree(hub: Hub, worktree: Path) -> None:
    """The id and the command of the process are printed. --force removes the worktree."""
    (worktree / "file").write_text("changed\n")
    with start_process(worktree / "sub") as pid:
        assert_kept(
            hub,
            kept(
                worktree,
                f"in use by process {pid} (sleep)",
                "end the process\ngit hub-session cleanup --force s1",
            ),
            "--discard",
        )
        before = read_content(hub, worktree)
        result = hub.run("cleanup", "--force", "s1")
        assert result == saved(worktree)
        assert os.readlink(f"/proc/{pid}/cwd").endswith(" (deleted)")
    run_restore_commands(hub, result)
    assert read_content(hub, worktree) == before


def test_current_directory_in_the_worktree(hub: Hub, worktree: Path) -> None:
    """The session id is not needed in the worktree. --force does not remove it."""
    reason = "the current directory is in the worktree"
    hint = "run the command from another directory"
    expected = kept(worktree, reason, hint, shown=".")
    assert_kept(hub, expected, "--force", "--discard", cwd=worktree)
    expected_below = kept(worktree, reason, hint, shown="..")
    assert_kept(hub, expected_below, "--force", cwd=worktree / "sub")
    assert hub.run("cleanup", cwd=worktree) == expected
    assert (
        hub.run("cleanup", "s1", cwd=worktree, environ={"GIT_DIR": str(hub.top / ".git")}).code == 1
    )


def test_other_worktrees_are_removed_from_within_a_worktree(hub: Hub, worktree: Path) -> None:
    """Only the worktree with the current directory is kept."""
    second = hub.spawn("s1", 2)
    assert hub.run("cleanup", cwd=worktree) == Result(
        1,
        "agent-1: kept .\n"
        "  the current directory is in the worktree\n"
        "  hint: run the command from another directory\n"
        f"agent-2: removed {os.path.relpath(second, worktree)}, kept its branch\n"
        "Cleaned up 1 worktree for session s1\n",
    )


def test_main_worktree_on_a_branch_of_the_session(hub: Hub) -> None:
    hub.session("s1")
    hub.git("checkout", "-q", "-b", "hub/s1/agent-1/attempt-1")
    (hub.top / "file").write_text("changed\n")
    assert_kept(
        hub,
        kept(
            hub.top,
            "the main worktree cannot be removed",
            "check out another branch in it",
            shown=".",
        ),
        "--force",
        "--discard",
    )


def add_submodule(hub: Hub, worktree: Path) -> Path:
    """Add a submodule to the worktree, and return the directory of its repository."""
    library = hub.top.parent / "library"
    library.mkdir()
    hub.git("init", "-q", cwd=library)
    hub.commit(library, "code", "code\n")
    hub.git("submodule", "--quiet", "add", library, "library", cwd=worktree)
    hub.git("commit", "-q", "-m", "library", cwd=worktree)
    return worktree_git_dir(hub) / "modules"


@pytest.mark.parametrize("arguments", [(), ("--force", "--discard")])
def test_populated_submodule(hub: Hub, worktree: Path, arguments: tuple[str, ...]) -> None:
    modules = add_submodule(hub, worktree)
    assert_kept(
        hub,
        kept(
            worktree,
            f"has repositories of submodules: '{modules}'",
            f"git -C {worktree} submodule deinit --all && mv {modules} {worktree}-modules",
        ),
        *arguments,
    )


def test_submodule_with_its_repository_inside(hub: Hub, worktree: Path) -> None:
    """The repository is in the worktree, as before `git submodule absorbgitdirs`."""
    modules = add_submodule(hub, worktree)
    (worktree / "library" / ".git").unlink()
    (modules / "library").rename(worktree / "library" / ".git")
    modules.rmdir()
    hub.git("config", "-f", worktree / "library" / ".git" / "config", "--unset", "core.worktree")
    assert_kept(
        hub,
        kept(
            worktree,
            "has a populated submodule: 'library'",
            f"git -C {worktree} submodule deinit --all",
        ),
        "--force",
        "--discard",
    )
    type_hint(hub, f"git -C {worktree} submodule deinit --all")
    result = hub.run("cleanup", "s1")
    assert f"has repositories of submodules: '{modules}'" in result.out
    hub.git("submodule", "--quiet", "update", "--init", cwd=worktree)


def test_repository_in_the_index_that_is_no_submodule(hub: Hub, worktree: Path) -> None:
    """An agent made a repository and added it. `git submodule` ignores it."""
    inner = worktree / "inner"
    hub.git("init", "-q", inner)
    hub.commit(inner, "precious", "precious\n")
    hub.git("add", "inner", cwd=worktree)
    hint = f"mv {inner} {worktree}-inner"
    assert_kept(hub, kept(worktree, "has a populated submodule: 'inner'", hint), "--force")
    type_hint(hub, hint)
    result = hub.run("cleanup", "s1")
    assert result == saved(worktree)
    run_restore_commands(hub, result)
    assert hub.git("ls-files", "-s", "inner", cwd=worktree).startswith("160000 ")
    assert worktree.with_name("agent-1-inner").joinpath("precious").is_file()


def test_worktree_with_an_unpopulated_submodule_is_removed(hub: Hub, worktree: Path) -> None:
    add_submodule(hub, worktree)
    second = hub.spawn("s1", 2, base="hub/s1/agent-1/attempt-1")
    hub.git("worktree", "lock", worktree)
    assert (
        f"agent-2: removed {shown_path(second)}, kept its branch\n" in hub.run("cleanup", "s1").out
    )


def create_repository(hub: Hub, inner: Path) -> None:
    hub.git("init", "-q", inner)


def create_bare_repository(hub: Hub, inner: Path) -> None:
    hub.git("init", "-q", "--bare", inner)


def create_linked_worktree(hub: Hub, inner: Path) -> None:
    foreign = hub.top.parent / "foreign"
    foreign.mkdir()
    hub.git("init", "-q", cwd=foreign)
    hub.commit(foreign, "file", "foreign\n")
    hub.git("worktree", "add", "-q", "--detach", inner, cwd=foreign)


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize(
    "create",
    [create_repository, create_bare_repository, create_linked_worktree],
    ids=lambda create: create.__name__,
)
def test_contains_another_repository(
    hub: Hub, worktree: Path, create: Callable[[Hub, Path], None], *, ignored: bool
) -> None:
    inner = worktree / "deep" / "inner"
    inner.parent.mkdir()
    create(hub, inner)
    (inner / "precious").write_text("not committed\n")
    if ignored:
        (hub.top / ".git" / "info").mkdir(exist_ok=True)
        (hub.top / ".git" / "info" / "exclude").write_text("deep/\n")
    target = worktree.with_name("agent-1-inner")
    move = f"git -C {inner} worktree move" if create is create_linked_worktree else "mv"
    hint = f"{move} {inner} {target}"
    assert_kept(
        hub,
        kept(worktree, "contains another repository: 'deep/inner'", hint),
        "--force",
        "--discard",
    )
    type_hint(hub, hint)
    assert hub.run("cleanup", "s1").code == 0
    assert (target / "precious").read_text() == "not committed\n"
    assert hub.git("rev-parse", "--git-dir", cwd=target)


def test_contains_another_worktree(hub: Hub, worktree: Path) -> None:
    """The inner worktree is kept even if git ignores its directory."""
    inner = worktree / "inner"
    hub.git("worktree", "add", "-q", "-b", "foreign", inner, "main")
    (hub.top / ".git" / "info").mkdir(exist_ok=True)
    (hub.top / ".git" / "info" / "exclude").write_text("inner/\n")
    assert_kept(
        hub,
        kept(
            worktree,
            f"contains '{inner}'",
            f"git -C {inner} worktree move {inner} {worktree}-inner",
        ),
        "--force",
        "--discard",
    )


def test_contains_the_main_worktree(hub: Hub, worktree: Path) -> None:
    """The main worktree was moved into an ignored directory of the linked worktree."""
    (hub.top / ".git" / "info").mkdir(exist_ok=True)
    (hub.top / ".git" / "info" / "exclude").write_text("inner/\n")
    (worktree / "inner").mkdir()
    top = worktree / "inner" / "project"
    hub.top.rename(top)
    hub.git("worktree", "repair", worktree, cwd=top)
    before = read_content(hub, worktree)
    assert hub.run("cleanup", "--force", "s1", cwd=top).code == 1
    assert read_content(hub, worktree) == before


@pytest.mark.parametrize("name", ["", "data"])
def test_mount_point(hub: Hub, worktree: Path, name: str) -> None:
    """A bind mount has the device number of its parent. Only the table of mounts shows it."""
    elsewhere = hub.top.parent / "elsewhere"
    elsewhere.mkdir()
    mount_point = worktree / name
    mount_point.mkdir(exist_ok=True)
    source = elsewhere if name else worktree
    (source / "precious").write_text("precious\n")
    mount_result = subprocess.run(
        ["mount", "--bind", source, mount_point], capture_output=True, text=True
    )
    if mount_result.returncode:
        pytest.skip(f"cannot mount here: {mount_result.stderr.strip()}")
    try:
        assert_kept(
            hub,
            kept(
                worktree,
                f"contains a mount point: '{mount_point}'",
                f"umount {shlex.quote(str(mount_point))}",
            ),
            "--force",
            "--discard",
        )
    finally:
        subprocess.run(["umount", mount_point], check=True)


@types("umount {}")
def test_mount_of_another_file_system(hub: Hub, worktree: Path) -> None:
    mount_point = worktree / "memory"
    mount_point.mkdir()
    mount_result = subprocess.run(
        ["mount", "-t", "tmpfs", "none", mount_point], capture_output=True, text=True
    )
    if mount_result.returncode:
        pytest.skip(f"cannot mount here: {mount_result.stderr.strip()}")
    try:
        (mount_point / "precious").write_text("precious\n")
        assert_kept(
            hub,
            kept(worktree, f"contains a mount point: '{mount_point}'", f"umount {mount_point}"),
            "--force",
        )
        type_hint(hub, f"umount {mount_point}")
        assert hub.run("cleanup", "s1") == removed(worktree)
    finally:
        subprocess.run(["umount", mount_point], stderr=subprocess.DEVNULL)


def relink_command(worktree: Path) -> str:
    """Return the command that writes the .git file again."""
    repository = worktree.parent.parent.parent / "project"
    return f"printf 'gitdir: %s\\n' {repository}/.git/worktrees/agent-1 >{worktree}/.git"


def run_command(hub: Hub, command: str) -> None:
    """Run a printed command in a shell. The command must succeed."""
    result = hub.call("sh", "-c", command)
    assert result.code == 0, result


def test_directory_replaced_by_a_link(hub: Hub, worktree: Path) -> None:
    """The directory was moved and linked. Git would delete the files in the target of the link."""
    moved = worktree.parent / "moved"
    worktree.rename(moved)
    worktree.symlink_to(moved)
    git_dir = hub.top / ".git" / "worktrees" / worktree.name
    repair_command = f"printf '%s\\n' {moved}/.git >{git_dir}/gitdir"
    assert_kept(
        hub,
        kept(worktree, "its directory became a symbolic link", DOCTOR),
        "--force",
        "--discard",
    )
    assert repair_commands(hub) == [repair_command]
    run_command(hub, repair_command)
    assert hub.run("cleanup", "s1") == removed(moved)


def test_directory_replaced_by_a_dangling_link(hub: Hub, worktree: Path) -> None:
    worktree.rename(worktree.parent / "moved")
    worktree.symlink_to(worktree.parent / "gone")
    assert_kept(hub, kept(worktree, "its directory became a symbolic link", DOCTOR), "--force")
    assert repair_commands(hub) == [f"rm {worktree}"]
    run_command(hub, f"rm {worktree}")
    assert [finding[:2] for finding in list_findings(hub, "s1", code=1)] == [
        ("worktree-moved", str(worktree))
    ]


def test_directory_replaced_by_a_file(hub: Hub, worktree: Path) -> None:
    worktree.rename(worktree.parent / "moved")
    worktree.write_text("a file\n")
    repair_command = f"mv {worktree} {worktree}.other"
    assert_kept(hub, kept(worktree, "its directory became a file", DOCTOR), "--force", "--discard")
    assert repair_commands(hub) == [repair_command]
    run_command(hub, repair_command)
    assert Path(f"{worktree}.other").read_text() == "a file\n"
    assert [finding[:2] for finding in list_findings(hub, "s1", code=1)] == [
        ("worktree-moved", str(worktree))
    ]


def test_directory_replaced_by_another_repository(hub: Hub, worktree: Path) -> None:
    worktree.rename(worktree.parent / "moved")
    worktree.mkdir()
    hub.git("init", "-q", cwd=worktree)
    assert_kept(
        hub,
        kept(worktree, "its directory became a separate repository", DOCTOR),
        "--force",
        "--discard",
    )
    assert repair_commands(hub) == [f"mv {worktree} {worktree}.other"]
    run_command(hub, f"mv {worktree} {worktree}.other")
    assert [finding[:2] for finding in list_findings(hub, "s1", code=1)] == [
        ("worktree-moved", str(worktree))
    ]
    assert hub.git("rev-parse", "--git-dir", cwd=Path(f"{worktree}.other")) == ".git"


def test_directory_replaced_by_another_directory(hub: Hub, worktree: Path) -> None:
    worktree.rename(worktree.parent / "moved")
    worktree.mkdir()
    (worktree / "precious").write_text("precious\n")
    assert_kept(hub, kept(worktree, "its .git file is missing", DOCTOR), "--force", "--discard")
    assert repair_commands(hub) == [relink_command(worktree)]
    run_command(hub, relink_command(worktree))
    assert hub.git("status", "--short", cwd=worktree) == " D file\n D sub/other\n?? precious"


def test_directory_replaced_by_another_worktree(hub: Hub, worktree: Path) -> None:
    """A worktree of another session was moved to the path of the first one."""
    other = hub.spawn("s2", 1)
    worktree.rename(worktree.parent / "moved")
    other.rename(worktree)
    reason, repair_command = "its .git file names another git dir", f"mv {worktree} {other}"
    assert_kept(hub, kept(worktree, reason, DOCTOR), "--force", "--discard")
    assert repair_commands(hub) == [repair_command]
    run_command(hub, repair_command)
    assert hub.git("symbolic-ref", "HEAD", cwd=other) == "refs/heads/hub/s2/agent-1/attempt-1"
    assert [finding[:2] for finding in list_findings(hub, "s1", code=1)] == [
        ("worktree-moved", str(worktree))
    ]


@pytest.mark.parametrize("kind", ["copy", "garbage", "link", "pipe"])
def test_damaged_git_file(hub: Hub, worktree: Path, kind: str) -> None:
    other, dot_git = hub.spawn("s2", 1), worktree / ".git"
    before = snapshot(other)
    dot_git.unlink()
    reason, repair_command = "its .git is not a file", f"rm {dot_git} && {relink_command(worktree)}"
    if kind == "copy":
        shutil.copy(other / ".git", dot_git)
        # The files may belong to either worktree.
        reason, repair_command = (
            "its .git file names another git dir",
            f"mv {worktree} {worktree}.other",
        )
    elif kind == "garbage":
        dot_git.write_text("gitdir of agent-1")
        reason, repair_command = "its .git file does not name a git dir", relink_command(worktree)
    elif kind == "link":
        dot_git.symlink_to("/dev/null")
    else:
        os.mkfifo(dot_git)
    assert_kept(hub, kept(worktree, reason, DOCTOR), "--force", "--discard")
    assert repair_commands(hub) == [repair_command]
    run_command(hub, repair_command)
    assert hub.git("symbolic-ref", "HEAD", cwd=other) == "refs/heads/hub/s2/agent-1/attempt-1"
    assert hub.run("cleanup", "s1").code == 0
    assert Path(f"{worktree}.other").exists() == (kind == "copy")
    assert snapshot(other) == before


def test_rescue_limit_exceeded(hub: Hub, worktree: Path) -> None:
    """The limit counts files that are not in the index.

    The hint gives a limit that is large enough.
    """
    hub.git("config", "hubsession.rescueLimit", "2k")
    (worktree / "file").write_bytes(b"x" * 5000)
    (worktree / "small").write_bytes(b"x" * 1000)
    (worktree / "large").write_bytes(b"x" * 2000)
    hint = "git -c hubsession.rescueLimit=3000 hub-session cleanup s1"
    reason = "3,000 bytes of untracked files exceed hubsession.rescueLimit (2,048)"
    assert_kept(hub, kept(worktree, reason, hint), "--force")
    arguments = ("-c", "hubsession.rescueLimit=3000", "hub-session", "cleanup", "s1")
    before = read_content(hub, worktree)
    result = hub.call("git", *arguments)
    assert result == saved(worktree)
    run_restore_commands(hub, result)
    assert read_content(hub, worktree) == before


def test_rescue_limit_with_discard(hub: Hub, worktree: Path) -> None:
    (worktree / "large").write_bytes(b"x" * 2000)
    result = hub.call(
        "git", "-c", "hubsession.rescueLimit=1k", "hub-session", "cleanup", "s1", "--discard"
    )
    assert result == removed(worktree)


def test_invalid_rescue_limit(hub: Hub, worktree: Path) -> None:
    hub.git("config", "hubsession.rescueLimit", "much")
    before = everything(hub)
    assert hub.run("cleanup", "s1") == Result(
        128,
        err="fatal: bad value for hubsession.rescueLimit: 'much'\n"
        "hint: a number of bytes: 100m, 2g\n",
    )
    assert everything(hub) == before


def test_special_file(hub: Hub, worktree: Path) -> None:
    """Git cannot store a FIFO. --discard removes it."""
    os.mkfifo(worktree / "pipe")
    reason = "git cannot store a special file: 'pipe'"
    assert_kept(hub, kept(worktree, reason, f"rm {worktree / 'pipe'}"), "--force")
    assert hub.run("cleanup", "--discard", "s1") == removed(worktree)


def test_tracked_file_replaced_by_a_pipe(hub: Hub, worktree: Path) -> None:
    (worktree / "file").unlink()
    os.mkfifo(worktree / "file")
    hint = f"rm {worktree / 'file'}"
    reason = "git cannot store a special file: 'file'"
    assert_kept(hub, kept(worktree, reason, hint), "--force")
    assert hub.call("sh", "-c", hint) == Result(0)
    assert hub.run("cleanup", "s1") == saved(worktree)


def test_file_name_that_git_rejects(hub: Hub, worktree: Path) -> None:
    """Git stores no name that another system would read as .git.

    git prints the path with its control characters. Such a message is not shown.
    """
    (worktree / "red\x1b[31m\n").mkdir()
    (worktree / "red\x1b[31m\n" / "git~1").write_text("precious\n")
    before = snapshot(worktree)
    assert hub.run("cleanup", "s1") == kept(
        worktree,
        "cannot be saved byte for byte: 'red\\x1b[31m\\n/git~1' (git cannot store this name)",
        "rename it",
    )
    assert snapshot(worktree) == before


def test_changes_without_git(hub: Hub, worktree: Path) -> None:
    """A clean worktree is removed without git. A worktree with changes is kept."""
    second = hub.spawn("s1", 2)
    (worktree / "file").write_text("changed\n")
    with tempfile.TemporaryDirectory() as empty:
        command = str(Path(hub.environ["PATH"].split(":")[0]) / "git-hub-session")
        result = hub.call("/bin/sh", command, "cleanup", "s1", environ={"PATH": empty})
    assert result == Result(
        1,
        f"agent-1: kept {shown_path(worktree)}\n"
        "  cannot save the work: cannot find 'git'\n"
        "  hint: put git on PATH\n"
        f"agent-2: removed {shown_path(second)}, kept its branch\n"
        "Cleaned up 1 worktree for session s1\n",
    )


def test_hook_that_rejects_the_rescue_ref(hub: Hub, worktree: Path) -> None:
    hook = hub.top / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ntest "$1" != prepared || { echo not today >&2; exit 1; }\n')
    hook.chmod(0o755)
    (worktree / "file").write_text("changed\n")
    before = {path: data for path, data in snapshot(hub.top).items() if "/objects/" not in path}
    result = kept(
        worktree,
        "cannot save the work: the reference-transaction hook rejected the change of the refs",
    )
    assert hub.run("cleanup", "s1") == result._replace(err="not today\n")
    after = {path: data for path, data in snapshot(hub.top).items() if "/objects/" not in path}
    assert after == before
    assert (worktree / "file").read_text() == "changed\n"


def test_path_that_is_too_long(hub: Hub, worktree: Path) -> None:
    """git cannot store a file whose path is longer than PATH_MAX. The worktree is kept."""
    with nested_directories(worktree, "d" * 100, 60):
        result = hub.run("cleanup", "s1")
        assert (result.code, result.err) == (1, "")
        assert result.out.startswith(f"agent-1: kept {shown_path(worktree)}\n")
        assert (worktree / "file").exists()
        assert hub.refs("refs/hub") == {}


@contextmanager
def nested_directories(top: Path, name: str, depth: int) -> Iterator[None]:
    """Create directories below each other, with a file in the innermost. Remove them at the end."""
    directory = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=directory)
        inner = os.open(name, os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = inner
    os.close(os.open("precious", os.O_WRONLY | os.O_CREAT, dir_fd=directory))
    os.close(directory)
    try:
        yield
    finally:
        # pytest keeps the last three runs, and cannot delete such deep directories later.
        subprocess.run(["rm", "-rf", top / name], check=True)
