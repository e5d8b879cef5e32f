"""Tests of `git hub-session doctor` on repositories with unusual damage."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from git_hub_session.git.worktrees import REMOVAL_LOCK, linked_worktrees
from git_hub_session.removal.recover import has_stale_lock
from tests.support.doctor import (
    edit_state,
    list_findings,
    truncate_branch,
    worktree_git_dir,
)
from tests.support.hub import PYTHON, Hub, Result, snapshot, wait_for
from tests.support.interrupt import run_with_injected_code


def advice(hub: Hub) -> str:
    """Return the advice of the only finding."""
    [finding] = hub.json("doctor", code=1)["findings"]
    assert finding["fix"] == ""
    return str(finding["advice"])


def run_line(hub: Hub, line: str) -> Result:
    """Run a printed command in a shell."""
    return hub.call("sh", "-c", line)


NOTHING = Result(0, "1 session, 2 worktrees: no problems found\n")


@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_branch_is_restored_from_its_reflog(hub: Hub, packed: bool) -> None:
    hub.session("a", agents=2)
    if packed:  # the ref in packed-refs is older, and the file hides it
        hub.git("pack-refs", "--all")
    tip = hub.commit(hub.worktree(2, "a"), "work", "an agent's\n")
    hub.commit(hub.worktree(2, "a"), "work", "taken back\n")
    hub.git("reset", "-q", "--hard", tip, cwd=hub.worktree(2, "a"))
    name = truncate_branch(hub, "a")
    file = hub.top / ".git" / "refs" / "heads" / name
    assert advice(hub) == f"rm {file} && git update-ref --no-deref refs/heads/{name} {tip}"
    assert run_line(hub, advice(hub)) == Result(0)
    assert hub.git("rev-parse", name) == tip
    assert hub.run("doctor") == NOTHING


def test_a_branch_with_a_missing_commit_is_restored_from_its_reflog(hub: Hub) -> None:
    hub.session("a", agents=2)
    tip = hub.commit(hub.worktree(1, "a"), "work", "an agent's\n")
    lost = hub.commit(hub.worktree(1, "a"), "work", "lost\n")
    (hub.top / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    name = "hub/a/agent-1/attempt-1"
    assert advice(hub) == f"git update-ref --no-deref refs/heads/{name} {tip}"
    assert run_line(hub, advice(hub)).code == 0
    assert hub.run("doctor") == NOTHING


def test_only_the_lock_of_a_removal_without_journal_is_removed(hub: Hub) -> None:
    hub.session("a", agents=2)
    (hub.worktree(1, "a") / "draft").write_text("mine")
    lock = worktree_git_dir(hub, "a") / "locked"
    lock.write_text(REMOVAL_LOCK)
    before = snapshot(hub.top / ".git"), snapshot(hub.worktrees)
    assert list_findings(hub, "--fix", code=0) == [
        ("removal-cut-off", str(hub.worktree(1, "a")), True)
    ]
    assert not lock.exists()
    lock.write_text(REMOVAL_LOCK)
    assert (snapshot(hub.top / ".git"), snapshot(hub.worktrees)) == before


def test_a_lock_that_was_replaced_is_not_stale(hub: Hub) -> None:
    where = hub.session("a", agents=1).worktree(1, "a")
    (listed,) = linked_worktrees(str(hub.top / ".git"))
    (worktree_git_dir(hub, "a") / "locked").write_text(REMOVAL_LOCK)
    assert has_stale_lock(listed)
    hub.git("worktree", "unlock", where)
    hub.git("worktree", "lock", "--reason", "mine", where)
    assert not has_stale_lock(listed)


def test_a_rewritten_state_has_the_base_commit(hub: Hub) -> None:
    start = hub.git("rev-parse", "main")
    assert hub.run("init", "-q", "--id", "a", "--task", "t", "--agents", "2").code == 0
    assert hub.run("spawn", "-q", "a").code == 0
    where = hub.run("path", "a", "1").out.strip()
    hub.commit(Path(where), "work", "an agent's\n")
    hub.commit(hub.top, "later", "main has gone on\n")
    (hub.directory("a") / "state.json").write_text("{")
    assert [one[0] for one in list_findings(hub, "--fix", code=0)] == ["state-damaged"]
    assert (hub.state("a")["state"], hub.state("a")["base_commit"]) == ("running", start)


def test_a_moved_worktree_with_a_copy_is_not_fixed(hub: Hub) -> None:
    hub.session("a", agents=2)
    where = hub.worktree(1, "a")
    where.rename(hub.worktrees / "a" / "one")
    shutil.copytree(hub.worktrees / "a" / "one", hub.worktrees / "a" / "two")
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert (finding["code"], finding["fix"]) == ("worktree-moved", "")
    one, two = (str(hub.worktrees / "a" / name) for name in ("one", "two"))
    assert finding["evidence"] == f"it is in '{one}' or '{two}'"
    assert run_line(hub, finding["advice"]).code == 0
    assert hub.run("path", "a", "1").out == f"{one}\n"
    assert hub.run("doctor") == NOTHING


def test_a_moved_worktree_is_not_fixed_while_another_link_is_damaged(hub: Hub) -> None:
    """Do not run `git worktree repair`, which writes a .git file for every git dir."""
    hub.session("a", agents=2)
    hub.worktree(1, "a").rename(hub.worktrees / "a" / "best")
    somewhere = hub.top.parent / "mine"
    hub.git("worktree", "add", "-q", "--detach", somewhere)
    (somewhere / ".git").unlink()
    before = snapshot(hub.top / ".git"), snapshot(somewhere), snapshot(hub.worktrees)
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert (finding["code"], finding["fix"]) == ("worktree-moved", "")
    after = snapshot(hub.top / ".git"), snapshot(somewhere), snapshot(hub.worktrees)
    assert after == before


def test_a_hub_that_info_exclude_ignores(hub: Hub) -> None:
    hub.session("a", agents=2)
    (hub.top / ".agenthub" / ".gitignore").unlink()
    assert [one[0] for one in list_findings(hub, code=1)] == ["hub-not-ignored"]
    exclude = hub.top / ".git" / "info" / "exclude"
    exclude.write_text(".agenthub/\n")
    assert hub.run("doctor") == NOTHING


def test_a_missing_detached_worktree_is_recreated_with_its_staged_files(hub: Hub) -> None:
    hub.session("a", agents=2)
    where = hub.worktree(1, "a")
    edit_state(hub, "a", agents={"agent-1": {"status": "ready", "worktree": str(where)}})
    hub.git("checkout", "-q", "--detach", cwd=where)
    tip = hub.commit(where, "work", "on no branch\n")
    (where / "staged").write_text("staged\n")
    hub.git("add", "staged", cwd=where)
    link = f"printf 'gitdir: %s\\n' {worktree_git_dir(hub, 'a')} >{where}/.git"
    shutil.rmtree(where)
    way = f"mkdir -p {where} && {link} && git -C {where} checkout-index -a"
    assert advice(hub) == way
    assert run_line(hub, way).code == 0
    assert hub.git("rev-parse", "HEAD", cwd=where) == tip
    assert hub.git("status", "--short", cwd=where) == "A  staged"
    name = "hub/a/agent-1/attempt-2"
    way = f"git -C {where} branch {name} && git -C {where} symbolic-ref HEAD refs/heads/{name}"
    assert advice(hub) == way
    assert run_line(hub, way) == Result(0)
    assert hub.git("status", "--short", cwd=where) == "A  staged"
    assert hub.run("doctor") == NOTHING


def test_a_detached_worktree_of_the_user_is_not_checked(hub: Hub) -> None:
    hub.session("a", agents=2)
    where = hub.top.parent / "mine"
    hub.git("worktree", "add", "-q", "--detach", where)
    shutil.rmtree(where)
    assert hub.run("doctor") == NOTHING


def test_files_of_the_user_in_an_incomplete_session_are_kept(hub: Hub) -> None:
    path = hub.session("a", agents=2).directory("") / ".b.0123456789ab.tmp"
    path.mkdir()
    (path / "config.yaml").write_text("task: ")
    (path / "notes").write_text("mine")
    subject = os.path.relpath(path, hub.top)
    fix = f"half-made-session: {subject}\n  an interrupted init left it\n"
    assert hub.run("doctor", "--fix") == Result(
        1, f"{fix}  not done: the finding remains\n1 session, 2 worktrees: 1 found, 0 fixed\n"
    )
    assert (path / "notes").read_text() == "mine"


_HOLDER = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(fd, fcntl.LOCK_EX)
print(flush=True)
time.sleep(60)
"""


