"""`doctor` on repositories with unusual damage."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest

from git_hub_session.git.worktrees import REMOVAL_LOCK, linked_worktrees
from git_hub_session.removal.recover import has_stale_lock
from tests.support.cleanup import shown_path
from tests.support.doctor import (
    edit_state,
    list_findings,
    truncate_branch,
    worktree_git_dir,
)
from tests.support.hub import Hub, Result, snapshot, wait_for
from tests.support.interrupt import run_with_injected_code
from tests.support.locks import lock_directory


def read_advice(hub: Hub) -> str:
    """Return the advice of the only finding."""
    [finding] = hub.json("doctor", code=1)["findings"]
    assert finding["fix"] == ""
    return str(finding["advice"])


def run_command(hub: Hub, command: str) -> Result:
    """Run a printed command in a shell."""
    return hub.call("sh", "-c", command)


NO_FINDINGS = Result(0, "1 session, 2 worktrees: no problems found\n")


@pytest.mark.parametrize("packed", [False, True])
def test_truncated_branch_is_restored_from_its_reflog(hub: Hub, packed: bool) -> None:
    hub.session("a", agents=2)
    if packed:  # the ref in packed-refs is older, and the file hides it
        hub.git("pack-refs", "--all")
    tip = hub.commit(hub.worktree(2, "a"), "work", "an agent's\n")
    hub.commit(hub.worktree(2, "a"), "work", "taken back\n")
    hub.git("reset", "-q", "--hard", tip, cwd=hub.worktree(2, "a"))
    name = truncate_branch(hub, "a")
    file = hub.top / ".git" / "refs" / "heads" / name
    assert read_advice(hub) == f"rm {file} && git update-ref --no-deref refs/heads/{name} {tip}"
    assert run_command(hub, read_advice(hub)) == Result(0)
    assert hub.git("rev-parse", name) == tip
    assert hub.run("doctor") == NO_FINDINGS


def test_branch_with_a_missing_commit_is_restored_from_its_reflog(hub: Hub) -> None:
    hub.session("a", agents=2)
    tip = hub.commit(hub.worktree(1, "a"), "work", "an agent's\n")
    lost = hub.commit(hub.worktree(1, "a"), "work", "lost\n")
    (hub.top / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    name = "hub/a/agent-1/attempt-1"
    assert read_advice(hub) == f"git update-ref --no-deref refs/heads/{name} {tip}"
    assert run_command(hub, read_advice(hub)).code == 0
    assert hub.run("doctor") == NO_FINDINGS


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


def test_replaced_lock_is_not_stale(hub: Hub) -> None:
    worktree = hub.session("a", agents=1).worktree(1, "a")
    (listed_worktree,) = linked_worktrees(str(hub.top / ".git"))
    (worktree_git_dir(hub, "a") / "locked").write_text(REMOVAL_LOCK)
    assert has_stale_lock(listed_worktree)
    hub.git("worktree", "unlock", worktree)
    hub.git("worktree", "lock", "--reason", "mine", worktree)
    assert not has_stale_lock(listed_worktree)


def test_rewritten_state_has_the_base_commit(hub: Hub) -> None:
    start = hub.git("rev-parse", "main")
    assert hub.run("init", "-q", "--id", "a", "--task", "t", "--agents", "2").code == 0
    assert hub.run("spawn", "-q", "a").code == 0
    worktree = hub.run("path", "a", "1").out.strip()
    hub.commit(Path(worktree), "work", "an agent's\n")
    hub.commit(hub.top, "later", "main has gone on\n")
    (hub.directory("a") / "state.json").write_text("{")
    assert [finding[0] for finding in list_findings(hub, "--fix", code=0)] == ["state-damaged"]
    assert (hub.state("a")["state"], hub.state("a")["base_commit"]) == ("running", start)


def test_moved_worktree_with_a_copy_is_not_fixed(hub: Hub) -> None:
    hub.session("a", agents=2)
    worktree = hub.worktree(1, "a")
    worktree.rename(hub.worktrees / "a" / "one")
    shutil.copytree(hub.worktrees / "a" / "one", hub.worktrees / "a" / "two")
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert (finding["code"], finding["fix"]) == ("worktree-moved", "")
    first, second = (str(hub.worktrees / "a" / name) for name in ("one", "two"))
    assert finding["evidence"] == f"it is in '{first}' or '{second}'"
    assert run_command(hub, finding["advice"]).code == 0
    assert hub.run("path", "a", "1").out == f"{first}\n"
    assert hub.run("doctor") == NO_FINDINGS


def test_moved_worktree_is_not_fixed_while_another_link_is_damaged(hub: Hub) -> None:
    """`git worktree repair` would write the .git files of all worktrees, so it is not run."""
    hub.session("a", agents=2)
    hub.worktree(1, "a").rename(hub.worktrees / "a" / "best")
    other = hub.top.parent / "mine"
    hub.git("worktree", "add", "-q", "--detach", other)
    (other / ".git").unlink()
    before = snapshot(hub.top / ".git"), snapshot(other), snapshot(hub.worktrees)
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert (finding["code"], finding["fix"]) == ("worktree-moved", "")
    after = snapshot(hub.top / ".git"), snapshot(other), snapshot(hub.worktrees)
    assert after == before


def test_hub_in_info_exclude(hub: Hub) -> None:
    hub.session("a", agents=2)
    (hub.top / ".agenthub" / ".gitignore").unlink()
    assert [finding[0] for finding in list_findings(hub, code=1)] == ["hub-not-ignored"]
    exclude = hub.top / ".git" / "info" / "exclude"
    exclude.write_text(".agenthub/\n")
    assert hub.run("doctor") == NO_FINDINGS


def test_missing_detached_worktree_is_recreated_with_its_staged_files(hub: Hub) -> None:
    hub.session("a", agents=2)
    worktree = hub.worktree(1, "a")
    edit_state(hub, "a", agents={"agent-1": {"status": "ready", "worktree": str(worktree)}})
    hub.git("checkout", "-q", "--detach", cwd=worktree)
    tip = hub.commit(worktree, "work", "on no branch\n")
    (worktree / "staged").write_text("staged\n")
    hub.git("add", "staged", cwd=worktree)
    link = f"printf 'gitdir: %s\\n' {worktree_git_dir(hub, 'a')} >{worktree}/.git"
    shutil.rmtree(worktree)
    repair_command = f"mkdir -p {worktree} && {link} && git -C {worktree} checkout-index -a"
    assert read_advice(hub) == repair_command
    assert run_command(hub, repair_command).code == 0
    assert hub.git("rev-parse", "HEAD", cwd=worktree) == tip
    assert hub.git("status", "--short", cwd=worktree) == "A  staged"
    name = "hub/a/agent-1/attempt-2"
    repair_command = (
        f"git -C {worktree} branch {name} && git -C {worktree} symbolic-ref HEAD refs/heads/{name}"
    )
    assert read_advice(hub) == repair_command
    assert run_command(hub, repair_command) == Result(0)
    assert hub.git("status", "--short", cwd=worktree) == "A  staged"
    assert hub.run("doctor") == NO_FINDINGS


def test_detached_worktree_of_the_user_is_not_checked(hub: Hub) -> None:
    hub.session("a", agents=2)
    worktree = hub.top.parent / "mine"
    hub.git("worktree", "add", "-q", "--detach", worktree)
    shutil.rmtree(worktree)
    assert hub.run("doctor") == NO_FINDINGS


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


def test_other_sessions_are_fixed_beside_a_locked_session(hub: Hub) -> None:
    for sid in ("a", "b", "c"):
        hub.session(sid, agents=2)
        shutil.rmtree(hub.worktree(1, sid))
    with lock_directory(hub.directory("b")):
        document = hub.json("doctor", "--fix", code=0)
    missing = [("worktree-missing", str(hub.worktree(1, sid))) for sid in ("a", "c")]
    assert [(finding["code"], finding["subject"]) for finding in document["findings"]] == missing
    assert all(finding["fixed"] for finding in document["findings"])
    assert document["in_use"] == ["b"]
    wait_for(lambda: hub.json("doctor", code=1)["in_use"] == [])
    assert list_findings(hub, "--fix", code=0) == [
        ("worktree-missing", str(hub.worktree(1, "b")), True)
    ]


def test_worktree_deleted_during_a_rebase(hub: Hub) -> None:
    """The git dir is kept, because only the git dir names the autostash.

    The rebase can continue.
    """
    hub.session("a", agents=2)
    worktree = hub.worktree(1, "a")
    hub.commit(worktree, "one", "1\n")
    hub.commit(worktree, "two", "2\n")
    (worktree / "one").write_text("not committed\n")
    editor = {"GIT_SEQUENCE_EDITOR": "sed -i 1s/pick/edit/"}
    arguments = ("git", "-C", worktree, "rebase", "-q", "--autostash", "-i", "HEAD~2")
    assert hub.call(*arguments, environ=editor).code == 0
    (worktree / "staged").write_text("staged\n")
    hub.git("add", "staged", cwd=worktree)
    shutil.rmtree(worktree)
    git_dirs = snapshot(hub.top / ".git" / "worktrees")
    assert [finding[0] for finding in list_findings(hub, "--fix", code=1)] == ["worktree-missing"]
    assert snapshot(hub.top / ".git" / "worktrees") == git_dirs

    assert run_command(hub, read_advice(hub)).code == 0
    assert (worktree / "staged").read_text() == "staged\n"
    assert hub.run("doctor") == NO_FINDINGS
    editor = {"GIT_EDITOR": "true"}
    assert hub.call("git", "-C", worktree, "rebase", "--continue", environ=editor).code == 0
    assert (worktree / "one").read_text() == "not committed\n"


def test_symbolic_link_to_a_session_is_not_followed(hub: Hub) -> None:
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
def test_invalid_branch_names_in_session_files(hub: Hub, name: str) -> None:
    """The names are in state.json and config.yaml. The output escapes them."""
    hub.session("a", agents=2)
    merge = {"agent": 1, "attempt": 1, "tip": "f" * 40, "into": name, "commit": "e" * 40}
    edit_state(hub, "a", state="evaluating", merge=merge)
    config = hub.directory("a") / "config.yaml"
    lines = config.read_text().splitlines(keepends=True)
    other_lines = [line for line in lines if not line.startswith("base_branch:")]
    config.write_text("".join(other_lines) + f"base_branch: {json.dumps(name)}\n")
    refs = hub.refs()
    for arguments in ([], ["--fix"], ["--format=porcelain"]):
        result = hub.run("doctor", *arguments)
        assert (result.code, result.err) == (1, ""), result
        assert not set(result.out) & {"\0", "\ud800", "\x1b"}
    assert hub.refs() == refs


def create_detached_worktree_of_merged_session(hub: Hub) -> tuple[Path, str]:
    """Return a detached worktree of a merged session, and its only commit.

    The worktree also has an ignored file.
    """
    worktree = hub.session("a", agents=2).worktree(1, "a")
    record = {"status": "done", "worktree": str(worktree)}
    edit_state(hub, "a", state="merged", agents={"agent-1": record})
    hub.git("worktree", "remove", hub.worktree(2, "a"))
    hub.git("checkout", "-q", "--detach", cwd=worktree)
    tip = hub.commit(worktree, "work", "on no branch\n")
    (hub.top / ".git" / "info" / "exclude").write_text(".env\n")
    (worktree / ".env").write_text("KEY\n")
    return worktree, tip


@pytest.mark.parametrize("deleted", [False, True])
def test_detached_worktree_of_a_merged_session(hub: Hub, deleted: bool) -> None:
    """The printed command keeps the commits. `git worktree remove` would lose them."""
    worktree, tip = create_detached_worktree_of_merged_session(hub)
    if deleted:
        shutil.rmtree(worktree)
        assert run_command(hub, read_advice(hub)).code == 0
    name = "hub/a/agent-1/attempt-2"
    repair_command = (
        f"git -C {worktree} branch {name} && git -C {worktree} symbolic-ref HEAD refs/heads/{name}"
    )
    repair_command += " && git hub-session cleanup a"
    assert read_advice(hub) == repair_command
    assert run_command(hub, repair_command).code == 0
    assert hub.git("rev-parse", "hub/a/agent-1/attempt-2") == tip
    if not deleted:
        rescue = "refs/hub/rescue/a/agent-1/attempt-2/1"
        assert hub.git("show", f"{rescue}^3:.env") == "KEY"
    assert hub.run("doctor") == Result(0, "1 session, 0 worktrees: no problems found\n")


def test_copied_repository_does_not_use_the_worktrees_of_the_original(hub: Hub) -> None:
    hub.session("a", agents=1)
    (hub.worktree(1, "a") / "draft").write_text("mine")
    copy = Hub(hub.top.parent / "copy", hub.environ)
    shutil.copytree(hub.top, copy.top, symlinks=True)
    git_dir = copy.top / ".git" / "worktrees" / "agent-1"
    before = snapshot(hub.top), snapshot(hub.worktrees)
    recorded_path = f"{hub.worktree(1, 'a')}.gone/.git"
    assert read_advice(copy) == f"printf '%s\\n' {recorded_path} >{git_dir}/gitdir"
    assert copy.run("cleanup", "a").code == 1
    assert run_command(copy, read_advice(copy)).code == 0
    assert copy.run("cleanup", "a").code == 0
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
        repair_commands = [finding["advice"] for finding in findings if not finding["fixed"]]
        if not repair_commands:
            break
        assert run_command(hub, repair_commands[0]).code == 0, repair_commands
    assert hub.run("doctor") == NO_FINDINGS
    for agent in (1, 2):
        worktree = Path(hub.run("path", "a", str(agent)).out.strip())
        assert (worktree / "draft").read_text() == f"of agent-{agent}\n"


def test_worktree_at_the_path_of_another_worktree(hub: Hub) -> None:
    hub.session("a", agents=2)
    first, second = hub.worktree(1, "a"), hub.worktree(2, "a")
    (second / "draft").write_text("of agent-2\n")
    shutil.rmtree(first)
    second.rename(first)
    result = hub.run("cleanup", "a")
    assert (result.code, hub.refs("refs/hub/rescue")) == (1, {})
    repair_command = f"mv {first} {second}"
    assert result.out.count("  hint: git hub-session doctor a\n") == 2
    findings = hub.json("doctor", "--fix", code=1)["findings"]
    assert [finding["advice"] for finding in findings] == [repair_command, repair_command]
    assert run_command(hub, repair_command) == Result(0)
    assert (second / "draft").read_text() == "of agent-2\n"
    assert [finding[:2] for finding in list_findings(hub, "--fix", code=0)] == [
        ("worktree-missing", str(first))
    ]


@pytest.mark.parametrize("has_reflog", [True, False])
def test_missing_worktree_of_a_deleted_branch(hub: Hub, has_reflog: bool) -> None:
    """The staged changes cannot be saved without the branch, so the git dir is kept."""
    worktree = hub.session("a", agents=2).worktree(1, "a")
    (worktree / "staged").write_text("staged\n")
    hub.git("add", "staged", cwd=worktree)
    tip = hub.git("rev-parse", "HEAD", cwd=worktree)
    shutil.rmtree(worktree)
    hub.git("update-ref", "-d", "refs/heads/hub/a/agent-1/attempt-1")
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    if not has_reflog:
        (git_dir / "logs" / "HEAD").unlink()
    before = snapshot(git_dir)
    [finding] = [
        item
        for item in hub.json("doctor", "--fix", code=1)["findings"]
        if item["subject"] == str(worktree)
    ]
    assert (finding["code"], finding["fix"]) == ("worktree-missing", "")
    assert snapshot(git_dir) == before
    if has_reflog:
        assert finding["advice"] == f"git branch hub/a/agent-1/attempt-1 {tip}"
        assert run_command(hub, finding["advice"]) == Result(0)
        assert list_findings(hub, "--fix", code=0) == [("worktree-missing", str(worktree), True)]
    else:
        hint = hub.json("cleanup", "a", code=1)["sessions"][0]["kept"][0]["hint"]
        assert hint == "git hub-session doctor a"
        assert run_command(hub, finding["advice"]).code == 0
        assert worktree.is_dir()


def test_symbolic_link_to_the_worktree_of_another_agent(hub: Hub) -> None:
    hub.session("a", agents=2)
    first, second = hub.worktree(1, "a"), hub.worktree(2, "a")
    shutil.rmtree(first)
    first.symlink_to(second)
    before = snapshot(second)
    assert read_advice(hub) == f"rm {first}"
    assert run_command(hub, read_advice(hub)) == Result(0)
    assert [finding[:2] for finding in list_findings(hub, "--fix", code=0)] == [
        ("worktree-missing", str(first))
    ]
    assert snapshot(second) == before


def test_worktree_on_a_missing_disk_during_a_rebase(hub: Hub) -> None:
    """The parent directory is missing. The advice is to move the directory back."""
    worktree = hub.session("a", agents=1).worktree(1, "a")
    hub.commit(worktree, "one", "1\n")
    editor = {"GIT_SEQUENCE_EDITOR": "sed -i 1s/pick/edit/"}
    arguments = ("git", "-C", worktree, "rebase", "-q", "-i", "HEAD~1")
    assert hub.call(*arguments, environ=editor).code == 0
    git_dir = worktree_git_dir(hub, "a")
    hub.worktrees.rename(hub.top.parent / "unplugged")
    gitdir = git_dir / "gitdir"
    expected = f"move its directory back, or record its new path: printf '%s\\n' <its directory>/.git >{gitdir}; "
    assert read_advice(hub).startswith(
        f"{expected}if it was deleted: mkdir -p {worktree} && printf "
    )
    result = hub.run("cleanup", "a")
    assert result.out.splitlines()[2:4] == [
        "  hint: git hub-session cleanup --force a",
        "  hint: git hub-session doctor a",
    ]


def test_truncated_ref_without_a_reflog(hub: Hub) -> None:
    hub.session("a", agents=1)
    hub.git("worktree", "remove", hub.worktree(1, "a"))
    tip = hub.git("rev-parse", "main")
    file = hub.top / ".git" / "refs" / "tags" / "hub" / "archive" / "a" / "agent-7"
    hub.git("tag", "hub/archive/a/agent-7", tip)
    edit_state(hub, "a", agents={"agent-7": {"status": "ready", "attempt": 1}})
    file.write_text("")
    repair_command = (
        f"rm {file} && git update-ref --no-deref refs/tags/hub/archive/a/agent-7 <commit>"
    )
    assert read_advice(hub) == f"find its commit: git fsck --lost-found; then: {repair_command}"
    assert run_command(hub, repair_command.replace("<commit>", tip)) == Result(0)
    assert hub.run("doctor").code == 0
    hub.git("pack-refs", "--all")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    assert read_advice(hub) == f"rm {file}"
    assert run_command(hub, read_advice(hub)) == Result(0)
    assert hub.git("rev-parse", "hub/archive/a/agent-7") == tip
    assert hub.run("doctor").code == 0


def test_rescue_ref_with_a_missing_commit(hub: Hub) -> None:
    hub.session("a", agents=1)
    ref = "refs/hub/rescue/a/agent-1/attempt-1/1"
    lost = hub.git("commit-tree", "-m", "saved", "main^{tree}")
    hub.git("update-ref", ref, lost)
    edit_state(hub, "a", agents={"agent-1": {"rescue": [ref]}})
    assert hub.run("doctor").code == 0
    (hub.top / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    assert [finding[:2] for finding in list_findings(hub, code=1)] == [("ref-broken", ref)]


def test_removal_lock_on_a_detached_worktree_is_removed(hub: Hub) -> None:
    worktree = hub.session("a", agents=2).worktree(1, "a")
    edit_state(hub, "a", agents={"agent-1": {"status": "ready", "worktree": str(worktree)}})
    hub.git("checkout", "-q", "--detach", cwd=worktree)
    lock = worktree_git_dir(hub, "a") / "locked"
    lock.write_text(REMOVAL_LOCK)
    assert list_findings(hub, "--fix", code=1) == [
        ("removal-cut-off", str(worktree), True),
        ("worktree-off-branch", str(worktree), False),
    ]
    assert not lock.exists()


def test_truncated_head(hub: Hub) -> None:
    worktree = hub.session("a", agents=2).worktree(1, "a")
    edit_state(hub, "a", agents={"agent-1": {"status": "ready", "worktree": str(worktree)}})
    (worktree / "staged").write_text("staged\n")
    hub.git("add", "staged", cwd=worktree)
    (worktree_git_dir(hub, "a") / "HEAD").write_text("")
    repair_command = (
        f"printf 'ref: %s\\n' refs/heads/hub/a/agent-1/attempt-1 >{worktree_git_dir(hub, 'a')}/HEAD"
    )
    assert read_advice(hub) == repair_command
    assert run_command(hub, repair_command) == Result(0)
    assert hub.git("status", "--short", cwd=worktree) == "A  staged"
    assert hub.run("doctor") == NO_FINDINGS


def test_interrupted_removal_with_an_overwritten_journal(hub: Hub) -> None:
    """The journal was overwritten through its hard link, the lock file. The removal is undone."""
    worktree = hub.session("a", agents=2).worktree(1, "a")
    (worktree / "draft").write_text("mine")
    git_dir, trash = worktree_git_dir(hub, "a"), worktree.parent / ".agent-1.hub-trash"
    (git_dir / "hub-session-removal").write_text("mine\n")
    os.link(git_dir / "hub-session-removal", git_dir / "locked")
    worktree.rename(trash)
    hub.git("worktree", "unlock", worktree)
    assert list_findings(hub, "--fix", code=0) == [("removal-cut-off", str(worktree), True)]
    assert (worktree / "draft").read_text() == "mine"
    assert hub.run("doctor") == NO_FINDINGS


def test_removal_killed_after_renaming_new_files_back(hub: Hub) -> None:
    """The removal is finished, and the new files are kept."""
    worktree = hub.session("a", agents=2).worktree(1, "a")
    git_dir = worktree_git_dir(hub, "a")
    trash = worktree.parent / ".agent-1.hub-trash"
    (git_dir / "hub-session-removal").write_text(f"{REMOVAL_LOCK}\0{trash}\0delete")
    (worktree / ".git").unlink()
    (worktree / "new").write_text("mine\n")
    assert hub.run("doctor", "--fix").code == 0
    assert (worktree / "new").read_text() == "mine\n"
    assert not git_dir.exists()
    assert hub.run("doctor") == Result(0, "1 session, 1 worktree: no problems found\n")


def test_cleanup_keeps_a_renamed_worktree(hub: Hub) -> None:
    hub.session("a", agents=1)
    worktree = hub.worktree(1, "a")
    (worktree / "draft").write_text("mine")
    new_path = worktree.rename(worktree.parent / "best")
    before = snapshot(hub.top), snapshot(hub.worktrees)
    assert hub.run("cleanup", "--force", "a") == Result(
        1,
        f"agent-1: kept {shown_path(worktree)}\n  the directory was moved to '{new_path}'\n"
        f"  hint: git hub-session doctor a\nCleaned up 0 worktrees for session a\n",
    )
    assert (snapshot(hub.top), snapshot(hub.worktrees)) == before
    assert run_command(hub, f"mv {new_path} {worktree}") == Result(0)
    assert hub.run("cleanup", "-q", "a").code == 0
    assert hub.git("show", "refs/hub/rescue/a/agent-1/attempt-1/1^3:draft") == "mine"


def test_worktree_at_a_path_of_another_session(hub: Hub) -> None:
    hub.session("o", agents=1).session("q", agents=1)
    shutil.rmtree(hub.worktree(1, "q"))
    hub.worktree(1, "o").rename(hub.worktree(1, "q"))
    (hub.worktrees / "o").rmdir()
    repair_command = (
        f"mkdir -p {hub.worktrees}/o && mv {hub.worktree(1, 'q')} {hub.worktree(1, 'o')}"
    )
    for sid in ("o", "q"):
        assert f"  hint: git hub-session doctor {sid}\n" in hub.run("cleanup", sid).out
        findings = hub.json("doctor", sid, code=1)["findings"]
        assert [finding["advice"] for finding in findings] == [repair_command]
    assert run_command(hub, repair_command) == Result(0)
    assert hub.run("cleanup", "-q", "o", "q").code == 0


def test_worktree_path_taken_by_another_repository(hub: Hub) -> None:
    """The commits and staged changes that only the git dir has are saved."""
    worktree = hub.session("a", agents=1).worktree(1, "a")
    hub.git("checkout", "-q", "--detach", cwd=worktree)
    tip = hub.commit(worktree, "detached", "mine\n")
    hub.git("checkout", "-q", "hub/a/agent-1/attempt-1", cwd=worktree)
    (worktree / "staged").write_text("mine\n")
    hub.git("add", "staged", cwd=worktree)
    shutil.rmtree(worktree)
    foreign = Hub(hub.top.parent / "foreign", hub.environ)
    hub.git("init", "-q", foreign.top)
    foreign.git("commit", "-q", "--allow-empty", "-m", "theirs")
    foreign.git("worktree", "add", "-q", "-b", "theirs", worktree)
    before = snapshot(worktree)
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    assert read_advice(hub) == f"printf '%s\\n' {worktree}.gone/.git >{git_dir}/gitdir"
    assert run_command(hub, read_advice(hub)) == Result(0)
    assert hub.run("cleanup", "-q", "a").code == 0
    saved = hub.refs("refs/hub/rescue/a")
    assert tip in saved.values()
    assert any("staged" in hub.git("ls-tree", "--name-only", oid) for oid in saved.values())
    assert snapshot(worktree) == before


def test_path_recorded_in_two_sessions(hub: Hub) -> None:
    """The worktree belongs to the active session. If neither is active, no problem is reported."""
    hub.session("a", agents=1).session("b", agents=1)
    worktree = hub.worktree(1, "a")
    agents = {"agent-1": {"status": "ready", "attempt": 1, "worktree": str(worktree)}}
    edit_state(hub, "a", state="running", agents=agents)
    edit_state(hub, "b", state="merged", agents=agents)
    hub.git("worktree", "remove", hub.worktree(1, "b"))
    (worktree_git_dir(hub, "a") / "HEAD").write_text("")  # only state.json has the path
    [finding] = hub.json("doctor", code=1)["findings"]
    assert (finding["code"], finding["session"]) == ("worktree-damaged", "a")
    edit_state(
        hub, "a", state="archived", agents=agents
    )  # the path belongs to both sessions, and neither is active
    assert hub.run("doctor") == Result(0, "2 sessions, 0 worktrees: no problems found\n")


def test_detached_worktree_in_the_middle_of_a_merge(hub: Hub) -> None:
    worktree, tip = create_detached_worktree_of_merged_session(hub)
    hub.commit(hub.top, "work", "of main\n")
    assert hub.call("git", "-C", worktree, "merge", "-q", "main").code == 1
    repair_command = read_advice(hub).removesuffix(" && git hub-session cleanup a")
    assert run_command(hub, repair_command) == Result(0)
    assert hub.git("rev-parse", "hub/a/agent-1/attempt-2") == tip
    assert hub.git("status", "--short", cwd=worktree) == "AA work"
    assert "in the middle of a merge" in hub.run("cleanup", "a").out


def test_interrupted_removal_of_a_detached_worktree(hub: Hub) -> None:
    """The directory is renamed back."""
    worktree, _ = create_detached_worktree_of_merged_session(hub)
    trash = worktree.parent / ".agent-1.hub-trash"
    (worktree_git_dir(hub, "a") / "hub-session-removal").write_text(
        f"{REMOVAL_LOCK}\0{trash}\0aside"
    )
    worktree.rename(trash)
    assert ("removal-cut-off", str(worktree), True) in list_findings(hub, "--fix", code=1)
    assert (worktree / ".env").read_text() == "KEY\n"
    assert [finding[0] for finding in list_findings(hub, code=1)] == ["worktree-of-finished"]


def test_truncated_head_in_a_rebase(hub: Hub) -> None:
    """The repair command writes the last commit of the rebase into HEAD."""
    worktree = hub.session("a", agents=2).worktree(1, "a")
    edit_state(hub, "a", agents={"agent-1": {"status": "ready", "worktree": str(worktree)}})
    for name in ("one", "two"):
        hub.commit(worktree, name, f"{name}\n")
    editor = {"GIT_SEQUENCE_EDITOR": "sed -i 1s/pick/edit/", "GIT_EDITOR": "true"}
    arguments = ("git", "-C", worktree, "rebase", "-q", "-i", "HEAD~2")
    assert hub.call(*arguments, environ=editor).code == 0
    head = hub.git("rev-parse", "HEAD", cwd=worktree)
    (worktree_git_dir(hub, "a") / "HEAD").write_text("")
    assert read_advice(hub) == f"printf '%s\\n' {head} >{worktree_git_dir(hub, 'a')}/HEAD"
    assert run_command(hub, read_advice(hub)) == Result(0)
    assert hub.call("git", "-C", worktree, "rebase", "--continue", environ=editor).code == 0
    assert hub.run("doctor") == NO_FINDINGS


def test_ref_created_during_the_check_is_not_broken(hub: Hub) -> None:
    """The ref is created between two reads: the list of refs, and the list of their files."""
    hub.session("a", agents=1)
    name = "hub/a/agent-9/attempt-1"
    code = f"subprocess.run(['git', 'branch', {name!r}], check=True)"
    result = run_with_injected_code(hub, "doctor", code=code, opened="a/state.json", nth=2)
    assert result == Result(0, "1 session, 1 worktree: no problems found\n")
    assert hub.git("rev-parse", name) == hub.git("rev-parse", "main")


@pytest.mark.parametrize("content", [None, "", "/nonexistent\n", "a\0b\n"])
def test_git_dir_that_does_not_name_its_repository(hub: Hub, content: str | None) -> None:
    """No git command works in the worktree until the printed command was typed."""
    worktree = hub.session("s1", agents=2).worktree(1)
    (worktree / "new").write_text("work\n")
    common_dir = worktree_git_dir(hub, "s1") / "commondir"
    common_dir.unlink() if content is None else common_dir.write_text(content)
    assert list_findings(hub, code=1) == [("worktree-damaged", str(worktree), False)]
    assert run_command(hub, read_advice(hub)) == Result(0)
    assert hub.run("doctor") == NO_FINDINGS
    assert hub.git("status", "--porcelain", cwd=worktree) == "?? new"
    assert hub.run("cleanup", "-q", "s1") == Result(0)


def test_damaged_index(hub: Hub) -> None:
    """The printed command keeps the files and the old index."""
    worktree = hub.session("s1", agents=2).worktree(1)
    (worktree / "new").write_text("work\n")
    index = worktree_git_dir(hub, "s1") / "index"
    index.write_bytes(b"junk\n")
    assert list_findings(hub, code=1) == [("index-damaged", str(worktree), False)]
    result = hub.run("cleanup", "s1")
    assert "  index: the file is too short\n  hint: git hub-session doctor s1\n" in result.out
    assert worktree.is_dir()
    [finding] = hub.json("doctor", code=1)["findings"]
    assert run_command(hub, finding["advice"]) == Result(0)
    assert index.with_name("index.damaged").read_bytes() == b"junk\n"
    assert hub.git("status", "--porcelain", cwd=worktree) == "?? new"
    assert hub.json("cleanup", "s1")["sessions"][0]["kept"] == []


def test_path_with_a_carriage_return(hub: Hub) -> None:
    """Git ignores white space after the path in the file `gitdir`."""
    hub.session("s1", agents=2)
    path = worktree_git_dir(hub, "s1") / "gitdir"
    path.write_bytes(path.read_bytes().rstrip() + b" \r\n")
    assert hub.git("status", "--porcelain", cwd=hub.worktree(1)) == ""
    assert hub.run("doctor") == NO_FINDINGS
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert not hub.worktree(1).exists()


def test_git_dir_that_records_the_directory_of_another_agent(hub: Hub) -> None:
    """The sound worktree can be removed. The damaged git dir is kept until then."""
    hub.session("s1", agents=2)
    git_dir = worktree_git_dir(hub, "s1")
    copy = shutil.copytree(git_dir, git_dir.with_name("zz"))
    (copy / "gitdir").write_text(f"{hub.worktree(2)}/.git\n")
    result = hub.json("cleanup", "s1", code=1)["sessions"][0]
    assert [kept["code"] for kept in result["kept"]] == ["damaged-link"]
    assert not hub.worktree(1).exists()
    assert not hub.worktree(2).exists()
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert not copy.exists()
