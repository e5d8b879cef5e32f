"""Cleanups that are killed or run beside other processes: nothing is lost."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
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
)
from tests.support.hub import Hub, Result, snapshot
from tests.support.interrupt import (
    DIE,
    Template,
    count_changes,
    kill_at_changes,
    run_with_injected_code,
)


def four_worktrees(hub: Hub) -> None:
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


def is_whole(hub: Hub) -> bool:
    """Return True if the uncommitted changes are in a worktree or in a rescue ref."""
    worktree = hub.worktree(2)
    aside = worktree.parent / ".agent-2.hub-trash"
    for directory in (worktree, aside):
        if (directory / "file").exists() and (directory / "new").exists():
            return (directory / "file").read_text() == "changed\n"
    ref = "refs/hub/rescue/s1/agent-2/attempt-1/1"
    return (
        hub.git("show", f"{ref}:file"),
        hub.git("show", f"{ref}^2:file"),
        hub.git("show", f"{ref}^3:new"),
    ) == ("changed", "staged", "new")


def test_killed_at_any_moment(hub: Hub) -> None:
    """The next run removes the worktrees. All work has a ref, and no trash is left."""
    four_worktrees(hub)
    lost = hub.git("rev-parse", "HEAD@{1}", cwd=hub.worktree(3))
    tip = hub.git("rev-parse", BRANCH)
    template = Template(hub)
    words = ("cleanup", "--archive", "s1")
    count = count_changes(hub, *words)
    assert count > 40
    for moment in kill_at_changes(hub, template, words, count, short=6):
        assert is_whole(hub), moment
        result = hub.run("cleanup", "--archive", "s1")
        assert (result.code, result.err) == (0, ""), (moment, result)
        assert not [path for path in hub.worktrees.glob("s1/*")], moment
        assert not [*(hub.top / ".git").glob("*hub-session*")], moment
        assert not (hub.top / ".git" / "worktrees").exists(), moment
        assert is_whole(hub), moment
        tags = {f"refs/tags/hub/archive/s1/agent-{agent}": tip for agent in (1, 2, 3, 4)}
        refs = hub.refs()
        work = refs.pop("refs/hub/rescue/s1/agent-2/attempt-1/1")
        assert refs == {
            **tags,
            "refs/heads/main": tip,
            "refs/hub/rescue/s1/agent-3/attempt-1/1": lost,
        }, moment
        assert hub.git("rev-parse", f"{work}^1") == tip
        assert hub.call("git", "fsck", "--no-dangling", "--no-progress") == Result(0), moment


@pytest.mark.parametrize("moment", [2, 4, 6])
def test_killed_with_parallel_processes(hub: Hub, moment: int) -> None:
    """Several processes remove the worktrees. After a kill of one of them the next run finishes."""
    hub.session("s1")
    for agent in range(1, 17):
        hub.git("branch", f"hub/s1/agent-{agent}/attempt-1")
        path = hub.worktree(agent)
        hub.git("worktree", "add", "-q", path, f"hub/s1/agent-{agent}/attempt-1")
    before = hub.refs()
    died = run_with_injected_code(hub, "cleanup", "s1", code=DIE, nth=moment)
    assert died.code in (-9, 0)
    result = hub.run("cleanup", "s1")
    assert (result.code, result.err) == (0, "")
    assert [*hub.worktrees.glob("s1/*")] == []
    assert [*(hub.top / ".git").glob("*hub-session*")] == []
    assert not (hub.top / ".git" / "worktrees").exists()
    assert hub.refs() == before


def test_two_cleanups_at_once(hub: Hub) -> None:
    """One call waits for the other and finds nothing to do. The work is saved once."""
    hub.session("s1", agents=3)
    for agent in (1, 2, 3):
        (hub.worktree(agent) / "file").write_text("changed\n")
    both = [
        subprocess.Popen(
            ["git", "hub-session", "cleanup", "s1"],
            cwd=hub.top,
            env=hub.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ends = sorted(Result(call.wait(), *call.communicate()) for call in both)
    assert [end.code for end in ends] == [0, 0]
    assert [end.err for end in ends] == ["", ""]
    assert sorted(end.out.splitlines()[-1] for end in ends) == [
        "Cleaned up 0 worktrees for session s1",
        "Cleaned up 3 worktrees for session s1",
    ]
    assert len(hub.refs("refs/hub")) == 3


def test_two_sessions_at_once(hub: Hub) -> None:
    """Both change `.git/worktrees` and the refs, and both succeed."""
    for sid in ("s1", "s2", "s3"):
        hub.session(sid, agents=2)
    running = [
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
    for sid, process in zip(("s1", "s2", "s3"), running, strict=True):
        out, err = process.communicate()
        assert (process.returncode, err) == (0, ""), out
        assert out.splitlines()[-1] == f"Cleaned up 2 worktrees for session {sid}"
    assert len(hub.refs("refs/tags")) == 6
    assert [*hub.refs("refs/heads")] == ["refs/heads/main"]
    assert not (hub.top / ".git" / "worktrees").exists()


def test_new_file_after_the_inspection(hub: Hub) -> None:
    """The inspection after the rename finds the new file, and the directory is renamed back."""
    worktree = hub.session("s1", agents=1).worktree(1)
    code = f"open({str(worktree / 'new')!r}, 'w').write('new')"
    expected = kept(worktree, "files changed after the inspection", "try again")
    assert run_with_injected_code(hub, "cleanup", "s1", code=code, only="os.rename") == expected
    assert (worktree / "new").read_text() == "new"
    assert read_content(hub, worktree).status == ["", "?? new"]
    entry = hub.top / ".git" / "worktrees" / "agent-1"
    assert [path.name for path in entry.glob("hub-session*")] == []
    assert hub.run("cleanup", "s1") == saved(worktree)


def test_new_directory_at_the_path_of_the_worktree(hub: Hub) -> None:
    """The worktree changed, and its path was created again: both directories are kept."""
    worktree = hub.session("s1", agents=1).worktree(1)
    aside = worktree.parent / ".agent-1.hub-trash"
    meddle = (
        f"open({str(aside / 'new')!r}, 'w').write('new'); os.mkdir({str(worktree)!r}); "
        f"open({str(worktree / 'other')!r}, 'w').write('other')"
    )
    # The second rename moves the directory. The inspection after it opens the directory.
    assert run_with_injected_code(hub, "cleanup", "s1", code=meddle, opened=str(aside)) == kept(
        worktree,
        f"the directory is in '{aside}' and cannot be renamed back: Directory not empty",
        "try again",
    )
    assert (aside / "new").read_text() == "new"
    assert (aside / "file").read_text() == "first\n"
    assert (worktree / "other").read_text() == "other"
    reason = (
        f"an interrupted removal moved the directory to '{aside}', and '{worktree}' exists again"
    )
    assert hub.run("cleanup", "s1") == kept(worktree, reason, "git hub-session doctor s1")
    assert repair_commands(hub) == [f"mv {worktree} {worktree}.other"]
    worktree.rename(worktree.parent / "other")
    assert hub.run("cleanup", "s1") == saved(worktree)


def test_new_file_during_the_deletion(hub: Hub) -> None:
    """A process in the directory writes a new file: it is kept, under the old path."""
    worktree = hub.session("s1", agents=1).worktree(1)
    aside = worktree.parent / ".agent-1.hub-trash"
    code = f"open({str(aside / 'sub' / 'new')!r}, 'w').write('new')"
    assert run_with_injected_code(hub, "cleanup", "s1", code=code, only="os.remove") == kept(
        worktree, f"files were written during the removal: they are in '{worktree}'"
    )
    assert snapshot(worktree) == {"sub/new": b"new"}
    assert not (hub.top / ".git" / "worktrees").exists()
    assert hub.run("cleanup", "s1") == removed()
    assert snapshot(worktree) == {"sub/new": b"new"}


def test_new_file_after_a_killed_deletion(hub: Hub) -> None:
    """The next run keeps the new file and deletes the rest."""
    worktree = hub.session("s1", agents=1).worktree(1)
    aside = worktree.parent / ".agent-1.hub-trash"
    assert run_with_injected_code(hub, "cleanup", "s1", code=DIE, only="os.remove").code == -9
    time.sleep(0.05)
    (aside / "sub" / "new").write_text("new")
    assert hub.run("cleanup", "s1") == kept(
        worktree, f"files were written during the removal: they are in '{worktree}'"
    )
    assert snapshot(worktree) == {"sub/new": b"new"}


@pytest.mark.parametrize(
    "code",
    [
        "open(entry + '/locked', 'w').close()",
        "open(entry + '/index.lock', 'w').close()",
        "os.utime(entry + '/index')",
        "open(entry + '/MERGE_HEAD', 'w').close()",
    ],
)
def test_git_command_after_the_inspection(hub: Hub, code: str) -> None:
    """A lock, a running commit, a changed index or a new merge keeps the worktree."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "file").write_text("changed\n")
    entry = str(hub.top / ".git" / "worktrees" / "agent-1")
    before = read_content(hub, worktree)
    result = run_with_injected_code(
        hub,
        "cleanup",
        "s1",
        code=f"exec({code!r}, dict(entry={entry!r}, os=os))",
        only="subprocess.Popen",
    )
    assert result == Result(
        1,
        f"Saved uncommitted work of {BRANCH} in {RESCUE}\n"
        f"Kept worktree: {worktree}\n"
        "  the administrative files changed after the inspection\n"
        "  hint: try again\n"
        "Cleaned up 0 worktrees for session s1\n",
    )
    assert read_content(hub, worktree) == before


