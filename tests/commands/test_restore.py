"""restore: removed worktrees come back on their branches, each with the work that was saved of it."""

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
from git_hub_session.session.archived import archived_attempts
from tests.support.cleanup import BRANCH, RESCUE, everything, look
from tests.support.hub import Hub, Result
from tests.support.interrupt import DIE, Template, count_changes, interposed, kill_at_changes

TAG = "refs/tags/hub/archive/s1/agent-1"


def place(hub: Hub, agent: int = 1, sid: str = "s1") -> Path:
    """Where a worktree goes if nothing else is said."""
    return hub.top.parent / "project.hub" / sid / f"agent-{agent}"


def spawned(hub: Hub, *, agents: int = 1) -> Path:
    """The first agent's worktree of a session that was spawned."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", str(agents))
    assert hub.run("spawn", "-q", "s1") == Result(0)
    return place(hub)


def work_in(hub: Hub, where: Path) -> None:
    """Something staged, changed and untracked; one file both staged and changed again."""
    (where / "file").write_text("staged\n")
    hub.git("add", "file", cwd=where)
    (where / "file").write_text("changed\n")
    (where / "sub" / "other").unlink()
    (where / "new").write_text("new\n")


def agent(hub: Hub, number: int = 1) -> dict[str, Any]:
    found = hub.state()["agents"][f"agent-{number}"]
    assert isinstance(found, dict)
    return found


def entries(hub: Hub) -> list[str]:
    directory = hub.top / ".git" / "worktrees"
    return sorted(os.listdir(directory)) if directory.is_dir() else []


def came_back(where: str = "../project.hub/s1/agent-1", *more: str, branch: str = BRANCH) -> Result:
    """How a restore of the first agent ends."""
    lines = "".join(f"  {line}\n" for line in more)
    return Result(0, f"Restored agent-1 in {where} on {branch}\n{lines}")


WORK = f"work from {RESCUE}"


def test_what_was_cleaned_up_comes_back(hub: Hub) -> None:
    """With its work, and only once; the session's state and refs are what they were."""
    where = spawned(hub, agents=2)
    work_in(hub, where)
    tip = hub.commit(place(hub, 2), "try", "x\n")
    before = [look(hub, place(hub, number)) for number in (1, 2)]
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    refs, state = hub.refs(), hub.state()
    hub.git("gc", "-q", "--prune=now")
    assert hub.run("restore", "s1") == Result(
        0,
        f"Restored agent-1 in ../project.hub/s1/agent-1 on {BRANCH}\n"
        f"  work from {RESCUE}\n"
        "Restored agent-2 in ../project.hub/s1/agent-2 on hub/s1/agent-2/attempt-1\n",
    )
    assert [look(hub, place(hub, number)) for number in (1, 2)] == before
    assert hub.git("symbolic-ref", "HEAD", cwd=where) == f"refs/heads/{BRANCH}"
    assert hub.git("rev-parse", "HEAD", cwd=place(hub, 2)) == tip
    assert hub.refs() == refs
    assert "locked" not in hub.git("worktree", "list", "--porcelain")
    assert agent(hub) == {
        "status": "ready",
        "attempt": 1,
        "worktree": str(where),
        "rescue": [RESCUE],
        "work": {"attempt-1": RESCUE},
        "restored": RESCUE,
    }
    assert (hub.state()["state"], hub.state()["history"]) == (state["state"], state["history"])
    everywhere = everything(hub)
    assert hub.run("restore", "s1") == Result(
        0, "", "nothing to restore: the worktrees are there\n"
    )
    assert everything(hub) == everywhere


def test_an_archived_session(hub: Hub) -> None:
    """The branch is made again from its tag; the tag stays, and so does the state. Then all that once more."""
    where = spawned(hub)
    tip = hub.commit(where, "try", "x\n")
    work_in(hub, where)
    before = look(hub, where)
    for _ in range(2):
        assert hub.run("archive", "-q", "s1") == Result(0)
        hub.git("reflog", "expire", "--expire=now", "--all")
        hub.git("gc", "-q", "--prune=now")
        assert [*hub.refs("refs/heads/hub")] == []
        assert hub.run("restore", "s1", "--agent", "agent-1") == came_back(
            "../project.hub/s1/agent-1", "branch from tag hub/archive/s1/agent-1", WORK
        )
        assert look(hub, where) == before
        assert hub.refs("refs/heads/hub") == {f"refs/heads/{BRANCH}": tip}
        assert hub.refs("refs/tags") == {TAG: tip}
        assert [*hub.refs("refs/hub")] == [RESCUE]
        assert hub.state()["state"] == "archived"


