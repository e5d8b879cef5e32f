"""Systems without certificates or without /proc, and unusual umasks."""

from __future__ import annotations

import os
import shutil
import ssl
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path
from shlex import join, quote

import pytest

from tests.support.hub import PYTHON, Hub, Result
from tests.support.invariants import check_repository
from tests.support.whole_session import play_session

_APART = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
# The directories in which this Python looks for certificates, and the usual ones of systems.
_DEFAULTS = ssl.get_default_verify_paths()
CERTIFICATES = {
    os.path.dirname(_DEFAULTS.openssl_cafile), _DEFAULTS.openssl_capath,
    "/etc/ssl", "/etc/pki", "/usr/lib/ssl", "/usr/share/ca-certificates",
}  # fmt: skip


def without(hub: Hub, directories: Iterable[str]) -> Hub:
    """Return the repository, with a command that finds the directories empty."""
    mounts = " && ".join(
        f"{{ test ! -d {path} || mount -t tmpfs none {path}; }}" for path in map(quote, directories)
    )
    if hub.call(*_APART, "sh", "-c", mounts).code:
        pytest.skip("nothing may be mounted here")
    command = shutil.which("git-hub-session", path=hub.environ["PATH"])
    assert command
    programs = hub.top.parent / "apart"
    programs.mkdir()
    inner = quote(f'{mounts} && exec "$0" "$@"')
    for name, real in (("git-hub-session", command), ("apart", "/usr/bin/env")):
        (programs / name).write_text(
            f'#!/bin/sh\nexec {join(_APART)} sh -c {inner} {quote(real)} "$@"\n'
        )
        (programs / name).chmod(0o755)
    return Hub(hub.top, {**hub.environ, "PATH": f"{programs}:{hub.environ['PATH']}"})


def test_without_certificates(hub: Hub) -> None:
    """`import pygit2` fails without certificates. No command needs the network, so all work."""
    there = without(hub, sorted(CERTIFICATES))
    look = "import ssl; p = ssl.get_default_verify_paths(); print(p.cafile, p.capath)"
    assert there.call("apart", PYTHON, "-c", look) == Result(0, "None None\n")
    play_session(there)
    assert there.run("doctor").code == 0
    assert there.run("board", "read", "results").code == 0


NOT_SEEN = "warning: /proc is not available: running processes and mounts were not checked\n"


def test_without_proc(hub: Hub) -> None:
    """Cleanup warns that it did not check for processes, and saves all work."""
    there = without(hub, ["/proc"])
    play_session(there, warned=NOT_SEEN)
    assert there.run("doctor").code == 0
    assert there.run("init", "-q", "--id", "s2", "--task", "t", "--agents", "2").code == 0
    assert there.run("spawn", "-q", "s2") == Result(0)
    worktree = hub.top.parent / "project.hub" / "s2" / "agent-1"
    (worktree / "new").write_text("new\n")
    with subprocess.Popen(["sleep", "300"], cwd=worktree) as sleeper:
        dry = there.run("cleanup", "-n", "s2")
        assert (dry.code, dry.err) == (0, NOT_SEEN)
        seen = hub.run("cleanup", "-n", "s2")
        assert (seen.code, seen.err) == (1, "")
        assert f"in use by process {sleeper.pid} (sleep)" in seen.out
        done = there.run("cleanup", "s2")
        assert (done.code, done.err) == (0, NOT_SEEN)
        sleeper.kill()
    assert hub.git("show", "refs/hub/rescue/s2/agent-1/attempt-1/1^3:new") == "new"
    assert there.run("restore", "-q", "s2") == Result(0)
    assert (worktree / "new").read_text() == "new\n"
    check_repository(hub)


def modes(*tops: Path) -> dict[str, int]:
    """Return the permissions of each file and directory below `tops`."""
    return {
        str(path.relative_to(top.parent)): stat.S_IMODE(path.lstat().st_mode)
        for top in tops
        for path in [top, *top.rglob("*")]
        if not path.is_symlink()
    }


@pytest.mark.parametrize("umask", ["000", "077", "022"])
def test_umasks(hub: Hub, umask: str) -> None:
    """New files have the permissions that the umask allows, like those that git creates."""
    mask = int(umask, 8)
    hub.git("config", "hubsession.setup", "touch by-setup")

    def called(words: str) -> None:
        result = hub.call("sh", "-c", f"umask {umask}; git hub-session {words}")
        assert result.code == 0, result

    before = modes(hub.top / ".git")
    called("init -q --id s1 --task t --agents 2")
    called("spawn -q s1")
    called("exec -q s1 -- sh -c 'echo new >new; git commit -q --allow-empty -m x'")
    called("eval -q --ranking 1,2 s1")
    called("board post -q progress -m hello")
    made = modes(hub.top / ".agenthub", hub.top.parent / "project.hub")
    for path, mode in made.items():
        wanted = 0o777 if (hub.top.parent / path).is_dir() or (hub.top / path).is_dir() else 0o666
        assert mode == wanted & ~mask, (path, oct(mode))
    called("cleanup -q s1")
    called("restore -q s1")
    called("merge -q --yes s1")
    after = modes(hub.top / ".git", hub.top / ".agenthub")
    for path, mode in after.items():
        if path not in before:
            assert mode & mask == 0, (path, oct(mode))