# Writes files by their absolute paths, one after the other, and records each written one.
_WRITER = """
import os, sys, time
top, journal = sys.argv[1:]
noted = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
for number in range(100000):
    try:
        fd = os.open(f"{top}/new-{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        os.write(fd, b"%d\\n" % number)
        os.close(fd)
    except FileNotFoundError:
        break
    os.write(noted, b"%d\\n" % number)
    time.sleep(0.01)
"""


def test_agent_that_writes_during_the_cleanup(hub: Hub) -> None:
    """Each file that was written is in the worktree or in a rescue ref."""
    worktree = hub.session("s1", agents=1).worktree(1)
    journal = hub.top.parent / "journal"
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, worktree, journal], cwd=hub.top)
    try:
        while not journal.exists() or not journal.read_text():
            time.sleep(0.005)
        for _ in range(3):
            assert hub.run("cleanup", "s1").code in (0, 1)
    finally:
        writer.kill()
        writer.wait()
    written = {f"new-{number}" for number in journal.read_text().split()}
    there = {path.name for path in worktree.glob("new-*")} if worktree.exists() else set()
    for ref in hub.refs("refs/hub"):
        there |= {*hub.git("ls-tree", "--name-only", f"{ref}^3").splitlines()}
    assert written <= there
    assert hub.run("cleanup", "s1").code == 0
    assert not worktree.exists()


