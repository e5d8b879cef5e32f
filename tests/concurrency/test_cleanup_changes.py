"""Changes to a worktree during its removal: a lock, a commit, a process, a new file, a kill."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.cleanup import (
    BRANCH,
    RESCUE,
    kept,
    read_content,
    removed,
    restore_command,
    run_restore_commands,
    shown_path,
)
from tests.support.hub import CHECKOUT, PYTHON, Hub, Result, snapshot
from tests.support.interrupt import DIE, run_with_injected_code


def trash_path(worktree: Path) -> Path:
    """Return the path to which a removal renames the worktree."""
    return worktree.parent / f".{worktree.name}.hub-trash"


def test_trash_directory_that_is_a_symbolic_link(hub: Hub, tmp_path: Path) -> None:
    """The target of the link is never emptied, with or without a worktree to remove."""
    victim = tmp_path / "victim" / "precious"
    victim.mkdir(parents=True)
    (victim / "file").write_text("mine\n")
    link = hub.top / ".git" / "hub-session-trash"
    link.symlink_to(victim.parent)
    worktree = hub.session("s1", agents=1).worktree(1)
    result = hub.run("cleanup", "s1")
    assert (victim / "file").read_text() == "mine\n"
    assert result == kept(worktree, f"'{link}' is a symbolic link", f"rm {link}")
    assert hub.git("branch", "--list", "--format=%(refname:short)", "hub/*") == BRANCH
    assert [*victim.parent.iterdir()] == [victim]
    link.unlink()
    assert hub.run("cleanup", "s1") == removed(worktree)
    link.symlink_to(victim.parent)
    assert hub.run("cleanup", "s1") == Result(0, "Cleaned up 0 worktrees for session s1\n")
    assert (victim / "file").read_text() == "mine\n"


def test_worktree_that_git_prunes_during_the_inspection(hub: Hub) -> None:
    missing, other = hub.session("s1", agents=2).worktree(1), hub.worktree(2)
    shutil.rmtree(missing)
    code = f"subprocess.run(['git', '-C', '{hub.top}', 'worktree', 'prune'])"
    index = hub.top / ".git" / "worktrees" / "agent-1" / "index"
    result = run_with_injected_code(hub, "cleanup", "s1", code=code, opened=str(index))
    assert result == removed(other)


def test_directory_deleted_during_the_inspection(hub: Hub) -> None:
    """The message names the directory, and not one of its files."""
    worktree = hub.session("s1", agents=1).worktree(1)
    index = hub.top / ".git" / "worktrees" / "agent-1" / "index"
    code = f"os.system('rm -r {worktree}')"
    result = run_with_injected_code(hub, "cleanup", "s1", code=code, opened=str(index))
    reason = "cannot inspect the worktree: its directory was removed"
    assert result == kept(worktree, reason, "try again")
    assert hub.run("cleanup", "s1").code == 0
    assert hub.git("worktree", "list").count("\n") == 0


def test_file_changed_during_the_deletion(hub: Hub) -> None:
    """A process in the directory changes a file. The changed file is kept, like a new file."""
    worktree = hub.session("s1", agents=1).worktree(1)
    code = (
        "[open(p, 'w').write('late') for p in ["
        f"'{trash_path(worktree)}/file', '{trash_path(worktree)}/sub/other'] if os.path.exists(p)]"
    )
    result = run_with_injected_code(hub, "cleanup", "s1", code=code, only="os.remove", nth=2)
    assert result == kept(
        worktree, f"files were written during the removal: they are in '{worktree}'"
    )
    remaining = snapshot(worktree)
    assert remaining
    assert set(remaining.values()) == {b"late"}


def test_hard_links_in_a_worktree(hub: Hub) -> None:
    """The deletion of one link changes the ctime of the other. This is not a change of the file."""
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.git("config", "core.excludesFile", "")
    (hub.top / ".git" / "info" / "exclude").write_text("deps/\n")
    (worktree / "deps" / "a").mkdir(parents=True)
    (worktree / "deps" / "a" / "one").write_text("x\n")
    for name in ("two", "three"):
        os.link(worktree / "deps" / "a" / "one", worktree / "deps" / name)
    assert hub.run("cleanup", "s1") == removed(worktree)


@pytest.mark.parametrize("only", ["os.rename", "os.remove"])
def test_lock_during_the_removal(hub: Hub, only: str) -> None:
    """A `git worktree lock` before the rename or during the deletion keeps the worktree."""
    worktree = hub.session("s1", agents=1).worktree(1)
    # The first rename writes the journal. The removal has locked the worktree before the deletion.
    unlock = "" if only == "os.rename" else f"git -C {hub.top} worktree unlock {worktree} && "
    code = f"os.system('{unlock}git -C {hub.top} worktree lock {worktree}')"
    result = run_with_injected_code(hub, "cleanup", "s1", code=code, only=only)
    assert (result.code, result.err) == (1, "")
    assert (
        f"agent-1: kept {shown_path(worktree)}\n  the administrative files changed after the inspection\n"
        in result.out
    )
    assert (hub.top / ".git" / "worktrees" / "agent-1" / "locked").exists()
    second_result = hub.run("cleanup", "s1")
    assert second_result == kept(worktree, "locked", f"git worktree unlock {worktree}")
    hub.git("worktree", "unlock", worktree)
    assert hub.run("cleanup", "s1").code == 0
    assert not worktree.exists()
    assert not trash_path(worktree).exists()


def test_directory_deleted_before_the_rename(hub: Hub) -> None:
    """The next run saves the staged changes, which are still in the index."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "new").write_text("staged\n")
    hub.git("add", "new", cwd=worktree)
    code = f"os.system('rm -r {worktree}')"
    result = run_with_injected_code(hub, "cleanup", "s1", code=code, only="os.rename", nth=2)
    assert (result.code, result.err) == (1, "")
    assert (
        f"agent-1: kept {shown_path(worktree)}, saved uncommitted work in {RESCUE}\n"
        "  the directory was removed after the inspection\n  hint: try again\n" in result.out
    )
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    assert [name for name in ("locked", "hub-session-removal") if (git_dir / name).exists()] == []
    assert hub.run("cleanup", "s1").code == 0
    refs = hub.refs("refs/hub/rescue/s1")
    assert all(hub.git("show", f"{oid}:new") == "staged" for oid in refs.values())
    assert refs
    assert not git_dir.exists()


