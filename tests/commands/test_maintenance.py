"""`merge`, `cleanup` and `archive` run git's automatic maintenance at their end."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from itertools import count, islice
from pathlib import Path

import pytest

from tests.support.hub import Hub, Result, wait_for

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
    """The command succeeds. git runs the hook pre-auto-gc before it packs anything.

    git 2.54 and later have another default strategy, which does not run the hook.
    """
    session.git("config", "gc.autoDetach", "false")
    session.git("config", "maintenance.strategy", "gc")
    hook = session.top / ".git" / "hooks" / "pre-auto-gc"
    hook.parent.mkdir(exist_ok=True)
    asked = session.top.parent / "asked"
    hook.write_text(f"#!/bin/sh\n: >{shlex.quote(str(asked))}\nexit 1\n")
    hook.chmod(0o755)
    assert session.run("cleanup", "-q", "s1").code == 0
    assert asked.exists()
    assert not is_packed(session)


# A git that says its version, records its maintenance, and refuses --detach as an old one does.
FAKE_GIT = """#!/bin/sh
case "$*" in
*version) echo 'git version {version}'; exit ;;
*'maintenance run'*) printf '%s\\n' "$*" >>{log} ;;
*) exec {git} "$@" ;;
esac
case "{version} $*" in 2.[34][0-6]*-detach) exit 129 ;; esac
"""


@pytest.fixture
def log(session: Hub, tmp_path: Path) -> Path:
    """Return the file with the arguments of each `git maintenance run`. git is 2.39.5."""
    log = tmp_path / "maintenance.log"
    set_version(session, log, "2.39.5")
    return log


def set_version(hub: Hub, log: Path, version: str) -> None:
    git = shutil.which("git")
    assert git is not None
    programs = log.with_name("fake")
    programs.mkdir(exist_ok=True)
    text = FAKE_GIT.format(version=version, git=shlex.quote(git), log=shlex.quote(str(log)))
    (programs / "git").write_text(text)
    (programs / "git").chmod(0o755)
    if not hub.environ["PATH"].startswith(str(programs)):
        hub.environ["PATH"] = f"{programs}:{hub.environ['PATH']}"


@pytest.mark.parametrize(
    ("version", "settings", "options"),
    [
        ("2.39.5", {}, ""),
        ("2.39.5", {"gc.autoDetach": "false"}, ""),
        ("2.46.9", {"maintenance.autoDetach": "false"}, ""),
        ("2.47.0", {}, " --detach"),
        ("2.47.0", {"gc.autoDetach": "false"}, " --no-detach"),
        ("2.55.0", {"gc.autoDetach": "false", "maintenance.autoDetach": "true"}, " --detach"),
        ("2.55.0", {"maintenance.autoDetach": "false"}, " --no-detach"),
        ("3.0.1", {}, " --detach"),
    ],
)
def test_maintenance_with_each_version_of_git(
    session: Hub, log: Path, version: str, settings: dict[str, str], options: str
) -> None:
    """git starts once, and never with an option that it does not know."""
    set_version(session, log, version)
    for name, value in settings.items():
        session.git("config", name, value)
    assert session.run("cleanup", "-q", "s1") == Result(0)
    assert log.read_text() == f"maintenance run --auto --quiet{options}\n"


def create_two_packs(hub: Hub) -> None:
    for text in ("one", "two"):
        blob = hub.git("hash-object", "-w", "--stdin", stdin=text)
        hub.git("pack-objects", "-q", ".git/objects/pack/pack", stdin=f"{blob}\n")


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        ({"gc.auto": "768"}, False),  # 3 objects of 256 directories
        ({"gc.auto": "512"}, True),
        ({"gc.auto": "6k"}, False),
        ({"gc.auto": "-1", "gc.autoPackLimit": "1"}, False),
        ({"gc.auto": "6700", "gc.autoPackLimit": "2"}, False),
        ({"gc.auto": "6700", "gc.autoPackLimit": "1"}, True),
        ({"gc.auto": "6700", "gc.autoPackLimit": "0"}, False),
        ({"gc.auto": "6700", "maintenance.strategy": "incremental"}, True),
        ({"gc.auto": "6700", "maintenance.commit-graph.enabled": "true"}, True),
    ],
)
def test_maintenance_starts_only_if_needed(
    session: Hub, log: Path, settings: dict[str, str], starts: bool
) -> None:
    create_two_packs(session)
    for name, value in settings.items():
        session.git("config", name, value)
    assert session.run("cleanup", "-q", "s1") == Result(0)
    assert log.exists() == starts


def test_kept_packs_do_not_count(session: Hub, log: Path) -> None:
    create_two_packs(session)
    session.git("config", "gc.auto", "6700")
    session.git("config", "gc.autoPackLimit", "1")
    pack = next((session.top / ".git" / "objects" / "pack").glob("*.pack"))
    pack.with_suffix(".keep").touch()
    assert session.run("cleanup", "-q", "s1") == Result(0)
    assert not log.exists()