def test_other_sessions_are_fixed_while_one_is_locked(hub: Hub) -> None:
    for sid in ("a", "b", "c"):
        hub.session(sid, agents=2)
        shutil.rmtree(hub.worktree(1, sid))
    words = [PYTHON, "-c", _HOLDER, str(hub.directory("b"))]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            answer = hub.json("doctor", "--fix", code=0)
        finally:
            holder.send_signal(signal.SIGKILL)
    missing = [("worktree-missing", str(hub.worktree(1, sid))) for sid in ("a", "c")]
    assert [(one["code"], one["subject"]) for one in answer["findings"]] == missing
    assert all(one["fixed"] for one in answer["findings"])
    assert answer["in_use"] == ["b"]
    wait_for(lambda: hub.json("doctor", code=1)["in_use"] == [])
    assert list_findings(hub, "--fix", code=0) == [
        ("worktree-missing", str(hub.worktree(1, "b")), True)
    ]


def test_a_worktree_deleted_during_a_rebase_is_recreated_in_it(hub: Hub) -> None:
    """Keep the git dir, because only it has the commit of the autostash."""
    hub.session("a", agents=2)
    where = hub.worktree(1, "a")
    hub.commit(where, "one", "1\n")
    hub.commit(where, "two", "2\n")
    (where / "one").write_text("not committed\n")
    editor = {"GIT_SEQUENCE_EDITOR": "sed -i 1s/pick/edit/"}
    words = ("git", "-C", where, "rebase", "-q", "--autostash", "-i", "HEAD~2")
    assert hub.call(*words, environ=editor).code == 0
    (where / "staged").write_text("staged\n")
    hub.git("add", "staged", cwd=where)
    shutil.rmtree(where)
    entries = snapshot(hub.top / ".git" / "worktrees")
    assert [one[0] for one in list_findings(hub, "--fix", code=1)] == ["worktree-missing"]
    assert snapshot(hub.top / ".git" / "worktrees") == entries

    assert run_line(hub, advice(hub)).code == 0
    assert (where / "staged").read_text() == "staged\n"
    assert hub.run("doctor") == NOTHING
    editor = {"GIT_EDITOR": "true"}
    assert hub.call("git", "-C", where, "rebase", "--continue", environ=editor).code == 0
    assert (where / "one").read_text() == "not committed\n"


