"""The commits of all attempts of a session, as `git log --graph` draws them."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.view import TerminalStyle, TextOutput, View
from git_hub_session.commands._attempt.off_branch import warn_off_branch
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import HEADS
from git_hub_session.session.agents import find_base_commit
from git_hub_session.session.attempts import attempt_refs
from git_hub_session.util.text import escape_control, remove_colors

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId

# The subject of a commit can contain control characters. A NUL byte marks its start.
_FORMAT = "--format=%C(auto)%h%d%C(reset)%x00%s"


def read_graph(sid: SessionId, context: Context) -> GraphView:
    """Return the graph of the commits of all attempts since their starts."""
    project = context.project
    session, repo = project.store.read(sid), project.repo
    warn_off_branch(context, session)
    refs = {branch: ref for branch, ref in attempt_refs(session, repo).items() if repo.tip(ref)}
    if not refs:
        raise HubError(
            f"session '{sid}' has no commits of an agent", hint=f"git hub-session status {sid}"
        )
    starts = {find_base_commit(session, repo, branch) for branch in refs} - {""}
    if not repo.commit_parents(map(repo.tip, refs.values()), starts):
        context.reporter.note(f"no agent of session '{sid}' has a commit of its own")
    base = HEADS + session.config.base_branch
    shown = [*refs.values(), *([base] if repo.tip(base) else [])]
    options = ["--color=always", *(f"--decorate-refs={ref}" for ref in shown)]
    command = ["log", "--graph", "--boundary", "--decorate", _FORMAT, *options]
    revisions = [*refs.values(), *(f"^{start}" for start in sorted(starts))]
    here = project.paths
    output = project.git.at(here.git_dir, here.worktree).run([*command, *revisions, "--"])
    return GraphView(os.fsdecode(output).removesuffix("\n").split("\n") if output else [])


class GraphView(View):
    """The lines of `git log --graph`, with colors."""

    wraps = False

    def __init__(self, graph: list[str]) -> None:
        self.graph = graph

    @property
    def is_paged(self) -> bool:
        return True

    def document(self) -> dict[str, Any]:
        return {"graph": self.graph}

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        lines = []
        for line in self.graph:
            drawing, _, subject = line.partition("\0")
            shown = drawing if style.color else remove_colors(drawing)
            lines.append(f"{shown} {escape_control(subject)}".rstrip())
        return TextOutput(lines)
