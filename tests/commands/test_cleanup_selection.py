"""What a cleanup takes: the session's clean worktrees without any git, and nothing that is not its own."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.support.cleanup import (
    BRANCH,
    RESCUE,
    everything,
    kept,
    read_content,
    removed,
    restore_command,
    run_restore_commands,
    saved,
)
from tests.support.hub import IMPATIENT, Hub, Result, snapshot
from tests.support.interrupt import run_with_injected_code


def with_failing_git(hub: Hub) -> tuple[dict[str, str], Path]:
    """An environment in which `git` fails and leaves a trace, and where that is."""
    trace = hub.top.parent / "called"
    directory = hub.top.parent / "failing"
    directory.mkdir()
    git = directory / "git"
    git.write_text(f'#!/bin/sh\necho "$@" >>{trace}\nexit 66\n')
    git.chmod(0o755)
    return {"PATH": f"{directory}:{hub.environ['PATH']}"}, trace


def direct(hub: Hub, *words: str, environ: dict[str, str]) -> Result:
    """The command as git would call it, without git."""
    return hub.call("git-hub-session", *words, environ=environ)


def test_clean_worktrees_go_without_any_git(hub: Hub) -> None:
    """Ignored files go with them; no process is started and nothing of the configuration runs."""
    hub.session("s1", agents=6)
    (hub.worktree(1) / ".gitignore").write_text("*.o\nbuild/\n")
    hub.git("add", ".gitignore", cwd=hub.worktree(1))
    hub.git("commit", "-q", "-m", "ignore", cwd=hub.worktree(1))
    (hub.worktree(1) / "a.o").write_text("object\n")
    (hub.worktree(1) / "build" / "deep").mkdir(parents=True)
    (hub.worktree(1) / "build" / "deep" / "b").write_text("built\n")
    (hub.worktree(2) / "file").touch()
    (hub.worktree(3) / "sub" / "other").write_text("second\n")
    (hub.worktree(4) / "void" / "void").mkdir(parents=True)
    (hub.worktree(5) / "sub").chmod(0o555)
    before = hub.refs()
    for name in ("core.fsmonitor", "core.hooksPath", "core.pager", "filter.x.clean"):
        hub.git("config", name, f"touch {hub.top.parent / 'ran'}; false")
    environ, trace = with_failing_git(hub)
    paths = [hub.worktree(agent) for agent in range(1, 7)]
    assert direct(hub, "cleanup", "s1", environ=environ) == removed(*paths)
    assert not trace.exists()
    assert not (hub.top.parent / "ran").exists()
    assert hub.refs() == before
    assert [*hub.worktrees.rglob("*")] == [hub.worktrees / "s1"]
    assert not (hub.top / ".git" / "worktrees").exists()
    assert [name for name in os.listdir(hub.top / ".git") if "hub" in name] == []


def test_uncommitted_work_is_not_lost_with_a_failing_git(hub: Hub) -> None:
    """The guard of the test above: with something to save git is called, and its failure is told."""
    where = hub.session("s1", agents=1).worktree(1)
    (where / "file").write_text("changed\n")
    environ, trace = with_failing_git(hub)
    assert direct(hub, "cleanup", "s1", environ=environ) == kept(
        where, "cannot save the work: 'git write-tree' failed (exit 66)"
    )
    assert trace.exists()
    assert (where / "file").read_text() == "changed\n"


def test_the_defaults_of_keep_ignored(hub: Hub) -> None:
    """Settings and small databases are saved although they are ignored; the rest goes."""
    where = hub.session("s1", agents=1).worktree(1)
    hub.commit(where, ".gitignore", ".env*\n*.db\n*.sqlite*\n*.o\nbuild/\n")
    names = [".env", ".env.local", "a.db", "b.sqlite", "build/.env", "build/d.db", "c.sqlite3"]
    (where / "build").mkdir()
    for name in (*names, "a.o", "build/e"):
        (where / name).write_text(f"{name}\n")
    result = hub.run("cleanup", "s1")
    assert result == saved(where)
    assert hub.git("ls-tree", "-r", "--name-only", f"{RESCUE}^3").splitlines() == names
    run_restore_commands(hub, result)
    assert {name: (where / name).read_text() for name in names} == {
        name: f"{name}\n" for name in names
    }
    assert not (where / "a.o").exists()


def test_keep_ignored_as_configured(hub: Hub) -> None:
    """Every value counts, each may hold several patterns, and one with '/' is for the whole path."""
    where = hub.session("s1", agents=1).worktree(1)
    hub.commit(where, ".gitignore", "*\n!.gitignore\n")
    hub.git("config", "--add", "hubsession.keepIgnored", "*.key  *.pem")
    hub.git("config", "--add", "hubsession.keepIgnored", "out/*.txt")
    (where / "out").mkdir()
    for name in (".env", "a.key", "b.pem", "c.txt", "out/d.txt"):
        (where / name).write_text(f"{name}\n")
    assert hub.run("cleanup", "s1") == saved(where)
    names = hub.git("ls-tree", "-r", "--name-only", f"{RESCUE}^3").splitlines()
    assert names == ["a.key", "b.pem", "out/d.txt"]


def test_keep_ignored_empty(hub: Hub) -> None:
    where = hub.session("s1", agents=1).worktree(1)
    hub.commit(where, ".gitignore", ".env\n")
    hub.git("config", "hubsession.keepIgnored", "")
    (where / ".env").write_text("SECRET=1\n")
    assert hub.run("cleanup", "s1") == removed(where)


def test_discard(hub: Hub) -> None:
    """Uncommitted work, kept ignored files too, goes unsaved; the branch stays."""
    where = hub.session("s1", agents=1).worktree(1)
    oid = hub.commit(where, ".gitignore", ".env\n")
    (where / ".env").write_text("SECRET=1\n")
    (where / "file").write_text("changed\n")
    (where / "new").write_text("new\n")
    assert hub.run("cleanup", "--discard", "s1") == removed(where)
    assert hub.refs() == {
        "refs/heads/main": hub.refs()["refs/heads/main"],
        f"refs/heads/{BRANCH}": oid,
    }


def foreign_worktrees(hub: Hub) -> None:
    """Worktrees that look like session s1's, each with work that no commit has."""
    for number, branch in enumerate(
        [
            "feature/hub/s1/x",
            "xhub/s1/agent-1/attempt-1",
            "hub/s10/agent-1/attempt-1",
            "hub/S1/agent-1/attempt-1",
            "hub/x/hub/s1/agent-1/attempt-1",
            "hub/s1x",
        ]
    ):
        path = hub.worktrees / f"foreign-{number}"
        hub.git("worktree", "add", "-q", "-b", branch, path, "main")
        (path / "precious").write_text(branch)


