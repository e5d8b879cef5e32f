"""The error of a record that a remote has and that this clone refuses."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import record_ref, shared_name
from git_hub_session.sharing.record import InvalidRecord
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.sharing.remote import Remote


class RefusedRecord(InvalidRecord):
    """A record of a remote that this clone refuses. Nothing was changed."""


def with_hint(error: RefusedRecord, sid: SessionId, remote: Remote, shared: str) -> RefusedRecord:
    """Return the error with a command that deletes the record, if it has no other hint.

    A push of a clone that has the session then publishes a new record.

    Args:
        shared: the start of our refs on the remote.
    """
    if error.hint:
        return error
    ref = shared_name(record_ref(sid), shared)
    hint = f"git push {quote_word(remote.label)} --delete {quote_word(ref)}"
    return RefusedRecord(error.message, hint=hint)
