"""Merge two records of one session. The result depends neither on the order nor on a clock.

Each part of a record is merged by a rule that is commutative, associative and idempotent:

    config                    equal, or else the records are of two sessions
    baseline, facts           the smaller value if they differ; a clone keeps its own value
    state                     the state that is further along the machine
    endings, merges, history,
    evaluations, posts        united
    entries                   the newest stamp; equal stamps are settled by the canonical JSON
    previous                  the larger one
"""

from __future__ import annotations

from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Refused
from git_hub_session.sharing.record import (
    Entry,
    InvalidRecord,
    Record,
    Stamp,
    make_record,
    state_rank,
)
from git_hub_session.sharing.session_values import BASELINE, CONFIG_KEYS

if TYPE_CHECKING:
    from typing import TypeVar

    Value = TypeVar("Value", str, Entry)

MAX_JUMP = 1_000_000
"""The changes and the attempts by which an entry of a remote can be ahead of a clone."""
_NO_STAMP = Stamp(0, 0, "")
_IDENTITY = tuple(key for key in CONFIG_KEYS if key != BASELINE)
"""The keys of config.yaml that no command changes."""


class OtherSession(Refused):
    """Two sessions with one id. Nothing was changed."""

    code = "other-session"

    def __init__(self, sid: str, key: str) -> None:
        super().__init__(
            f"'{sid}' is another session on the remote: '{key}' differs in config.yaml"
        )


def merge_records(first: Record, second: Record) -> Record:
    """Return the record that has everything of both, or raise OtherSession."""
    for key in _IDENTITY:
        if first.config.get(key, "") != second.config.get(key, ""):
            raise OtherSession(first.config["session_id"], key)
    return make_record(
        config=_merge_smallest(first.config, second.config),
        state=max(first.state, second.state, key=lambda state: (state_rank(state), state)),
        endings=(*first.endings, *second.endings),
        facts=_merge_smallest(first.facts, second.facts),
        entries=_merge_newest(first.entries, second.entries),
        merges=(*first.merges, *second.merges),
        history=(*first.history, *second.history),
        evaluations=(*first.evaluations, *second.evaluations),
        posts=(*first.posts, *second.posts),
        previous=max(first.previous, second.previous, key=lambda data: (len(data), data)),
    )


def _merge_smallest(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    return {**second, **{key: min(first[key], second.get(key, first[key])) for key in first}}


def _merge_newest(first: Mapping[str, Entry], second: Mapping[str, Entry]) -> dict[str, Entry]:
    return {**second, **{name: max(first[name], second.get(name, first[name])) for name in first}}


def check_stamps(own: Record | None, received: Record) -> None:
    """Raise InvalidRecord if an entry of a remote is too far ahead of this clone.

    A record with the largest numbers would win against all later changes. The limit is only for
    records that arrive, so that merge_records() stays commutative.
    """
    entries = own.entries if own else {}
    for name, entry in received.entries.items():
        attempt, counter, _ = entries[name].stamp if name in entries else _NO_STAMP
        if max(entry.stamp.attempt - attempt, entry.stamp.counter - counter) > MAX_JUMP:
            raise InvalidRecord(
                f"the shared record of '{received.config['session_id']}' is damaged:"
                f" the stamp of '{name}' is too large: {list(entry.stamp)}"
            )
