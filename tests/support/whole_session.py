"""A complete session from `init` to `merge`, for tests of unusual repositories and systems."""

from __future__ import annotations

from tests.support.hub import Hub, Result, snapshot

AGENT = (
    "echo n: ${HUB_AGENT#agent-} >file; git commit -qam $HUB_AGENT;"
    "echo staged >>file; git add file; echo changed >>file; echo new >new"
)
"""The command of an agent. It makes a commit, and staged, unstaged and untracked changes."""

MEASURE = ("--eval", "git show HEAD:file", "--metric", "n", "--direction", "higher")


def run_session(hub: Hub, *, warning: str = "") -> None:
    """Run a session from `init` to `merge`. Save and restore uncommitted work before the merge.

    Args:
        warning: the expected standard error of `cleanup`.
    """
    worktrees = hub.top.parent / f"{hub.top.name}.hub" / "s1"
    before = hub.refs("refs/heads")
    for arguments in (
        ("init", "-q", "--id", "s1", "--task", "t", "--agents", "2"),
        ("spawn", "-q", "s1"),
        ("exec", "-q", "s1", "--", "sh", "-c", AGENT),
        ("eval", "-q", *MEASURE, "s1"),
    ):
        result = hub.run(*arguments)
        assert (result.code, result.err) == (0, result.err if arguments[0] == "eval" else ""), (
            result
        )
    status = hub.json("status", "s1")
    for branch in status["branches"]:
        assert (branch["ahead"], branch["behind"], branch["files"]) == (1, 0, 1), branch
    contents = [snapshot(worktrees / f"agent-{agent}") for agent in (1, 2)]
    assert hub.run("cleanup", "-q", "s1") == Result(0, "", warning)
    assert list(worktrees.iterdir()) == []
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert [snapshot(worktrees / f"agent-{agent}") for agent in (1, 2)] == contents
    assert hub.git("status", "--porcelain", cwd=worktrees / "agent-1") == "MM file\n?? new"
    merged = hub.run("merge", "-q", "--yes", "s1")
    assert (merged.code, merged.out) == (0, ""), merged
    assert list(worktrees.iterdir()) == []
    assert hub.git("show", "main:file") == "n: 2"
    assert hub.git("show", "refs/hub/rescue/s1/agent-1/attempt-1/1:file") == "n: 1\nstaged\nchanged"
    assert hub.refs("refs/heads").keys() == {
        *before, "refs/heads/hub/s1/agent-2/attempt-1"
    }  # fmt: skip
    if status["config"]["base_branch"] == "main" and (hub.top / "file").exists():
        assert (hub.top / "file").read_text() == "n: 2\n"
        assert hub.git("status", "--porcelain") == ""
    assert hub.git("fsck", "--no-dangling", "--connectivity-only") == ""