def test_work_that_was_given_up_stays_away(hub: Hub) -> None:
    """Brought back and thrown away: the next cleanup finds nothing, and the next restore brings nothing."""
    where = spawned(hub)
    work_in(hub, where)
    for back in ("restore", "by hand"):
        printed = hub.run("cleanup", "s1").out
        if back == "restore":
            assert hub.run("restore", "-q", "s1") == Result(0)
        else:
            line = printed.split("bring it back: ")[1].splitlines()[0]
            assert hub.call("sh", "-c", line).code == 0
        hub.git("reset", "-q", "--hard", cwd=where)
        (where / "new").unlink()
        assert hub.run("cleanup", "-q", "s1") == Result(0)
        assert agent(hub)["work"] == {"attempt-1": None}
        assert hub.run("restore", "s1") == came_back()
        assert look(hub, where).status == [""]
        work_in(hub, where)
    assert [*hub.refs("refs/hub")] == [RESCUE]


def test_the_newest_work_comes_back_and_not_what_it_replaced(hub: Hub) -> None:
    where = spawned(hub)
    work_in(hub, where)
    first = look(hub, where)
    hub.run("cleanup", "-q", "s1")
    hub.run("restore", "-q", "s1")
    (where / "new").write_text("newer\n")
    second = look(hub, where)
    hub.run("cleanup", "-q", "s1")
    assert hub.run("restore", "s1") == came_back(
        "../project.hub/s1/agent-1", f"work from {RESCUE[:-1]}2"
    )
    assert look(hub, where) == second
    # What it was at first once more: it is saved already, under the first number.
    (where / "new").write_text("new\n")
    hub.run("cleanup", "-q", "s1")
    assert hub.run("restore", "s1") == came_back("../project.hub/s1/agent-1", WORK)
    assert look(hub, where) == first


def test_discarded_work_stays_away(hub: Hub) -> None:
    where = spawned(hub)
    work_in(hub, where)
    hub.run("cleanup", "-q", "s1")
    hub.run("restore", "-q", "s1")
    (where / "new").write_text("worse\n")
    assert hub.run("cleanup", "-q", "--discard", "s1") == Result(0)
    assert hub.run("restore", "s1") == came_back()


def test_where_the_session_does_not_say_the_newest_that_fits_comes_back(hub: Hub) -> None:
    """As with what was cleaned up before that was written down."""
    where = spawned(hub)
    hub.git("branch", "old", BRANCH)
    work_in(hub, where)
    before = look(hub, where)
    hub.run("cleanup", "-q", "s1")
    hub.run("restore", "-q", "s1")
    hub.git("stash", "-q", "-u", cwd=where)
    hub.commit(where, "try", "x\n")
    (where / "new").write_text("later\n")
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
        says = isinstance(value, dict) and value
        newest = f"not applied: work on another commit, git -C {where} stash apply --index {RESCUE[:-1]}2"
        assert hub.run("restore", "-n", "s1") == Result(
            0,
            f"Would restore agent-1 in ../project.hub/s1/agent-1 on {BRANCH}\n"
            + ("" if says else f"  {WORK}\n  {newest}\n"),
        )
    document["agents"] = {}
    (hub.directory() / "state.json").write_text(json.dumps(document))
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert look(hub, where) == before


def test_work_on_another_commit_is_named(hub: Hub) -> None:
    """The branch moved since: the line that applies it is there, and works."""
    where = spawned(hub)
    (where / "new").write_text("new\n")
    hub.run("cleanup", "-q", "s1")
    later = hub.commit(hub.top, "later", "x\n")
    hub.git("branch", "-f", BRANCH, later)
    line = f"git -C {where} stash apply --index {RESCUE}"
    assert hub.run("restore", "s1") == came_back(
        "../project.hub/s1/agent-1", f"not applied: work on another commit, {line}"
    )
    assert look(hub, where).status == [""]
    assert hub.call("sh", "-c", line).code == 0
    assert look(hub, where).status == ["", "?? new"]


