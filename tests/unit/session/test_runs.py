"""A run, and the log of a command: its size limit, and the lines that the terminal shows."""

from __future__ import annotations

import os
from pathlib import Path

from git_hub_session.programs.output_log import OutputLog
from git_hub_session.session.agent_environment import run_environment
from git_hub_session.session.runs import open_private_run


def test_a_run_differs_from_another_one_with_the_same_path(tmp_path: Path) -> None:
    """If a user deletes the logs, a later run gets the number of an earlier one."""
    with open_private_run(str(tmp_path)) as first, open_private_run(str(tmp_path)) as second:
        environments = [run_environment(run, "agent-1") for run in (first, second)]
    assert [environ.pop("HUB_RUN") for environ in environments] == [str(tmp_path)] * 2
    assert environments[0] != environments[1]


def test_a_log_is_cut_at_its_size_limit(tmp_path: Path) -> None:
    log = tmp_path / "log"
    displayed_lines: list[bytes] = []
    output = OutputLog(os.open(log, os.O_WRONLY | os.O_CREAT), displayed_lines.append, max_bytes=10)
    for data in (b"first\n", b"second\nthird", b"\n"):
        output.write(data)
    output.close()
    assert log.read_bytes() == b"first\nseco"
    assert displayed_lines == [b"first", b"second", b"third"]
    assert output.error == "the output is longer than the limit"


def test_output_up_to_the_limit_is_complete(tmp_path: Path) -> None:
    log = tmp_path / "log"
    output = OutputLog(os.open(log, os.O_WRONLY | os.O_CREAT), max_bytes=10)
    for _ in range(2):
        output.write(b"12345")
    output.close()
    assert (log.read_bytes(), output.error) == (b"1234512345", "")
