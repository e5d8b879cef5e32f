"""A run, and the log of a command: its size limit, and the lines that the terminal shows."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from git_hub_session.programs.output_log import OutputLog
from git_hub_session.session.agent_environment import run_environment
from git_hub_session.session.runs import open_private_run


def test_a_run_differs_from_another_one_with_the_same_path(tmp_path: Path) -> None:
    """If a user deletes the logs, a later run gets the number of an earlier one."""
    with open_private_run(str(tmp_path)) as first, open_private_run(str(tmp_path)) as second:
        environments = [run_environment(run, "agent-1") for run in (first, second)]
    assert [environ.pop("HUB_RUN") for environ in environments] == [str(tmp_path)] * 2
    assert environments[0] != environments[1]


def opener(log: Path) -> Callable[[], int]:
    """Return a function that opens a log, as OutputLog calls it."""
    return partial(os.open, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def test_a_log_is_cut_at_its_size_limit(tmp_path: Path) -> None:
    log = tmp_path / "log"
    displayed_lines: list[bytes] = []
    output = OutputLog(opener(log), displayed_lines.append, max_bytes=10)
    for data in (b"first\n", b"second\nthird", b"\n"):
        output.write(data)
    output.close()
    assert log.read_bytes() == b"first\nseco"
    assert displayed_lines == [b"first", b"second", b"third"]
    assert output.error == "the output is longer than the limit"


def test_output_up_to_the_limit_is_complete(tmp_path: Path) -> None:
    log = tmp_path / "log"
    output = OutputLog(opener(log), max_bytes=10)
    for _ in range(2):
        output.write(b"12345")
    output.close()
    assert (log.read_bytes(), output.error) == (b"1234512345", "")


def test_a_log_is_open_from_the_first_write_to_the_end(tmp_path: Path) -> None:
    """A command that waits, or prints nothing, needs no descriptor. Later output is appended."""
    log = tmp_path / "log"
    output = OutputLog(opener(log))
    assert not log.exists()
    output.close()
    for data in (b"first\n", b"second\n"):
        output.write(data)
        assert str(log) in open_files()
        output.close()
        assert str(log) not in open_files()
    assert (log.read_text(), output.error) == ("first\nsecond\n", "")


def open_files() -> set[str]:
    """Return the paths of the files that this process has open."""
    with os.scandir("/proc/self/fd") as entries:
        return {os.readlink(entry.path) for entry in entries if os.path.lexists(entry.path)}


@pytest.mark.parametrize("kind", ["pipe", "link", "directory", "missing"])
def test_a_log_that_another_process_replaced(tmp_path: Path, kind: str) -> None:
    """The output is not written elsewhere, and nothing waits for the reader of a pipe."""
    other = tmp_path.with_name("other")
    other.write_text("mine\n")
    with open_private_run(str(tmp_path)) as run:
        output = OutputLog(run.create_log("agent-1"))
        log = tmp_path / "agent-1.log"
        log.unlink()
        if kind == "pipe":
            os.mkfifo(log)
        elif kind == "link":
            log.symlink_to(other)
        elif kind == "directory":
            log.mkdir()
        output.write(b"text\n")
        output.close()
    assert output.error
    assert other.read_text() == "mine\n"
