"""The worktrees and sessions that `cleanup` selects, and its output formats."""

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
    shown_path,
)
from tests.support.hub import IMPATIENT, Hub, Result, snapshot
from tests.support.interrupt import run_with_injected_code


def create_failing_git(hub: Hub) -> tuple[dict[str, str], Path]:
    """Return an environment with a failing `git`, and the file that lists its calls."""
    call_log = hub.top.parent / "called"
    directory = hub.top.parent / "failing"
    directory.mkdir()
    git = directory / "git"
    git.write_text(f'#!/bin/sh\necho "$@" >>{call_log}\nexit 66\n')
    git.chmod(0o755)
    return {"PATH": f"{directory}:{hub.environ['PATH']}"}, call_log


def run_without_git(hub: Hub, *arguments: str, environ: dict[str, str]) -> Result:
    """Run the command directly, not through git."""
    return hub.call("git-hub-session", *arguments, environ=environ)


def test_clean_worktrees_are_removed_without_git(hub: Hub) -> None:
    """No process is started, and no configured program runs. Ignored files are removed too."""
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
    environ, call_log = create_failing_git(hub)
    paths = [hub.worktree(agent) for agent in range(1, 7)]
    assert run_without_git(hub, "cleanup", "s1", environ=environ) == removed(*paths)
    assert not call_log.exists()
    assert not (hub.top.parent / "ran").exists()
    assert hub.refs() == before
    assert [*hub.worktrees.rglob("*")] == [hub.worktrees / "s1"]
    assert not (hub.top / ".git" / "worktrees").exists()
    assert [name for name in os.listdir(hub.top / ".git") if "hub" in name] == []


