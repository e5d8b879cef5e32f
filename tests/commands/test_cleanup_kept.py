"""What a cleanup keeps, with exit code 1 and the reason named; not one byte of it is touched."""

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
)
from tests.support.doctor import list_findings
from tests.support.hub import Hub, Result, snapshot

ABORT = "git hub-session cleanup --force s1"
DOCTOR = "git hub-session doctor s1"


@pytest.fixture
def where(hub: Hub) -> Path:
    """The worktree of session s1's one agent, with a commit of its own."""
    path = hub.session("s1", agents=1).worktree(1)
    hub.commit(path, "file", "second\n")
    return path


def entry(hub: Hub, name: str = "agent-1") -> Path:
    return hub.top / ".git" / "worktrees" / name


def stays(hub: Hub, expected: Result, *words: str, cwd: Path | None = None) -> None:
    """`cleanup` ends as expected, with nothing touched: refs, entries, files, sessions."""
    before = everything(hub)
    assert hub.run("cleanup", "--dry-run", *words, "s1", cwd=cwd).code == 1
    assert everything(hub) == before
    assert hub.run("cleanup", *words, "s1", cwd=cwd) == expected
    assert everything(hub) == before


@contextmanager
def process(cwd: Path) -> Iterator[int]:
    """A process that stands in `cwd`: its number."""
    running = subprocess.Popen(["sleep", "600"], cwd=cwd)
    try:
        yield running.pid
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize("words", [(), ("--force",), ("--force", "--discard", "--archive")])
def test_locked(hub: Hub, where: Path, words: tuple[str, ...]) -> None:
    """Nothing overrides a lock; it is git's own, and git's own reason is told."""
    hub.git("worktree", "lock", "--reason", "on a stick\n\x1b[2J", where)
    unlock = f"git worktree unlock {where}"
    expected = kept(where, "locked: on a stick\\n\\x1b[2J", unlock)
    if "--archive" in words:
        lines = expected.out.splitlines()
        lines.insert(3, "Kept branch: hub/s1/agent-1/attempt-1: checked out in a worktree")
        expected = Result(1, "\n".join(lines) + "\n")
    stays(hub, expected, *words)
    hub.call("sh", "-c", unlock)
    assert hub.run("cleanup", "s1") == removed(where)


def test_locked_without_a_reason_and_missing(hub: Hub, where: Path) -> None:
    """A disk that is not there at the moment is what locks are for."""
    hub.git("worktree", "lock", where)
    where.rename(where.parent / "unplugged")
    stays(hub, kept(where, "locked", f"git worktree unlock {where}"), "--force", "--discard")


def merge(hub: Hub, where: Path) -> str:
    hub.git("branch", "other", "main")
    other = hub.worktrees / "other"
    hub.git("worktree", "add", "-q", other, "other")
    hub.commit(other, "new", "other\n")
    hub.git("worktree", "remove", other)
    hub.git("merge", "-q", "--no-ff", "--no-commit", "other", cwd=where)
    return "merge"


def conflict_with(hub: Hub, where: Path) -> str:
    """A commit on the branch `other` that changes the same line as the worktree's."""
    other = hub.worktrees / "other"
    hub.git("worktree", "add", "-q", "-b", "other", other, "main")
    oid = hub.commit(other, "file", "other\n")
    hub.git("worktree", "remove", other)
    return oid


def cherry_pick(hub: Hub, where: Path) -> str:
    oid = conflict_with(hub, where)
    assert hub.call("git", "cherry-pick", oid, cwd=where).code == 1
    hub.git("checkout", "-q", "--ours", "file", cwd=where)
    hub.git("add", "file", cwd=where)
    return "cherry-pick"


def revert(hub: Hub, where: Path) -> str:
    first = hub.git("rev-parse", "HEAD", cwd=where)
    hub.commit(where, "file", "third\n")
    assert hub.call("git", "revert", "--no-edit", first, cwd=where).code == 1
    hub.git("checkout", "-q", "--ours", "file", cwd=where)
    hub.git("add", "file", cwd=where)
    return "revert"