def test_a_link_to_a_session_is_reported_and_not_followed(hub: Hub) -> None:
    hub.session("a", agents=2)
    outside = hub.top.parent / "outside"
    hub.directory("a").rename(outside)
    hub.directory("a").symlink_to(outside)
    (outside / "state.json").write_text("{")
    before = snapshot(outside)
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert (finding["code"], finding["fix"]) == ("hub-damaged", "")
    assert finding["advice"].endswith(f"mv {shlex.quote(str(hub.directory('a')))} somewhere else")
    assert snapshot(outside) == before


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "../../x", "a b~^:", "-x"])
def test_a_base_and_a_merge_of_any_name(hub: Hub, name: str) -> None:
    """Report names in state.json and config.yaml that are no branch names."""
    hub.session("a", agents=2)
    merge = {"agent": 1, "attempt": 1, "tip": "f" * 40, "into": name, "commit": "e" * 40}
    edit_state(hub, "a", state="evaluating", merge=merge)
    config = hub.directory("a") / "config.yaml"
    lines = config.read_text().splitlines(keepends=True)
    others = [line for line in lines if not line.startswith("base_branch:")]
    config.write_text("".join(others) + f"base_branch: {json.dumps(name)}\n")
    refs = hub.refs()
    for words in ([], ["--fix"], ["--format=porcelain"]):
        result = hub.run("doctor", *words)
        assert (result.code, result.err) == (1, ""), result
        assert not set(result.out) & {"\0", "\ud800", "\x1b"}
    assert hub.refs() == refs