def test_prune_during_the_removal(hub: Hub) -> None:
    """git finds no directory at the path. The lock of the removal keeps the git dir and its index."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "new").write_text("staged\n")
    hub.git("add", "new", cwd=worktree)
    trash = trash_path(worktree)
    code = f"open({str(trash / 'late')!r}, 'w'); os.system('git -C {hub.top} worktree prune')"
    result = run_with_injected_code(hub, "cleanup", "s1", code=code, opened=str(trash))
    assert (result.code, result.err) == (1, "")
    assert (
        f"agent-1: kept {shown_path(worktree)}, saved uncommitted work in {RESCUE}\n"
        "  files changed after the inspection\n" in result.out
    )
    assert read_content(hub, worktree).status == ["", "?? late", "A  new"]
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    assert [name for name in ("locked", "hub-session-removal") if (git_dir / name).exists()] == []
    assert hub.run("cleanup", "s1").code == 0
    assert not git_dir.exists()


@pytest.mark.parametrize("ref", ["refs/worktree/mine", "refs/bisect/bad", "ORIG_HEAD"])
def test_new_worktree_ref_during_the_save(hub: Hub, ref: str) -> None:
    """The worktree is kept. The next run saves the commit of the new ref."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "new").write_text("new\n")
    tree = hub.git("rev-parse", "HEAD^{tree}")
    new_commit = hub.git("commit-tree", "-m", "late", tree)
    code = f"os.system('cd {worktree} && git update-ref {ref} {new_commit}')"
    result = run_with_injected_code(hub, "cleanup", "s1", code=code, only="subprocess.Popen", nth=1)
    assert (
        f"agent-1: kept {shown_path(worktree)}, saved uncommitted work in {RESCUE}\n"
        "  the administrative files changed after the inspection\n" in result.out
    )
    assert (worktree / "new").exists()
    assert hub.run("cleanup", "s1").code == 0
    assert new_commit in hub.refs("refs/hub/rescue").values()


def test_commits_in_the_reflog_of_a_worktree_ref(hub: Hub) -> None:
    """The older commits in the reflog of a per-worktree ref are saved too."""
    worktree = hub.session("s1", agents=1).worktree(1)
    tree = hub.git("rev-parse", "HEAD^{tree}")
    first, second = (hub.git("commit-tree", "-m", text, tree) for text in ("first", "second"))
    for commit in (first, second):
        hub.git(
            "-c",
            "core.logAllRefUpdates=always",
            "update-ref",
            "refs/worktree/m",
            commit,
            cwd=worktree,
        )
    assert hub.run("cleanup", "s1").code == 0
    [rescue] = hub.refs("refs/hub/rescue")
    assert {first, second} <= set(hub.git("rev-list", rescue).split())


