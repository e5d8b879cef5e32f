"""Who comes after a worktree was judged: a lock, a commit, a process, a writer; and what a kill between leaves."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.cleanup import BRANCH, RESCUE, bring_back, kept, line, look, removed
from tests.support.hub import Hub, Result, snapshot
from tests.support.interrupt import DIE, interposed


def trash(where: Path) -> Path:
    return where.parent / f".{where.name}.hub-trash"


def test_the_trash_of_entries_is_a_link(hub: Hub, tmp_path: Path) -> None:
    """What it leads to is nobody's trash: not with a worktree to remove, and not without one."""
    victim = tmp_path / "victim" / "precious"
    victim.mkdir(parents=True)
    (victim / "file").write_text("mine\n")
    link = hub.top / ".git" / "hub-session-trash"
    link.symlink_to(victim.parent)
    where = hub.session("s1", agents=1).worktree(1)
    result = hub.run("cleanup", "s1")
    assert (victim / "file").read_text() == "mine\n"
    assert result == kept(where, f"'{link}' is a symbolic link", f"rm {link}")
    assert hub.git("branch", "--list", "--format=%(refname:short)", "hub/*") == BRANCH
    assert [*victim.parent.iterdir()] == [victim]
    link.unlink()
    assert hub.run("cleanup", "s1") == removed(where)
    link.symlink_to(victim.parent)
    assert hub.run("cleanup", "s1") == Result(0, "Cleaned up 0 worktrees for session s1\n")
    assert (victim / "file").read_text() == "mine\n"


def test_a_file_that_is_written_to_while_others_are_deleted(hub: Hub) -> None:
    """By somebody who is inside: it is left, and said, as a new one would be."""
    where = hub.session("s1", agents=1).worktree(1)
    code = (
        "[open(p, 'w').write('late') for p in ["
        f"'{trash(where)}/file', '{trash(where)}/sub/other'] if os.path.exists(p)]"
    )
    result = interposed(hub, "cleanup", "s1", code=code, only="os.remove", nth=2)
    assert result == kept(where, f"files were written during the removal: they are in '{where}'")
    left = snapshot(where)
    assert left
    assert set(left.values()) == {b"late"}


def test_hard_links_go_together(hub: Hub) -> None:
    """One name less changes the other's status, and nothing in it."""
    where = hub.session("s1", agents=1).worktree(1)
    hub.git("config", "core.excludesFile", "")
    (hub.top / ".git" / "info" / "exclude").write_text("deps/\n")
    (where / "deps" / "a").mkdir(parents=True)
    (where / "deps" / "a" / "one").write_text("x\n")
    for name in ("two", "three"):
        os.link(where / "deps" / "a" / "one", where / "deps" / name)
    assert hub.run("cleanup", "s1") == removed(where)


@pytest.mark.parametrize("only", ["os.rename", "os.remove"])
def test_a_lock_that_is_set_late(hub: Hub, only: str) -> None:
    """git says that it is locked, so it is: before the directory is moved, and while it is deleted."""
    where = hub.session("s1", agents=1).worktree(1)
    # The first rename puts the note in place; then the entry is locked for the removal.
    unlock = "" if only == "os.rename" else f"git -C {hub.top} worktree unlock {where} && "
    code = f"os.system('{unlock}git -C {hub.top} worktree lock {where}')"
    result = interposed(hub, "cleanup", "s1", code=code, only=only)
    assert (result.code, result.err) == (1, "")
    assert f"Kept worktree: {where}\n  git was used in it meanwhile\n" in result.out
    assert (hub.top / ".git" / "worktrees" / "agent-1" / "locked").exists()
    again = hub.run("cleanup", "s1")
    assert again == kept(where, "locked", f"git worktree unlock {where}")
    hub.git("worktree", "unlock", where)
    assert hub.run("cleanup", "s1").code == 0
    assert not where.exists()
    assert not trash(where).exists()


