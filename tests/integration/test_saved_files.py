"""Saved files come back with their permissions, their databases and their empty directories."""

from __future__ import annotations

import os
import sqlite3
import stat
import struct
from pathlib import Path

import pytest

from tests.support.hub import Hub, Result

RESTORE = ("restore", "-q", "s1", "--path", "../worktrees/{id}/agent-{n}")


def modes(top: Path) -> dict[str, str]:
    """Return the permissions of each file and directory below `top`, and of `top` itself."""
    paths = [path for path in [top, *top.rglob("*")] if path.name != ".git"]
    return {str(path.relative_to(top)): f"{stat.S_IMODE(path.stat().st_mode):o}" for path in paths}


def clean_up_and_restore(hub: Hub) -> None:
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert not hub.worktree(1).exists()
    hub.git("gc", "-q", "--prune=now")
    assert hub.run(*RESTORE) == Result(0)


def commit_gitignore(hub: Hub, patterns: str) -> None:
    (hub.top / ".gitignore").write_text(patterns)
    hub.git("add", "-f", ".gitignore")
    hub.git("commit", "-q", "-m", "ignore")


def test_permissions_of_files_and_directories(hub: Hub) -> None:
    (hub.top / ".gitignore").write_text(".env*\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "ignore")
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / ".env").write_text("SECRET=1\n")
    (worktree / ".env").chmod(0o600)
    (worktree / "private").mkdir()
    (worktree / "private" / "key").write_text("key\n")
    (worktree / "private" / "key").chmod(0o400)
    (worktree / "private" / "run").write_text("#!/bin/sh\n")
    (worktree / "private" / "run").chmod(0o700)
    (worktree / "private").chmod(0o500)
    (worktree / "shared").mkdir()
    (worktree / "shared" / "new").write_text("new\n")
    (worktree / "shared").chmod(0o3775)
    (worktree / "file").write_text("changed\n")
    (worktree / "file").chmod(0o640)
    (worktree / "sub" / "other").write_text("staged\n")
    hub.git("add", "sub", cwd=worktree)
    (worktree / "sub" / "other").chmod(0o660)
    (worktree / "link").symlink_to("file")
    (worktree / "links").mkdir()
    (worktree / "links" / "key").symlink_to("../private/key")
    (worktree / "links").chmod(0o700)
    worktree.chmod(0o750)
    before = modes(worktree)
    clean_up_and_restore(hub)
    assert modes(worktree) == before


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_after_a_cleanup_with_another_umask(hub: Hub, umask: int) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "secret").write_text("1\n")
    (worktree / "secret").chmod(0o600)
    (worktree / "program").write_text("1\n")
    (worktree / "program").chmod(0o755)
    old = os.umask(umask)
    try:
        assert hub.call("git", "hub-session", "cleanup", "-q", "s1") == Result(0)
    finally:
        os.umask(old)
    assert hub.run(*RESTORE) == Result(0)
    restored = modes(worktree)
    assert (restored["secret"], restored["program"]) == ("600", "755")


def set_acl(path: Path, group: int) -> None:
    """Let another user write to a file or directory, and its group only have `group`."""
    nobody, unused = 65534, 0xFFFFFFFF
    # The tags are those of the owner, a user, the group, the mask and all others (acl(5)).
    entries = [(1, 6, unused), (2, 6, nobody), (4, group, unused), (16, 7, unused), (32, 0, unused)]
    packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", b"\2\0\0\0" + packed)
    except OSError:
        pytest.skip("needs a file system with access control lists")


def test_access_control_lists_give_no_rights_to_the_group(hub: Hub) -> None:
    """The lists are not saved. In the mode of a file with a list, the group has the mask."""
    commit_gitignore(hub, ".env*\n/certs/\n")
    (hub.top / ".worktreeinclude").write_text("/certs/\n")
    (hub.top / "certs").mkdir()
    (hub.top / "certs" / "key").write_text("key\n")
    set_acl(hub.top / "certs" / "key", group=4)
    set_acl(hub.top / "certs", group=0)
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    assert hub.run("spawn", "-q", "s1", "--path", RESTORE[-1]).code == 0
    worktree = hub.worktree(1)
    copied = modes(worktree)
    assert (copied["certs"], copied["certs/key"]) == ("600", "640")
    for name in (".env", "new"):
        (worktree / name).write_text("1\n")
    (worktree / "logs").mkdir()
    set_acl(worktree / ".env", group=0)
    set_acl(worktree / "new", group=6)
    set_acl(worktree / "logs", group=4)
    assert modes(worktree)[".env"] == "670"
    result = hub.run("cleanup", "s1", "--format=json")
    [rescue] = hub.refs("refs/hub/rescue")
    assert hub.git("ls-tree", "--name-only", f"{rescue}^3").splitlines() == [".env", "new"], result
    assert hub.run(*RESTORE) == Result(0)
    restored = modes(worktree)
    assert [restored[name] for name in (".env", "new", "logs")] == ["600", "660", "640"]


