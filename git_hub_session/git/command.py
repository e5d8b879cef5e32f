"""Run git for every change of refs, objects and worktrees, as the user would run it.

`Git` is git on a repository. Its own commands only look: they have no hooks, and their messages are
in English. `GitAt` is git in a worktree or in the directory of the user. Its commands may start
hooks, filters, merge drivers and gpg, which get the same environment and directory as from git.
So git starts in the worktree, without GIT_DIR if it finds the repository from there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import sleep

from git_hub_session.errors import GitFailed, HubError
from git_hub_session.git.config_files import sections_to_remove
from git_hub_session.git.environment import (
    ORIGINAL_OBJECTS,
    object_variables,
    place_variables,
    strip_local_variables,
)
from git_hub_session.git.process import (
    Surroundings,
    git_version,
    missing_features,
    raise_if_refused,
    repository_variables,
    run_git,
    run_git_in_foreground,
    run_with_locked_ref,
    show_messages,
    version_numbers,
)
from git_hub_session.git.ref_names import update_command
from git_hub_session.git.worktrees import is_complete, is_unused

# git does not translate its messages, and the programs that it starts keep the user's language.
# The guard of this program (hooks/) does not check the changes of its own commands.
_CHANGING_REFS = {"GIT_TEXTDOMAINDIR": os.devnull, "GIT_HUB_SESSION_GUARD": "off"}
# By default, git does not flush refs to the disk.
_FLUSH_REFS = {"core.fsync": "all"}

# The number of tries of `git worktree add`. It can fail before it has created anything because
# another process is creating a linked worktree at the same time.
_ADD_TRIES = 20


class NoSuchCommit(HubError):
    """git knows no commit with this name."""

    code = "no-such-commit"


class Git:
    """git on one repository."""

    def __init__(
        self, common_dir: str, environ: Mapping[str, str], *, cwd: str = "", worktree: str = ""
    ) -> None:
        """Bind git to a repository.

        Args:
            common_dir: the common dir of the repository.
            environ: the environment of the user.
            cwd: the directory of the user, from which git finds the repository, or ''.
            worktree: the worktree that contains `cwd`, or ''.
        """
        self.common_dir = common_dir
        self._environ = strip_local_variables(environ)
        self._cwd = cwd
        self._worktree = worktree
        self._looking = Surroundings(
            None,
            {
                **self._environ,
                **ORIGINAL_OBJECTS,
                "GIT_DIR": common_dir,
                "LC_ALL": "C",
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_OPTIONAL_LOCKS": "0",
            },
        )
        variables = place_variables(environ) if cwd else {"GIT_DIR": common_dir}
        self.surroundings = Surroundings(cwd or None, {**self._environ, **variables})
        """The directory and the environment of the user."""
        self._here = GitAt(self.surroundings)

    def at(
        self,
        git_dir: str,
        worktree: str = "",
        *,
        index: str = "",
        objects: str = "",
        settings: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        in_subdirectory: bool = False,
    ) -> GitAt:
        """Bind git to a git dir, and to a worktree if it is given. Commands run at its top.

        Args:
            index: replaces the index of the git dir.
            objects: a directory for new objects, or '' for that of the repository.
            settings: passed as -c to every command.
            variables: added to the environment.
            in_subdirectory: run in the directory of the user if it is in the worktree, so that
                hooks get GIT_PREFIX, and git does not remove that directory.
        """
        directory = worktree or git_dir
        if in_subdirectory and worktree and worktree == self._worktree:
            directory = self._cwd
        environ = {
            **self._environ,
            **repository_variables(git_dir, worktree, directory, self.common_dir),
            **({"GIT_INDEX_FILE": index} if index else {}),
            **(object_variables(objects, self.common_dir) if objects else {}),
            **(variables or {}),
        }
        return GitAt(Surroundings(directory, environ), settings)

    def run(self, command: Sequence[str]) -> bytes:
        """Run a `git <command>` that only looks, and return its standard output.

        Raises:
            GitFailed: the exit status is not 0.
            GitTooOld: git does not know the command or an option of it.
            GitMissing: there is no git on PATH.
        """
        output, _ = run_git(command, self._looking)
        return output

    def version(self) -> tuple[int, ...]:
        """Return the first two numbers of git's version: (2, 39) for 2.39.5."""
        return version_numbers(git_version(self._looking))

    def missing_features(self) -> tuple[str, dict[str, str]]:
        """Return git's version, and the unsupported commands as {command: required version}."""
        return missing_features(self._looking)

    def config_values(self, name: str) -> list[str]:
        """Return all values of the setting `name`. The last one has the highest priority."""
        return _config_values(self.run, name)

    def resolve_commit(self, text: str, git_dir: str) -> str:
        """Return the commit that `text` names in the worktree of `git_dir`. Raise NoSuchCommit."""
        command = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{text}^{{commit}}"]
        try:
            return self.run(["--git-dir", git_dir, *command]).decode().strip()
        except GitFailed as error:
            raise error if error.was_killed else NoSuchCommit(f"no such commit: '{text}'") from None

    def add_worktree(self, path: str, commit: str, options: Sequence[str], **environ: str) -> str:
        """Add a linked worktree on a branch, or on a commit with --detach. Raise GitFailed.

        git keeps the worktree if the post-checkout hook fails. Return the error of the hook, or ''.
        """
        command = ["worktree", "add", "--quiet", *options, "--", path, commit]
        for attempt in range(1, _ADD_TRIES + 1):
            try:
                self._here.run(command, environ=environ)
                return ""
            except GitFailed as error:
                if error.status > 0 and is_complete(path):
                    show_messages(os.fsencode(error.stderr))
                    return f"the post-checkout hook failed (exit {error.status})"
                if error.was_killed or not is_unused(path) or attempt == _ADD_TRIES:
                    raise
            sleep(0.01 * attempt)
        return ""

    def unlock_worktree(self, path: str) -> None:
        """Unlock the linked worktree at `path`. Raise GitFailed."""
        self.run(["worktree", "unlock", "--", path])

    def update_refs(self, reason: str, commands: Iterable[str], *, dry_run: bool = False) -> None:
        """Apply `git update-ref --stdin` commands in one transaction: all of them or none.

        git runs the user's reference-transaction hook. A dry run calls the hook too, but changes
        nothing. As `git branch -D`, remove the settings of a deleted branch.

        Args:
            reason: the message in the reflogs.

        Raises:
            HookRefused: the hook refused.
            GitFailed: git failed.
        """
        changes = list(commands)
        lines = [os.fsencode(command) for command in changes]
        end = b"abort" if dry_run else b"commit"
        stdin = b"\0".join([b"start", *lines, b"prepare", end, b""])
        settings = {} if dry_run else _FLUSH_REFS
        command = _update_refs_command(reason)
        self._here.run(command, stdin=stdin, settings=settings, environ=_CHANGING_REFS)
        sys.audit("git_hub_session.refs", [] if dry_run else changes)
        for section in [] if dry_run else sections_to_remove(self.common_dir, changes):
            try:
                self._here.run(["config", "--local", "--remove-section", section])
            except GitFailed as error:
                show_messages(os.fsencode(f"warning: cannot remove '{section}': {error.stderr}"))


