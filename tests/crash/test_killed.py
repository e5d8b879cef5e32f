"""Kill or interrupt a command at a system call that changes something, or let the call fail.

The command, or a git or a shell that it has started, makes the call. After each fault no work is lost
and every session can be read. The same command then has the result of an undisturbed run. The long
form tests all calls of all scenarios, the short form a few calls of each.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.crash_scenarios import (
    KILLS,
    SCENARIOS,
    SIGNALS,
    TRACER,
    ScenarioRunner,
    can_trace,
    check_result,
)
from tests.support.hints import follow_hint, types
from tests.support.hub import PYTHON, Hub, Result
from tests.support.interrupt import LONG

pytestmark = pytest.mark.skipif(
    not can_trace(), reason="needs ptrace and seccomp, on Linux on x86-64"
)

SHARES = 4 if LONG else 1
# HUB_TEST_LONG=3 tests one third of the calls, for a slow machine.
STRIDE = int(os.environ.get("HUB_TEST_LONG") or 1)
# The long form tests every n-th call of a scenario, where n is the value for the action.
STEPS = {
    "all": 1,
    "alone": 3,
    "ENOSPC": 6,
    "EROFS": 12,
    "EACCES": 12,
    "EIO": 12,
    "once:EIO": 6,
    "INT": 3,
    "INT+INT": 12,
    "TERM": 12,
}
# The calls at which a defect was found and fixed, or a step ends. The short form tests these calls.
_STATE = "project/.agenthub/sessions/s1/.state.json.tmp"
DEFECTS = {
    "init": [
        ("all", "write project/.agenthub/sessions/.s1."),
        ("INT", "renameat project/.agenthub/sessions/s1"),
    ],
    "init --adopt": [
        ("all", "write project/.agenthub/sessions/.s1."),
        ("INT", "renameat project/.agenthub/sessions/s1"),
        ("ENOSPC", "write project/.agenthub/sessions/.s1."),
    ],
    "update": [("all", f"write {_STATE}"), ("once:EIO", f"fsync {_STATE}")],
    "post": [("alone", "renameat project/.agenthub/board/_index.json")],
    "spawn": [
        ("all", "write project/.git/worktrees/agent-1/locked"),
        ("alone", "mkdir project/.git/logs/refs/heads/hub/s1/agent-2"),
        ("alone", "openat project/.git/worktrees/agent-1/gitdir"),
        ("once:EIO", "write project/.git/worktrees/agent-2/gitdir"),
        ("INT", "rename project/.git/worktrees/agent-1/ORIG_HEAD"),
    ],
    "cleanup": [("ENOSPC", f"openat {_STATE}"), ("EIO", "unlinkat project.hub")],
    "cleanup --archive": [("all", "write project/.git/packed-refs.new")],
    "merge": [
        ("all", "write project/file"),
        ("all", "renameat project/.git/index"),
        ("all", "rename project/.git/ORIG_HEAD"),
        ("alone", "rename project/.git/refs/heads/main"),
        ("alone", "write project/more/new"),
        ("alone", "write project/.git/logs/HEAD"),
    ],
    "merge --rebase": [
        ("all", "write project/file"),
        ("alone", "rename project/.git/refs/heads/main"),
    ],
    "merge --ff": [
        ("all", "write project/more/new"),
        ("all", "renameat project/.git/index"),
    ],
    "merge after s1": [
        ("all", "rename project/.git/refs/tags/hub/archive/s1/agent-1"),
        ("all", f"write {_STATE}"),
    ],
    "archive after s1": [("all", "rename project/.git/refs/tags/hub/archive/s2/agent-1")],
    "init --after": [("EIO", "renameat project/.agenthub/sessions/s2")],
    "merge --into": [("ENOSPC", "openat project/.git/refs/heads/aside.lock")],
    "archive": [("alone", "rename project/.git/refs/tags/hub/archive/s1/agent-1")],
    "adopt": [
        ("all", "rename project/.git/worktrees/agent-1/HEAD"),
        ("alone", "rename project/.git/worktrees/agent-1/HEAD"),
        ("all", f"write {_STATE}"),
        ("EIO", "rename project/.git/worktrees/agent-1/HEAD"),
    ],
    "adopt a branch": [
        ("all", f"write {_STATE}"),
        ("all", "write project/.git/worktrees/agent-2-2/locked"),
    ],
    "delete": [],
    "prune": [
        ("all", "unlink project/.git/refs/hub/archive/s1/agent-1/attempt-1/1"),
        ("all", "unlink project/.git/refs/tags/hub/archive/s1/agent-1"),
        ("alone", "unlink project/.git/refs/hub/rescue/s1/agent-1/attempt-1/1"),
        ("all", "rmdir project/.git/refs/tags/hub"),
        ("ENOSPC", "openat project/.git/packed-refs.lock"),
    ],
    "restore": [
        ("all", "write project/.git/worktrees/agent-1/locked"),
        ("all", "write project/.git/worktrees/agent-1/commondir"),
        ("INT", "write project.hub/s1/agent-2/more/new"),
        ("INT+INT", "mkdir project.hub/s1/agent-1/sub"),
    ],
}


def fault_points(runner: ScenarioRunner, name: str, share: int) -> Iterator[tuple[str, int | str]]:
    """Yield each action of one share of a test, and the call before which it happens."""
    if LONG:
        for action, step in STEPS.items():
            last, stride = len(runner.calls(action)), step * STRIDE
            yield from (
                (action, number) for number in range(1 + share * stride, last + 1, SHARES * stride)
            )
        return
    calls = runner.calls("all")
    if len(calls) < 20:
        yield from (("all", number) for number in range(1, len(calls) + 1))
    yield from DEFECTS[name]
    # Also test one call, which has another number in each scenario.
    yield "all", 1 + sum(name.encode()) % len(calls)


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_any_call(
    hub: Hub, name: str, share: int, record_property: Callable[[str, object], None]
) -> None:
    runner = ScenarioRunner(hub, SCENARIOS[name])
    assert len(runner.calls("all")) >= SCENARIOS[name].calls
    counts = {"kill points": 0, "signals": 0, "faults": 0, "lock files of a killed git": 0}
    for action, call in fault_points(runner, name, share):
        runner.restore()
        result = runner.run_traced(action, call)
        fault = f"{action} before {call}"
        if isinstance(call, int):
            fault += f": {runner.calls(action)[call - 1]}"
        check_result(result, action, fault)
        assert action not in SIGNALS or not runner.late_changes(), fault
        runner.check()
        counts["lock files of a killed git"] += runner.finish()
        kind = "signals" if action in SIGNALS else "faults"
        counts["kill points" if action in KILLS else kind] += 1
    assert counts["kill points"] or STRIDE > 1
    for kind, count in counts.items():
        record_property(kind, count)


def test_undo_of_a_killed_merge_keeps_the_files_of_a_user(hub: Hub) -> None:
    """The undo removes only files that the killed git wrote, and follows no symbolic link."""
    runner = ScenarioRunner(hub, SCENARIOS["merge"])
    cannot_update = f"error: git cannot update '{hub.top}', where 'main' is checked out: "
    # Use the text of the call: its number depends on the number of earlier calls.
    killed = runner.run_traced("all", "git write project/more/new")
    assert killed == Result(137), killed
    remove_git_locks(hub)
    (hub.top / "more" / "new").unlink()
    (hub.top / "more").rmdir()
    outside = hub.top.parent / "elsewhere"
    outside.mkdir()
    (outside / "new").write_text("")
    (hub.top / "more").symlink_to(outside)
    refused = runner.call(*runner.scenario.arguments)
    assert (refused.code, refused.out) == (1, ""), refused
    assert refused.err.startswith(cannot_update), refused
    assert (outside / "new").exists()
    (hub.top / "more").unlink()
    (hub.top / "more").mkdir()
    (hub.top / "more" / "new").write_text("mine\n")
    (hub.top / "file").write_text("mine too\n")
    refused = runner.call(*runner.scenario.arguments)
    assert (refused.code, refused.out) == (1, ""), refused
    assert refused.err.startswith(cannot_update), refused
    assert (hub.top / "more" / "new").read_text() == "mine\n"
    assert (hub.top / "file").read_text() == "mine too\n"
    (hub.top / "more" / "new").unlink()
    hub.git("checkout", "--", "file")
    runner.finish()


def test_killed_merge_is_not_undone_over_a_changed_file(hub: Hub) -> None:
    """git was killed after it had written the index and before it updated the branch."""
    runner = ScenarioRunner(hub, SCENARIOS["merge"])
    killed = runner.run_traced("all", "rename project/.git/refs/heads/main")
    assert killed == Result(137), killed
    remove_git_locks(hub)
    updated = (hub.top / "file").read_bytes()
    (hub.top / "file").write_text("mine\n")
    refused = runner.call(*runner.scenario.arguments)
    assert refused == Result(
        1,
        "",
        f"error: cannot undo the interrupted merge in '{hub.top}'\n"
        "hint: error: Entry 'file' not uptodate. Cannot merge.\n",
    )
    assert (hub.top / "file").read_bytes() == b"mine\n"
    (hub.top / "file").write_bytes(updated)
    runner.finish()


@types("if no other git process is running, remove the file manually to continue")
def test_lock_of_a_killed_merge(hub: Hub) -> None:
    """The kill leaves index.lock. Without it, the next merge undoes the update and merges."""
    runner = ScenarioRunner(hub, SCENARIOS["merge"])
    killed = runner.run_traced("all", "rename project/.git/refs/heads/main")
    assert killed == Result(137), killed
    lock = hub.top / ".git" / "index.lock"
    lock.touch()
    refused = runner.call(*runner.scenario.arguments)
    hint = "if no other git process is running, remove the file manually to continue"
    assert refused == Result(1, "", f"error: '{lock}': File exists\nhint: {hint}\n")
    remove_git_locks(hub)
    runner.finish()
    follow_hint(hint)


def remove_git_locks(hub: Hub) -> None:
    """Remove the lock files that a killed git has left."""
    for lock in (hub.top / ".git").rglob("*.lock"):
        lock.unlink()


def test_the_scenarios_have_500_calls() -> None:
    """test_killed_at_any_call compares the number of each scenario with the real number of calls."""
    assert sum(scenario.calls for scenario in SCENARIOS.values()) >= 500


def test_tracer_actions(tmp_path: Path) -> None:
    """`alone` kills only the child of a shell. An errno also fails the later calls, except `once`."""
    directory = tmp_path.resolve()
    (directory / "old").write_text("")
    script = f"cd {directory}; rm old; ln -s x link; mkdir one; mkdir two; echo >file; echo $?"
    reported_calls = ["rm unlinkat old", "ln symlinkat link", "mkdir mkdir one", "mkdir mkdir two"]

    def run_traced(action: str, number: int) -> tuple[int, str, list[str]]:
        for path in ("link", "file"):
            (directory / path).unlink(missing_ok=True)
        for path in ("one", "two"):
            (directory / path).rmdir() if (directory / path).exists() else None
        (directory / "old").write_text("")
        report, *arguments = (
            str(directory / "report"),
            str(directory),
            action,
            str(number),
            "sh",
            "-c",
            script,
        )
        arguments = [PYTHON, "-I", str(TRACER), report, *arguments]
        result = subprocess.run(arguments, capture_output=True, text=True)
        names = sorted(path.name for path in directory.iterdir() if path.name != "report")
        return result.returncode, result.stdout, names

    assert run_traced("all", 0) == (0, "0\n", ["file", "link", "one", "two"])
    assert (directory / "report").read_text().splitlines() == [
        *reported_calls,
        "sh openat file",
        "sh write file",
    ]
    assert run_traced("all", 3) == (137, "", ["link"])
    assert run_traced("alone", 4) == (0, "0\n", ["file", "one", "two"])
    assert run_traced("ENOSPC", 2) == (0, "2\n", ["link"])
    assert run_traced("once:EIO", 3) == (0, "0\n", ["file", "link", "two"])
    assert run_traced("EIO", 1) == (0, "2\n", ["old"])
