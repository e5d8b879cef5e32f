"""Run commands in loops, and check a transaction that git refused because of the loops."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.support.hub import Hub, Result


@contextmanager
def run_in_loops(hub: Hub, *commands: str) -> Iterator[None]:
    """Run each of the shell commands in a loop during the `with` block."""
    stop = hub.top.parent / "stop"
    loops = [
        subprocess.Popen(
            ["sh", "-c", f"until test -e {stop}; do {command}; done"],
            cwd=hub.top,
            env=hub.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]
    try:
        yield
    finally:
        stop.touch()
        for loop in loops:
            loop.wait()
        stop.unlink()


def check_refused_transaction(
    hub: Hub, prefix: str, result: Result, before: Mapping[str, str]
) -> None:
    """Check that another process held the lock of a ref, and that no branch has changed."""
    assert result.code == 1, result
    assert ".lock': File exists" in result.out + result.err, result
    assert hub.refs(prefix) == before, result
