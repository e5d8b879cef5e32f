"""The claims of workers on the agents of a session, as last fetched."""

from __future__ import annotations

from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import agent_name
from git_hub_session.util.clock import format_age
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.claims.known import KnownClaim


def claim_fields(agent: int, known: KnownClaim) -> dict[str, Any]:
    """Return the fields of a claim for JSON and porcelain."""
    seen = known.seen
    holder = seen.claim.holder if seen.claim else None
    return {
        "claimed_agent": agent,
        "user": holder.user if holder else None,
        "host": holder.host if holder else None,
        "pid": holder.pid if holder else None,
        "generation": seen.generation or None,
        "renewal_seen": None if known.at is None else int(known.at),
        "ended": known.has_ended,
    }


def claim_lines(claims: Mapping[int, KnownClaim], now: float) -> list[str]:
    """Return a line for each claim.

    The age is that of the last fetch that brought a renewal, by the clock of this machine.
    """
    return [f"  Claim: {_describe(agent, known, now)}" for agent, known in claims.items()]


def _describe(agent: int, known: KnownClaim, now: float) -> str:
    text = f"{agent_name(agent)} is claimed by {escape_control(known.seen.worker)}"
    if known.has_ended:
        return f"{text}, whose process has ended"
    return text if known.at is None else f"{text} (renewal seen {format_age(now - known.at)})"