def create_detached_and_finished(hub: Hub) -> tuple[Path, str]:
    """Return a detached worktree of a merged session, and its only commit.

    The worktree also has an ignored file.
    """
    where = hub.session("a", agents=2).worktree(1, "a")
    told = {"status": "done", "worktree": str(where)}
    edit_state(hub, "a", state="merged", agents={"agent-1": told})
    hub.git("worktree", "remove", hub.worktree(2, "a"))
    hub.git("checkout", "-q", "--detach", cwd=where)
    tip = hub.commit(where, "work", "on no branch\n")
    (hub.top / ".git" / "info" / "exclude").write_text(".env\n")
    (where / ".env").write_text("KEY\n")
    return where, tip


@pytest.mark.parametrize("deleted", [False, True])
def test_a_detached_worktree_of_a_finished_session_keeps_its_commits(
    hub: Hub, deleted: bool
) -> None:
    """Print a command that keeps the commits, which `git worktree remove` would delete."""
    where, tip = create_detached_and_finished(hub)
    if deleted:
        shutil.rmtree(where)
        assert run_line(hub, advice(hub)).code == 0
    name = "hub/a/agent-1/attempt-2"
    way = f"git -C {where} branch {name} && git -C {where} symbolic-ref HEAD refs/heads/{name}"
    way += " && git hub-session cleanup a"
    assert advice(hub) == way
    assert run_line(hub, way).code == 0
    assert hub.git("rev-parse", "hub/a/agent-1/attempt-2") == tip
    if not deleted:
        rescue = "refs/hub/rescue/a/agent-1/attempt-2/1"
        assert hub.git("show", f"{rescue}^3:.env") == "KEY"
    assert hub.run("doctor") == Result(0, "1 session, 0 worktrees: no problems found\n")


def test_a_copied_repository_does_not_take_the_worktrees_of_the_original(hub: Hub) -> None:
    hub.session("a", agents=1)
    (hub.worktree(1, "a") / "draft").write_text("mine")
    other = Hub(hub.top.parent / "copy", hub.environ)
    shutil.copytree(hub.top, other.top, symlinks=True)
    own = other.top / ".git" / "worktrees" / "agent-1"
    before = snapshot(hub.top), snapshot(hub.worktrees)
    gone = f"{hub.worktree(1, 'a')}.gone/.git"
    assert advice(other) == f"printf '%s\\n' {gone} >{own}/gitdir"
    assert other.run("cleanup", "a").code == 1
    assert run_line(other, advice(other)).code == 0
    assert other.run("cleanup", "a").code == 0
    assert (snapshot(hub.top), snapshot(hub.worktrees)) == before
    assert hub.run("doctor", "a").code == 0


def test_worktrees_that_exchanged_their_paths(hub: Hub) -> None:
    hub.session("a", agents=2)
    first, second = hub.worktree(1, "a"), hub.worktree(2, "a")
    (first / "draft").write_text("of agent-1\n")
    (second / "draft").write_text("of agent-2\n")
    first.rename(first.parent / "aside")
    second.rename(first)
    (first.parent / "aside").rename(second)
    assert hub.run("cleanup", "a").code == 1
    for _ in range(4):
        findings = json.loads(hub.run("doctor", "--fix", "--format=json").out)["findings"]
        ways = [one["advice"] for one in findings if not one["fixed"]]
        if not ways:
            break
        assert run_line(hub, ways[0]).code == 0, ways
    assert hub.run("doctor") == NOTHING
    for agent in (1, 2):
        where = Path(hub.run("path", "a", str(agent)).out.strip())
        assert (where / "draft").read_text() == f"of agent-{agent}\n"