def test_empty_directories(hub: Hub) -> None:
    """Empty directories are saved with other work. Ignored ones are not restored."""
    (hub.top / ".gitignore").write_text("build/\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "ignore")
    worktree = hub.session("s1", agents=1).worktree(1)
    for path in ("logs/old", "sub/empty", "build/empty"):
        (worktree / path).mkdir(parents=True)
    (worktree / "logs").chmod(0o700)
    (worktree / "new").write_text("new\n")
    clean_up_and_restore(hub)
    restored = modes(worktree)
    assert (restored["logs"], restored["logs/old"], restored["sub/empty"]) == ("700", "755", "755")
    assert not (worktree / "build").exists()
    assert hub.git("status", "--porcelain", cwd=worktree) == "?? new"


def test_files_that_saved_links_lead_to(hub: Hub) -> None:
    """A saved link leads to a file whose name matches no pattern of keepIgnored. It is saved too.

    A link that leads out of the worktree is saved without its target.
    """
    commit_gitignore(hub, "*\n")
    outside = hub.top.parent / "outside"
    outside.write_text("outside\n")
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "store" / "v1").mkdir(parents=True)
    (worktree / "store" / "v1" / "local").write_text("KEY=1\n")
    (worktree / "store" / "v1" / "other").write_text("not saved\n")
    (worktree / "rows").write_text("rows\n")
    (worktree / "rows-wal").write_text("log\n")
    links = {
        "store/now": "v1",
        ".env": "store/now/local",
        ".env.loop": ".env.loop",
        ".env.outside": str(outside),
        ".env.up": "../../../outside",
        "sub/app.db": str(worktree / "rows"),
        "sub/gone.db": "../missing/file",
    }
    for path, target in links.items():
        (worktree / path).symlink_to(target)
    clean_up_and_restore(hub)
    assert {path: os.readlink(worktree / path) for path in links} == links
    assert (worktree / ".env").read_text() == "KEY=1\n"
    assert (worktree / "sub" / "app.db").read_text() == "rows\n"
    assert (worktree / "rows-wal").read_text() == "log\n"
    assert not (worktree / "store" / "v1" / "other").exists()
    assert outside.read_text() == "outside\n"


