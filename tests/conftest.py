"""A sealed world for each test: its own HOME, its own git configuration, nothing of the machine's."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import coverage
from tests.support.hub import Hub, new_hub, peer, sealed_environment

coverage.take_over()
# What a script started with & ignores ^C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
pytest.register_assert_rewrite(
    "tests.support.cleanup",
    "tests.support.crash_scenarios",
    "tests.support.whole_session",
    "tests.support.interventions",
)


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    """An environment in which git, libgit2 and the command see this test's files only."""
    return sealed_environment(tmp_path)


@pytest.fixture
def hub(tmp_path: Path, environ: Mapping[str, str]) -> Hub:
    """A repository with one commit on main: a file, and one in a directory."""
    return new_hub(tmp_path / "project", environ)


@pytest.fixture
def script() -> Path:
    """AgentHub's session_manager.py."""
    found = peer()
    if found is None:
        pytest.skip("AgentHub's session_manager.py is not here (GIT_HUB_SESSION_PEER names it)")
    return found


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


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many faults were played, of each kind: a promise with a figure."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for kind, count in report.user_properties if report.when == "call" else ():
            counts[kind] += count
    if counts:
        terminalreporter.line(", ".join(f"{kind}: {count}" for kind, count in counts.items()))
