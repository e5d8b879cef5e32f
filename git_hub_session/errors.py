"""What can go wrong, said git's way.

A message is lower case, names the fault first, quotes its subject and ends without a
full stop; a hint is something that can be typed. The class carries a stable code (for
`--format json`) and the exit code: 1 the answer is no, 128 fatal, 129 usage.
"""

from __future__ import annotations

GIT_FATAL = 128  # git's own exit code where it gives up


class HubError(Exception):
    """A fault that the user can understand and mend.

    `message` says what is wrong, `hint` what to do about it ('' where nothing helps).
    """

    code = "error"
    exit_code = 128

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(HubError):
    """The command line cannot be understood: exit 129, with the usage."""

    code = "usage"
    exit_code = 129


class Refused(HubError):
    """Understood, and the answer is no: exit 1, nothing changed."""

    code = "refused"
    exit_code = 1


class Damaged(HubError):
    """A file of the store says something that cannot be understood."""

    code = "damaged"


class GitFailed(HubError):
    """git said no; its own words are the hint."""

    code = "git-failed"

    def __init__(self, command: str, status: int, stderr: str, stdout: bytes = b"") -> None:
        super().__init__(f"'git {command}' failed (exit {status})", hint=stderr.strip())
        self.status = status
        self.stderr = stderr
        self.stdout = stdout

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended it: what it had done by then nobody has said."""
        return (
            self.status < 0 or self.status > GIT_FATAL
        )  # a shell adds the signal's number to that


def describe(fault: HubError | OSError) -> str:
    """What a fault says, without a number that says nothing to people."""
    if not isinstance(fault, OSError):
        return fault.message
    where = f": '{fault.filename}'" if fault.filename else ""
    return f"{fault.strerror or fault}{where}"