def test_a_worktree_at_the_path_of_another_worktree(hub: Hub) -> None:
    hub.session("a", agents=2)
    first, second = hub.worktree(1, "a"), hub.worktree(2, "a")
    (second / "draft").write_text("of agent-2\n")
    shutil.rmtree(first)
    second.rename(first)
    result = hub.run("cleanup", "a")
    assert (result.code, hub.refs("refs/hub/rescue")) == (1, {})
    way = f"mv {first} {second}"
    assert result.out.count("  hint: git hub-session doctor a\n") == 2
    findings = hub.json("doctor", "--fix", code=1)["findings"]
    assert [one["advice"] for one in findings] == [way, way]
    assert run_line(hub, way) == Result(0)
    assert (second / "draft").read_text() == "of agent-2\n"
    assert [one[:2] for one in list_findings(hub, "--fix", code=0)] == [
        ("worktree-missing", str(first))
    ]


@pytest.mark.parametrize("has_reflog", [True, False])
def test_a_missing_worktree_of_a_deleted_branch(hub: Hub, has_reflog: bool) -> None:
    """Without its branch, the staged changes of a missing worktree cannot be saved."""
    where = hub.session("a", agents=2).worktree(1, "a")
    (where / "staged").write_text("staged\n")
    hub.git("add", "staged", cwd=where)
    tip = hub.git("rev-parse", "HEAD", cwd=where)
    shutil.rmtree(where)
    hub.git("update-ref", "-d", "refs/heads/hub/a/agent-1/attempt-1")
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    if not has_reflog:
        (git_dir / "logs" / "HEAD").unlink()
    before = snapshot(git_dir)
    [finding] = [
        one
        for one in hub.json("doctor", "--fix", code=1)["findings"]
        if one["subject"] == str(where)
    ]
    assert (finding["code"], finding["fix"]) == ("worktree-missing", "")
    assert snapshot(git_dir) == before
    if has_reflog:
        assert finding["advice"] == f"git branch hub/a/agent-1/attempt-1 {tip}"
        assert run_line(hub, finding["advice"]) == Result(0)
        assert list_findings(hub, "--fix", code=0) == [("worktree-missing", str(where), True)]
    else:
        hint = hub.json("cleanup", "a", code=1)["sessions"][0]["kept"][0]["hint"]
        assert hint == "git hub-session doctor a"
        assert run_line(hub, finding["advice"]).code == 0
        assert where.is_dir()


def test_a_link_to_another_agents_worktree_takes_nothing_from_it(hub: Hub) -> None:
    hub.session("a", agents=2)
    first, second = hub.worktree(1, "a"), hub.worktree(2, "a")
    shutil.rmtree(first)
    first.symlink_to(second)
    before = snapshot(second)
    assert advice(hub) == f"rm {first}"
    assert run_line(hub, advice(hub)) == Result(0)
    assert [one[:2] for one in list_findings(hub, "--fix", code=0)] == [
        ("worktree-missing", str(first))
    ]
    assert snapshot(second) == before


def test_a_disk_that_is_not_there_is_not_made_anew(hub: Hub) -> None:
    """Restore a HEAD also in the middle of a rebase."""
    where = hub.session("a", agents=1).worktree(1, "a")
    hub.commit(where, "one", "1\n")
    editor = {"GIT_SEQUENCE_EDITOR": "sed -i 1s/pick/edit/"}
    words = ("git", "-C", where, "rebase", "-q", "-i", "HEAD~1")
    assert hub.call(*words, environ=editor).code == 0
    own = worktree_git_dir(hub, "a")
    hub.worktrees.rename(hub.top.parent / "unplugged")
    gitdir = own / "gitdir"
    told = f"move its directory back, or record its new path: printf '%s\\n' <its directory>/.git >{gitdir}; "
    assert advice(hub).startswith(f"{told}if it was deleted: mkdir -p {where} && printf ")
    result = hub.run("cleanup", "a")
    hint = "git hub-session cleanup --force a, or: git hub-session doctor a"
    assert result.out.splitlines()[2] == f"  hint: {hint}"


