"""`cleanup` loses no work if it is killed, or if other processes run at the same time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from git_hub_session.git.worktrees import REMOVAL_LOCK
from tests.support.cleanup import (
    BRANCH,
    RESCUE,
    kept,
    read_content,
    removed,
    repair_commands,
    restore_command,
    saved,
    shown_path,
)
from tests.support.hub import PATIENT, Hub, Result, snapshot, wait_for
from tests.support.interrupt import (
    DIE,
    Template,
    count_changes,
    kill_at_changes,
    run_with_injected_code,
)
from tests.support.loops import check_refused_transaction, run_in_loops


def create_four_worktrees(hub: Hub) -> None:
    """Create four worktrees: clean, with changes, with unreachable commits, and missing."""
    hub.session("s1", agents=4)
    worktree = hub.worktree(2)
    (worktree / "file").write_text("staged\n")
    hub.git("add", "file", cwd=worktree)
    (worktree / "file").write_text("changed\n")
    (worktree / "new").write_text("new\n")
    hub.git("checkout", "-q", "--detach", cwd=hub.worktree(3))
    hub.commit(hub.worktree(3), "try", "lost\n")
    hub.git("checkout", "-q", "hub/s1/agent-3/attempt-1", cwd=hub.worktree(3))
    shutil.rmtree(hub.worktree(4))


def is_work_kept(hub: Hub) -> bool:
    """Return True if the uncommitted changes are in a worktree or in a rescue ref."""
    worktree = hub.worktree(2)
    trash = worktree.parent / ".agent-2.hub-trash"
    for directory in (worktree, trash):
        if (directory / "file").exists() and (directory / "new").exists():
            return (directory / "file").read_text() == "changed\n"
    ref = "refs/hub/rescue/s1/agent-2/attempt-1/1"
    return (
        hub.git("show", f"{ref}:file"),
        hub.git("show", f"{ref}^2:file"),
        hub.git("show", f"{ref}^3:new"),
    ) == ("changed", "staged", "new")


def test_killed_at_any_moment(hub: Hub) -> None:
    """After each kill, the next run removes the worktrees. All work is in a rescue ref."""
    create_four_worktrees(hub)
    lost_commit = hub.git("rev-parse", "HEAD@{1}", cwd=hub.worktree(3))
    tip = hub.git("rev-parse", BRANCH)
    template = Template(hub)
    arguments = ("cleanup", "--archive", "s1")
    count = count_changes(hub, *arguments)
    assert count > 40
    for number in kill_at_changes(hub, template, arguments, count, short=6):
        assert is_work_kept(hub), number
        result = hub.run("cleanup", "--archive", "s1")
        assert (result.code, result.err) == (0, ""), (number, result)
        assert not [path for path in hub.worktrees.glob("s1/*")], number
        assert not [*(hub.top / ".git").glob("*hub-session*")], number
        assert not (hub.top / ".git" / "worktrees").exists(), number
        assert is_work_kept(hub), number
        refs = hub.refs()
        rescue = refs.pop("refs/hub/rescue/s1/agent-2/attempt-1/1")
        assert refs == {
            **{f"refs/hub/archive/s1/agent-{agent}/attempt-1/1": tip for agent in (1, 2, 3, 4)},
            "refs/heads/main": tip,
            "refs/hub/rescue/s1/agent-3/attempt-1/1": lost_commit,
        }, number
        assert hub.git("rev-parse", f"{rescue}^1") == tip
        assert hub.call("git", "fsck", "--no-dangling", "--no-progress") == Result(0), number


@pytest.mark.parametrize("process", ["the command", "the workers"])
@pytest.mark.parametrize("number", [2, 4, 6])
def test_killed_with_parallel_processes(hub: Hub, number: int, process: str) -> None:
    """Several processes remove worktrees. The next run finishes the work of a killed command.

    If only the workers are killed, the command does their work.
    """
    hub.session("s1")
    for agent in range(1, 17):
        hub.git("branch", f"hub/s1/agent-{agent}/attempt-1")
        path = hub.worktree(agent)
        hub.git("worktree", "add", "-q", path, f"hub/s1/agent-{agent}/attempt-1")
    before = hub.refs()
    # Count again after each `number` changes: a worker starts with the count of the command.
    died = hub.top.parent / "died"
    code = f"(open({str(died)!r}, 'w').close(), {DIE})"
    if process == "the workers":
        code = f"os.getppid() == {os.getpid()} or {code}; count = 0"
    killed = run_with_injected_code(hub, "cleanup", "s1", code=code, nth=number)
    assert (killed.code, died.exists()) == (-9 if process == "the command" else 0, True)
    result = hub.run("cleanup", "s1")
    assert (result.code, result.err) == (0, "")
    assert [*hub.worktrees.glob("s1/*")] == []
    assert [*(hub.top / ".git").glob("*hub-session*")] == []
    assert not (hub.top / ".git" / "worktrees").exists()
    assert hub.refs() == before


def test_two_cleanups_at_once(hub: Hub) -> None:
    """The second call waits for the first and removes nothing. The work is saved once."""
    hub.session("s1", agents=3)
    for agent in (1, 2, 3):
        (hub.worktree(agent) / "file").write_text("changed\n")
    processes = [
        subprocess.Popen(
            ["git", "hub-session", "cleanup", "s1"],
            cwd=hub.top,
            env={**hub.environ, **PATIENT},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    results = sorted(Result(process.wait(), *process.communicate()) for process in processes)
    assert [result.code for result in results] == [0, 0]
    assert [result.err for result in results] == ["", ""]
    assert sorted(result.out.splitlines()[-1] for result in results) == [
        "Cleaned up 0 worktrees for session s1",
        "Cleaned up 3 worktrees for session s1",
    ]
    assert len(hub.refs("refs/hub")) == 3


def test_cleanups_of_three_sessions_at_once(hub: Hub) -> None:
    """All calls change `.git/worktrees` and the refs, and all succeed."""
    for sid in ("s1", "s2", "s3"):
        hub.session(sid, agents=2)
    processes = [
        subprocess.Popen(
            ["git", "hub-session", "cleanup", "--archive", sid],
            cwd=hub.top,
            env=hub.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for sid in ("s1", "s2", "s3")
    ]
    for sid, process in zip(("s1", "s2", "s3"), processes, strict=True):
        out, err = process.communicate()
        assert (process.returncode, err) == (0, ""), out
        assert out.splitlines()[-1] == f"Cleaned up 2 worktrees for session {sid}"
    tip = hub.git("rev-parse", "main")
    assert hub.refs() == {
        "refs/heads/main": tip,
        **{
            f"refs/hub/archive/{sid}/agent-{agent}/attempt-1/1": tip
            for sid in ("s1", "s2", "s3")
            for agent in (1, 2)
        },
    }
    assert not (hub.top / ".git" / "worktrees").exists()


def test_new_file_after_the_inspection(hub: Hub) -> None:
    """The second inspection, after the rename, finds the new file. The directory is renamed back."""
    worktree = hub.session("s1", agents=1).worktree(1)
    code = f"open({str(worktree / 'new')!r}, 'w').write('new')"
    expected = kept(worktree, "files changed after the inspection", "try again")
    assert run_with_injected_code(hub, "cleanup", "s1", code=code, only="os.rename") == expected
    assert (worktree / "new").read_text() == "new"
    assert read_content(hub, worktree).status == ["", "?? new"]
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    assert [path.name for path in git_dir.glob("hub-session*")] == []
    assert hub.run("cleanup", "s1") == saved(worktree)


def test_new_directory_at_the_path_of_the_worktree(hub: Hub) -> None:
    """During the removal, the worktree changes and its path is created again. Both are kept."""
    worktree = hub.session("s1", agents=1).worktree(1)
    trash = worktree.parent / ".agent-1.hub-trash"
    code = (
        f"open({str(trash / 'new')!r}, 'w').write('new'); os.mkdir({str(worktree)!r}); "
        f"open({str(worktree / 'other')!r}, 'w').write('other')"
    )
    # The second rename moves the directory. The inspection after it opens the directory.
    assert run_with_injected_code(hub, "cleanup", "s1", code=code, opened=str(trash)) == kept(
        worktree,
        f"the directory is in '{trash}' and cannot be renamed back: Directory not empty",
        f"mv {worktree} {worktree}.other",
    )
    assert (trash / "new").read_text() == "new"
    assert (trash / "file").read_text() == "first\n"
    assert (worktree / "other").read_text() == "other"
    reason = (
        f"an interrupted removal moved the directory to '{trash}', and '{worktree}' exists again"
    )
    assert hub.run("cleanup", "s1") == kept(worktree, reason, "git hub-session doctor s1")
    assert repair_commands(hub) == [f"mv {worktree} {worktree}.other"]
    assert hub.call("sh", "-c", f"mv {worktree} {worktree}.other").code == 0
    assert hub.run("cleanup", "s1") == saved(worktree)


def test_new_file_during_the_deletion(hub: Hub) -> None:
    """A process in the directory writes a new file. The file is kept under the old path."""
    worktree = hub.session("s1", agents=1).worktree(1)
    trash = worktree.parent / ".agent-1.hub-trash"
    code = f"open({str(trash / 'sub' / 'new')!r}, 'w').write('new')"
    assert run_with_injected_code(hub, "cleanup", "s1", code=code, only="os.remove") == kept(
        worktree, f"files were written during the removal: they are in '{worktree}'"
    )
    assert snapshot(worktree) == {"sub/new": b"new"}
    assert not (hub.top / ".git" / "worktrees").exists()
    assert hub.run("cleanup", "s1") == removed()
    assert snapshot(worktree) == {"sub/new": b"new"}


@pytest.mark.parametrize("moment", ["before the mark", "in the same tick", "after the kill"])
def test_new_file_after_a_killed_deletion(hub: Hub, moment: str) -> None:
    """The next run keeps the new file and deletes the rest.

    The file is written after the inspection and before the journal has the mark for the deletion,
    or after the kill, also in the tick of the clock in which the removal has started.
    """
    worktree = hub.session("s1", agents=1).worktree(1)
    trash = worktree.parent / ".agent-1.hub-trash"
    new = trash / "sub" / "new"
    journal = hub.top / ".git" / "worktrees" / "agent-1" / "hub-session-removal"
    write = f"open({str(new)!r}, 'w').write('new')" if moment == "before the mark" else "None"
    # Only the mark opens the journal itself to write to it.
    code = (
        f"{write} if event == 'open' and args[0] == {str(journal)!r} else {DIE} "
        "if event == 'os.remove' else None; count = 0"
    )
    assert run_with_injected_code(hub, "cleanup", "s1", code=code).code == -9
    assert new.exists() == (moment == "before the mark")
    if moment != "before the mark":
        new.write_text("new")
    if moment == "in the same tick":
        text = journal.read_text().split("\0")
        text[-2] = str(new.stat().st_ctime_ns)
        journal.write_text("\0".join(text))
    assert hub.run("cleanup", "s1") == kept(
        worktree, f"files were written during the removal: they are in '{worktree}'"
    )
    assert snapshot(worktree) == {"sub/new": b"new"}


@pytest.mark.parametrize(
    "code",
    [
        "open(git_dir + '/locked', 'w').close()",
        "open(git_dir + '/index.lock', 'w').close()",
        "os.utime(git_dir + '/index')",
        "open(git_dir + '/MERGE_HEAD', 'w').close()",
    ],
)
def test_git_command_after_the_inspection(hub: Hub, code: str) -> None:
    """The worktree is kept after a new lock, a running commit, a changed index or a new merge."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "file").write_text("changed\n")
    git_dir = str(hub.top / ".git" / "worktrees" / "agent-1")
    before = read_content(hub, worktree)
    result = run_with_injected_code(
        hub,
        "cleanup",
        "s1",
        code=f"exec({code!r}, dict(git_dir={git_dir!r}, os=os))",
        only="subprocess.Popen",
    )
    assert result == Result(
        1,
        f"agent-1: kept {shown_path(worktree)}, saved uncommitted work in {RESCUE}\n"
        "  the administrative files changed after the inspection\n"
        "  hint: try again\n"
        "Cleaned up 0 worktrees for session s1\n",
    )
    assert read_content(hub, worktree) == before


