"""Start git and collect its output. No other module starts git.

The output goes to files in memory, not to pipes: a hook, a filter or a merge driver may leave a
process in the background that keeps a pipe open. git does not wait for such a process either.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from time import monotonic

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import GitFailed, HookRefused, HubError
from git_hub_session.git.config import parse_git_config
from git_hub_session.git.ref_names import add_ref_advice
from git_hub_session.git.safe_open import MAX_BYTES, read_text
from git_hub_session.git.worktrees import linked_git_dir
from git_hub_session.programs.foreground import run_in_foreground
from git_hub_session.system.io import read_from_start, write_all
from git_hub_session.system.signals import defer_signals
from git_hub_session.system.temporary import memory_file
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.paths import is_same_path

# The versions that introduced `worktree add --lock --reason`, `hook run` and
# `merge-tree --write-tree`, according to git's release notes.
_REQUIRED_VERSIONS = {"worktree": (2, 33), "hook": (2, 36), "merge-tree": (2, 38)}
# The exit statuses of git if it does not know a command, or an option of it. git's message about
# an unknown command may be in any language.
_UNKNOWN_COMMAND, _USAGE_ERROR = 1, 129
_REFUSED_BY_HOOK = r"^fatal: .*(by hook|reference-transaction hook).*$"
_STANDARD_ERROR = 2


class GitMissing(HubError):
    """There is no git on PATH."""

    code = "git-missing"


class GitTooOld(HubError):
    """git does not have a feature that the command needs."""

    code = "git-too-old"


class NoAnswer(HubError):
    """A git that wrote nothing for too long: it has no time limit of its own for most remotes."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer for {seconds:g} s")


class Surroundings(NamedTuple):
    """The directory and the environment in which git starts."""

    directory: str | None
    """None is the current directory."""
    environ: Mapping[str, str]


def run_git(
    command: Sequence[str],
    surroundings: Surroundings,
    *,
    stdin: bytes = b"",
    settings: Mapping[str, str] | None = None,
    shows_messages: bool = False,
    silence_limit: float | None = None,
) -> tuple[bytes, bytes]:
    """Run `git <command>` and return its standard output and its standard error.

    Args:
        settings: passed as -c.
        shows_messages: let git write its standard error on that of this process.
        silence_limit: end git after so many seconds without output, and if a signal ends this
            process. None waits without a limit.

    Raises:
        GitFailed: the exit status is not 0.
        NoAnswer: git wrote nothing for too long.
        GitTooOld: git does not know the command or an option of it.
        GitMissing: there is no git on PATH.
    """
    arguments = ["git", *_setting_options(settings), *command]
    with memory_file() as stdout, memory_file() as stderr:
        if silence_limit is not None:
            status = _watch(arguments, surroundings, (stdout, stderr), silence_limit)
        else:
            target = None if shows_messages else stderr
            status = _wait_for(arguments, surroundings, stdin=stdin, stdout=stdout, stderr=target)
        output, messages = read_from_start(stdout), read_from_start(stderr)
    if status:
        name = command[2] if command[0] == "--git-dir" else command[0]
        raise _make_error(name, status, output, messages, surroundings)
    return output, messages


def run_git_in_foreground(
    command: Sequence[str], surroundings: Surroundings, settings: Mapping[str, str] | None = None
) -> int:
    """Run `git <command>` with the terminal of this process, and return its exit status.

    git starts its pager. Raise GitMissing.
    """
    arguments = ["git", *_setting_options(settings), *command]
    try:
        return run_in_foreground(arguments, *surroundings)
    except FileNotFoundError:
        raise _not_found_error(surroundings.directory) from None


def _wait_for(
    arguments: Sequence[str],
    surroundings: Surroundings,
    *,
    stdin: bytes,
    stdout: int,
    stderr: int | None,
) -> int:
    """Run git and return its exit status. Raise HubError if it cannot start."""
    # Always wait for git: a killed git leaves *.lock files, and temporary files that nothing
    # removes. Ctrl-C in a terminal reaches git as well, and so ends the wait.
    release_signals = defer_signals()
    start = monotonic()
    try:
        process = subprocess.run(
            arguments,
            input=stdin,
            stdout=stdout,
            stderr=stderr,
            env=surroundings.environ,
            cwd=surroundings.directory,
            check=False,
        )
    except FileNotFoundError:
        raise _not_found_error(surroundings.directory) from None
    finally:
        release_signals()
    sys.audit("git_hub_session.end", arguments, process.returncode, monotonic() - start)
    return process.returncode


def _watch(
    arguments: Sequence[str], surroundings: Surroundings, files: tuple[int, int], limit: float
) -> int:
    """Run git and return its exit status. Raise NoAnswer after `limit` seconds without output.

    Args:
        files: the files for standard output and standard error.
    """
    from git_hub_session.programs.watched import Silent, run_watched  # most commands use no remote

    start = monotonic()
    try:
        status = run_watched(arguments, *surroundings, files, limit)
    except FileNotFoundError:
        raise _not_found_error(surroundings.directory) from None
    except Silent as error:
        sys.audit("git_hub_session.end", arguments, error.status, monotonic() - start)
        raise NoAnswer(limit) from None
    sys.audit("git_hub_session.end", arguments, status, monotonic() - start)
    return status


