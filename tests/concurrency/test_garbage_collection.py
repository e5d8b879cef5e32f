"""git deletes unreachable objects at once while work is saved and merged. Nothing is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.hub import Hub, Result, wait_for
from tests.support.interrupt import LONG
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
    recorded_ranks,
)

# `git gc` packs the objects with other settings than `git prune`, which deletes loose objects only.
COLLECTORS = {
    "prune": "git prune --expire=now",
    "gc": "git gc --quiet --prune=now",
    "repack": "git repack -a -d -q; git prune --expire=now",
}
AGENTS = 20 if LONG else 4
MERGES = 20 if LONG else 3


@contextmanager
def collected_repeatedly(hub: Hub, command: str) -> Iterator[None]:
    """Run a command of git in a loop until the end of the block."""
    rounds = hub.top.parent / "rounds"
    rounds.write_text("")
    stop = hub.top.parent / "stop"
    script = f"until test -e {stop}; do {command}; echo >>{rounds}; done"
    with subprocess.Popen(
        ["sh", "-c", script], cwd=hub.top, env=hub.environ, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for(lambda: rounds.read_text(), process)
            yield
            assert process.poll() is None
        finally:
            # Let the last git end: a killed shell would leave it running.
            stop.touch()
            process.wait()
            stop.unlink()


def keep_files(hub: Hub) -> list[Path]:
    return sorted((hub.top / ".git" / "objects" / "pack").glob("*.keep"))


@pytest.mark.parametrize("name", COLLECTORS)
def test_cleanup_while_git_deletes_objects(hub: Hub, name: str) -> None:
    """Each worktree is kept or restored. A cleanup keeps it only with a reason."""
    hub.session("s1", agents=AGENTS)
    for number in range(1, AGENTS + 1):
        worktree = hub.worktree(number)
        (worktree / "file").write_text(f"changed {number}\n")
        (worktree / "staged").write_text(f"staged {number}\n")
        hub.git("add", "staged", cwd=worktree)
        (worktree / "new").mkdir()
        (worktree / "new" / "file").write_text(f"new {number}\n")
    with collected_repeatedly(hub, COLLECTORS[name]):
        result = hub.run("cleanup", "-q", "s1")
    assert result == Result(0)
    assert keep_files(hub) == []
    hub.git("prune", "--expire=now")
    assert hub.run("restore", "-q", "s1", "--path", "../worktrees/{id}/agent-{n}") == Result(0)
    for number in range(1, AGENTS + 1):
        worktree = hub.worktree(number)
        assert hub.git("status", "--porcelain", "-uall", cwd=worktree).split("\n") == [
            " M file",
            "A  staged",
            "?? new/file",
        ]
        assert (worktree / "new" / "file").read_text() == f"new {number}\n"
    hub.git("fsck", "--connectivity-only")


@pytest.mark.parametrize("name", COLLECTORS)
@pytest.mark.parametrize("options", [(), ("--rebase",), ("--squash",)])
def test_merge_while_git_deletes_objects(hub: Hub, name: str, options: tuple[str, ...]) -> None:
    hook = hub.top / ".git" / "hooks" / "commit-msg"
    hook.parent.mkdir(exist_ok=True)
    for number in range(MERGES):
        sid = f"m{number}"
        worktree = hub.session(sid, agents=1).worktree(1, sid)
        hub.commit(worktree, f"agent/{number}", f"{number}\n")
        hub.commit(worktree, f"agent/{number}", f"{number} again\n")
        hub.commit(hub.top, f"main/{number}", f"{number}\n")
        hub.run("update", "-q", sid, "--state", "running")
        hub.run("eval", "-q", "--ranking", "1", sid)
        hook.write_text("#!/bin/sh\nexit 0\n")
        hook.chmod(0o755 if number % 2 else 0o644)  # a hook needs the merged tree earlier
        with collected_repeatedly(hub, COLLECTORS[name]):
            result = hub.run("merge", "-q", "--yes", *options, sid)
        assert result.code == 0, result
        assert keep_files(hub) == []
        assert (hub.top / "agent" / str(number)).read_text() == f"{number} again\n"
        assert hub.git("status", "--porcelain") == ""
        hub.git("fsck", "--connectivity-only")


@pytest.mark.parametrize("name", COLLECTORS)
def test_eval_while_git_deletes_objects(hub: Hub, name: str) -> None:
    """The merges with the moved base branch are measured, also the merge that is the baseline."""
    create_measurable_session(hub, "ms: 5\n", "ms: 6\n")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    result = hub.run("init", "-q", "--id", "s2", "--after", "s1", "--task", "t", "--agents", "2")
    assert result == Result(0, "s2\n")
    assert hub.run("spawn", "-q", "s2") == Result(0)
    evaluate = ("eval", "-q", *MEASURE, "--baseline", "measure")
    next_worktrees = [agent_worktree(hub, agent, "s2") for agent in (1, 2)]
    for agent, worktree in enumerate(next_worktrees, start=1):
        hub.commit(worktree, f"by/agent-{agent}", "new\n")
    for number in range(MERGES):
        hub.commit(hub.top, "moved", f"{number}\n")
        with collected_repeatedly(hub, COLLECTORS[name]):
            # The second evaluation finds the objects of the first, if git has not deleted them.
            results = [hub.run(*evaluate, "s2") for _ in range(2)]
        assert results == [Result(0)] * 2
        assert keep_files(hub) == []
        assert recorded_ranks(hub, "s2") == {"agent-1": (1, 5, ""), "agent-2": (2, 5, "")}
        assert hub.state("s2")["evaluation"]["baseline"] == 5
        hub.git("fsck", "--connectivity-only")


def test_equal_packs_have_different_names(hub: Hub) -> None:
    """A `git gc` that runs since the first evaluation deletes no pack of the second one."""
    create_measurable_session(hub, "ms: 5\n", "ms: 6\n")
    hub.commit(hub.top, "moved", "1\n")
    packs = hub.top / ".git" / "objects" / "pack"
    found = set(packs.glob("pack-*.pack"))
    for _ in range(2):
        assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
        [new] = {*packs.glob("pack-*.pack")} - found
        found.add(new)
    assert keep_files(hub) == []
    first, second = (subprocess.run(["git", "verify-pack", path], cwd=hub.top) for path in found)
    assert (first.returncode, second.returncode) == (0, 0)
    hub.git("gc", "-q")
    hub.git("fsck", "--strict")


def test_stale_keep_file(hub: Hub) -> None:
    """The next cleanup deletes the .keep file of a killed process, and no other .keep file.

    A dry run deletes none.
    """
    hub.git("gc", "-q")
    [pack] = (hub.top / ".git" / "objects" / "pack").glob("*.pack")
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "new").write_text("new\n")
    with subprocess.Popen(["true"]) as ended:
        pass
    pack.with_suffix(".keep").write_text(f"git hub-session {ended.pid} git-hub-session-x\n")
    others = {
        "a": "git hub-session x\n",
        "b": "a user's\n",
        "c": "",
        "d": "git hub-session 1 y\n",
    }
    for name, text in others.items():
        (pack.parent / f"pack-{name}.keep").write_text(text)
    hub.commit(worktree, "ms", "ms: 1\n")
    hub.commit(hub.top, "moved", "moved\n")
    assert hub.run("update", "-q", "s1", "--state", "running") == Result(0)
    assert hub.run("eval", "-q", "-n", *MEASURE, "s1") == Result(0)
    assert len(keep_files(hub)) == len(others) + 1
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert [path.name for path in keep_files(hub)] == [f"pack-{name}.keep" for name in others]


def test_new_objects_that_git_cannot_pack(hub: Hub) -> None:
    """The message names the command of git. Nothing is removed, and no pack is left."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "new").write_text("new\n")
    hub.git("config", "pack.threads", "-1")
    result = hub.run("cleanup", "s1")
    assert result == Result(
        1,
        "agent-1: kept ../worktrees/s1/agent-1\n"
        "  cannot save the work: 'git pack-objects' failed (exit 128)\n"
        "  hint: fatal: invalid number of threads specified (-1)\n"
        "Cleaned up 0 worktrees for session s1\n",
    )
    assert keep_files(hub) == []
    hub.git("config", "--unset", "pack.threads")
    assert hub.run("cleanup", "-q", "s1") == Result(0)
