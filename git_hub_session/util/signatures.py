"""Check the signature of a commit as `git merge --verify-signatures` does."""

from __future__ import annotations

TRUST_LEVELS = ("undefined", "never", "marginal", "fully", "ultimate")
MIN_TRUST = "marginal"
"""The level of trust that a signature needs if gpg.minTrustLevel is not set (git's merge.c)."""

SIGNATURE_COMMAND = ("show", "-s", "--no-show-signature", "--format=%G? %GT")
"""The command of git that prints the state of a commit's signature, without the commit."""


def is_signature_valid(output: bytes, min_trust: str) -> bool:
    """Return True if `output` of SIGNATURE_COMMAND is a good signature with enough trust."""
    status, _, trust = output.decode().strip().partition(" ")
    return status in ("G", "U") and TRUST_LEVELS.index(trust) >= TRUST_LEVELS.index(min_trust)
