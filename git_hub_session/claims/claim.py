"""A claim: the worker of an agent, as a value, and the time since a claim has changed.

A claim is a commit with the file claim.json. It comes from a remote, so it is hostile input. The
times in a claim are only shown: the clocks of two machines are never compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import Damaged
from git_hub_session.system.json_file import encode_json, parse_json
from git_hub_session.util.json_values import as_count, as_text

CLAIM_FILE = "claim.json"
MAX_CLAIM_BYTES = 4096
_MAX_TEXT = 200  # characters


class Holder(NamedTuple):
    """The process that holds a claim."""

    host: str
    user: str
    boot_id: str
    """The id of this start of the system, or '' if the system has none."""
    pid: int
    job: str = ""
    """The cluster and the id of the job of Slurm that runs the process, or ''."""
    restart: int = 0
    """The number of times that Slurm has started the job again."""
    pid_namespace: str = ""
    """The namespace of `pid`, or '' for the first one of the system (pid_namespaces(7))."""


class Claim(NamedTuple):
    """The content of a claim."""

    holder: Holder
    at: str
    """The time of the last renewal by the clock of the holder."""
    generation: int
    """1 for the first holder. Each holder that takes over a claim adds 1."""
    nonce: str
    """Random text. Without it, two workers could push the same object, and both would succeed."""


class SeenClaim(NamedTuple):
    """A claim on the remote."""

    oid: str
    """The object id of the commit."""
    claim: Claim | None
    """The content, or None if it is not valid. Such a claim counts too."""

    @property
    def generation(self) -> int:
        """The generation, or 0 if the content is not valid."""
        return self.claim.generation if self.claim else 0

    @property
    def host(self) -> str:
        """The host of the holder, or "an unknown host"."""
        return (self.claim.holder.host if self.claim else "") or "an unknown host"

    @property
    def worker(self) -> str:
        """The user and the host of the holder, as text that is not escaped."""
        user = self.claim.holder.user if self.claim else ""
        return f"{user} on {self.host}" if user else self.host


def encode_claim(claim: Claim) -> bytes:
    """Return the content of the file claim.json."""
    holder = claim.holder._asdict()
    if not claim.holder.job:
        del holder["job"], holder["restart"]
    if not claim.holder.pid_namespace:
        del holder["pid_namespace"]
    values = {"at": claim.at, "generation": claim.generation, "nonce": claim.nonce}
    return encode_json({**holder, **values})


def parse_claim(data: bytes) -> Claim | None:
    """Parse the content of the file claim.json. Return None if it is not valid."""
    if len(data) > MAX_CLAIM_BYTES:
        return None
    try:
        values = parse_json(CLAIM_FILE, data)
    except Damaged:
        return None
    texts = [as_text(values.get(key)) for key in ("host", "user", "boot_id", "at", "nonce")]
    numbers = [as_count(values.get(key)) for key in ("pid", "generation")]
    if not all(numbers) or any(len(text) > _MAX_TEXT for text in texts):
        return None
    host, user, boot_id, at, nonce = texts
    job, restart = as_text(values.get("job"))[:_MAX_TEXT], as_count(values.get("restart"))
    namespace = as_text(values.get("pid_namespace"))[:_MAX_TEXT]
    holder = Holder(host, user, boot_id, numbers[0], job, restart, namespace)
    return Claim(holder, at, numbers[1], nonce)


class ClaimObserver:
    """The time since each claim has changed, by the monotonic clock of this process."""

    def __init__(self, timeout: float, clock: Callable[[], float] = monotonic) -> None:
        """Start with no claim.

        Args:
            timeout: the seconds after which an unchanged claim is stale.
        """
        self._timeout = timeout
        self._clock = clock
        self._since: dict[int, tuple[str, float]] = {}
        """{agent: (object id of its claim, the time at which this process saw it first)}"""

    def observe(self, claims: Mapping[int, SeenClaim]) -> None:
        """Take note of the claims that the remote has now, by agent."""
        now = self._clock()
        known = self._since
        self._since = {
            agent: known[agent] if known.get(agent, ("",))[0] == seen.oid else (seen.oid, now)
            for agent, seen in claims.items()
        }

    def is_stale(self, agent: int) -> bool:
        """Return True if the claim of an agent has not changed for too long."""
        seen = self._since.get(agent)
        return seen is not None and self._clock() - seen[1] >= self._timeout
