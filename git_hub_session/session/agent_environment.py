"""The HUB_* variables of commands that run for agents."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.environment import strip_local_variables
from git_hub_session.git.ref_names import AgentBranch, agent_name, short_name
from git_hub_session.session.assignment_values import parse_strategies
from git_hub_session.session.layout import PREVIOUS_FILE
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.system.ports import choose_port

if TYPE_CHECKING:
    from git_hub_session.session import runs
    from git_hub_session.session.model import Session

TASK_VARIABLE = "HUB_TASK"
# `git commit` sets these variables for its hooks, together with GIT_INDEX_FILE.
_AUTHOR = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE")
PROMPT_VARIABLE = "HUB_PROMPT_FILE"

# Linux starts no program with a variable of more than 128 KiB (MAX_ARG_STRLEN), with its name, the
# sign '=' and a NUL.
_MAX_VARIABLE_BYTES = 128 << 10
# The space for the arguments of the command and for what the command adds to the environment.
_RESERVED_BYTES = 64 << 10
# The size of the pointer to a variable.
_POINTER_BYTES = 8


def agent_environment(
    environ: Mapping[str, str],
    session: Session,
    branch: AgentBranch | None,
    base: str,
    task_file: str,
) -> dict[str, str]:
    """Return the environment of a command that runs for the agent of `branch`.

    Without a branch, HUB_AGENT, HUB_ATTEMPT and HUB_BRANCH are missing. HUB_PREVIOUS is the path of
    the digest of earlier sessions, if the session continues another one. A variable without a value
    is missing, also if an outer session has set it. So is a variable that the system would not
    accept. Git's variables are removed: they can name another repository, and in a hook of a commit
    the author of that commit.
    """
    name = agent_name(branch.agent) if branch else ""
    config = session.config
    directory = os.path.dirname(task_file)
    hub = os.path.dirname(os.path.dirname(directory))
    hub_variables = {
        "HUB_SESSION_ID": session.id,
        "HUB_AGENT": name,
        "HUB_ATTEMPT": str(branch.attempt) if branch else "",
        "HUB_BRANCH": short_name(branch.ref) if branch else "",
        "HUB_BASE": base,
        TASK_VARIABLE: config.task,
        "HUB_TASK_FILE": task_file,
        "HUB_PORT": str(_choose_port(session, branch, task_file)),
        "HUB_BOARD": f"{hub}/board",
    }
    optional = _optional_variables(session, name, directory)
    removed = _AUTHOR if "GIT_INDEX_FILE" in environ else ()
    outer = strip_local_variables({k: v for k, v in environ.items() if k not in removed})
    kept = {key: value for key, value in outer.items() if key not in {*hub_variables, *optional}}
    hub_variables = {key: value for key, value in {**hub_variables, **optional}.items() if value}
    return _without_oversized({**kept, **hub_variables}, {*hub_variables})


def _choose_port(session: Session, branch: AgentBranch | None, task_file: str) -> int:
    """Return the port of an attempt, or of a command without an agent.

    Several attempts of an agent can be measured at once. The first attempts have the numbers of their
    agents, and the later attempts have the numbers after them.
    """
    number = 0
    if branch is not None:
        count = session.config.agent_count or MAX_AGENTS
        number = branch.agent + (branch.attempt - 1) * (count + 1)
    # The path of the file is different for each session of each repository.
    return choose_port(task_file, number)


def variable_warnings(session: Session, environments: Iterable[Mapping[str, str]]) -> list[str]:
    """Return a warning for each variable that is not set although it has a value."""
    names = {name: None for each in environments for name in _unset_variables(session, each)}
    warnings = []
    for name in names:
        text = "the task" if name == TASK_VARIABLE else "its value"
        file = " (read HUB_TASK_FILE)" if name == TASK_VARIABLE else ""
        warnings.append(f"{name} is not set: the system does not accept {text} as a variable{file}")
    return warnings


def _unset_variables(session: Session, variables: Mapping[str, str]) -> list[str]:
    """Return the variables with a value that agent_environment() has left out of `variables`."""
    optional = _optional_variables(session, variables.get("HUB_AGENT", ""), "")
    values = {TASK_VARIABLE: session.config.task, **optional}
    return [name for name, value in values.items() if value and name not in variables]


def _optional_variables(session: Session, name: str, directory: str) -> dict[str, str]:
    """Return the variables that may have no value. `directory` is the one of the session."""
    config = session.config
    return {
        "HUB_PREVIOUS": f"{directory}/{PREVIOUS_FILE}" if session.continues_session else "",
        "HUB_EVAL": config.get("eval_cmd"),
        "HUB_METRIC": config.get("metric"),
        "HUB_DIRECTION": config.get("direction"),
        "HUB_BASELINE": config.get("baseline"),
        "HUB_STRATEGY": parse_strategies(config.get("strategies")).get(name, ""),
        PROMPT_VARIABLE: "",  # only the caller knows if the file exists
    }


def _without_oversized(variables: dict[str, str], own: set[str]) -> dict[str, str]:
    """Return the variables without those of `own` with which no program would start."""
    sizes = {
        key: len(os.fsencode(key)) + len(os.fsencode(value)) + 2 for key, value in variables.items()
    }
    oversized = {key for key in own if sizes[key] > _MAX_VARIABLE_BYTES or "\0" in variables[key]}
    total = sum(size + _POINTER_BYTES for key, size in sizes.items() if key not in oversized)
    if total > os.sysconf("SC_ARG_MAX") - _RESERVED_BYTES:
        oversized.add(TASK_VARIABLE)
    return {key: value for key, value in variables.items() if key not in oversized}


def run_environment(run: runs.Run, name: str = "") -> dict[str, str]:
    """Return the variables that identify the processes of a run. An exec(3) keeps them.

    Args:
        name: the agent ("agent-2") or the target whose processes to identify, or '' for all.
    """
    variables = {"HUB_RUN": run.path, "HUB_RUN_ID": run.id}
    return {**variables, "HUB_AGENT": name} if name else variables
