"""git hub-session exec: a command for each agent, in its worktree."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.agents.exec import ExecOptions, preview_exec, run_for_agents
from git_hub_session.cli.context import Context
from git_hub_session.cli.options import (
    DRY_RUN,
    FORMAT,
    QUIET,
    TIMEOUT,
    Arguments,
    Option,
    Usage,
    parse_jobs,
    parse_timeout,
)
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, make_record, relative_path
from git_hub_session.errors import HubError, UsageError
from git_hub_session.git.ref_names import short_name
from git_hub_session.session.agents import parse_agents
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.util.text import decode_terminal_line, display_width, escape_control, pad

if TYPE_CHECKING:
    from git_hub_session.agents.exec import AgentRun, ExecResult
    from git_hub_session.cli.reporter import Reporter


USAGE = Usage(
    ("exec [<options>] [<id>] -- <command> [<argument>...]",),
    (
        Option("--agents", "agents to run for, such as 1-3,5 (default: all)", "<list>"),
        Option("-j, --jobs", "number of parallel commands (default: all)", "<number>"),
        TIMEOUT,
        Option("--force", "run even if the agent is marked as running", no_abbreviation=True),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
    takes_command=True,
)


def run(context: Context, args: Arguments) -> ExecView:
    """Run it for all of them side by side; what it prints is shown as it comes, and kept."""
    if not args.command:
        raise UsageError("which command?", hint="git hub-session exec [<id>] -- <command>")
    sid = context.require_session(args.argument, "exec")
    listed = args.value("agents")
    count = context.project.store.read(sid).config.agent_count or MAX_AGENTS
    wish = ExecOptions(
        args.command,
        parse_agents(listed, count) if listed is not None else (),
        parse_jobs(args),
        parse_timeout(args),
        args.is_set("force"),
    )
    dry_run = args.is_set("dry-run")
    if dry_run:
        executed = preview_exec(sid, context.project, wish)
    else:
        executed = run_for_agents(sid, context.project, wish, _LivePrinter(context.reporter))
    return ExecView(executed, context.project.cwd, dry_run)


class _LivePrinter:
    """Shows what is printed, as long as there is somebody to read it: who has turned away ends no agent's work."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._is_heard = True

    def __call__(self, agent: str, line: bytes) -> None:
        if self._is_heard:
            try:
                self._reporter.write_text(live_line(agent, line))
            except (HubError, BrokenPipeError):
                self._is_heard = False


def live_line(agent: str, line: bytes) -> str:
    """A line that the command of an agent printed, as it is shown while it runs."""
    return f"{agent} | {decode_terminal_line(line)}\n"


class ExecView(NamedTuple):
    """How the command ended for each agent; `here` is the directory that paths are shown from."""

    executed: ExecResult
    here: str
    dry_run: bool

    @property
    def exit_code(self) -> int:
        return 0 if all(_has_succeeded(agent_run) for agent_run in self.executed.agent_runs) else 1

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> tuple[str, ...]:
        return tuple(f"warning: {escape_control(note)}" for note in self.executed.notes)

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.executed.session,
            "run": self.executed.run or None,
            "dry_run": self.dry_run,
            "agents": [_run_fields(agent_run) for agent_run in self.executed.agent_runs],
        }

    def records(self) -> list[Record]:
        head = ("session", self.executed.session)
        return [
            [head, *make_record(_run_fields(agent_run))] for agent_run in self.executed.agent_runs
        ]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        if self.dry_run:
            return TextOutput(
                [
                    f"Would run it for {agent_run.agent} in {escape_control(relative_path(agent_run.path, self.here))}"
                    for agent_run in self.executed.agent_runs
                ]
            )
        rows = [("AGENT", "EXIT", "TIME", "COMMITS", "OUTPUT")]
        rows += [_row(agent_run, self.here) for agent_run in self.executed.agent_runs]
        widths = [max(display_width(row[at]) for row in rows) for at in range(4)]
        out = []
        for row, agent_run in zip(rows, (None, *self.executed.agent_runs), strict=True):
            cells = [pad(row[0], widths[0]), pad(row[1], widths[1])]
            cells += [row[at].rjust(widths[at]) for at in (2, 3)]
            if agent_run is not None and not _has_succeeded(agent_run):
                cells[1] = style.paint(cells[1], "red")
            out.append("  ".join([*cells, row[4]]))
        return TextOutput(out)


def _has_succeeded(agent_run: AgentRun) -> bool:
    return agent_run.result is None or not (agent_run.result.status or agent_run.result.stop_reason)


def _row(agent_run: AgentRun, here: str) -> tuple[str, str, str, str, str]:
    ending = agent_run.result
    if ending is None:
        return (agent_run.agent, "-", "-", "-", "-")
    return (
        agent_run.agent,
        ending.stop_reason or str(ending.status),
        f"{ending.seconds:.1f}s",
        str(agent_run.commits),
        escape_control(relative_path(agent_run.log, here)),
    )


def _run_fields(agent_run: AgentRun) -> dict[str, Any]:
    ending = agent_run.result
    return {
        "agent": agent_run.branch.agent,
        "attempt": agent_run.branch.attempt,
        "branch": short_name(agent_run.branch.ref),
        "path": agent_run.path,
        "exit_code": ending.status if ending else None,
        "cut_off": (ending.stop_reason or None) if ending else None,
        "seconds": round(ending.seconds, 3) if ending else None,
        "commits": agent_run.commits if ending else None,
        "output": agent_run.log or None,
    }
