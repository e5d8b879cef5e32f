"""The only place that starts git: what changes refs, objects or worktrees goes through its plumbing.

Every call names its repository, worktree and index by itself: nothing that a hook or an
alias exported (GIT_DIR, GIT_INDEX_FILE, …) leaks in.
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

_REFLOG = "git hub-session"

# Its standard input and output are a `git update-ref --stdin` that has the ref locked, and HEAD.
# The index is held as git holds it, so that no commit begins meanwhile, and is replaced before
# the branch moves: `git commit` reads the branch first. Where a file was only touched git finds
# that it is the same when it is told to look (update-index), which takes a while with many.
_MOVE = """
ref=$1 new=$2 old=$3 index=$GIT_DIR/index next=$GIT_DIR/hub-session-merge.tmp
for try in 1 2 3 4 5 6 7 8 9 10; do # another git may have the index
	(set -C && : >"$index.lock") 2>/dev/null && break
	test $try != 10 || {
		echo "cannot make '$index.lock': File exists: another git is at work; if one has died," \
			"remove the file manually to continue" >&2
		exit 1
	}
	sleep 0.01
done
trap : PIPE # of an update-ref, or of us, that was killed: the files have to go back
trap 'rm -f "$next" "$next.lock" "$index.lock"' EXIT
test ! -e "$next.lock" || rm "$next.lock" # of a merge that was killed
read -r head <"$GIT_DIR/HEAD"
test "$head" = "ref: $ref" || {
	echo "HEAD is on another branch by now" >&2
	exit 1
}
export GIT_INDEX_FILE="$next"
go() {
	test ! -e "$index" || cp -p "$index" "$next" || return
	git read-tree -m -u "$1" "$2" 2>/dev/null || {
		git update-index -q --refresh >/dev/null
		git read-tree -m -u "$1" "$2" || return
	}
	mv -f "$next" "$index"
}
go "$old" "$new" </dev/null >/dev/null || exit
printf 'commit\\0' 2>/dev/null || echo "git was killed before it moved the branch" >&2
while read -r said; do
	test "$said" != "commit: ok" || exit 0
	echo "$said" >&2
