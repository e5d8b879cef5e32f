"""Our own recorder of coverage records the same arcs as coverage.py, for each end of a process."""

from __future__ import annotations

from pathlib import Path

import pytest
from coverage import CoverageData

from tests.support.coverage import VARIABLE, decode_arc, read_arcs
from tests.support.hub import CHECKOUT, PYTHON, UNMEASURED, Hub, Result

PROGRAM = '''\
"""Every way in, through and out."""
import os
import signal
import sys


def some(count):
    for at in range(count):
        if at == 1:
            yield at
        yield from (one for one in [at] if one)


class Caught(Exception):
    pass


def fail(deep):
    if deep:
        return fail(deep - 1)
    raise Caught


def main(way):
    try:
        fail(2)
    except Caught:
        total = sum(some(3))
    finally:
        total = [one for one in (1, 2) if one > 1]
    while total:
        total.pop()
    if way == "fork":
        pid = os.fork()
        if not pid:
            os._exit(len(list(some(1))))
        os.waitpid(pid, 0)
    elif way == "_exit":
        os._exit(0)
    elif way == "signal":
        signal.raise_signal(signal.SIGTERM)
    return (lambda: 0)()


sys.exit(main(sys.argv[1]))
'''
FORKED = "os._exit(len(list(some(1))))"
KILLED = "signal.raise_signal(signal.SIGTERM)"
START = """
import runpy, sys
exec(open(sys.argv.pop(1)).read(), {"__name__": "start"})
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("way", ["by itself", "fork", "_exit"])
def test_arcs_are_those_of_coverage(hub: Hub, tmp_path: Path, way: str) -> None:
    program = create_program(tmp_path)
    settings = tmp_path / "rc"
    data = tmp_path / "data" / "sum"
    settings.write_text(
        f"[run]\nbranch = true\nparallel = true\npatch = _exit, fork\ndata_file = {data}\n"
    )
    run = (PYTHON, "-m", "coverage", "run", f"--rcfile={settings}", program, way)
    environ = {**UNMEASURED, "COVERAGE_CORE": "ctrace"}
    assert hub.call(*run, cwd=tmp_path, environ=environ) == Result(0)
    theirs: set[tuple[int, int]] = set()
    for file in data.parent.iterdir():
        recorded = CoverageData(str(file))
        recorded.read()
        theirs.update(recorded.arcs(str(program)) or ())
    # coverage.py starts again in a fork, and misses the first step.
    missed = {(line_number(FORKED) - 1, line_number(FORKED))} if way == "fork" else set()
    assert record_arcs(hub, program, way) == theirs | missed


def test_steps_before_a_signal_are_recorded(hub: Hub, tmp_path: Path) -> None:
    program = create_program(tmp_path)
    before = record_arcs(hub, program, "_exit")
    after = record_arcs(hub, program, "signal", -15)
    killed = line_number(KILLED)
    assert {arc for arc in after - before if arc[1] == killed} == {(killed - 1, killed)}


def line_number(text: str) -> int:
    """Return the number of the first line of the program that contains the text."""
    return [text in line for line in PROGRAM.splitlines()].index(True) + 1


def create_program(tmp_path: Path) -> Path:
    """Write the program into a package of the measured name, and return its path."""
    program = tmp_path / "git_hub_session" / "program.py"
    program.parent.mkdir()
    (tmp_path / "data").mkdir()
    program.write_text(PROGRAM)
    return program


def record_arcs(hub: Hub, program: Path, way: str, code: int = 0) -> set[tuple[int, int]]:
    """Run the program, and return the arcs that our recorder has written.

    Args:
        way: the way in which the process ends.
        code: the expected exit status.
    """
    recorded = program.parent / way
    recorded.mkdir()
    run = (PYTHON, "-c", START, CHECKOUT / "tests" / "support" / "coverage.py", program, way)
    assert hub.call(*run, environ={VARIABLE: str(recorded)}) == Result(code)
    arcs: set[tuple[int, int]] = set()
    for file in recorded.iterdir():
        arcs |= {*map(decode_arc, read_arcs(str(file)).get(str(program), []))}
    return arcs
