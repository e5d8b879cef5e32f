"""In a repository of another user, commands refuse to work if git refuses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

import pytest

from tests.support.attack_invariants import CONTROL_CHARACTERS
from tests.support.attack_repository import AttackRepository
from tests.support.command_lines import CHANGING, READ_ONLY, Call, select_calls

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the user id")
NOBODY = 65534
ALLOWED = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}


def git_refuses(
    repository: AttackRepository, environ: Mapping[str, str], user: int | None = None
) -> bool:
    """Return True if git refuses to work in the repository."""
    result = subprocess.run(
        ["git", "status"],
        cwd=repository.project,
        env={**repository.hub.environ, **environ},
        user=user,
        capture_output=True,
        text=True,
    )
    assert result.returncode in (0, 128), result
    return result.returncode == 128


def assert_all_refuse(
    repository: AttackRepository, environ: Mapping[str, str], uid: int = 0
) -> None:
    """Assert that every command fails with git's message and changes no file.

    `completion` has no words instead of an error. `schema` and `shell-init` read no repository.
    """
    before = repository.stamps()
    for call in select_calls(0):
        if call.arguments[0] in ("completion", "schema", "shell-init"):
            continue
        answer = repository.server.call(
            *call.arguments, cwd=repository.project, uid=uid, environ=environ
        )
        assert (answer.code, answer.out) == (128, b""), (call, answer)
        assert f"dubious ownership in repository at '{repository.project}'".encode() in answer.err
        assert repository.stamps() == before, call


def test_repository_of_root(repository: AttackRepository) -> None:
    """In root's repository, `nobody` gets an error, or may only read if git allows it."""
    repository.save_planted_state()
    assert git_refuses(repository, {}, NOBODY)
    assert_all_refuse(repository, {}, NOBODY)
    assert not git_refuses(repository, ALLOWED, NOBODY)
    before = repository.stamps()
    for call in select_calls(0):
        if call.arguments[0] in ("completion", "guide", "report", "schema", "shell-init"):
            continue  # they read a file in the checkout, which may be private
        answer = repository.server.call(
            *call.arguments, cwd=repository.project, uid=NOBODY, environ=ALLOWED
        )
        assert answer.code in _allowed_codes(call), (call, answer)
        assert b"Traceback" not in answer.err
        assert CONTROL_CHARACTERS.search(answer.err.decode()) is None
        assert repository.stamps() == before, call


def _allowed_codes(call: Call) -> set[int]:
    """Return the exit codes that a call may have without permission to write."""
    command = call.arguments[0]
    if command in ("push", "fetch"):
        return {1, 128}  # git also refuses the remote, a repository of another user
    if command in ("cleanup", "archive", "spawn", "restore") and call in READ_ONLY:
        return {1}  # no worktree can be removed or created
    # `merge -n` writes objects into a temporary directory.
    if call in READ_ONLY and command != "merge":
        return {0}
    return {0, 1, 128}


def test_root_in_a_repository_of_another_user(repository: AttackRepository) -> None:
    """Root's commands fail in a repository of another user, unless SUDO_UID names this user."""
    repository.hub.call(
        "chown", "-R", str(NOBODY), repository.project, repository.base / "project.hub"
    )
    repository.save_planted_state()
    assert git_refuses(repository, {})
    assert_all_refuse(repository, {})
    for environ in (ALLOWED, {"SUDO_UID": str(NOBODY)}):
        assert not git_refuses(repository, environ)
        before = repository.stamps()
        for call in CHANGING:
            answer = repository.server.call(
                *call.arguments, cwd=repository.project, environ=environ
            )
            assert answer.code == 0, (call, answer)
            before = repository.undo_changes(before, repository.stamps())
