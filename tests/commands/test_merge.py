"""`merge`: merge the winner into the base branch and change nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pexpect
import pytest

from tests.support.cleanup import everything
from tests.support.evaluated_sessions import (
    agent_worktree,
    create_evaluated_session,
    git_status,
    protected_state,
    write_hook,
)
from tests.support.hints import type_hint, types
from tests.support.hub import Hub, Result, wait_for


def preview_text(hub: Hub, agent: int = 2) -> str:
    """Return the text that `merge` prints before the question."""
    return (
        f"Merging hub/s1/agent-{agent}/attempt-1 into main\n  Rank: 1\n"
        "  file | 1 +\n  new  | 1 +\n  2 files changed, 2 insertions(+)\n"
        "  create mode 100644 new\n"
    )


def test_merge_into_the_checked_out_branch(hub: Hub) -> None:
    base = hub.git("rev-parse", "main")
    create_evaluated_session(hub)
    first, second = (hub.git("rev-parse", f"hub/s1/agent-{agent}/attempt-1") for agent in (1, 2))
    (hub.top / "mine").write_text("not committed\n")
    (hub.top / "sub" / "other").write_text("changed here\n")
    result = hub.run("merge", "--yes", "s1")
    merged = hub.git("rev-parse", "main")
    assert result == Result(
        0,
        preview_text(hub) + f"Merged agent-2 into main: {merged[:12]}\n"
        "agent-1: removed ../project.hub/s1/agent-1, tagged as hub/archive/s1/agent-1\n"
        "agent-2: removed ../project.hub/s1/agent-2, kept its branch\n"
        "Cleaned up 2 worktrees for session s1\n"
        "Session s1: evaluating → merged\n",
    )
    assert hub.refs() == {
        "refs/heads/main": merged,
        "refs/heads/hub/s1/agent-2/attempt-1": second,
        "refs/tags/hub/archive/s1/agent-1": first,
        "refs/hub/archive/s1/agent-1/attempt-1/1": first,
    }
    assert hub.git("show", "-s", "--format=%P%n%an <%ae>%n%B", merged) == (
        f"{base} {second}\nAda <ada@example.com>\nhub: merge agent-2 from session s1\n\n"
        "Task: Make it fast\nWinner: agent-2\nSession: s1\n\n"
        "Hub-Session: s1\nHub-Agent: agent-2\n"
    )
    assert git_status(hub) == "## main\n M sub/other\n?? mine"
    assert (hub.top / "file").read_text() == "first\nby agent 2\n"
    assert hub.git("reflog", "-1", "--format=%gs", "main") == "hub-session merge: agent-2 of s1"
    state = hub.state()
    assert (state["state"], state["history"][-1]["verb"], state["history"][-1]["reason"]) == (
        *("merged", "merge", "agent-2"),
    )
    assert state["merge"] == {
        "agent": 2,
        "attempt": 1,
        "tip": second,
        "into": "main",
        "commit": merged,
        "base": base,
        "kind": "merge",
    }


def test_merge_is_posted_once(hub: Hub) -> None:
    """A second call finishes the session, and does not post again."""
    create_evaluated_session(hub)
    hub.git("worktree", "lock", agent_worktree(hub, 1))
    assert hub.run("merge", "-q", "--yes", "s1").code == 1
    hub.git("worktree", "unlock", agent_worktree(hub, 1))
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    (post,) = hub.json("board", "read", "results")["posts"]
    assert (post["author"], post["session"]) == ("coordinator", "s1")
    assert post["text"] == (
        "## Merge Summary\n\n- **Session**: s1\n- **Winner**: agent-2\n- **Merged into**: main\n"
        f"- **Commit**: {hub.git('rev-parse', 'main')}\n- **Archived**: none\n"
        "- **Worktrees cleaned**: 1"
    )


def test_commits_of_the_base_branch_are_kept(hub: Hub) -> None:
    """Commits that were added to the base branch after the spawn are kept."""
    create_evaluated_session(hub)
    later = hub.commit(hub.top, "later", "x\n")
    result = hub.run("merge", "-q", "--yes", "--unmeasured", "s1")
    assert result == Result(0)
    assert hub.git("rev-parse", "main^1") == later
    assert sorted(path.name for path in hub.top.iterdir() if path.name[0] != ".") == [
        *("file", "later", "new", "sub"),
    ]


def test_base_branch_in_a_linked_worktree(hub: Hub) -> None:
    """main is checked out in another worktree. No worktree switches its branch."""
    create_evaluated_session(hub)
    other = hub.top.parent / "elsewhere"
    hub.git("switch", "-q", "-c", "topic")
    hub.git("worktree", "add", "-q", other, "main")
    head, files = git_status(hub), (hub.top / "file").read_text()
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert (git_status(hub), (hub.top / "file").read_text()) == (head, files)
    assert (git_status(hub, other), (other / "new").read_text()) == ("## main", "2\n")
    assert hub.git("rev-parse", "main^2") == hub.git("rev-parse", "hub/s1/agent-2/attempt-1")


def test_base_branch_that_is_not_checked_out(hub: Hub) -> None:
    create_evaluated_session(hub)
    hub.git("switch", "-q", "-c", "topic")
    before = git_status(hub)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert git_status(hub) == before
    assert hub.git("show", "main:new") == "2"
    assert not (hub.top / "new").exists()


def test_bare_repository(hub: Hub) -> None:
    hub.git("clone", "-q", "--bare", hub.top, hub.top.parent / "bare")
    bare = Hub(hub.top.parent / "bare", hub.environ)
    bare.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    bare.run("spawn", "-q", "s1")
    tip = bare.commit(hub.top.parent / "bare.hub" / "s1" / "agent-1", "new", "x\n")
    assert bare.run("eval", "-q", "--ranking", "1", "s1") == Result(0)
    assert bare.run("merge", "-q", "--yes", "s1") == Result(0)
    assert bare.git("rev-parse", "main^2") == tip
    assert bare.git("worktree", "list").count("\n") == 0


@pytest.mark.parametrize("kind", ["modified", "staged", "untracked", "ignored", "deleted"])
def test_local_changes_that_the_merge_would_overwrite(hub: Hub, kind: str) -> None:
    """The message names the file, and nothing is changed. The dry run prints the same."""
    create_evaluated_session(hub)
    name = "new" if kind in ("untracked", "ignored") else "file"
    if kind == "deleted":
        hub.git("rm", "-q", "file")
    else:
        (hub.top / name).write_text("mine\n")
    if kind == "staged":
        hub.git("add", name)
    if kind == "ignored":
        (hub.top / ".git" / "info" / "exclude").write_text("new\n")
    before = protected_state(hub)
    result = hub.run("merge", "--yes", "s1")
    assert (result.code, result.out) == (1, preview_text(hub))
    problem = "'new' is not tracked" if kind == "untracked" else "'file' has local changes"
    message = f"git cannot update '{hub.top}', where 'main' is checked out: {problem}"
    hint = f"commit the changes there\nhint: git -C {hub.top} stash"
    if kind == "untracked":
        hint = f"mv {hub.top}/new {hub.top}/new.other"
    if kind == "ignored":
        message, hint = f"the merge would overwrite ignored files in '{hub.top}'", "new"
    assert result.err == f"error: {message}\nhint: {hint}\n"
    assert hub.run("merge", "-n", "s1") == result
    assert protected_state(hub) == before


@types("{} update-index --no-{} {} && {}")
@pytest.mark.parametrize("flag", ["assume-unchanged", "skip-worktree"])
def test_hidden_changes_that_the_merge_would_overwrite(hub: Hub, flag: str) -> None:
    """`git stash` alone would not save a file with this flag."""
    create_evaluated_session(hub)
    hub.git("update-index", f"--{flag}", "file")
    (hub.top / "file").write_text("mine\n")
    before = protected_state(hub)
    result = hub.run("merge", "--yes", "s1")
    show = f"git -C {hub.top} update-index --no-{flag} file"
    command = f"{show} && git -C {hub.top} stash"
    message = f"git cannot update '{hub.top}', where 'main' is checked out"
    problem = f"error: {message}: 'file' has local changes\n"
    assert result.err == f"{problem}hint: commit the changes there\nhint: {command}\n"
    assert (result.code, protected_state(hub)) == (1, before)
    type_hint(hub, command)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("show", "stash:file") == "mine"


def test_dry_run_with_changes_that_the_merge_keeps(hub: Hub) -> None:
    """Changes of other files, and files with new times only, do not prevent the merge."""
    create_evaluated_session(hub)
    hub.commit(hub.top, "mine", "1\n")
    (hub.top / "mine").write_text("2\n")
    (hub.top / "untracked").write_text("x\n")
    os.utime(hub.top / "file", (0, 0))
    before, index = protected_state(hub), (hub.top / ".git" / "index").read_bytes()
    result = hub.run("merge", "-n", "--unmeasured", "s1")
    assert (result.code, result.err) == (0, "warning: 'main' moved since the evaluation\n")
    assert (protected_state(hub), (hub.top / ".git" / "index").read_bytes()) == (before, index)
    assert hub.run("merge", "-q", "--yes", "--unmeasured", "s1").code == 0


def test_conflict_changes_nothing(hub: Hub) -> None:
    create_evaluated_session(hub)
    hub.commit(hub.top, "file", "first\nanother way\n")
    hub.commit(hub.top, "new", "another\n")
    before = protected_state(hub)
    result = hub.run("merge", "--yes", "--unmeasured", "s1")
    assert result == Result(
        1,
        "agent-2 and 'main' conflict in\n  file\n  new\n",
        "warning: 'main' moved since the evaluation\n"
        'hint: dir=$(git hub-session path s1 agent-2) && git -C "$dir" merge main\n'
        "hint: resolve and commit the conflicts there, then: git hub-session eval s1\n"
        "nothing was changed\n",
    )
    assert protected_state(hub) == before
    document = hub.json("merge", "--yes", "--unmeasured", "s1", code=1)
    assert (document["conflicts"], document["state"]) == (["file", "new"], "evaluating")
    assert hub.run("merge", "-n", "--unmeasured", "s1").code == 1
    assert protected_state(hub) == before


def test_conflict_is_resolved_by_the_agent(hub: Hub) -> None:
    """The commands in the hints lead to a merge without conflicts."""
    create_evaluated_session(hub)
    hub.commit(hub.top, "file", "first\nanother way\n")
    worktree = agent_worktree(hub, 2)
    result = hub.run("merge", "--yes", "--unmeasured", "s1")
    command = result.err.splitlines()[1].removeprefix("hint: ")
    assert "CONFLICT (content): Merge conflict in file" in hub.call("sh", "-c", command).out
    (worktree / "file").write_text("first\nby agent 2\n")
    hub.git("commit", "-q", "-a", "-m", "both", cwd=worktree)
    assert hub.run("eval", "-q", "--ranking", "2", "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert (hub.top / "file").read_text() == "first\nby agent 2\n"


def test_dry_run_writes_nothing(hub: Hub) -> None:
    create_evaluated_session(hub)
    tip = hub.git("rev-parse", "hub/s1/agent-2/attempt-1")
    before = everything(hub)
    assert hub.run("merge", "-n", "s1") == Result(0, preview_text(hub))
    document = hub.json("merge", "-n", "s1")
    assert document == {
        "session_id": "s1",
        "state": "evaluating",
        "dry_run": True,
        "agent": 2,
        "attempt": 1,
        "branch": "hub/s1/agent-2/attempt-1",
        "oid": tip,
        "into": "main",
        "commit": None,
        "conflicts": [],
        "files": 2,
        "insertions": 2,
        "deletions": 0,
        "remarks": [],
        "metric": None,
        "value": None,
        "baseline": None,
        "delta": None,
        "unit": None,
        "kind": "merge",
        "conflicting_commit": None,
        "passed": None,
    }
    assert everything(hub) == before


def test_formats(hub: Hub) -> None:
    create_evaluated_session(hub)
    result = hub.run("merge", "--yes", "s1", "--format=porcelain")
    merged, tip = hub.git("rev-parse", "main"), hub.git("rev-parse", "main^2")
    assert result == Result(
        0,
        "session s1\nstate merged\nagent 2\nattempt 1\nbranch hub/s1/agent-2/attempt-1\n"
        f"oid {tip}\ninto main\ncommit {merged}\nfiles 2\ninsertions 2\ndeletions 0\n"
        "kind merge\n\n"
        f"session s1\noutcome removed\npath {agent_worktree(hub, 1)}\nbranch hub/s1/agent-1/attempt-1\n\n"
        f"session s1\noutcome removed\npath {agent_worktree(hub, 2)}\nbranch hub/s1/agent-2/attempt-1\n\n"
        "session s1\noutcome archived\nbranch hub/s1/agent-1/attempt-1\n"
        f"tag hub/archive/s1/agent-1\noid {hub.git('rev-parse', 'hub/archive/s1/agent-1')}\n"
        "ref refs/hub/archive/s1/agent-1/attempt-1/1\n\n",
    )
    document = hub.json("merge", "--yes", "s1")
    assert (document["commit"], document["removed"], document["state"]) == (merged, [], "merged")


def test_question_on_a_terminal(hub: Hub) -> None:
    """The answer `n` changes nothing.

    A warning about a moved branch is printed before the question.
    """
    create_evaluated_session(hub)
    hub.commit(hub.top, "later", "x\n")
    before = protected_state(hub)
    for answer, code in (("", 1), ("n", 1), ("y", 0)):
        terminal = pexpect.spawn(
            "git-hub-session",
            ["merge", "--unmeasured", "s1"],
            cwd=str(hub.top),
            env=hub.environ,
            timeout=120,
        )
        terminal.expect_exact("2 files changed, 2 insertions(+)")
        terminal.expect_exact("warning: 'main' moved since the evaluation")
        terminal.expect_exact("Merge agent-2 into 'main'? [y/N] ")
        assert protected_state(hub) == before
        terminal.sendline(answer)
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert (terminal.exitstatus, b"was not merged" in (terminal.before or b"")) == (
            code,
            bool(code),
        )
    assert hub.state()["state"] == "merged"


def test_branch_that_moves_during_the_question(hub: Hub) -> None:
    create_evaluated_session(hub)
    terminal = pexpect.spawn(
        "git-hub-session", ["merge", "s1"], cwd=str(hub.top), env=hub.environ, timeout=120
    )
    terminal.expect_exact("[y/N] ")
    hub.commit(agent_worktree(hub, 2), "more", "x\n")
    before = protected_state(hub)
    terminal.sendline("y")
    terminal.expect_exact("agent-2 committed since the evaluation: the result of the merge")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert (terminal.exitstatus, protected_state(hub)) == (1, before)


def test_no_question_without_a_terminal(hub: Hub) -> None:
    create_evaluated_session(hub)
    before = protected_state(hub)
    assert hub.run("merge", "s1") == Result(
        1,
        preview_text(hub),
        "error: cannot ask for confirmation: standard input is not a terminal (use --yes)\nhint: git hub-session merge --yes s1\n",
    )
    assert protected_state(hub) == before


def test_options_for_winner_branch_and_message(hub: Hub) -> None:
    create_evaluated_session(hub)
    hub.git("branch", "release", "main")
    main = hub.git("rev-parse", "main")
    arguments = ("--agent", "agent-1", "--into", "release", "-m", "Faster", "-m", "By far")
    assert hub.run("merge", "-q", "--yes", *arguments, "s1") == Result(0)
    assert hub.git("rev-parse", "main") == main
    assert hub.git("show", "-s", "--format=%B", "release") == (
        "Faster\n\nBy far\n\nHub-Session: s1\nHub-Agent: agent-1\n"
    )
    assert sorted(hub.refs("refs/heads/hub")) == ["refs/heads/hub/s1/agent-1/attempt-1"]
    assert sorted(hub.refs("refs/tags")) == ["refs/tags/hub/archive/s1/agent-2"]


def test_squash(hub: Hub) -> None:
    """The merge is one commit with one parent. A second call finds that it is merged."""
    create_evaluated_session(hub)
    hub.commit(agent_worktree(hub, 2), "more", "x\n")
    base = hub.git("rev-parse", "main")
    result = hub.run("merge", "--yes", "--squash", "--unmeasured", "s1")
    assert result.err == "warning: agent-2 committed since the evaluation\n"
    assert hub.git("show", "-s", "--format=%P", "main") == base
    assert hub.git("diff", "main", "hub/s1/agent-2/attempt-1") == ""
    assert hub.run("merge", "-q", "--yes", "--squash", "s1") == Result(0)


def test_merge_without_cleanup(hub: Hub) -> None:
    """Merge with --no-cleanup. A second merge then does the cleanup."""
    create_evaluated_session(hub)
    assert hub.run("merge", "--yes", "--no-cleanup", "s1").out.endswith(
        "Cleaned up 0 worktrees for session s1\nSession s1: evaluating → merged\n"
    )
    assert sorted(hub.refs("refs/heads/hub")) == [
        f"refs/heads/hub/s1/agent-{agent}/attempt-1" for agent in (1, 2)
    ]
    assert agent_worktree(hub, 1).exists()
    merged = hub.git("rev-parse", "main")
    terminal = pexpect.spawn(
        "git-hub-session", ["merge", "s1"], cwd=str(hub.top), env=hub.environ, timeout=120
    )
    terminal.expect_exact("Finish session 's1'? [y/N] ")
    terminal.sendline("n")
    terminal.expect_exact("error: session 's1' was not finished")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert (terminal.exitstatus, agent_worktree(hub, 1).exists()) == (1, True)
    assert hub.run("merge", "--yes", "s1") == Result(
        0,
        f"hub/s1/agent-2/attempt-1 is already merged into main, in {merged[:12]}\n"
        "agent-1: removed ../project.hub/s1/agent-1, tagged as hub/archive/s1/agent-1\n"
        "agent-2: removed ../project.hub/s1/agent-2, kept its branch\n"
        "Cleaned up 2 worktrees for session s1\n",
    )
    assert hub.git("rev-parse", "main") == merged
    assert hub.run("merge", "--yes", "--agent=1", "s1") == Result(
        1, "", "error: agent-2 of session 's1' is already merged\n"
    )


def test_locked_worktree_and_uncommitted_work(hub: Hub) -> None:
    """The merge is complete. A locked worktree is kept, and uncommitted work is saved."""
    create_evaluated_session(hub)
    hub.git("worktree", "lock", agent_worktree(hub, 1))
    (agent_worktree(hub, 2) / "idea").write_text("x\n")
    result = hub.run("merge", "--yes", "s1")
    assert result.code == 1
    assert result.err == (
        "warning: agent-2: 1 file uncommitted, not measured: 'idea'\n"
        "session s1 is merged, but its cleanup is not complete\n"
    )
    assert hub.state()["state"] == "merged"
    saved = "refs/hub/rescue/s1/agent-2/attempt-1/1"
    assert hub.git("show", f"{saved}^3:idea") == "x"
    assert hub.state()["agents"]["agent-2"]["rescue"] == [saved]
    assert "refs/heads/hub/s1/agent-1/attempt-1" in hub.refs()
    hub.git("worktree", "unlock", agent_worktree(hub, 1))
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert "refs/heads/hub/s1/agent-1/attempt-1" not in hub.refs()


def test_last_attempt_is_merged(hub: Hub) -> None:
    """The winner's earlier attempts are archived, like the branches of the other agents."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    first = hub.commit(agent_worktree(hub, 1), "new", "1\n")
    hub.run("spawn", "-q", "s1", "--retry", "1")
    second = hub.commit(Path(f"{agent_worktree(hub, 1)}-2"), "new", "2\n")
    assert hub.run("eval", "-q", "--ranking", "1", "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("rev-parse", "main^2") == second
    refs = hub.refs()
    del refs["refs/heads/main"]
    assert refs == {
        "refs/heads/hub/s1/agent-1/attempt-2": second,
        "refs/tags/hub/archive/s1/agent-1": first,
        "refs/hub/archive/s1/agent-1/attempt-1/1": first,
    }


def test_winner_moved_since_the_evaluation(hub: Hub) -> None:
    """Nothing is changed. The hints evaluate again, or merge all the same with these options."""
    create_evaluated_session(hub)
    hub.commit(agent_worktree(hub, 2), "more", "x\n")
    before = protected_state(hub)
    result = hub.run("merge", "--yes", "--squash", "s1")
    unmeasured = "git hub-session merge --squash --unmeasured --yes s1"
    assert result == Result(
        1,
        "",
        "error: agent-2 committed since the evaluation: the result of the merge was not measured\n"
        f"hint: git hub-session eval --ranking 2,1 s1\nhint: {unmeasured}\n",
    )
    assert hub.run("merge", "-n", "--yes", "--squash", "s1") == result
    assert protected_state(hub) == before
    assert hub.run("eval", "-q", "s1").code == 0
    assert hub.call("sh", "-c", f"{unmeasured} -q --yes") == Result(0)
    assert hub.git("show", "main:more") == "x"


def test_base_branch_moved_since_the_evaluation(hub: Hub) -> None:
    """A move of the base branch stops a merge into it, but not a merge into another branch."""
    create_evaluated_session(hub)
    hub.git("branch", "release")
    hub.commit(hub.top, "later", "x\n")
    moved = hub.run("merge", "--yes", "s1")
    assert (moved.code, moved.err.splitlines()) == (
        1,
        [
            "error: 'main' moved since the evaluation: the result of the merge was not measured",
            "hint: git hub-session eval --ranking 2,1 s1",
            "hint: git hub-session merge --unmeasured --yes s1",
        ],
    )
    assert hub.run("merge", "-n", "-q", "--into", "release", "s1") == Result(0)
    assert hub.call("sh", "-c", "git hub-session eval --ranking 2,1 s1").code == 0
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)


