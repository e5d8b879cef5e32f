"""A cleanup after a killed cleanup.

The worktree is inspected again, unless only the deletion has to be finished.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from git_hub_session.git.worktrees import REMOVAL_LOCK
from tests.support.cleanup import (
    BRANCH,
    RESCUE,
    kept,
    removed,
    repair_commands,
    saved,
    shown_path,
)
from tests.support.hints import follow_hint, type_hint, types
from tests.support.hub import CHECKOUT, PATIENT, PYTHON, Hub, Result, snapshot
from tests.support.interrupt import DIE, run_with_injected_code
from tests.support.locks import lock_directory, unlock, wait_for_lock_waiter


def _trash_path(worktree: Path) -> Path:
    """Return the path to which a removal renames the worktree."""
    return worktree.parent / f".{worktree.name}.hub-trash"


def _kill_during_deletion(hub: Hub) -> None:
    """Kill a cleanup before it deletes the first file."""
    assert run_with_injected_code(hub, "cleanup", "s1", code=DIE, only="os.remove").code == -9


def test_directory_renamed_back_by_the_user(hub: Hub) -> None:
    """After the kill, the user renames the directory back, makes a commit and locks the worktree."""
    worktree = hub.session("s1", agents=1).worktree(1)
    _kill_during_deletion(hub)
    _trash_path(worktree).rename(worktree)
    hub.git("checkout", "-q", "--detach", cwd=worktree)
    lost_commit = hub.commit(worktree, "try", "lost\n")
    hub.git("checkout", "-q", BRANCH, cwd=worktree)
    hub.git("worktree", "unlock", worktree)  # the lock of the removal
    hub.git("worktree", "lock", worktree)
    assert hub.run("cleanup", "s1") == kept(worktree, "locked", f"git worktree unlock {worktree}")
    hub.git("worktree", "unlock", worktree)
    assert hub.run("cleanup", "s1") == Result(
        0,
        f"agent-1: removed {shown_path(worktree)}, saved unreferenced commits, kept its branch\n"
        f"  bring it back: git branch <name> {RESCUE}\n"
        "Cleaned up 1 worktree for session s1\n",
    )
    assert hub.refs("refs/hub/rescue") == {RESCUE: lost_commit}


def test_lock_on_a_partly_deleted_worktree(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    _kill_during_deletion(hub)
    hub.git("worktree", "unlock", worktree)  # the lock of the removal
    hub.git("worktree", "lock", worktree)
    assert hub.run("cleanup", "s1") == kept(worktree, "locked", f"git worktree unlock {worktree}")
    assert (_trash_path(worktree) / "file").exists()
    hub.git("worktree", "unlock", worktree)
    assert hub.run("cleanup", "s1") == removed(worktree)
    assert not _trash_path(worktree).exists()


def test_new_directory_after_a_killed_removal(hub: Hub) -> None:
    """The old directory and the new directory are kept."""
    worktree = hub.session("s1", agents=1).worktree(1)
    _kill_during_deletion(hub)
    worktree.mkdir()
    (worktree / "precious").write_text("precious\n")
    result = hub.run("cleanup", "s1")
    assert result == kept(
        worktree,
        f"an interrupted removal moved the directory to '{_trash_path(worktree)}', and '{worktree}' exists again",
        "git hub-session doctor s1",
    )
    assert repair_commands(hub) == [f"mv {worktree} {worktree}.other"]
    assert (worktree / "precious").exists()
    assert (_trash_path(worktree) / "file").exists()
    assert hub.call("mv", worktree, f"{worktree}.other") == Result(0)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert not _trash_path(worktree).exists()
    assert Path(f"{worktree}.other", "precious").read_text() == "precious\n"


def test_tracked_bare_repository_after_a_kill(hub: Hub) -> None:
    """A bare repository whose files are tracked does not keep the worktree, also after a kill."""
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.git("init", "-q", "--bare", worktree / "fix.git")
    (worktree / "fix.git" / "refs" / "keep").write_text("")
    (worktree / "fix.git" / "objects" / "keep").write_text("")
    hub.git("add", "-f", ".", cwd=worktree)
    hub.git("commit", "-q", "-m", "a fixture", cwd=worktree)
    _kill_during_deletion(hub)
    assert hub.run("cleanup", "s1") == removed(worktree)
    assert not _trash_path(worktree).exists()


def test_killed_after_the_save(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "new").write_text("new\n")
    for nth in range(1, 20):  # the first removed files are copies of the index
        assert (
            run_with_injected_code(hub, "cleanup", "s1", code=DIE, only="os.remove", nth=nth).code
            == -9
        )
        if _trash_path(worktree).exists():
            break
    assert hub.state()["agents"] == {"agent-1": {"rescue": [RESCUE], "work": {"attempt-1": RESCUE}}}
    assert hub.run("cleanup", "s1") == saved(worktree)
    assert hub.state()["agents"] == {"agent-1": {"rescue": [RESCUE], "work": {"attempt-1": RESCUE}}}
    assert list(hub.refs("refs/hub/rescue")) == [RESCUE]


def test_one_directory_that_cannot_be_renamed(hub: Hub) -> None:
    """One directory cannot be renamed, and its worktree is kept. The other worktree is removed."""
    hub.session("s1", agents=2)
    (hub.worktree(2) / "new").write_text("new\n")
    code = (
        "os.rename = lambda *a, real=os.rename, **k: "
        "(_ for _ in ()).throw(OSError(28, 'No space left on device')) "
        "if str(a[0]).endswith('agent-1') else real(*a, **k)"
    )
    result = run_with_injected_code(hub, "cleanup", "s1", code=code)
    assert result.code == 1
    assert (
        f"agent-2: removed {shown_path(hub.worktree(2))}, saved uncommitted work, kept its branch\n"
        in result.out
    )
    assert f"agent-1: kept {shown_path(hub.worktree(1))}\n" in result.out
    assert "No space left on device" in result.out


_WITHOUT_SPACE = """
import os, resource, sys
sys.path.insert(0, {checkout!r})
sys.dont_write_bytecode = True
from git_hub_session.main import run_and_exit
from git_hub_session.removal import journal, remove

