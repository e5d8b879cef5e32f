"""`restore`: recreate removed worktrees on their branches, with the saved changes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from git_hub_session.git.ref_names import AgentBranch, SessionId
from git_hub_session.git.worktrees import REMOVAL_LOCK
from git_hub_session.session.attempts import archived_attempts
from tests.support.cleanup import (
    BRANCH,
    RESCUE,
    everything,
    read_content,
    run_restore_commands,
)
from tests.support.doctor import edit_state
from tests.support.hints import follow_hint, type_hint, types
from tests.support.hub import Hub, Result
from tests.support.interrupt import (
    DIE,
    Template,
    count_changes,
    kill_at_changes,
    run_with_injected_code,
)

TAG = "refs/tags/hub/archive/s1/agent-1"
ARCHIVE = "refs/hub/archive/s1/agent-1/attempt-1/1"


def worktree_path(hub: Hub, agent: int = 1, sid: str = "s1") -> Path:
    """Return the default path of a worktree."""
    return hub.top.parent / "project.hub" / sid / f"agent-{agent}"


def spawn_session(hub: Hub, *, agents: int = 1) -> Path:
    """Spawn the session s1, and return the worktree of its first agent."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", str(agents))
    assert hub.run("spawn", "-q", "s1") == Result(0)
    return worktree_path(hub)


def change_files(hub: Hub, worktree: Path) -> None:
    """Change a staged file again, delete a tracked file, and create an untracked file."""
    (worktree / "file").write_text("staged\n")
    hub.git("add", "file", cwd=worktree)
    (worktree / "file").write_text("changed\n")
    (worktree / "sub" / "other").unlink()
    (worktree / "new").write_text("new\n")


def agent_record(hub: Hub, number: int = 1) -> dict[str, Any]:
    """Return the record of an agent in state.json."""
    record = hub.state()["agents"][f"agent-{number}"]
    assert isinstance(record, dict)
    return record


def git_dirs(hub: Hub) -> list[str]:
    """Return the names of the git dirs of all linked worktrees."""
    directory = hub.top / ".git" / "worktrees"
    return sorted(os.listdir(directory)) if directory.is_dir() else []


def restored(
    worktree: str = "../project.hub/s1/agent-1", *lines_after: str, branch: str = BRANCH
) -> Result:
    """Return the result of a successful restore of agent-1."""
    lines = "".join(f"  {line}\n" for line in lines_after)
    return Result(0, f"Restored agent-1 in {worktree} on {branch}\n{lines}")


WORK = f"work from {RESCUE}"


def test_restore_after_a_cleanup(hub: Hub) -> None:
    """The worktrees have their changes again. State and refs are unchanged."""
    worktree = spawn_session(hub, agents=2)
    change_files(hub, worktree)
    tip = hub.commit(worktree_path(hub, 2), "try", "x\n")
    before = [read_content(hub, worktree_path(hub, number)) for number in (1, 2)]
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    refs, state = hub.refs(), hub.state()
    hub.git("gc", "-q", "--prune=now")
    assert hub.run("restore", "s1") == Result(
        0,
        f"Restored agent-1 in ../project.hub/s1/agent-1 on {BRANCH}\n"
        f"  work from {RESCUE}\n"
        "Restored agent-2 in ../project.hub/s1/agent-2 on hub/s1/agent-2/attempt-1\n",
    )
    assert [read_content(hub, worktree_path(hub, number)) for number in (1, 2)] == before
    assert hub.git("symbolic-ref", "HEAD", cwd=worktree) == f"refs/heads/{BRANCH}"
    assert hub.git("rev-parse", "HEAD", cwd=worktree_path(hub, 2)) == tip
    assert hub.refs() == refs
    assert "locked" not in hub.git("worktree", "list", "--porcelain")
    assert agent_record(hub) == {
        "status": "ready",
        "attempt": 1,
        "worktree": str(worktree),
        "rescue": [RESCUE],
        "work": {"attempt-1": RESCUE},
        "restored": RESCUE,
    }
    assert (hub.state()["state"], hub.state()["history"]) == (state["state"], state["history"])
    before_second = everything(hub)
    assert hub.run("restore", "s1") == Result(0, "", "nothing to restore: all worktrees exist\n")
    assert everything(hub) == before_second


def test_restore_after_an_archive(hub: Hub) -> None:
    """The branch is recreated from its tag. Tag and state are kept, also the second time."""
    worktree = spawn_session(hub)
    tip = hub.commit(worktree, "try", "x\n")
    change_files(hub, worktree)
    before = read_content(hub, worktree)
    for _ in range(2):
        assert hub.run("archive", "-q", "s1") == Result(0)
        hub.git("reflog", "expire", "--expire=now", "--all")
        hub.git("gc", "-q", "--prune=now")
        assert [*hub.refs("refs/heads/hub")] == []
        assert hub.run("restore", "s1", "--agent", "agent-1") == restored(
            "../project.hub/s1/agent-1", "branch from tag hub/archive/s1/agent-1", WORK
        )
        assert read_content(hub, worktree) == before
        assert hub.refs("refs/heads/hub") == {f"refs/heads/{BRANCH}": tip}
        assert hub.refs("refs/tags") == {TAG: tip}
        assert [*hub.refs("refs/hub")] == [ARCHIVE, RESCUE]
        assert hub.state()["state"] == "archived"


