"""Start git for a merge where `git merge` would run, with the variables that it sets."""

from __future__ import annotations

from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import short_name

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.merge.plan import MergePlan
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.checkouts import Checkout


def merge_variables(plan: MergePlan, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that `git merge` sets for all programs that it starts."""
    name = short_name(plan.winner.ref)
    return {
        "GIT_REFLOG_ACTION": environ.get("GIT_REFLOG_ACTION") or f"merge {name}",
        f"GITHEAD_{plan.tip}": name,
    }


def git_at_target(
    project: Project,
    checkout: Checkout | None,
    variables: Mapping[str, str] | None = None,
    *,
    index: str = "",
) -> GitAt:
    """Return git in the worktree that has the branch checked out, or else in the main worktree.

    In a bare repository without such a worktree, git runs in the git dir.
    """
    paths = project.paths
    git_dir, top = checkout or (paths.common_dir, paths.main_worktree)
    return project.git.at(git_dir, top, index=index, variables=variables, in_subdirectory=True)
