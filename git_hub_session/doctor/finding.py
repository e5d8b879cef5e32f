"""The findings of the doctor, and the decorator of its checks.

A check is a function that yields problems. Its decorator adds the code and the meaning of its
findings to FINDINGS, and its fix to FIXES. Both tables are complete once `doctor/doctor.py` is
imported, because it imports every check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps

from git_hub_session._typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import ParamSpec

    Parameters = ParamSpec("Parameters")


class Problem(NamedTuple):
    """One inconsistency, as a check reports it."""

    subject: str
    """The id of a session, a path or a ref."""
    evidence: str
    """A sentence about the subject, as evidence of the problem."""
    session: str = ""
    """The id of the session that the problem belongs to, or ''."""
    fix: str = ""
    """The change that `--fix` makes, as a command ("delete it"), or ''."""
    advice: str = ""
    """A command or an instruction for the user, if `--fix` does nothing."""


class Finding(NamedTuple):
    """One inconsistency with its code. The fields are documented in Problem."""

    code: str
    subject: str
    evidence: str
    session: str = ""
    fix: str = ""
    advice: str = ""
    git_dir: str = ""
    """The git dir of the worktree, or ''. Two git dirs can name the same path."""


class FindingResult(NamedTuple):
    """A finding, and the result of its fix."""

    finding: Finding
    is_fixed: bool = False
    failure: str = ""
    """The reason why the fix failed, or ''."""
    hint: str = ""
    """A command or an instruction for the user, or ''."""
    notes: tuple[str, ...] = ()
    """Messages of the fix."""


Fix = Callable[..., list[str]]
"""A function that fixes a finding.

It takes the finding and a snapshot that was taken under the lock. If the finding belongs to a
session, it takes the locked session too. It returns messages for the user. It can be called again,
and it never deletes the last ref to a commit.
"""

FINDINGS: dict[str, str] = {}
"""{code: meaning}. The codes are public, and the man page describes them."""

FIXES: dict[str, Fix] = {}
"""{code: fix}, for the findings that `--fix` can fix."""


class CheckDecorator:
    """A decorator that turns a function that yields problems into a check."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __call__(
        self, function: Callable[Parameters, Iterator[Problem]]
    ) -> Callable[Parameters, Iterator[Finding]]:
        @wraps(function)
        def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Iterator[Finding]:
            for problem in function(*args, **kwargs):
                yield Finding(self.code, *problem)

        return run


def check(code: str, meaning: str, *, fix: Fix | None = None) -> CheckDecorator:
    """Register a finding and its fix, and return the decorator of its check.

    Give the decorator a name if several functions report the same code.
    """
    if code in FINDINGS:
        raise ValueError(f"the code '{code}' is registered twice")
    FINDINGS[code] = meaning
    if fix is not None:
        FIXES[code] = fix
    return CheckDecorator(code)
