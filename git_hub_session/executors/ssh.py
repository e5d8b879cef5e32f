"""The command that connects to a host: git's ssh, with one connection for all workers."""

from __future__ import annotations

import os
from collections.abc import Mapping

from git_hub_session.util.shell import quote_word, split_words

_SETTING = "core.sshcommand"
_MAX_PATH = 85
"""The longest path of the socket: ssh adds 17 characters, and Linux allows 107 (unix(7))."""


def ssh_command(
    host: str, socket: str, settings: Mapping[str, str], environ: Mapping[str, str]
) -> str:
    """Return the command prefix that runs a program on a host, in the syntax of sh.

    git chooses its ssh in the same way (git-config(1), core.sshCommand). The first connection serves
    the others. It ends after the last one, so that no process remains.

    Args:
        socket: the path of the socket that the connections of this host share.
        settings: the settings of the user, by their names.
    """
    command = environ.get("GIT_SSH_COMMAND") or settings.get(_SETTING)
    command = command or quote_word(environ.get("GIT_SSH") or "ssh")
    program = os.path.basename((split_words(command) or [""])[0])
    options = ["-T"]
    if program == "ssh" and len(os.fsencode(socket)) <= _MAX_PATH:
        path = socket.replace("%", "%%")
        options += ["-o", "ControlMaster=auto", "-o", "ControlPersist=no", "-S", path]
    if program == "ssh":
        options += ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"]
    return " ".join([command, *map(quote_word, options), host])
