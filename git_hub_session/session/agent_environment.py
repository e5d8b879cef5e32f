"""The HUB_* variables of commands that run for agents."""

from __future__ import annotations

import os
from collections.abc import Mapping

from git_hub_session.git.environment import strip_local_variables
from git_hub_session.git.ref_names import AgentBranch, agent_name, short_name
from git_hub_session.session import runs
from git_hub_session.session.agents import _MOST_TEXT
from git_hub_session.session.model import Session


def agent_environment(
    environ: Mapping[str, str],
    session: Session,
    branch: AgentBranch | None,
    base: str,
    task_file: str,
) -> dict[str, str]:
    """The environment of a command that runs for an agent, or for none; it names no other repository."""
    own = {
        "HUB_SESSION_ID": session.id,
        "HUB_AGENT": agent_name(branch.agent) if branch else "",
        "HUB_ATTEMPT": str(branch.attempt) if branch else "",
        "HUB_BRANCH": short_name(branch.ref) if branch else "",
        "HUB_BASE": base,
        "HUB_TASK": session.config.task,
        "HUB_TASK_FILE": task_file,
    }
    if len(os.fsencode(own["HUB_TASK"])) > _MOST_TEXT or "\0" in own["HUB_TASK"]:
        del own["HUB_TASK"]
    return {**strip_local_variables(environ), **own}


def run_environment(run: runs.Run) -> dict[str, str]:
    """By what the processes of a run are known, whatever they have become."""
    return {"HUB_RUN": run.path}
