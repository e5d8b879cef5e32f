"""git hub-session adopt: record a branch, a commit or a worktree as an agent's next attempt."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.agents.adopt import adopt_work, preview_adopt
from git_hub_session.agents.adopt_plan import AdoptOptions
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import (
    TerminalStyle,
    TextOutput,
    View,
    agent_fields,
    relative_path,
    warning_lines,
)
from git_hub_session.commands._share.automatic import push_automatically
from git_hub_session.errors import HubError, UsageError
from git_hub_session.git.ref_names import agent_name, is_object_id, short_name
from git_hub_session.restore.plan import RestoreOptions
from git_hub_session.restore.restore import restore_worktrees
from git_hub_session.session.agents import parse_agent
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.util.text import escape_control
from git_hub_session.worktree.paths import worktree_path, worktree_template

if TYPE_CHECKING:
    from git_hub_session.agents.adopt_plan import AdoptPlan
    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.session.project import Project


USAGE = Usage(
    (
        "adopt [<options>] <id> <agent> [<worktree>]",
        "adopt [<options>] <id> <agent> (<branch> | <commit>)",
    ),
    (
        Option("--path", "path template (default: hubsession.worktreePath)", "<template>"),
        Option("--force", "adopt even if the agent is marked as running", no_abbreviation=True),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=3,
)


def run(context: Context, args: Arguments) -> AdoptView:
    """Record the work, and create a worktree if no worktree has it checked out."""
    if len(args.arguments) < 2:
        raise UsageError("no session and no agent given", hint="git hub-session adopt <id> <agent>")
    sid = context.require_session(args.arguments[0], "adopt")
    project = context.project
    count = project.store.read(sid).config.agent_count or MAX_AGENTS
    source = args.arguments[2] if len(args.arguments) > 2 else ""
    options = AdoptOptions(parse_agent(args.arguments[1], count), source, args.is_set("force"))
    template = args.value("path") or worktree_template(project.settings, project.paths)
    dry_run = args.is_set("dry-run")
    plan = (preview_adopt if dry_run else adopt_work)(sid, project, options)
    path = plan.path
    hook_errors: tuple[str, ...] = ()
    if not path and dry_run:
        path = worktree_path(template, project.paths, plan.branch)
    elif not path:
        path, hook_errors = _create_worktree(plan.branch, project, template)
    if not dry_run:
        push_automatically(context, sid)
    return AdoptView(plan, path, project.cwd, hook_errors, dry_run=dry_run)


def _create_worktree(
    branch: AgentBranch, project: Project, template: str
) -> tuple[str, tuple[str, ...]]:
    """Create the worktree of an adopted branch or commit. Return its path and errors of a hook."""
    restored = restore_worktrees(branch.session, project, RestoreOptions(branch.agent, template))
    for failure in restored.failed:
        raise HubError(
            f"{agent_name(branch.agent)} has adopted the work, but has no worktree: {failure.reason}",
            hint=failure.hint,
        )
    paths = [item.path for item in restored.restored]
    paths += [existing.worktree.path for existing in restored.present]
    return paths[0], restored.hook_errors


class AdoptView(View):
    """The attempt that was recorded, or would be recorded."""

    def __init__(
        self, plan: AdoptPlan, path: str, cwd: str, hook_errors: tuple[str, ...], *, dry_run: bool
    ) -> None:
        self.plan = plan
        self.path = path
        self.cwd = cwd
        self.hook_errors = hook_errors
        self.dry_run = dry_run

    @property
    def exit_code(self) -> int:
        return 1 if self.hook_errors else 0

    @property
    def diagnostics(self) -> list[str]:
        return warning_lines(self.hook_errors)

    @property
    def changed(self) -> bool:
        return not (self.dry_run or self.plan.is_complete)

    @property
    def next_command(self) -> str:
        return f"eval {self.plan.session.id}"

    def document(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "session_id": plan.session.id,
            "state": str(plan.state),
            "dry_run": self.dry_run,
            **agent_fields(plan.branch),
            "oid": plan.source.commit,
            "source": plan.source.name,
            "path": self.path,
            "adopted": not plan.is_complete,
        }

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        plan = self.plan
        branch = short_name(plan.branch.ref)
        agent = agent_name(plan.branch.agent)
        if plan.is_complete:
            return TextOutput([], [f"nothing to adopt: {agent} has '{branch}' checked out"])
        verb = "Would adopt" if self.dry_run else "Adopted"
        name = plan.source.name
        name = style.abbreviate(name) if is_object_id(name) else name
        path = escape_control(relative_path(self.path, self.cwd))
        out = [f"{verb} {escape_control(name)} in {path} as {branch}"]
        if plan.state != plan.session.state:
            would = "Would update session" if self.dry_run else "Session"
            out.append(
                f"{would} {plan.session.id}: {plan.session.state} {style.arrow} {plan.state}"
            )
        return TextOutput(out)
