"""Run git for every change of refs, objects and worktrees. No other module runs git.

Every call names its repository, worktree and index. The variables that git exports to hooks and
aliases (GIT_DIR, GIT_INDEX_FILE and others) are removed from the environment.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic, sleep

from git_hub_session.errors import GitFailed, HubError
from git_hub_session.git.environment import strip_local_variables
from git_hub_session.git.ref_names import update_command
from git_hub_session.system.signals import defer_signals
from git_hub_session.util.numbers import MAX_COUNT, parse_int

_UPDATE_REFS = ("update-ref", "-m", "git hub-session", "-z", "--stdin")

# The number of tries of `git worktree add`. It can fail before it has created anything because
# another process is creating a linked worktree at the same time.
_ADD_TRIES = 20

# The versions that introduced `worktree add --lock --reason`, `hook run` and
# `merge-tree --write-tree`, according to git's release notes.
_REQUIRED_VERSIONS = {"worktree": (2, 33), "hook": (2, 36), "merge-tree": (2, 38)}
_USAGE_ERROR = 129
_UNKNOWN_COMMAND = "is not a git command"

_LOCKED = r"(\.lock'|packed-refs\.new'?): File exists"
_REMOVE_LOCK = "remove the file manually to continue"


class GitMissing(HubError):
    """There is no git on PATH."""

    code = "git-missing"


class GitTooOld(HubError):
    """git does not have a feature that the command needs."""

    code = "git-too-old"


class NoSuchCommit(HubError):
    """git knows no commit with this name."""

    code = "no-such-commit"


class Git:
    """git on one repository."""

    def __init__(self, common_dir: str, environ: Mapping[str, str]) -> None:
        self.common_dir = common_dir
        self.environ = strip_local_variables(environ)
        self.environ.update(LC_ALL="C", GIT_TERMINAL_PROMPT="0", GIT_OPTIONAL_LOCKS="0")

    def at(
        self,
        git_dir: str,
        worktree: str = "",
        *,
        index: str = "",
        objects: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> GitAt:
        """Bind git to a git dir, and to a worktree if it is given. Commands run in the worktree.

        `index` and `objects` replace the index of the git dir and the repository's directory for
        new objects. `settings` are passed as -c to every command.
        """
        variables = {
            "GIT_DIR": git_dir,
            "GIT_WORK_TREE": worktree,
            "GIT_INDEX_FILE": index,
            "GIT_OBJECT_DIRECTORY": objects,
        }
        environ = {name: value for name, value in variables.items() if value}
        return GitAt(self, worktree or git_dir, environ, settings or {})

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        settings: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> bytes:
        """Run `git <command>` and return its standard output.

        `settings` are passed as -c. `environ` is added to the environment.

        Raises:
            GitFailed: the exit status is not 0.
            GitTooOld: git does not know the command or an option of it.
            GitMissing: there is no git on PATH.
        """
        arguments = ["git", *_setting_options(settings), *command]
        # Always wait for git: a killed git leaves *.lock files, and temporary files that nothing
        # removes. Ctrl-C in a terminal reaches git as well, and so ends the wait.
        release_signals = defer_signals()
        start = monotonic()
        try:
            process = subprocess.run(
                arguments,
                input=stdin,
                capture_output=True,
                env={**self.environ, "GIT_DIR": self.common_dir, **(environ or {})},
                cwd=cwd,
                check=False,
            )
        except FileNotFoundError:
            raise _not_found_error(cwd) from None
        finally:
            release_signals()
        sys.audit("git_hub_session.end", arguments, process.returncode, monotonic() - start)
        if process.returncode:
            raise self._make_error(command[0], process)
        return process.stdout

    def _make_error(self, name: str, process: subprocess.CompletedProcess[bytes]) -> HubError:
        """Return the error for a `git <name>` that failed, possibly because git is too old."""
        stderr = os.fsdecode(process.stderr)
        if process.returncode == _USAGE_ERROR or _UNKNOWN_COMMAND in stderr:
            version, missing = self.missing_features()
            if name in missing:
                return GitTooOld(
                    f"'git {name}' needs git {missing[name]} or later (this is git {version})",
                    hint="put a newer git on PATH",
                )
        return GitFailed(name, process.returncode, _add_lock_hint(stderr), process.stdout)

    def missing_features(self) -> tuple[str, dict[str, str]]:
        """Return git's version, and the unsupported commands as {command: required version}."""
        [version] = os.fsdecode(self.run(["version"])).split()[2:3] or ["?"]
        numbers = _version_numbers(version)
        missing = {
            name: ".".join(map(str, required))
            for name, required in _REQUIRED_VERSIONS.items()
            if (0, 0) < numbers < required
        }
        return version, missing

    def config_values(self, name: str) -> list[str]:
        """Return all values of the setting `name`. The last one has the highest priority."""
        try:
            return os.fsdecode(self.run(["config", "-z", "--get-all", name])).split("\0")[:-1]
        except GitFailed as error:
            if error.status == 1:
                return []
            raise

    def resolve_commit(self, text: str, git_dir: str) -> str:
        """Return the commit that `text` names in the worktree of `git_dir`. Raise NoSuchCommit."""
        command = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{text}^{{commit}}"]
        try:
            return self.run(command, environ={"GIT_DIR": git_dir}).decode().strip()
        except GitFailed:
            raise NoSuchCommit(f"no such commit: '{text}'") from None

    def add_worktree(self, path: str, commit: str, options: Sequence[str] = ()) -> None:
        """Add a linked worktree on a branch, or on a commit with --detach. Raise GitFailed."""
        for attempt in range(1, _ADD_TRIES + 1):
            try:
                self.run(["worktree", "add", "--quiet", *options, "--", path, commit])
                return
            except GitFailed as error:
                if error.was_killed or not _is_unused(path) or attempt == _ADD_TRIES:
                    raise
            sleep(0.01 * attempt)

    def unlock_worktree(self, path: str) -> None:
        """Unlock the linked worktree at `path`. Raise GitFailed."""
        self.run(["worktree", "unlock", "--", path])

    def commit_tree(
        self,
        tree: str,
        parents: Sequence[str],
        message: bytes,
        *,
        sign: bool = False,
        settings: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> str:
        """Create a commit and return its object id. Raise GitFailed.

        git's configuration or `environ` names the author and the committer.
        """
        command = ["commit-tree", *["-S"] * sign, tree]
        for parent in parents:
            command += ["-p", parent]
        settings = {"i18n.commitEncoding": "utf-8", **(settings or {})}
        return self.run(command, stdin=message, settings=settings, environ=environ).decode().strip()

    def update_refs(self, commands: Iterable[str], *, dry_run: bool = False) -> None:
        """Apply `git update-ref --stdin` commands in one transaction: all of them or none.

        git runs the user's reference-transaction hook. A dry run calls the hook too, but changes
        nothing. Raise GitFailed.
        """
        changes = list(commands)
        lines = [os.fsencode(command) for command in changes]
        end = b"abort" if dry_run else b"commit"
        stdin = b"\0".join([b"start", *lines, b"prepare", end, b""])
        # By default, git does not flush refs to the disk.
        self.run(_UPDATE_REFS, stdin=stdin, settings={"core.fsync": "all"})
        sys.audit("git_hub_session.refs", [] if dry_run else changes)


class GitAt:
    """git bound to a git dir, a worktree and an index (Git.at)."""

    def __init__(
        self, git: Git, directory: str, environ: Mapping[str, str], settings: Mapping[str, str]
    ) -> None:
        self.directory = directory
        """The directory in which git runs: the top of the worktree, or else the git dir."""
        self._git = git
        self._environ = environ
        self._settings = settings

    def run(self, command: Sequence[str], *, stdin: bytes = b"") -> bytes:
        """Run `git <command>` and return its standard output, as Git.run."""
        return self._git.run(
            command,
            stdin=stdin,
            settings=self._settings,
            environ=self._environ,
            cwd=self.directory,
        )

    def run_with_locked_ref(self, script: str, ref: str, new: str, old: str) -> None:
        """Run a shell script that moves `ref` from the commit `old` to `new`, with `ref` locked.

        The script has the arguments `ref`, `new` and `old`. Its standard input and output belong to
        `git update-ref --stdin`, which waits for "commit". The script and git each run in their own
        setsid(2) session: Ctrl-C does not reach them, and they finish if this program is killed. If
        the script, git or a hook fails, raise GitFailed. The ref then does not move.
        """
        environ = {**self._git.environ, **self._environ}
        arguments = ["/bin/sh", script, ref, new, old]
        release_signals = defer_signals()
        start = monotonic()
        try:
            with self._start_transaction(environ, update_command(ref, new, old)) as transaction:
                process = subprocess.run(
                    arguments,
                    stdin=transaction.stdout,
                    stdout=transaction.stdin,
                    stderr=subprocess.PIPE,
                    env=environ,
                    cwd=self.directory,
                    check=False,
                    start_new_session=True,
                )
        finally:
            release_signals()
        seconds = monotonic() - start
        sys.audit("git_hub_session.end", arguments, process.returncode, seconds)
        sys.audit("git_hub_session.end", transaction.args, transaction.returncode, seconds)
        if process.returncode:
            stderr = _add_lock_hint(os.fsdecode(process.stderr))
            raise GitFailed("read-tree", process.returncode, stderr)
        sys.audit("git_hub_session.refs", [update_command(ref, new, old)])

    def _start_transaction(
        self, environ: Mapping[str, str], command: str
    ) -> subprocess.Popen[bytes]:
        """Start a `git update-ref` that locks the ref of `command` and waits. Raise GitFailed."""
        process = subprocess.Popen(
            ["git", *_UPDATE_REFS],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            cwd=self.directory,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\0".join([b"start", os.fsencode(command), b"prepare", b""]))
        output = b""
        while not output.endswith(b"prepare: ok\n"):
            data = process.stdout.read(4096)
            if not data:
                with process:
                    message = _add_lock_hint(os.fsdecode(output.removeprefix(b"start: ok\n")))
                raise GitFailed("update-ref", process.returncode, message)
            output += data
        return process


def _setting_options(settings: Mapping[str, str] | None) -> list[str]:
    items = (settings or {}).items()
    return [word for name, value in items for word in ("-c", f"{name}={value}")]


def _not_found_error(cwd: str | None) -> HubError:
    if cwd is not None and not os.path.isdir(cwd):
        return HubError(f"directory '{cwd}' is missing", hint="try again")
    return GitMissing("cannot find 'git'", hint="put git on PATH")


def _is_unused(path: str) -> bool:
    """Return True if `path` is missing or an empty directory. `git worktree add` accepts both."""
    try:
        return not os.listdir(path)
    except FileNotFoundError:
        return not os.path.lexists(path)
    except OSError:
        return False


def _add_lock_hint(stderr: str) -> str:
    """Add the advice to remove a stale lock if git leaves it out.

    git gives no advice for packed-refs.new, and since 2.55 for no lock.
    """
    if re.search(_LOCKED, stderr) and _REMOVE_LOCK not in stderr:
        return f"{stderr.rstrip()}\na git process may have crashed earlier: {_REMOVE_LOCK}\n"
    return stderr


def _version_numbers(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version: (2, 39) for "2.39.5" and "2.39.0.rc1"."""
    parts = version.split(".")[:2]
    return tuple(parse_int(part, MAX_COUNT) or 0 for part in parts)


def is_safe_directory(cwd: str, environ: Mapping[str, str]) -> bool:
    """Return True if git accepts the repository at `cwd`: safe.directory, safe.bareRepository."""
    arguments = ["git", "rev-parse", "--git-dir"]
    start = monotonic()
    try:
        process = subprocess.run(
            arguments, cwd=cwd, env=dict(environ), capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    sys.audit("git_hub_session.end", arguments, process.returncode, monotonic() - start)
    return process.returncode == 0
