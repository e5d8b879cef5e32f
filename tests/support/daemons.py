"""Shell commands that start processes in the background."""

from __future__ import annotations

from pathlib import Path

SLEEP = "sleep 600 & until grep -q sleep /proc/$!/comm; do :; done"
"""Start a process in the background, and wait until it has its name."""


def start_daemon(pid_file: Path) -> str:
    """Return a command that starts a daemon `sleep`, and adds its id to a file.

    The daemon has an empty environment, its own session, another directory and no open files of
    the command. Its parent has ended.
    """
    start = f"cd /; exec </dev/null >/dev/null 2>&1; {SLEEP}; echo $! >>{pid_file}"
    return f"env -i PATH=$PATH setsid sh -c '{start}'"
