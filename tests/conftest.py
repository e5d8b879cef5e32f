"""Fixtures: each test has its own home directory and git configuration."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import coverage, hints
from tests.support.clones import bare_remote, connect
from tests.support.hub import Hub, close_fork_server, new_hub, peer, sealed_environment
from tests.support.remotes import ServedRepository, serve
from tests.support.slurm import Slurm, run_slurm

coverage.take_over()
# A shell script lets its background jobs ignore SIGINT, and nohup(1) lets its command ignore SIGHUP.
# The tests and their commands must not ignore them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
pytest.register_assert_rewrite(
    "tests.support.cleanup",
    "tests.support.continued_runs",
    "tests.support.crash_scenarios",
    "tests.support.whole_session",
    "tests.support.interventions",
)


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    """Return an environment in which git, libgit2 and the command see only files of the test."""
    return sealed_environment(tmp_path)


# In these directories, git starts each command in a new process, as for users.
_THROUGH_GIT = {"compat", "concurrency", "e2e"}


@pytest.fixture
def hub(request: pytest.FixtureRequest, tmp_path: Path, environ: Mapping[str, str]) -> Hub:
    """Return a repository with one commit on main that has two files."""
    through_git = request.path.parent.name in _THROUGH_GIT
    return new_hub(tmp_path / "project", environ, through_git=through_git)


@pytest.fixture
def remote(hub: Hub) -> Path:
    """Return a bare repository with the branch main that is the remote `origin` of `hub`."""
    path = bare_remote(hub)
    connect(hub, str(path))
    return path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedRepository]:
    """Return a bare repository with the branch main, which is reached by its path."""
    with serve("file", tmp_path / "server") as served:
        yield served


@pytest.fixture
def far_home(tmp_path: Path) -> Path:
    """Return the home directory of a user at the far end of a connection."""
    home = tmp_path / "far-home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Eve\n\temail = eve@example.com\n")
    return home


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    """Return a cluster of Slurm with two nodes that see all files of this machine."""
    with run_slurm(nodes=2) as slurm:
        yield slurm


@pytest.fixture
def slurm(cluster: Slurm) -> Iterator[Slurm]:
    """Return the cluster. It has no jobs before and after the test."""
    yield cluster
    for job in cluster.queue():
        cluster.run("scancel", job)
    cluster.wait_for(lambda: not cluster.queue())


@pytest.fixture
def script() -> Path:
    """Return the path of AgentHub's session_manager.py."""
    found = peer()
    if found is None:
        pytest.skip("AgentHub's session_manager.py is not here (GIT_HUB_SESSION_PEER names it)")
    return found


@pytest.fixture(autouse=True)
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the home directory and the git configuration of the user from this process too."""
    for name in list(os.environ):
        if name.startswith("GIT_") and name != "GIT_HUB_SESSION_PEER":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks."""
    config.addinivalue_line(
        "markers", "slow: `make test` leaves the test out, `make check` runs it"
    )
    config.addinivalue_line("markers", "types(*templates): the hints that the test types")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Fail a test that does not type the hints of its marks (see tests/support/hints.py)."""
    hints.followed.clear()
    yield
    marks = [*item.iter_markers("types")]
    assert hints.missing_hints(template for mark in marks for template in mark.args) == []


def pytest_sessionfinish() -> None:
    """End the process that the tests fork."""
    close_fork_server()


def pytest_report_header() -> str:
    """Return the version of git."""
    return subprocess.run(["git", "--version"], capture_output=True, text=True).stdout.strip()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the number of faults of each kind that the tests played."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for kind, count in report.user_properties if report.when == "call" else ():
            counts[kind] += count
    if counts:
        terminalreporter.line(", ".join(f"{kind}: {count}" for kind, count in counts.items()))