def test_uncommitted_changes_are_kept_if_git_fails(hub: Hub) -> None:
    """Git is called if there are changes to save. Therefore the test above would detect a call."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "file").write_text("changed\n")
    environ, call_log = create_failing_git(hub)
    assert run_without_git(hub, "cleanup", "s1", environ=environ) == kept(
        worktree, "cannot save the work: 'git write-tree' failed (exit 66)"
    )
    assert call_log.exists()
    assert (worktree / "file").read_text() == "changed\n"


def test_default_of_keep_ignored(hub: Hub) -> None:
    """Ignored settings and small databases are saved. Other ignored files are removed."""
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.commit(worktree, ".gitignore", ".env*\n*.db\n*.DB\n*.sqlite*\n*.o\nbuild/\n")
    names = [
        ".env",
        ".env.local",
        "A.DB",
        "a.db",
        "b.sqlite",
        "build/.env",
        "build/d.db",
        "c.sqlite3",
    ]
    (worktree / "build").mkdir()
    for name in (*names, "a.o", "build/e"):
        (worktree / name).write_text(f"{name}\n")
    result = hub.run("cleanup", "s1")
    assert result == saved(worktree)
    assert hub.git("ls-tree", "-r", "--name-only", f"{RESCUE}^3").splitlines() == names
    run_restore_commands(hub, result)
    assert {name: (worktree / name).read_text() for name in names} == {
        name: f"{name}\n" for name in names
    }
    assert not (worktree / "a.o").exists()


def test_configured_keep_ignored(hub: Hub) -> None:
    """All values count.

    A value may have several patterns. A pattern with '/' matches the whole path.
    """
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.commit(worktree, ".gitignore", "*\n!.gitignore\n")
    hub.git("config", "--add", "hubsession.keepIgnored", "*.key  *.pem")
    hub.git("config", "--add", "hubsession.keepIgnored", "out/*.txt")
    (worktree / "out").mkdir()
    for name in (".env", "a.key", "b.pem", "c.txt", "out/d.txt"):
        (worktree / name).write_text(f"{name}\n")
    assert hub.run("cleanup", "s1") == saved(worktree)
    names = hub.git("ls-tree", "-r", "--name-only", f"{RESCUE}^3").splitlines()
    assert names == ["a.key", "b.pem", "out/d.txt"]


def test_empty_keep_ignored(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.commit(worktree, ".gitignore", ".env\n")
    hub.git("config", "hubsession.keepIgnored", "")
    (worktree / ".env").write_text("SECRET=1\n")
    assert hub.run("cleanup", "s1") == removed(worktree)


def test_discard(hub: Hub) -> None:
    """Changes and ignored files are removed without a rescue ref. The branch is kept."""
    worktree = hub.session("s1", agents=1).worktree(1)
    oid = hub.commit(worktree, ".gitignore", ".env\n")
    (worktree / ".env").write_text("SECRET=1\n")
    (worktree / "file").write_text("changed\n")
    (worktree / "new").write_text("new\n")
    assert hub.run("cleanup", "--discard", "s1") == removed(worktree)
    assert hub.refs() == {
        "refs/heads/main": hub.refs()["refs/heads/main"],
        f"refs/heads/{BRANCH}": oid,
    }


def create_foreign_worktrees(hub: Hub) -> None:
    """Create worktrees on branches with similar names. Each has an untracked file."""
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


def test_worktrees_on_similar_branches_are_not_removed(hub: Hub) -> None:
    """A worktree belongs to the session only if its branch starts with hub/s1/."""
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.session("s10")
    create_foreign_worktrees(hub)
    before = everything(hub)
    assert hub.run("cleanup", "s1") == removed(worktree)
    removed_paths = ("project/.git/worktrees/agent-1/", "worktrees/s1/agent-1/")
    assert everything(hub) == {
        path: data for path, data in before.items() if not path.startswith(removed_paths)
    }


def test_other_git_dirs_are_not_pruned(hub: Hub) -> None:
    """`git worktree prune` would remove these git dirs: prunable, damaged and empty ones."""
    worktree = hub.session("s1", agents=1).worktree(1)
    unplugged = hub.worktrees / "unplugged"
    hub.git("worktree", "add", "-q", "-b", "feature", unplugged, "main")
    shutil.rmtree(unplugged)
    git_dirs = hub.top / ".git" / "worktrees"
    (git_dirs / "empty").mkdir()
    (git_dirs / "file").write_text("no directory\n")
    (git_dirs / "junk").mkdir()
    (git_dirs / "junk" / "HEAD").write_text("ref: refs/heads/hub/s1\n")
    (git_dirs / "junk" / "gitdir").write_bytes(b"\xff\n\n")
    (git_dirs / "link").symlink_to(unplugged)
    before = everything(hub)
    assert hub.run("cleanup", "s1") == removed(worktree)
    removed_paths = ("project/.git/worktrees/agent-1/", "worktrees/s1/agent-1/")
    assert everything(hub) == {
        path: data for path, data in before.items() if not path.startswith(removed_paths)
    }


def test_git_dir_without_a_path(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    (hub.top / ".git" / "worktrees" / "agent-1" / "gitdir").write_text("")
    before = everything(hub)
    result = hub.run("cleanup", "s1")
    reason = "  its administrative files (worktrees/agent-1) do not record its path"
    assert (result.code, result.out.splitlines()[1]) == (1, reason)
    assert everything(hub) == before
    assert worktree.exists()


def test_path_that_forges_output_of_worktree_list(hub: Hub) -> None:
    """A newline in a path forges a record of `git worktree list`.

    The command does not read this output.
    """
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


def test_path_that_is_not_utf8(hub: Hub) -> None:
    """The worktree of the session is removed. The worktree on another branch is kept."""
    hub.session("s1")
    own = hub.worktrees / os.fsdecode(b"ours-\xff\nand more")
    foreign = hub.worktrees / os.fsdecode(b"theirs-\xfe")
    hub.git("worktree", "add", "-q", "-b", BRANCH, own, "main")
    hub.git("worktree", "add", "-q", "-b", "theirs", foreign, "main")
    assert hub.run("cleanup", "s1") == Result(
        0,
        "agent-1: removed ../worktrees/ours-\\xff\\nand more, kept its branch\n"
        "Cleaned up 1 worktree for session s1\n",
    )
    assert (own.exists(), foreign.exists()) == (False, True)


def test_worktree_after_git_worktree_move(hub: Hub) -> None:
    """The git dir keeps its name. Another directory has the same name."""
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.git("worktree", "move", worktree, worktree.parent / "moved")
    decoy = hub.worktrees / "decoy" / "agent-1"
    hub.git("worktree", "add", "-q", "-b", "decoy", decoy, "main")
    assert hub.run("cleanup", "s1") == removed(worktree.parent / "moved")
    assert decoy.exists()


def test_relative_links(hub: Hub) -> None:
    """git 2.48 writes relative paths with worktree.useRelativePaths."""
    worktree = hub.session("s1", agents=1).worktree(1)
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    (git_dir / "gitdir").write_text(os.path.relpath(worktree / ".git", git_dir) + "\n")
    (worktree / ".git").write_text(f"gitdir: {os.path.relpath(git_dir, worktree)}\n")
    assert hub.run("cleanup", "s1") == removed(worktree)
    assert not git_dir.exists()


def test_two_worktrees_on_one_branch(hub: Hub) -> None:
    """`git worktree add --force` allows this. Both worktrees belong to the session."""
    first = hub.session("s1", agents=1).worktree(1)
    second = hub.worktrees / "second"
    hub.git("worktree", "add", "-q", "--force", second, BRANCH)
    (first / "file").write_text("one\n")
    (second / "file").write_text("two\n")
    result = hub.run("cleanup", "s1")
    assert result.code == 0, result
    assert {hub.git("show", f"{RESCUE[:-1]}{number}:file") for number in (1, 2)} == {"one", "two"}


def test_worktrees_in_natural_order(hub: Hub) -> None:
    hub.session("s1")
    paths = [hub.spawn("s1", agent) for agent in (10, 2, 1)]
    assert hub.run("cleanup", "s1") == removed(*reversed(paths))


@pytest.mark.parametrize("force", [False, True])
def test_missing_directory(hub: Hub, force: bool) -> None:
    """Staged changes are saved and the git dir is removed. A missing parent requires --force."""
    hub.session("s1", agents=2)
    first, second = hub.worktree(1), hub.worktree(2)
    (first / "file").write_text("staged\n")
    hub.git("add", "file", cwd=first)
    for path in [hub.worktrees] if force else [first, second]:
        shutil.rmtree(path)
    result = hub.run("cleanup", *["--force"] * force, "s1")
    assert result == Result(
        0,
        f"agent-1: removed {shown_path(first)} (its directory was missing), saved uncommitted work, kept its branch\n"
        f"  bring it back: {restore_command(first)}\n"
        f"agent-2: removed {shown_path(second)} (its directory was missing), kept its branch\n"
        "Cleaned up 2 worktrees for session s1\n",
    )
    assert not (hub.top / ".git" / "worktrees").exists()
    run_restore_commands(hub, result)
    assert read_content(hub, first).status == ["", "M  file"]


def test_worktree_without_a_checkout(hub: Hub) -> None:
    hub.session("s1")
    worktree = hub.worktrees / "bare"
    hub.git("worktree", "add", "-q", "--no-checkout", "-b", BRANCH, worktree, "main")
    assert hub.run("cleanup", "s1") == removed(worktree)
    assert hub.refs("refs/hub") == {}


def test_dry_run_changes_nothing(hub: Hub) -> None:
    """The output lists what would be saved, removed, kept and archived."""
    hub.session("s1", agents=4)
    (hub.worktree(1) / "file").write_text("changed\n")
    hub.git("update-index", "--split-index", cwd=hub.worktree(2))
    (hub.worktree(2) / "new").write_text("new\n")
    hub.git("worktree", "lock", hub.worktree(3))
    shutil.rmtree(hub.worktree(4))
    before = everything(hub)
    assert hub.run("cleanup", "--dry-run", "--archive", "s1") == Result(
        1,
        "agent-1: would remove ../worktrees/s1/agent-1, would save uncommitted work, "
        "would archive as refs/hub/archive/s1/agent-1/attempt-1/1\n"
        "agent-2: would remove ../worktrees/s1/agent-2, would save uncommitted work, "
        "would archive as refs/hub/archive/s1/agent-2/attempt-1/1\n"
        "agent-3: kept ../worktrees/s1/agent-3, kept branch: checked out in a worktree\n"
        "  locked\n"
        f"  hint: git worktree unlock {hub.worktree(3)}\n"
        "agent-4: would remove ../worktrees/s1/agent-4 (its directory was missing), "
        "would archive as refs/hub/archive/s1/agent-4/attempt-1/1\n"
        "Would clean up 3 worktrees for session s1\n",
    )
    assert everything(hub) == before


def test_unknown_id_among_several(hub: Hub) -> None:
    """All ids are checked before the first cleanup."""
    hub.session("s1", agents=1)
    before = everything(hub)
    assert hub.run("cleanup", "s1", "s2") == Result(
        128, err="fatal: no such session: 's2'\nhint: git hub-session list\n"
    )
    assert everything(hub) == before


def test_several_ids_in_the_given_order(hub: Hub) -> None:
    """A repeated id is used once."""
    first = hub.session("s1", agents=1).worktree(1)
    second = hub.session("s2", agents=1).worktree(1, "s2")
    assert hub.run("cleanup", "s2", "s1", "s2") == Result(
        0, removed(second, sid="s2").out + removed(first).out
    )


def test_abbreviated_id_is_rejected(hub: Hub) -> None:
    hub.session("session-1", agents=1)
    assert hub.run("cleanup", "session").code == 128
    assert hub.worktree(1, "session-1").exists()


def test_no_id_outside_of_a_session(hub: Hub) -> None:
    hub.session("s1", agents=1)
    result = hub.run("cleanup")
    assert (result.code, result.out) == (129, "")
    assert hub.worktree(1).exists()


def test_options_finished_and_older_than(hub: Hub) -> None:
    """--finished selects merged and archived sessions. --older-than compares the last update."""
    for sid in ("s1", "s2", "s3"):
        hub.session(sid, agents=1)
    day = 86400
    start = 1773757822
    for sid, time in (("s1", start), ("s2", start + 6 * day)):
        for state in ("running", "evaluating", "merged"):
            assert hub.run("update", sid, "--state", state, now=time).code == 0
    now = start + 7 * day
    arguments = ("cleanup", "--finished", "--older-than")
    assert hub.run(*arguments, "8d", now=now) == Result(0, err="no session to clean up\n")
    assert hub.run(*arguments, "7d", now=now) == removed(hub.worktree(1))
    assert hub.run("cleanup", "--finished", now=now) == Result(
        0,
        "Cleaned up 0 worktrees for session s1\n" + removed(hub.worktree(1, "s2"), sid="s2").out,
    )
    assert hub.worktree(1, "s3").exists()


@pytest.mark.parametrize("arguments", [(), ("--archive",)])
def test_dry_run_reads_each_worktree_once(hub: Hub, arguments: tuple[str, ...]) -> None:
    """Otherwise the time would grow with the number of sessions times the number of worktrees."""
    for number in range(4):
        hub.session(f"s{number}", agents=2)
        state = hub.directory(f"s{number}") / "state.json"
        state.write_text(json.dumps({**hub.state(f"s{number}"), "state": "merged"}))
    path = str(hub.top / ".git" / "worktrees" / "agent-1" / "gitdir")
    result = run_with_injected_code(
        hub, "cleanup", "--finished", "-n", *arguments, nth=0, opened=path
    )
    assert (result.code, result.err) == (0, "1\n")
    assert ": would remove ../" in result.out


def test_usage_errors(hub: Hub) -> None:
    hub.session("s1", agents=1)
    for arguments in (
        ("--older-than", "7d", "s1"),
        ("--finished", "s1"),
        ("--finished", "--older-than", "soon"),
        ("--fin",),
        ("--forc", "s1"),
    ):
        assert hub.run("cleanup", *arguments).code == 129
    assert hub.worktree(1).exists()


def test_locked_session_among_several(hub: Hub) -> None:
    """The result of the first session is printed, although the second session is locked."""
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


def test_unreadable_state(hub: Hub) -> None:
    """The worktree is removed. A warning says that its rescue ref is not recorded."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (hub.directory() / "state.json").write_text("{")
    (worktree / "file").write_text("changed\n")
    result = hub.run("cleanup", "s1")
    assert (result.code, result.out) == (0, saved(worktree).out)
    assert result.err.startswith("warning: the rescue refs are not recorded in the session: ")
    assert (hub.directory() / "state.json").read_text() == "{"


def test_json_format(hub: Hub) -> None:
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
                "saved": [
                    {
                        "ref": RESCUE,
                        "kind": "work",
                        "path": str(first),
                        "branch": BRANCH,
                        "restore": None,
                        "git": f"git worktree add --detach {first} {RESCUE}^"
                        f" && git -C {first} stash apply --index {RESCUE}",
                    }
                ],
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
                        "tag": None,
                        "oid": hub.refs()["refs/heads/main"],
                        "ref": f"refs/hub/archive/s1/agent-{agent}/attempt-1/1",
                    }
                    for agent in (1, 3)
                ],
                "branches_kept": [
                    {
                        "branch": "hub/s1/agent-2/attempt-1",
                        "reason": "checked out in a worktree",
                        "hint": f"git worktree unlock {second}",
                    }
                ],
                "notes": [],
            }
        ],
    }


