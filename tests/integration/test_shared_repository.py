"""The hub follows core.sharedRepository, as git's own files do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.hub import Hub, Result

COMMANDS = [
    ("init", "-q", "--id", "s1", "--task", "t"),
    ("spawn", "-q", "s1"),
    ("exec", "-q", "s1", "--", "git", "commit", "-q", "--allow-empty", "-m", "w"),
    ("board", "post", "-q", "progress", "--author", "agent-1", "-m", "text"),
    ("eval", "-q", "s1", "--eval", "echo score=1", "--metric", ""),
    ("init", "-q", "--id", "s2", "--task", "t"),
]


def modes_of_hub(hub: Hub, top: Path, umask: int) -> tuple[set[str], set[str]]:
    """Run commands that write into the hub. Return the modes of its directories and files."""
    previous = os.umask(umask)
    try:
        for command in COMMANDS:
            assert hub.call("git", "hub-session", *command).code == 0, command
    finally:
        os.umask(previous)
    entries = [top, *top.rglob("*")]
    modes = {path: oct(path.lstat().st_mode & 0o7777) for path in entries}
    directories = {mode for path, mode in modes.items() if path.is_dir()}
    return directories, set(modes.values()) - directories


@pytest.mark.parametrize(
    ("value", "umask", "directory", "file"),
    [
        ("group", 0o077, "0o2770", "0o660"),
        ("group", 0o022, "0o2775", "0o664"),
        ("true", 0o027, "0o2770", "0o660"),
        ("1", 0o077, "0o2770", "0o660"),
        ("all", 0o077, "0o2775", "0o664"),
        ("2", 0o077, "0o2775", "0o664"),
        ("0640", 0o022, "0o2750", "0o640"),
        ("0660", 0o022, "0o2770", "0o660"),
        ("umask", 0o027, "0o750", "0o640"),
        ("false", 0o077, "0o700", "0o600"),
        ("0", 0o077, "0o700", "0o600"),
    ],
)
def test_hub_follows_the_setting(
    hub: Hub, value: str, umask: int, directory: str, file: str
) -> None:
    hub.git("config", "core.sharedRepository", value)
    assert modes_of_hub(hub, hub.top / ".agenthub", umask) == ({directory}, {file})


def test_setting_without_a_value(hub: Hub) -> None:
    with (hub.top / ".git" / "config").open("a") as file:
        file.write("[core]\n\tsharedRepository\n")
    assert modes_of_hub(hub, hub.top / ".agenthub", 0o077) == ({"0o2770"}, {"0o660"})


@pytest.mark.parametrize(
    ("value", "mode"),
    [("0444", 0o700), ("0777777", 0o2777), ("99", 0o2770), ("-1", 0o2770), ("nonsense", 0o700)],
)
def test_unusual_value(hub: Hub, value: str, mode: int) -> None:
    """The owner can always write, also if git rejects the value."""
    hub.git("config", "core.sharedRepository", value)
    previous = os.umask(0o077)
    try:
        assert hub.call("git-hub-session", "init", "-q", "--id", "s1", "--task", "t").code == 0
    finally:
        os.umask(previous)
    assert (hub.top / ".agenthub").stat().st_mode & 0o7777 == mode


def test_hub_of_a_bare_repository(hub: Hub, tmp_path: Path) -> None:
    """git gives its own new files and directories the same modes."""
    bare = Hub(tmp_path / "shared.git", hub.environ)
    hub.git("clone", "-q", "--bare", "-c", "core.sharedRepository=group", hub.top, bare.top)
    assert modes_of_hub(bare, bare.top / "agenthub", 0o077) == ({"0o2770"}, {"0o660"})
    refs = bare.top / "refs" / "heads" / "hub"
    assert oct(refs.stat().st_mode & 0o7777) == "0o2770"


def test_existing_hub_keeps_its_permissions(hub: Hub) -> None:
    hub.session("s1")
    before = (hub.top / ".agenthub").stat().st_mode
    hub.git("config", "core.sharedRepository", "group")
    assert hub.run("init", "-q", "--id", "s2", "--task", "t") == Result(0, "s2\n")
    assert (hub.top / ".agenthub").stat().st_mode == before
