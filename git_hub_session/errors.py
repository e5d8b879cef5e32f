"""The errors of the program.

A message is written like git's: it starts in lower case, quotes its object and ends without a full
stop. A hint is one command or one imperative sentence. The code of an error class is stable:
`--format json` prints it.
"""

from __future__ import annotations

import signal

GIT_FATAL = 128
"""The exit status of a fatal error, as in git."""


class HubError(Exception):
    """An error that the user can understand and fix.

    `message` states the error. `hint` says what to do about it, or is ''.
    """

    code = "error"
    exit_code = GIT_FATAL

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(HubError):
    """A command line that is not valid."""

    code = "usage"
    exit_code = 129


class Refused(HubError):
    """A valid request that is not allowed now. Nothing was changed."""

    code = "refused"
    exit_code = 1


class WrongState(Refused):
    """A command that the state of the session does not allow."""

    code = "wrong-state"


class Busy(Refused):
    """An agent is running or being created, or an evaluation is running."""

    code = "busy"


class NotApproved(Refused):
    """A command, a directory or a change that the user has not approved."""

    code = "not-approved"


class ChangedMeanwhile(Refused):
    """The session, a branch or a checkout changed during the command, which can run again."""

    code = "changed-meanwhile"


class NothingToMerge(Refused):
    """The branch contains the commits or the changes of the winner already."""

    code = "nothing-to-merge"


class NotRanked(Refused):
    """No agent has a rank, or an agent cannot get one."""

    code = "not-ranked"


class OffBranch(Refused):
    """The commits of an agent are not on the branch of its attempt."""

    code = "off-branch"


class NoBranch(Refused):
    """An agent without a branch."""

    code = "no-branch"


class NoWorktree(Refused):
    """An agent without a worktree."""

    code = "no-worktree"


class NoSuchBranch(HubError):
    """The repository has no branch with this name."""

    code = "no-such-branch"


class NoSuchPath(HubError):
    """There is no file or directory with this path."""

    code = "no-such-path"


class Damaged(HubError):
    """A file that is missing, too large, not a regular file, or cannot be parsed."""

    code = "damaged"


class LockHeld(HubError):
    """A lock that another process held for longer than the time-out."""

    code = "locked"


class CannotLock(HubError):
    """A file system without flock."""

    code = "cannot-lock"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"cannot lock '{path}': {reason}",
            hint="set GIT_HUB_SESSION_DIR to a directory on a file system that supports flock",
        )


class GitFailed(HubError):
    """A git command that failed. The hint is git's standard error."""

    code = "git-failed"

    def __init__(self, command: str, status: int, stderr: str, stdout: bytes = b"") -> None:
        end = f"failed (exit {status})" if status >= 0 else _describe_signal(-status)
        super().__init__(f"'git {command}' {end}", hint=stderr.strip())
        self.status = status
        self.stderr = stderr
        self.stdout = stdout

    @property
    def reason(self) -> str:
        """git's error as one line, for a message that contains it."""
        lines = [line.strip().rstrip(";") for line in self.stderr.splitlines() if line.strip()]
        return "; ".join(lines) or self.message

    @property
    def was_killed(self) -> bool:
        """True if a signal ended git, so that it is not known which changes git has made."""
        # A negative status is the number of the signal. A shell exits with 128 plus the number.
        return self.status < 0 or self.status > GIT_FATAL


def _describe_signal(number: int) -> str:
    return f"was ended by signal {number} ({signal.strsignal(number) or 'unknown'})"


class HookRefused(Refused):
    """A hook that did not allow a change. Its output was shown on standard error."""

    code = "hook-refused"

    def __init__(self, hook: str, change: str) -> None:
        super().__init__(f"the {hook} hook rejected {change}")
        self.hook = hook


def to_hub_error(error: HubError | OSError) -> HubError:
    """Return the error as a HubError, so that it has a message and a hint.

    The message of an OSError is the text of the system and the file name, without the error number.
    """
    if isinstance(error, HubError):
        return error
    file = f": '{error.filename}'" if error.filename else ""
    return HubError(f"{error.strerror or error}{file}")


def describe_read_error(error: HubError | OSError) -> str:
    """Return why a file cannot be read, for a report that names the file itself."""
    return error.message if isinstance(error, HubError) else f"cannot be read: {error.strerror}"