def test_only_the_full_prefix_is_the_sessions(hub: Hub) -> None:
    """A substring of a ref is somebody else's; other sessions, too."""
    where = hub.session("s1", agents=1).worktree(1)
    hub.session("s10")
    foreign_worktrees(hub)
    before = everything(hub)
    assert hub.run("cleanup", "s1") == removed(where)
    gone = ("project/.git/worktrees/agent-1/", "worktrees/s1/agent-1/")
    assert everything(hub) == {
        path: data for path, data in before.items() if not path.startswith(gone)
    }


def test_foreign_entries_are_not_pruned(hub: Hub) -> None:
    """Prunable, damaged, empty: what a repository-wide prune would take stays as it is."""
    where = hub.session("s1", agents=1).worktree(1)
    unplugged = hub.worktrees / "unplugged"
    hub.git("worktree", "add", "-q", "-b", "feature", unplugged, "main")
    shutil.rmtree(unplugged)
    entries = hub.top / ".git" / "worktrees"
    (entries / "empty").mkdir()
    (entries / "file").write_text("no directory\n")
    (entries / "junk").mkdir()
    (entries / "junk" / "HEAD").write_text("ref: refs/heads/hub/s1\n")
    (entries / "junk" / "gitdir").write_bytes(b"\xff\n\n")
    (entries / "link").symlink_to(unplugged)
    before = everything(hub)
    assert hub.run("cleanup", "s1") == removed(where)
    gone = ("project/.git/worktrees/agent-1/", "worktrees/s1/agent-1/")
    assert everything(hub) == {
        path: data for path, data in before.items() if not path.startswith(gone)
    }