done
# It may have been killed when it had moved the branch.
test "$(git rev-parse --verify --quiet "$ref" </dev/null)" = "$new" && exit
go "$new" "$old" </dev/null >/dev/null
exit 1
"""

# git dies of an entry that somebody else is just making, before it has made anything.
_TRIES = 20

# What is asked of these that an older git does not know (its release notes say when they came:
# `worktree add --lock --reason`, `merge-tree --write-tree`).
_REQUIRED_VERSIONS = {"worktree": (2, 33), "hook": (2, 36), "merge-tree": (2, 38)}
_USAGE = 129
_NO_COMMAND = "is not a git command"

_LOCKED = r"(\.lock'|packed-refs\.new'?): File exists"
_WAY_OUT = "remove the file manually to continue"


class GitMissing(HubError):
    """There is no git on PATH."""

    code = "git-missing"


class GitTooOld(HubError):
    """git is older than what is needed of it."""

    code = "git-too-old"


class NoSuchCommit(HubError):
    """git knows no commit of that name."""

    code = "no-such-commit"


class Git:
    """git on one repository."""

    def __init__(self, common_dir: str, environ: Mapping[str, str]) -> None:
        self._common_dir = common_dir
        self._environ = strip_local_variables(environ)
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
        words += command
        variables = {**self._environ, "GIT_DIR": self._common_dir, **(environ or {})}
        # git is never left half-way: killed it leaves *.lock files, and what it writes nobody
        # tidies up when it is not waited for. ^C in a terminal reaches git as well, and ends the wait.
        release, began = defer_signals(), monotonic()
        try:
            done = subprocess.run(
                words,
                input=stdin,
                capture_output=True,
                env=variables,
                cwd=cwd,
                check=False,
            )
        except FileNotFoundError:
            if cwd is not None and not os.path.isdir(cwd):
                raise HubError(f"'{cwd}' is gone", hint="try again") from None
            raise GitMissing("cannot find 'git'", hint="put git on PATH") from None
        finally:
            release()
        sys.audit("git_hub_session.end", words, done.returncode, monotonic() - began)
        if done.returncode:
            raise self._make_error(command[0], done)
        return done.stdout

    def _make_error(self, name: str, done: subprocess.CompletedProcess[bytes]) -> HubError:
        """What to say of a `git <name>` that failed; only now git is asked how old it is."""
        if done.returncode == _USAGE or _NO_COMMAND in os.fsdecode(done.stderr):
            version, lacking = self.missing_features()
            if name in lacking:
                return GitTooOld(
                    f"'git {name}' is needed as git {lacking[name]} has it, and this is git {version}",
                    hint="put a newer git on PATH",
                )
        return GitFailed(name, done.returncode, _add_lock_hint(done.stderr), done.stdout)

    def missing_features(self) -> tuple[str, dict[str, str]]:
        """git's version, and {command: the first version that has what is needed of it} of what it is too old for.

        Raises GitMissing.
        """
        [version] = os.fsdecode(self.run(["version"])).split()[2:3] or ["?"]
        number = _version_numbers(version)
        too_new = {
            name: since for name, since in _REQUIRED_VERSIONS.items() if (0, 0) < number < since
        }
        return version, {name: ".".join(map(str, since)) for name, since in too_new.items()}

    def config_values(self, name: str) -> list[str]:
        """Every value that git's configuration has for `name`, the one that counts last."""
        try:
            return os.fsdecode(self.run(["config", "-z", "--get-all", name])).split("\0")[:-1]
        except GitFailed as fault:
            if fault.status == 1:
                return []
            raise

    def resolve_commit(self, text: str, git_dir: str) -> str:
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
            except GitFailed as fault:
                if fault.was_killed or not _is_free(path) or attempt == _TRIES:
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

    def run_with_locked_ref(
        self, checkout: Mapping[str, str], ref: str, new: str, old: str
    ) -> None:
        """Move the branch `ref` from the commit `old` to `new` with files and index, where it is checked out.

        `checkout` names the worktree in git's variables. Where something uncommitted is in the way,
        HEAD is on another branch by now, or git or a hook refuses the ref, nothing is changed
        (GitFailed). Ignored files in the way are the caller's to look for. A shell moves them, so
        that it comes to its end should we be killed; ^C in a terminal reaches neither it nor git.
        """
        release, began = defer_signals(), monotonic()
        words = ["/bin/sh", "-c", _MOVE, "sh", ref, new, old]
        try:
            with self._lock_ref(checkout, update_command(ref, new, old)) as refs:
                moved = subprocess.run(
                    words,
                    stdin=refs.stdout,
                    stdout=refs.stdin,
                    stderr=subprocess.PIPE,
                    env={**self._environ, **checkout},
                    cwd=checkout["GIT_WORK_TREE"],
                    check=False,
                    start_new_session=True,
                )
        finally:
            release()
        sys.audit("git_hub_session.end", words, moved.returncode, monotonic() - began)
        sys.audit("git_hub_session.end", refs.args, refs.returncode, monotonic() - began)
        if moved.returncode:
            raise GitFailed("read-tree", moved.returncode, _add_lock_hint(moved.stderr))
        sys.audit("git_hub_session.refs", [update_command(ref, new, old)])

    def _lock_ref(self, checkout: Mapping[str, str], command: str) -> subprocess.Popen[bytes]:
        """A `git update-ref` that has locked what `command` changes, and waits for "commit"; raises GitFailed."""
        refs = subprocess.Popen(
            ["git", "update-ref", "-m", _REFLOG, "-z", "--stdin"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**self._environ, **checkout},
            cwd=checkout["GIT_WORK_TREE"],
            start_new_session=True,
        )
        assert refs.stdin is not None
        assert refs.stdout is not None
        refs.stdin.write(b"\0".join([b"start", os.fsencode(command), b"prepare", b""]))
        said = b""
        while not said.endswith(b"prepare: ok\n"):
            more = refs.stdout.read(4096)
            if not more:
                with refs:
                    words = _add_lock_hint(said.removeprefix(b"start: ok\n"))
                raise GitFailed("update-ref", refs.returncode, words)
            said += more
        return refs

    def unlock_worktree(self, path: str) -> None:
        """Unlock the linked worktree at `path`; raises GitFailed."""
        self.run(["worktree", "unlock", "--", path])

    def update_refs(self, commands: Iterable[str], *, rehearsal: bool = False) -> None:
        """Carry out `git update-ref --stdin` commands in one transaction: all of them or none.

        The user's reference-transaction hook is asked, as for every change of refs. In a
        rehearsal it is asked, and nothing is changed. Raises GitFailed.
        """
        changes = list(commands)
        lines = [os.fsencode(command) for command in changes]
        end = b"abort" if rehearsal else b"commit"
        stdin = b"\0".join([b"start", *lines, b"prepare", end, b""])
        # git by default leaves it to the system when refs reach the disk.
        settings = {"core.fsync": "all"}
        words = ["update-ref", "-m", _REFLOG, "-z", "--stdin"]
        self.run(words, stdin=stdin, settings=settings)
        sys.audit("git_hub_session.refs", [] if rehearsal else changes)


def _is_free(path: str) -> bool:
    """Return True if git has made nothing at `path`: it uses an empty directory as well."""
    try:
        return not os.listdir(path)
    except FileNotFoundError:
        return not os.path.lexists(path)
    except OSError:
        return False


def _add_lock_hint(stderr: bytes) -> str:
    """What git says, with the way out that it leaves out: of a lock which is not called *.lock, and of all since 2.55."""
    text = os.fsdecode(stderr)
    if re.search(_LOCKED, text) and _WAY_OUT not in text:
        text = f"{text.rstrip()}\na git process may have crashed earlier: {_WAY_OUT}\n"
    return text


def _version_numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version: (2, 39) of "2.39.5", "2.39.0.rc1"."""
    parts = version.split(".")[:2]
    return tuple(parse_int(part, MAX_COUNT) or 0 for part in parts)


def is_safe_directory(cwd: str, environ: Mapping[str, str]) -> bool:
    """Whether git itself works in the repository at `cwd`, which somebody else owns."""
    words, began = ["git", "rev-parse", "--git-dir"], monotonic()
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=dict(environ),
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return False
    sys.audit("git_hub_session.end", words, done.returncode, monotonic() - began)
    return done.returncode == 0
