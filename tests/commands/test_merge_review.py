"""git hub-session merge, where a repository, a hook or somebody else does what nobody expects."""

from __future__ import annotations

import pytest

from tests.commands.test_merge import hook, status, tournament
from tests.hub import Hub, Result


@pytest.mark.parametrize("options", ["--squash", "--strategy=ours", "--no-commit --no-ff"])
def test_how_the_user_merges_into_a_branch(hub: Hub, options: str) -> None:
    """branch.<name>.mergeOptions is for the merges that `git merge` makes: this one is made."""
    tournament(hub)
    hub.git("config", "branch.main.mergeOptions", options)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("rev-parse", "main^2") == hub.git("rev-parse", "hub/s1/agent-2/attempt-1")
    assert (hub.git("show", "main:new"), status(hub)) == ("2", "## main")


@pytest.mark.parametrize("there", [True, False])
def test_a_branch_that_is_switched_while_the_merge_is_committed(hub: Hub, there: bool) -> None:
    """Away from the base branch, or to it: no other branch moves, and no files are left behind one."""
    tournament(hub)
    hub.git("branch", "topic")
    if not there:
        hub.git("switch", "-q", "topic")
    own = "unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE"
    hook(hub, "commit-msg", f"cd {hub.top}; {own}; git switch -q {'topic' if there else 'main'}")
    refs, state = hub.refs(), hub.state()
    result = hub.run("merge", "-q", "--yes", "s1")
    assert result == Result(
        1,
        "",
        "error: another branch was checked out where 'main' was, or 'main' was, meanwhile\n"
        "hint: git hub-session merge s1\n",
    )
    assert (hub.refs(), hub.state()) == (refs, state)
    assert status(hub) == f"## {'topic' if there else 'main'}"


def test_a_hook_that_takes_the_merge_back(hub: Hub) -> None:
    """What is not merged is not called so, and no branch of it goes."""
    tournament(hub)
    hook(hub, "post-merge", "git reset -q --hard HEAD^")
    refs, state = hub.refs(), hub.state()
    result = hub.run("merge", "-q", "--yes", "s1")
    assert (result.code, "'main' is not at" in result.err) == (1, True)
    assert (hub.refs(), hub.state()) == (refs, state)
