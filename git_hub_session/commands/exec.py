"""git hub-session exec: run a command for each agent in parallel."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.agents.exec import preview_exec, run_for_agents
from git_hub_session.cli.agent_options import (
    AGENT_CMD,
    AGENTS,
    ONLY,
    parse_selected_agents,
    with_agent_command,
)
from git_hub_session.cli.command_line import command_line, continue_lines
from git_hub_session.cli.options import (
    DRY_RUN,
    FORMAT,
    QUIET,
    Arguments,
    Option,
    Usage,
    parse_jobs,
)
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    make_record,
    relative_path,
    warning_lines,
)
from git_hub_session.commands._exec.display import LiveDisplay
from git_hub_session.commands._exec.options import RUN_OPTIONS, parse_run_options
from git_hub_session.commands._exec.table import run_fields, run_table
from git_hub_session.commands._executors.options import (
    BOOTSTRAP,
    CANCEL,
    ON,
    check_executor_options,
    has_executors,
)
from git_hub_session.commands._share.automatic import push_automatically
from git_hub_session.git.ref_names import agent_list
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session.agents.exec import ExecResult
    from git_hub_session.agents.exec_options import ExecOptions
    from git_hub_session.agents.run_monitor import AgentRun
    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId


USAGE = Usage(
    (
        "exec [<options>] [<id>] -- <command> [<argument>...]",
        "exec [<options>] --agent-cmd <command> [<id>]",
        "exec --on <executors> --cancel [<id>]",
    ),
    (
        AGENT_CMD,
        ONLY,
        AGENTS,
        Option("--failed", "run only for agents that failed, were interrupted or never ran"),
        Option("-j, --jobs", "number of parallel commands (default: all)", "<number>"),
        *RUN_OPTIONS,
        ON,
        BOOTSTRAP,
        CANCEL,
        Option("--force", "run even if the agent is marked as running", no_abbreviation=True),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
    takes_command=True,
)


def run(context: Context, args: Arguments, following: Sequence[str] = ()) -> View:
    """Run the command for all selected agents, here or with workers elsewhere.

    Args:
        following: as for run_here(). With workers elsewhere, the caller prints these commands.
    """
    if has_executors(args):
        from git_hub_session.commands._exec.on import LOCAL_OPTIONS, run_elsewhere
        from git_hub_session.commands._executors.call import ExecutorCall

        sid = context.require_session(args.argument, "exec")
        agents = _parse_options(context, args, sid).agents
        check_executor_options(args, LOCAL_OPTIONS)
        call = ExecutorCall(context, sid, args, "exec")
        return run_elsewhere(call, args, agents, (AGENT_CMD, ONLY, *RUN_OPTIONS))
    return run_here(context, args, following)


def run_here(context: Context, args: Arguments, following: Sequence[str] = ()) -> ExecView:
    """Run the command for all selected agents, and print its output as it arrives.

    Args:
        following: the commands that continue after `exec`. Print them if a signal ends the run.
    """
    args = with_agent_command(context, args, "git hub-session exec [<id>] -- <command>")
    sid = context.require_session(args.argument, "exec")
    project = context.project
    options = _parse_options(context, args, sid)
    if args.is_set("dry-run"):
        return ExecView(preview_exec(sid, project, options), project.cwd, dry_run=True)
    display = _Display(context, sid)
    try:
        result = run_for_agents(sid, project, options, display)
    except BaseException as error:
        display.elapsed.clear()
        if not isinstance(error, Exception):  # a signal
            commands = [*display.continue_commands(sid, args), *following]
            context.reporter.print_hints(continue_lines(commands))
        raise
    finally:
        context.finish_events()
    display.elapsed.clear()
    push_automatically(context, sid)
    return ExecView(result, project.cwd, dry_run=False)


def _parse_options(context: Context, args: Arguments, sid: SessionId) -> ExecOptions:
    count = context.project.store.read(sid).config.agent_count or MAX_AGENTS
    return parse_run_options(args, count)._replace(
        agents=parse_selected_agents(args, count, context.reporter),
        jobs=parse_jobs(args),
        force=args.is_set("force"),
        failed=args.is_set("failed"),
    )


class _Display(LiveDisplay):
    """Prints the output of the agents, and the commands that finish an interrupted run."""

    def continue_commands(self, sid: SessionId, args: Arguments) -> list[str]:
        """Return the commands that finish an interrupted run."""
        if self.success_by_agent is None:
            return [_repeat_command(sid, args)]
        done = [agent for agent, has_succeeded in self.success_by_agent.items() if has_succeeded]
        left = [agent for agent in self.success_by_agent if agent not in done]
        commands = [_repeat_command(sid, args, agents=left)] if left else []
        if done and args.value("commit") is not None:
            commit_args = args.subset("commit", command=("true",))
            commands.append(_repeat_command(sid, commit_args, agents=done))
        return commands


def _repeat_command(sid: SessionId, args: Arguments, *, agents: Sequence[int] = ()) -> str:
    """Return the command that runs the command again with the same options.

    Args:
        agents: the agents to run it for, or () for the selection of the user.
    """
    options = [option for option in USAGE.options if option is not DRY_RUN]
    if agents:
        names = [
            option.name for option in options if option.name not in ("only", "agents", "failed")
        ]
        args = args.subset(*names, command=args.command, only=agent_list(agents))
    return command_line("exec", options, args, arguments=[sid], command=args.command)


class ExecView(View):
    """The results of the command for all agents."""

    def __init__(self, result: ExecResult, cwd: str, *, dry_run: bool) -> None:
        self.result = result
        self.cwd = cwd
        self.dry_run = dry_run

    @property
    def exit_code(self) -> int:
        agent_runs = self.result.agent_runs
        return 1 if any(run.reason or not run.has_not_failed for run in agent_runs) else 0

    @property
    def has_success(self) -> bool:
        """True if the command succeeded for an agent."""
        return any(
            agent_run.result is not None and agent_run.has_not_failed
            for agent_run in self.result.agent_runs
        )

    @property
    def failed_agents(self) -> list[int]:
        """The numbers of the agents whose command failed."""
        failed = (run for run in self.result.agent_runs if not run.has_not_failed)
        return [agent_run.branch.agent for agent_run in failed]

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> list[str]:
        notes = warning_lines(self.result.notes) + self._uncommitted_lines()
        for agent_run in self.result.agent_runs:
            if agent_run.reason:
                place = f"'{agent_run.path}': " if agent_run.path else ""
                reason = escape_control(f"{place}{agent_run.reason}")
                notes.append(f"error: {agent_run.agent}: {reason}")
                notes += [f"hint: {escape_control(line)}" for line in agent_run.hint.splitlines()]
        return notes

    def _uncommitted_lines(self) -> list[str]:
        """Return the warnings about changes that are not committed, and the command that helps."""
        runs = [agent_run for agent_run in self.result.agent_runs if agent_run.not_committed]
        lines = warning_lines(
            f"the changes of {agent_run.agent} are not committed: {agent_run.not_committed}"
            for agent_run in runs
        )
        lines += [
            f"hint: {escape_control(agent_run.commit_hint)}"
            for agent_run in runs
            if agent_run.commit_hint and not agent_run.reason
        ]
        agents = [agent_run.branch.agent for agent_run in runs if not agent_run.reason]
        if agents:
            command = f"exec --only {agent_list(agents)} --commit {self.result.session} -- true"
            lines.append(f"hint: git hub-session {command}")
        return lines

    @property
    def next_command(self) -> str:
        return f"eval {self.result.session}"

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.result.session,
            "run": self.result.run or None,
            "dry_run": self.dry_run,
            "agents": [run_fields(agent_run) for agent_run in self.result.agent_runs],
        }

    def records(self) -> list[Record]:
        head = ("session", self.result.session)
        return [[head, *make_record(fields)] for fields in self.document()["agents"]]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        if self.dry_run:
            return TextOutput(
                [self._preview_line(agent_run) for agent_run in self.result.agent_runs]
            )
        commits = [
            f"Committed the changes of {agent_run.agent} as {style.abbreviate(agent_run.commit)}"
            for agent_run in self.result.agent_runs
            if agent_run.commit
        ]
        return TextOutput([*run_table(self.result.agent_runs, self.cwd, style), *commits])

    def _preview_line(self, agent_run: AgentRun) -> str:
        if agent_run.reason:
            reason = escape_control(agent_run.reason)
            return f"Would not run the command for {agent_run.agent}: {reason}"
        if agent_run.commits_only:
            return f"Would commit the changes of {agent_run.agent}"
        path = escape_control(relative_path(agent_run.path, self.cwd))
        return f"Would run the command for {agent_run.agent} in {path}"
