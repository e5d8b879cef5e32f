"""AgentHub's script, another tool or a user changes a session between two steps.

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
FIRST_STEPS = [
    f"init -q --id s1 --task t --agents 2 {shlex.join(MEASURE)}",
    "spawn s1",
    "exec s1 -- true",
    "",  # the agents make commits and changes (create_work)
    "cleanup s1",
    "restore s1",
    f"eval {shlex.join(MEASURE)} s1",
]
LAST_STEPS = {
    "merged": ["merge --yes s1", "cleanup --archive s1"],
    "archived": ["archive s1", "restore s1", "cleanup --archive s1"],
}
# The calls of session_manager.py between two steps.
AGENTHUB_CALLS: Mapping[str, tuple[str, ...]] = {
    "only reads": (
        "--list",
        "--list --format json",
        "--status s1",
        "--status s1 --format json",
        "--demo",
    ),
    "sets init": ("--update s1 --state init",),
    "sets running": ("--update s1 --state running",),
    "sets evaluating": ("--update s1 --state running", "--update s1 --state evaluating"),
    "sets merged": tuple(f"--update s1 --state {to}" for to in ("running", "evaluating", "merged")),
    "sets archived": tuple(
        f"--update s1 --state {to}" for to in ("running", "evaluating", "archived")
    ),
    "cleans up": ("--cleanup s1",),
    "cleans up and sets merged": (
        "--cleanup s1",
        *(f"--update s1 --state {to}" for to in ("running", "evaluating", "merged")),
    ),
}


@pytest.fixture
def isolated_hub(tmp_path: Path, environ: Mapping[str, str]) -> Hub:
    """Create a repository in its own directory, which also contains its worktrees."""
    (tmp_path / "world").mkdir()
    hub = new_hub(tmp_path / "world" / "project", environ)
    hub.git("branch", "release")
    hub.commit(hub.top, "early", "early\n")
    return hub


class DisturbedSession:
    """A session of two agents that another tool disturbs, and the counts of errors and hints."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.counts: Counter[str] = Counter()

    def run_step(self, line: str) -> None:
        """Run one step. If another tool has set a final state, follow the hint of the error."""
        if not line:
            create_work(self.hub)
            return
        result = self.hub.run(*shlex.split(line))
        if re.match("error: (session 's1' is '|cannot go from ')(merged|archived)'", result.err):
            assert (result.code, result.out) == (1, "")
            self.counts["errors"] += 1
            self.run_hint(result.err.partition("hint: ")[2].rstrip(), line)
        elif result.code:
            run_with_hints(self.hub, *shlex.split(line), counts=self.counts)

    def run_hint(self, hint: str, step: str) -> None:
        """Run the command of a hint, which must succeed."""
        command = hint_command(hint, ())
        assert command, f"the hint has no command: {step}: {hint}"
        self.counts["hints"] += 1
        followed = re.match("git hub-session (.*)", command[-1])
        if followed:
            run_with_hints(self.hub, *shlex.split(followed[1]), counts=self.counts)
        else:
            assert self.hub.call(*command).code == 0, (step, command)

    def disturb(self, change: Change, remaining: list[str]) -> None:
        """Apply the change and run the remaining steps. No work is lost, and the hub stays valid."""
        hub = self.hub
        before = snapshot(hub.top.parent)
        change(hub)
        if snapshot(hub.top.parent) == before:
            self.counts["without effect"] += 1
            return
        self.counts["interventions"] += 1
        commits, texts = reachable_commits(hub), kept_contents(hub)
        for line in remaining:
            self.run_step(line)
        assert hub.state()["state"] in LAST_STEPS or not {"merge --yes s1", "archive s1"} & {
            *remaining
        }
        self.run_doctor()
        assert lost_contents(hub, texts) == []
        check_repository(hub, commits=commits, gaps=True)
        for arguments in ("list", "status s1", "log s1", "board list"):
            assert hub.run(*arguments.split()).code == 0, arguments
        script = peer()
        for arguments in ("--list", "--status s1") if script else ():
            assert hub.call(PYTHON, "-I", str(script), *arguments.split()).code == 0, arguments

    def run_doctor(self) -> None:
        """Run the doctor and the commands that it prints until it finds nothing."""
        findings = []
        for _ in range(4):
            result = self.hub.run("doctor", "--fix", "--format=json")
            findings = [
                finding for finding in json.loads(result.out)["findings"] if not finding["fixed"]
            ]
            if not findings:
                return
            for finding in findings:
                if hint_command(finding["advice"], ()):
                    self.run_hint(finding["advice"], finding["code"])
        assert not findings, findings


