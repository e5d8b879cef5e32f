"""The input of the shell at the far end: the values of a worker, quoted for sh, and far.sh."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping

from git_hub_session import __version__
from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.executors.slurm_record import JobRecord

START, CANCEL, CREATE, RUN = "start", "cancel", "create", "run"
"""The actions: start or show a worker, end workers, create a repository, or be a job."""
_SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "far.sh")
_DIGITS = 8
_NOT_PLAIN = r"[^A-Za-z0-9._-]+"


class FarWork(NamedTuple):
    """The work at the far ends, the same for all executors."""

    sid: str
    """The id of the session, or '' if no worker starts."""
    url: str
    """The URL of the shared remote here."""
    command: str
    """The command line of the worker in the syntax of sh, without `git hub-session`.

    To create a repository, the name of its branch.
    """
    settings: Mapping[str, str]
    """The settings of git that the worker needs."""
    directory: str = ""
    """The directory for the files of the workers, below the directory of all sessions."""
    evaluation: str = ""
    """The id of the evaluation for which the workers measure, or ''."""
    bootstraps: bool = False
    """True to install this program on a machine that does not have it."""


def make_script(
    action: str,
    work: FarWork,
    *,
    slot: int,
    path: str,
    setup: str,
    remote: str,
    wheel: tuple[str, bytes] = ("", b""),
) -> bytes:
    """Return the input of `sh -s` at the far end.

    Args:
        slot: the number of the worker among those of its executor.
        path: the directory of the clone, or '' for the default.
        setup: the shell command that runs before the worker, or ''.
        remote: the URL of the shared remote as the far end sees it, or '' for the URL here.
        wheel: the file name and the content of the wheel to install if the far end does not have
            this program, or ("", b"") to install nothing.
    """
    values = {
        "action": action,
        "directory": work.directory,
        "evaluation": work.evaluation,
        "slot": str(slot),
        "path": path,
        "clone": clone_name(remote or work.url),
        "url": remote or work.url,
        "setup": setup,
        "git_settings": _export_settings(work.settings),
        **_program_values(work),
        "command_line": work.command,
        "wheel_name": wheel[0],
        "wheel": base64.b64encode(wheel[1]).decode(),
    }
    lines = [f"{name}={quote_word(value)}" for name, value in values.items()]
    head = "\n".join([*lines, f"set -- {work.command}", ""])
    with open(_SCRIPT, "rb") as file:
        script = file.read()
    return head.encode("utf-8", "surrogateescape") + script


def make_job_script(work: FarWork, *, here: str, record: JobRecord, **options: Any) -> bytes:
    """Return the script of an array of jobs. The number of a job is the number of its agent.

    Args:
        here: the directory of this clone, which a node may see too.
        options: the path, setup, remote and wheel for make_script().
    """
    values = {"here": here, "jobs": record.path, "jobs_id": record.id}
    lines = ["#!/bin/sh", *(f"{name}={quote_word(value)}" for name, value in values.items())]
    command = work.command.removeprefix("work ")
    work = work._replace(command=f'work --only "$SLURM_ARRAY_TASK_ID" {command}')
    script = make_script(RUN, work, slot=0, **options)
    head = "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")
    return head + script


def clone_name(url: str) -> str:
    """Return the name of the default clone of a remote: no two remotes share a clone."""
    name = url.rstrip("/").removesuffix(".git").replace(":", "/").rpartition("/")[2]
    digest = hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{re.sub(_NOT_PLAIN, '-', name).lstrip('.-') or 'clone'}-{digest[:_DIGITS]}"


def _program_values(work: FarWork) -> dict[str, str]:
    """Return the version of this program, and the build to install ('' for any build)."""
    if not work.bootstraps:
        return {"version": __version__, "build": ""}
    from git_hub_session.executors.wheel import build_id

    return {"version": __version__, "build": build_id()}


def _export_settings(settings: Mapping[str, str]) -> str:
    """Return the sh command that passes settings to git (GIT_CONFIG_COUNT in git-config(1))."""
    words = [f"GIT_CONFIG_COUNT={len(settings)}"]
    for number, (name, value) in enumerate(settings.items()):
        words += [f"GIT_CONFIG_KEY_{number}={name}", f"GIT_CONFIG_VALUE_{number}={value}"]
    return f"export {' '.join(map(quote_word, words))}" if settings else ""