def test_json_format_of_an_error(hub: Hub) -> None:
    result = hub.run("cleanup", "--format=json", "s1")
    assert (result.code, result.out) == (128, "")
    assert json.loads(result.err) == {
        "version": 1,
        "error": {
            "code": "no-such-session",
            "message": "no such session: 's1'",
            "hint": "git hub-session list",
        },
    }


def test_porcelain_format(hub: Hub) -> None:
    hub.session("s1", agents=2)
    first, second = hub.worktree(1), hub.worktree(2)
    (first / "file").write_text("changed\n")
    hub.git("worktree", "lock", second)
    assert hub.run("cleanup", "s1", "--format=porcelain") == Result(
        1,
        f"session s1\noutcome removed\npath {first}\nbranch {BRANCH}\n\n"
        f"session s1\noutcome saved\nref {RESCUE}\nkind work\npath {first}\nbranch {BRANCH}\n"
        f"git {restore_command(first)}\n\n"
        f"session s1\noutcome kept\npath {second}\nbranch hub/s1/agent-2/attempt-1\n"
        f"code locked\nreason locked\nhint git worktree unlock {second}\n\n",
    )


def test_quiet(hub: Hub) -> None:
    hub.session("s1", agents=1)
    assert hub.run("cleanup", "-q", "s1") == Result(0)


