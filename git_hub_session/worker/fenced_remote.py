"""A remote on which each push renews a claim, and fails as a whole if the claim is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.sharing.remote import Remote

if TYPE_CHECKING:
    from git_hub_session.sharing.claims import Claims, HeldClaim
    from git_hub_session.sharing.remote import PushAnswer


class FencedRemote(Remote):
    """The remote of a worker that holds a claim."""

    def __init__(self, remote: Remote, claims: Claims, held: HeldClaim) -> None:
        """Push through the remote of `claims`. `remote` is the same remote."""
        super().__init__(*remote.binding)
        self.claims = claims
        self.held = held
        self.releases = False
        """True to delete the claim with the next push that succeeds."""
        self.is_released = False

    def push(
        self,
        refspecs: Sequence[str],
        *,
        leases: Mapping[str, str] | None = None,
        runs_hook: bool = True,
    ) -> PushAnswer:
        """Push the refspecs with the claim. Raise ClaimLost if another worker has the claim."""
        pairs = (refspec.partition(":") for refspec in refspecs)
        targets = {ref: oid for oid, _, ref in pairs}
        if not self.releases:
            self.held, answer = self.claims.publish(self.held, targets, leases)
            return answer
        answer = self.claims.release(self.held, targets, leases)
        self.is_released = not answer.refused
        return answer