# Writes files by their absolute paths, and records the number of each complete file.
_WRITER = """
import os, sys, time
top, journal = sys.argv[1:]
journal_fd = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
for number in range(100000):
    try:
        fd = os.open(f"{top}/new-{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        os.write(fd, b"%d\\n" % number)
        os.close(fd)
    except FileNotFoundError:
        break
    os.write(journal_fd, b"%d\\n" % number)
    time.sleep(0.01)
"""


def test_agent_that_writes_during_the_cleanup(hub: Hub) -> None:
    """Each file that the agent wrote is in the worktree or in a rescue ref."""
    worktree = hub.session("s1", agents=1).worktree(1)
    journal = hub.top.parent / "journal"
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, worktree, journal], cwd=hub.top)
    try:
        wait_for(lambda: journal.exists() and journal.read_text(), writer)
        for _ in range(3):
            assert hub.run("cleanup", "s1").code in (0, 1)
    finally:
        writer.kill()
        writer.wait()
    written = {f"new-{number}" for number in journal.read_text().split()}
    kept_names = {path.name for path in worktree.glob("new-*")} if worktree.exists() else set()
    for ref in hub.refs("refs/hub"):
        kept_names |= {*hub.git("ls-tree", "--name-only", f"{ref}^3").splitlines()}
    assert written <= kept_names
    assert hub.run("cleanup", "s1").code == 0
    assert not worktree.exists()