def test_saved_commits_are_named_unless_the_branch_has_them(hub: Hub) -> None:
    """The worktree was detached: it comes back on its branch."""
    where = spawned(hub)
    hub.git("switch", "-q", "--detach", cwd=where)
    lost = hub.commit(where, "try", "x\n")
    hub.git("switch", "-q", BRANCH.removeprefix("refs/heads/"), cwd=where)
    hub.run("cleanup", "-q", "s1")
    assert hub.refs("refs/hub") == {RESCUE: lost}
    assert hub.run("restore", "s1") == came_back(
        "../project.hub/s1/agent-1", f"not applied: commits, git branch <name> {RESCUE}"
    )
    assert hub.git("symbolic-ref", "--short", "HEAD", cwd=where) == BRANCH
    hub.git("merge", "-q", "--ff-only", lost, cwd=where)
    hub.run("cleanup", "-q", "s1")
    assert hub.run("restore", "s1") == came_back()


def test_a_merge_that_was_saved_is_no_stash(hub: Hub) -> None:
    """A commit with two parents, of which the second stands on the first."""
    where = spawned(hub)
    hub.git("switch", "-q", "--detach", cwd=where)
    hub.commit(where, "try", "x\n")
    hub.git("switch", "-q", "--detach", "main", cwd=where)
    hub.git("merge", "-q", "--no-ff", "-m", "index on main", "HEAD@{1}", cwd=where)
    hub.git("switch", "-q", BRANCH, cwd=where)
    hub.run("cleanup", "-q", "s1")
    assert len(hub.git("log", "-1", "--format=%P", RESCUE).split()) == 2
    assert hub.run("restore", "s1") == came_back(
        "../project.hub/s1/agent-1", f"not applied: commits, git branch <name> {RESCUE}"
    )
    assert look(hub, where).status == [""]


def test_the_last_attempt_comes_back(hub: Hub) -> None:
    """From its branch, or from whichever tag it has."""
    where = spawned(hub)
    hub.commit(where, "one", "x\n")
    hub.run("spawn", "-q", "s1", "--retry", "1")
    second = place(hub).with_name("agent-1-2")
    two = hub.commit(second, "two", "x\n")
    (second / "new").write_text("new\n")
    back = came_back(
        "../project.hub/s1/agent-1-2",
        "work from refs/hub/rescue/s1/agent-1/attempt-2/1",
        branch="hub/s1/agent-1/attempt-2",
    )
    hub.run("cleanup", "-q", "s1")
    assert hub.run("restore", "s1") == back
    assert not where.exists()
    hub.run("archive", "-q", "s1")
    assert [*hub.refs("refs/tags")] == [TAG, f"{TAG}-attempt-2"]
    lines = back.out.splitlines(keepends=True)
    lines.insert(1, "  branch from tag hub/archive/s1/agent-1-attempt-2\n")
    assert hub.run("restore", "s1") == Result(0, "".join(lines))
    assert hub.git("rev-parse", "HEAD", cwd=second) == two


def test_work_that_went_on_is_the_newer_tag(hub: Hub) -> None:
    """Archived, restored, committed to and archived again: the short tag stays what it was."""
    where = spawned(hub)
    hub.run("archive", "-q", "s1")
    hub.run("restore", "-q", "s1")
    tip = hub.commit(where, "more", "x\n")
    hub.run("archive", "-q", "s1")
    assert hub.run("restore", "s1") == came_back(
        "../project.hub/s1/agent-1", "branch from tag hub/archive/s1/agent-1-attempt-1"
    )
    assert hub.git("rev-parse", "HEAD", cwd=where) == tip


