"""bash, zsh and fish complete the command when the user presses the tabulator key."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pexpect
import pytest

from tests.support.hub import CHECKOUT, Hub

_SECONDS = 60  # a command of a loaded machine is slow
_BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
_CONTROL = r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]|[\x00\x07\x08\x0f]"

# The commands that prepare each shell. "git hub-session" is on PATH.
_SETUP = {
    "bash": (
        "bind 'set enable-bracketed-paste off'",
        f"source {_BASH_COMPLETION}",
        "source <(git hub-session completion bash)",
        "_completion_loader git",
        "git config --global alias.hs hub-session",
    ),
    "zsh": (
        'mkdir -p "$HOME/functions"',
        'git hub-session completion zsh > "$HOME/functions/_git-hub-session"',
        "fpath=($HOME/functions $fpath)",
        'autoload -Uz compinit && compinit -u -d "$HOME/dump"',
    ),
    "fish": ("set -g fish_autosuggestion_enabled 0", "git hub-session completion fish | source"),
}
_START = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config", "--private"]}

# The same for a shell that finds the files of an installation in the directories of XDG_DATA_DIRS.
_INSTALLED_SETUP = {
    "bash": ("bind 'set enable-bracketed-paste off'", f"source {_BASH_COMPLETION}"),
    "zsh": (
        "fpath=(${XDG_DATA_DIRS%%:*}/zsh/site-functions $fpath)",
        'autoload -Uz compinit && compinit -u -d "$HOME/dump"',
    ),
    "fish": ("set -g fish_autosuggestion_enabled 0",),
}
_INSTALLED_START = {**_START, "fish": ["--private"]}


class Shell:
    """A shell in a terminal."""

    def __init__(self, name: str, hub: Hub, share: Path | None = None) -> None:
        """Start a shell.

        Args:
            share: the directory of an installation whose files the shell finds by itself.
        """
        environ = {**hub.environ, "TERM": "vt100", "HISTFILE": ""}
        if share:
            environ["XDG_DATA_DIRS"] = f"{share}:/usr/local/share:/usr/share"
        self._child = pexpect.spawn(
            name, (_INSTALLED_START if share else _START)[name], env=environ, cwd=str(hub.top),
            encoding="utf-8", timeout=_SECONDS, dimensions=(50, 200),
        )  # fmt: skip
        for command in (_INSTALLED_SETUP if share else _SETUP)[name]:
            self._child.sendline(command)
        self._child.sendline("echo rea''dy")
        self._child.expect("ready\r\n")

    def complete(self, line: str, expected: str) -> None:
        """Type a line and the tabulator key. Wait until the terminal shows `expected`."""
        self._child.send(line)
        seen = self._wait_for(line.split()[-1], "")
        self._child.send("\t")
        self._wait_for(expected, seen)
        self._child.sendcontrol("u")

    def _wait_for(self, text: str, seen: str) -> str:
        """Read from the terminal until `seen` and the rest contain `text`. Return all of it."""
        end = monotonic() + _SECONDS
        while text not in seen:
            assert monotonic() < end, seen
            try:
                seen += re.sub(_CONTROL, "", self._child.read_nonblocking(4096, timeout=1))
            except pexpect.TIMEOUT:
                continue
        return seen

    def close(self) -> None:
        """End the shell."""
        self._child.close(force=True)


@pytest.fixture(params=["bash", "zsh", "fish"])
def name(request: pytest.FixtureRequest, hub: Hub) -> str:
    """Return the name of an installed shell. The hub has the session `plan` with two agents."""
    name = str(request.param)
    if not shutil.which(name) or (name == "bash" and not _BASH_COMPLETION.exists()):
        pytest.skip(f"{name} or its completion is not installed")
    hub.run("init", "--id", "plan", "--agents", "2", "--task", "t")
    return name


@pytest.fixture
def shell(name: str, hub: Hub) -> Iterator[Shell]:
    """Return a shell that has loaded the script."""
    shell = Shell(name, hub)
    yield shell
    shell.close()


def test_a_tabulator_key_completes_the_word(shell: Shell) -> None:
    shell.complete("git hub-session upd", "update ")
    shell.complete("git hub-session status p", "status plan ")
    shell.complete("git hub-session merge --squ", "--squash ")
    shell.complete("git hub-session merge --form", "--format=")
    shell.complete("git hub-session update --state=m", "--state=merged ")
    shell.complete("git -C . hub-session board read dis", "dispatch ")
    shell.complete("git-hub-session path plan a", "agent-")
    shell.complete("git hub-session exec plan -- mkd", "mkdir")
    shell.complete("git hub-session init -F .git/HE", ".git/HEAD")


def test_an_installed_file_is_found_by_the_shell(name: str, hub: Hub, tmp_path: Path) -> None:
    """The files lie where the wheel, `make install` and the Debian package put them."""
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    files = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    for source, target in files.items():
        (tmp_path / "data" / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / source, tmp_path / "data" / target)
    shell = Shell(name, hub, tmp_path / "data" / "share")
    try:
        shell.complete("git hub-session upd", "update ")
        shell.complete("git hub-session status p", "status plan ")
        shell.complete("git-hub-session path plan a", "agent-")
    finally:
        shell.close()


@pytest.mark.parametrize("name", ["bash"], indirect=True)
def test_bash_completes_after_an_alias_of_git(shell: Shell) -> None:
    shell.complete("git hs status p", "status plan ")
