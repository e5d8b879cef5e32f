"""Killed, or failing, at any system call that changes something: of the command itself, of a git or a shell it has started.

Whatever happens nothing is lost and everything reads; and the same call once more ends as if nothing had
happened. All calls of all scenes in the long form, a few of each in the short one.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.scenes import SCENES, TRACER, World
from tests.hub import PYTHON, Hub, Result
from tests.interposed import LONG


def _is_traceable() -> bool:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return False
    words = [PYTHON, "-I", str(TRACER), "/dev/null", "/nowhere", "none", "0", "true"]
    return subprocess.run(words, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(
    not _is_traceable(), reason="needs ptrace and seccomp, on Linux on x86-64"
)

SHARES = 4 if LONG else 1
# HUB_TEST_LONG=3 takes every third only, where a whole long run would take too long.
THIN = int(os.environ.get("HUB_TEST_LONG") or 1)
# Of every so many calls of a scene one, in the long form; and how many of a scene in the short one.
ACTIONS = {
    "all": (1, 2),
    "alone": (3, 1),
    "ENOSPC": (6, 1),
    "EROFS": (12, 0),
    "EACCES": (12, 0),
    "EIO": (12, 0),
    "once:EIO": (6, 1),
}
KILLED = ("all", "alone")


def moments(calls: int, action: str, share: int, name: str) -> range:
    """The calls of one share of a test."""
    step, count = ACTIONS[action]
    if LONG:
        return range(1 + share * step * THIN, calls + 1, SHARES * step * THIN)
    # Elsewhere in each scene: begun at the first one, it would always be the same that is not done yet.
    start = 1 + sum(name.encode()) % (calls // (count + 1) + 1)
    return range(start, calls + 1, calls // count + 1) if count else range(0)


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("name", SCENES)
def test_killed_at_any_call(
    hub: Hub, name: str, share: int, record_property: Callable[[str, object], None]
) -> None:
    world = World(hub, SCENES[name])
    assert len(world.calls("all")) >= SCENES[name].calls
    played = {"kill points": 0, "faults": 0, "lock files of a killed git": 0}
    for action in ACTIONS:
        calls = world.calls(action)
        for nth in moments(len(calls), action, share, name):
            world.put_back()
            ended = world.play(action, nth)
            is_clear(ended, action, f"{action} before {nth}: {calls[nth - 1]}")
            world.check()
            played["lock files of a killed git"] += world.finish()
            played["kill points" if action in KILLED else "faults"] += 1
    assert played["kill points"] or THIN > 1
    for kind, count in played.items():
        record_property(kind, count)


def is_clear(ended: Result, action: str, where: str) -> None:
    """A call that was not killed itself has done its work, or says why it could not."""
    if ended.code == 128 + 9:
        assert action in KILLED, where
    elif ended.code:
        assert ended.code in (1, 128), (where, ended)
        assert ended.err.startswith(("error: ", "fatal: ", "Kept ", "warning: ")), (where, ended)
    assert "Traceback" not in ended.err, (where, ended)


def test_500_kill_points() -> None:
    """As many as there are at the least; each scene sees to it that it has its own."""
    assert sum(scene.calls for scene in SCENES.values()) >= 500


def test_the_tracer_kills_and_fails_where_it_is_told_to(tmp_path: Path) -> None:
    """Alone: a shell survives its child; all: nobody does; an errno: from there on, or once."""
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
