"""Refuse a merge of hub files: the hub is not part of the project."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Refused
from git_hub_session.git.discovery import HUB_DIRECTORY
from git_hub_session.git.ref_names import agent_name
from git_hub_session.util.text import quote_list

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.session.project import Project

_HUB = os.fsencode(HUB_DIRECTORY)
_DIFF = ("diff", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--no-relative")


def refuse_hub_files(winner: AgentBranch, base: str, tip: str, project: Project) -> None:
    """Raise Refused if the winner has committed changes of hub files since the merge base."""
    fork = project.repo.find_merge_base(base, tip)
    if not fork:
        return  # the commits have no common history: the merge itself reports that
    before, after = (project.repo.find_entries(oid, [_HUB]) for oid in (fork, tip))
    if before == after:
        return
    output = project.git.run([*_DIFF, fork, tip, "--", HUB_DIRECTORY])
    paths = [os.fsdecode(path) for path in output.split(b"\0")[:-1]]
    untrack = (
        f"git restore --source={base} --staged -- {HUB_DIRECTORY} && "
        'git commit -q -m "Remove the files of the hub"'
    )
    sid = winner.session
    raise Refused(
        f"{agent_name(winner.agent)} has committed files of the hub: {quote_list(paths)}",
        hint=f"git hub-session exec {sid} --only {agent_name(winner.agent)} -- sh -c '{untrack}'\n"
        f"git hub-session eval {sid}",
    )
