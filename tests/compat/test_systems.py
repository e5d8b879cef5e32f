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

from tests.support.hub import PYTHON, Hub, Result, wait_until_started
from tests.support.invariants import check_repository
from tests.support.whole_session import run_session

_UNSHARE = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
# The directories in which this Python searches for certificates, and common ones of other systems.
_DEFAULTS = ssl.get_default_verify_paths()
CERTIFICATES = {
    os.path.dirname(_DEFAULTS.openssl_cafile), _DEFAULTS.openssl_capath,
    "/etc/ssl", "/etc/pki", "/usr/lib/ssl", "/usr/share/ca-certificates",
}  # fmt: skip


def hide_directories(hub: Hub, directories: Iterable[str]) -> Hub:
    """Return the repository with a PATH on which the command finds the directories empty."""
    mounts = " && ".join(
        f"{{ test ! -d {path} || mount -t tmpfs none {path}; }}" for path in map(quote, directories)
    )
    if hub.call(*_UNSHARE, "sh", "-c", mounts).code:
        pytest.skip("nothing may be mounted here")
    command = shutil.which("git-hub-session", path=hub.environ["PATH"])
    assert command
    programs = hub.top.parent / "apart"
    programs.mkdir()
    inner = quote(f'{mounts} && exec "$0" "$@"')
    for name, program in (("git-hub-session", command), ("apart", "/usr/bin/env")):
        (programs / name).write_text(
            f'#!/bin/sh\nexec {join(_UNSHARE)} sh -c {inner} {quote(program)} "$@"\n'
        )
        (programs / name).chmod(0o755)
    environ = {**hub.environ, "PATH": f"{programs}:{hub.environ['PATH']}"}
    return Hub(hub.top, environ, through_git=True)


def test_without_certificates(hub: Hub) -> None:
    """All commands work, although the usual `import pygit2` fails without certificates."""
    restricted_hub = hide_directories(hub, sorted(CERTIFICATES))
    script = "import ssl; p = ssl.get_default_verify_paths(); print(p.cafile, p.capath)"
    assert restricted_hub.call("apart", PYTHON, "-c", script) == Result(0, "None None\n")
    run_session(restricted_hub)
    assert restricted_hub.run("doctor").code == 0
    assert restricted_hub.run("board", "read", "results").code == 0


PROC_WARNING = "warning: /proc is not available: running processes and mounts were not checked\n"


def test_without_proc(hub: Hub) -> None:
    """Cleanup warns that it did not check for processes and mounts, and saves all work."""
    restricted_hub = hide_directories(hub, ["/proc"])
    run_session(restricted_hub, warning=PROC_WARNING)
    assert restricted_hub.run("doctor").code == 0
    assert restricted_hub.run("init", "-q", "--id", "s2", "--task", "t", "--agents", "2").code == 0
    assert restricted_hub.run("spawn", "-q", "s2") == Result(0)
    worktree = hub.top.parent / "project.hub" / "s2" / "agent-1"
    (worktree / "new").write_text("new\n")
    with subprocess.Popen(["sleep", "300"], cwd=worktree) as process:
        wait_until_started(process)
        preview = restricted_hub.run("cleanup", "-n", "s2")
        assert (preview.code, preview.err) == (0, PROC_WARNING)
        full_preview = hub.run("cleanup", "-n", "s2")
        assert (full_preview.code, full_preview.err) == (1, "")
        assert f"in use by process {process.pid} (sleep)" in full_preview.out
        result = restricted_hub.run("cleanup", "s2")
        assert (result.code, result.err) == (0, PROC_WARNING)
        process.kill()
    assert hub.git("show", "refs/hub/rescue/s2/agent-1/attempt-1/1^3:new") == "new"
    assert restricted_hub.run("restore", "-q", "s2") == Result(0)
    assert (worktree / "new").read_text() == "new\n"
    check_repository(hub)


def read_modes(*tops: Path) -> dict[str, int]:
    """Return the permissions of each file and directory below `tops`."""
    return {
        str(path.relative_to(top.parent)): stat.S_IMODE(path.lstat().st_mode)
        for top in tops
        for path in [top, *top.rglob("*")]
        if not path.is_symlink()
    }


@pytest.mark.parametrize("umask", ["000", "077", "022"])
def test_umasks(hub: Hub, umask: str) -> None:
    """The umask limits the permissions of new files, as in git."""
    mask = int(umask, 8)
    hub.git("config", "hubsession.setup", "touch by-setup")

    def run(command: str) -> None:
        result = hub.call("sh", "-c", f"umask {umask}; git hub-session {command}")
        assert result.code == 0, result

    before = read_modes(hub.top / ".git")
    run("init -q --id s1 --task t --agents 2")
    run("spawn -q s1")
    run("exec -q s1 -- sh -c 'touch done; git add done; git commit -q -m x; echo new >new'")
    run("eval -q --ranking 1,2 s1")
    run("board post -q progress -m hello")
    new_modes = read_modes(hub.top / ".agenthub", hub.top.parent / "project.hub")
    for path, mode in new_modes.items():
        expected = 0o777 if (hub.top.parent / path).is_dir() or (hub.top / path).is_dir() else 0o666
        assert mode == expected & ~mask, (path, oct(mode))
    run("cleanup -q s1")
    run("restore -q s1")
    run("merge -q --yes s1")
    after = read_modes(hub.top / ".git", hub.top / ".agenthub")
    for path, mode in after.items():
        if path not in before:
            assert mode & mask == 0, (path, oct(mode))