def test_process_that_starts_during_the_cleanup(hub: Hub) -> None:
    """A process starts in one worktree while the work of another is saved."""
    hub.session("s1", agents=2)
    (hub.worktree(1) / "new").write_text("new\n")
    pid_file = hub.top.parent / "pid"
    code = (
        f"p = subprocess.Popen(['sleep', '600'], cwd='{hub.worktree(2)}',"
        " stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
        f" open('{pid_file}', 'w').write(str(p.pid))"
    )
    before = read_content(hub, hub.worktree(2))
    try:
        result = run_with_injected_code(
            hub, "cleanup", "s1", code=code, only="subprocess.Popen", nth=1
        )
        assert (result.code, pid_file.exists()) == (1, True), result
        pid = pid_file.read_text()
        assert (
            f"agent-1: removed {shown_path(hub.worktree(1))}, saved uncommitted work, kept its branch\n"
            in result.out
        )
        assert (
            f"agent-2: kept {shown_path(hub.worktree(2))}\n  in use by process {pid} (sleep)\n"
            in result.out
        )
        assert read_content(hub, hub.worktree(2)) == before
    finally:
        if pid_file.exists():
            subprocess.run(["kill", pid_file.read_text()], check=True)


def test_killed_after_the_directory_was_renamed_back(hub: Hub) -> None:
    """The next run keeps the new file and removes the git dir."""
    worktree = hub.session("s1", agents=1).worktree(1)
    trash = trash_path(worktree)
    # The git dir is renamed right after the directory is renamed back.
    code = (
        f"open('{trash}/sub/new', 'w').write('new') if event == 'os.remove' and "
        f"os.path.exists('{trash}/sub') and not os.path.exists('{trash}/sub/new') else "
        f"os.kill(os.getpid(), signal.SIGKILL) if event == 'os.rename' and "
        f"os.path.exists('{worktree}/sub/new') and args[0].endswith('agent-1') else None; count = 0"
    )
    killed = run_with_injected_code(hub, "cleanup", "s1", code=code)
    assert killed.code == -9, killed
    assert snapshot(worktree) == {"sub/new": b"new"}
    assert hub.run("cleanup", "s1") == kept(
        worktree, f"files were written during the removal: they are in '{worktree}'"
    )
    assert snapshot(worktree) == {"sub/new": b"new"}
    assert hub.run("cleanup", "s1") == Result(0, "Cleaned up 0 worktrees for session s1\n")


def test_removal_without_another_process(hub: Hub) -> None:
    """The system does not allow another process. The command removes all worktrees by itself."""
    hub.session("s1", agents=16)
    code = "(_ for _ in ()).throw(OSError(11, 'Resource temporarily unavailable'))"
    result = run_with_injected_code(hub, "cleanup", "s1", code=code, only="os.fork", nth=1)
    assert (result.code, result.err) == (0, "")
    assert result.out.count(": removed ../worktrees/s1/agent-") == 16


def test_rescue_ref_of_a_session_with_an_unreadable_state(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "new").write_text("new\n")
    state = hub.directory() / "state.json"
    # Simulate a user without the permission to read the file.
    code = "(_ for _ in ()).throw(PermissionError(13, 'Permission denied', 'state.json'))"
    result = run_with_injected_code(hub, "cleanup", "s1", code=code, opened="state.json", nth=4)
    assert state.exists()
    assert (result.code, result.err) == (
        0,
        "warning: the rescue refs are not recorded in the session: Permission denied: 'state.json'\n",
    )
    assert f"  bring it back: {restore_command(worktree)}\n" in result.out