def test_archive_during_pack_refs(hub: Hub) -> None:
    """`git pack-refs` runs in a loop. --archive loses no ref, and no deleted ref comes back."""
    hub.session("s1")
    tree = hub.git("rev-parse", "main^{tree}")
    commands = []
    tips = {}
    for number in range(1, 41):
        oid = hub.git("commit-tree", tree, "-p", "main", "-m", str(number))
        tips[number] = oid
        commands.append(f"create refs/heads/hub/s1/agent-{number}/attempt-1 {oid}\n")
        commands.append(f"create refs/heads/other/{number} {oid}\n")
    hub.git("update-ref", "--stdin", stdin="".join(commands))
    loop = subprocess.Popen(
        ["sh", "-c", "while :; do git pack-refs --all --prune; done"],
        cwd=hub.top,
        env=hub.environ,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(3):
            result = hub.run("cleanup", "--archive", "s1")
            if result.code == 0:
                break
    finally:
        loop.kill()
        loop.wait()
    assert result.code == 0, result
    assert hub.refs() == {
        "refs/heads/main": hub.git("rev-parse", "main"),
        **{f"refs/heads/other/{number}": oid for number, oid in tips.items()},
        **{f"refs/tags/hub/archive/s1/agent-{number}": oid for number, oid in tips.items()},
    }


def test_leftover_index_copy(hub: Hub) -> None:
    """A killed run left a copy of the index and its lock file."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "file").write_text("changed\n")
    entry = hub.top / ".git" / "worktrees" / "agent-1"
    (entry / "hub-session-index.tmp").write_text("half")
    (entry / "hub-session-index.tmp.lock").write_text("")
    assert hub.run("cleanup", "s1") == saved(worktree)


def test_forged_removal_journal(hub: Hub) -> None:
    """A removal journal is followed only for the trash name that the program itself creates."""
    worktree = hub.session("s1", agents=1).worktree(1)
    victim = Path(f"{worktree.parent}/victim")
    victim.mkdir()
    (victim / "precious").write_text("precious\n")
    note = hub.top / ".git" / "worktrees" / "agent-1" / "hub-session-removal"
    for text in (f"{victim}\0delete", f"{victim}\0x\0aside", "\0delete", "\xff\n"):
        note.write_text(f"{REMOVAL_LOCK}\0{text}")
        (worktree / "new").write_text("new\n")
        result = hub.run("cleanup", "s1")
        assert (result.code, (victim / "precious").exists()) == (0, True)
        hub.call("sh", "-c", restore_command(worktree))