def test_somebody_deletes_the_directory_just_before_it_is_moved(hub: Hub) -> None:
    """What was staged is still there: it is judged again, as that of a worktree that is missing."""
    where = hub.session("s1", agents=1).worktree(1)
    (where / "new").write_text("staged\n")
    hub.git("add", "new", cwd=where)
    code = f"os.system('rm -r {where}')"
    result = interposed(hub, "cleanup", "s1", code=code, only="os.rename", nth=2)
    assert (result.code, result.err) == (1, "")
    assert (
        f"Kept worktree: {where}\n  its directory went meanwhile\n  hint: try again\n" in result.out
    )
    entry = hub.top / ".git" / "worktrees" / "agent-1"
    assert [name for name in ("locked", "hub-session-removal") if (entry / name).exists()] == []
    assert hub.run("cleanup", "s1").code == 0
    refs = hub.refs("refs/hub/rescue/s1")
    assert all(hub.git("show", f"{oid}:new") == "staged" for oid in refs.values())
    assert refs
    assert not entry.exists()


def test_git_prunes_while_the_directory_is_aside(hub: Hub) -> None:
    """To git the directory is gone; the entry is locked, so that what was staged stays, should it be put back."""
    where = hub.session("s1", agents=1).worktree(1)
    (where / "new").write_text("staged\n")
    hub.git("add", "new", cwd=where)
    aside = trash(where)
    code = f"open({str(aside / 'late')!r}, 'w'); os.system('git -C {hub.top} worktree prune')"
    result = interposed(hub, "cleanup", "s1", code=code, opened=str(aside))
    assert (result.code, result.err) == (1, "")
    assert f"Kept worktree: {where}\n  something was written into it meanwhile\n" in result.out
    assert look(hub, where).status == ["", "?? late", "A  new"]
    entry = hub.top / ".git" / "worktrees" / "agent-1"
    assert [name for name in ("locked", "hub-session-removal") if (entry / name).exists()] == []
    assert hub.run("cleanup", "s1").code == 0
    assert not entry.exists()


@pytest.mark.parametrize("ref", ["refs/worktree/mine", "refs/bisect/bad", "ORIG_HEAD"])
def test_a_commit_that_only_a_ref_of_the_worktree_has_comes_late(hub: Hub, ref: str) -> None:
    """While its uncommitted work is saved: the worktree stays, and the next run saves the commit."""
    where = hub.session("s1", agents=1).worktree(1)
    (where / "new").write_text("new\n")
    tree = hub.git("rev-parse", "HEAD^{tree}")
    late = hub.git("commit-tree", "-m", "late", tree)
    code = f"os.system('cd {where} && git update-ref {ref} {late}')"
    result = interposed(hub, "cleanup", "s1", code=code, only="subprocess.Popen", nth=1)
    assert f"Kept worktree: {where}\n  git was used in it meanwhile\n" in result.out
    assert (where / "new").exists()
    assert hub.run("cleanup", "s1").code == 0
    assert late in hub.refs("refs/hub/rescue").values()


def test_a_reflog_of_a_ref_of_the_worktree(hub: Hub) -> None:
    """Where git keeps one: what the ref was before is a commit too."""
    where = hub.session("s1", agents=1).worktree(1)
    tree = hub.git("rev-parse", "HEAD^{tree}")
    first, second = (hub.git("commit-tree", "-m", text, tree) for text in ("first", "second"))
    for commit in (first, second):
        hub.git(
            "-c", "core.logAllRefUpdates=always", "update-ref", "refs/worktree/m", commit, cwd=where
        )
    assert hub.run("cleanup", "s1").code == 0
    assert {first, second} <= set(hub.refs("refs/hub/rescue").values())