@pytest.mark.parametrize(
    ("tags", "last", "found"),
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
def test_what_a_tag_is_the_attempt_of(tags: str, last: int, found: dict[int, str]) -> None:
    sid = SessionId("s1")
    refs = [f"refs/tags/hub/archive/s1/{tag}" for tag in tags.split()]
    assert archived_attempts(sid, refs, lambda _agent: last) == {
        AgentBranch(sid, 1, attempt): f"refs/tags/hub/archive/s1/{tag}"
        for attempt, tag in found.items()
    }


def test_a_path_that_is_taken(hub: Hub) -> None:
    """It is refused, and the other agent comes all the same; a path of one's own, or an empty directory, will do."""
    where = spawned(hub, agents=2)
    work_in(hub, where)
    hub.run("cleanup", "-q", "s1")
    where.mkdir()
    (where / "mine").write_text("mine\n")
    assert hub.run("restore", "s1") == Result(
        1,
        "Restored agent-2 in ../project.hub/s1/agent-2 on hub/s1/agent-2/attempt-1\n",
        f"error: agent-1: '{where}' exists already\nhint: choose another --path\n",
    )
    assert (entries(hub), sorted(where.iterdir())) == (["agent-2"], [where / "mine"])
    assert hub.run("restore", "s1", "--path", "../else-{n}") == came_back("../else-1", WORK)
    hub.run("cleanup", "-q", "s1")
    (where / "mine").unlink()
    assert hub.run("restore", "s1", "--agent", "1") == came_back("../project.hub/s1/agent-1", WORK)


def test_a_link_to_an_empty_directory_is_no_free_place(hub: Hub) -> None:
    """As for spawn: the worktree would lie elsewhere, and nobody would find it by its path."""
    where = spawned(hub)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    elsewhere = hub.top.parent / "elsewhere"
    elsewhere.mkdir()
    where.parent.mkdir(exist_ok=True)
    where.symlink_to(elsewhere)
    assert hub.run("restore", "s1") == Result(
        1, "", f"error: agent-1: '{where}' exists already\nhint: choose another --path\n"
    )
    assert (where.is_symlink(), [*elsewhere.iterdir()], entries(hub)) == (True, [], [])


def test_the_formats_and_a_rehearsal(hub: Hub) -> None:
    where = spawned(hub, agents=3)
    work_in(hub, where)
    hub.run("archive", "-q", "s1")
    hub.run("restore", "-q", "s1", "--agent", "2")
    place(hub, 3).mkdir()
    (place(hub, 3) / "mine").write_text("mine\n")
    before = everything(hub)
    one, two, three = (
        {"agent": number, "attempt": 1, "branch": f"hub/s1/agent-{number}/attempt-1"}
        for number in (1, 2, 3)
    )
    document = {
        "session_id": "s1",
        "dry_run": True,
        "restored": [
            {
                **one,
                "path": str(where),
                "tag": "hub/archive/s1/agent-1",
                "work": RESCUE,
                "unapplied": [],
            }
        ],
        "present": [{**two, "path": str(place(hub, 2))}],
        "failed": [
            {
                **three,
                "reason": f"'{place(hub, 3)}' exists already",
                "hint": "choose another --path",
            }
        ],
    }
    assert hub.json("restore", "-n", "s1", code=1) == document
    assert hub.run("restore", "-n", "s1", "--agent", "1") == Result(
        0,
        f"Would restore agent-1 in ../project.hub/s1/agent-1 on {BRANCH}\n"
        f"  branch from tag hub/archive/s1/agent-1\n  {WORK}\n",
    )
    assert everything(hub) == before
    assert hub.run("restore", "--format=porcelain", "s1", "--agent", "1") == Result(
        0,
        f"session s1\noutcome restored\nagent 1\nattempt 1\nbranch {BRANCH}\npath {where}\n"
        f"tag hub/archive/s1/agent-1\nwork {RESCUE}\n\n",
    )


def test_what_cannot_be_asked_for(hub: Hub) -> None:
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
    assert hub.run("restore", "s1", "--agent", "3").code == 129
    assert hub.run("restore", "s2").code == 128
    assert hub.run("restore").code == 129
    hub.git("branch", "hub/s1/agent-2/attempt-1")
    assert hub.run("restore", "s1", "--path", "../same").code == 128
    hub.git("branch", "-D", "hub/s1/agent-2/attempt-1")
    after = everything(hub)
    assert {path for path in before if after.get(path) != before[path]} == set()


def test_a_hook_that_refuses(hub: Hub) -> None:
    """The user's own reference-transaction hook: its words are shown, nothing is left."""
    where = spawned(hub)
    work_in(hub, where)
    hub.run("archive", "-q", "s1")
    hook = hub.top / ".git" / "hooks" / "reference-transaction"
    hook.write_text('#!/bin/sh\necho "not today" >&2\ntest "$1" != prepared\n')
    hook.chmod(0o755)
    refs, agents = hub.refs(), hub.state()["agents"]
    result = hub.run("restore", "s1")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: agent-1: not today; ")
    assert (hub.refs(), hub.state()["agents"], entries(hub)) == (refs, agents, [])
    assert not where.exists()
    hook.unlink()
    assert hub.run("restore", "-q", "s1") == Result(0)


def test_a_filter_that_fails(hub: Hub) -> None:
    """For one agent of two: nothing of it is left, the other is whole; once it works the same call goes on."""
    hub.git("config", "filter.f.smudge", "cat")
    hub.git("config", "filter.f.clean", "cat")
    hub.git("config", "filter.f.required", "true")
    where = spawned(hub, agents=2)
    (where / ".gitattributes").write_text("*.big filter=f\n")
    hub.git("add", ".", cwd=where)
    hub.commit(where, "a.big", "big\n")
    (where / "new").write_text("new\n")
    before = look(hub, where)
    hub.run("archive", "-q", "s1")
    refs = hub.refs()
    hub.git("config", "filter.f.smudge", "echo no server >&2; false")
    result = hub.run("restore", "s1")
    assert (result.code, result.out.splitlines()[0][:17]) == (1, "Restored agent-2 ")
    assert "no server" in result.err
    assert [*hub.refs().keys() - refs.keys()] == ["refs/heads/hub/s1/agent-2/attempt-1"]
    assert entries(hub) == ["agent-2"]
    assert [*place(hub).parent.iterdir()] == [place(hub, 2)]
    hub.git("config", "filter.f.smudge", "cat")
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert look(hub, where) == before


def test_a_branch_that_moves_meanwhile(hub: Hub) -> None:
    """Its work was made on another commit: nothing is put there, and it is done again."""
    where = spawned(hub)
    hub.git("branch", "later", hub.commit(hub.top, "later", "x\n"))
    work_in(hub, where)
    hub.run("cleanup", "-q", "s1")
    # Before the worktree is added.
    code = f'subprocess.run(["git", "branch", "-f", "{BRANCH}", "later"], check=True)'
    result = interposed(hub, "restore", "s1", code=code, only="subprocess.Popen")
    assert result == Result(1, "", "error: agent-1: its branch moved meanwhile\nhint: try again\n")
    assert (entries(hub), where.exists()) == ([], False)
    assert "not applied: work on another commit" in hub.run("restore", "s1").out


def test_what_a_hook_makes_gives_way_to_what_was_saved(hub: Hub) -> None:
    """post-checkout runs as git runs it; a file of its own that nothing was saved of stays."""
    hook = hub.top / ".git" / "hooks" / "post-checkout"
    hook.write_text('#!/bin/sh\necho made >hooked\necho "$1 $2 $3" >also\necho made >>file\n')
    hook.chmod(0o755)
    where = spawned(hub)
    (where / "hooked").write_text("mine\n")
    (where / "also").unlink()
    (where / "file").write_text("mine\n")
    hub.run("cleanup", "-q", "s1")
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert (where / "hooked").read_text() == (where / "file").read_text() == "mine\n"
    assert (where / "also").read_text() == f"{'0' * 40} {hub.git('rev-parse', 'main')} 1\n"


def test_files_that_spawn_copied_do_not_come_again(hub: Hub) -> None:
    hub.commit(hub.top, ".gitignore", "copied\n")
    (hub.top / ".worktreeinclude").write_text("copied\n")
    (hub.top / "copied").write_text("x\n")
    hub.git("config", "hubsession.setup", "echo set up >setup")
    where = spawned(hub)
    assert (where / "copied").exists()
    (where / "setup").unlink()
    hub.run("cleanup", "-q", "s1")
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert sorted(path.name for path in where.iterdir()) == [".git", ".gitignore", "file", "sub"]


def test_in_a_bare_repository(hub: Hub) -> None:
    bare = Hub(hub.top.parent / "bare.git", hub.environ)
    hub.git("clone", "-q", "--bare", hub.top, bare.top)
    assert bare.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1").code == 0
    assert bare.run("spawn", "-q", "s1") == Result(0)
    where = hub.top.parent / "bare.hub" / "s1" / "agent-1"
    work_in(bare, where)
    before = look(bare, where)
    assert bare.run("archive", "-q", "s1") == Result(0)
    assert bare.run("restore", "-q", "s1") == Result(0)
    assert look(bare, where) == before


def test_a_worktree_that_is_there_is_left_alone(hub: Hub) -> None:
    """Wherever it is, whatever it is at, locked by its user or not."""
    where = spawned(hub)
    work_in(hub, where)
    hub.run("cleanup", "-q", "s1")
    elsewhere = hub.worktrees / "elsewhere"
    hub.git("worktree", "add", "-q", elsewhere, BRANCH)
    (elsewhere / "mine").write_text("mine\n")
    hub.git("worktree", "lock", "--reason", "hands off", elsewhere)
    before = everything(hub)
    assert hub.run("restore", "s1") == Result(
        0, "", "nothing to restore: the worktrees are there\n"
    )
    assert everything(hub) == before
    hub.git("worktree", "unlock", elsewhere)
    hub.git("worktree", "remove", "-f", elsewhere)
    hub.git("switch", "-q", BRANCH)  # in the main worktree
    refused = hub.run("restore", "s1")
    assert (refused.code, refused.out) == (1, "")
    assert re.search("is already (checked out|used by worktree) at", refused.err)
    assert f" at '{hub.top}'" in refused.err
    assert entries(hub) == []


def test_a_directory_that_is_missing(hub: Hub) -> None:
    """What was staged in it is in its entry still: cleanup saves that first."""
    where = spawned(hub)
    (where / "added").write_text("added\n")
    hub.git("add", "added", cwd=where)
    subprocess.run(["rm", "-rf", where], check=True)
    before = everything(hub)
    assert hub.run("restore", "s1") == Result(
        1,
        "",
        f"error: agent-1: its worktree '{where}' is missing, but registered\n"
        "hint: git hub-session cleanup s1\n",
    )
    assert everything(hub) == before
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert hub.run("restore", "s1") == came_back("../project.hub/s1/agent-1", WORK)
    assert hub.git("show", ":added", cwd=where) == "added"


@pytest.mark.parametrize("step", ["aside", "delete"])
def test_after_a_cleanup_that_was_killed(hub: Hub, step: str) -> None:
    """What it had moved aside is put back; what it was deleting is deleted, and comes back."""
    where = spawned(hub)
    work_in(hub, where)
    before = look(hub, where)
    code = f"os.path.exists('{where}') or {DIE}; count = 0"
    only = "os.remove" if step == "delete" else "open"
    died = interposed(hub, "cleanup", "s1", code=code, only=only)
    assert died.code == -9, died
    assert not where.exists()
    note = (hub.top / ".git" / "worktrees" / "agent-1" / "hub-session-removal").read_bytes()
    assert note.startswith(f"{REMOVAL_LOCK}\0".encode())
    assert note.endswith(f"\0{step}".encode())
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert look(hub, where) == before
    assert sorted(where.parent.iterdir()) == [where]


def test_killed_at_any_moment(hub: Hub) -> None:
    """Run again, it ends as if it had not been killed."""
    hub.git("config", "filter.f.smudge", "tr a-z A-Z")
    hub.git("config", "filter.f.clean", "tr A-Z a-z")
    (hub.top / ".gitattributes").write_text("*.up filter=f\n")
    hub.git("add", ".gitattributes")
    hub.commit(hub.top, "one.up", "ONE\n")
    hub.session("s1", agents=2)
    where = hub.worktree(1)
    work_in(hub, where)
    (where / "one.up").write_text("CHANGED\n")
    (where / "two.up").write_text("UNTRACKED\n")
    hub.commit(hub.worktree(2), "try", "x\n")
    before = [look(hub, hub.worktree(number)) for number in (1, 2)]
    assert hub.run("archive", "-q", "s1") == Result(0)
    hub.worktrees.mkdir(exist_ok=True)
    template = Template(hub)
    words = ("restore", "-q", "s1", "--path", "../worktrees/{id}/agent-{n}")
    count = count_changes(hub, *words)
    assert count > 20
    wanted = (hub.refs(), hub.state()["agents"], entries(hub))
    for moment in kill_at_changes(hub, template, words, count, short=4):
        assert hub.run("list").code == 0
        again = hub.run(*words)
        while "is still being made by process" in again.err:  # the git of the killed one
            again = hub.run(*words)
        assert again == Result(0), moment
        assert (hub.refs(), hub.state()["agents"], entries(hub)) == wanted, moment
        assert [look(hub, hub.worktree(number)) for number in (1, 2)] == before, moment
        assert "locked" not in hub.git("worktree", "list", "--porcelain")
        assert sorted(path.name for path in where.parent.iterdir()) == ["agent-1", "agent-2"]


def half_made(hub: Hub) -> tuple[Path, Path]:
    """A restore that was killed together with its git, once that had written the committed files; the worktree, its entry."""
    where = spawned(hub)
    work_in(hub, where)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    died = interposed(hub, "restore", "s1", code=DIE, only="subprocess.Popen", nth=2)
    assert died.code == -9, died
    entry = hub.top / ".git" / "worktrees" / "agent-1"
    assert (entry / "locked").read_text() == "git hub-session restore is not done with it\n"
    assert agent(hub)["status"] == "restoring"
    assert (where / "file").read_text() == "first\n"
    return where, entry


def is_whole(hub: Hub, where: Path) -> None:
    assert look(hub, where).status == ["", " D sub/other", "?? new", "MM file"]
    assert (agent(hub)["status"], entries(hub)) == ("ready", ["agent-1"])
    assert "locked" not in hub.git("worktree", "list", "--porcelain")


@pytest.mark.parametrize("locked", [True, False])
def test_what_git_left_half_made(hub: Hub, *, locked: bool) -> None:
    """Files of the commit, of the work, and the start of one; git takes its lock away where it fails."""
    where, entry = half_made(hub)
    (where / "file").write_text("chang")
    (where / "new").write_text("")
    (entry / "index").unlink()
    (entry / "index.lock").write_text("")
    if not locked:
        (entry / "locked").unlink()
    assert hub.run("restore", "s1") == came_back("../project.hub/s1/agent-1", WORK)
    is_whole(hub, where)
    assert [*where.parent.iterdir()] == [where]


@pytest.mark.parametrize("holds", ["index", "all"])
def test_an_entry_whose_link_git_has_removed(hub: Hub, holds: str) -> None:
    """^C reaches git and its child: git removes `gitdir`, then the child writes the index."""
    where, entry = half_made(hub)
    shutil.rmtree(where)
    (entry / "gitdir").unlink()
    (entry / "locked").unlink()
    if holds == "index":
        for name in ("HEAD", "ORIG_HEAD", "commondir"):
            (entry / name).unlink()
        shutil.rmtree(entry / "logs")
    assert hub.run("restore", "s1") == came_back("../project.hub/s1/agent-1", WORK)
    is_whole(hub, where)


def test_an_entry_without_its_link_keeps_what_somebody_staged(hub: Hub) -> None:
    """An index of other content, or a commit that no branch has, is somebody's work."""
    where, entry = half_made(hub)
    hub.git("worktree", "unlock", where)
    (where / "file").write_text("staged by somebody\n")
    hub.git("add", "file", cwd=where)
    shutil.rmtree(where)
    (entry / "gitdir").unlink()
    index = (entry / "index").read_bytes()
    assert hub.run("restore", "s1") == came_back("../project.hub/s1/agent-1", WORK)
    assert entries(hub) == ["agent-1", "agent-11"]
    assert (entry / "index").read_bytes() == index


def test_somebodys_file_in_a_half_made_worktree(hub: Hub) -> None:
    """It is not thrown away with what git had written; a rehearsal says what would be done."""
    where, _ = half_made(hub)
    (where / "sub" / "other").write_text("mine\n")
    before = everything(hub)
    assert hub.run("restore", "-qn", "s1") == Result(0)
    assert everything(hub) == before
    aside = Path(f"{where}.cut-off-1")
    assert hub.run("restore", "-q", "s1") == Result(
        0,
        "",
        f"warning: a restore that was cut off left files in '{where}': they are in '{aside}'\n",
    )
    assert (aside / "sub" / "other").read_text() == "mine\n"
    is_whole(hub, where)


def test_commits_in_a_half_made_worktree(hub: Hub) -> None:
    """Those that only its HEAD or its HEAD's reflog leads to would go with its entry: it stays, and is somebody's to unlock."""
    where, entry = half_made(hub)
    hub.git("checkout", "-q", "--detach", cwd=where)
    commit = hub.commit(where, "new", "an agent's\n")
    unlock = f"git worktree unlock {where}"
    said = f"commits were made in '{where}' that no branch has"
    for back in (False, True):
        if back:
            hub.git("checkout", "-q", BRANCH, cwd=where)
        before = everything(hub)
        assert hub.run("restore", "s1") == Result(
            1, "", f"error: agent-1: {said}\nhint: {unlock}\n"
        )
        assert everything(hub) == before
    kept = where.rename(f"{where}.away")
    tag = f"git tag kept-{commit[:12]} {commit}"
    assert hub.run("restore", "s1") == Result(1, "", f"error: agent-1: {said}\nhint: {tag}\n")
    assert (entry / "locked").exists()
    assert hub.call("sh", "-c", tag).code == 0
    assert hub.run("restore", "-q", "s1") == Result(0)
    is_whole(hub, where)
    assert (kept / "file").exists()


def test_killed_while_it_takes_away_what_was_half_made(hub: Hub) -> None:
    """At each moment of that."""
    where, _ = half_made(hub)
    moments = 0
    for only in ("os.rename", "os.remove", "os.rmdir"):
        for nth in range(1, 5):
            died = interposed(hub, "restore", "s1", code=DIE, only=only, nth=nth)
            if died.code != -9:
                break
            moments += 1
            left = [path for path in where.parent.iterdir() if path != where]
            again = interposed(hub, "restore", "s1", code=DIE, only="subprocess.Popen", nth=2)
            assert again.code == -9, (only, nth, again, left)
        assert hub.run("restore", "-q", "s1") == Result(0)
        is_whole(hub, where)
        assert [*where.parent.iterdir()] == [where]
        hub.run("cleanup", "-q", "s1")
        interposed(hub, "restore", "s1", code=DIE, only="subprocess.Popen", nth=2)
    assert moments > 6


def test_a_git_that_still_works_there(hub: Hub) -> None:
    """The killed restore's git may outlive it: its worktree is not taken from under it."""
    where, _ = half_made(hub)
    with subprocess.Popen(["sleep", "60"], env={**hub.environ, "GIT_WORK_TREE": str(where)}) as git:
        result = hub.run("restore", "s1")
        git.kill()
    assert result == Result(
        1,
        "",
        f"error: agent-1: it is still being made by process {git.pid}\n"
        "hint: try again when it has finished\n",
    )
    assert hub.run("restore", "-q", "s1") == Result(0)
    is_whole(hub, where)


def test_who_took_a_half_made_worktree_over(hub: Hub) -> None:
    """Unlocked, as cleanup hints, and worked in: it is there, and left alone."""
    where, _ = half_made(hub)
    hub.git("worktree", "unlock", where)
    (where / "file").write_text("fir")
    hub.git("add", "file", cwd=where)
    before = look(hub, where)
    assert hub.run("restore", "s1").err == "nothing to restore: the worktrees are there\n"
    assert look(hub, where) == before


def test_a_mark_that_the_session_came_with(hub: Hub) -> None:
    """state.json may be anybody's: a worktree that was not half-made is not taken away for what it says."""
    where = spawned(hub)
    foreign = hub.spawn("other", 1)
    document = hub.state()
    mark = {"status": "restoring", "attempt": 1, "worktree": str(foreign)}
    document["agents"] = {"agent-1": mark}
    (hub.directory() / "state.json").write_text(json.dumps(document))
    inode = (where / "file").stat().st_ino
    assert hub.run("restore", "-q", "s1") == Result(0)
    hub.git("worktree", "lock", where)
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert (where / "file").stat().st_ino == inode
    assert (foreign / "file").exists()
    hub.git("worktree", "unlock", where)
    hub.run("cleanup", "-q", "s1")
    assert hub.run("restore", "s1") == came_back()


def test_a_spawn_that_was_cut_off_is_spawns_to_finish(hub: Hub) -> None:
    where = spawned(hub)
    lock = hub.top / ".git" / "worktrees" / "agent-1" / "locked"
    lock.write_text("initializing")
    assert hub.run("restore", "s1") == Result(
        1,
        "",
        f"error: agent-1: '{where}' is half-made by git\nhint: git hub-session spawn s1\n",
    )