def test_remark_about_commits_after_the_evaluation(hub: Hub) -> None:
    create_evaluated_session(hub)
    hub.commit(agent_worktree(hub, 2), "more", "x\n")
    document = hub.json("merge", "-n", "--unmeasured", "s1")
    assert document["remarks"] == ["agent-2 committed since the evaluation"]
    document = hub.json("merge", "-n", "--agent=1", "s1")
    assert document["remarks"] == []


@pytest.mark.parametrize(("archived", "verb"), [(True, "restore"), (False, "eval")])
def test_winner_without_a_branch(hub: Hub, archived: bool, verb: str) -> None:
    """The hint is `restore` for an archived branch, and `eval` for a deleted one."""
    create_evaluated_session(hub)
    assert hub.run("eval", "-q", "--ranking", "1", "s1").code == 0
    assert hub.run("cleanup", "-q", "--archive", "s1").code == 0
    if not archived:
        for ref in hub.refs("refs/tags/hub") | hub.refs("refs/hub/archive"):
            hub.git("update-ref", "-d", ref)
    before = protected_state(hub)
    arguments = ("merge", "--yes", "s1")
    refused = f"error: agent-1 has no branch\nhint: git hub-session {verb} s1\n"
    assert hub.run(*arguments) == Result(1, "", refused)
    assert hub.run("init", "--after", "s1") == Result(1, "", refused)
    assert protected_state(hub) == before
    if archived:
        assert hub.run("restore", "-q", "s1") == Result(0)
        assert hub.run(*arguments).code == 0