def test_a_process_that_comes_late(hub: Hub) -> None:
    """It stood nowhere when all were judged, and stands in one while another's work is saved."""
    hub.session("s1", agents=2)
    (hub.worktree(1) / "new").write_text("new\n")
    pidfile = hub.top.parent / "pid"
    code = (
        f"p = subprocess.Popen(['sleep', '600'], cwd='{hub.worktree(2)}',"
        " stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
        f" open('{pidfile}', 'w').write(str(p.pid))"
    )
    before = look(hub, hub.worktree(2))
    try:
        result = interposed(hub, "cleanup", "s1", code=code, only="subprocess.Popen", nth=1)
        pid = pidfile.read_text()
        assert result.code == 1
        assert f"Removed worktree: {hub.worktree(1)}\n" in result.out
        assert (
            f"Kept worktree: {hub.worktree(2)}\n  in use by process {pid} (sleep)\n" in result.out
        )
        assert look(hub, hub.worktree(2)) == before
    finally:
        subprocess.run(["kill", pidfile.read_text()], check=True)


def test_a_kill_after_it_was_put_back(hub: Hub) -> None:
    """Written into while it was deleted, put back, killed before the entry went: the next run ends it."""
    where = hub.session("s1", agents=1).worktree(1)
    aside = trash(where)
    # The entry's rename is the first after the one that puts the directory back.
    code = (
        f"open('{aside}/sub/new', 'w').write('new') if event == 'os.remove' and "
        f"os.path.exists('{aside}/sub') and not os.path.exists('{aside}/sub/new') else "
        f"os.kill(os.getpid(), signal.SIGKILL) if event == 'os.rename' and "
        f"os.path.exists('{where}/sub/new') and args[0].endswith('agent-1') else None; count = 0"
    )
    died = interposed(hub, "cleanup", "s1", code=code)
    assert died.code == -9, died
    assert snapshot(where) == {"sub/new": b"new"}
    assert hub.run("cleanup", "s1") == kept(
        where, f"files were written during the removal: they are in '{where}'"
    )
    assert snapshot(where) == {"sub/new": b"new"}
    assert hub.run("cleanup", "s1") == Result(0, "Cleaned up 0 worktrees for session s1\n")


def test_no_more_processes(hub: Hub) -> None:
    """Where the system has none left, the work is done by the one that there is."""
    hub.session("s1", agents=16)
    code = "(_ for _ in ()).throw(OSError(11, 'Resource temporarily unavailable'))"
    result = interposed(hub, "cleanup", "s1", code=code, only="os.fork", nth=1)
    assert (result.code, result.err) == (0, "")
    assert result.out.count("Removed worktree: ") == 16


def test_state_that_cannot_be_read_hides_no_rescue_ref(hub: Hub) -> None:
    where = hub.session("s1", agents=1).worktree(1)
    (where / "new").write_text("new\n")
    state = hub.directory() / "state.json"
    # As for somebody who may not read it.
    code = "(_ for _ in ()).throw(PermissionError(13, 'Permission denied', 'state.json'))"
    result = interposed(hub, "cleanup", "s1", code=code, opened="state.json")
    assert state.exists()
    assert (result.code, result.err) == (
        0,
        "warning: the rescue refs are not recorded in the session: Permission denied: 'state.json'\n",
    )
    assert f"  bring it back: {line(where)}\n" in result.out


def test_git_am_is_called_what_it_is(hub: Hub) -> None:
    where = hub.session("s1", agents=1).worktree(1)
    patch = hub.top.parent / "patch"
    hub.commit(hub.top, "file", "theirs\n")
    patch.write_text(hub.git("format-patch", "-1", "--stdout") + "\n")
    hub.commit(where, "file", "ours\n")
    assert hub.call("git", "am", patch, cwd=where).code != 0
    assert hub.run("cleanup", "s1") == kept(
        where,
        "in the middle of an am",
        f"git -C {where} am --abort, or: git hub-session cleanup --force s1",
    )
    hub.git("am", "--abort", cwd=where)
    assert hub.run("cleanup", "s1") == removed(where)


