"""Kill, interrupt or fail a command at a system call that changes something.

The call may be of a git or a shell that the command has started.
After each fault nothing is lost and every session can be read. The same command then ends as if the
fault had not happened. The long form plays all calls of all scenes, the short form a few of each.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.crash_scenarios import KILLS, SCENES, SIGNALS, TRACER, World, check_result
from tests.support.hub import PYTHON, Hub, Result
from tests.support.interrupt import LONG


def _is_traceable() -> bool:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return False
    words = [PYTHON, "-I", str(TRACER), "/dev/null", "/nowhere", "none", "0", "true"]
    return subprocess.run(words, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(
    not _is_traceable(), reason="needs ptrace and seccomp, on Linux on x86-64"
)

SHARES = 4 if LONG else 1
# HUB_TEST_LONG=3 plays one third of the calls, for a machine on which a long run takes too long.
STRIDE = int(os.environ.get("HUB_TEST_LONG") or 1)
# The long form plays one call of a scene out of so many.
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
# The calls at which a defect was found and fixed. The short form plays them too.
_STATE = "project/.agenthub/sessions/s1/.state.json.tmp"
DEFECTS = {
    "init": [
        ("all", "write project/.agenthub/sessions/.s1."),
        ("INT", "renameat project/.agenthub/sessions/s1"),
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
        ("alone", "rename project/.git/refs/heads/main"),
        ("alone", "write project/more/new"),
        ("alone", "write project/.git/logs/HEAD"),
    ],
    "merge --into": [("ENOSPC", "openat project/.git/refs/heads/aside.lock")],
    "archive": [("alone", "rename project/.git/refs/tags/hub/archive/s1/agent-1")],
    "restore": [
        ("all", "write project/.git/worktrees/agent-1/locked"),
        ("all", "write project/.git/worktrees/agent-1/commondir"),
        ("INT", "write project.hub/s1/agent-2/more/new"),
        ("INT+INT", "mkdir project.hub/s1/agent-1/sub"),
    ],
}


def fault_points(world: World, name: str, share: int) -> Iterator[tuple[str, int | str]]:
    """Yield the actions of one share of a test, each with the call before which it happens."""
    if LONG:
        for action, step in STEPS.items():
            last, stride = len(world.calls(action)), step * STRIDE
            yield from (
                (action, nth) for nth in range(1 + share * stride, last + 1, SHARES * stride)
            )
        return
    yield from DEFECTS[name]
    # And at a call that is different in each scene.
    yield "all", 1 + sum(name.encode()) % len(world.calls("all"))


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("name", SCENES)
def test_killed_at_any_call(
    hub: Hub, name: str, share: int, record_property: Callable[[str, object], None]
) -> None:
    world = World(hub, SCENES[name])
    assert len(world.calls("all")) >= SCENES[name].calls
    played = {"kill points": 0, "signals": 0, "faults": 0, "lock files of a killed git": 0}
    for action, call in fault_points(world, name, share):
        world.restore()
        ended = world.play(action, call)
        fault = f"{action} before {call}"
        if isinstance(call, int):
            fault += f": {world.calls(action)[call - 1]}"
        check_result(ended, action, fault)
        assert action not in SIGNALS or not world.late(), fault
        world.check()
        played["lock files of a killed git"] += world.finish()
        kind = "signals" if action in SIGNALS else "faults"
        played["kill points" if action in KILLS else kind] += 1
    assert played["kill points"] or STRIDE > 1
    for kind, count in played.items():
        record_property(kind, count)


def test_files_that_a_user_puts_where_a_merge_was_killed(hub: Hub) -> None:
    """The undo removes only files that git was writing, and follows no symbolic link."""
    world = World(hub, SCENES["merge"])
    cannot_update = f"error: git cannot update '{hub.top}', where 'main' is checked out\n"
    # Name the call: its number changes if the merge makes fewer calls before it.
    killed = world.play("all", "git write project/more/new")
    assert killed == Result(137), killed
    remove_git_locks(hub)
    (hub.top / "more" / "new").unlink()
    (hub.top / "more").rmdir()
    elsewhere = hub.top.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "new").write_text("")
    (hub.top / "more").symlink_to(elsewhere)
    refused = world.call(*world.scene.words)
    assert (refused.code, refused.out) == (1, ""), refused
    assert refused.err.startswith(cannot_update), refused
    assert (elsewhere / "new").exists()
    (hub.top / "more").unlink()
    (hub.top / "more").mkdir()
    (hub.top / "more" / "new").write_text("mine\n")
    (hub.top / "file").write_text("mine too\n")
    refused = world.call(*world.scene.words)
    assert (refused.code, refused.out) == (1, ""), refused
    assert refused.err.startswith(cannot_update), refused
    assert (hub.top / "more" / "new").read_text() == "mine\n"
    assert (hub.top / "file").read_text() == "mine too\n"
    (hub.top / "more" / "new").unlink()
    hub.git("checkout", "--", "file")
    world.finish()


def test_a_file_that_a_user_changes_where_a_merge_was_killed(hub: Hub) -> None:
    """git was killed between the write of the index and the move of the branch."""
    world = World(hub, SCENES["merge"])
    killed = world.play("all", "rename project/.git/refs/heads/main")
    assert killed == Result(137), killed
    remove_git_locks(hub)
    updated = (hub.top / "file").read_bytes()
    (hub.top / "file").write_text("mine\n")
    refused = world.call(*world.scene.words)
    assert refused == Result(
        1,
        "",
        f"error: cannot undo the interrupted merge in '{hub.top}'\n"
        "hint: error: Entry 'file' not uptodate. Cannot merge.\n",
    )
    assert (hub.top / "file").read_bytes() == b"mine\n"
    (hub.top / "file").write_bytes(updated)
    world.finish()


def remove_git_locks(hub: Hub) -> None:
    """Remove the lock files that a killed git left, as git tells the user to do."""
    for lock in (hub.top / ".git").rglob("*.lock"):
        lock.unlink()


def test_the_scenes_have_500_calls() -> None:
    """Each scene also asserts its own number of calls."""
    assert sum(scene.calls for scene in SCENES.values()) >= 500


def test_tracer_actions(tmp_path: Path) -> None:
    """`alone` kills only the child of a shell. An errno fails all later calls, or one call."""
    world = tmp_path.resolve()
    (world / "old").write_text("")
    line = f"cd {world}; rm old; ln -s x link; mkdir one; mkdir two; echo >file; echo $?"
    seen = ["rm unlinkat old", "ln symlinkat link", "mkdir mkdir one", "mkdir mkdir two"]

    def play(action: str, nth: int) -> tuple[int, str, list[str]]:
        for path in ("link", "file"):
            (world / path).unlink(missing_ok=True)
        for path in ("one", "two"):
            (world / path).rmdir() if (world / path).exists() else None
        (world / "old").write_text("")
        report, *words = (str(world / "report"), str(world), action, str(nth), "sh", "-c", line)
        words = [PYTHON, "-I", str(TRACER), report, *words]
        done = subprocess.run(words, capture_output=True, text=True)
        there = sorted(path.name for path in world.iterdir() if path.name != "report")
        return done.returncode, done.stdout, there

    assert play("all", 0) == (0, "0\n", ["file", "link", "one", "two"])
    assert (world / "report").read_text().splitlines() == [*seen, "sh openat file", "sh write file"]
    assert play("all", 3) == (137, "", ["link"])
    assert play("alone", 4) == (0, "0\n", ["file", "one", "two"])
    assert play("ENOSPC", 2) == (0, "2\n", ["link"])
    assert play("once:EIO", 3) == (0, "0\n", ["file", "link", "two"])
    assert play("EIO", 1) == (0, "2\n", ["old"])
