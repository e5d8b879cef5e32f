"""git hub-session spawn: a branch and a worktree for each agent."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.agents.spawn import preview_spawn, spawn_agents
from git_hub_session.agents.spawn_plan import SpawnOptions
from git_hub_session.cli.context import Context
from git_hub_session.cli.options import (
    DRY_RUN,
    FORMAT,
    JOBS,
    QUIET,
    Arguments,
    Option,
    Usage,
    parse_jobs,
)
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, make_record, relative_path
from git_hub_session.errors import UsageError
from git_hub_session.git.ref_names import AgentBranch, short_name
from git_hub_session.session.agents import parse_agent, parse_agents
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.util.text import escape_control
from git_hub_session.worktree.paths import worktree_template

if TYPE_CHECKING:
    from git_hub_session.agents.spawn_plan import PlannedAgent, SpawnResult


USAGE = Usage(
    ("spawn [<options>] [<id>]",),
    (
        Option("--agents", "agents to create, such as 1-3,5 (default: all)", "<list>"),
        Option("--retry", "create the next attempt of this agent", "<agent>"),
        Option("--base", "commit to start from (default: the base branch)", "<commit>"),
        Option("--path", "path template (default: hubsession.worktreePath)", "<template>"),
        JOBS,
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> SpawnView:
    """Add the agents that are missing; all of them or none."""
    sid = context.require_session(args.argument, "spawn")
    wish = _parse_options(
        context, args, context.project.store.read(sid).config.agent_count or MAX_AGENTS
    )
    dry_run = args.is_set("dry-run")
    spawned = (preview_spawn if dry_run else spawn_agents)(sid, context.project, wish)
    return SpawnView(spawned, context.project.cwd, dry_run)


def _parse_options(context: Context, args: Arguments, count: int) -> SpawnOptions:
    listed, again, base = args.value("agents"), args.value("retry"), args.value("base")
    if listed is not None and again is not None:
        raise UsageError("--agents and --retry exclude each other")
    return SpawnOptions(
        parse_agents(listed, count) if listed is not None else (),
        parse_agent(again, count) if again is not None else 0,
        ""
        if base is None
        else context.project.git.resolve_commit(base, context.project.paths.git_dir),
        args.value("path") or worktree_template(context.project),
        parse_jobs(args),
    )


class SpawnView(NamedTuple):
    """The agents that were made, or would be; `here` is the directory that paths are shown from."""

    spawned: SpawnResult
    here: str
    dry_run: bool
    exit_code: int = 0

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> tuple[str, ...]:
        return tuple(f"warning: {escape_control(note)}" for note in self.spawned.notes)

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.spawned.session.id,
            "state": str(self.spawned.state),
            "base_commit": self.spawned.base,
            "dry_run": self.dry_run,
            "spawned": [_created_fields(newborn) for newborn in self.spawned.created],
            "present": [_agent(branch) for branch in self.spawned.present],
        }

    def records(self) -> list[Record]:
        head = ("session", self.spawned.session.id)
        return [
            *(
                [head, ("outcome", "spawned"), *make_record(_created_fields(one))]
                for one in self.spawned.created
            ),
            *(
                [head, ("outcome", "present"), *make_record(_agent(one))]
                for one in self.spawned.present
            ),
        ]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        session = self.spawned.session
        word = "Would spawn" if self.dry_run else "Spawned"
        out = [
            f"{word} agent-{one.branch.agent} in {escape_control(relative_path(one.path, self.here))}"
            f" on {short_name(one.branch.ref)}"
            for one in self.spawned.created
        ]
        told = [] if out else ["nothing to spawn: the agents are there already"]
        if out:
            out.append(f"  Base: {self.spawned.base[:12]}")
        if self.spawned.state != session.state:
            would = "Would update session" if self.dry_run else "Session"
            out.append(f"{would} {session.id}: {session.state} {style.arrow} {self.spawned.state}")
        return TextOutput(out, told)


def _agent(branch: AgentBranch) -> dict[str, Any]:
    return {"agent": branch.agent, "attempt": branch.attempt, "branch": short_name(branch.ref)}


def _created_fields(newborn: PlannedAgent) -> dict[str, Any]:
    return {**_agent(newborn.branch), "path": newborn.path}
