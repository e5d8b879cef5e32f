"""Take, renew, publish under and release the claims of a session on a remote.

A claim is the ref <prefix>/claims/<id>/agent-<N> on the remote. It is created with an empty lease,
so only one of many workers gets it. Every later change has a lease on the last value. A worker that
has lost its claim changes nothing on the remote: each of its pushes is refused as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.claims.claim import CLAIM_FILE, Claim, SeenClaim, encode_claim
from git_hub_session.claims.known import (
    has_ended,
    held_claims,
    is_restarted,
    read_claims,
    this_holder,
)
from git_hub_session.errors import HubError, Refused
from git_hub_session.git.ref_names import (
    agent_name,
    claim_prefixes,
    delete_command,
    shared_name,
    update_command,
)
from git_hub_session.session.runs import has_command_ended
from git_hub_session.sharing.remote import UNCHANGED, PushAnswer, RefAnswer, refused_reasons
from git_hub_session.util.clock import format_iso

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project
    from git_hub_session.sharing.remote import Remote

_NONCE_BYTES = 16
_TRIES = 5
_REASON = "hub-session claim"


class ClaimRefused(Refused):
    """The remote refuses claims."""

    code = "claim-refused"


class ClaimLost(Refused):
    """Another worker has taken over the claim on an agent. Nothing was published."""

    code = "claim-lost"


class HeldClaim(NamedTuple):
    """A claim that this process holds."""

    agent: int
    oid: str
    """The object id that the remote has."""
    generation: int


class Claims:
    """The claims of one session on one remote."""

    def __init__(
        self,
        sid: SessionId,
        project: Project,
        remote: Remote,
        *,
        shared: str,
        make_nonce: Callable[[], str] = lambda: os.urandom(_NONCE_BYTES).hex(),
    ) -> None:
        """Bind the claims to a remote.

        Args:
            shared: the prefix of the shared refs on the remote.
        """
        self._sid = sid
        self._project = project
        self._remote = remote
        self._shared = shared
        self._make_nonce = make_nonce
        self._holder = this_holder(project)

    def fetch(self) -> dict[int, SeenClaim]:
        """Return the claims that the remote has, by agent. Raise RemoteFailed.

        The local copies below refs/hub/claims/<id>/ are those of the remote afterwards.
        """
        local = claim_prefixes(self._sid)[0]
        self._remote.fetch([f"+{self._name(local)}*:{local}*"], ["--prune"])
        return read_claims(self._sid, self._project)

    def ref(self, agent: int) -> str:
        """Return the full name of the claim of an agent on the remote."""
        return self._name(f"{claim_prefixes(self._sid)[0]}{agent_name(agent)}")

    def _own_ref(self, agent: int) -> str:
        """Return the ref of the claim that a worker of this clone holds."""
        return f"{claim_prefixes(self._sid)[1]}{agent_name(agent)}"

    def take(self, agent: int, old: SeenClaim | None = None) -> HeldClaim | None:
        """Claim an agent, or return None if another worker was faster.

        Args:
            old: the claim to take over, which must be stale.

        Raises:
            RemoteFailed: the remote cannot be used.
            ClaimRefused: the remote refuses the ref.
        """
        generation = (old.generation if old else 0) + 1
        expected = old.oid if old else ""
        oid = self._write_commit(generation, expected)
        ref = self.ref(agent)
        for _ in range(_TRIES):
            answer = self._remote.push([f"{oid}:{ref}"], leases={ref: expected}, runs_hook=False)
            if answer.of(ref).flag == UNCHANGED and answer.tries == 1:
                return None
            if not answer.refused:
                return self._keep(HeldClaim(agent, oid, generation))
            if not answer.of(ref).has_moved:
                break
            seen = self.fetch().get(agent)
            if (seen.oid if seen else "") != expected:
                return None
        reasons = refused_reasons(answer.refused)
        raise ClaimRefused(f"'{self._remote.label}' refuses claims: {reasons}")

    def publish(
        self,
        held: HeldClaim,
        targets: Mapping[str, str] | None = None,
        leases: Mapping[str, str] | None = None,
    ) -> tuple[HeldClaim, PushAnswer]:
        """Renew a claim, and change other refs of the remote in the same push.

        Return the renewed claim. If only other refs are refused, return the old one.

        Args:
            targets: {ref on the remote: object id}.
            leases: as for Remote.push(). A target without a lease is only fast-forwarded.

        Raises:
            RemoteFailed: the remote cannot be used.
            ClaimLost: another worker has the claim. The remote is unchanged.
        """

        def renew(last: HeldClaim) -> str:
            return self._write_commit(last.generation, last.oid)

        held, answer = self._push(held, targets or {}, leases or {}, renew)
        return held if answer.refused else self._keep(held), answer

    def release(
        self,
        held: HeldClaim,
        targets: Mapping[str, str] | None = None,
        leases: Mapping[str, str] | None = None,
    ) -> PushAnswer:
        """Delete a claim, and change other refs of the remote in the same push.

        The arguments and the errors are those of publish().
        """
        _, answer = self._push(held, targets or {}, leases or {}, lambda _last: "")
        if not answer.refused:
            self.forget(held.agent)
        return answer

    def forget(self, agent: int) -> None:
        """Forget that this clone has held a claim."""
        ref = self._own_ref(agent)
        oid = self._project.repo.tip(ref)
        if oid:
            self._project.git.update_refs(_REASON, [delete_command(ref, oid)])

    def is_abandoned(self, agent: int, seen: SeenClaim) -> bool:
        """Return True if a worker of this clone has held the claim and has ended.

        The claim of another clone can only become stale, unless Slurm has restarted the job of its
        worker.
        """
        if is_restarted(seen.claim, self._holder):
            return True
        is_own = self._project.repo.tip(self._own_ref(agent)) == seen.oid
        return is_own and has_ended(seen.claim, self._holder)

    def _push(
        self,
        held: HeldClaim,
        targets: Mapping[str, str],
        leases: Mapping[str, str],
        make_value: Callable[[HeldClaim], str],
    ) -> tuple[HeldClaim, PushAnswer]:
        """Push the targets and a new value of the claim, with a lease on the claim.

        Return the claim on the remote, which is the old one if a ref was refused.

        Args:
            make_value: returns the object id that follows a claim, or '' to delete the claim.

        Raises:
            ClaimLost: another worker has the claim.
        """
        ref = self.ref(held.agent)
        value = make_value(held)
        answer = self._remote.push(
            [f"{oid}:{name}" for name, oid in {**targets, ref: value}.items()],
            leases={**leases, ref: held.oid},
            runs_hook=bool(targets),
        )
        if answer.of(ref).has_moved:
            seen = self.fetch().get(held.agent)
            if seen is not None and seen.oid != held.oid and self._is_own(seen, held):
                # A signal has interrupted a push of this worker that the remote has accepted.
                return self._push(held._replace(oid=seen.oid), targets, leases, make_value)
            if seen is None and not value and self._has_all(targets):
                # The same, for the push that releases the claim.
                names = (*targets, ref)
                return held, PushAnswer(tuple(RefAnswer(UNCHANGED, name) for name in names), 1)
            if seen is None or seen.oid != held.oid:
                self.forget(held.agent)
                holder = f"a worker on '{seen.host}'" if seen else "another worker"
                raise ClaimLost(f"{holder} has taken over {agent_name(held.agent)}")
        return (held if answer.refused else held._replace(oid=value)), answer

    def _has_all(self, targets: Mapping[str, str]) -> bool:
        """Return True if the remote has some refs, all with these object ids."""
        if not targets:
            return False
        listed = self._remote.list_refs()
        return all(listed.get(ref) == oid for ref, oid in targets.items())

    def _is_own(self, seen: SeenClaim, held: HeldClaim) -> bool:
        """Return True if this process has written the claim. A takeover has a new generation."""
        claim = seen.claim
        return bool(claim and claim.holder == self._holder and claim.generation == held.generation)

    def _keep(self, held: HeldClaim) -> HeldClaim:
        """Remember a claim in this clone, so that its next worker can continue it."""
        command = update_command(self._own_ref(held.agent), held.oid, "")
        self._project.git.update_refs(_REASON, [command])
        return held

    def _name(self, ref: str) -> str:
        """Return the name on the remote of a ref below refs/hub/."""
        return shared_name(ref, self._shared)

    def _write_commit(self, generation: int, parent: str) -> str:
        """Write the commit of a claim and return its object id.

        The commit before is its parent: a server that refuses other changes accepts it.
        """
        at = format_iso(self._project.now())
        data = encode_claim(Claim(self._holder, at, generation, self._make_nonce()))
        git = self._project.git.at(self._project.paths.common_dir)
        blob = git.run(["hash-object", "-w", "--stdin"], stdin=data).decode().strip()
        entry = f"100644 blob {blob}\t{CLAIM_FILE}\n"
        tree = git.run(["mktree"], stdin=entry.encode()).decode().strip()
        parents = [parent] if parent else []
        identity = _identity_variables(self._holder.user)
        return git.commit_tree(tree, parents, b"hub-session: claim\n", environ=identity)


def left_claims(sid: SessionId, project: Project) -> list[HeldClaim]:
    """Return the claims that workers of this clone have left on agents whose command has ended.

    The remote was away, or refused the result, when the worker wanted to release its claim.
    """
    held = held_claims(sid, project)
    if not held:
        return []
    session = project.store.read(sid)
    return [
        HeldClaim(agent, known.seen.oid, known.seen.generation)
        for agent, known in held.items()
        if known.has_ended and has_command_ended(session, agent_name(agent))
    ]


def release_left_claims(
    sid: SessionId, project: Project, remote: Remote, agents: Sequence[int], *, shared: str
) -> None:
    """Release the claims of left_claims() after their results were published.

    A claim that the remote does not delete stays.

    Args:
        agents: the published agents, or () for all.
    """
    left = [held for held in left_claims(sid, project) if not agents or held.agent in agents]
    if not left:
        return
    claims = Claims(sid, project, remote, shared=shared)
    for held in left:
        with suppress(HubError):
            claims.release(held)
    with suppress(HubError):
        claims.fetch()


def _identity_variables(identity: str) -> dict[str, str]:
    """Return the variables that name an author and a committer to git, also without settings."""
    name, _, email = identity.removesuffix(">").partition(" <")
    return {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in (("NAME", name), ("EMAIL", email))
    }