def mark(worktree, path, saved):
    size = os.path.getsize(worktree.git_dir + "/hub-session-removal") + {size}
    limit = resource.RLIM_INFINITY if {agent!r} not in worktree.name else size
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        journal.mark_for_deletion(worktree, path, saved)
        if limit == size:
            raise OSError(5, "Input/output error")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

remove.mark_for_deletion = mark
run_and_exit()
"""


@pytest.mark.parametrize(
    ("size", "error"), [(0, "File too large"), (5, "File too large"), (1000, "Input/output error")]
)
@pytest.mark.parametrize("agent", ["agent-2", "agent-"])
def test_journal_that_cannot_be_marked(hub: Hub, agent: str, size: int, error: str) -> None:
    """The journal gets none, a part or all of the last step. The directories are at their paths."""
    hub.session("s1", agents=3)
    for number in (1, 2):
        (hub.worktree(number) / "new").write_text("new\n")
    worktrees = {path.name: path for path in hub.worktree(1).parent.iterdir()}
    before = {name: snapshot(path) for name, path in worktrees.items() if agent in name}
    program = _WITHOUT_SPACE.format(checkout=str(CHECKOUT), agent=agent, size=size)
    result = hub.call(PYTHON, "-c", program, "cleanup", "s1")
    assert (result.code, result.out.count(": kept ")) == (1, len(before)), result
    assert f"  cannot write in '{hub.top}/.git/worktrees/agent-2': {error}\n" in result.out
    assert {path.name: snapshot(path) for path in hub.worktree(1).parent.iterdir()} == before
    assert "locked" not in hub.git("worktree", "list", "--porcelain")
    assert hub.run("doctor").code == 0
    result = hub.run("cleanup", "s1")
    assert (result.code, result.out.count("removed")) == (0, len(before)), result
    assert hub.run("restore", "-q", "s1") == Result(0)
    paths = [Path(hub.run("path", "s1", f"agent-{number}").out.strip()) for number in (1, 2)]
    assert [(path / "new").read_text() for path in paths] == ["new\n"] * 2


@pytest.mark.parametrize("event", ["os.mkdir", "os.rename"])
def test_disk_without_room_for_the_trash(hub: Hub, event: str) -> None:
    """The disk of the repository is full. The worktrees were on another disk."""
    worktree = hub.session("s1", agents=1).worktree(1)
    code = (
        "(_ for _ in ()).throw(OSError(28, 'No space left on device')) "
        "if 'hub-session-trash' in str(args[:2]) else None; count = 0"
    )
    result = run_with_injected_code(hub, "cleanup", "s1", code=code, only=event)
    assert result == removed(worktree)
    assert not (hub.top / ".git" / "worktrees").exists()


def test_file_in_the_place_of_the_trash(hub: Hub) -> None:
    """The worktree is removed, and the file stays."""
    worktree = hub.session("s1", agents=1).worktree(1)
    trash = hub.top / ".git" / "hub-session-trash"
    trash.write_text("x\n")
    assert hub.run("cleanup", "s1") == removed(worktree)
    assert (trash.read_text(), hub.git("worktree", "list").count("\n")) == ("x\n", 0)


@pytest.mark.parametrize("name", ["locked", "hub-session-removal", "commondir", "HEAD", "gitdir"])
def test_killed_while_the_git_dir_is_deleted_at_its_path(hub: Hub, name: str) -> None:
    """The git dir cannot be renamed. The next cleanup deletes its remaining files."""
    hub.session("s1", agents=1)
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    (hub.top / ".git" / "hub-session-trash").write_text("x\n")
    is_name = f"event == 'os.remove' and os.fsencode(args[0]) == b'{name}'"
    is_in_logs = f"os.path.exists('{git_dir}/logs')"  # it has a HEAD too
    hook = f"sys.addaudithook(lambda event, args: {is_name} and not {is_in_logs} and {DIE})"
    killed = run_with_injected_code(hub, "cleanup", "s1", code=hook, only="os.rename")
    assert killed.code == -9, killed
    assert (git_dir / name).exists()
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    hub.git("worktree", "prune")  # git prunes a git dir with no other file than `gitdir`
    assert not git_dir.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_mount_during_the_wait_for_the_lock(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "cache").mkdir()
    precious = hub.top.parent / "precious"
    precious.mkdir()
    (precious / "gold").write_text("gold\n")
    hub.git("config", "core.excludesFile", str(hub.top.parent / "ignored"))
    (hub.top.parent / "ignored").write_text("cache/\n")
    with lock_directory(hub.directory()) as holder:
        cleanup = subprocess.Popen(
            ["git", "hub-session", "cleanup", "s1"],
            cwd=hub.top,
            env={**hub.environ, **PATIENT},
            stdout=subprocess.PIPE,
            text=True,
        )
        wait_for_lock_waiter(hub.directory())
        mount = subprocess.run(["mount", "--bind", precious, worktree / "cache"])
        unlock(holder)
    try:
        out, _ = cleanup.communicate()
    finally:
        if mount.returncode == 0:
            subprocess.run(["umount", worktree / "cache"], check=True)
    if mount.returncode:
        pytest.skip("this machine lets nobody mount")
    assert (cleanup.returncode, (precious / "gold").read_text()) == (1, "gold\n")
    assert f"  contains a mount point: '{worktree / 'cache'}'\n" in out


def test_reflog_commits_of_an_archived_branch(hub: Hub) -> None:
    """--archive deletes the branch and its reflog. A commit that only the reflog has is saved."""
    worktree = hub.session("s1", agents=1).worktree(1)
    undone_commit = hub.commit(worktree, "try", "undone\n")
    hub.git("reset", "-q", "--hard", "HEAD~1", cwd=worktree)
    result = hub.run("cleanup", "s1", "--archive")
    assert result == Result(
        0,
        f"agent-1: removed {shown_path(worktree)}, "
        "archived as refs/hub/archive/s1/agent-1/attempt-1/1\n"
        "Cleaned up 1 worktree for session s1\n",
        f"warning: a commit that only the reflog of '{BRANCH}' had is in {RESCUE}\n",
    )
    hub.git("gc", "-q", "--prune=now")
    assert hub.git("cat-file", "-t", undone_commit) == "commit"


def test_branch_that_a_rebase_in_another_worktree_will_move(hub: Hub) -> None:
    """A stopped `git rebase --update-refs` will move the agent's branch, so the branch is kept."""
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.commit(worktree, "one", "1\n")
    hub.git("worktree", "remove", worktree)
    other = hub.worktrees / "foreign"
    hub.git("worktree", "add", "-q", "-b", "feature", other, BRANCH)
    hub.commit(other, "two", "2\n")
    hub.commit(hub.top, "two", "conflict\n")
    assert hub.call("git", "rebase", "--update-refs", "main", cwd=other).code != 0
    assert hub.run("cleanup", "s1", "--force", "--archive") == Result(
        1,
        "agent-1: kept branch: checked out in a worktree\nCleaned up 0 worktrees for session s1\n",
    )
    assert other.exists()


