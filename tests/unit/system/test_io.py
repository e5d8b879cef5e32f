"""All bytes are written to a file descriptor, also after a partial write."""

from __future__ import annotations

import os
from threading import Thread

import pytest

from git_hub_session.system.io import write_all

DATA = os.urandom(1 << 20)  # more than the capacity of a pipe


@pytest.mark.parametrize("blocking", [True, False])
def test_a_full_pipe_gets_all_bytes(*, blocking: bool) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    received: list[bytes] = []

    def read_to_the_end() -> None:
        with open(reader, "rb") as file:
            received.append(file.read())

    thread = Thread(target=read_to_the_end)
    thread.start()
    try:
        write_all(writer, DATA)
    finally:
        os.close(writer)
        thread.join()
    assert received == [DATA]


def test_short_writes_are_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    written = bytearray()

    def write_three(_fd: int, data: memoryview) -> int:
        written.extend(data[:3])
        return len(data[:3])

    monkeypatch.setattr(os, "write", write_three)
    write_all(99, b"ten bytes!")
    assert written == b"ten bytes!"


def test_a_write_error_is_raised() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with pytest.raises(BrokenPipeError):
            write_all(writer, b"x")
    finally:
        os.close(writer)
