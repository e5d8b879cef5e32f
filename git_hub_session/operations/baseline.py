"""The metric as it is before any agent has begun, measured and written into config.yaml."""

from __future__ import annotations

import os

from git_hub_session import runs
from git_hub_session.errors import Refused
from git_hub_session.operations.agents import EVAL, environment, template_of, worktree_path
from git_hub_session.operations.measure import BASELINE, Checkouts, Meter, Recipe, Spot
from git_hub_session.operations.scene import Scene
from git_hub_session.ranking import Score
from git_hub_session.refnames import HEADS, AgentBranch, SessionId
from git_hub_session.session import Config
from git_hub_session.states import State


class NoBaseline(Refused):
    """The command says nothing of the base branch, so it will say nothing of the agents."""

    code = "no-baseline"


def measure_baseline(sid: SessionId, scene: Scene, recipe: Recipe) -> float:
    """Measure the tip of the base branch in a checkout of its own, and write down what was found.

    AgentHub has the baseline in config.yaml, which is not written any more once there are agents.
    Raises NoBaseline, Refused (there are agents already), GitFailed.
    """
    with scene.store.edit(sid) as edit:
        session = edit.read()
        if session.state is not State.INIT:
            raise Refused(f"session '{sid}' is '{session.state}': its baseline is settled")
        base = scene.repo.tip(HEADS + session.config.base_branch)
        variables = environment(scene.environ, session, None, base, edit.task_file(session))
        run = runs.begin(edit.directory, EVAL)
        path = worktree_path(template_of(scene), scene.place, AgentBranch(sid, 1, 1))
        checkouts = Checkouts(sid, scene.place.common_dir, os.path.dirname(path), scene.git)
        checkouts.tidy()
        with run, checkouts:
            spot = Spot(BASELINE, base, checkouts.make(BASELINE, base), variables)
            progress = scene.progress("Measuring", recipe.repeat)
            found = Meter([spot], recipe, run, progress).measure(scene.run_all)[BASELINE]
        if not found.values:
            raise NoBaseline(
                f"the eval command cannot measure '{session.config.base_branch}': {found.reason}",
                hint=f"what it printed is in {run.path}/{BASELINE}.log",
            )
        metric = Score(0, found.values, (0, 0)).metric
        edit.save_config(Config({**session.config.values, "baseline": f"{metric:.12g}"}))
        return metric