def test_archive_during_pack_refs(hub: Hub) -> None:
    """`git pack-refs` runs in a loop. --archive loses no ref, and no deleted ref reappears."""
    hub.session("s1")
    tips = create_branches(hub)
    branches = hub.refs("refs/heads/hub/s1/")
    with run_in_loops(hub, "git pack-refs --all --prune"):
        for _ in range(3):
            result = hub.run("cleanup", "--archive", "s1")
            if result.code == 0:
                break
            # git waits 0.1 seconds for the lock of a ref, which a busy machine can exceed.
            check_refused_transaction(hub, "refs/heads/hub/s1/", result, branches)
    assert hub.run("cleanup", "--archive", "s1").code == 0
    check_archived(hub, tips)


def test_pack_refs_before_the_transaction(hub: Hub) -> None:
    """`git pack-refs` runs after --archive has read the refs and before git changes them."""
    hub.session("s1")
    tips = create_branches(hub)
    packed = hub.top.parent / "packed"
    pack = f"os.system('git pack-refs --all --prune && touch {packed}')"
    code = f"'update-ref' in args[1] and {pack}; count = 0"
    result = run_with_injected_code(
        hub, "cleanup", "--archive", "s1", code=code, only="subprocess.Popen"
    )
    assert (result.code, packed.exists()) == (0, True), result
    check_archived(hub, tips)


