"""The only place that starts git: what changes refs, objects or worktrees goes through its plumbing.

Every call names its repository, worktree and index by itself: nothing that a hook or an
alias exported (GIT_DIR, GIT_INDEX_FILE, …) leaks in.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from time import sleep

from git_hub_session.errors import GitFailed, HubError
from git_hub_session.gitenviron import without_repository
from git_hub_session.signals import hold

_REFLOG = "git hub-session"

# Files and index first, for they can be taken back. Where a file was only touched git finds
# that it is the same when it is told to look (update-index), which takes a while with many.
_MOVE = """
ref=$1 new=$2 old=$3
read -r head <"$GIT_DIR/HEAD"
test "$head" = "ref: $ref" || {
	echo "HEAD is on another branch by now" >&2
	exit 1
}
git read-tree -m -u "$old" "$new" 2>/dev/null || {
	git update-index -q --refresh >/dev/null
	git read-tree -m -u "$old" "$new" || exit
}
git update-ref -m "$4" "$ref" "$new" "$old" && exit
for try in 1 2 3 4 5 6 7 8 9 10; do # another git may have the index
	git read-tree -m -u "$new" "$old" && break
	sleep 0.1
done
exit 1
"""

# git dies of an entry that somebody else is just making, before it has made anything.
_TRIES = 20

# What is asked of these that an older git does not know (its release notes say when they came:
# `worktree add --lock --reason`, `merge-tree --write-tree`).
_SINCE = {"worktree": (2, 33), "hook": (2, 36), "merge-tree": (2, 38)}
_USAGE = 129
_NO_COMMAND = "is not a git command"


class GitMissing(HubError):
    """There is no git on PATH."""

    code = "git-missing"


class TooOld(HubError):
    """git is older than what is needed of it."""

    code = "git-too-old"


class NoSuchCommit(HubError):
    """git knows no commit of that name."""

    code = "no-such-commit"


class Git:
    """git on one repository."""

    def __init__(self, common_dir: str, environ: Mapping[str, str]) -> None:
        self._common_dir = common_dir
        self._environ = without_repository(environ)
        self._environ.update(LC_ALL="C", GIT_TERMINAL_PROMPT="0", GIT_OPTIONAL_LOCKS="0")

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        settings: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> bytes:
        """What `git <command>` prints; raises GitFailed, GitMissing, TooOld.

        `settings` are passed as -c, `environ` is added to the environment.
        """
        words = ["git"]
        for name, value in (settings or {}).items():
            words += ["-c", f"{name}={value}"]
        return self._call([*words, *command], command[0], stdin, environ, cwd)

    def _call(
        self,
        words: Sequence[str],
        name: str,
        stdin: bytes = b"",
        environ: Mapping[str, str] | None = None,
        cwd: str | None = None,
        *,
        whole: bool = False,
    ) -> bytes:
        """Run it to its end; what has to be done `whole` no ^C in a terminal reaches."""
        variables = {**self._environ, "GIT_DIR": self._common_dir, **(environ or {})}
        # git is never left half-way: killed it leaves *.lock files, and what it writes nobody
        # tidies up when it is not waited for. ^C in a terminal reaches git as well, and ends the wait.
        release = hold()
        try:
            done = subprocess.run(
                words,
                input=stdin,
                capture_output=True,
                env=variables,
                cwd=cwd,
                check=False,
                start_new_session=whole,
            )
        except FileNotFoundError:
            if cwd is not None and not os.path.isdir(cwd):
                raise HubError(f"'{cwd}' is gone", hint="try again") from None
            raise GitMissing("cannot find 'git'", hint="put git on PATH") from None
        finally:
            release()
        if done.returncode:
            told = os.fsdecode(done.stderr)
            if done.returncode == _USAGE or _NO_COMMAND in told:
                self._refuse_if_too_old(name)
            raise GitFailed(name, done.returncode, told, done.stdout)
        return done.stdout

    def _refuse_if_too_old(self, name: str) -> None:
        """Raise TooOld where this git cannot know what `git <name>` was asked; it is only asked when that failed."""
        version = os.fsdecode(self.run(["version"])).split()[2:3]
        needed = _SINCE.get(name)
        if needed is not None and version and _numbers(version[0]) < needed:
            raise TooOld(
                f"'git {name}' is needed as git {'.'.join(map(str, needed))} has it, and this is git {version[0]}",
                hint="put a newer git on PATH",
            )

    def settings(self, name: str) -> list[str]:
        """Every value that git's configuration has for `name`, the one that counts last."""
        try:
            return os.fsdecode(self.run(["config", "-z", "--get-all", name])).split("\0")[:-1]
        except GitFailed as fault:
            if fault.status == 1:
                return []
            raise

    def commit(self, text: str, git_dir: str) -> str:
        """The object id of the commit that `text` names in the worktree of `git_dir`; raises NoSuchCommit."""
        words = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{text}^{{commit}}"]
        try:
            return self.run(words, environ={"GIT_DIR": git_dir}).decode().strip()
        except GitFailed:
            raise NoSuchCommit(f"no such commit: '{text}'") from None

    def add_worktree(self, path: str, commit: str, options: Sequence[str] = ()) -> None:
        """Add a linked worktree at `path` on a branch, or on a commit with --detach; raises GitFailed."""
        for attempt in range(1, _TRIES + 1):
            try:
                self.run(["worktree", "add", "--quiet", *options, "--", path, commit])
                return
            except GitFailed:
                if os.path.lexists(path) or attempt == _TRIES:
                    raise
            sleep(0.01 * attempt)

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
        """A commit by whom git's configuration (or `environ`) names; its object id. Raises GitFailed."""
        words = ["commit-tree", *["-S"] * sign, tree]
        words += [word for parent in parents for word in ("-p", parent)]
        told = {"i18n.commitEncoding": "utf-8", **(settings or {})}
        return self.run(words, stdin=message, settings=told, environ=environ).decode().strip()

    def move_branch(self, checkout: Mapping[str, str], ref: str, new: str, old: str) -> None:
        """Move the branch `ref` from the commit `old` to `new` with files and index, where it is checked out.

        `checkout` names the worktree in git's variables. Where something uncommitted is in the way,
        HEAD is on another branch by now, or git or a hook refuses the ref, nothing is changed
        (GitFailed). Ignored files in the way are the caller's to look for. A shell does it all, so
        that it comes to its end should we be killed.
        """
        words = ["/bin/sh", "-c", _MOVE, "sh", ref, new, old, _REFLOG]
        where = checkout["GIT_WORK_TREE"]
        # Ended among the files, git leaves some of them as they will be, and refuses to go on.
        self._call(words, "read-tree", environ=checkout, cwd=where, whole=True)

    def unlock_worktree(self, path: str) -> None:
        """Unlock the linked worktree at `path`; raises GitFailed."""
        self.run(["worktree", "unlock", "--", path])

    def change_refs(self, commands: Iterable[str], *, rehearsal: bool = False) -> None:
        """Carry out `git update-ref --stdin` commands in one transaction: all of them or none.

        The user's reference-transaction hook is asked, as for every change of refs. In a
        rehearsal it is asked, and nothing is changed. Raises GitFailed.
        """
        lines = [os.fsencode(command) for command in commands]
        end = b"abort" if rehearsal else b"commit"
        stdin = b"\0".join([b"start", *lines, b"prepare", end, b""])
        # git by default leaves it to the system when refs reach the disk.
        settings = {"core.fsync": "all"}
        words = ["update-ref", "-m", _REFLOG, "-z", "--stdin"]
        self.run(words, stdin=stdin, settings=settings)


def _numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version: (2, 39) of "2.39.5", "2.39.0.rc1"."""
    parts = version.split(".")[:2]
    return tuple(int(part) if part.isascii() and part.isdigit() else 0 for part in parts)


def trusts(cwd: str, environ: Mapping[str, str]) -> bool:
    """Whether git itself works in the repository at `cwd`, which somebody else owns."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--git-dir"],
            cwd=cwd,
            env=dict(environ),
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return False
    return done.returncode == 0
