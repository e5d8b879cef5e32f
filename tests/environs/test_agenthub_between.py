"""AgentHub's own script, an agent or a person is at work between any two steps of a tournament: it goes on to its end."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.environs.test_between import MEASURE, OTHERS, TRAPS, Change, place, to_the_end, typed
from tests.hub import PYTHON, Hub, new_hub, peer, snapshot
from tests.interposed import LONG, Template
from tests.invariants import lost, reachable, whole

Record = Callable[[str, object], None]
BEGIN = [
    f"init -q --id s1 --task t --agents 2 {shlex.join(MEASURE)}",
    "spawn s1",
    "exec s1 -- true",
    "",  # the agents work
    "cleanup s1",
    "restore s1",
    f"eval {shlex.join(MEASURE)} s1",
]
ENDS = {
    "merged": ["merge --yes s1", "cleanup --archive s1"],
    "archived": ["archive s1", "restore s1", "cleanup --archive s1"],
}
# All that session_manager.py does, as what is typed after it, one call after another.
CALLS: Mapping[str, tuple[str, ...]] = {
    "looks": ("--list", "--list --format json", "--status s1", "--status s1 --format json"),
    "demo": ("--demo",),
    "says init": ("--update s1 --state init",),
    "says running": ("--update s1 --state running",),
    "says evaluating": ("--update s1 --state running", "--update s1 --state evaluating"),
    "says merged": tuple(f"--update s1 --state {to}" for to in ("running", "evaluating", "merged")),
    "says archived": tuple(
        f"--update s1 --state {to}" for to in ("running", "evaluating", "archived")
    ),
    "cleans up": ("--cleanup s1",),
    "cleans up and says merged": (
        "--cleanup s1",
        *(f"--update s1 --state {to}" for to in ("running", "evaluating", "merged")),
    ),
}



@pytest.fixture
def world(tmp_path: Path, environ: Mapping[str, str]) -> Hub:
    """A repository in a directory of its own, with the worktrees beside it."""
    (tmp_path / "world").mkdir()
    hub = new_hub(tmp_path / "world" / "project", environ)
    hub.git("branch", "release")
    hub.commit(hub.top, "early", "early\n")
    return hub


class Tournament:
    """A tournament of two agents that somebody else is at, and what came of that."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.told: Counter[str] = Counter()

    def step(self, line: str) -> None:
        """Take it; a session that somebody ended refuses it, and says what can be done instead."""
        if not line:
            work(self.hub)
            return
        words = shlex.split(line)
        if words[0] == "init" or self.hub.state()["state"] not in ENDS:
            to_the_end(self.hub, *words, told=self.told)
            return
        result = self.hub.run(*words)
        if result.code:
            assert (result.code, result.out, result.err.count("error: ")) == (1, "", 1), result
            self.told["errors"] += 1
            self.type(result.err.partition("hint: ")[2].rstrip(), line)

    def type(self, hint: str, where: str) -> None:
        """What was said to type works."""
        way = typed(hint, ())
        assert way, f"a dead end: {where}: {hint}"
        done = self.hub.call(*way)
        assert done.code == 0, (where, way, done)
        self.told["hints"] += 1

    def disturb(self, change: Change, rest: list[str]) -> None:
        """Somebody does the change; all that was kept then is kept in the end, and the hub is in order."""
        hub = self.hub
        before = snapshot(hub.top.parent)
        change(hub)
        if snapshot(hub.top.parent) == before:
            self.told["without effect"] += 1
            return
        self.told["interventions"] += 1
        commits, texts = reachable(hub), kept(hub)
        for line in rest:
            self.step(line)
        self.doctor()
        assert lost(hub, texts) == []
        whole(hub, commits=commits, gaps=True)
        for words in ("list", "status s1", "log s1", "board list"):
            assert hub.run(*words.split()).code == 0, words
        script = peer()
        for words in ("--list", "--status s1") if script else ():
            assert hub.call(PYTHON, "-I", str(script), *words.split()).code == 0, words

    def doctor(self) -> None:
        """All that it finds is mended by it, or by what it says to type."""
        findings = []
        for _ in range(4):
            answer = self.hub.run("doctor", "--fix", "--format=json")
            findings = [one for one in json.loads(answer.out)["findings"] if not one["fixed"]]
            if not findings:
                return
            for one in findings:
                if typed(one["advice"], ()):
                    self.type(one["advice"], one["code"])
        assert not findings, findings


def work(hub: Hub) -> None:
    """Each agent that has a worktree commits something, and leaves two files uncommitted."""
    for agent in (1, 2):
        where = place(hub, agent)
        if where.exists():
            hub.commit(where, "file", "x\n" * 10 * agent)
            (where / "new").write_text(f"new of {agent}\n")
            (where / "sub" / "other").write_text(f"changed by {agent}\n")


def kept(hub: Hub) -> list[str]:
    """What the agents have not committed, and nobody has deleted so far."""
    texts = [f"{text} {agent}\n" for agent in (1, 2) for text in ("new of", "changed by")]
    return sorted({*texts} - {*lost(hub, texts)})


def walk(hub: Hub, end: str, change: Change, record: Record, moments: Collection[int]) -> None:
    """The tournament to one of its ends; at each of the moments it is disturbed, and then put back."""
    tournament, steps = Tournament(hub), [*BEGIN, *ENDS[end]]
    for at, line in enumerate(steps):
        tournament.step(line)
        if at in moments:
            template = Template(hub, [hub.top.parent])
            tournament.disturb(change, steps[at + 1 :])
            template.put_back()
    assert hub.state()["state"] == end
    for kind, count in tournament.told.items():
        record(f"between two steps: {kind}", count)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("what", CALLS)
def test_agenthubs_script_is_at_work_in_between(
    world: Hub, script: Path, record_property: Record, what: str, end: str
) -> None:
    def calls(hub: Hub) -> None:
        for line in CALLS[what]:
            done = hub.call(PYTHON, "-I", script, *line.split())
            assert "Traceback" not in done.err, done
        listed = json.loads(hub.call(PYTHON, "-I", script, "--list", "--format", "json").out)
        assert [one["state"] for one in listed["sessions"]] == [hub.state()["state"]]

    walk(world, end, calls, record_property, range(20))


@pytest.mark.parametrize("what", {**TRAPS, **OTHERS})
def test_somebody_deletes_and_edits_in_between(
    world: Hub, record_property: Record, what: str
) -> None:
    def changes(hub: Hub) -> None:
        # It is not always there, and git refuses some of it: what was done by then counts.
        with suppress(FileNotFoundError, AssertionError):
            {**TRAPS, **OTHERS}[what](hub)

    number = [*TRAPS, *OTHERS].index(what)
    walk(world, [*ENDS][number % 2], changes, record_property, range(20))
