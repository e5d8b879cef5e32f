"""Which branches of the package the tests run: each Python process of the suite tells, and `make check` adds it up.

coverage.py judges and reports, but it does not measure: a test is some processes, and loading
coverage takes each of them 100 ms, three times as long as a command does. What it wants to
know are the arcs (from which line to which), and those sys.settrace shows. So this file is run
at the start of each Python of .venv, by a .pth (`prepare`), if MEASURED_INTO names a
directory. A process that is killed tells nothing.

    python -m tests.support.coverage prepare            .venv is ready to measure
    python -m tests.support.coverage collect DIRECTORY  what was told becomes coverage's own data
    python -m tests.support.coverage report PERCENT     what no test runs; fails if that is too much
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing's own would take 10 ms of each process
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType
    from typing import Any

Arcs = dict[str, set[tuple[int, int]]]
VARIABLE = "MEASURED_INTO"
_CHECKOUT = (
    "" if __name__ == "start" else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
)
_PACKAGE = f"{os.sep}git_hub_session{os.sep}"
_GENERATOR = 0x20  # CO_GENERATOR


def measure(directory: str) -> None:
    """From here on this process, and what it forks, writes into `directory` where it has been, when it ends."""
    arcs: Arcs = {}

    def tell() -> None:
        sys.settrace(None)
        _tell(directory, arcs)

    sys.settrace(_tracer(arcs))
    _before_the_end(tell)


def take_over() -> None:
    """The same for pytest's own processes: there coverage, which measures faster, is worth loading."""
    directory = os.environ.get(VARIABLE)
    if not directory:
        return
    from coverage import Coverage

    here = f"{_CHECKOUT}{_PACKAGE}*"
    measured = Coverage(data_file=None, branch=True, config_file=False, include=[here])
    measured.set_option("run:disable_warnings", ["no-data-collected"])  # pytest with -n, itself
    measured.start()

    def tell() -> None:
        measured.stop()
        data = measured.get_data()
        _tell(directory, {path: set(data.arcs(path) or ()) for path in data.measured_files()})

    _before_the_end(tell)


def _tell(directory: str, arcs: Arcs) -> None:
    import marshal

    try:
        with open(os.path.join(directory, f"{os.getpid()}-{os.urandom(6).hex()}"), "xb") as file:
            marshal.dump(arcs, file)
    except OSError:
        pass  # a test of full disks, or of limits


def _before_the_end(tell: Callable[[], None]) -> None:
    """Of all the ways to end: by itself, by os._exit, by a signal sent to itself."""
    import _signal  # type: ignore[import-not-found]  # signal takes from it; loading that takes 5 ms
    import atexit

    def telling(end: Callable[[int], Any]) -> Any:
        def told(number: int) -> Any:
            if end is not raise_signal or _signal.getsignal(number) == _signal.SIG_DFL:
                tell()
            return end(number)

        return told

    raise_signal = _signal.raise_signal
    atexit.register(tell)
    os._exit, _signal.raise_signal = telling(os._exit), telling(raise_signal)


def _tracer(arcs: Arcs) -> Callable[[FrameType, str, Any], Any]:
    """What sys.settrace takes. -N is the way into and out of the code that begins in line N, as for coverage."""

    def called(frame: FrameType, _event: str, _given: Any) -> Any:
        code = frame.f_code
        if _PACKAGE not in code.co_filename:
            return None
        seen = arcs.setdefault(code.co_filename, set())
        first = code.co_firstlineno
        last = frame.f_lineno if _goes_on(code, frame.f_lasti) else -first

        def went(frame: FrameType, event: str, _given: Any) -> Any:
            nonlocal last
            if event == "line":
                seen.add((last, frame.f_lineno))
                last = frame.f_lineno
            elif event == "return" and not _yields(code, frame.f_lasti):
                seen.add((last, -first))
            return went

        return went

    return called


def _goes_on(code: CodeType, at: int) -> bool:
    """Whether a generator is at its RESUME behind a `yield`, not at its first."""
    return bool(code.co_flags & _GENERATOR and at >= 0 and code.co_code[at + 1])


def _yields(code: CodeType, at: int) -> bool:
    if not code.co_flags & _GENERATOR:
        return False
    from opcode import opmap

    return code.co_code[at + 2 : at + 3] == bytes([opmap["RESUME"]])


def prepare() -> None:
    """Every Python of this venv runs this file when it starts, if it is asked to."""
    from sysconfig import get_path

    start = f"exec(open({__file__!r}).read(), {{'__name__': 'start'}})"
    asked = f"os.environ.get({VARIABLE!r})"
    with open(os.path.join(get_path("purelib"), "hub_measured.pth"), "w") as file:
        # Where lib64 leads to lib, Python reads it twice.
        file.write(f"import os, sys; {asked} and not sys.gettrace() and {start}\n")


def collect(directory: str) -> None:
    """Put all that was told where `coverage report` finds it."""
    import marshal
    from pathlib import Path

    from coverage import Coverage

    sums: Arcs = {}
    for name in os.listdir(directory):
        with open(os.path.join(directory, name), "rb") as file:
            try:
                told = marshal.load(file)
            except EOFError:
                continue  # it was killed while it told
        for path, arcs in told.items():
            sums.setdefault(os.path.realpath(path), set()).update(arcs)
    ours = _CHECKOUT + _PACKAGE
    measured = Coverage()
    measured.erase()
    data = measured.get_data()
    data.add_arcs({path: arcs for path, arcs in sums.items() if path.startswith(ours)})
    data.touch_files([str(path) for path in Path(ours).rglob("*.py")])
    data.write()


def report(least: str) -> None:
    """Show each file with a line or a branch that no test runs, the worst first; fails under `least` percent."""
    import json

    from coverage import Coverage

    measured = Coverage()
    measured.load()
    file = f"{measured.config.data_file}.json"
    measured.json_report(outfile=file)
    with open(file) as source:
        found = json.load(source)
    worst = sorted(found["files"].items(), key=lambda item: _shares(item[1]["summary"]))
    for path, one in worst:
        if min(_shares(one["summary"])) < 100:
            ways = [f"{line}->{max(to, 0) or 'end'}" for line, to in one["missing_branches"]]
            print(_row(path, one["summary"]), *ways)
    print(_row("in all", found["totals"]))
    if min(_shares(found["totals"])) < float(least):
        sys.exit(f"under {least} %")


def _shares(summary: dict[str, int]) -> tuple[float, float]:
    """Percent of the branches and of the lines."""
    branches, lines = summary["num_branches"], summary["num_statements"]
    return (
        100 * summary["covered_branches"] / branches if branches else 100.0,
        100 * summary["covered_lines"] / lines if lines else 100.0,
    )


def _row(what: str, summary: dict[str, int]) -> str:
    branches, lines = _shares(summary)
    return f"{branches:5.1f} % of branches {lines:5.1f} % of lines  {what}"


if __name__ == "start":
    measure(os.environ[VARIABLE])
elif __name__ == "__main__":
    asked: dict[str, Callable[..., None]] = {
        "prepare": prepare,
        "collect": collect,
        "report": report,
    }
    asked[sys.argv[1]](*sys.argv[2:])