def test_a_directory_with_the_longest_name(hub: Hub) -> None:
    hub.session("s1")
    where = hub.worktrees / ("n" * 250)
    hub.git("worktree", "add", "-q", "-b", BRANCH, where)
    assert hub.run("cleanup", "s1") == removed(where)
    where = hub.worktrees / ("n" * 250)
    hub.git("worktree", "add", "-q", where, BRANCH)
    assert interposed(hub, "cleanup", "s1", code=DIE, only="os.remove").code == -9
    assert hub.run("cleanup", "s1") == removed(where)
    assert [*hub.worktrees.iterdir()] == []


def test_settings_from_wherever_git_reads_them(hub: Hub) -> None:
    """keepIgnored out of GIT_CONFIG_GLOBAL, of an included file, and more than one of the command line."""
    settings = hub.top.parent / "settings"
    settings.write_text('[hubsession]\n\tkeepIgnored = "*.pem"\n')
    (hub.top / ".git" / "info" / "exclude").write_text("*.pem\n*.key\n")
    for words, environ, wanted in (
        ((), {"GIT_CONFIG_GLOBAL": str(settings)}, {"a.pem"}),
        (("-c", f"include.path={settings}"), {}, {"a.pem"}),
        (
            ("-c", "hubsession.keepIgnored=*.pem", "-c", "hubsession.keepIgnored=*.key"),
            {},
            {"a.pem", "b.key"},
        ),
    ):
        sid = f"s{len(hub.refs('refs/hub'))}"
        where = hub.session(sid, agents=1).worktree(1, sid)
        (where / "a.pem").write_text("secret\n")
        (where / "b.key").write_text("secret\n")
        result = hub.call("git", *words, "hub-session", "cleanup", sid, environ=environ)
        assert (result.code, result.err) == (0, "")
        ref = f"refs/hub/rescue/{sid}/agent-1/attempt-1/1"
        assert set(hub.git("ls-tree", "--name-only", f"{ref}^3").splitlines()) == wanted


def test_what_a_filter_hides_from_git(hub: Hub) -> None:
    """git calls the file unchanged, and the bytes that are in it are nowhere else."""
    (hub.top / ".gitattributes").write_text("conf filter=key\n")
    (hub.top / "conf").write_text("KEY=xxx\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "a filter")
    hub.git("config", "filter.key.clean", "sed s/KEY=.*/KEY=xxx/")
    hub.git("config", "filter.key.smudge", "cat")
    where = hub.session("s1", agents=1).worktree(1)
    (where / "conf").write_text("KEY=precious\n")
    assert hub.run("cleanup", "s1") == kept(
        where,
        "cannot be saved as it is: 'conf' (changed by line-ending conversion or a filter)",
        "commit it, or use --discard",
    )
    assert (where / "conf").read_text() == "KEY=precious\n"


def test_the_lines_of_two_worktrees_on_one_branch_both_work(hub: Hub) -> None:
    one = hub.session("s1", agents=1).worktree(1)
    two = hub.worktrees / "two"
    hub.git("worktree", "add", "-q", "-f", two, BRANCH)
    for where in (one, two):
        (where / "new").write_text(f"{where}\n")
    result = hub.run("cleanup", "s1")
    assert result.code == 0
    bring_back(hub, result)
    for where in (one, two):
        assert (where / "new").read_text() == f"{where}\n"


def test_the_line_of_a_path_that_cannot_be_shown(hub: Hub) -> None:
    """It is typed into bash: the very directory comes back."""
    hub.session("s1")
    where = hub.worktrees / "new\nline é's \\ \x1b"
    hub.git("worktree", "add", "-q", "-b", BRANCH, where)
    (where / "new").write_text("new\n")
    result = hub.run("cleanup", "s1")
    (typed,) = [text for text in result.out.splitlines() if "bring it back: " in text]
    assert typed.isascii()
    assert typed.isprintable()
    assert hub.call("bash", "-c", typed.partition("bring it back: ")[2]).code == 0
    assert (where / "new").read_text() == "new\n"
    assert RESCUE in hub.refs()