def test_an_entry_that_does_not_say_where_it_is(hub: Hub) -> None:
    where = hub.session("s1", agents=1).worktree(1)
    (hub.top / ".git" / "worktrees" / "agent-1" / "gitdir").write_text("")
    before = everything(hub)
    result = hub.run("cleanup", "s1")
    fault = "  its administrative files (worktrees/agent-1) do not record its path"
    assert (result.code, result.out.splitlines()[1]) == (1, fault)
    assert everything(hub) == before
    assert where.exists()


def test_a_path_that_forges_records(hub: Hub) -> None:
    """A newline in a path makes `git worktree list` say what its owner wants; we do not read that."""
    hub.session("s1")
    victim = hub.worktrees / "victim"
    hub.git("worktree", "add", "-q", "-b", "victim", victim, "main")
    (victim / "precious").write_text("precious\n")
    forged = hub.worktrees / f"evil\nworktree {victim}\nbranch refs/heads/{BRANCH}"
    forged.parent.mkdir(parents=True)
    hub.git("worktree", "add", "-q", "-b", "harmless", forged, "main")
    before = everything(hub)
    assert hub.run("cleanup", "s1") == removed()
    assert everything(hub) == before


def test_a_path_of_bytes(hub: Hub) -> None:
    """Neither a foreign worktree nor one of ours is in the way with a name that is no UTF-8."""
    hub.session("s1")
    ours = hub.worktrees / os.fsdecode(b"ours-\xff\nand more")
    theirs = hub.worktrees / os.fsdecode(b"theirs-\xfe")
    hub.git("worktree", "add", "-q", "-b", BRANCH, ours, "main")
    hub.git("worktree", "add", "-q", "-b", "theirs", theirs, "main")
    assert hub.run("cleanup", "s1") == Result(
        0,
        f"Removed worktree: {hub.worktrees}/ours-\\xff\\nand more\n"
        "Cleaned up 1 worktree for session s1\n",
    )
    assert (ours.exists(), theirs.exists()) == (False, True)


def test_an_entrys_name_is_not_the_directorys(hub: Hub) -> None:
    """After `git worktree move` the entry keeps its old name."""
    where = hub.session("s1", agents=1).worktree(1)
    hub.git("worktree", "move", where, where.parent / "moved")
    decoy = hub.worktrees / "decoy" / "agent-1"
    hub.git("worktree", "add", "-q", "-b", "decoy", decoy, "main")
    assert hub.run("cleanup", "s1") == removed(where.parent / "moved")
    assert decoy.exists()


def test_relative_links(hub: Hub) -> None:
    """As git 2.48 makes them with worktree.useRelativePaths."""
    where = hub.session("s1", agents=1).worktree(1)
    entry = hub.top / ".git" / "worktrees" / "agent-1"
    (entry / "gitdir").write_text(os.path.relpath(where / ".git", entry) + "\n")
    (where / ".git").write_text(f"gitdir: {os.path.relpath(entry, where)}\n")
    assert hub.run("cleanup", "s1") == removed(where)
    assert not entry.exists()


def test_two_worktrees_on_one_branch(hub: Hub) -> None:
    """`git worktree add --force` makes that possible; both are the session's."""
    where = hub.session("s1", agents=1).worktree(1)
    second = hub.worktrees / "second"
    hub.git("worktree", "add", "-q", "--force", second, BRANCH)
    (where / "file").write_text("one\n")
    (second / "file").write_text("two\n")
    result = hub.run("cleanup", "s1")
    assert result.code == 0, result
    assert {hub.git("show", f"{RESCUE[:-1]}{number}:file") for number in (1, 2)} == {"one", "two"}


def test_natural_order(hub: Hub) -> None:
    hub.session("s1")
    paths = [hub.spawn("s1", agent) for agent in (10, 2, 1)]
    assert hub.run("cleanup", "s1") == removed(*reversed(paths))


@pytest.mark.parametrize("force", [False, True])
def test_a_missing_directory(hub: Hub, force: bool) -> None:
    """Its entry is tidied, and what was staged is saved; where the parent is gone as well somebody has to say so."""
    hub.session("s1", agents=2)
    first, second = hub.worktree(1), hub.worktree(2)
    (first / "file").write_text("staged\n")
    hub.git("add", "file", cwd=first)
    for gone in [hub.worktrees] if force else [first, second]:
        shutil.rmtree(gone)
    result = hub.run("cleanup", *["--force"] * force, "s1")
    assert result == Result(
        0,
        f"Saved uncommitted work of {BRANCH} in {RESCUE}\n"
        f"  bring it back: {restore_command(first)}\n"
        f"Removed worktree: {first} (its directory was missing)\n"
        f"Removed worktree: {second} (its directory was missing)\n"
        "Cleaned up 2 worktrees for session s1\n",
    )
    assert not (hub.top / ".git" / "worktrees").exists()
    run_restore_commands(hub, result)
    assert read_content(hub, first).status == ["", "M  file"]