def test_no_agent_could_be_measured(hub: Hub) -> None:
    create_evaluated_session(hub)
    arguments = ("--eval", "true", "--metric", "x", "--direction", "lower")
    assert hub.run("eval", "-q", *arguments, "s1").code == 1
    before = protected_state(hub)
    assert hub.run("merge", "--yes", "s1") == Result(
        1,
        "",
        "error: no agent of session 's1' could be measured\n"
        "hint: git hub-session merge --yes s1 --agent <agent>\n",
    )
    assert hub.run("merge", "--yes", "--agent=7", "s1") == Result(
        128,
        "",
        "fatal: no such agent: 'agent-7'\nhint: choose one of the session: agent-1 to agent-2\n",
    )
    assert protected_state(hub) == before
    assert hub.json("merge", "-n", "--agent=1", "s1")["remarks"] == [
        "agent-1 could not be measured: no 'x' in the output"
    ]


def test_no_agent_is_ranked(hub: Hub) -> None:
    hub.session("s1", agents=1)
    for state in ("running", "evaluating"):
        hub.run("update", "s1", "--state", state)
    assert hub.run("merge", "--yes", "s1").err == (
        "error: no agent of session 's1' is ranked\nhint: git hub-session merge --yes s1 --agent <agent>\n"
    )


