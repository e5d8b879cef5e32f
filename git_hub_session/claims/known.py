"""Read the claims of the last fetch, and those of the workers of this clone.

No git process starts, and no remote is asked. A claim of a remote is hostile input.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.claims.claim import (
    CLAIM_FILE,
    MAX_CLAIM_BYTES,
    Claim,
    Holder,
    SeenClaim,
    parse_claim,
)
from git_hub_session.git.ref_names import (
    ALL_OWN_CLAIMS,
    agent_number,
    claim_prefixes,
    is_object_id,
)
from git_hub_session.git.refs import refs_below
from git_hub_session.git.repository import CannotReadRepository
from git_hub_session.system.procfs import is_alive
from git_hub_session.util.numbers import MAX_COUNT, parse_int

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class KnownClaim(NamedTuple):
    """A claim that this clone knows."""

    seen: SeenClaim
    at: float | None
    """The time in seconds since the epoch at which this clone got the last renewal, or None."""
    has_ended: bool
    """True if the holder was a process of this host that has ended."""
    is_alive: bool
    """True if the holder is a living process of this host."""


def known_claims(sid: SessionId, project: Project) -> dict[int, KnownClaim]:
    """Return the claims of a session by agent, sorted.

    A worker of this clone renews its claim without a fetch, so its own ref is newer.
    """
    known = {**_read_below(claim_prefixes(sid)[0], project), **held_claims(sid, project)}
    return {agent: known[agent] for agent in sorted(known)}


def busy_claims(sid: SessionId, project: Project) -> dict[int, SeenClaim]:
    """Return the claims of the workers that may be working in this clone, by agent.

    A worker on another host can use this clone through a shared file system, and its process cannot
    be seen here. A worker of another clone has worktrees of its own.
    """
    held = held_claims(sid, project)
    return {agent: known.seen for agent, known in held.items() if not known.has_ended}


def unseen_claims(sid: SessionId, project: Project) -> dict[int, SeenClaim]:
    """Return the claims of workers of this clone that have ended, or that are on another host."""
    own = _read_below(claim_prefixes(sid)[1], project)
    return {agent: known.seen for agent, known in own.items() if not known.is_alive}


def sessions_with_own_claims(project: Project) -> set[str]:
    """Return the names of the sessions of which workers of this clone hold claims."""
    own = refs_below(project.paths.common_dir, ALL_OWN_CLAIMS)
    return {ref.removeprefix(ALL_OWN_CLAIMS).partition("/")[0] for ref in own}


def held_claims(sid: SessionId, project: Project) -> dict[int, KnownClaim]:
    """Return the claims that workers of this clone hold, as far as this clone knows.

    If a worker has lost its claim, the last fetch can have a claim of a later generation.
    """
    fetched, own = (_read_below(prefix, project) for prefix in claim_prefixes(sid))
    return {
        agent: known
        for agent, known in own.items()
        if agent not in fetched or fetched[agent].seen.generation <= known.seen.generation
    }


def read_claims(sid: SessionId, project: Project) -> dict[int, SeenClaim]:
    """Return the claims of a session that the remote had at the last fetch, by agent."""
    claims = _read_below(claim_prefixes(sid)[0], project)
    return {agent: known.seen for agent, known in claims.items()}


def _read_below(prefix: str, project: Project) -> Mapping[int, KnownClaim]:
    """Return the claims with a prefix by agent."""
    common_dir = project.paths.common_dir
    numbers = {
        ref: agent_number(ref.removeprefix(prefix)) for ref in refs_below(common_dir, prefix)
    }
    oids = {ref: project.repo.find_ref_target(ref) for ref, number in numbers.items() if number}
    here = this_holder(project) if oids else None
    claims = {}
    for ref, oid in sorted(oids.items()):
        if here and is_object_id(oid):
            claim = _read_claim(oid, project)
            at = _change_time(common_dir, ref)
            ended = has_ended(claim, here)
            alive = claim is not None and _is_visible(claim, here) and not ended
            claims[numbers[ref]] = KnownClaim(SeenClaim(oid, claim), at, ended, alive)
    return claims


def _read_claim(commit: str, project: Project) -> Claim | None:
    limits = {"depth": 0, "max_files": 1, "max_bytes": MAX_CLAIM_BYTES}
    try:
        files = project.repo.read_small_files(commit, **limits)
    except CannotReadRepository:
        return None
    return parse_claim(files.get(CLAIM_FILE, b"")) if files else None


def _change_time(common_dir: str, ref: str) -> float | None:
    """Return the time at which this clone has changed a ref, or None if git has packed it."""
    try:
        return os.lstat(os.path.join(common_dir, ref)).st_mtime
    except OSError:
        return None


def this_holder(project: Project) -> Holder:
    """Return this process as the holder of a claim."""
    environ = project.environ
    number = environ.get("SLURM_JOB_ID", "")
    job = f"{environ.get('SLURM_CLUSTER_NAME', '')}/{number}" if number else ""
    restart = parse_int(environ.get("SLURM_RESTART_COUNT", ""), MAX_COUNT) or 0
    host = os.uname().nodename
    boot_id, namespace = _read_boot_id(), read_pid_namespace()
    return Holder(host, project.identity, boot_id, os.getpid(), job, restart, namespace)


def is_restarted(claim: Claim | None, here: Holder) -> bool:
    """Return True if this process is in the job of the holder, and Slurm has restarted the job.

    Slurm has ended all processes of the job before, on any host.
    """
    holder = claim.holder if claim else None
    return bool(holder and holder.job and holder.job == here.job and holder.restart < here.restart)


def has_ended(claim: Claim | None, here: Holder) -> bool:
    """Return True if the holder of a claim was a process of this host that has ended.

    A process in another sandbox cannot be seen.
    """
    if claim is None or claim.holder.host != here.host or not claim.holder.boot_id:
        return False
    if claim.holder.boot_id != here.boot_id:
        return True
    return _is_visible(claim, here) and not is_alive(claim.holder.pid)


def _is_visible(claim: Claim, here: Holder) -> bool:
    """Return True if this process sees the holder by its id while the holder runs."""
    there = claim.holder
    return (there.host, there.pid_namespace) == (here.host, here.pid_namespace)


def _read_boot_id() -> str:
    try:
        with open(_BOOT_ID, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def read_pid_namespace() -> str:
    """Return the namespace of the process ids, or '' for the first one or an unknown one.

    In two namespaces, different processes can have the same id (pid_namespaces(7)).
    """
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return "" if namespace == "pid:[4026531836]" else namespace  # PROC_PID_INIT_INO of Linux
