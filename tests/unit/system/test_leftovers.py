"""Processes that a command left running are found and ended, and no other process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from git_hub_session.system.supervision.leftovers import Leftovers
from tests.support.hub import wait_until_started


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that waits."""
    with subprocess.Popen(["sleep", "600"]) as running:
        wait_until_started(running)
        yield running
        running.kill()


def test_process_is_killed(process: subprocess.Popen[bytes]) -> None:
    leftovers = Leftovers(lambda: [process.pid] if process.poll() is None else [])
    [fd] = leftovers.open()
    assert [*leftovers.names] == ["sleep"]
    leftovers.kill()
    assert (process.poll(), [*leftovers.names]) == (-9, [])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_process_that_is_not_found_again_gets_no_signal(process: subprocess.Popen[bytes]) -> None:
    """The process that was found has ended, and another process has got its id."""
    found = iter([[process.pid], [], []])
    leftovers = Leftovers(lambda: next(found))
    leftovers.kill()
    assert (leftovers.names, process.poll()) == ((), None)


def test_process_that_has_ended_before_it_is_opened() -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    found = iter([[ended.pid], [], []])
    leftovers = Leftovers(lambda: next(found))
    assert (leftovers.open(), leftovers.names) == ([], ())


def test_process_that_cannot_be_killed_stays_named(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("git_hub_session.system.supervision.leftovers._KILL_SECONDS", 0)
    leftovers = Leftovers(lambda: [process.pid])
    leftovers.kill()
    assert leftovers.names == ("sleep",)
    leftovers.terminate()
    assert process.wait() == -15
    leftovers.close()
    assert leftovers.fds == ()