def run_with_locked_ref(
    arguments: Sequence[str],
    update_refs: Sequence[str],
    updates: Sequence[str],
    surroundings: Surroundings,
) -> bytes:
    """Run a program while `git update-ref` holds the lock of a ref. Return their messages.

    The standard input and output of the program belong to `git <update_refs>`, which has prepared
    the commands `updates` and waits for "commit". Both run in their own setsid(2) session: Ctrl-C
    does not reach them, and they finish if this program is killed. Raise GitFailed.
    """
    release_signals = defer_signals()
    start = monotonic()
    try:
        with memory_file() as messages:
            with _start_transaction(update_refs, updates, surroundings, messages) as transaction:
                process = subprocess.run(
                    arguments,
                    stdin=transaction.stdout,
                    stdout=transaction.stdin,
                    stderr=messages,
                    env=surroundings.environ,
                    cwd=surroundings.directory,
                    check=False,
                    start_new_session=True,
                )
            text = read_from_start(messages)
    finally:
        release_signals()
    seconds = monotonic() - start
    sys.audit("git_hub_session.end", arguments, process.returncode, seconds)
    sys.audit("git_hub_session.end", transaction.args, transaction.returncode, seconds)
    if process.returncode:
        raise GitFailed("read-tree", process.returncode, add_ref_advice(os.fsdecode(text)))
    return text


def _start_transaction(
    update_refs: Sequence[str], updates: Sequence[str], surroundings: Surroundings, messages: int
) -> subprocess.Popen[bytes]:
    """Start a `git update-ref` that locks the refs of `updates` and waits. Raise GitFailed."""
    process = subprocess.Popen(
        ["git", *update_refs],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=messages,
        env=surroundings.environ,
        cwd=surroundings.directory,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\0".join([b"start", *map(os.fsencode, updates), b"prepare", b""]))
    output = b""
    while not output.endswith(b"prepare: ok\n"):
        data = process.stdout.read(4096)
        if not data:
            with process:
                pass
            message = add_ref_advice(os.fsdecode(read_from_start(messages)))
            raise GitFailed("update-ref", process.returncode, message)
        output += data
    return process


def git_version(surroundings: Surroundings) -> str:
    """Return git's version, such as "2.39.5", or "?"."""
    output, _ = run_git(["version"], surroundings)
    [version] = os.fsdecode(output).split()[2:3] or ["?"]
    return version


def missing_features(surroundings: Surroundings) -> tuple[str, dict[str, str]]:
    """Return git's version, and the unsupported commands as {command: required version}."""
    version = git_version(surroundings)
    numbers = version_numbers(version)
    missing = {
        name: ".".join(map(str, required))
        for name, required in _REQUIRED_VERSIONS.items()
        if (0, 0) < numbers < required
    }
    return version, missing


def _make_error(
    name: str, status: int, output: bytes, messages: bytes, surroundings: Surroundings
) -> HubError:
    """Return the error for a `git <name>` that failed, possibly because git is too old."""
    is_unknown = status == _USAGE_ERROR or (status == _UNKNOWN_COMMAND and not output)
    if is_unknown and name in _REQUIRED_VERSIONS:
        version, missing = missing_features(surroundings)
        if name in missing:
            return GitTooOld(
                f"'git {name}' needs git {missing[name]} or later (this is git {version})",
                hint="put a newer git on PATH",
            )
    return GitFailed(name, status, add_ref_advice(os.fsdecode(messages)), output)


def show_messages(messages: bytes) -> None:
    """Write the messages of git and of the programs that it starts, as they are."""
    try:
        write_all(_STANDARD_ERROR, messages)
    except OSError:
        pass  # as git: nobody reads the messages


def raise_if_refused(error: GitFailed) -> None:
    """Show the output of the reference-transaction hook and raise HookRefused if it refused."""
    refusal = re.search(_REFUSED_BY_HOOK, error.stderr, re.MULTILINE)
    if refusal:
        show_messages(os.fsencode(error.stderr[: refusal.start()]))
        raise HookRefused("reference-transaction", "the change of the refs") from None


def _setting_options(settings: Mapping[str, str] | None) -> list[str]:
    items = (settings or {}).items()
    return [word for name, value in items for word in ("-c", f"{name}={value}")]


def _not_found_error(directory: str | None) -> HubError:
    if directory is not None and not os.path.isdir(directory):
        return HubError(f"directory '{directory}' is missing", hint="try again")
    return GitMissing("cannot find 'git'", hint="put git on PATH")


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version: (2, 39) for "2.39.5" and "2.39.0.rc1"."""
    parts = version.split(".")[:2]
    return tuple(parse_int(part, MAX_COUNT) or 0 for part in parts)


def is_safe_directory(cwd: str, environ: Mapping[str, str]) -> bool:
    """Return True if git accepts the repository at `cwd`: safe.directory, safe.bareRepository."""
    try:
        run_git(["rev-parse", "--git-dir"], Surroundings(cwd, environ))
    except HubError:
        return False
    return True


def repository_variables(
    git_dir: str, worktree: str, directory: str, common_dir: str
) -> dict[str, str]:
    """Return the variables that name a repository to git in `directory`, as git sets them."""
    if not worktree:
        return {"GIT_DIR": ".", "GIT_IMPLICIT_WORK_TREE": "0"}
    is_linked = git_dir != common_dir
    if is_linked and directory == worktree and not _has_worktree_setting(git_dir):
        return {"GIT_DIR": git_dir}
    if _leads_to(worktree, git_dir):
        return {}
    return {"GIT_DIR": git_dir, "GIT_WORK_TREE": worktree}


def _has_worktree_setting(git_dir: str) -> bool:
    """Return True if core.worktree of a linked worktree names another directory."""
    text = read_text(os.path.join(git_dir, "config.worktree"), limit=MAX_BYTES)
    return "core.worktree" in parse_git_config(text)


def _leads_to(worktree: str, git_dir: str) -> bool:
    """Return True if git finds the git dir from the top of the worktree."""
    dot_git = os.path.join(worktree, ".git")
    if os.path.isdir(dot_git):
        return os.path.realpath(dot_git) == git_dir
    return is_same_path(linked_git_dir(worktree), git_dir)