def test_reverted_changes_are_not_restored(hub: Hub) -> None:
    """After a cleanup of the unchanged worktree, `restore` no longer applies the older changes."""
    worktree = spawn_session(hub)
    change_files(hub, worktree)
    for method in ("restore", "printed command"):
        printed = hub.run("cleanup", "s1").out
        if method == "restore":
            assert hub.run("restore", "-q", "s1") == Result(0)
        else:
            line = printed.split("bring it back: ")[1].splitlines()[0]
            assert hub.call("sh", "-c", line).code == 0
        hub.git("reset", "-q", "--hard", cwd=worktree)
        (worktree / "new").unlink()
        assert hub.run("cleanup", "-q", "s1") == Result(0)
        assert agent_record(hub)["work"] == {"attempt-1": None}
        assert hub.run("restore", "s1") == restored()
        assert read_content(hub, worktree).status == [""]
        change_files(hub, worktree)
    assert [*hub.refs("refs/hub")] == [RESCUE]


def test_newest_changes_are_restored(hub: Hub) -> None:
    worktree = spawn_session(hub)
    change_files(hub, worktree)
    first = read_content(hub, worktree)
    hub.run("cleanup", "-q", "s1")
    hub.run("restore", "-q", "s1")
    (worktree / "new").write_text("newer\n")
    second = read_content(hub, worktree)
    hub.run("cleanup", "-q", "s1")
    assert hub.run("restore", "s1") == restored(
        "../project.hub/s1/agent-1", f"work from {RESCUE[:-1]}2"
    )
    assert read_content(hub, worktree) == second
    # The first content again. The first rescue ref already has this content.
    (worktree / "new").write_text("new\n")
    hub.run("cleanup", "-q", "s1")
    assert hub.run("restore", "s1") == restored("../project.hub/s1/agent-1", WORK)
    assert read_content(hub, worktree) == first


def test_discarded_changes_are_not_restored(hub: Hub) -> None:
    worktree = spawn_session(hub)
    change_files(hub, worktree)
    hub.run("cleanup", "-q", "s1")
    hub.run("restore", "-q", "s1")
    (worktree / "new").write_text("worse\n")
    assert hub.run("cleanup", "-q", "--discard", "s1") == Result(0)
    assert hub.run("restore", "s1") == restored()


def test_rescue_ref_without_a_record(hub: Hub) -> None:
    """Old versions did not record the rescue ref. The newest changes of the commit are restored."""
    worktree = spawn_session(hub)
    hub.git("branch", "old", BRANCH)
    change_files(hub, worktree)
    before = read_content(hub, worktree)
    hub.run("cleanup", "-q", "s1")
    hub.run("restore", "-q", "s1")
    hub.git("stash", "-q", "-u", cwd=worktree)
    hub.commit(worktree, "try", "x\n")
    (worktree / "new").write_text("later\n")
    hub.run("cleanup", "-q", "s1")
    hub.git("branch", "-f", BRANCH, "old")
    document = hub.state()
    recorded: tuple[Any, ...] = (
        {},
        None,
        [],
        {"attempt-1": "x"},
        {"attempt-1": 1},
        {"attempt-1": "refs/heads/main"},
    )
    for value in recorded:
        document["agents"] = {"agent-1": {"work": value}}
        (hub.directory() / "state.json").write_text(json.dumps(document))
        is_recorded = isinstance(value, dict) and value
        newest = f"not applied: work on another commit, git -C {worktree} stash apply --index {RESCUE[:-1]}2"
        assert hub.run("restore", "-n", "s1") == Result(
            0,
            f"Would restore agent-1 in ../project.hub/s1/agent-1 on {BRANCH}\n"
            + ("" if is_recorded else f"  {WORK}\n  {newest}\n"),
        )
    document["agents"] = {}
    (hub.directory() / "state.json").write_text(json.dumps(document))
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert read_content(hub, worktree) == before


def test_changes_on_another_commit_are_not_applied(hub: Hub) -> None:
    """The branch has moved. The printed command applies the changes."""
    worktree = spawn_session(hub)
    (worktree / "new").write_text("new\n")
    hub.run("cleanup", "-q", "s1")
    later = hub.commit(hub.top, "later", "x\n")
    hub.git("branch", "-f", BRANCH, later)
    line = f"git -C {worktree} stash apply --index {RESCUE}"
    assert hub.run("restore", "s1") == restored(
        "../project.hub/s1/agent-1", f"not applied: work on another commit, {line}"
    )
    assert read_content(hub, worktree).status == [""]
    assert hub.call("sh", "-c", line).code == 0
    assert read_content(hub, worktree).status == ["", "?? new"]


def test_saved_commits_are_listed_unless_the_branch_contains_them(hub: Hub) -> None:
    """A worktree with a detached HEAD is restored on its branch."""
    worktree = spawn_session(hub)
    hub.git("switch", "-q", "--detach", cwd=worktree)
    lost = hub.commit(worktree, "try", "x\n")
    hub.git("switch", "-q", BRANCH.removeprefix("refs/heads/"), cwd=worktree)
    hub.run("cleanup", "-q", "s1")
    assert hub.refs("refs/hub") == {RESCUE: lost}
    assert hub.run("restore", "s1") == restored(
        "../project.hub/s1/agent-1", f"not applied: commits, git branch <name> {RESCUE}"
    )
    assert hub.git("symbolic-ref", "--short", "HEAD", cwd=worktree) == BRANCH
    hub.git("merge", "-q", "--ff-only", lost, cwd=worktree)
    hub.run("cleanup", "-q", "s1")
    assert hub.run("restore", "s1") == restored()


