"""Count the calls of the program's functions, a measure of its work that a busy machine does not change."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.hub import CHECKOUT, Hub

_COUNT = f"""
import cProfile, pstats, sys
sys.path.insert(0, {str(CHECKOUT)!r})
from git_hub_session.main import main
from git_hub_session.system import parallel
parallel._process_count = lambda waits: 1  # the calls of other processes are not counted
profile = cProfile.Profile()
profile.enable()
code = main()
profile.disable()
assert code in (0, 1), code
def is_counted(file):
    # The number of processes on the machine does not belong to the work.
    return "/git_hub_session/" in file and not file.endswith(("/procfs.py", "/mounts.py", "/numbers.py"))
stats = pstats.Stats(profile).stats
print(sum(calls for (file, *_), (_, calls, *_) in stats.items() if is_counted(file)), file=sys.stderr)
"""


def count_calls(hub: Hub, *command: str | Path) -> int:
    """Run a command of the program, and return the number of calls of the program's functions."""
    result = hub.call(sys.executable, "-c", _COUNT, *command)
    return int(result.err.splitlines()[-1])


def assert_linear(name: str, counts: Sequence[int]) -> None:
    """Check the counts of calls for n, 2n and 3n objects.

    With quadratic growth, the second step would be 1.67 times as large as the first one.
    """
    first, second, third = counts
    assert third - second < 1.15 * (second - first), (name, counts)