def rebase_merge(hub: Hub, where: Path) -> str:
    conflict_with(hub, where)
    assert hub.call("git", "rebase", "--merge", "other", cwd=where).code == 1
    hub.git("checkout", "-q", "--ours", "file", cwd=where)
    hub.git("add", "file", cwd=where)
    return "rebase"


def rebase_apply(hub: Hub, where: Path) -> str:
    conflict_with(hub, where)
    assert hub.call("git", "rebase", "--apply", "other", cwd=where).code != 0
    hub.git("checkout", "-q", "--ours", "file", cwd=where)
    hub.git("add", "file", cwd=where)
    return "rebase"


def bisect(hub: Hub, where: Path) -> str:
    for number in range(4):
        hub.commit(where, "file", f"{number}\n")
    hub.git("bisect", "start", "HEAD", "main", cwd=where)
    assert hub.call("git", "symbolic-ref", "HEAD", cwd=where).code != 0
    return "bisect"


OPERATIONS = [merge, cherry_pick, revert, rebase_merge, rebase_apply, bisect]


@pytest.mark.parametrize("begin", OPERATIONS, ids=lambda begin: begin.__name__)
def test_in_the_middle_of_an_operation(
    hub: Hub, where: Path, begin: Callable[[Hub, Path], str]
) -> None:
    """Found by the branch that it will come back to, also where HEAD is detached."""
    operation = begin(hub, where)
    way_out = "bisect reset" if operation == "bisect" else f"{operation} --abort"
    stays(
        hub,
        kept(
            where,
            f"in the middle of a {operation}",
            f"git -C {where} {way_out}, or: git hub-session cleanup --force s1",
        ),
    )


@pytest.mark.parametrize("begin", OPERATIONS, ids=lambda begin: begin.__name__)
def test_deleted_in_the_middle_of_an_operation(
    hub: Hub, where: Path, begin: Callable[[Hub, Path], str]
) -> None:
    """What git noted of it is in the entry: what is to be typed brings directory and operation back."""
    operation = begin(hub, where)
    before = read_content(hub, where)
    shutil.rmtree(where)
    way = f"mkdir -p {where} && {relink(where)} && git -C {where} checkout-index -a"
    stays(hub, kept(where, f"in the middle of a {operation}", f"{ABORT}, or: {DOCTOR}"))
    assert repair_commands(hub) == [way]
    assert hub.call("sh", "-c", way).code == 0
    assert read_content(hub, where) == before
    abort = "bisect reset" if operation == "bisect" else f"{operation} --abort"
    hint = f"git -C {where} {abort}, or: {ABORT}"
    stays(hub, kept(where, f"in the middle of a {operation}", hint))


def test_deleted_with_unmerged_entries(hub: Hub, where: Path) -> None:
    conflict_with(hub, where)
    assert hub.call("git", "merge", "other", cwd=where).code == 1
    shutil.rmtree(where)
    way = f"mkdir -p {where} && {relink(where)} && git -C {where} checkout-index -a"
    stays(hub, kept(where, "unmerged entries: 'file'", DOCTOR), "--force", "--discard")
    assert repair_commands(hub) == [way]
    assert hub.call("sh", "-c", way).code == 0
    assert hub.git("status", "--short", "file", cwd=where) == "UU file"


def test_unmerged_entries_are_not_forced(hub: Hub, where: Path) -> None:
    conflict_with(hub, where)
    assert hub.call("git", "merge", "other", cwd=where).code == 1
    hint = f"git -C {where} status"
    stays(hub, kept(where, "unmerged entries: 'file'", hint), "--force", "--discard")


def test_unmerged_entries_without_an_operation(hub: Hub, where: Path) -> None:
    """As `git stash apply` leaves them."""
    (where / "file").write_text("stashed\n")
    hub.git("stash", cwd=where)
    hub.commit(where, "file", "third\n")
    assert hub.call("git", "stash", "apply", cwd=where).code == 1
    stays(hub, kept(where, "unmerged entries: 'file'", f"git -C {where} status"))