def test_saved_merge_commit_is_not_a_stash(hub: Hub) -> None:
    """The commit has two parents like a stash, and the second parent is a child of the first."""
    worktree = spawn_session(hub)
    hub.git("switch", "-q", "--detach", cwd=worktree)
    hub.commit(worktree, "try", "x\n")
    hub.git("switch", "-q", "--detach", "main", cwd=worktree)
    hub.git("merge", "-q", "--no-ff", "-m", "index on main", "HEAD@{1}", cwd=worktree)
    hub.git("switch", "-q", BRANCH, cwd=worktree)
    hub.run("cleanup", "-q", "s1")
    assert len(hub.git("log", "-1", "--format=%P", RESCUE).split()) == 2
    assert hub.run("restore", "s1") == restored(
        "../project.hub/s1/agent-1", f"not applied: commits, git branch <name> {RESCUE}"
    )
    assert read_content(hub, worktree).status == [""]


def test_last_attempt_is_restored(hub: Hub) -> None:
    """The attempt is restored from its branch or from its tag."""
    worktree = spawn_session(hub)
    hub.commit(worktree, "one", "x\n")
    hub.run("spawn", "-q", "s1", "--retry", "1")
    second = worktree_path(hub).with_name("agent-1-2")
    tip = hub.commit(second, "two", "x\n")
    (second / "new").write_text("new\n")
    expected = restored(
        "../project.hub/s1/agent-1-2",
        "work from refs/hub/rescue/s1/agent-1/attempt-2/1",
        branch="hub/s1/agent-1/attempt-2",
    )
    hub.run("cleanup", "-q", "s1")
    assert hub.run("restore", "s1") == expected
    assert not worktree.exists()
    hub.run("archive", "-q", "s1")
    assert [*hub.refs("refs/tags")] == [TAG, f"{TAG}-attempt-2"]
    lines = expected.out.splitlines(keepends=True)
    lines.insert(1, "  branch from tag hub/archive/s1/agent-1-attempt-2\n")
    assert hub.run("restore", "s1") == Result(0, "".join(lines))
    assert hub.git("rev-parse", "HEAD", cwd=second) == tip


def test_newer_of_two_tags_is_restored(hub: Hub) -> None:
    """The second `archive` keeps the short tag and adds another tag for the new commit."""
    worktree = spawn_session(hub)
    hub.commit(worktree, "first", "x\n")
    hub.run("archive", "-q", "s1")
    hub.run("restore", "-q", "s1")
    tip = hub.commit(worktree, "more", "x\n")
    hub.run("archive", "-q", "s1")
    assert hub.run("restore", "s1") == restored(
        "../project.hub/s1/agent-1", "branch from tag hub/archive/s1/agent-1-attempt-1"
    )
    assert hub.git("rev-parse", "HEAD", cwd=worktree) == tip


@pytest.mark.parametrize(
    ("tags", "last", "expected"),
    [
        ("agent-1", 0, {1: "agent-1"}),
        ("agent-1", 1, {1: "agent-1"}),
        ("agent-1", 3, {3: "agent-1"}),
        ("agent-1 agent-1-attempt-2", 2, {1: "agent-1", 2: "agent-1-attempt-2"}),
        ("agent-1 agent-1-attempt-2", 0, {1: "agent-1", 2: "agent-1-attempt-2"}),
        ("agent-1 agent-1-attempt-2", 3, {3: "agent-1", 2: "agent-1-attempt-2"}),
        ("agent-1 agent-1-attempt-1", 1, {1: "agent-1-attempt-1"}),
        ("agent-1-attempt-2", 2, {2: "agent-1-attempt-2"}),
        ("agent-01 agent-1-attempt-0 agent-1-x agent-1/attempt-2 agent-0", 1, {}),
    ],
)
def test_attempt_of_an_archive_tag(tags: str, last: int, expected: dict[int, str]) -> None:
    sid = SessionId("s1")
    refs = [f"refs/tags/hub/archive/s1/{tag}" for tag in tags.split()]
    assert archived_attempts(sid, refs, lambda _agent: last) == {
        AgentBranch(sid, 1, attempt): f"refs/tags/hub/archive/s1/{tag}"
        for attempt, tag in expected.items()
    }


def test_existing_path(hub: Hub) -> None:
    """The other agent is restored. --path or an empty directory solves the conflict."""
    worktree = spawn_session(hub, agents=2)
    change_files(hub, worktree)
    hub.run("cleanup", "-q", "s1")
    worktree.mkdir()
    (worktree / "mine").write_text("mine\n")
    assert hub.run("restore", "s1") == Result(
        1,
        "Restored agent-2 in ../project.hub/s1/agent-2 on hub/s1/agent-2/attempt-1\n",
        f"error: agent-1: '{worktree}' exists already\nhint: choose another --path\n",
    )
    assert (git_dirs(hub), sorted(worktree.iterdir())) == (["agent-2"], [worktree / "mine"])
    assert hub.run("restore", "s1", "--path", "../else-{n}") == restored("../else-1", WORK)
    hub.run("cleanup", "-q", "s1")
    (worktree / "mine").unlink()
    assert hub.run("restore", "s1", "--agent", "1") == restored("../project.hub/s1/agent-1", WORK)


def test_link_to_an_empty_directory_is_refused(hub: Hub) -> None:
    """The worktree would be created at another path. `spawn` refuses such a link too."""
    worktree = spawn_session(hub)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    elsewhere = hub.top.parent / "elsewhere"
    elsewhere.mkdir()
    worktree.parent.mkdir(exist_ok=True)
    worktree.symlink_to(elsewhere)
    assert hub.run("restore", "s1") == Result(
        1, "", f"error: agent-1: '{worktree}' exists already\nhint: choose another --path\n"
    )
    assert (worktree.is_symlink(), [*elsewhere.iterdir()], git_dirs(hub)) == (True, [], [])


