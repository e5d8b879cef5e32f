"""A sealed world for each test: its own HOME, its own git configuration, nothing of the machine's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.hub import CHECKOUT, PYTHON, Hub

pytest.register_assert_rewrite("tests.cleaning")

# What git and Python take from the environment must not reach a test.
_KEPT = {"TMPDIR", "LD_LIBRARY_PATH"}


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    """An environment in which git, libgit2 and the command see this test's files only."""
    return sealed_environment(tmp_path)


def sealed_environment(tmp_path: Path) -> Mapping[str, str]:
    """The same, for a world in `tmp_path` that more than one test needs."""
    home = tmp_path / "home"
    home.mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    # The command as a user has it: found by git on PATH, run by the interpreter under test.
    wrapper = programs / "git-hub-session"
    wrapper.write_text(
        f'#!/bin/sh\nexec {PYTHON} -I -c \'import sys; sys.path.insert(0, "{CHECKOUT}")\n'
        'from git_hub_session.cli import command\ncommand()\' "$@"\n'
    )
    wrapper.chmod(0o755)
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ada\n\temail = ada@example.com\n"
        '[init]\n\tdefaultBranch = main\n[protocol "file"]\n\tallow = always\n'
        "[advice]\n\tdetachedHead = false\n"
    )
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
        "GIT_EDITOR": "false",
        "GIT_AUTHOR_DATE": "2026-03-17T14:00:00Z",
        "GIT_COMMITTER_DATE": "2026-03-17T14:00:00Z",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
    }


@pytest.fixture
def hub(tmp_path: Path, environ: Mapping[str, str]) -> Hub:
    """A repository with one commit on main: a file, and one in a directory."""
    return first_repository(tmp_path, environ)


def first_repository(tmp_path: Path, environ: Mapping[str, str]) -> Hub:
    """The same, for a world in `tmp_path` that more than one test needs."""
    top = tmp_path / "project"
    top.mkdir()
    hub = Hub(top, environ)
    hub.git("init", "-q")
    (top / "file").write_text("first\n")
    (top / "sub").mkdir()
    (top / "sub" / "other").write_text("second\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "base")
    return hub


@pytest.fixture(autouse=True)
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the real home or of the real git configuration is seen in this process either."""
    for name in list(os.environ):
        if name.startswith("GIT_") and name != "GIT_HUB_SESSION_PEER":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def pytest_report_header() -> str:
    """Which git the tests ran with."""
    return subprocess.run(["git", "--version"], capture_output=True, text=True).stdout.strip()
