"""The name of an evaluation on several machines, by which its workers find their work.

The same call of `eval --on` has the same name until its result is recorded. So a call that was
interrupted goes on with the measurements that workers have published.
"""

from __future__ import annotations

import re
from hashlib import sha256

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Refused, UsageError
from git_hub_session.git.ref_names import is_object_id
from git_hub_session.util.json_values import as_mapping, as_text

if TYPE_CHECKING:
    from git_hub_session.evaluation.result import EvalOptions
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

_DIGITS = 16
_ID = rf"[0-9a-f]{{{_DIGITS}}}"


class EvaluationKey(NamedTuple):
    """An evaluation on several machines."""

    base: str
    """The object id of the tip of the base branch, which is the same on all machines."""
    id: str

    @property
    def text(self) -> str:
        """The value of the option --measure."""
        return f"{self.base}-{self.id}"


class MeasureOptions(NamedTuple):
    """The evaluation that a worker measures for, and how."""

    key: EvaluationKey
    eval_options: EvalOptions


def make_key(session: Session, base: str, line: str) -> EvaluationKey:
    """Return the key of an evaluation.

    Args:
        base: the tip of the base branch.
        line: the command line with all options of the measurement.
    """
    evaluation = as_mapping(session.document.get("evaluation"))
    last = "\n".join(as_text(evaluation.get(key)) for key in ("at", "run", "command"))
    parts = (session.id, base, line, last)
    digest = sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
    return EvaluationKey(base, digest[:_DIGITS])


def parse_key(text: str) -> EvaluationKey:
    """Return the key in the value of the option --measure, or raise UsageError."""
    base, _, digest = text.partition("-")
    if not is_object_id(base) or not re.fullmatch(_ID, digest):
        raise UsageError(f"not an evaluation: '{text}'", hint="use eval --on, which starts workers")
    return EvaluationKey(base, digest)


def read_session_at(sid: SessionId, project: Project, key: EvaluationKey) -> Session:
    """Return the session with the base branch at the commit of an evaluation.

    Raise Refused if this clone does not have the commit.
    """
    session = project.store.read(sid)
    if not project.repo.has_commit(key.base):
        branch = session.config.base_branch
        raise Refused(f"commit {key.base:.12} of '{branch}' is missing in this clone")
    return session._replace(base_tip=key.base)