def test_interrupted_git_am(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    patch = hub.top.parent / "patch"
    hub.commit(hub.top, "file", "theirs\n")
    patch.write_text(hub.git("format-patch", "-1", "--stdout") + "\n")
    hub.commit(worktree, "file", "ours\n")
    assert hub.call("git", "am", patch, cwd=worktree).code != 0
    assert hub.run("cleanup", "s1") == kept(
        worktree,
        "in the middle of an am",
        f"git -C {worktree} am --abort",
    )
    hub.git("am", "--abort", cwd=worktree)
    assert hub.run("cleanup", "s1") == removed(worktree)


def test_directory_with_the_longest_name(hub: Hub) -> None:
    hub.session("s1")
    worktree = hub.worktrees / ("n" * 250)
    hub.git("worktree", "add", "-q", "-b", BRANCH, worktree)
    assert hub.run("cleanup", "s1") == removed(worktree)
    worktree = hub.worktrees / ("n" * 250)
    hub.git("worktree", "add", "-q", worktree, BRANCH)
    assert run_with_injected_code(hub, "cleanup", "s1", code=DIE, only="os.remove").code == -9
    assert hub.run("cleanup", "s1") == removed(worktree)
    assert [*hub.worktrees.iterdir()] == []


def test_settings_from_all_sources_of_git(hub: Hub) -> None:
    """keepIgnored is read from GIT_CONFIG_GLOBAL, an included file and the command line."""
    settings = hub.top.parent / "settings"
    settings.write_text('[hubsession]\n\tkeepIgnored = "*.pem"\n')
    (hub.top / ".git" / "info" / "exclude").write_text("*.pem\n*.key\n")
    for options, environ, expected in (
        ((), {"GIT_CONFIG_GLOBAL": str(settings)}, {"a.pem"}),
        (("-c", f"include.path={settings}"), {}, {"a.pem"}),
        (
            ("-c", "hubsession.keepIgnored=*.pem", "-c", "hubsession.keepIgnored=*.key"),
            {},
            {"a.pem", "b.key"},
        ),
    ):
        sid = f"s{len(hub.refs('refs/hub'))}"
        worktree = hub.session(sid, agents=1).worktree(1, sid)
        (worktree / "a.pem").write_text("secret\n")
        (worktree / "b.key").write_text("secret\n")
        result = hub.call("git", *options, "hub-session", "cleanup", sid, environ=environ)
        assert (result.code, result.err) == (0, "")
        ref = f"refs/hub/rescue/{sid}/agent-1/attempt-1/1"
        assert set(hub.git("ls-tree", "--name-only", f"{ref}^3").splitlines()) == expected


def test_change_that_a_filter_hides_from_git(hub: Hub) -> None:
    """git considers the file unchanged, but no object has its bytes. The worktree is kept."""
    (hub.top / ".gitattributes").write_text("conf filter=key\n")
    (hub.top / "conf").write_text("KEY=xxx\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "a filter")
    hub.git("config", "filter.key.clean", "sed s/KEY=.*/KEY=xxx/")
    hub.git("config", "filter.key.smudge", "cat")
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "conf").write_text("KEY=precious\n")
    assert hub.run("cleanup", "s1") == kept(
        worktree,
        "cannot be saved byte for byte: 'conf' (changed by line-ending conversion or a filter)",
        "commit it, or move it out of the worktree",
    )
    assert (worktree / "conf").read_text() == "KEY=precious\n"


@pytest.mark.parametrize("name", ["file", "new"])
@pytest.mark.parametrize(
    ("clean", "message", "hint"),
    [
        (
            "cat; test -e once || { echo late >>%f; : >once; }",
            "files changed after the inspection",
            "try again",
        ),
        (
            "cat; date +%%N",
            "cannot be saved byte for byte: '{}' (changed by line-ending conversion or a filter)",
            "commit it, or move it out of the worktree",
        ),
    ],
)
def test_file_that_changes_while_git_stores_it(
    hub: Hub, name: str, clean: str, message: str, hint: str
) -> None:
    """A writer is told apart from a filter whose output differs each time."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (hub.top / ".git" / "info" / "attributes").write_text(f"{name} filter=late\n")
    (hub.top / ".git" / "info" / "exclude").write_text("once\n")
    hub.git("config", "filter.late.clean", clean)
    (worktree / name).write_text("changed\n")
    assert hub.run("cleanup", "s1") == kept(worktree, message.format(name), hint)
    if hint == "try again":
        assert (worktree / name).read_text() == "changed\nlate\n"
        assert hub.run("cleanup", "-q", "s1").code == 0
        hub.git("config", "--unset", "filter.late.clean")
        assert hub.run("restore", "-q", "s1", "--path", "../worktrees/{id}/agent-{n}").code == 0
        assert (worktree / name).read_text() == "changed\nlate\n"


def test_restore_commands_of_two_worktrees_on_one_branch(hub: Hub) -> None:
    first = hub.session("s1", agents=1).worktree(1)
    second = hub.worktrees / "second"
    hub.git("worktree", "add", "-q", "-f", second, BRANCH)
    for worktree in (first, second):
        (worktree / "new").write_text(f"{worktree}\n")
    result = hub.run("cleanup", "s1")
    assert result.code == 0
    run_restore_commands(hub, result)
    for worktree in (first, second):
        assert (worktree / "new").read_text() == f"{worktree}\n"


def test_restore_command_of_an_unprintable_path(hub: Hub) -> None:
    """bash runs the printed command. It restores the same directory."""
    hub.session("s1")
    worktree = hub.worktrees / "new\nline é's \\ \x1b"
    hub.git("worktree", "add", "-q", "-b", BRANCH, worktree)
    (worktree / "new").write_text("new\n")
    result = hub.run("cleanup", "s1")
    (hint_line,) = [text for text in result.out.splitlines() if "bring it back: " in text]
    assert hint_line.isascii()
    assert hint_line.isprintable()
    assert hub.call("bash", "-c", hint_line.partition("bring it back: ")[2]).code == 0
    assert (worktree / "new").read_text() == "new\n"
    assert RESCUE in hub.refs()


def test_process_that_enters_one_of_several_worktrees(hub: Hub) -> None:
    """It enters after the first directory of the group was renamed, before its own is."""
    hub.session("s1", agents=3)
    worktree = hub.worktree(2)
    pid_file = hub.top.parent / "pid"
    code = (
        f"p = subprocess.Popen(['sleep', '600'], cwd='{worktree}',"
        " stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
        f" open('{pid_file}', 'w').write(str(p.pid))"
    )
    before = read_content(hub, worktree)
    try:
        result = run_with_injected_code(hub, "cleanup", "s1", code=code, only="os.rename", nth=1)
        reason = f"in use by process {pid_file.read_text()} (sleep)"
        kept_lines = f"agent-2: kept {shown_path(worktree)}\n  {reason}\n"
        assert (result.code, kept_lines in result.out) == (1, True), result
        assert [path.name for path in worktree.parent.iterdir()] == ["agent-2"]
        assert read_content(hub, worktree) == before
    finally:
        if pid_file.exists():
            subprocess.run(["kill", pid_file.read_text()], check=True)


def test_signal_while_several_directories_have_their_trash_names(hub: Hub) -> None:
    """They are renamed back, so that the worktrees are complete after the signal."""
    hub.session("s1", agents=3)
    parent = hub.worktree(1).parent
    before = {path.name: snapshot(path) for path in parent.iterdir()}
    code = "os.kill(os.getpid(), signal.SIGTERM)"
    result = run_with_injected_code(hub, "cleanup", "s1", code=code, only="os.rename", nth=3)
    assert result == Result(-15)
    assert {path.name: snapshot(path) for path in parent.iterdir()} == before
    assert hub.run("cleanup", "s1").out.endswith("Cleaned up 3 worktrees for session s1\n")


@pytest.mark.parametrize("moment", ["rename", "scan", "processes"])
def test_signal_while_a_directory_is_renamed_and_inspected(hub: Hub, moment: str) -> None:
    """No directory keeps its trash name, and no worktree stays locked."""
    hub.session("s1", agents=3)
    parent = hub.worktree(1).parent
    before = {path.name: snapshot(path) for path in parent.iterdir()}
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(CHECKOUT)!r})
sys.dont_write_bytecode = True
from git_hub_session.removal import trash
from git_hub_session.main import run_and_exit

def rename(source, target):
    real_rename(source, target)
    if {moment!r} == "rename":
        os.kill(os.getpid(), signal.SIGTERM)
    renamed.append(target)

def stop(event, args):
    # The first directory is opened, or the processes are read, after the last rename.
    is_scan = event == "open" and args[0] in renamed
    is_read = event == "os.listdir" and args[0] == "/proc"
    if len(renamed) == 3 and (is_scan and {moment!r} == "scan" or is_read and {moment!r} == "processes"):
        os.kill(os.getpid(), signal.SIGTERM)

real_rename, renamed = os.rename, []
trash.os.rename = rename
sys.addaudithook(stop)
run_and_exit()
"""
    assert hub.call(PYTHON, "-c", program, "cleanup", "s1") == Result(-15)
    assert {path.name: snapshot(path) for path in parent.iterdir()} == before
    assert "locked" not in hub.git("worktree", "list", "--porcelain")
    assert hub.run("cleanup", "s1").out.endswith("Cleaned up 3 worktrees for session s1\n")


def test_the_processes_are_read_once_for_each_group(hub: Hub) -> None:
    """Reading the open files of all processes takes long on a desktop."""
    hub.session("s1", agents=20)
    program = """
import os, sys
def count(event, args):
    if event == "os.listdir" and args[0] == "/proc":
        os.write(log, b"x")
log = os.open("../log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
sys.addaudithook(count)
from git_hub_session.main import run_and_exit
run_and_exit()
"""
    result = hub.call(PYTHON, "-c", program, "cleanup", "s1")
    assert (result.code, result.out.count("removed")) == (0, 20), result
    # Once for the plan, and once in each process: none has more than 16 worktrees.
    assert 2 <= (hub.top.parent / "log").stat().st_size <= 9
