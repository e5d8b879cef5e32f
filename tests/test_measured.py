"""What our own measuring tells is what coverage.py itself would, however a process ends."""

from __future__ import annotations

import marshal
from pathlib import Path

import pytest
from coverage import CoverageData

from tests.support.coverage import VARIABLE
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
def test_it_tells_what_coverage_tells(hub: Hub, tmp_path: Path, way: str) -> None:
    program = made(tmp_path)
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
        told = CoverageData(str(file))
        told.read()
        theirs.update(told.arcs(str(program)) or ())
    # In a fork coverage begins anew, and misses the first step.
    missed = {(line(FORKED) - 1, line(FORKED))} if way == "fork" else set()
    assert arcs(hub, program, way) == theirs | missed


def test_a_death_by_a_signal_is_told(hub: Hub, tmp_path: Path) -> None:
    program = made(tmp_path)
    before, after = (arcs(hub, program, way, code) for way, code in (("_exit", 0), ("signal", -15)))
    assert {way for way in after - before if way[1] == line(KILLED)} == {
        (line(KILLED) - 1, line(KILLED))
    }


def line(text: str) -> int:
    """Where it stands in the program."""
    return [text in one for one in PROGRAM.splitlines()].index(True) + 1


def made(tmp_path: Path) -> Path:
    program = tmp_path / "git_hub_session" / "program.py"
    program.parent.mkdir()
    (tmp_path / "data").mkdir()
    program.write_text(PROGRAM)
    return program


def arcs(hub: Hub, program: Path, way: str, code: int = 0) -> set[tuple[int, int]]:
    """What is told of a run of the program."""
    told = program.parent / way
    told.mkdir()
    run = (PYTHON, "-c", START, CHECKOUT / "tests" / "support" / "coverage.py", program, way)
    assert hub.call(*run, environ={VARIABLE: str(told)}) == Result(code)
    found: set[tuple[int, int]] = set()
    for file in told.iterdir():
        found |= marshal.loads(file.read_bytes()).get(str(program), set())
    return found
