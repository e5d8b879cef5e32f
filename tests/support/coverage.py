"""Measure the branches of the package that the tests run.

coverage.py reports the result, but it does not measure the commands. A test starts several
processes, and coverage.py takes 100 ms to load in each of them, three times as long as a command.
It needs the arcs, from each line to the next, and sys.settrace shows them. So each Python process
of .venv runs this file at its start, through a .pth file, if MEASURED_INTO names a directory. Each
process writes its arcs into that directory when it ends. A killed process writes nothing.

    python -m tests.support.coverage prepare            install the .pth file in .venv
    python -m tests.support.coverage collect DIRECTORY  turn the arcs into the data of coverage.py
    python -m tests.support.coverage report PERCENT     print what no test runs; fail below PERCENT
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # an import of typing would take 10 ms in each process
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType
    from typing import Any

Arcs = dict[str, set[tuple[int, int]]]
VARIABLE = "MEASURED_INTO"
_CHECKOUT = (
    ""  # `exec` in the .pth file sets no __file__
    if __name__ == "start"
    else os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
)
_PACKAGE = f"{os.sep}git_hub_session{os.sep}"
_GENERATOR = 0x20  # CO_GENERATOR
_BASE = 1 << 20  # an arc as one number is its first line times this number plus its second line


def measure(directory: str) -> None:
    """Record the arcs of this process and its forks, and write them into `directory` at the end."""
    arcs: Arcs = {}

    def write() -> None:
        sys.settrace(None)
        _write_arcs(directory, arcs)

    sys.settrace(_make_tracer(arcs))
    _call_before_exit(write)


def take_over() -> None:
    """Measure a process of pytest with coverage.py, which loads slowly, but measures faster."""
    directory = os.environ.get(VARIABLE)
    if not directory:
        return
    from coverage import Coverage

    package_files = f"{_CHECKOUT}{_PACKAGE}*"
    coverage = Coverage(data_file=None, branch=True, config_file=False, include=[package_files])
    # The main process of `pytest -n` collects no data.
    coverage.set_option("run:disable_warnings", ["no-data-collected"])
    coverage.start()

    def write() -> None:
        coverage.stop()
        data = coverage.get_data()
        arcs = {path: set(data.arcs(path) or ()) for path in data.measured_files()}
        _write_arcs(directory, arcs)

    _call_before_exit(write)


def _write_arcs(directory: str, arcs: Arcs) -> None:
    import marshal
    import zlib

    # The arcs of 20,000 processes need 1 GB as compressed numbers, and 5 GB as pairs.
    numbers = {path: [start * _BASE + end for start, end in arcs[path]] for path in arcs}
    try:
        with open(os.path.join(directory, f"{os.getpid()}-{os.urandom(6).hex()}"), "xb") as file:
            file.write(zlib.compress(marshal.dumps(numbers), 1))
    except OSError:
        pass  # a test has filled the disk, or has set a limit


def read_arcs(path: str) -> dict[str, list[int]]:
    """Return the numbers of the arcs that a process has written, or {} if it was killed then."""
    import marshal
    import zlib

    with open(path, "rb") as file:
        try:
            numbers: dict[str, list[int]] = marshal.loads(zlib.decompress(file.read()))
        except zlib.error:
            return {}
    return numbers


def decode_arc(number: int) -> tuple[int, int]:
    """Return the pair of lines of a number that _write_arcs() has written."""
    end = (number + _BASE // 2) % _BASE - _BASE // 2  # the end of a function is negative
    return (number - end) // _BASE, end


def _call_before_exit(write: Callable[[], None]) -> None:
    """Call `write` at each kind of exit: normal, os._exit, and a signal that the process raises."""
    import _signal  # type: ignore[import-not-found]  # an import of signal would take 5 ms
    import atexit

    def wrap(exit_function: Callable[[int], Any]) -> Any:
        def write_and_end(number: int) -> Any:
            if exit_function is not raise_signal or _signal.getsignal(number) == _signal.SIG_DFL:
                write()
            return exit_function(number)

        return write_and_end

    raise_signal = _signal.raise_signal
    atexit.register(write)
    os._exit = wrap(os._exit)
    _signal.raise_signal = wrap(raise_signal)


def _make_tracer(arcs: Arcs) -> Callable[[FrameType, str, Any], Any]:
    """Return a function for sys.settrace that records arcs as coverage.py does.

    -N stands for the entry and the exit of the code that begins in line N.
    """

    def on_call(frame: FrameType, _event: str, _arg: Any) -> Any:
        code = frame.f_code
        if _PACKAGE not in code.co_filename:
            return None
        file_arcs = arcs.setdefault(code.co_filename, set())
        first = code.co_firstlineno
        last = frame.f_lineno if _is_resumed(code, frame.f_lasti) else -first

        def on_event(frame: FrameType, event: str, _arg: Any) -> Any:
            nonlocal last
            if event == "line":
                file_arcs.add((last, frame.f_lineno))
                last = frame.f_lineno
            elif event == "return" and not _yields(code, frame.f_lasti):
                file_arcs.add((last, -first))
            return on_event

        return on_event

    return on_call


def _is_resumed(code: CodeType, offset: int) -> bool:
    """Return True if a generator is at a RESUME after a `yield`, not at its first one."""
    return bool(code.co_flags & _GENERATOR and offset >= 0 and code.co_code[offset + 1])


def _yields(code: CodeType, offset: int) -> bool:
    """Return True if the return event at this offset is a `yield`."""
    if not code.co_flags & _GENERATOR:
        return False
    from opcode import opmap

    return code.co_code[offset + 2 : offset + 3] == bytes([opmap["RESUME"]])


def prepare() -> None:
    """Let each Python process of .venv run this file at its start if MEASURED_INTO is set."""
    from sysconfig import get_path

    start = f"exec(open({__file__!r}).read(), {{'__name__': 'start'}})"
    condition = f"os.environ.get({VARIABLE!r})"
    with open(os.path.join(get_path("purelib"), "hub_measured.pth"), "w") as file:
        # If lib64 is a link to lib, Python reads the .pth file twice.
        file.write(f"import os, sys; {condition} and not sys.gettrace() and {start}\n")


def collect(directory: str) -> None:
    """Merge the arcs of all processes into the data file of coverage.py."""
    from functools import cache
    from pathlib import Path

    from coverage import Coverage

    resolve = cache(os.path.realpath)  # each process has the same paths
    sums: dict[str, set[int]] = {}
    for name in os.listdir(directory):
        for path, numbers in read_arcs(os.path.join(directory, name)).items():
            sums.setdefault(resolve(path), set()).update(numbers)
    package = _CHECKOUT + _PACKAGE
    coverage = Coverage()
    coverage.erase()
    data = coverage.get_data()
    measured = {path: numbers for path, numbers in sums.items() if path.startswith(package)}
    data.add_arcs({path: [*map(decode_arc, numbers)] for path, numbers in measured.items()})
    data.touch_files([str(path) for path in Path(package).rglob("*.py")])
    data.write()


def report(minimum: str) -> None:
    """Print each file with a line or branch that no test runs, lowest coverage first.

    Fail if less than `minimum` percent are covered.
    """
    import json

    from coverage import Coverage

    coverage = Coverage()
    coverage.load()
    file = f"{coverage.config.data_file}.json"
    coverage.json_report(outfile=file)
    with open(file) as source:
        result = json.load(source)
    files = sorted(result["files"].items(), key=lambda item: _percentages(item[1]["summary"]))
    for path, details in files:
        if min(_percentages(details["summary"])) < 100:
            missing = details["missing_branches"]
            branches = [f"{line}->{max(target, 0) or 'end'}" for line, target in missing]
            print(_row(path, details["summary"]), *branches)
    print(_row("total", result["totals"]))
    if min(_percentages(result["totals"])) < float(minimum):
        sys.exit(f"less than {minimum} % covered")


def _percentages(summary: dict[str, int]) -> tuple[float, float]:
    """Return the covered percentages of branches and lines."""
    branches, lines = summary["num_branches"], summary["num_statements"]
    return (
        100 * summary["covered_branches"] / branches if branches else 100.0,
        100 * summary["covered_lines"] / lines if lines else 100.0,
    )


def _row(name: str, summary: dict[str, int]) -> str:
    branches, lines = _percentages(summary)
    return f"{branches:5.1f} % of branches {lines:5.1f} % of lines  {name}"


if __name__ == "start":
    measure(os.environ[VARIABLE])
elif __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {
        "prepare": prepare,
        "collect": collect,
        "report": report,
    }
    commands[sys.argv[1]](*sys.argv[2:])
