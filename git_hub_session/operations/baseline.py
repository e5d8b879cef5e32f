"""The metric as it is before any agent has begun, measured and written into config.yaml."""

from __future__ import annotations

from git_hub_session import runs
from git_hub_session.errors import Refused
from git_hub_session.operations.agents import EVAL, agent_environment
from git_hub_session.operations.measure import (
    BASELINE,
    EvalWorktrees,
    MetricRunner,
    MetricCommand,
    MeasureTarget,
)
from git_hub_session.operations.scene import Project
from git_hub_session.ranking import Score
from git_hub_session.refnames import HEADS, SessionId
from git_hub_session.session import Config
from git_hub_session.states import State


class BaselineFailed(Refused):
    """The command says nothing of the base branch, so it will say nothing of the agents."""

    code = "no-baseline"


def measure_baseline(sid: SessionId, project: Project, recipe: MetricCommand) -> float:
    """Measure the tip of the base branch in a checkout of its own, and write down what was found.

    AgentHub has the baseline in config.yaml, which is not written any more once there are agents.
    Raises NoBaseline, Refused (there are agents already), GitFailed.
    """
    with project.store.lock_session(sid) as edit:
        session = edit.read()
        if session.state is not State.INIT:
            raise Refused(f"session '{sid}' is '{session.state}': its baseline is settled")
        base = project.repo.tip(HEADS + session.config.base_branch)
        variables = agent_environment(
            project.environ, session, None, base, edit.ensure_task_file(session)
        )
        run = runs.start_run(edit.directory, EVAL)
        checkouts = EvalWorktrees(sid, project)
        checkouts.remove_stale()
        with run, checkouts:
            spot = MeasureTarget(
                BASELINE, base, checkouts.add(BASELINE, base, variables), variables
            )
            progress = project.progress("Measuring", recipe.repeat)
            found = MetricRunner([spot], recipe, run, progress).measure(project.run_all)[BASELINE]
        if not found.values:
            raise BaselineFailed(
                f"the eval command cannot measure '{session.config.base_branch}': {found.reason}",
                hint=f"what it printed is in {run.path}/{BASELINE}.log",
            )
        metric = Score(0, found.values, (0, 0)).metric
        edit.save_config(Config({**session.config.values, "baseline": f"{metric:.12g}"}))
        return metric