def create_branches(hub: Hub) -> dict[int, str]:
    """Create 40 branches of agents and 40 other branches, and return the commits."""
    tree = hub.git("rev-parse", "main^{tree}")
    tips = {
        number: hub.git("commit-tree", tree, "-p", "main", "-m", str(number))
        for number in range(1, 41)
    }
    commands = [
        f"create {branch} {oid}\n"
        for number, oid in tips.items()
        for branch in (
            f"refs/heads/hub/s1/agent-{number}/attempt-1",
            f"refs/heads/other/{number}",
        )
    ]
    hub.git("update-ref", "--stdin", stdin="".join(commands))
    return tips


def check_archived(hub: Hub, tips: Mapping[int, str]) -> None:
    """Check that a tag and an archive ref replace each agent's branch. No other ref has changed."""
    assert hub.refs() == {
        "refs/heads/main": hub.git("rev-parse", "main"),
        **{f"refs/heads/other/{number}": oid for number, oid in tips.items()},
        **{f"refs/tags/hub/archive/s1/agent-{number}": oid for number, oid in tips.items()},
        **{f"refs/hub/archive/s1/agent-{number}/attempt-1/1": oid for number, oid in tips.items()},
    }


def test_leftover_index_copy(hub: Hub) -> None:
    """A killed run left a copy of the index and its lock file. The next run replaces them."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "file").write_text("changed\n")
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    (git_dir / "hub-session-index.tmp").write_text("half")
    (git_dir / "hub-session-index.tmp.lock").write_text("")
    assert hub.run("cleanup", "s1") == saved(worktree)


def test_forged_removal_journal(hub: Hub) -> None:
    """A removal journal that names another trash path is not followed."""
    worktree = hub.session("s1", agents=1).worktree(1)
    victim = Path(f"{worktree.parent}/victim")
    victim.mkdir()
    (victim / "precious").write_text("precious\n")
    journal = hub.top / ".git" / "worktrees" / "agent-1" / "hub-session-removal"
    for text in (f"{victim}\0delete", f"{victim}\0x\0aside", "\0delete", "\xff\n"):
        journal.write_text(f"{REMOVAL_LOCK}\0{text}")
        (worktree / "new").write_text("new\n")
        result = hub.run("cleanup", "s1")
        assert (result.code, (victim / "precious").exists()) == (0, True)
        hub.call("sh", "-c", restore_command(worktree))
