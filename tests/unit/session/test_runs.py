"""What a command prints: all of it is handed on, and no more is kept than there is to be room for."""

from __future__ import annotations

import os
from pathlib import Path

from git_hub_session.session.runs import OutputLog


def test_who_prints_without_an_end_does_not_fill_the_disk(tmp_path: Path) -> None:
    log, shown = tmp_path / "log", list[bytes]()
    output = OutputLog(os.open(log, os.O_WRONLY | os.O_CREAT), shown.append, max_bytes=10)
    for data in (b"first\n", b"second\nthird", b"\n"):
        output.write(data)
    output.close()
    assert log.read_bytes() == b"first\nseco"
    assert shown == [b"first", b"second", b"third"]
    assert output.error == "the output is longer than the limit"


def test_as_much_as_there_is_room_for_is_no_fault(tmp_path: Path) -> None:
    log = tmp_path / "log"
    output = OutputLog(os.open(log, os.O_WRONLY | os.O_CREAT), max_bytes=10)
    for _ in range(2):
        output.write(b"12345")
    output.close()
    assert (log.read_bytes(), output.error) == (b"1234512345", "")