def test_branch_checked_out_through_a_symbolic_ref(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.git("worktree", "remove", worktree)
    hub.git("symbolic-ref", "refs/heads/alias", f"refs/heads/{BRANCH}")
    other = hub.worktrees / "other"
    hub.git("worktree", "add", "-q", "--detach", other)
    hub.git("symbolic-ref", "HEAD", "refs/heads/alias", cwd=other)
    assert hub.run("cleanup", "s1", "--archive") == Result(
        1,
        "agent-1: kept branch: checked out in a worktree\nCleaned up 0 worktrees for session s1\n",
    )
    shutil.rmtree(other)


def test_auto_merge_ref_is_not_saved(hub: Hub) -> None:
    """`git stash apply` leaves AUTO_MERGE, the id of a tree. The tree is not saved."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "file").write_text("changed\n")
    hub.git("stash", cwd=worktree)
    hub.git("stash", "apply", cwd=worktree)
    hub.git("checkout", "-q", "--", "file", cwd=worktree)
    assert (hub.top / ".git" / "worktrees" / "agent-1" / "AUTO_MERGE").exists()
    assert hub.run("cleanup", "s1") == removed(worktree)


def test_dry_run_after_a_killed_removal(hub: Hub) -> None:
    """The run was killed before the second inspection. The dry run only reports this state."""
    worktree = hub.session("s1", agents=1).worktree(1)
    code = f"os.path.exists('{worktree}') or {DIE}; count = 0"
    assert run_with_injected_code(hub, "cleanup", "s1", code=code, only="open").code == -9
    assert (_trash_path(worktree).exists(), worktree.exists()) == (True, False)
    assert hub.run("cleanup", "-n", "s1") == Result(
        1,
        f"agent-1: kept {shown_path(worktree)}\n"
        f"  an interrupted removal moved the directory to '{_trash_path(worktree)}'\n"
        "  hint: git hub-session cleanup s1\n"
        "Would clean up 0 worktrees for session s1\n",
    )
    assert hub.run("cleanup", "s1") == removed(worktree)


@types("save the files that you need, then: rm -r {}")
def test_leftover_trash_of_a_pruned_worktree(hub: Hub) -> None:
    """After the kill, the git dir was pruned and the worktree added again. The hint works."""
    worktree = hub.session("s1", agents=1).worktree(1)
    _kill_during_deletion(hub)
    hub.git("worktree", "unlock", worktree)  # git does not prune a locked worktree
    hub.git("worktree", "prune")
    hub.git("worktree", "add", "-q", worktree, BRANCH)
    assert hub.run("cleanup", "s1") == kept(
        worktree,
        f"the trash path of an interrupted removal exists: '{_trash_path(worktree)}'",
        f"save the files that you need, then: rm -r {_trash_path(worktree)}",
    )
    hint = f"save the files that you need, then: rm -r {_trash_path(worktree)}"
    type_hint(hub, hint.partition("then: ")[2])
    follow_hint(hint)
    assert hub.run("cleanup", "s1") == removed(worktree)


def test_reflog_that_cannot_be_saved(hub: Hub) -> None:
    """A hook rejects the rescue ref of the reflog's commits. The branch is not archived."""
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.commit(worktree, "try", "undone\n")
    hub.git("reset", "-q", "--hard", "HEAD~1", cwd=worktree)
    hook = hub.top / ".git" / "hooks" / "reference-transaction"
    hook.write_text("#!/bin/sh\n! grep -q refs/hub/rescue\n")
    hook.chmod(0o755)
    assert hub.run("cleanup", "s1", "--archive") == Result(
        1,
        f"agent-1: removed {shown_path(worktree)}, kept its branch\nCleaned up 1 worktree for session s1\n",
        "warning: cannot archive the branches: "
        "the reference-transaction hook rejected the change of the refs\n",
    )
    assert f"refs/heads/{BRANCH}" in hub.refs()


def test_spawn_after_a_killed_cleanup(hub: Hub) -> None:
    """`spawn` restores the worktree from the trash although state.json has the status `spawning`."""
    hub.session("s1", agents=1)
    worktree = hub.worktree(1)
    (worktree / "draft").write_text("an agent's\n")
    trash = worktree.parent / ".agent-1.hub-trash"
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    (git_dir / "hub-session-removal").write_text(f"{REMOVAL_LOCK}\0{trash}\0aside")
    worktree.rename(trash)
    state = hub.state()
    state["agents"] = {"agent-1": {"status": "spawning", "attempt": 1}}
    (hub.directory() / "state.json").write_text(json.dumps(state))
    assert hub.run("spawn", "-q", "s1").code == 0
    assert (worktree / "draft").read_text() == "an agent's\n"
    assert (trash.exists(), (git_dir / "hub-session-removal").exists()) == (False, False)


def test_file_system_without_hard_links(hub: Hub) -> None:
    """A worktree is also locked during its removal on FAT or FUSE, which have no hard links."""
    hub.session("s1", agents=1)
    worktree = hub.worktree(1)
    lock = hub.top / ".git" / "worktrees" / "agent-1" / "locked"
    is_moved = f"event == 'os.rename' and args[0] == {str(worktree)!r}"
    print_lock = f"os.write(2, open({str(lock)!r}, 'rb').read())"
    code = (
        f"sys.addaudithook(lambda event, args: {is_moved} and {print_lock}); "
        "raise OSError(1, 'Operation not permitted')"
    )
    result = run_with_injected_code(hub, "cleanup", "s1", code=code, only="os.link")
    assert result == Result(0, removed(worktree).out, REMOVAL_LOCK)
    assert not lock.parent.exists()


@pytest.mark.parametrize("moment", ["inspection", "mark", "deletion"])
def test_git_dir_pruned_during_the_removal(hub: Hub, moment: str) -> None:
    """A `git worktree prune` that has missed the lock ends while the directory is in the trash."""
    hub.session("s1", agents=1)
    worktree = hub.worktree(1)
    (worktree / "draft").write_text("an agent's\n")
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    prune = f"git worktree unlock {worktree} && git worktree prune --expire=now"
    arguments = ["sh", "-c", f"cd {hub.top} && {prune}"]
    is_prunable = f"os.path.lexists({str(git_dir)!r}) and not os.path.lexists({str(worktree)!r})"
    run_prune = f"os.waitpid(os.posix_spawnp('sh', {arguments!r}, os.environ), 0)"
    # Execute the code before each such change, not only before the first.
    code = f"count = 0; {is_prunable} and {run_prune}"
    files = {"inspection": git_dir / "HEAD", "mark": git_dir / "hub-session-removal"}
    opened, only = str(files.get(moment, "")), "os.remove" if moment == "deletion" else ""
    result = run_with_injected_code(hub, "cleanup", "s1", code=code, opened=opened, only=only)
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith("Cleaned up 1 worktree for session s1\n")
    assert not [*hub.worktrees.rglob("*agent-1*"), *(hub.top / ".git").glob("worktrees")]
    assert hub.git("show", f"{RESCUE}^3:draft") == "an agent's"


@pytest.mark.parametrize("journal", [None, ""])
def test_removal_lock_without_its_journal(hub: Hub, journal: str | None) -> None:
    """After a power failure, `spawn` removes the lock, or keeps it if the directory is missing."""
    hub.session("s1", agents=1)
    worktree = hub.worktree(1)
    (worktree / "draft").write_text("an agent's\n")
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    lock = git_dir / "locked"
    lock.write_text(f"{REMOVAL_LOCK}\0{worktree}\0aside")
    if journal is not None:
        (git_dir / "hub-session-removal").write_text(journal)
    moved = worktree.rename(f"{worktree}.away")
    assert hub.run("spawn", "-q", "s1", "--retry", "1").code == 0
    assert lock.exists()
    moved.rename(worktree)
    assert hub.run("spawn", "-q", "s1", "--retry", "1").code == 0
    assert not lock.exists()
    hub.git("worktree", "lock", "--reason", "mine", worktree)
    assert hub.run("spawn", "-q", "s1", "--retry", "1").code == 0
    assert lock.read_text() == "mine\n"
    hub.git("worktree", "unlock", worktree)
    hub.git("worktree", "remove", "--force", worktree)