def test_formats_and_dry_run(hub: Hub) -> None:
    worktree = spawn_session(hub, agents=3)
    change_files(hub, worktree)
    hub.run("archive", "-q", "s1")
    hub.run("restore", "-q", "s1", "--agent", "2")
    worktree_path(hub, 3).mkdir()
    (worktree_path(hub, 3) / "mine").write_text("mine\n")
    before = everything(hub)
    first, second, third = (
        {"agent": number, "attempt": 1, "branch": f"hub/s1/agent-{number}/attempt-1"}
        for number in (1, 2, 3)
    )
    document = {
        "session_id": "s1",
        "dry_run": True,
        "restored": [
            {
                **first,
                "path": str(worktree),
                "tag": None,
                "work": RESCUE,
                "unapplied": [],
                "archive": ARCHIVE,
            }
        ],
        "present": [{**second, "path": str(worktree_path(hub, 2))}],
        "failed": [
            {
                **third,
                "reason": f"'{worktree_path(hub, 3)}' exists already",
                "hint": "choose another --path",
            }
        ],
    }
    assert hub.json("restore", "-n", "s1", code=1) == document
    assert hub.run("restore", "-n", "s1", "--agent", "1") == Result(
        0,
        f"Would restore agent-1 in ../project.hub/s1/agent-1 on {BRANCH}\n"
        f"  branch from {ARCHIVE}\n  {WORK}\n",
    )
    assert everything(hub) == before
    assert hub.run("restore", "--format=porcelain", "s1", "--agent", "1") == Result(
        0,
        f"session s1\noutcome restored\nagent 1\nattempt 1\nbranch {BRANCH}\npath {worktree}\n"
        f"work {RESCUE}\narchive {ARCHIVE}\n\n",
    )


