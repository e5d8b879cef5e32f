"""The commits of all attempts of a session, with `git log --graph`."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.view import ExitView
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import HEADS
from git_hub_session.session.agents import find_base_commit
from git_hub_session.session.attempts import attempt_refs

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId


def show_graph(sid: SessionId, context: Context, color: str | None) -> ExitView:
    """Show the commits of all attempts since their starts, with the terminal of the user.

    Args:
        color: the value of --color, or None without the option.
    """
    project = context.project
    session, repo = project.store.read(sid), project.repo
    refs = {branch: ref for branch, ref in attempt_refs(session, repo).items() if repo.tip(ref)}
    if not refs:
        raise HubError(
            f"session '{sid}' has no commits of an agent", hint=f"git hub-session status {sid}"
        )
    starts = {find_base_commit(session, repo, branch) for branch in refs} - {""}
    if not repo.commit_parents(map(repo.tip, refs.values()), starts):
        context.reporter.note(f"no agent of session '{sid}' has a commit of its own")
    shown = [*refs.values(), HEADS + session.config.base_branch]
    options = [f"--decorate-refs={ref}" for ref in shown]
    if color is not None:
        options.append(f"--color={color or 'always'}")
    command = ["log", "--graph", "--oneline", "--boundary", "--decorate", *options]
    revisions = [*refs.values(), *(f"^{start}" for start in sorted(starts))]
    here = project.paths
    git = project.git.at(here.git_dir, here.worktree, in_subdirectory=True)
    return ExitView(git.run_in_foreground([*command, *revisions, "--"]))
