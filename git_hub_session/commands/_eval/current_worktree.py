"""Measure the current worktree for its agent (`eval --here`)."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.approval import ask_approval
from git_hub_session.cli.command_line import command_line
from git_hub_session.cli.measure_options import AUTO
from git_hub_session.cli.view import (
    TerminalStyle,
    TextOutput,
    View,
    agent_fields,
    metric_text,
    warning_lines,
)
from git_hub_session.commands._eval.arguments import parse_options
from git_hub_session.errors import UsageError
from git_hub_session.evaluation.current_worktree import (
    NO_IMPROVEMENT,
    find_own_worktree,
    measure_worktree,
)
from git_hub_session.git.ref_names import agent_name
from git_hub_session.session.guarded import describe_guarded, holdout_directory
from git_hub_session.util.numbers import difference
from git_hub_session.util.text import decode_terminal_line, describe_pass, escape_control

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments, Option
    from git_hub_session.evaluation.current_worktree import WorktreeMeasurement
    from git_hub_session.git.ref_names import SessionId

_EXCLUDED = (
    "holdout",
    "in-place",
    "judge",
    "tolerance",
    "ranking",
    "message",
    "include-failed",
    "force",
    "jobs",
    "dry-run",
)
_MAX_LINES = 10  # of the command's output, if the worktree does not pass


def measure_current_worktree(
    context: Context, args: Arguments, options_of_eval: Sequence[Option]
) -> WorktreeView:
    """Measure the worktree of the current directory, and record nothing."""
    _refuse_other_options(args)
    branch, worktree = find_own_worktree(context.project)
    session = context.project.store.read(branch.session)
    options = parse_options(args, session)
    command = options.metric_command
    if command is None:
        raise UsageError(
            f"session '{session.id}' has no eval command",
            hint="give --eval, --metric and --direction",
        )
    is_typed = args.value("eval") is not None
    retry = command_line("eval", options_of_eval, args.with_values(eval=command.command))
    ask_approval(context, session, command.command, is_typed=is_typed, retry=retry)
    result = measure_worktree(session, branch, worktree, context.project, options)
    has_holdout = bool(holdout_directory(session, context.project))
    return WorktreeView(result, session.id, has_holdout=has_holdout)


def _refuse_other_options(args: Arguments) -> None:
    """Raise UsageError for an argument that `eval --here` does not take."""
    if args.argument is not None:
        raise UsageError("--here takes no session id: the worktree belongs to a session")
    for option in _EXCLUDED:
        if args.is_set(option) or args.value(option) is not None:
            raise UsageError(f"--here and --{option} exclude each other")
    for option, value in (("repeat", AUTO), ("baseline", "measure")):
        if args.value(option) == value:
            raise UsageError(f"--here and '--{option} {value}' exclude each other")


class WorktreeView(View):
    """The value of the worktree, and its result: pass or fail."""

    def __init__(
        self, result: WorktreeMeasurement, session: SessionId, *, has_holdout: bool
    ) -> None:
        self.result = result
        self.session = session
        self.has_holdout = has_holdout

    @property
    def exit_code(self) -> int:
        """1 if the worktree does not pass."""
        return 1 if self.result.failure else 0

    @property
    def diagnostics(self) -> list[str]:
        notes = [*self.result.notes]
        if self.has_holdout:
            notes.append("an evaluation also has holdout files")
        guarded = describe_guarded(self.result.guarded)
        if guarded:
            name = agent_name(self.result.branch.agent)
            notes.append(f"{name} {guarded}: an evaluation uses the files of the base branch")
        return warning_lines(notes)

    def document(self) -> dict[str, Any]:
        result = self.result
        value = result.value
        baseline = result.baseline
        return {
            "session_id": self.session,
            **agent_fields(result.branch),
            "directory": result.directory,
            "commit": result.commit or None,
            "uncommitted": len(result.uncommitted),
            "eval_cmd": result.metric_command.command,
            "metric": result.metric_command.metric or None,
            "value": value,
            "values": list(result.values),
            "unit": result.unit or None,
            "baseline": baseline,
            "delta": None if value is None or baseline is None else difference(value, baseline),
            "passed": not result.failure,
            "reason": result.failure or None,
            "guarded": list(result.guarded),
            "notes": list(result.notes),
        }

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        result = self.result
        parts = []
        if result.value is not None:
            metric = result.metric_command.metric
            parts = [metric_text(metric, result.value, result.baseline, style, unit=result.unit)]
        parts += [escape_control(result.failure)] if result.failure else []
        out = [": ".join(filter(None, [describe_pass(not result.failure), ", ".join(parts)]))]
        if result.failure in ("", NO_IMPROVEMENT):
            return TextOutput(out)
        tail = result.tail.rstrip().split(b"\n")[-_MAX_LINES:]
        return TextOutput(out, [f"  {decode_terminal_line(line)}" for line in tail if line])
