"""The file .hubsession is hostile input."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from git_hub_session.settings.project_file import ProjectFile, read_project_file
from git_hub_session.settings.table import PROJECT_FILE as FILE

NOT_ALLOWED = "'.hubsession': only 'git config' can set: "
OUTSIDE = "'.hubsession': not a path '../{repo}...' with '{n}': 'hubsession.worktreePath'"
INVALID = "'.hubsession': not a line of a git configuration: "


def read(tmp_path: Path, text: str | bytes) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the settings of a file with this content, and the warnings."""
    (tmp_path / FILE).write_bytes(text.encode() if isinstance(text, str) else text)
    found = read_project_file(str(tmp_path))
    assert {entry.origin for entry in found.entries} <= {f"file:{tmp_path}/{FILE}"}
    return {entry.name: entry.value for entry in found.entries}, found.warnings


def test_a_good_file(tmp_path: Path) -> None:
    text = '\ufeff# ours\r\n[hubSession]\r\n\tAgents = 4 ; four\n\tagentCmd = "a \\"b\\" # c"\n\n'
    assert read(tmp_path, text) == (
        {"hubsession.agents": "4", "hubsession.agentcmd": 'a "b" # c'},
        (),
    )


@pytest.mark.parametrize(
    ("line", "warnings"),
    [
        ("agnets = 4", ("'.hubsession': unknown setting: 'hubsession.agnets'",)),
        ("holdout = /etc", (f"{NOT_ALLOWED}'hubsession.holdout'",)),
        ("rescueLimit = 0", (f"{NOT_ALLOWED}'hubsession.rescueLimit'",)),
        ("keepIgnored =", (f"{NOT_ALLOWED}'hubsession.keepIgnored'",)),
        ("advice = false", (f"{NOT_ALLOWED}'hubsession.advice'",)),
        ("[include]\npath = /etc/passwd", ("'.hubsession': unknown setting: 'include.path'",)),
        (
            '[includeIf "gitdir:/"]\npath = x\n[core]\nhooksPath = x\n[core]\nhooksPath = y',
            ("'.hubsession': unknown setting: 'includeif.gitdir:/.path', 'core.hookspath'",),
        ),
        (
            '[hubsession "x"]\nagents = 4',
            ("'.hubsession': unknown setting: 'hubsession.x.agents'",),
        ),
        ("eval = a\0b", ("'.hubsession': not UTF-8 text: 'hubsession.eval'",)),
        ("what is this", (f"{INVALID}'what is this'",)),
        ("worktreePath = ~/.vim/pack/{n}", (OUTSIDE,)),
        ("worktreePath = /tmp/{n}", (OUTSIDE,)),
        ("worktreePath = ../.vim/pack/{n}", (OUTSIDE,)),
        ("worktreePath = inside/{n}", (OUTSIDE,)),
        ("worktreePath = ../{repo}/inside/{n}", (OUTSIDE,)),
        ("worktreePath = ../{repo}.hub/../.vim/{n}", (OUTSIDE,)),
        ("worktreePath = ../{repo}.hub/same", (OUTSIDE,)),
        ('worktreePath = "../{repo}.hub/{n}/ "', (OUTSIDE,)),
    ],
)
def test_a_line_that_is_ignored(tmp_path: Path, line: str, warnings: tuple[str, ...]) -> None:
    text = f"[hubsession]\n{line}\n[hubsession]\ndirection = lower\n"
    assert read(tmp_path, text) == ({"hubsession.direction": "lower"}, warnings)


def test_a_path_beside_the_repository(tmp_path: Path) -> None:
    text = "[hubsession]\nworktreePath = ../{repo}-trees/{id}/{n}\n"
    assert read(tmp_path, text) == (
        {"hubsession.worktreepath": "../{repo}-trees/{id}/{n}"},
        (),
    )


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    assert read(tmp_path, b"[hubsession]\n\teval = caf\xe9\n\tmetric = ms\n") == (
        {"hubsession.metric": "ms"},
        ("'.hubsession': not UTF-8 text: 'hubsession.eval'",),
    )


def test_a_file_that_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / FILE
    assert read_project_file(str(tmp_path)) == ProjectFile()
    assert read_project_file("") == ProjectFile()
    assert read(tmp_path, "#" * (1 << 16)) == ({}, ())
    assert read(tmp_path, "#" * ((1 << 16) + 1)) == (
        {},
        ("'.hubsession' is larger than 65,536 bytes",),
    )
    path.unlink()
    target = tmp_path / "target"
    target.write_text("[hubsession]\n\tagents = 4\n")
    path.symlink_to(target)
    [warning] = read_project_file(str(tmp_path)).warnings
    assert warning.startswith("cannot read '.hubsession': ")
    path.unlink()
    os.mkfifo(path)
    assert read_project_file(str(tmp_path)).warnings == (
        "cannot read '.hubsession': not a regular file",
    )
    path.unlink()
    path.mkdir()
    assert len(read_project_file(str(tmp_path)).warnings) == 1


def test_a_large_hostile_file(tmp_path: Path) -> None:
    for text in ('"' * 65_000, "\\\n" * 32_000, "[" * 65_000, "x=" * 32_000, "[a]\nb\n" * 10_000):
        found, warnings = read(tmp_path, text)
        assert found == {}
        assert sum(map(len, warnings)) < 1000