@pytest.mark.parametrize(
    ("states", "hint"),
    [
        ([], "hint: git hub-session spawn s1\n"),
        (["running"], "hint: git hub-session eval s1\n"),
        (["running", "evaluating", "merged"], "hint: git hub-session cleanup --archive s1\n"),
        (
            ["running", "evaluating", "archived"],
            "hint: restore the branches and merge with git: git hub-session restore s1\n",
        ),
    ],
)
def test_merge_in_the_wrong_state(hub: Hub, states: list[str], hint: str) -> None:
    hub.session("s1", agents=1)
    for state in states:
        hub.run("update", "s1", "--state", state)
    before = protected_state(hub)
    last = (states or ["init"])[-1]
    assert hub.run("merge", "--yes", "--agent=1", "s1") == Result(
        1, "", f"error: session 's1' is '{last}': there is nothing to merge\n{hint}"
    )
    assert protected_state(hub) == before


def test_branch_merged_by_the_user(hub: Hub) -> None:
    create_evaluated_session(hub)
    hub.git("merge", "-q", "--no-ff", "-m", "by hand", "hub/s1/agent-2/attempt-1")
    before = protected_state(hub)
    assert hub.run("merge", "--yes", "s1") == Result(
        1,
        "",
        "error: nothing to merge: 'main' already contains the commits of agent-2\n"
        "hint: git hub-session update s1 --state merged\n",
    )
    assert protected_state(hub) == before