def create_work(hub: Hub) -> None:
    """Create a commit and two uncommitted changes in each agent's worktree."""
    for agent in (1, 2):
        worktree = worktree_path(hub, agent)
        if hub.call("git", "-C", worktree, "rev-parse").code == 0:
            hub.commit(worktree, "file", "x\n" * 10 * agent)
            (worktree / "new").write_text(f"new of {agent}\n")
            (worktree / "sub" / "other").write_text(f"changed by {agent}\n")


def kept_contents(hub: Hub) -> list[str]:
    """Return the uncommitted contents that still exist."""
    texts = [f"{text} {agent}\n" for agent in (1, 2) for text in ("new of", "changed by")]
    return sorted({*texts} - {*lost_contents(hub, texts)})


def run_disturbed_session(
    hub: Hub, final_state: str, change: Change, record: Record
) -> Counter[str]:
    """Run a session to a final state, with disturbances after some steps, and return the counts.

    After a disturbance, finish the session, then restore all files and continue undisturbed.
    """
    session, steps = DisturbedSession(hub), [*FIRST_STEPS, *LAST_STEPS[final_state]]
    disturbed_steps = sample(len(steps), short=2)
    for number, line in enumerate(steps, 1):
        session.run_step(line)
        if number in disturbed_steps:
            template = Template(hub, [hub.top.parent])
            session.disturb(change, steps[number:])
            template.restore()
    assert hub.state()["state"] == final_state
    for kind, count in session.counts.items():
        record(f"between two steps: {kind}", count)
    return session.counts


@pytest.mark.parametrize(
    ("name", "final_state"),
    [
        (name, final_state)
        for name in AGENTHUB_CALLS
        for final_state in LAST_STEPS
        if LONG or (name, final_state) in (("sets evaluating", "merged"), ("cleans up", "archived"))
    ],
)
def test_agenthub_script_between_the_steps(
    isolated_hub: Hub, script: Path, record_property: Record, name: str, final_state: str
) -> None:
    """The script may end the session. All work is kept, and later steps print how to continue."""

    def call_script(hub: Hub) -> None:
        for line in AGENTHUB_CALLS[name]:
            result = hub.call(PYTHON, "-I", script, *line.split())
            assert "Traceback" not in result.err, result
        listing = json.loads(hub.call(PYTHON, "-I", script, "--list", "--format", "json").out)
        assert [row["state"] for row in listing["sessions"]] == [hub.state()["state"]]

    counts = run_disturbed_session(isolated_hub, final_state, call_script, record_property)
    assert (counts["interventions"] == 0) == (name in ("only reads", "sets init"))


@pytest.mark.parametrize("name", CHANGES if LONG else ["state evaluating", "status spawning"])
def test_other_changes_between_the_steps(
    isolated_hub: Hub, record_property: Record, name: str
) -> None:
    """The changes of test_interventions.py, after several steps."""

    def try_change(hub: Hub) -> None:
        # The file or ref may be missing, or git may refuse: keep the changes before the error.
        with suppress(FileNotFoundError, KeyError, AssertionError):
            CHANGES[name](hub)

    final_state = [*LAST_STEPS][[*CHANGES].index(name) % 2]
    assert run_disturbed_session(isolated_hub, final_state, try_change, record_property)[
        "interventions"
    ]