def test_a_ref_that_was_cut_off_and_has_no_reflog(hub: Hub) -> None:
    hub.session("a", agents=1)
    hub.git("worktree", "remove", hub.worktree(1, "a"))
    tip = hub.git("rev-parse", "main")
    file = hub.top / ".git" / "refs" / "tags" / "hub" / "archive" / "a" / "agent-7"
    hub.git("tag", "hub/archive/a/agent-7", tip)
    edit_state(hub, "a", agents={"agent-7": {"status": "ready", "attempt": 1}})
    file.write_text("")
    way = f"rm {file} && git update-ref --no-deref refs/tags/hub/archive/a/agent-7 <commit>"
    assert advice(hub) == f"find its commit: git fsck --lost-found; then: {way}"
    assert run_line(hub, way.replace("<commit>", tip)) == Result(0)
    assert hub.run("doctor").code == 0
    hub.git("pack-refs", "--all")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    assert advice(hub) == f"rm {file}"
    assert run_line(hub, advice(hub)) == Result(0)
    assert hub.git("rev-parse", "hub/archive/a/agent-7") == tip
    assert hub.run("doctor").code == 0


def test_a_rescue_ref_whose_commit_is_gone(hub: Hub) -> None:
    hub.session("a", agents=1)
    ref = "refs/hub/rescue/a/agent-1/attempt-1/1"
    lost = hub.git("commit-tree", "-m", "saved", "main^{tree}")
    hub.git("update-ref", ref, lost)
    edit_state(hub, "a", agents={"agent-1": {"rescue": [ref]}})
    assert hub.run("doctor").code == 0
    (hub.top / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    assert [one[:2] for one in list_findings(hub, code=1)] == [("ref-broken", ref)]


def test_a_removals_lock_on_a_detached_worktree_goes_too(hub: Hub) -> None:
    where = hub.session("a", agents=2).worktree(1, "a")
    edit_state(hub, "a", agents={"agent-1": {"status": "ready", "worktree": str(where)}})
    hub.git("checkout", "-q", "--detach", cwd=where)
    lock = worktree_git_dir(hub, "a") / "locked"
    lock.write_text(REMOVAL_LOCK)
    assert list_findings(hub, "--fix", code=1) == [
        ("removal-cut-off", str(where), True),
        ("worktree-off-branch", str(where), False),
    ]
    assert not lock.exists()


def test_a_worktree_whose_head_was_cut_off(hub: Hub) -> None:
    where = hub.session("a", agents=2).worktree(1, "a")
    edit_state(hub, "a", agents={"agent-1": {"status": "ready", "worktree": str(where)}})
    (where / "staged").write_text("staged\n")
    hub.git("add", "staged", cwd=where)
    (worktree_git_dir(hub, "a") / "HEAD").write_text("")
    way = (
        f"printf 'ref: %s\\n' refs/heads/hub/a/agent-1/attempt-1 >{worktree_git_dir(hub, 'a')}/HEAD"
    )
    assert advice(hub) == way
    assert run_line(hub, way) == Result(0)
    assert hub.git("status", "--short", cwd=where) == "A  staged"
    assert hub.run("doctor") == NOTHING


def test_a_directory_that_is_aside_comes_back_without_its_note(hub: Hub) -> None:
    """Undo a removal whose journal was overwritten through the lock file, its hard link."""
    where = hub.session("a", agents=2).worktree(1, "a")
    (where / "draft").write_text("mine")
    own, trash = worktree_git_dir(hub, "a"), where.parent / ".agent-1.hub-trash"
    (own / "hub-session-removal").write_text("mine\n")
    os.link(own / "hub-session-removal", own / "locked")
    where.rename(trash)
    hub.git("worktree", "unlock", where)
    assert list_findings(hub, "--fix", code=0) == [("removal-cut-off", str(where), True)]
    assert (where / "draft").read_text() == "mine"
    assert hub.run("doctor") == NOTHING


def test_a_removal_that_has_renamed_new_files_back_is_finished(hub: Hub) -> None:
    """Finish a removal that was killed after its last rename. The new files are kept."""
    where = hub.session("a", agents=2).worktree(1, "a")
    git_dir = worktree_git_dir(hub, "a")
    trash = where.parent / ".agent-1.hub-trash"
    (git_dir / "hub-session-removal").write_text(f"{REMOVAL_LOCK}\0{trash}\0delete")
    (where / ".git").unlink()
    (where / "new").write_text("mine\n")
    assert hub.run("doctor", "--fix").code == 0
    assert (where / "new").read_text() == "mine\n"
    assert not git_dir.exists()
    assert hub.run("doctor") == Result(0, "1 session, 1 worktree: no problems found\n")


def test_a_worktree_that_was_renamed_is_not_cleaned_up_as_missing(hub: Hub) -> None:
    hub.session("a", agents=1)
    where = hub.worktree(1, "a")
    (where / "draft").write_text("mine")
    best = where.rename(where.parent / "best")
    before = snapshot(hub.top), snapshot(hub.worktrees)
    assert hub.run("cleanup", "--force", "a") == Result(
        1,
        f"Kept worktree: {where}\n  the directory was moved to '{best}'\n"
        f"  hint: git hub-session doctor a\nCleaned up 0 worktrees for session a\n",
    )
    assert (snapshot(hub.top), snapshot(hub.worktrees)) == before
    assert run_line(hub, f"mv {best} {where}") == Result(0)
    assert hub.run("cleanup", "-q", "a").code == 0
    assert hub.git("show", "refs/hub/rescue/a/agent-1/attempt-1/1^3:draft") == "mine"


def test_a_worktree_in_the_place_of_one_of_another_directory(hub: Hub) -> None:
    hub.session("o", agents=1).session("q", agents=1)
    shutil.rmtree(hub.worktree(1, "q"))
    hub.worktree(1, "o").rename(hub.worktree(1, "q"))
    (hub.worktrees / "o").rmdir()
    way = f"mkdir -p {hub.worktrees}/o && mv {hub.worktree(1, 'q')} {hub.worktree(1, 'o')}"
    for sid in ("o", "q"):
        assert f"  hint: git hub-session doctor {sid}\n" in hub.run("cleanup", sid).out
        findings = hub.json("doctor", sid, code=1)["findings"]
        assert [one["advice"] for one in findings] == [way]
    assert run_line(hub, way) == Result(0)
    assert hub.run("cleanup", "-q", "o", "q").code == 0


def test_what_only_an_entry_has_is_saved_when_its_place_is_anothers(hub: Hub) -> None:
    where = hub.session("a", agents=1).worktree(1, "a")
    hub.git("checkout", "-q", "--detach", cwd=where)
    tip = hub.commit(where, "detached", "mine\n")
    hub.git("checkout", "-q", "hub/a/agent-1/attempt-1", cwd=where)
    (where / "staged").write_text("mine\n")
    hub.git("add", "staged", cwd=where)
    shutil.rmtree(where)
    foreign = Hub(hub.top.parent / "foreign", hub.environ)
    hub.git("init", "-q", foreign.top)
    foreign.git("commit", "-q", "--allow-empty", "-m", "theirs")
    foreign.git("worktree", "add", "-q", "-b", "theirs", where)
    before = snapshot(where)
    own = hub.top / ".git" / "worktrees" / "agent-1"
    assert advice(hub) == f"printf '%s\\n' {where}.gone/.git >{own}/gitdir"
    assert run_line(hub, advice(hub)) == Result(0)
    assert hub.run("cleanup", "-q", "a").code == 0
    saved = hub.refs("refs/hub/rescue/a")
    assert tip in saved.values()
    assert any("staged" in hub.git("ls-tree", "--name-only", oid) for oid in saved.values())
    assert snapshot(where) == before


def test_a_path_that_two_sessions_tell_is_that_of_the_one_at_work(hub: Hub) -> None:
    hub.session("a", agents=1).session("b", agents=1)
    where = hub.worktree(1, "a")
    told = {"agent-1": {"status": "ready", "attempt": 1, "worktree": str(where)}}
    edit_state(hub, "a", state="running", agents=told)
    edit_state(hub, "b", state="merged", agents=told)
    hub.git("worktree", "remove", hub.worktree(1, "b"))
    (worktree_git_dir(hub, "a") / "HEAD").write_text("")  # only state.json has the path
    [finding] = hub.json("doctor", code=1)["findings"]
    assert (finding["code"], finding["session"]) == ("worktree-damaged", "a")
    edit_state(
        hub, "a", state="archived", agents=told
    )  # the path belongs to both sessions, and neither is active
    assert hub.run("doctor") == Result(0, "2 sessions, 0 worktrees: no problems found\n")


def test_a_detached_worktree_in_the_middle_of_a_merge_gets_its_branch(hub: Hub) -> None:
    where, tip = create_detached_and_finished(hub)
    hub.commit(hub.top, "work", "of main\n")
    assert hub.call("git", "-C", where, "merge", "-q", "main").code == 1
    way = advice(hub).removesuffix(" && git hub-session cleanup a")
    assert run_line(hub, way) == Result(0)
    assert hub.git("rev-parse", "hub/a/agent-1/attempt-2") == tip
    assert hub.git("status", "--short", cwd=where) == "AA work"
    assert "in the middle of a merge" in hub.run("cleanup", "a").out


def test_a_detached_worktree_that_is_aside_is_put_back(hub: Hub) -> None:
    where, _ = create_detached_and_finished(hub)
    trash = where.parent / ".agent-1.hub-trash"
    (worktree_git_dir(hub, "a") / "hub-session-removal").write_text(
        f"{REMOVAL_LOCK}\0{trash}\0aside"
    )
    where.rename(trash)
    assert ("removal-cut-off", str(where), True) in list_findings(hub, "--fix", code=1)
    assert (where / ".env").read_text() == "KEY\n"
    assert [one[0] for one in list_findings(hub, code=1)] == ["worktree-of-finished"]


def test_a_head_that_was_cut_off_in_a_rebase_is_the_commit_again(hub: Hub) -> None:
    where = hub.session("a", agents=2).worktree(1, "a")
    edit_state(hub, "a", agents={"agent-1": {"status": "ready", "worktree": str(where)}})
    for name in ("one", "two"):
        hub.commit(where, name, f"{name}\n")
    editor = {"GIT_SEQUENCE_EDITOR": "sed -i 1s/pick/edit/", "GIT_EDITOR": "true"}
    words = ("git", "-C", where, "rebase", "-q", "-i", "HEAD~2")
    assert hub.call(*words, environ=editor).code == 0
    head = hub.git("rev-parse", "HEAD", cwd=where)
    (worktree_git_dir(hub, "a") / "HEAD").write_text("")
    assert advice(hub) == f"printf '%s\\n' {head} >{worktree_git_dir(hub, 'a')}/HEAD"
    assert run_line(hub, advice(hub)) == Result(0)
    assert hub.call("git", "-C", where, "rebase", "--continue", environ=editor).code == 0
    assert hub.run("doctor") == NOTHING


def test_a_ref_that_is_made_while_it_looks_is_not_broken(hub: Hub) -> None:
    """Create the ref after the refs were listed, and before their files are."""
    hub.session("a", agents=1)
    name = "hub/a/agent-9/attempt-1"
    make = f"subprocess.run(['git', 'branch', {name!r}], check=True)"
    looked = run_with_injected_code(hub, "doctor", code=make, opened="a/state.json", nth=2)
    assert looked == Result(0, "1 session, 1 worktree: no problems found\n")
    assert hub.git("rev-parse", name) == hub.git("rev-parse", "main")