def test_measured_commit_that_the_branch_was_reset_from(hub: Hub) -> None:
    """The branch of the winner is reset to main. The session must not end without a merge."""
    create_evaluated_session(hub)
    hub.commit(hub.top, "more", "x\n")
    hub.git("reset", "-q", "--hard", "main", cwd=agent_worktree(hub, 2))
    before = protected_state(hub)
    refused = hub.run("merge", "--yes", "s1")
    assert (refused.code, refused.err.splitlines()[:2]) == (
        1,
        [
            "error: agent-2 committed since the evaluation: the result of the merge was not measured",
            "hint: git hub-session eval --ranking 2,1 s1",
        ],
    )
    assert protected_state(hub) == before


def test_branches_that_cannot_be_merged_into(hub: Hub) -> None:
    """A missing branch, a symbolic ref, a branch in a rebase, and a branch with two worktrees."""
    create_evaluated_session(hub)
    hub.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    busy = hub.top.parent / "busy"
    hub.git("worktree", "add", "-q", "-b", "busy", busy, "main")
    hub.commit(busy, "file", "mine\n")
    hub.commit(hub.top, "file", "theirs\n")
    hub.call("git", "rebase", "main", cwd=busy)
    second = hub.top.parent / "twice"
    hub.git("worktree", "add", "-q", "--force", second, "main")
    before = protected_state(hub)
    detach = "git switch --detach in one of them"
    rebase = f"'busy' is in the middle of a rebase in '{busy}'"
    twice = f"'main' is checked out twice, in '{hub.top}' and '{second}'"
    for into, code, message in (
        ("nowhere", 128, "fatal: no such branch: 'nowhere'\nhint: name another branch with --into"),
        ("alias", 1, "error: 'alias' is a symbolic ref\nhint: name its target with --into"),
        ("busy", 1, f"error: {rebase}\nhint: finish it first"),
        ("main", 1, f"error: {twice}\nhint: {detach}"),
    ):
        result = hub.run("merge", "--yes", "--unmeasured", "--into", into, "s1")
        assert result == Result(code, "", f"{message}\n")
    assert protected_state(hub) == before


