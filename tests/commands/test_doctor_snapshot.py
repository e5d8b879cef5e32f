"""`doctor --fix` reads only the session that it fixes under the lock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.evaluated_sessions import create_evaluated_session
from tests.support.hub import Hub, Result
from tests.support.interrupt import run_with_injected_code

LEFTOVER = ".state.json.x.tmp"
OPEN_UNDER_LOCK = 3
"""The number of the call that opens state.json under the lock, after two earlier calls."""


def count_opens(hub: Hub, path: str, *arguments: str) -> int:
    """Return how often the command opens `path`."""
    result = run_with_injected_code(hub, *arguments, nth=0, opened=path)
    assert result.code == 0, result
    return int(result.err.splitlines()[-1])


def count_reads(hub: Hub, sessions: int) -> tuple[int, int]:
    """Return how often a fix of all sessions opens state.json and HEAD of the first one."""
    head = str(hub.top / ".git" / "worktrees" / "agent-1" / "HEAD")
    counts = []
    for path in ("s1/state.json", head):
        for number in range(1, sessions + 1):
            (hub.directory(f"s{number}") / LEFTOVER).write_text("{")
        counts.append(count_opens(hub, path, "doctor", "--fix"))
    return counts[0], counts[1]


@pytest.mark.slow
def test_fix_reads_only_its_own_session_and_worktree(hub: Hub) -> None:
    """Otherwise the time to fix all sessions would grow with the square of their number."""
    hub.session("s1", agents=1)
    count = count_reads(hub, 1)
    for number in range(2, 6):
        hub.session(f"s{number}", agents=1)
    assert count_reads(hub, 5) == count
    assert hub.run("doctor").code == 0


def test_session_changed_before_the_lock(hub: Hub) -> None:
    """An interrupted spawn finishes after the first snapshot and before the lock."""
    hub.session("a", agents=1)
    state = hub.directory("a") / "state.json"
    document = hub.state("a")
    document["agents"] = {"agent-1": {"status": "ready"}}
    changed_state = json.dumps(document)
    state.write_text(json.dumps({**document, "agents": {"agent-1": {"status": "spawning"}}}))
    [finding] = hub.json("doctor", code=1)["findings"]
    assert finding["code"] == "agent-cut-off"
    document["agents"]["agent-1"]["note"] = "theirs"
    changed_state = json.dumps(document)
    code = f"open({str(state)!r}, 'w').write({changed_state!r})"
    assert run_with_injected_code(
        hub, "doctor", "--fix", code=code, nth=OPEN_UNDER_LOCK, opened="a/state.json"
    ) == (Result(0, "1 session, 1 worktree: no problems found\n"))
    assert state.read_text() == changed_state


@pytest.mark.parametrize("packed", [False, True])
def test_rescue_ref_deleted_before_the_lock(hub: Hub, *, packed: bool) -> None:
    hub.session("a", agents=1)
    ref = "refs/hub/rescue/a/agent-1/attempt-1/1"
    hub.git("update-ref", ref, "HEAD")
    if packed:
        hub.git("pack-refs", "--all")
    [finding] = hub.json("doctor", code=1)["findings"]
    assert (finding["code"], finding["subject"]) == ("rescue-unrecorded", ref)
    before = hub.state("a")
    code = f"subprocess.run(['git', 'update-ref', '-d', {ref!r}], check=True)"
    assert run_with_injected_code(
        hub, "doctor", "--fix", code=code, nth=OPEN_UNDER_LOCK, opened="a/state.json"
    ) == (Result(0, "1 session, 1 worktree: no problems found\n"))
    assert hub.state("a") == before


def test_branch_created_before_the_lock(hub: Hub) -> None:
    """The state is guessed from the branches that exist under the lock."""
    hub.session("a")
    state = hub.directory("a") / "state.json"
    state.write_text(json.dumps({**hub.state("a"), "state": "unheard", "history": []}))
    make = "subprocess.run(['git', 'branch', 'hub/a/agent-1/attempt-1'], check=True)"
    result = run_with_injected_code(
        hub, "doctor", "--fix", code=make, nth=OPEN_UNDER_LOCK, opened="a/state.json"
    )
    assert result.code == 0, result
    assert hub.state("a")["state"] == "running"


def test_state_of_a_merged_session(hub: Hub) -> None:
    """`merge` leaves the branch of the winner, whose commits the base branch has."""
    create_evaluated_session(hub)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    (hub.directory("s1") / "state.json").write_text("{")
    assert hub.run("doctor", "--fix").code == 0
    assert hub.state("s1")["state"] == "merged"
    assert hub.run("doctor").code == 0


def test_finding_that_appears_after_a_fix(hub: Hub) -> None:
    """The owner of the detached worktree is found only after state.json was fixed."""
    hub.session("a")
    assert hub.run("spawn", "-q", "a").code == 0
    worktree = Path(hub.run("path", "a", "1").out.strip())
    hub.git("switch", "-q", "--detach", cwd=worktree)
    (hub.top / ".git" / "worktrees" / "agent-1" / "locked").write_text("initializing")
    (worktree / ".git").unlink()
    (hub.directory("a") / "state.json").write_text("{")
    findings = hub.json("doctor", "--fix", code=0)["findings"]
    assert [(finding["code"], finding["fixed"]) for finding in findings] == [
        ("state-damaged", True),
        ("worktree-half-added", True),
    ]
    assert not (hub.top / ".git" / "worktrees").exists()