def test_a_worktree_that_was_never_checked_out(hub: Hub) -> None:
    hub.session("s1")
    where = hub.worktrees / "bare"
    hub.git("worktree", "add", "-q", "--no-checkout", "-b", BRANCH, where, "main")
    assert hub.run("cleanup", "s1") == removed(where)
    assert hub.refs("refs/hub") == {}


def test_a_dry_run_changes_not_one_byte(hub: Hub) -> None:
    """It says what would be saved, removed, kept and archived."""
    hub.session("s1", agents=4)
    (hub.worktree(1) / "file").write_text("changed\n")
    hub.git("update-index", "--split-index", cwd=hub.worktree(2))
    (hub.worktree(2) / "new").write_text("new\n")
    hub.git("worktree", "lock", hub.worktree(3))
    shutil.rmtree(hub.worktree(4))
    before = everything(hub)
    assert hub.run("cleanup", "--dry-run", "--archive", "s1") == Result(
        1,
        f"Would save uncommitted work of {BRANCH} in {RESCUE[:-1]}<n>\n"
        f"Would save uncommitted work of {BRANCH.replace('agent-1', 'agent-2')} in "
        f"{RESCUE[:-1].replace('agent-1', 'agent-2')}<n>\n"
        f"Would remove worktree: {hub.worktree(1)}\n"
        f"Would remove worktree: {hub.worktree(2)}\n"
        f"Would remove worktree: {hub.worktree(4)} (its directory was missing)\n"
        f"Kept worktree: {hub.worktree(3)}\n"
        "  locked\n"
        f"  hint: git worktree unlock {hub.worktree(3)}\n"
        "Would archive branch: hub/s1/agent-1/attempt-1 as tag hub/archive/s1/agent-1\n"
        "Would archive branch: hub/s1/agent-2/attempt-1 as tag hub/archive/s1/agent-2\n"
        "Would archive branch: hub/s1/agent-4/attempt-1 as tag hub/archive/s1/agent-4\n"
        "Kept branch: hub/s1/agent-3/attempt-1: checked out in a worktree\n"
        "Would clean up 3 worktrees for session s1\n",
    )
    assert everything(hub) == before


def test_several_ids_one_unknown(hub: Hub) -> None:
    """Nothing is done before every id is known to be one."""
    hub.session("s1", agents=1)
    before = everything(hub)
    assert hub.run("cleanup", "s1", "s2") == Result(
        128, err="fatal: no such session: 's2'\nhint: git hub-session list\n"
    )
    assert everything(hub) == before


def test_several_ids(hub: Hub) -> None:
    """Each once, in the order given."""
    first = hub.session("s1", agents=1).worktree(1)
    second = hub.session("s2", agents=1).worktree(1, "s2")
    assert hub.run("cleanup", "s2", "s1", "s2") == Result(
        0, removed(second, sid="s2").out + removed(first).out
    )


def test_an_id_is_not_abbreviated(hub: Hub) -> None:
    hub.session("session-1", agents=1)
    assert hub.run("cleanup", "session").code == 128
    assert hub.worktree(1, "session-1").exists()


def test_no_id_outside_of_any_session(hub: Hub) -> None:
    hub.session("s1", agents=1)
    result = hub.run("cleanup")
    assert (result.code, result.out) == (129, "")
    assert hub.worktree(1).exists()