def test_agent_that_is_still_running(hub: Hub) -> None:
    create_evaluated_session(hub)
    ready = hub.top.parent / "ready"
    process = subprocess.Popen(
        ["git-hub-session", "exec", "-q", "s1", "--", "sh", "-c", f"touch {ready}; sleep 300"],
        cwd=hub.top,
        env=hub.environ,
    )
    wait_for(ready.exists, process)
    result = hub.run("merge", "--yes", "s1")
    process.terminate()
    process.wait()
    assert result == Result(
        1, "", "error: agent-1 is still running\nhint: wait for it, or end it\n"
    )


def test_merge_commit_is_signed(hub: Hub) -> None:
    create_evaluated_session(hub)
    key = hub.top.parent / "key"
    hub.call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    allowed = hub.top.parent / "allowed"
    allowed.write_text(f"ada@example.com {Path(f'{key}.pub').read_text()}")
    hub.git("config", "--global", "gpg.format", "ssh")
    hub.git("config", "--global", "user.signingKey", f"{key}.pub")
    hub.git("config", "--global", "gpg.ssh.allowedSignersFile", allowed)
    hub.git("config", "--global", "commit.gpgSign", "true")
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.call("git", "verify-commit", "main").code == 0
    assert hub.git("show", "-s", "--format=%G?", "main") == "G"


