"""Exceptions are converted to errors with a message and a hint."""

from __future__ import annotations

import errno
import os

import pytest

from git_hub_session.errors import (
    Damaged,
    GitFailed,
    UsageError,
    describe_read_error,
    to_hub_error,
)


def test_a_hub_error_is_not_changed() -> None:
    error = UsageError("no session given", "git hub-session list")
    assert to_hub_error(error) is error


def describe(error: OSError) -> tuple[str, str]:
    """Return the message and the hint to which an OSError is converted."""
    hub_error = to_hub_error(error)
    return hub_error.message, hub_error.hint


def test_an_os_error_is_described_without_its_number() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        os.stat("/does/not/exist")
    assert describe(caught.value) == ("No such file or directory: '/does/not/exist'", "")
    assert describe(OSError(errno.EIO, os.strerror(errno.EIO))) == ("Input/output error", "")
    assert describe(OSError("only a text")) == ("only a text", "")


def test_a_read_error_is_described_without_the_name_of_the_file() -> None:
    assert describe_read_error(Damaged("state.json: not JSON")) == "state.json: not JSON"
    error = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "state.json")
    assert describe_read_error(error) == "cannot be read: Permission denied"


@pytest.mark.parametrize(
    ("status", "expected"), [(1, False), (128, False), (129, True), (137, True), (-9, True)]
)
def test_git_was_killed_if_its_status_names_a_signal(status: int, *, expected: bool) -> None:
    assert GitFailed("commit", status, "fatal: no\n").was_killed is expected


def test_an_error_of_git_with_several_lines_becomes_one_line() -> None:
    stderr = "fatal: 'x' is missing but already registered;\nuse 'add -f' to override\n\n"
    reason = "fatal: 'x' is missing but already registered; use 'add -f' to override"
    assert GitFailed("worktree add", 128, stderr).reason == reason
    assert GitFailed("worktree add", 128, "").reason == "'git worktree add' failed (exit 128)"