def test_an_index_lock(hub: Hub, where: Path) -> None:
    lock = entry(hub) / "index.lock"
    lock.write_bytes(b"")
    stays(
        hub,
        kept(
            where,
            "the index is locked: a git command is running or was killed",
            f"wait for the git command, or delete {lock}",
        ),
        "--force",
        "--discard",
    )


@pytest.mark.parametrize("damage", ["empty", "short", "garbage"])
def test_an_unreadable_index(hub: Hub, where: Path, damage: str) -> None:
    index = entry(hub) / "index"
    whole = index.read_bytes()
    index.write_bytes(
        {"empty": b"", "short": whole[:70], "garbage": b"DIRC" + b"\xff" * 90}[damage]
    )
    before = everything(hub)
    result = hub.run("cleanup", "--force", "--discard", "s1")
    assert (result.code, result.err) == (1, "")
    assert result.out.startswith(f"Kept worktree: {where}\n  index: ")
    assert everything(hub) == before
    assert hub.json("cleanup", "s1", code=1)["sessions"][0]["kept"][0]["code"] == "unreadable-index"


def test_a_broken_head_is_nobodys(hub: Hub, where: Path) -> None:
    """An entry whose HEAD says nothing belongs to no session: it is left alone."""
    (entry(hub) / "HEAD").write_bytes(b"")
    before = everything(hub)
    assert hub.run("cleanup", "--force", "s1") == removed()
    assert everything(hub) == before


def test_an_unborn_or_lost_branch(hub: Hub, where: Path) -> None:
    tip = hub.git("rev-parse", "HEAD", cwd=where)
    hub.git("update-ref", "-d", "refs/heads/hub/s1/agent-1/attempt-1")
    hint = f"git branch hub/s1/agent-1/attempt-1 {tip}"
    stays(hub, kept(where, "HEAD points to no commit", hint), "--force", "--discard")
    (entry(hub) / "logs" / "HEAD").unlink()
    hint = f"git -C {where} status"
    stays(hub, kept(where, "HEAD points to no commit", hint), "--force", "--discard")


def test_a_process_stands_in_it(hub: Hub, where: Path) -> None:
    """Its number and its command are named; --force takes the worktree away under it, saved."""
    (where / "file").write_text("changed\n")
    with process(where / "sub") as pid:
        stays(
            hub,
            kept(
                where,
                f"in use by process {pid} (sleep)",
                "end the process, or: git hub-session cleanup --force s1",
            ),
            "--discard",
        )
        before = read_content(hub, where)
        result = hub.run("cleanup", "--force", "s1")
        assert result == saved(where)
        assert os.readlink(f"/proc/{pid}/cwd").endswith(" (deleted)")
    run_restore_commands(hub, result)
    assert read_content(hub, where) == before


def test_the_worktree_one_stands_in(hub: Hub, where: Path) -> None:
    """By any way: the id is not needed there, and --force does not help."""
    expected = kept(
        where, "the current directory is in the worktree", "run the command from another directory"
    )
    stays(hub, expected, "--force", "--discard", cwd=where)
    stays(hub, expected, "--force", cwd=where / "sub")
    assert hub.run("cleanup", cwd=where) == expected
    assert hub.run("cleanup", "s1", cwd=where, environ={"GIT_DIR": str(hub.top / ".git")}).code == 1


def test_another_worktree_of_the_session_is_no_hindrance(hub: Hub, where: Path) -> None:
    """Only the worktree one stands in stays, not the others of the session."""
    second = hub.spawn("s1", 2)
    assert hub.run("cleanup", cwd=where) == Result(
        1,
        f"Removed worktree: {second}\n"
        f"Kept worktree: {where}\n"
        "  the current directory is in the worktree\n"
        "  hint: run the command from another directory\n"
        "Cleaned up 1 worktree for session s1\n",
    )


