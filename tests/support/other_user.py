"""Run the command as another user than root."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from tests.support.crash_scenarios import COMMAND
from tests.support.hub import PYTHON, Hub, new_hub

USER = 65534
"""The id of the user and of the group `nobody`."""
AS_USER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
RUN_COMMAND = (PYTHON, "-B", "-I", "-c", COMMAND)


def can_run_as_user() -> bool:
    """Return True if root can start the command as USER, who needs to read this checkout."""
    try:
        result = subprocess.run([*AS_USER, *RUN_COMMAND, "--version"], capture_output=True)
    except FileNotFoundError:  # no setpriv
        return False
    return result.returncode == 0


@contextmanager
def public_directory() -> Iterator[Path]:
    """Create a temporary directory that other users can read, also if TMPDIR is private."""
    default = Path(gettempdir()).resolve()
    parents = (default, *default.parents)
    is_public = all(path.stat().st_mode & stat.S_IXOTH for path in parents)
    with TemporaryDirectory(prefix="hub-public-", dir=None if is_public else "/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def public_hub(environ: Mapping[str, str]) -> Iterator[Hub]:
    """Create a repository, a home directory and a TMPDIR that other users can read."""
    with public_directory() as home:
        config = Path(environ["HOME"]) / ".gitconfig"
        (home / ".gitconfig").write_bytes(config.read_bytes())
        places = {"HOME": home, "XDG_CONFIG_HOME": home / ".config", "TMPDIR": home.parent}
        yield new_hub(home / "project", {**environ, **{key: str(places[key]) for key in places}})


def give_to_user(hub: Hub, user: int = USER) -> None:
    """Give the repository and the home directory to a user."""
    if not os.geteuid():
        subprocess.run(["chown", "-R", f"{user}:{user}", hub.top.parent], check=True)
