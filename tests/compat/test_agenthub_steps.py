"""AgentHub's own script, another tool or a user changes a session between two steps.

The session can still be finished, and no work is lost.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.hub import PYTHON, Hub, new_hub, peer, snapshot
from tests.support.interrupt import LONG, Template, sample
from tests.support.interventions import (
    COMMON_CHANGES,
    MEASURE,
    RARE_CHANGES,
    Change,
    hint_command,
    run_with_hints,
    worktree_path,
)
from tests.support.invariants import check_repository, lost_contents, reachable_commits

CHANGES = {**COMMON_CHANGES, **RARE_CHANGES}
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
# The calls of session_manager.py between two steps.
CALLS: Mapping[str, tuple[str, ...]] = {
    "looks": (
        "--list",
        "--list --format json",
        "--status s1",
        "--status s1 --format json",
        "--demo",
    ),
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
    """A repository in its own directory, with its worktrees beside it."""
    (tmp_path / "world").mkdir()
    hub = new_hub(tmp_path / "world" / "project", environ)
    hub.git("branch", "release")
    hub.commit(hub.top, "early", "early\n")
    return hub


class Tournament:
    """A session of two agents that another tool changes, and the counts of errors and hints."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.counts: Counter[str] = Counter()

    def step(self, line: str) -> None:
        """Run one step. If the session was ended by the other tool, follow the hint of the error."""
        if not line:
            work(self.hub)
            return
        result = self.hub.run(*shlex.split(line))
        if re.match("error: (session 's1' is '|cannot go from ')(merged|archived)'", result.err):
            assert (result.code, result.out) == (1, "")
            self.counts["errors"] += 1
            self.type(result.err.partition("hint: ")[2].rstrip(), line)
        elif result.code:
            run_with_hints(self.hub, *shlex.split(line), counts=self.counts)

    def type(self, hint: str, step: str) -> None:
        """Run the command of a hint. It must succeed."""
        way = hint_command(hint, ())
        assert way, f"a dead end: {step}: {hint}"
        self.counts["hints"] += 1
        again = re.match("git hub-session (.*)", way[-1])
        if again:
            run_with_hints(self.hub, *shlex.split(again[1]), counts=self.counts)
        else:
            assert self.hub.call(*way).code == 0, (step, way)

    def disturb(self, change: Change, rest: list[str]) -> None:
        """Apply the change and run the remaining steps: nothing is lost, and the hub is valid."""
        hub = self.hub
        before = snapshot(hub.top.parent)
        change(hub)
        if snapshot(hub.top.parent) == before:
            self.counts["without effect"] += 1
            return
        self.counts["interventions"] += 1
        commits, texts = reachable_commits(hub), kept(hub)
        for line in rest:
            self.step(line)
        assert hub.state()["state"] in ENDS or not {"merge --yes s1", "archive s1"} & {*rest}
        self.doctor()
        assert lost_contents(hub, texts) == []
        check_repository(hub, commits=commits, gaps=True)
        for words in ("list", "status s1", "log s1", "board list"):
            assert hub.run(*words.split()).code == 0, words
        script = peer()
        for words in ("--list", "--status s1") if script else ():
            assert hub.call(PYTHON, "-I", str(script), *words.split()).code == 0, words

    def doctor(self) -> None:
        """Run the doctor and the commands that it prints until it finds nothing."""
        findings = []
        for _ in range(4):
            answer = self.hub.run("doctor", "--fix", "--format=json")
            findings = [
                finding for finding in json.loads(answer.out)["findings"] if not finding["fixed"]
            ]
            if not findings:
                return
            for finding in findings:
                if hint_command(finding["advice"], ()):
                    self.type(finding["advice"], finding["code"])
        assert not findings, findings


def work(hub: Hub) -> None:
    """Make a commit and two uncommitted files in each agent's worktree."""
    for agent in (1, 2):
        worktree = worktree_path(hub, agent)
        if hub.call("git", "-C", worktree, "rev-parse").code == 0:
            hub.commit(worktree, "file", "x\n" * 10 * agent)
            (worktree / "new").write_text(f"new of {agent}\n")
            (worktree / "sub" / "other").write_text(f"changed by {agent}\n")


def kept(hub: Hub) -> list[str]:
    """Return the uncommitted contents that still exist."""
    texts = [f"{text} {agent}\n" for agent in (1, 2) for text in ("new of", "changed by")]
    return sorted({*texts} - {*lost_contents(hub, texts)})


def walk(hub: Hub, end: str, change: Change, record: Record) -> Counter[str]:
    """Play a session to one of its ends, disturb it after some steps, and return the counts.

    After each disturbed run the session is restored and goes on undisturbed.
    """
    tournament, steps = Tournament(hub), [*BEGIN, *ENDS[end]]
    moments = sample(len(steps), short=2)
    for number, line in enumerate(steps, 1):
        tournament.step(line)
        if number in moments:
            template = Template(hub, [hub.top.parent])
            tournament.disturb(change, steps[number:])
            template.restore()
    assert hub.state()["state"] == end
    for kind, count in tournament.counts.items():
        record(f"between two steps: {kind}", count)
    return tournament.counts


@pytest.mark.parametrize(
    ("name", "end"),
    [
        (name, end)
        for name in CALLS
        for end in ENDS
        if LONG or (name, end) in (("says evaluating", "merged"), ("cleans up", "archived"))
    ],
)
def test_agenthub_script_between_the_steps(
    world: Hub, script: Path, record_property: Record, name: str, end: str
) -> None:
    """All work of a session that the script has ended is kept, and later steps are refused."""

    def calls(hub: Hub) -> None:
        for line in CALLS[name]:
            done = hub.call(PYTHON, "-I", script, *line.split())
            assert "Traceback" not in done.err, done
        listed = json.loads(hub.call(PYTHON, "-I", script, "--list", "--format", "json").out)
        assert [row["state"] for row in listed["sessions"]] == [hub.state()["state"]]

    counts = walk(world, end, calls, record_property)
    assert (counts["interventions"] == 0) == (name in ("looks", "says init"))


@pytest.mark.parametrize("name", CHANGES if LONG else ["state evaluating", "status spawning"])
def test_other_changes_between_the_steps(world: Hub, record_property: Record, name: str) -> None:
    """The changes of test_interventions.py, after several steps."""

    def changes(hub: Hub) -> None:
        # The thing to change may be missing, or git may refuse: keep the changes made by then.
        with suppress(FileNotFoundError, KeyError, AssertionError):
            CHANGES[name](hub)

    end = [*ENDS][[*CHANGES].index(name) % 2]
    assert walk(world, end, changes, record_property)["interventions"]