def test_the_main_worktree_on_a_branch_of_the_session(hub: Hub) -> None:
    hub.session("s1")
    hub.git("checkout", "-q", "-b", "hub/s1/agent-1/attempt-1")
    (hub.top / "file").write_text("changed\n")
    stays(
        hub,
        kept(hub.top, "the main worktree cannot be removed", "check out another branch in it"),
        "--force",
        "--discard",
    )


def submodule(hub: Hub, where: Path) -> Path:
    library = hub.top.parent / "library"
    library.mkdir()
    hub.git("init", "-q", cwd=library)
    hub.commit(library, "code", "code\n")
    hub.git("submodule", "--quiet", "add", library, "library", cwd=where)
    hub.git("commit", "-q", "-m", "library", cwd=where)
    return entry(hub) / "modules"


@pytest.mark.parametrize("words", [(), ("--force", "--discard")])
def test_a_populated_submodule(hub: Hub, where: Path, words: tuple[str, ...]) -> None:
    modules = submodule(hub, where)
    stays(
        hub,
        kept(
            where,
            f"has repositories of submodules: '{modules}'",
            f"push their commits, then delete {modules}",
        ),
        *words,
    )


def test_a_submodule_with_its_repository_inside(hub: Hub, where: Path) -> None:
    """As it was before `git submodule absorbgitdirs`."""
    modules = submodule(hub, where)
    (where / "library" / ".git").unlink()
    (modules / "library").rename(where / "library" / ".git")
    modules.rmdir()
    hub.git("config", "-f", where / "library" / ".git" / "config", "--unset", "core.worktree")
    stays(
        hub,
        kept(
            where,
            "has a populated submodule: 'library'",
            f"git -C {where} submodule deinit --all",
        ),
        "--force",
        "--discard",
    )


def test_a_submodule_that_is_not_populated_goes(hub: Hub, where: Path) -> None:
    submodule(hub, where)
    fresh = hub.spawn("s1", 2, base="hub/s1/agent-1/attempt-1")
    hub.git("worktree", "lock", where)
    assert f"Removed worktree: {fresh}\n" in hub.run("cleanup", "s1").out


def plain(hub: Hub, inner: Path) -> None:
    hub.git("init", "-q", inner)


def bare(hub: Hub, inner: Path) -> None:
    hub.git("init", "-q", "--bare", inner)


def linked(hub: Hub, inner: Path) -> None:
    foreign = hub.top.parent / "foreign"
    foreign.mkdir()
    hub.git("init", "-q", cwd=foreign)
    hub.commit(foreign, "file", "foreign\n")
    hub.git("worktree", "add", "-q", "--detach", inner, cwd=foreign)


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("make", [plain, bare, linked], ids=lambda make: make.__name__)
def test_another_repository_inside(
    hub: Hub, where: Path, make: Callable[[Hub, Path], None], *, ignored: bool
) -> None:
    inner = where / "deep" / "inner"
    inner.parent.mkdir()
    make(hub, inner)
    (inner / "precious").write_text("not committed\n")
    if ignored:
        (hub.top / ".git" / "info").mkdir(exist_ok=True)
        (hub.top / ".git" / "info" / "exclude").write_text("deep/\n")
    stays(
        hub,
        kept(where, "contains another repository: 'deep/inner'", f"move it out of {where}"),
        "--force",
        "--discard",
    )


def test_another_worktree_of_the_repository_inside(hub: Hub, where: Path) -> None:
    """Even one whose directory is ignored: git deletes it without a word."""
    inner = where / "inner"
    hub.git("worktree", "add", "-q", "-b", "foreign", inner, "main")
    (hub.top / ".git" / "info").mkdir(exist_ok=True)
    (hub.top / ".git" / "info" / "exclude").write_text("inner/\n")
    stays(
        hub, kept(where, f"contains '{inner}'", f"move it out of {where}"), "--force", "--discard"
    )


