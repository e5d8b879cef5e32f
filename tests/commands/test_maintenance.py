"""`merge`, `cleanup` and `archive` run git's automatic maintenance at their end."""

from __future__ import annotations

import hashlib
from itertools import count, islice

import pytest

from tests.support.hub import Hub, wait_for

COMMANDS = [("merge", "--yes", "--agent", "1", "--unmeasured"), ("cleanup",), ("archive",)]


def create_many_objects(hub: Hub) -> None:
    """Create so many loose objects that the maintenance packs them with `gc.auto=1`.

    git counts the objects whose ids start with 17.
    """
    texts = (f"{number}" for number in count())
    chosen = (text for text in texts if blob_id(text).startswith("17"))
    for text in islice(chosen, 3):
        hub.git("hash-object", "-w", "--stdin", stdin=text)


def blob_id(text: str) -> str:
    return hashlib.sha1(f"blob {len(text)}\0{text}".encode()).hexdigest()


@pytest.fixture
def session(hub: Hub) -> Hub:
    hub.session("s1", agents=1)
    hub.commit(hub.worktree(1), "work", "work\n")
    for state in ("running", "evaluating"):
        assert hub.run("update", "-q", "s1", "--state", state).code == 0
    for name, value in {"maintenance.auto": "true", "gc.auto": "1"}.items():
        hub.git("config", name, value)
    create_many_objects(hub)
    return hub


def is_packed(hub: Hub) -> bool:
    return any((hub.top / ".git" / "objects" / "pack").glob("*.pack"))


@pytest.mark.parametrize("command", COMMANDS)
def test_maintenance_at_the_end(session: Hub, command: tuple[str, ...]) -> None:
    session.git("config", "gc.autoDetach", "false")
    result = session.run(*command, "s1")
    assert (result.code, "gc" in result.err) == (0, False), result
    assert is_packed(session)


def test_maintenance_in_the_background(session: Hub) -> None:
    assert session.run("cleanup", "-q", "s1").code == 0
    wait_for(lambda: is_packed(session))


@pytest.mark.parametrize("setting", ["maintenance.auto=false", "gc.auto=0"])
def test_maintenance_that_is_turned_off(session: Hub, setting: str) -> None:
    session.git("config", *setting.split("="))
    session.git("config", "gc.autoDetach", "false")
    assert session.run("cleanup", "-q", "s1").code == 0
    assert not is_packed(session)


def test_dry_run_without_maintenance(session: Hub) -> None:
    session.git("config", "gc.autoDetach", "false")
    assert session.run("cleanup", "-n", "s1").code == 0
    assert not is_packed(session)


def test_hook_that_refuses_the_maintenance(session: Hub) -> None:
    """The command succeeds. git runs the hook pre-auto-gc before it packs anything."""
    session.git("config", "gc.autoDetach", "false")
    hook = session.top / ".git" / "hooks" / "pre-auto-gc"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho asked >asked\nexit 1\n")
    hook.chmod(0o755)
    assert session.run("cleanup", "-q", "s1").code == 0
    assert not is_packed(session)
