"""The work of jobs of Slurm, as `exec` and `eval` describe it."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from git_hub_session.session.model import Session


class JobWork(NamedTuple):
    """The work of jobs of Slurm, one for each agent."""

    line: str
    """The command line of a job, without its agent."""
    agents: Sequence[int]
    find_ended: Callable[[Session], Collection[int]]
    """Returns the agents whose work has ended in a fetched session."""
    evaluation: str = ""
    """The id of the evaluation for which the jobs measure, or ''."""
