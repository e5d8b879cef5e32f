"""A repository of another user: commands are refused if git refuses to work there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

import pytest

from tests.support.attack_invariants import NEVER
from tests.support.attack_repository import World
from tests.support.command_lines import CHANGING, READ_ONLY, Call, share

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
NOBODY = 65534
ALLOWED = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}


def git_refuses(world: World, environ: Mapping[str, str], user: int | None = None) -> bool:
    """Return True if git refuses to work in the repository."""
    done = subprocess.run(
        ["git", "status"],
        cwd=world.project,
        env={**world.hub.environ, **environ},
        user=user,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 128), done
    return done.returncode == 128


def assert_all_refuse(world: World, environ: Mapping[str, str], uid: int = 0) -> None:
    """Assert that every command fails with git's message and changes no file."""
    before = world.stamps()
    for call in share(0):
        answer = world.forked.call(*call.words, cwd=world.project, uid=uid, environ=environ)
        assert (answer.code, answer.out) == (128, b""), (call, answer)
        assert f"dubious ownership in repository at '{world.project}'".encode() in answer.err
        assert world.stamps() == before, call


def test_hostile_owner_is_root(world: World) -> None:
    """The user `nobody` in a repository of root: refused, or read-only if git allows it."""
    world.plant()
    assert git_refuses(world, {}, NOBODY)
    assert_all_refuse(world, {}, NOBODY)
    assert not git_refuses(world, ALLOWED, NOBODY)
    before = world.stamps()
    for call in share(0):
        answer = world.forked.call(*call.words, cwd=world.project, uid=NOBODY, environ=ALLOWED)
        assert answer.code in _codes(call), (call, answer)
        assert b"Traceback" not in answer.err
        assert NEVER.search(answer.err.decode()) is None
        assert world.stamps() == before, call


def _codes(call: Call) -> set[int]:
    """Return the exit codes that a call may have if its user may only read."""
    # A preview of a merge writes objects, into a temporary directory.
    if call in READ_ONLY and call.words[0] != "merge":
        return {0}
    return {0, 1, 128}


def test_hostile_owner_is_another_user(world: World) -> None:
    """Root in a repository of another user: refused, unless that user became root with sudo."""
    world.hub.call("chown", "-R", str(NOBODY), world.project, world.base / "project.hub")
    world.plant()
    assert git_refuses(world, {})
    assert_all_refuse(world, {})
    for environ in (ALLOWED, {"SUDO_UID": str(NOBODY)}):
        assert not git_refuses(world, environ)
        before = world.stamps()
        for call in CHANGING:
            answer = world.forked.call(*call.words, cwd=world.project, environ=environ)
            assert answer.code == 0, (call, answer)
            before = world.undo_changes(before, world.stamps())