class GitAt:
    """git in a worktree, or in the directory of the user (Git.at)."""

    def __init__(
        self, surroundings: Surroundings, settings: Mapping[str, str] | None = None
    ) -> None:
        self._surroundings = surroundings
        self._settings = settings or {}

    @property
    def directory(self) -> str:
        """The directory in which git starts."""
        return self._surroundings.directory or os.curdir

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        settings: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        failure: bytes = b"",
        quiet: bool = False,
    ) -> bytes:
        """Run `git <command>` and return its standard output.

        Show the messages of git and of the programs that git starts, unless git fails.

        Args:
            environ: added to the environment.
            failure: a message that git prints if it fails in part, with exit status 0.
            quiet: show no messages.

        Raises:
            GitFailed, GitTooOld, GitMissing: as Git.run.
            HookRefused: the reference-transaction hook refused. Its output was shown.
        """
        variables = {**self._surroundings.environ, **(environ or {})}
        surroundings = self._surroundings._replace(environ=variables)
        settings = {**self._settings, **(settings or {})}
        try:
            output, messages = run_git(command, surroundings, stdin=stdin, settings=settings)
        except GitFailed as error:
            raise_if_refused(error)
            raise
        if not quiet and (not failure or failure not in messages):
            show_messages(messages)
        return output

    def run_in_foreground(self, command: Sequence[str]) -> int:
        """Run `git <command>` with the user's terminal, and return its exit status."""
        return run_git_in_foreground(command, self._surroundings, self._settings)

    def read_tree(self, *arguments: str, settings: Mapping[str, str] | None = None) -> None:
        """Update the index, and with -u the files, with the original objects.

        As in `git merge`, leave submodules alone.
        """
        command = ["read-tree", *arguments, "--no-recurse-submodules"]
        self.run(command, settings=settings, environ=ORIGINAL_OBJECTS)

    def run_hook(self, hook: str, *arguments: str) -> int:
        """Run a hook and return its exit status. The hook writes on standard error itself.

        The status is 0 if there is no such hook. Raise GitTooOld.
        """
        command = ["hook", "run", "--ignore-missing", hook, "--", *arguments]
        try:
            run_git(command, self._surroundings, settings=self._settings, shows_messages=True)
        except GitFailed as error:
            return error.status
        return 0

    def config_values(self, name: str) -> list[str]:
        """Return all values of the setting `name` here. A worktree can have its own settings."""
        return _config_values(self.run, name)

    def settings(self) -> dict[str, str]:
        """Return the last value of each setting here. A setting without a value is "true"."""
        output = os.fsdecode(self.run(["config", "-z", "--list"]))
        entries = (entry.partition("\n") for entry in output.split("\0")[:-1])
        return {name: value if separator else "true" for name, separator, value in entries}

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

    def run_with_locked_ref(
        self, reason: str, script: Sequence[str], ref: str, new: str, old: str
    ) -> None:
        """Run a shell script that moves `ref` from the commit `old` to `new`, with `ref` locked.

        Set ORIG_HEAD to `old`, as `git merge` does. `reason` is the message in the reflogs.

        `script` is the file with its first arguments. `ref`, `new` and `old` follow. Its input and
        output belong to `git update-ref --stdin`, which waits for "commit". The script and git each
        run in their own setsid(2) session: Ctrl-C does not reach them, and they finish if this
        program is killed. If the script, git or a hook fails, raise GitFailed or HookRefused. The
        ref then does not move.
        """
        updates = [update_command(ref, new, old), update_command("ORIG_HEAD", old, "")]
        shell_command = ["/bin/sh", *script, ref, new, old]
        update_refs = _update_refs_command(reason)
        directory, environ = self._surroundings
        surroundings = Surroundings(directory, {**environ, **_CHANGING_REFS})
        try:
            messages = run_with_locked_ref(shell_command, update_refs, updates, surroundings)
        except GitFailed as error:
            raise_if_refused(error)
            raise
        show_messages(messages)
        sys.audit("git_hub_session.refs", updates)


def _update_refs_command(reason: str) -> list[str]:
    return ["update-ref", "-m", reason, "-z", "--stdin"]


def _config_values(run: Callable[[Sequence[str]], bytes], name: str) -> list[str]:
    try:
        return os.fsdecode(run(["config", "-z", "--get-all", name])).split("\0")[:-1]
    except GitFailed as error:
        if error.status == 1:
            return []
        raise