def test_the_repository_itself_inside(hub: Hub, where: Path) -> None:
    """The main worktree was moved into a directory that is ignored there."""
    (hub.top / ".git" / "info").mkdir(exist_ok=True)
    (hub.top / ".git" / "info" / "exclude").write_text("inner/\n")
    (where / "inner").mkdir()
    top = where / "inner" / "project"
    hub.top.rename(top)
    hub.git("worktree", "repair", where, cwd=top)
    before = read_content(hub, where)
    assert hub.run("cleanup", "--force", "s1", cwd=top).code == 1
    assert read_content(hub, where) == before


@pytest.mark.parametrize("place", ["", "data"])
def test_a_mount_point(hub: Hub, where: Path, place: str) -> None:
    """A bind mount has the device number of its surroundings: only the system's table tells."""
    elsewhere = hub.top.parent / "elsewhere"
    elsewhere.mkdir()
    point = where / place
    point.mkdir(exist_ok=True)
    source = elsewhere if place else where
    (source / "precious").write_text("precious\n")
    mounted = subprocess.run(["mount", "--bind", source, point], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        stays(
            hub,
            kept(where, f"contains a mount point: '{point}'", f"umount {shlex.quote(str(point))}"),
            "--force",
            "--discard",
        )
    finally:
        subprocess.run(["umount", point], check=True)


def test_another_file_system(hub: Hub, where: Path) -> None:
    point = where / "memory"
    point.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "none", point], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        (point / "precious").write_text("precious\n")
        stays(hub, kept(where, f"contains a mount point: '{point}'", f"umount {point}"), "--force")
    finally:
        subprocess.run(["umount", point], check=True)


def relink(where: Path) -> str:
    """The link of the directory written anew."""
    repository = where.parent.parent.parent / "project"
    return f"printf 'gitdir: %s\\n' {repository}/.git/worktrees/agent-1 >{where}/.git"


def typed(hub: Hub, line: str) -> None:
    """The line, as a person types it: it succeeds."""
    done = hub.call("sh", "-c", line)
    assert done.code == 0, done


def test_its_directory_became_a_link(hub: Hub, where: Path) -> None:
    """Moved away and linked back: git empties the target."""
    moved = where.parent / "moved"
    where.rename(moved)
    where.symlink_to(moved)
    own = hub.top / ".git" / "worktrees" / where.name
    way = f"printf '%s\\n' {moved}/.git >{own}/gitdir"
    stays(
        hub,
        kept(where, "its directory became a symbolic link", DOCTOR),
        "--force",
        "--discard",
    )
    assert repair_commands(hub) == [way]
    typed(hub, way)
    assert hub.run("cleanup", "s1") == removed(moved)


def test_its_directory_became_a_link_that_leads_nowhere(hub: Hub, where: Path) -> None:
    where.rename(where.parent / "moved")
    where.symlink_to(where.parent / "gone")
    stays(hub, kept(where, "its directory became a symbolic link", DOCTOR), "--force")
    assert repair_commands(hub) == [f"rm {where}"]
    typed(hub, f"rm {where}")
    assert [one[:2] for one in list_findings(hub, "s1", code=1)] == [("worktree-moved", str(where))]


def test_its_directory_became_a_file(hub: Hub, where: Path) -> None:
    where.rename(where.parent / "moved")
    where.write_text("a file\n")
    aside = f"mv {where} {where}.other"
    stays(hub, kept(where, "its directory became a file", DOCTOR), "--force", "--discard")
    assert repair_commands(hub) == [aside]
    typed(hub, aside)
    assert Path(f"{where}.other").read_text() == "a file\n"
    assert [one[:2] for one in list_findings(hub, "s1", code=1)] == [("worktree-moved", str(where))]


def test_its_directory_became_somebody_elses_repository(hub: Hub, where: Path) -> None:
    where.rename(where.parent / "moved")
    where.mkdir()
    hub.git("init", "-q", cwd=where)
    stays(
        hub,
        kept(where, "its directory became a separate repository", DOCTOR),
        "--force",
        "--discard",
    )
    assert repair_commands(hub) == [f"mv {where} {where}.other"]
    typed(hub, f"mv {where} {where}.other")
    assert [one[:2] for one in list_findings(hub, "s1", code=1)] == [("worktree-moved", str(where))]
    assert hub.git("rev-parse", "--git-dir", cwd=Path(f"{where}.other")) == ".git"


