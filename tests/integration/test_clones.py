"""Clones that change one session at the same time end in one identical state."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.clones import (
    add_clone,
    bare_remote,
    connect,
    merge_different_winners,
    shared_files,
)
from tests.support.hints import find_hint, hints, type_hint, types
from tests.support.hub import Hub, Result
from tests.support.interrupt import DIE, LONG, run_with_injected_code

Step = Callable[[Hub, random.Random], object]

_SEEDS = range(100) if LONG else range(2)
_STEPS = 20
_NEXT = ("--max", "1", "s1", "--")


def _commit(hub: Hub, choice: random.Random) -> None:
    """Add a commit to a branch of an agent, as a worker does. Each clone has its own agents."""
    number = 1 + int(hub.environ["CLONE"])
    ref = f"refs/heads/hub/s1/agent-{number}/attempt-1"
    tip = hub.refs("refs/heads").get(ref)
    if tip is None:
        return
    tree = hub.git("write-tree")
    text = str(choice.random())
    oid = hub.git("commit-tree", tree, "-p", tip, "-m", text)
    hub.git("update-ref", ref, oid, tip)


def _post(hub: Hub, choice: random.Random) -> None:
    author = f"ada-{hub.environ['CLONE']}"
    text = str(choice.random())
    hub.run("board", "post", "results", "--session", "s1", "--author", author, "-m", text)


def _record_result(hub: Hub, choice: random.Random) -> None:
    """Change the entry of an agent, as a run does."""
    if not (hub.directory() / "state.json").exists():
        return
    state = hub.state()
    number = choice.randrange(1, 4)
    agent = state["agents"].get(f"agent-{number}")
    if agent:
        agent["status"] = choice.choice(["ready", "done", "failed"])
        agent["exec"] = {"run": "exec-1", "exit_code": choice.randrange(9)}
        (hub.directory() / "state.json").write_text(json.dumps(state))


def _kill(hub: Hub, choice: random.Random) -> None:
    """Kill push, fetch or a worker before one of its changes."""
    command = choice.choice([("push", "s1"), ("fetch", "s1"), ("work", *_NEXT, "true")])
    run_with_injected_code(hub, *command, code=DIE, nth=choice.randrange(1, 16))


def _work(hub: Hub, choice: random.Random) -> None:
    """Claim an agent, and publish a commit in its next attempt. Take over the claim of a kill."""
    text = str(choice.random())
    hub.run("work", *_NEXT, "git", "commit", "-q", "--allow-empty", "-m", text)


def _advance(hub: Hub, choice: random.Random) -> None:
    state = choice.choice(["running", "evaluating", "merged", "archived"])
    hub.run("update", "s1", "--state", state)


STEPS: tuple[Step, ...] = (
    _commit,
    _post,
    _record_result,
    _advance,
    lambda hub, _: hub.run("push", "s1"),
    lambda hub, _: hub.run("push", "s1"),
    lambda hub, _: hub.run("fetch", "s1"),
    _work,
    lambda hub, _: hub.run("spawn", "s1"),
    lambda hub, _: hub.run("cleanup", "s1"),
    lambda hub, _: hub.run("archive", "s1"),
    lambda hub, _: hub.run("eval", "s1", "--eval", "true", "--metric", ""),
    _kill,
)


def _clones(hub: Hub, count: int) -> list[Hub]:
    remote = bare_remote(hub)
    first = connect(hub, str(remote), {"CLONE": "0"})
    first.run("init", "-q", "--id", "s1", "--task", "x", "--agents", "3")
    first.run("push")
    others = [
        add_clone(first, f"clone-{number}", str(remote), {"CLONE": str(number)})
        for number in range(1, count)
    ]
    for other in others:
        other.run("fetch")
    return [first, *others]


def _push_merged(hub: Hub) -> Result:
    """Push the session. Follow the hints to merge a branch to which both sides have added."""
    pushed = hub.run("push", "s1")
    for _ in range(_STEPS):
        commands = [line for line in hints(pushed) if " merge " in line]
        if not commands:
            break
        for command in commands:
            assert hub.call("sh", "-c", command).code == 0, command
        pushed = hub.run("push", "s1")
    return pushed


@pytest.mark.parametrize("seed", _SEEDS)
def test_random_steps_end_in_one_state(hub: Hub, seed: int, tmp_path: Path) -> None:
    choice = random.Random(seed)
    clones = _clones(hub, choice.randrange(2, 6 if LONG else 4))
    posts = set()
    remote = Hub(hub.top.parent / "shared.git", hub.environ)
    tips: set[str] = set()
    for _ in range(_STEPS):
        before = remote.refs("refs/heads/hub")
        clone = choice.choice(clones)
        choice.choice(STEPS)(clone, choice)
        tips |= {*clone.refs("refs/heads/hub").values()}
        after = remote.refs("refs/heads/hub")
        for ref, tip in before.items():  # git fails if the branch was forced or deleted
            remote.git("merge-base", "--is-ancestor", tip, after[ref])
    for clone in clones:
        posts |= {path.read_bytes() for path in clone.top.glob(".agenthub/board/*/*.md")}
    for clone in [*clones, *clones]:  # the first round collects, the second one distributes
        clone.run("fetch", "s1")
        pushed = _push_merged(clone)
        assert pushed.code == 0, (seed, pushed)
    first = shared_files(clones[0])
    for clone in clones:
        assert shared_files(clone) == first, seed
        shown = {path.read_bytes() for path in clone.top.glob(".agenthub/board/*/*.md")}
        assert posts <= shown, seed
        assert clone.state()["state"] == json.loads(first["state.json"])["state"]
        found = clone.run("doctor", "--format=json", "s1").out
        codes = {finding["code"] for finding in json.loads(found)["findings"]}
        assert codes <= {"worktree-of-finished"}, (seed, found)
    # No commit is lost: the remote has each tip, or a later one.
    for tip in tips:
        assert remote.git("for-each-ref", f"--contains={tip}"), (seed, tip)


def test_two_endings_are_shown_and_settled(hub: Hub) -> None:
    first, second = _clones(hub, 2)
    for clone, state in ((first, "merged"), (second, "archived")):
        for step in ("running", "evaluating", state):
            clone.run("update", "s1", "--state", step)
    assert first.run("push").err == ""
    pushed = second.run("push")
    sentence = (
        "one clone has merged the session, and another clone has archived it; "
        "to keep 'merged': git hub-session update --resolve merged s1"
    )
    assert (pushed.code, pushed.err) == (0, f"warning: session 's1': {sentence}\n")
    assert first.run("fetch").err == f"warning: session 's1': {sentence}\n"
    assert f"  Conflict: {sentence}\n" in first.run("status", "s1").out
    assert first.run("doctor", "s1").code == 0
    assert second.json("status", "s1")["conflict"] is True
    result = second.run("update", "--resolve", "archived", "s1")
    assert (result.code, second.state()["state"]) == (0, "archived")
    assert second.json("status", "s1")["unpushed"] == ["origin"]
    assert second.run("push").err == ""
    assert first.run("fetch").err == ""
    assert (first.state()["state"], first.run("doctor", "s1").code) == ("archived", 0)
    assert second.json("status", "s1")["unpushed"] == []
    states = {step["to"] for step in first.state()["history"]}
    assert states == {"running", "evaluating", "merged", "archived"}


@types("git hub-session update --resolve merged --winner {} {}")
def test_two_winners_are_shown_and_settled(hub: Hub) -> None:
    first, second = _clones(hub, 2)
    merge_different_winners(first, second)
    merges = [clone.state()["merge"] for clone in (first, second)]
    assert first.run("push").err == ""
    pushed = second.run("push")
    shown = [f"agent-{m['agent']}/attempt-1 in main ({m['commit'][:12]})" for m in merges]
    command = "git hub-session update --resolve merged --winner agent-1/attempt-1 s1"
    sentence = (
        f"clones have merged different winners: {', '.join(shown)}; "
        f"to keep agent-1/attempt-1: {command}"
    )
    assert (pushed.code, pushed.err) == (0, f"warning: session 's1': {sentence}\n")
    assert first.run("fetch").err == f"warning: session 's1': {sentence}\n"
    keys = ("agent", "attempt", "tip", "into", "commit")
    listed = [{key: merge[key] for key in keys} for merge in merges]
    for clone in (first, second):
        assert f"  Conflict: {sentence}\n" in clone.run("status", "s1").out
        status = clone.json("status", "s1")
        assert (status["conflict"], status["merges"]) == (True, listed)
        [row] = clone.json("push", "s1")["sessions"]
        assert (row["conflict"], row["merges"]) == (True, listed)
        found = {
            finding["code"]
            for finding in json.loads(clone.run("doctor", "--format=json").out)["findings"]
        }
        assert found <= {"worktree-of-finished"}
    refused = second.run("update", "--resolve", "merged", "s1")
    assert refused == Result(
        1,
        "",
        "error: clones have merged different winners: 'agent-1/attempt-1', 'agent-2/attempt-1'\n"
        f"hint: {command}\n",
    )
    assert second.run("update", "--resolve", "merged", "--winner", "3", "s1").err == (
        "error: 'agent-3' is not one of several merged winners:"
        " 'agent-1/attempt-1', 'agent-2/attempt-1'\n"
    )
    type_hint(second, find_hint(refused, "git hub-session update --resolve merged --winner {} {}"))
    assert second.run("push").err == ""
    assert first.run("fetch").err == ""
    for clone in (first, second):
        assert clone.state()["merge"] == merges[0]
        status = clone.json("status", "s1")
        assert (status["conflict"], status["merges"], status["unpushed"]) == (False, [], [])
    assert shared_files(first) == shared_files(second)
    again = first.run("update", "--resolve", "merged", "--winner", "agent-2", "s1")
    assert (again.code, first.state()["merge"]) == (0, merges[1])


def test_a_session_with_one_ending_has_nothing_to_settle(hub: Hub) -> None:
    hub.session("s1")
    result = hub.run("update", "--resolve", "merged", "s1")
    assert (result.code, result.err) == (
        1,
        "error: nothing to settle: session 's1' was not both merged and archived\n",
    )