def test_git_dir_variable_of_another_repository(hub: Hub) -> None:
    """The session is not found, and the worktrees of both repositories are kept."""
    worktree = hub.session("s1", agents=1).worktree(1)
    other = hub.top.parent / "other"
    hub.git("init", "-q", other)
    hub.commit(other, "file", "other\n")
    hub.git("worktree", "add", "-q", "-b", BRANCH, hub.worktrees / "theirs", cwd=other)
    environ = {"GIT_DIR": str(other / ".git")}
    assert hub.run("cleanup", "s1", environ=environ).code == 128
    assert (worktree.exists(), (hub.worktrees / "theirs").exists()) == (True, True)


def test_cleanup_in_a_hook(hub: Hub) -> None:
    """Git sets GIT_DIR and GIT_INDEX_FILE for hooks.

    The index of the other worktree is not changed.
    """
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "file").write_text("changed\n")
    before = read_content(hub, worktree)
    hook = hub.top / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexec git hub-session cleanup s1 >out.txt\n")
    hook.chmod(0o755)
    (hub.top / "file").write_text("committed\n")
    hub.git("commit", "-q", "-a", "-m", "through a hook")
    assert hub.git("status", "--porcelain") == "?? out.txt"
    result = Result(0, (hub.top / "out.txt").read_text())
    assert result == saved(worktree)
    run_restore_commands(hub, result)
    assert read_content(hub, worktree) == before


