"""Temporary worktrees of an evaluation that was killed: each command recognizes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.doctor import list_findings
from tests.support.hints import find_hint, follow_hint, type_hint, types
from tests.support.hub import Hub, Result
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    count_worktrees,
    create_measurable_session,
    running_evaluation,
)


def temporary(hub: Hub, agent: int) -> Path:
    return agent_worktree(hub, agent).with_name(f".s1-eval-agent-{agent}")


@pytest.mark.slow
def test_worktrees_of_a_killed_evaluation(hub: Hub) -> None:
    """Nothing is removed while a process uses it. Then `doctor` and `merge` remove it."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    kept = "the evaluation eval-2 is running"
    with running_evaluation(hub) as (process, _):
        refused = hub.run("cleanup", "s1")
        assert (refused.code, refused.out.count(kept), count_worktrees(hub)) == (1, 2, 5), refused
        assert hub.json("doctor", "s1")["findings"] == []
        process.kill()
        process.wait()
        assert list_findings(hub, "s1", code=1) == [
            ("temporary-worktree", str(temporary(hub, agent)), False) for agent in (1, 2)
        ]
        fixed = list_findings(hub, "--fix", code=1)
        assert [finding[1:] for finding in fixed] == [
            (str(temporary(hub, 2)), True),
            (str(temporary(hub, 1)), False),
        ]
        shown = hub.run("doctor", "s1").out.splitlines()
        assert shown[1].startswith("  an evaluation was interrupted: in use by process ")
        assert not temporary(hub, 2).exists()
        note = (
            f"warning: would keep the temporary worktree '{temporary(hub, 1)}': in use by process"
        )
        assert hub.run("cleanup", "-n", "s1").err.startswith(note)
    note = f"warning: would remove the temporary worktree '{temporary(hub, 1)}'\n"
    assert hub.run("cleanup", "-n", "s1").err == note
    merged = hub.run("merge", "--yes", "s1")
    assert (merged.code, merged.err, count_worktrees(hub)) == (
        0,
        "warning: removed 1 temporary worktree of an interrupted evaluation\n",
        1,
    )
    assert "no commit of its own" not in hub.run("status", "s1").out
    assert os.listdir(agent_worktree(hub, 1).parent) == []


@types("end the process")
def test_process_of_a_killed_evaluation(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    with running_evaluation(hub) as (process, pid):
        process.kill()
        process.wait()
        result = hub.run("doctor", "--fix", "s1")
        hint = find_hint(result, "end the process")
        assert f"in use by process {pid} " in result.out
    follow_hint(hint)
    assert hub.run("doctor", "--fix", "s1").code == 0
    assert not temporary(hub, 1).exists()


def test_in_place_evaluation_keeps_the_worktrees(hub: Hub) -> None:
    """The evaluation uses also a worktree in which no process runs at the moment."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    with running_evaluation(hub, "--in-place"):
        cleaned = hub.run("cleanup", "s1")
        assert (cleaned.code, count_worktrees(hub)) == (1, 3)
        assert "the evaluation eval-1 is running" in cleaned.out
    assert hub.run("archive", "s1").code == 0
    assert count_worktrees(hub) == 1


@types("git worktree remove -f -f {}", "mv {} {}.old && {}")
def test_directory_of_a_user_is_kept(hub: Hub) -> None:
    """The directory replaces a temporary worktree, or is a temporary worktree that the user moved."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    with running_evaluation(hub) as (process, _):
        process.kill()
        process.wait()
    moved = hub.top.parent / temporary(hub, 1).name
    hub.git("worktree", "move", "-f", "-f", temporary(hub, 1), moved)
    temporary(hub, 2).rename(hub.top.parent / "away")
    temporary(hub, 2).mkdir()
    (temporary(hub, 2) / "work").write_text("mine\n")
    cleaned = hub.run("cleanup", "s1")
    assert cleaned.err.splitlines() == [
        f"warning: kept the temporary worktree '{moved}': it is not beside the worktrees of the agents",
        f"warning: kept the temporary worktree '{temporary(hub, 2)}': its .git file is missing",
    ]
    assert ((temporary(hub, 2) / "work").read_text(), moved.is_dir()) == ("mine\n", True)
    findings = hub.json("doctor", code=1)["findings"]
    path = temporary(hub, 2)
    assert [finding["advice"] for finding in findings] == [
        f"git worktree remove -f -f {moved}",
        f"mv {path} {path}.old && git worktree remove -f -f {path}",
    ]
    for finding in findings[1:]:
        type_hint(hub, finding["advice"])
    assert (hub.top.parent / "away").is_dir()
    hub.git("worktree", "move", "-f", "-f", moved, temporary(hub, 1))
    hub.git("worktree", "unlock", temporary(hub, 1))
    command = f"git worktree remove -f -f {temporary(hub, 1)}"
    assert hub.run("eval", *MEASURE, "s1") == Result(
        *(128, "", f"fatal: '{temporary(hub, 1)}' exists already\nhint: {command}\n")
    )
    type_hint(hub, command)
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
