"""`merge --ff` and `merge --rebase`."""

from __future__ import annotations

import os

from tests.support.evaluated_sessions import (
    agent_worktree,
    create_evaluated_session,
    git_status,
    protected_state,
    write_hook,
)
from tests.support.hub import Hub, Result


def test_fast_forward(hub: Hub) -> None:
    """The branch moves to the winner's commit. No hook of a commit runs."""
    create_evaluated_session(hub)
    base, tip = hub.git("rev-parse", "main"), hub.git("rev-parse", "hub/s1/agent-2/attempt-1")
    write_hook(hub, "commit-msg", "exit 1")
    write_hook(hub, "post-merge", 'echo "$1" >../merged')
    result = hub.run("merge", "--ff", "--yes", "s1")
    assert result.out.startswith(
        "Merging hub/s1/agent-2/attempt-1 into main (fast-forward)\n  Rank: 1\n"
    )
    assert (result.code, hub.git("rev-parse", "main"), git_status(hub)) == (0, tip, "## main")
    assert hub.state()["merge"] == {
        "agent": 2,
        "attempt": 1,
        "tip": tip,
        "into": "main",
        "commit": tip,
        "base": base,
        "kind": "ff",
    }
    assert (hub.top.parent / "merged").read_text() == "0\n"
    assert hub.run("merge", "-q", "--ff", "--yes", "s1") == Result(0)


def test_base_branch_that_cannot_be_fast_forwarded(hub: Hub) -> None:
    """The hint rebases, with the other options. An agent's merge commit is left out."""
    create_evaluated_session(hub)
    winner = agent_worktree(hub, 2)
    hub.commit(hub.top, "later", "x\n")
    hub.git("merge", "-q", "--no-edit", "main", cwd=winner)
    base = hub.commit(hub.top, "last", "x\n")
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1").code == 0
    before = protected_state(hub)
    rebase = "git hub-session merge --agent agent-2 --rebase s1"
    assert hub.run("merge", "--ff", "--agent", "2", "s1") == Result(
        1,
        "",
        "error: cannot fast-forward 'main': it has commits that agent-2 does not have\n"
        f"hint: {rebase}\n",
    )
    assert protected_state(hub) == before
    assert hub.call("sh", "-c", f"{rebase} -q --yes") == Result(0)
    assert hub.git("log", "--format=%s", f"{base}..main") == "work"
    assert hub.git("diff", "--name-only", base, "main") == "file\nnew"


def test_rebase(hub: Hub) -> None:
    """Authors, dates and messages are kept, and the user is the committer.

    A commit whose change the base branch has is left out.
    """
    create_evaluated_session(hub)
    winner = agent_worktree(hub, 2)
    latin1 = ("-c", "i18n.commitEncoding=ISO-8859-1")
    name = os.fsdecode("Björn".encode("latin1"))
    environ = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_DATE": "@1600000000 +0200"}
    (hub.top.parent / "message").write_bytes("café\n\n# kept\n".encode("latin1"))
    commit = ("git", *latin1, "commit", "-q", "--cleanup=verbatim", "--allow-empty")
    assert (
        hub.call(*commit, "-F", hub.top.parent / "message", cwd=winner, environ=environ).code == 0
    )
    hub.commit(winner, "more", "x\n", "more")
    hub.git("cherry-pick", hub.git("rev-parse", "hub/s1/agent-2/attempt-1"))
    base = hub.git("rev-parse", "main")
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1").code == 0
    write_hook(hub, "commit-msg", "exit 1")
    environ = {"GIT_COMMITTER_NAME": "Zoë"}
    result = hub.call("git-hub-session", "merge", "--rebase", "--yes", "s1", environ=environ)
    assert (result.code, result.err) == (0, ""), result
    assert result.out.startswith(
        "Merging hub/s1/agent-2/attempt-1 into main (rebase: 2 new commits)\n"
    )
    commits = hub.git("log", "--reverse", "--format=%an|%cn|%e|%s|%b|", f"{base}..main")
    assert commits.splitlines() == ["Ada|Zoë||work||", "Björn|Zoë||café|# kept", "|"]
    assert hub.git("show", "-s", "--format=%at", "main") == "1600000000"
    assert hub.state()["merge"]["kind"] == "rebase"
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert git_status(hub) == "## main"