def test_tracked_bare_repository(hub: Hub) -> None:
    """Tests of git tools have such files. They are not another repository."""
    worktree = hub.session("s1", agents=1).worktree(1)
    fixture = worktree / "tests" / "repo"
    for name in ("objects/info/x", "refs/heads/x", "HEAD"):
        (fixture / name).parent.mkdir(parents=True, exist_ok=True)
        (fixture / name).write_text("fixture\n")
    hub.git("add", ".", cwd=worktree)
    hub.git("commit", "-q", "-m", "fixture", cwd=worktree)
    assert hub.run("cleanup", "s1") == removed(worktree)


def test_links_are_not_followed(hub: Hub) -> None:
    """A tracked link and an ignored link point outside of the worktree."""
    worktree = hub.session("s1", agents=1).worktree(1)
    outside = hub.top.parent / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "precious").write_text("precious\n")
    hub.commit(worktree, ".gitignore", "ignored\n")
    (worktree / "ignored").symlink_to(outside)
    (worktree / "void").mkdir()
    (worktree / "tracked").symlink_to(outside)
    hub.git("add", "tracked", cwd=worktree)
    hub.git("commit", "-q", "-m", "link", cwd=worktree)
    before = snapshot(outside)
    assert hub.run("cleanup", "s1") == removed(worktree)
    assert snapshot(outside) == before
