"""The options of the claims of a worker."""

from __future__ import annotations

from git_hub_session._typing import NamedTuple


class ClaimOptions(NamedTuple):
    """The remote refs, and the time after which a claim is stale."""

    shared: str
    """The prefix of the shared refs on the remote."""
    claim_timeout: float
    """The seconds after which an unchanged claim is stale."""
