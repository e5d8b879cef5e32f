"""The HUB_* variables of commands that run for agents."""

from __future__ import annotations

import os
from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.environment import strip_local_variables
from git_hub_session.git.ref_names import AgentBranch, agent_name, short_name
from git_hub_session.session.agents import continues_session
from git_hub_session.session.layout import PREVIOUS_FILE
from git_hub_session.system.ports import choose_port

if TYPE_CHECKING:
    from git_hub_session.session import runs
    from git_hub_session.session.model import Session

# Linux starts no program with a variable of more than 128 KiB.
_MAX_TASK_BYTES = 100_000


def agent_environment(
    environ: Mapping[str, str],
    session: Session,
    branch: AgentBranch | None,
    base: str,
    task_file: str,
) -> dict[str, str]:
    """Return the environment of a command that runs for the agent of `branch`.

    Without a branch, HUB_AGENT, HUB_ATTEMPT and HUB_BRANCH are ''. HUB_TASK is left out if the task
    is too long or contains a NUL. HUB_PREVIOUS is the path of the digest of earlier sessions, if the
    session continues another one. Git's variables are removed: they can name another repository.
    """
    hub_variables = {
        "HUB_SESSION_ID": session.id,
        "HUB_AGENT": agent_name(branch.agent) if branch else "",
        "HUB_ATTEMPT": str(branch.attempt) if branch else "",
        "HUB_BRANCH": short_name(branch.ref) if branch else "",
        "HUB_BASE": base,
        "HUB_TASK": session.config.task,
        "HUB_TASK_FILE": task_file,
        # The path of the file is different for each session of each repository.
        "HUB_PORT": str(choose_port(task_file, branch.agent if branch else 0)),
    }
    if continues_session(session):
        hub_variables["HUB_PREVIOUS"] = f"{os.path.dirname(task_file)}/{PREVIOUS_FILE}"
    if (
        len(os.fsencode(hub_variables["HUB_TASK"])) > _MAX_TASK_BYTES
        or "\0" in hub_variables["HUB_TASK"]
    ):
        del hub_variables["HUB_TASK"]
    return {**strip_local_variables(environ), **hub_variables}


def run_environment(run: runs.Run, name: str = "") -> dict[str, str]:
    """Return the variables that identify the processes of a run. An exec(3) keeps them.

    Args:
        name: the agent ("agent-2") or the target whose processes to identify, or '' for all.
    """
    variables = {"HUB_RUN": run.path, "HUB_RUN_ID": run.id}
    return {**variables, "HUB_AGENT": name} if name else variables
