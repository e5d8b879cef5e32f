"""Kill `run --rounds` between its steps. The commands of the steps finish the rounds.

The next command depends only on the states of the sessions. See test_killed.py for a kill at each
change of the commands that `run` calls.
"""

from __future__ import annotations

import pytest

from tests.support.crash_scenarios import COMMAND, TRACER, can_trace
from tests.support.hub import PYTHON, Hub
from tests.support.measured_sessions import count_worktrees

pytestmark = pytest.mark.skipif(
    not can_trace(), reason="needs ptrace and seccomp, on Linux on x86-64"
)

# An agent that is started again makes the same file.
AGENT = "test $HUB_SESSION_ID = s1 && n=40 || n=30; echo ms: $((n + ${HUB_AGENT#agent-})) >ms"
OPTIONS = ("--agent-cmd", AGENT, "--yes")
RUN = (
    *("run", "-q", "--id", "s1", "--task", "t", "--agents", "2", "--rounds", "2"),
    *("--eval", "cat ms", "--metric", "ms", "--direction", "lower"),
    *OPTIONS,
)
_SESSIONS = "project/.agenthub/sessions"
KILLS = {
    "before the second session": f"renameat {_SESSIONS}/s1-r2",
    "before its worktrees": "mkdir project/.git/worktrees/agent-11",
    "before its agents run": f"mkdirat {_SESSIONS}/s1-r2/output/exec-1",
    "before it is measured": f"mkdirat {_SESSIONS}/s1-r2/output/eval-1",
    "before its branch is merged": "rename project/.git/refs/heads/main",
    "before the first session is archived": "rename project.hub/s1/.agent-1.hub-trash",
}


def states(hub: Hub) -> dict[str, str]:
    """Return the state of each session."""
    return {row["session_id"]: row["state"] for row in hub.json("list")["sessions"]}


def next_command(hub: Hub) -> tuple[str, ...]:
    """Return the command that continues, or () at the end."""
    now = states(hub)
    if "s1-r2" not in now:
        return ("run", "-q", "--after", "s1", *OPTIONS)
    if now["s1-r2"] == "init":
        return ("spawn", "-q", "s1-r2")
    if now["s1-r2"] == "running":
        runs = [agent.get("exec", {}) for agent in hub.state("s1-r2")["agents"].values()]
        if any(run.get("exit_code") != 0 for run in runs):
            return ("exec", "-q", "--commit", "s1-r2", "--", "sh", "-c", AGENT)
        return ("eval", "-q", "--baseline", "measure", "s1-r2")
    if now == {"s1": "archived", "s1-r2": "merged"}:
        return ()
    return ("merge", "-q", "--yes", "s1-r2")


@pytest.mark.parametrize("moment", KILLS)
def test_rounds_after_a_kill(hub: Hub, moment: str) -> None:
    hub.commit(hub.top, "ms", "ms: 50\n")
    run = (PYTHON, "-B", "-I", "-c", COMMAND, *RUN)
    report, top = hub.top.parent / "report", hub.top.parent
    killed = hub.call(PYTHON, "-I", TRACER, report, top, "all", KILLS[moment], *run)
    assert (killed.code, KILLS[moment] in report.read_text()) == (137, True), killed
    for lock in (hub.top / ".git").rglob("*.lock"):
        lock.unlink()
    commands = []
    while command := next_command(hub):
        result = hub.run(*command)
        assert (result.code, result.err) == (0, ""), (command, result)
        commands.append(command[0])
        assert len(commands) <= 4, commands
    check_outcome(hub)


def check_outcome(hub: Hub) -> None:
    """Check that the winner of the second round is merged, and that nothing is left."""
    assert hub.git("show", "main:ms") == "ms: 31"
    assert hub.git("log", "--format=%s", "main^..main") == (
        "hub: merge agent-1 from session s1-r2\nagent-1: t\nagent-1: t"
    )
    tags = ["s1-r2/agent-2", "s1/agent-1", "s1/agent-2"]
    assert hub.git("tag").split() == [f"hub/archive/{tag}" for tag in tags]
    assert hub.git("show", "hub/archive/s1/agent-2:ms") == "ms: 42"
    assert count_worktrees(hub) == 1
    assert hub.git("status", "--porcelain") == ""
    assert hub.run("doctor").code == 0
    hub.git("fsck", "--connectivity-only")