def test_finished_sessions_of_some_age(hub: Hub) -> None:
    """--finished takes what is merged or archived; --older-than those not updated for so long."""
    for sid in ("s1", "s2", "s3"):
        hub.session(sid, agents=1)
    day = 86400
    start = 1773757822
    for sid, when in (("s1", start), ("s2", start + 6 * day)):
        for state in ("running", "evaluating", "merged"):
            assert hub.run("update", sid, "--state", state, now=when).code == 0
    now = start + 7 * day
    words = ("cleanup", "--finished", "--older-than")
    assert hub.run(*words, "8d", now=now) == Result(0, err="no session to clean up\n")
    assert hub.run(*words, "7d", now=now) == removed(hub.worktree(1))
    assert hub.run("cleanup", "--finished", now=now) == Result(
        0,
        "Cleaned up 0 worktrees for session s1\n" + removed(hub.worktree(1, "s2"), sid="s2").out,
    )
    assert hub.worktree(1, "s3").exists()


@pytest.mark.parametrize("words", [(), ("--archive",)])
def test_a_dry_run_reads_each_worktree_once_for_all_sessions(
    hub: Hub, words: tuple[str, ...]
) -> None:
    """Else its time grows with the sessions times the worktrees."""
    for number in range(4):
        hub.session(f"s{number}", agents=2)
        state = hub.directory(f"s{number}") / "state.json"
        state.write_text(json.dumps({**hub.state(f"s{number}"), "state": "merged"}))
    path = str(hub.top / ".git" / "worktrees" / "agent-1" / "gitdir")
    result = run_with_injected_code(hub, "cleanup", "--finished", "-n", *words, nth=0, opened=path)
    assert (result.code, result.err) == (0, "1\n")
    assert "Would remove worktree: " in result.out


def test_usage_of_finished(hub: Hub) -> None:
    hub.session("s1", agents=1)
    for words in (
        ("--older-than", "7d", "s1"),
        ("--finished", "s1"),
        ("--finished", "--older-than", "soon"),
        ("--fin",),
        ("--forc", "s1"),
    ):
        assert hub.run("cleanup", *words).code == 129
    assert hub.worktree(1).exists()


def test_a_session_that_fails_does_not_hide_the_others(hub: Hub) -> None:
    """What was saved of the first is told, although the second is locked for ever."""
    first = hub.session("s1", agents=1).worktree(1)
    (first / "file").write_text("changed\n")
    hub.session("s2", agents=1)
    holder = hub.top.parent / "holder.py"
    holder.write_text(
        "import fcntl, os, sys, subprocess\n"
        "fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)\n"
        "sys.exit(subprocess.run(sys.argv[2:]).returncode)\n"
    )
    command = ("git", "hub-session", "cleanup", "s1", "s2")
    result = hub.call("python3", holder, hub.directory("s2"), *command, environ=IMPATIENT)
    assert (result.code, result.out) == (
        1,
        saved(first).out + "Cleaned up 0 worktrees for session s2\n",
    )
    assert result.err.startswith("warning: session 's2' is locked by process ")
    assert hub.worktree(1, "s2").exists()


def test_an_unreadable_state(hub: Hub) -> None:
    """The worktrees go all the same; that the rescue refs are not recorded is told."""
    where = hub.session("s1", agents=1).worktree(1)
    (hub.directory() / "state.json").write_text("{")
    (where / "file").write_text("changed\n")
    result = hub.run("cleanup", "s1")
    assert (result.code, result.out) == (0, saved(where).out)
    assert result.err.startswith("warning: the rescue refs are not recorded in the session: ")
    assert (hub.directory() / "state.json").read_text() == "{"


def test_json(hub: Hub) -> None:
    hub.session("s1", agents=3)
    first, second, third = (hub.worktree(agent) for agent in (1, 2, 3))
    (first / "file").write_text("changed\n")
    hub.git("worktree", "lock", "--reason", "mine", second)
    assert hub.json("cleanup", "s1", "--archive", code=1) == {
        "dry_run": False,
        "sessions": [
            {
                "session_id": "s1",
                "removed": [
                    {"path": str(first), "branch": BRANCH, "missing": False},
                    {"path": str(third), "branch": "hub/s1/agent-3/attempt-1", "missing": False},
                ],
                "saved": [{"ref": RESCUE, "kind": "work", "path": str(first), "branch": BRANCH}],
                "kept": [
                    {
                        "path": str(second),
                        "branch": "hub/s1/agent-2/attempt-1",
                        "code": "locked",
                        "reason": "locked: mine",
                        "hint": f"git worktree unlock {second}",
                    }
                ],
                "archived": [
                    {
                        "branch": f"hub/s1/agent-{agent}/attempt-1",
                        "tag": f"hub/archive/s1/agent-{agent}",
                        "oid": hub.refs()["refs/heads/main"],
                    }
                    for agent in (1, 3)
                ],
                "branches_kept": [
                    {"branch": "hub/s1/agent-2/attempt-1", "reason": "checked out in a worktree"}
                ],
                "notes": [],
            }
        ],
    }