def test_its_directory_became_a_plain_one(hub: Hub, where: Path) -> None:
    where.rename(where.parent / "moved")
    where.mkdir()
    (where / "precious").write_text("precious\n")
    stays(hub, kept(where, "its .git file is missing", DOCTOR), "--force", "--discard")
    assert repair_commands(hub) == [relink(where)]
    typed(hub, relink(where))
    assert hub.git("status", "--short", cwd=where) == " D file\n D sub/other\n?? precious"


def test_its_link_points_to_another_entry(hub: Hub, where: Path) -> None:
    """Two worktrees that were moved by hand, one over the other's place."""
    other = hub.spawn("s2", 1)
    where.rename(where.parent / "moved")
    other.rename(where)
    fault, back = "its .git file names another git dir", f"mv {where} {other}"
    stays(hub, kept(where, fault, DOCTOR), "--force", "--discard")
    assert repair_commands(hub) == [back]
    typed(hub, back)
    assert hub.git("symbolic-ref", "HEAD", cwd=other) == "refs/heads/hub/s2/agent-1/attempt-1"
    assert [one[:2] for one in list_findings(hub, "s1", code=1)] == [("worktree-moved", str(where))]


@pytest.mark.parametrize("what", ["copy", "garbage", "link", "pipe"])
def test_its_link_is_wrong(hub: Hub, where: Path, what: str) -> None:
    other, dot_git = hub.spawn("s2", 1), where / ".git"
    before = snapshot(other)
    dot_git.unlink()
    fault, way = "its .git is not a file", f"rm {dot_git} && {relink(where)}"
    if what == "copy":
        shutil.copy(other / ".git", dot_git)
        # Whose files these are nobody can tell.
        fault, way = "its .git file names another git dir", f"mv {where} {where}.other"
    elif what == "garbage":
        dot_git.write_text("gitdir of agent-1")
        fault, way = "its .git file does not name a git dir", relink(where)
    elif what == "link":
        dot_git.symlink_to("/dev/null")
    else:
        os.mkfifo(dot_git)
    stays(hub, kept(where, fault, DOCTOR), "--force", "--discard")
    assert repair_commands(hub) == [way]
    typed(hub, way)
    assert hub.git("symbolic-ref", "HEAD", cwd=other) == "refs/heads/hub/s2/agent-1/attempt-1"
    assert hub.run("cleanup", "s1").code == 0
    assert Path(f"{where}.other").exists() == (what == "copy")
    assert snapshot(other) == before


def test_more_than_the_rescue_limit(hub: Hub, where: Path) -> None:
    """The limit is for what is not in the index, and the hint says how to raise it."""
    hub.git("config", "hubsession.rescueLimit", "2k")
    (where / "file").write_bytes(b"x" * 5000)
    (where / "small").write_bytes(b"x" * 1000)
    (where / "large").write_bytes(b"x" * 2000)
    hint = "git -c hubsession.rescueLimit=3000 hub-session cleanup s1, or use --discard"
    reason = "3,000 bytes of untracked files exceed hubsession.rescueLimit (2,048)"
    stays(hub, kept(where, reason, hint), "--force")
    words = ("-c", "hubsession.rescueLimit=3000", "hub-session", "cleanup", "s1")
    before = read_content(hub, where)
    result = hub.call("git", *words)
    assert result == saved(where)
    run_restore_commands(hub, result)
    assert read_content(hub, where) == before


def test_over_the_limit_discarded(hub: Hub, where: Path) -> None:
    (where / "large").write_bytes(b"x" * 2000)
    result = hub.call(
        "git", "-c", "hubsession.rescueLimit=1k", "hub-session", "cleanup", "s1", "--discard"
    )
    assert result == removed(where)