def test_errors(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    before = everything(hub)
    assert hub.run("restore", "s1") == Result(
        0, "", "nothing to restore: no agent has a branch or a tag\n"
    )
    assert hub.run("restore", "s1", "--agent", "2") == Result(
        1,
        "",
        "error: agent-2 has neither a branch nor an archive tag\nhint: git hub-session status s1\n",
    )
    assert hub.run("restore", "s1", "--agent", "3") == Result(
        128,
        "",
        "fatal: no such agent: 'agent-3'\nhint: choose one of the session: agent-1 to agent-2\n",
    )
    assert hub.run("restore", "s2").code == 128
    assert hub.run("restore").code == 129
    hub.git("branch", "hub/s1/agent-2/attempt-1")
    assert hub.run("restore", "s1", "--path", "../same").code == 128
    hub.git("branch", "-D", "hub/s1/agent-2/attempt-1")
    after = everything(hub)
    assert {path for path in before if after.get(path) != before[path]} == set()


def test_hook_that_rejects_the_branch(hub: Hub) -> None:
    """The output of the reference-transaction hook is shown. No file and no branch remains."""
    worktree = spawn_session(hub)
    change_files(hub, worktree)
    hub.run("archive", "-q", "s1")
    hook = hub.top / ".git" / "hooks" / "reference-transaction"
    hook.write_text('#!/bin/sh\ntest "$1" != prepared || { echo "not today" >&2; exit 1; }\n')
    hook.chmod(0o755)
    refs = hub.refs()
    agents = hub.state()["agents"]
    result = hub.run("restore", "s1")
    assert result == Result(
        1,
        "",
        "not today\nerror: agent-1: the reference-transaction hook rejected the change of the refs\n",
    )
    assert (hub.refs(), hub.state()["agents"], git_dirs(hub)) == (refs, agents, [])
    assert not worktree.exists()
    hook.unlink()
    assert hub.run("restore", "-q", "s1") == Result(0)


@pytest.mark.slow
def test_branch_below_the_branch_of_an_agent(hub: Hub) -> None:
    """The printed command renames the branch that is in the way."""
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.commit(worktree, "new", "x\n")
    assert hub.run("archive", "-q", "s1") == Result(0)
    hub.git("branch", "hub/s1/agent-1/attempt-1/x")
    refused = hub.run("restore", "s1")
    command = "git branch -m hub/s1/agent-1/attempt-1/x hub-s1-agent-1-attempt-1-x-old"
    assert (refused.code, command in refused.err) == (1, True), refused
    assert hub.call("sh", "-c", command).code == 0
    assert hub.run("restore", "-q", "s1") == Result(0)


def test_failing_filter(hub: Hub) -> None:
    """The other agent is restored. The first agent is restored when the filter works again."""
    hub.git("config", "filter.f.smudge", "cat")
    hub.git("config", "filter.f.clean", "cat")
    hub.git("config", "filter.f.required", "true")
    worktree = spawn_session(hub, agents=2)
    (worktree / ".gitattributes").write_text("*.big filter=f\n")
    hub.git("add", ".", cwd=worktree)
    hub.commit(worktree, "a.big", "big\n")
    (worktree / "new").write_text("new\n")
    before = read_content(hub, worktree)
    hub.run("archive", "-q", "s1")
    refs = hub.refs()
    hub.git("config", "filter.f.smudge", "echo no server >&2; false")
    result = hub.run("restore", "s1")
    assert (result.code, result.out.splitlines()[0][:17]) == (1, "Restored agent-2 ")
    assert "no server" in result.err
    assert [*hub.refs().keys() - refs.keys()] == ["refs/heads/hub/s1/agent-2/attempt-1"]
    assert git_dirs(hub) == ["agent-2"]
    assert [*worktree_path(hub).parent.iterdir()] == [worktree_path(hub, 2)]
    hub.git("config", "filter.f.smudge", "cat")
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert read_content(hub, worktree) == before


@types("try again")
def test_branch_that_moves_during_the_restore(hub: Hub) -> None:
    """The changes belong to another commit. Nothing is restored, and the next call succeeds."""
    worktree = spawn_session(hub)
    hub.git("branch", "later", hub.commit(hub.top, "later", "x\n"))
    change_files(hub, worktree)
    hub.run("cleanup", "-q", "s1")
    # Move the branch before the worktree is added.
    code = f'subprocess.run(["git", "branch", "-f", "{BRANCH}", "later"], check=True)'
    result = run_with_injected_code(hub, "restore", "s1", code=code, only="subprocess.Popen")
    assert result == Result(
        1, "", "error: agent-1: its branch moved during the restore\nhint: try again\n"
    )
    assert (git_dirs(hub), worktree.exists()) == ([], False)
    assert "not applied: work on another commit" in hub.run("restore", "s1").out
    follow_hint("try again")


def test_saved_files_replace_files_of_a_hook(hub: Hub) -> None:
    """post-checkout runs as in git. The other files of the hook are kept."""
    hook = hub.top / ".git" / "hooks" / "post-checkout"
    hook.write_text('#!/bin/sh\necho made >hooked\necho "$1 $2 $3" >also\necho made >>file\n')
    hook.chmod(0o755)
    worktree = spawn_session(hub)
    (worktree / "hooked").write_text("mine\n")
    (worktree / "also").unlink()
    (worktree / "file").write_text("mine\n")
    hub.run("cleanup", "-q", "s1")
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert (worktree / "hooked").read_text() == (worktree / "file").read_text() == "mine\n"
    assert (worktree / "also").read_text() == f"{'0' * 40} {hub.git('rev-parse', 'main')} 1\n"


def test_files_that_spawn_copied_are_not_restored(hub: Hub) -> None:
    hub.commit(hub.top, ".gitignore", "copied\n")
    (hub.top / ".worktreeinclude").write_text("copied\n")
    (hub.top / "copied").write_text("x\n")
    hub.git("config", "hubsession.setup", "echo set up >setup")
    worktree = spawn_session(hub)
    assert (worktree / "copied").exists()
    (worktree / "setup").unlink()
    hub.run("cleanup", "-q", "s1")
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert sorted(path.name for path in worktree.iterdir()) == [".git", ".gitignore", "file", "sub"]


def test_unchanged_copies_are_not_saved(hub: Hub) -> None:
    """`restore` copies them again. A changed copy, and another mode or link, is saved."""
    hub.commit(hub.top, ".gitignore", ".env*\n*.db*\n")
    (hub.top / ".worktreeinclude").write_text(".env*\n*.db*\n")
    for name in (".env", ".env.changed", ".env.mode", "a.db", "b.db", "b.db-wal"):
        (hub.top / name).write_text(f"{name}\n")
        (hub.top / name).chmod(0o600)
    (hub.top / ".env.link").symlink_to(".env")
    (hub.top / ".env.deleted").write_text("later\n")
    worktree = spawn_session(hub)
    (worktree / ".env.changed").write_text(".env.CHANGED\n")
    (worktree / ".env.mode").chmod(0o640)
    (worktree / ".env.own").write_text("mine\n")
    (worktree / "b.db-wal").write_text("rows\n")
    (hub.top / ".env.deleted").unlink()
    before = read_content(hub, worktree)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    saved = [".env.changed", ".env.deleted", ".env.mode", ".env.own", "b.db", "b.db-wal"]
    listed = hub.git("ls-tree", "-r", "--name-only", f"{RESCUE}^3").splitlines()
    assert listed == saved
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert read_content(hub, worktree) == before
    for name in saved[1:]:
        (worktree / name).unlink()
    (worktree / ".env.changed").write_text(".env.changed\n")
    (worktree / ".env.mode").write_text(".env.mode\n")
    (worktree / ".env.mode").chmod(0o600)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert [*hub.refs("refs/hub/rescue")] == [RESCUE]


def test_in_a_bare_repository(hub: Hub) -> None:
    bare = Hub(hub.top.parent / "bare.git", hub.environ)
    hub.git("clone", "-q", "--bare", hub.top, bare.top)
    assert bare.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1").code == 0
    assert bare.run("spawn", "-q", "s1") == Result(0)
    worktree = hub.top.parent / "bare.hub" / "s1" / "agent-1"
    change_files(bare, worktree)
    before = read_content(bare, worktree)
    assert bare.run("archive", "-q", "s1") == Result(0)
    assert bare.run("restore", "-q", "s1") == Result(0)
    assert read_content(bare, worktree) == before


def test_existing_worktree_is_not_changed(hub: Hub) -> None:
    """The path, the changes and a lock of the worktree do not matter."""
    worktree = spawn_session(hub)
    change_files(hub, worktree)
    hub.run("cleanup", "-q", "s1")
    elsewhere = hub.worktrees / "elsewhere"
    hub.git("worktree", "add", "-q", elsewhere, BRANCH)
    (elsewhere / "mine").write_text("mine\n")
    hub.git("worktree", "lock", "--reason", "hands off", elsewhere)
    before = everything(hub)
    assert hub.run("restore", "s1") == Result(0, "", "nothing to restore: all worktrees exist\n")
    assert everything(hub) == before
    hub.git("worktree", "unlock", elsewhere)
    hub.git("worktree", "remove", "-f", elsewhere)
    hub.git("switch", "-q", BRANCH)  # in the main worktree
    refused = hub.run("restore", "s1")
    assert (refused.code, refused.out) == (1, "")
    assert re.search("is already (checked out|used by worktree) at", refused.err)
    assert f" at '{hub.top}'" in refused.err
    assert git_dirs(hub) == []


def test_missing_directory(hub: Hub) -> None:
    """The index is still in the git dir, so `doctor` must save the staged changes first."""
    worktree = spawn_session(hub)
    (worktree / "added").write_text("added\n")
    hub.git("add", "added", cwd=worktree)
    subprocess.run(["rm", "-rf", worktree], check=True)
    before = everything(hub)
    assert hub.run("restore", "s1") == Result(
        1,
        "",
        f"error: agent-1: its worktree '{worktree}' is missing, but registered\n"
        "hint: git hub-session doctor --fix s1\n",
    )
    assert everything(hub) == before
    assert hub.run("doctor", "-q", "--fix", "s1").code == 0
    assert hub.run("restore", "s1") == restored("../project.hub/s1/agent-1", WORK)
    assert hub.git("show", ":added", cwd=worktree) == "added"


@pytest.mark.parametrize("step", ["aside", "delete"])
def test_restore_after_a_killed_cleanup(hub: Hub, step: str) -> None:
    """A renamed directory is renamed back. A partly deleted directory is deleted and restored."""
    worktree = spawn_session(hub)
    change_files(hub, worktree)
    before = read_content(hub, worktree)
    code = f"os.path.exists('{worktree}') or {DIE}; count = 0"
    only = "os.remove" if step == "delete" else "open"
    killed = run_with_injected_code(hub, "cleanup", "s1", code=code, only=only)
    assert killed.code == -9, killed
    assert not worktree.exists()
    journal = (hub.top / ".git" / "worktrees" / "agent-1" / "hub-session-removal").read_bytes()
    assert journal.startswith(f"{REMOVAL_LOCK}\0".encode())
    assert journal.endswith(f"\0{step}".encode())
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert read_content(hub, worktree) == before
    assert sorted(worktree.parent.iterdir()) == [worktree]


@pytest.mark.slow
def test_killed_at_any_moment(hub: Hub) -> None:
    """The next call has the result of an uninterrupted call."""
    hub.git("config", "filter.f.smudge", "tr a-z A-Z")
    hub.git("config", "filter.f.clean", "tr A-Z a-z")
    (hub.top / ".gitattributes").write_text("*.up filter=f\n")
    hub.git("add", ".gitattributes")
    hub.commit(hub.top, "one.up", "ONE\n")
    hub.session("s1", agents=2)
    worktree = hub.worktree(1)
    change_files(hub, worktree)
    (worktree / "one.up").write_text("CHANGED\n")
    (worktree / "two.up").write_text("UNTRACKED\n")
    hub.commit(hub.worktree(2), "try", "x\n")
    before = [read_content(hub, hub.worktree(number)) for number in (1, 2)]
    assert hub.run("archive", "-q", "s1") == Result(0)
    hub.worktrees.mkdir(exist_ok=True)
    template = Template(hub)
    arguments = ("restore", "-q", "s1", "--path", "../worktrees/{id}/agent-{n}")
    count = count_changes(hub, *arguments)
    assert count > 20
    expected = (hub.refs(), hub.state()["agents"], git_dirs(hub))
    for moment in kill_at_changes(hub, template, arguments, count, short=4):
        assert hub.run("list").code == 0
        next_result = hub.run(*arguments)
        while "is still being created by process" in next_result.err:  # the git of the killed call
            next_result = hub.run(*arguments)
        assert next_result == Result(0), moment
        assert (hub.refs(), hub.state()["agents"], git_dirs(hub)) == expected, moment
        assert [read_content(hub, hub.worktree(number)) for number in (1, 2)] == before, moment
        assert "locked" not in hub.git("worktree", "list", "--porcelain")
        assert sorted(path.name for path in worktree.parent.iterdir()) == ["agent-1", "agent-2"]


def kill_restore(hub: Hub) -> tuple[Path, Path]:
    """Kill `restore` and its git after the checkout. Return the worktree and its git dir."""
    worktree = spawn_session(hub)
    change_files(hub, worktree)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    killed = run_with_injected_code(hub, "restore", "s1", code=DIE, only="subprocess.Popen", nth=2)
    assert killed.code == -9, killed
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    assert (git_dir / "locked").read_text() == "git hub-session restore is not done with it\n"
    assert agent_record(hub)["status"] == "restoring"
    assert (worktree / "file").read_text() == "first\n"
    return worktree, git_dir


def assert_restored(hub: Hub, worktree: Path) -> None:
    """Compare the changes, the status and the git dir with those of a complete restore."""
    assert read_content(hub, worktree).status == ["", " D sub/other", "?? new", "MM file"]
    assert (agent_record(hub)["status"], git_dirs(hub)) == ("ready", ["agent-1"])
    assert "locked" not in hub.git("worktree", "list", "--porcelain")


@pytest.mark.parametrize("locked", [True, False])
def test_partial_worktree_is_replaced(hub: Hub, *, locked: bool) -> None:
    """Some files are incomplete. The worktree is not locked if git failed and removed the lock."""
    worktree, git_dir = kill_restore(hub)
    (worktree / "file").write_text("chang")
    (worktree / "new").write_text("")
    (git_dir / "index").unlink()
    (git_dir / "index.lock").write_text("")
    if not locked:
        (git_dir / "locked").unlink()
    assert hub.run("restore", "s1") == restored("../project.hub/s1/agent-1", WORK)
    assert_restored(hub, worktree)
    assert [*worktree.parent.iterdir()] == [worktree]


@pytest.mark.parametrize("remaining", ["index", "all"])
def test_git_dir_without_gitdir_is_removed(hub: Hub, remaining: str) -> None:
    """Git has removed `gitdir` after Ctrl-C, and its child process has then written the index."""
    worktree, git_dir = kill_restore(hub)
    shutil.rmtree(worktree)
    (git_dir / "gitdir").unlink()
    (git_dir / "locked").unlink()
    if remaining == "index":
        for name in ("HEAD", "ORIG_HEAD", "commondir"):
            (git_dir / name).unlink()
        shutil.rmtree(git_dir / "logs")
    assert hub.run("restore", "s1") == restored("../project.hub/s1/agent-1", WORK)
    assert_restored(hub, worktree)


def test_git_dir_without_gitdir_with_staged_changes(hub: Hub) -> None:
    """The index has changes of the user, so the git dir is kept."""
    worktree, git_dir = kill_restore(hub)
    hub.git("worktree", "unlock", worktree)
    (worktree / "file").write_text("staged by the user\n")
    hub.git("add", "file", cwd=worktree)
    shutil.rmtree(worktree)
    (git_dir / "gitdir").unlink()
    index = (git_dir / "index").read_bytes()
    assert hub.run("restore", "s1") == restored("../project.hub/s1/agent-1", WORK)
    assert git_dirs(hub) == ["agent-1", "agent-11"]
    assert (git_dir / "index").read_bytes() == index


def test_new_file_in_a_partial_worktree_is_kept(hub: Hub) -> None:
    """The directory is renamed, because it contains more than git wrote."""
    worktree, _ = kill_restore(hub)
    (worktree / "sub" / "other").write_text("mine\n")
    before = everything(hub)
    assert hub.run("restore", "-qn", "s1") == Result(0)
    assert everything(hub) == before
    kept = Path(f"{worktree}.cut-off-1")
    assert hub.run("restore", "-q", "s1") == Result(
        0,
        "",
        f"warning: a restore that was interrupted left files in '{worktree}': they are in '{kept}'\n",
    )
    assert (kept / "sub" / "other").read_text() == "mine\n"
    assert_restored(hub, worktree)


@types("git tag kept-{} {}")
def test_commits_in_a_partial_worktree(hub: Hub) -> None:
    """Only HEAD or its reflog has the commits. The git dir is kept until the user unlocks it."""
    worktree, git_dir = kill_restore(hub)
    hub.git("checkout", "-q", "--detach", cwd=worktree)
    commit = hub.commit(worktree, "new", "an agent's\n")
    unlock = f"git worktree unlock {worktree}"
    error = f"commits were made in '{worktree}' that no branch has"
    for is_on_branch in (False, True):
        if is_on_branch:
            hub.git("checkout", "-q", BRANCH, cwd=worktree)
        before = everything(hub)
        assert hub.run("restore", "s1") == Result(
            1, "", f"error: agent-1: {error}\nhint: {unlock}\n"
        )
        assert everything(hub) == before
    kept = worktree.rename(f"{worktree}.away")
    tag = f"git tag kept-{commit[:12]} {commit}"
    assert hub.run("restore", "s1") == Result(1, "", f"error: agent-1: {error}\nhint: {tag}\n")
    assert (git_dir / "locked").exists()
    type_hint(hub, tag)
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert_restored(hub, worktree)
    assert (kept / "file").exists()


@pytest.mark.slow
def test_killed_while_a_partial_worktree_is_removed(hub: Hub) -> None:
    """The removal is killed at each change. The next call finishes it."""
    worktree, _ = kill_restore(hub)
    moments = 0
    for only in ("os.rename", "os.remove", "os.rmdir"):
        for nth in range(1, 5):
            killed = run_with_injected_code(hub, "restore", "s1", code=DIE, only=only, nth=nth)
            if killed.code != -9:
                break
            moments += 1
            remaining = [path for path in worktree.parent.iterdir() if path != worktree]
            next_result = run_with_injected_code(
                hub, "restore", "s1", code=DIE, only="subprocess.Popen", nth=2
            )
            assert next_result.code == -9, (only, nth, next_result, remaining)
        assert hub.run("restore", "-q", "s1") == Result(0)
        assert_restored(hub, worktree)
        assert [*worktree.parent.iterdir()] == [worktree]
        hub.run("cleanup", "-q", "s1")
        run_with_injected_code(hub, "restore", "s1", code=DIE, only="subprocess.Popen", nth=2)
    assert moments > 6


def test_git_of_a_killed_restore_is_still_running(hub: Hub) -> None:
    """The worktree is not removed while this git is running."""
    worktree, _ = kill_restore(hub)
    with subprocess.Popen(
        ["sleep", "60"], env={**hub.environ, "GIT_WORK_TREE": str(worktree)}
    ) as git:
        result = hub.run("restore", "s1")
        git.kill()
    assert result == Result(
        1,
        "",
        f"error: agent-1: the worktree is still being created by process {git.pid}\n"
        "hint: try again when it has finished\n",
    )
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert_restored(hub, worktree)


def test_unlocked_partial_worktree_is_not_changed(hub: Hub) -> None:
    """The user has unlocked the worktree, as `cleanup` suggests, and has changed a file."""
    worktree, _ = kill_restore(hub)
    hub.git("worktree", "unlock", worktree)
    (worktree / "file").write_text("fir")
    hub.git("add", "file", cwd=worktree)
    before = read_content(hub, worktree)
    assert hub.run("restore", "s1").err == "nothing to restore: all worktrees exist\n"
    assert read_content(hub, worktree) == before


def test_recorded_status_is_not_trusted(hub: Hub) -> None:
    """state.json may come with a clone.

    Its status does not cause the removal of a complete worktree.
    """
    worktree = spawn_session(hub)
    foreign = hub.spawn("other", 1)
    document = hub.state()
    record = {"status": "restoring", "attempt": 1, "worktree": str(foreign)}
    document["agents"] = {"agent-1": record}
    (hub.directory() / "state.json").write_text(json.dumps(document))
    inode = (worktree / "file").stat().st_ino
    assert hub.run("restore", "-q", "s1") == Result(0)
    hub.git("worktree", "lock", worktree)
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert (worktree / "file").stat().st_ino == inode
    assert (foreign / "file").exists()
    hub.git("worktree", "unlock", worktree)
    hub.run("cleanup", "-q", "s1")
    assert hub.run("restore", "s1") == restored()


def test_interrupted_spawn_is_not_restored(hub: Hub) -> None:
    worktree = spawn_session(hub)
    lock = hub.top / ".git" / "worktrees" / "agent-1" / "locked"
    lock.write_text("initializing")
    assert hub.run("restore", "s1") == Result(
        1,
        "",
        f"error: agent-1: '{worktree}' is incomplete: 'git worktree add' was interrupted\nhint: git hub-session spawn s1\n",
    )


@pytest.mark.parametrize("command", ["cleanup", "archive"])
def test_printed_command_recreates_the_worktree(hub: Hub, command: str) -> None:
    """The line of the agent describes the removal. `restore --agent` restores exactly this state."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "3")
    hub.run("spawn", "-q", "s1")
    hub.commit(worktree_path(hub, 2), "file", "committed\n")
    (worktree_path(hub, 2) / "new").write_text("new\n")
    (worktree_path(hub, 2) / "file").write_text("changed\n")
    before = read_content(hub, worktree_path(hub, 2))
    result = hub.run(command, "s1")
    archived = [
        ", archived as refs/hub/archive/s1/agent-1/attempt-1/1",
        ", tagged as hub/archive/s1/agent-2",
        ", archived as refs/hub/archive/s1/agent-3/attempt-1/1",
    ]
    if command == "cleanup":
        archived = [", kept its branch"] * 3
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[:5] == [
        f"agent-1: removed ../project.hub/s1/agent-1{archived[0]}",
        f"agent-2: removed ../project.hub/s1/agent-2, saved uncommitted work{archived[1]}",
        "  bring it back: git hub-session restore s1 --agent agent-2",
        f"agent-3: removed ../project.hub/s1/agent-3{archived[2]}",
        "Cleaned up 3 worktrees for session s1",
    ]
    assert hub.call("sh", "-c", "git hub-session restore s1 --agent agent-2").code == 0
    assert read_content(hub, worktree_path(hub, 2)) == before
    assert hub.git("symbolic-ref", "HEAD", cwd=worktree_path(hub, 2)).endswith("/agent-2/attempt-1")


def test_both_commands_are_in_json(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    worktree = worktree_path(hub)
    (worktree / "new").write_text("new\n")
    before = read_content(hub, worktree)
    [saved] = hub.json("cleanup", "-n", "s1")["sessions"][0]["saved"]
    assert (saved["restore"], saved["git"]) == (None, None)
    [saved] = hub.json("cleanup", "s1")["sessions"][0]["saved"]
    assert saved == {
        "ref": RESCUE,
        "kind": "work",
        "path": str(worktree),
        "branch": BRANCH,
        "restore": "git hub-session restore s1 --agent agent-1",
        "git": f"git worktree add {worktree} {BRANCH} && git -C {worktree} stash apply --index {RESCUE}",
    }
    for command in (saved["git"], saved["restore"]):
        assert hub.call("sh", "-c", command).code == 0
        assert read_content(hub, worktree) == before
        hub.git("worktree", "remove", "--force", worktree)


@pytest.mark.parametrize("change", ["path", "detached", "detached at the tip", "setting", "agents"])
def test_plain_command_if_restore_would_not_recreate_the_worktree(hub: Hub, change: str) -> None:
    """`restore` would use another path or commit. The printed command is exact."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    worktree = worktree_path(hub)
    hub.commit(worktree, "file", "committed\n")
    match change:
        case "path":
            hub.git("worktree", "move", worktree, hub.top.parent / "elsewhere")
            worktree = hub.top.parent / "elsewhere"
        case "detached":
            hub.git("checkout", "-q", "--detach", "HEAD~1", cwd=worktree)
        case "detached at the tip":
            hub.git("checkout", "-q", "--detach", cwd=worktree)
        case "setting":
            hub.git("config", "hubsession.worktreePath", "../elsewhere/{n}")
        case "agents":
            hub.git("branch", "-m", BRANCH, "hub/s1/agent-7/attempt-1")
            edit_state(hub, "s1", agents={})  # or the worktree would still belong to agent-1
    (worktree / "new").write_text("new\n")
    before = read_content(hub, worktree)
    options = ["--force"] if change.startswith("detached") else []
    result = hub.run("cleanup", *options, "s1")
    assert "restore s1" not in result.out, result
    run_restore_commands(hub, result)
    assert read_content(hub, worktree) == before