def test_conflict_of_a_rebase(hub: Hub) -> None:
    """The second of three commits conflicts, and the merge of their last one does not."""
    create_evaluated_session(hub)
    winner = agent_worktree(hub, 2)
    conflicting = hub.commit(winner, "later", "y\n")
    hub.commit(winner, "later", "x\n")
    hub.commit(hub.top, "later", "x\n")
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1").code == 0
    before = protected_state(hub)
    command = 'dir=$(git hub-session path s1 agent-2) && git -C "$dir" rebase main'
    assert hub.run("merge", "--rebase", "--yes", "s1") == Result(
        1,
        f"commit {conflicting[:12]} of agent-2 and 'main' conflict in\n  later\n",
        f"hint: {command}\n"
        "hint: resolve and commit the conflicts there, then: git hub-session eval s1\n"
        "nothing was changed\n",
    )
    document = hub.json("merge", "-n", "--rebase", "s1", code=1)
    assert (document["conflicts"], document["conflicting_commit"]) == (["later"], conflicting)
    assert protected_state(hub) == before
    assert hub.call("sh", "-c", f"{command} -X theirs").code == 0
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1").code == 0
    assert hub.run("merge", "-q", "--ff", "--yes", "s1") == Result(0)


def test_conflict_that_a_merge_commit_resolved(hub: Hub) -> None:
    """A rebase leaves the merge commit out, so its files are not those that were measured."""
    create_evaluated_session(hub)
    winner = agent_worktree(hub, 2)
    hub.commit(hub.top, "later", "x\n")
    hub.git("merge", "-q", "--no-commit", "main", cwd=winner)
    hub.commit(winner, "later", "resolved\n")
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1").code == 0
    before = protected_state(hub)
    problem = "the rebased commits of agent-2 and a merge with 'main' have different files"
    result = hub.run("merge", "--rebase", "--yes", "s1")
    assert (result.code, result.err.splitlines()) == (
        1,
        [
            f"error: {problem}: the result of the merge was not measured",
            "hint: git hub-session merge --yes s1",
            "hint: git hub-session merge --rebase --unmeasured --yes s1",
        ],
    )
    assert protected_state(hub) == before
    result = hub.call("git", *result.err.splitlines()[-1].split()[2:], "--yes")
    assert (result.code, result.err) == (0, f"warning: {problem}\n")
    assert hub.git("show", "main:later") == "x"


def test_rebase_without_the_conflict_of_a_merge(hub: Hub) -> None:
    """The branch has a commit of the winner, and changed the file again. No merge was measured."""
    create_evaluated_session(hub)
    commit = hub.commit(agent_worktree(hub, 2), "later", "x\n")
    hub.commit(agent_worktree(hub, 2), "last", "x\n")
    hub.git("cherry-pick", commit)
    hub.commit(hub.top, "later", "y\n")
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1").code == 0
    before = protected_state(hub)
    problem = "the commits of agent-2 can be rebased, but a merge with 'main' conflicts"
    arguments = ("merge", "--rebase", "--agent=2", "--yes", "s1")
    refused = hub.run(*arguments)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith(f"error: {problem}: the result of the merge was not measured\n")
    assert protected_state(hub) == before
    merged = hub.run("merge", "--unmeasured", *arguments[1:])
    assert (merged.code, hub.git("show", "main:later"), hub.git("show", "main:last")) == (
        *(0, "y", "x"),
    )


def test_options_that_exclude_each_other(hub: Hub) -> None:
    create_evaluated_session(hub)
    for options, error in {
        ("--ff", "--rebase"): "error: --ff and --rebase exclude each other",
        ("--squash", "--ff"): "error: --squash and --ff exclude each other",
        ("--rebase", "-m", "x"): "error: -m and --rebase exclude each other",
    }.items():
        result = hub.run("merge", *options, "s1")
        assert (result.code, result.err.splitlines()[0]) == (129, error)