def test_signing_key_that_does_not_exist(hub: Hub) -> None:
    create_evaluated_session(hub)
    hub.git("config", "gpg.format", "ssh")
    hub.git("config", "user.signingKey", "/nowhere")
    hub.git("config", "commit.gpgSign", "true")
    before = protected_state(hub)
    result = hub.run("merge", "--yes", "s1")
    assert (result.code, "fatal: 'git commit-tree' failed" in result.err) == (128, True)
    assert protected_state(hub) == before


def test_user_without_a_name(hub: Hub) -> None:
    """git's message about the missing user name is printed."""
    create_evaluated_session(hub)
    before = protected_state(hub)
    environ = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_COUNT": "1"}
    environ |= {"GIT_CONFIG_KEY_0": "user.useConfigOnly", "GIT_CONFIG_VALUE_0": "true"}
    result = hub.run("merge", "--yes", "s1", environ=environ)
    assert (result.code, "Please tell me who you are" in result.err) == (128, True)
    assert protected_state(hub) == before


@pytest.mark.parametrize("checked_out", [True, False])
def test_merge_driver(hub: Hub, checked_out: bool) -> None:
    """The attributes of the base branch are used, also if it is not checked out."""
    (hub.top / ".gitattributes").write_text("file merge=both\nsub/.gitattributes -text\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "attributes")
    hub.git("config", "merge.both.driver", "cat %B >>%A")
    create_evaluated_session(hub)
    hub.commit(hub.top, "file", "first\nanother way\n")
    if checked_out:
        # Uncommitted attributes do not count: `eval` does not use them either.
        (hub.top / ".gitattributes").write_text("file -merge\n")
    else:
        hub.git("switch", "-q", "-c", "topic")
    assert hub.run("merge", "-q", "--yes", "--unmeasured", "s1").code == 0
    assert hub.git("show", "main:file") == "first\nanother way\nfirst\nby agent 2"


def test_hooks_run_as_in_git_merge(hub: Hub) -> None:
    """The hooks run in the worktree of the base branch, with the index of the merged tree."""
    create_evaluated_session(hub)
    record = hub.top.parent / "record"
    write_hook(hub, "pre-merge-commit", f"(pwd; git diff --cached --name-only main) >>{record}")
    write_hook(hub, "prepare-commit-msg", f'echo "$2" >>{record}')
    write_hook(hub, "commit-msg", 'echo "Change-Id: 7" >>"$1"')
    write_hook(hub, "post-merge", f'echo "post $1" >>{record}')
    assert hub.run("merge", "-q", "--yes", "-m", "Merge", "s1") == Result(0)
    assert record.read_text() == f"{hub.top}\nfile\nnew\nmerge\npost 0\n"
    assert hub.git("show", "-s", "--format=%B", "main") == (
        "Merge\n\nHub-Session: s1\nHub-Agent: agent-2\nChange-Id: 7\n"
    )
    assert git_status(hub) == "## main"


@pytest.mark.parametrize(
    "name", ["pre-merge-commit", "commit-msg", "prepare-commit-msg", "reference-transaction"]
)
@pytest.mark.parametrize("checked_out", [True, False])
def test_hook_that_rejects_the_merge(hub: Hub, name: str, checked_out: bool) -> None:
    """The output of the hook is printed. No ref, file or index is changed."""
    create_evaluated_session(hub)
    if not checked_out:
        hub.git("switch", "-q", "-c", "topic")
    condition = 'test "$1" = prepared || exit 0\n' if name == "reference-transaction" else ""
    write_hook(hub, name, f'{condition}echo "not today"\nexit 1')
    before = protected_state(hub)
    result = hub.run("merge", "--yes", "s1")
    if name == "pre-merge-commit" and not checked_out:
        assert result.code == 0  # without a worktree of the base branch the hook does not run
        return
    assert (result.code, result.err) == (
        1,
        f"not today\nerror: the {name} hook rejected the merge; nothing was changed\n",
    )
    assert protected_state(hub) == before


def test_touched_file_does_not_block_the_merge(hub: Hub) -> None:
    """A changed mtime is no local change. Staged changes of other files are kept."""
    create_evaluated_session(hub)
    os.utime(hub.top / "file", (1, 1))
    (hub.top / "sub" / "other").write_text("staged\n")
    hub.git("add", "sub/other")
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert git_status(hub) == "## main\nM  sub/other"
    assert (hub.top / "file").read_text() == "first\nby agent 2\n"


@pytest.mark.parametrize("path", ["new/precious", "new"])
def test_ignored_files_are_not_overwritten(hub: Hub, path: str) -> None:
    """The merge would replace an ignored directory with a file, or the reverse."""
    create_evaluated_session(hub)
    if path == "new":
        hub.git("mv", "new", "moved", cwd=agent_worktree(hub, 2))
        hub.commit(agent_worktree(hub, 2), "new/deep", "x\n")
    (hub.top / ".git" / "info" / "exclude").write_text("precious\n/new\n")
    (hub.top / path).parent.mkdir(exist_ok=True)
    (hub.top / path).write_text("mine\n")
    before = protected_state(hub)
    result = hub.run("merge", "-q", "--yes", "--unmeasured", "s1")
    assert result.err.endswith(
        f"error: the merge would overwrite ignored files in '{hub.top}'\nhint: {path}\n"
    )
    assert (result.code, protected_state(hub)) == (1, before)


def test_first_line_of_the_task_in_the_log(hub: Hub) -> None:
    """The message has no control characters of the task and none of its other lines."""
    task = "two\x1b[2J\nHub-Agent: agent-7\n\nHub-Agent: agent-8"
    hub.run("init", "-q", "--id", "s1", "--task", task, "--agents", "1")
    hub.run("spawn", "-q", "s1")
    hub.commit(agent_worktree(hub, 1), "new", "1\n")
    hub.run("eval", "-q", "--ranking", "1", "s1")
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("show", "-s", "--format=%B", "main") == (
        "hub: merge agent-1 from session s1\n\n"
        "Task: two\\x1b[2J\nWinner: agent-1\nSession: s1\n\nHub-Session: s1\nHub-Agent: agent-1\n"
    )


@pytest.mark.parametrize(
    ("paragraphs", "message"),
    [
        (["Faster"], "Faster\n\n"),
        (["fix: faster"], "fix: faster\n\n"),
        (["Faster", "Fixes: 1\nSigned-off-by: Ada"], "Faster\n\nFixes: 1\nSigned-off-by: Ada\n"),
        (["Faster", "Fixes: 1\nand more"], "Faster\n\nFixes: 1\nand more\n\n"),
    ],
)
def test_trailers_after_a_given_message(hub: Hub, paragraphs: list[str], message: str) -> None:
    create_evaluated_session(hub)
    options = [word for paragraph in paragraphs for word in ("-m", paragraph)]
    assert hub.run("merge", "-q", "--yes", *options, "s1") == Result(0)
    assert hub.git("show", "-s", "--format=%B", "main") == (
        f"{message}Hub-Session: s1\nHub-Agent: agent-2\n"
    )
    trailers = "--format=%(trailers:key=Hub-Session,key=Hub-Agent,valueonly)"
    assert hub.git("show", "-s", trailers, "main") == "s1\nagent-2\n"


def test_message_of_white_space(hub: Hub) -> None:
    create_evaluated_session(hub)
    before = protected_state(hub)
    result = hub.run("merge", "--yes", "-m", " ", "s1")
    assert (result.code, result.err) == (
        *(1, "error: the merge message is empty\nhint: give a message with -m <text>\n"),
    )
    assert protected_state(hub) == before


def test_forged_merge_record(hub: Hub) -> None:
    """A `merge` record in a foreign state.json does not skip the question."""
    create_evaluated_session(hub)
    state = hub.directory() / "state.json"
    base = hub.git("rev-parse", "main")
    forged = {"agent": 1, "attempt": 1, "tip": base, "into": "main", "commit": base}
    text = state.read_text().replace('"agents"', f'"merge": {forged!s}, "agents"'.replace("'", '"'))
    state.write_text(text)
    before = protected_state(hub)
    assert hub.run("merge", "s1").err.startswith(
        "error: cannot ask for confirmation: standard input is not a terminal (use --yes)\n"
    )
    assert protected_state(hub) == before


def test_no_temporary_directory_is_left(hub: Hub) -> None:
    create_evaluated_session(hub)
    temporary = hub.top.parent / "scratch"
    temporary.mkdir()
    hub.git("switch", "-q", "-c", "topic")
    hub.run("merge", "-n", "s1", environ={"TMPDIR": str(temporary)})
    assert hub.run("merge", "-q", "--yes", "s1", environ={"TMPDIR": str(temporary)}) == Result(0)
    assert os.listdir(temporary) == []
