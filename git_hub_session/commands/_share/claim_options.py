"""Read the settings of workers."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.commands._share.arguments import read_shared_refs
from git_hub_session.settings.table import CLAIM_TIMEOUT
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.worker.claim_options import ClaimOptions

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context


def read_claim_options(context: Context) -> ClaimOptions:
    """Return the settings of the claims of a worker."""
    values = context.settings.checked_values(CLAIM_TIMEOUT) or CLAIM_TIMEOUT.default
    return ClaimOptions(read_shared_refs(context), float(parse_int(values[-1], MAX_COUNT) or 0))