def test_unchanged_copy_that_a_link_leads_to(hub: Hub) -> None:
    """`restore` copies it again. A changed one is saved, although the link is unchanged."""
    (hub.top / ".gitignore").write_text(".env\n/secrets/\n")
    (hub.top / ".worktreeinclude").write_text(".env\n/secrets/\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "include")
    (hub.top / "secrets").mkdir()
    (hub.top / "secrets" / "local").write_text("KEY=1\n")
    (hub.top / ".env").symlink_to("secrets/local")
    for name, state in (("init", ()), ("spawn", ("--path", RESTORE[-1]))):
        options = ("--id", "s1", "--task", "t", "--agents", "2") if name == "init" else ("s1",)
        assert hub.run(name, "-q", *options, *state).code == 0
    hub.worktree(2).joinpath(".env").write_text("KEY=2\n")
    clean_up_and_restore(hub)
    assert [*hub.refs("refs/hub")] == ["refs/hub/rescue/s1/agent-2/attempt-1/1"]
    texts = [hub.worktree(agent).joinpath(".env").read_text() for agent in (1, 2)]
    assert texts == ["KEY=1\n", "KEY=2\n"]


def test_log_of_duckdb(hub: Hub) -> None:
    commit_gitignore(hub, "*.db\n*.wal\n")
    worktree = hub.session("s1", agents=1).worktree(1)
    for name in ("app.db", "app.db.wal", "other.wal"):
        (worktree / name).write_text(f"{name}\n")
    clean_up_and_restore(hub)
    assert (worktree / "app.db.wal").read_text() == "app.db.wal\n"
    assert not (worktree / "other.wal").exists()


@pytest.mark.parametrize("directory", ["", "cache/"])
@pytest.mark.parametrize("tracked", [False, True])
def test_log_of_leveldb(hub: Hub, directory: str, tracked: bool) -> None:
    """A common pattern for logs matches the newest changes of the database."""
    commit_gitignore(hub, "*.log\n*.sst\n")
    worktree = hub.session("s1", agents=1).worktree(1)
    top = worktree / directory
    names = {"CURRENT", "MANIFEST-000002", "000003.log", "000001.ldb", "000005.sst"}
    (worktree / "other").mkdir()
    (worktree / "other" / "000003.log").write_text("not saved\n")
    for name in (*names, "app.log"):
        top.mkdir(exist_ok=True)
        (top / name).write_text(f"{name}\n")
    if tracked:
        hub.git("add", ".", cwd=worktree)
        hub.git("commit", "-q", "-m", "database", cwd=worktree)
    clean_up_and_restore(hub)
    assert names <= {path.name for path in top.iterdir() if path.is_file()}
    assert (top / "000003.log").read_text() == "000003.log\n"
    assert not (top / "app.log").exists()
    assert not (worktree / "other").exists()


def test_permissions_of_paths_outside_the_worktree(hub: Hub) -> None:
    """Another user may have written the message of a rescue ref."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "new").write_text("new\n")
    outside = worktree.parent / "outside"
    outside.mkdir()
    (outside / "file").write_text("1\n")
    (worktree / "link").symlink_to(outside)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    [(ref, oid)] = hub.refs("refs/hub").items()
    message = (
        'On x\n\nModes: {"777": ["../outside/file", "link/file", "file"], "x": ["new"], "4755": []}\n'
        'Directories: {"700": ["../made", "link/made", ".git", "file", 1], "755": "x"}\n'
        "Filtered: [\n"
    )
    parents = hub.git("log", "-1", "--format=%P", oid).split()
    words = [word for parent in parents for word in ("-p", parent)]
    hub.git(
        "update-ref", ref, hub.git("commit-tree", f"{oid}^{{tree}}", *words, "-m", message), oid
    )
    before = modes(outside)
    assert hub.run(*RESTORE) == Result(0)
    assert modes(outside) == before
    assert sorted(path.name for path in worktree.parent.iterdir()) == ["agent-1", "outside"]
    assert modes(worktree)["file"] == "777"


def open_database(path: Path) -> sqlite3.Connection:
    """Return a connection to a database with 100 committed rows that only its log has."""
    database = sqlite3.connect(path)
    database.execute("pragma journal_mode=wal")
    database.execute("create table rows (number)")
    database.execute("pragma wal_checkpoint(truncate)")
    database.executemany("insert into rows values (?)", [(number,) for number in range(100)])
    database.commit()
    return database


def count_rows(path: Path) -> int:
    database = sqlite3.connect(path)
    [(count,)] = database.execute("select count(*) from rows")
    database.close()
    assert isinstance(count, int)
    return count


@pytest.mark.parametrize("state", ["ignored", "untracked", "tracked", "setting"])
def test_log_of_a_database(hub: Hub, tmp_path: Path, state: str) -> None:
    """The log is saved although git ignores it and no pattern of keepIgnored matches it."""
    name = "app.data" if state == "setting" else "app.db"
    patterns = {"ignored": "*.db*\n", "setting": "*.data*\n"}.get(state, "*-wal\n*-shm\n")
    (hub.top / ".gitignore").write_text(patterns)
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "ignore")
    if state == "setting":
        hub.git("config", "hubsession.keepIgnored", "*.data")
    worktree = hub.session("s1", agents=1).worktree(1)
    database = open_database(tmp_path / name)
    for path in tmp_path.glob(f"{name}*"):
        (worktree / path.name).write_bytes(path.read_bytes())
    database.close()
    (worktree / "unrelated-wal").write_text("not saved\n")
    if state == "tracked":
        hub.git("add", name, cwd=worktree)
        hub.git("commit", "-q", "-m", "database", cwd=worktree)
    clean_up_and_restore(hub)
    assert count_rows(worktree / name) == 100
    assert (worktree / "unrelated-wal").exists() == (state in ("ignored", "setting"))


def test_included_database_and_directory(hub: Hub) -> None:
    """`spawn` copies a database with its log, and directories with their permissions."""
    (hub.top / ".gitignore").write_text("*.db*\n/certs/\n")
    (hub.top / ".worktreeinclude").write_text("*.db\n/certs/\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "include")
    database = open_database(hub.top / "app.db")
    (hub.top / "certs" / "deep").mkdir(parents=True)
    (hub.top / "certs" / "deep" / "key").write_text("key\n")
    (hub.top / "certs" / "deep" / "key").chmod(0o600)
    (hub.top / "certs" / "deep").chmod(0o500)
    (hub.top / "certs").chmod(0o700)
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    assert hub.run("spawn", "-q", "s1", "--path", RESTORE[-1]).code == 0
    database.close()
    worktree = hub.worktree(1)
    assert count_rows(worktree / "app.db") == 100
    copied = modes(worktree)
    assert [copied[path] for path in ("certs", "certs/deep", "certs/deep/key")] == [
        "700",
        "500",
        "600",
    ]