def test_json_of_a_fault(hub: Hub) -> None:
    result = hub.run("cleanup", "--format=json", "s1")
    assert (result.code, result.out) == (128, "")
    assert json.loads(result.err) == {
        "error": {
            "code": "no-such-session",
            "message": "no such session: 's1'",
            "hint": "git hub-session list",
        }
    }


def test_porcelain(hub: Hub) -> None:
    hub.session("s1", agents=2)
    first, second = hub.worktree(1), hub.worktree(2)
    (first / "file").write_text("changed\n")
    hub.git("worktree", "lock", second)
    assert hub.run("cleanup", "s1", "--format=porcelain") == Result(
        1,
        f"session s1\noutcome removed\npath {first}\nbranch {BRANCH}\n\n"
        f"session s1\noutcome saved\nref {RESCUE}\nkind work\npath {first}\nbranch {BRANCH}\n\n"
        f"session s1\noutcome kept\npath {second}\nbranch hub/s1/agent-2/attempt-1\n"
        f"code locked\nreason locked\nhint git worktree unlock {second}\n\n",
    )


def test_quiet(hub: Hub) -> None:
    hub.session("s1", agents=1)
    assert hub.run("cleanup", "-q", "s1") == Result(0)


def test_git_dir_of_another_repository(hub: Hub) -> None:
    """Store and worktrees are always those of one repository."""
    where = hub.session("s1", agents=1).worktree(1)
    other = hub.top.parent / "other"
    hub.git("init", "-q", other)
    hub.commit(other, "file", "other\n")
    hub.git("worktree", "add", "-q", "-b", BRANCH, hub.worktrees / "theirs", cwd=other)
    environ = {"GIT_DIR": str(other / ".git")}
    assert hub.run("cleanup", "s1", environ=environ).code == 128
    assert (where.exists(), (hub.worktrees / "theirs").exists()) == (True, True)


def test_the_index_of_a_hook_does_not_leak(hub: Hub) -> None:
    """git exports GIT_DIR and GIT_INDEX_FILE to hooks: another worktree's index is not touched."""
    where = hub.session("s1", agents=1).worktree(1)
    (where / "file").write_text("changed\n")
    before = read_content(hub, where)
    hook = hub.top / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexec git hub-session cleanup s1 >out.txt\n")
    hook.chmod(0o755)
    (hub.top / "file").write_text("committed\n")
    hub.git("commit", "-q", "-a", "-m", "through a hook")
    assert hub.git("status", "--porcelain") == "?? out.txt"
    result = Result(0, (hub.top / "out.txt").read_text())
    assert result == saved(where)
    run_restore_commands(hub, result)
    assert read_content(hub, where) == before


def test_a_fixture_that_looks_like_a_repository(hub: Hub) -> None:
    """A tracked bare repository, as tests of git tools have them, is no repository of its own."""
    where = hub.session("s1", agents=1).worktree(1)
    fixture = where / "tests" / "repo"
    for name in ("objects/info/x", "refs/heads/x", "HEAD"):
        (fixture / name).parent.mkdir(parents=True, exist_ok=True)
        (fixture / name).write_text("fixture\n")
    hub.git("add", ".", cwd=where)
    hub.git("commit", "-q", "-m", "fixture", cwd=where)
    assert hub.run("cleanup", "s1") == removed(where)


def test_links_are_never_followed(hub: Hub) -> None:
    """Not out of a worktree, in whatever place they are."""
    where = hub.session("s1", agents=1).worktree(1)
    outside = hub.top.parent / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "precious").write_text("precious\n")
    hub.commit(where, ".gitignore", "ignored\n")
    (where / "ignored").symlink_to(outside)
    (where / "void").mkdir()
    (where / "tracked").symlink_to(outside)
    hub.git("add", "tracked", cwd=where)
    hub.git("commit", "-q", "-m", "link", cwd=where)
    before = snapshot(outside)
    assert hub.run("cleanup", "s1") == removed(where)
    assert snapshot(outside) == before