def test_a_bad_rescue_limit(hub: Hub, where: Path) -> None:
    hub.git("config", "hubsession.rescueLimit", "much")
    before = everything(hub)
    assert hub.run("cleanup", "s1") == Result(
        128,
        err="fatal: bad value for hubsession.rescueLimit: 'much'\n"
        "hint: a number of bytes: 100m, 2g\n",
    )
    assert everything(hub) == before


def test_what_git_cannot_store(hub: Hub, where: Path) -> None:
    """A FIFO is nothing that could be saved; --discard is."""
    os.mkfifo(where / "pipe")
    reason = "git cannot store a special file: 'pipe'"
    stays(hub, kept(where, reason, "use --discard"), "--force")
    assert hub.run("cleanup", "--discard", "s1") == removed(where)


def test_a_tracked_file_that_became_a_pipe(hub: Hub, where: Path) -> None:
    (where / "file").unlink()
    os.mkfifo(where / "file")
    before = everything(hub)
    result = hub.run("cleanup", "s1")
    assert (result.code, result.err) == (1, "")
    assert result.out.startswith(
        f"Kept worktree: {where}\n  cannot save the work: 'git update-index' failed (exit 128)\n"
    )
    assert everything(hub) == before


def test_a_name_that_git_refuses(hub: Hub, where: Path) -> None:
    """No commit can hold what looks like .git to another system."""
    (where / "git~1").write_text("precious\n")
    before = snapshot(where)
    assert hub.run("cleanup", "s1") == kept(
        where,
        "cannot be saved byte for byte: 'git~1' (git cannot store this name)",
        "commit it, or use --discard",
    )
    assert snapshot(where) == before


def test_no_git_to_save_with(hub: Hub, where: Path) -> None:
    """Clean worktrees go without git; one that needs it stays, and says so."""
    second = hub.spawn("s1", 2)
    (where / "file").write_text("changed\n")
    with tempfile.TemporaryDirectory() as empty:
        program = str(Path(hub.environ["PATH"].split(":")[0]) / "git-hub-session")
        result = hub.call("/bin/sh", program, "cleanup", "s1", environ={"PATH": empty})
    assert result == Result(
        1,
        f"Removed worktree: {second}\n"
        f"Kept worktree: {where}\n"
        "  cannot save the work: cannot find 'git'\n"
        "  hint: put git on PATH\n"
        "Cleaned up 1 worktree for session s1\n",
    )


def test_a_hook_that_refuses_the_rescue_ref(hub: Hub, where: Path) -> None:
    hook = hub.top / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ntest "$1" != prepared || { echo not today >&2; exit 1; }\n')
    hook.chmod(0o755)
    (where / "file").write_text("changed\n")
    before = {path: data for path, data in snapshot(hub.top).items() if "/objects/" not in path}
    by_git = hub.call("git", "update-ref", "refs/new", "HEAD").err.strip()
    assert by_git.startswith("not today\nfatal: ")
    assert hub.run("cleanup", "s1") == kept(
        where, "cannot save the work: 'git update-ref' failed (exit 128)", by_git
    )
    after = {path: data for path, data in snapshot(hub.top).items() if "/objects/" not in path}
    assert after == before
    assert (where / "file").read_text() == "changed\n"


@pytest.mark.parametrize(("name", "depth"), [("d" * 100, 60), ("d", 1500)])
def test_directories_nested_too_deeply(hub: Hub, where: Path, name: str, depth: int) -> None:
    """Longer than a path can be, deeper than a program can go: refused whole, without a traceback."""
    with nested(where, name, depth):
        result = hub.run("cleanup", "s1")
        assert (result.code, result.err) == (1, "")
        assert result.out.startswith(f"Kept worktree: {where}\n")
        assert (where / "file").exists()
        assert hub.refs("refs/hub") == {}


@contextmanager
def nested(top: Path, name: str, depth: int) -> Iterator[None]:
    """Directories below each other, and a file in the innermost: its path may be too long to say."""
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("precious", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)
    try:
        yield
    finally:
        # pytest, which keeps the last three runs, cannot delete what lies so deep.
        subprocess.run(["rm", "-rf", top / name], check=True)
