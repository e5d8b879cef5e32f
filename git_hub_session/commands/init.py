"""git hub-session init: make a session for a task."""

from __future__ import annotations

import os
import re

from git_hub_session._typing import Any, NamedTuple
from git_hub_session.cli.context import Context, read_text_file
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    make_record,
    metric_lines,
    relative_path,
    task_lines,
)
from git_hub_session.errors import HubError, UsageError
from git_hub_session.git.ref_names import SessionId, parse_session_id
from git_hub_session.session.create import choose_session_id, create_session, resolve_base_branch
from git_hub_session.session.model import MAX_AGENTS, Config
from git_hub_session.util.clock import format_iso
from git_hub_session.util.numbers import parse_int
from git_hub_session.util.text import escape_control

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_MOST_TEXT = 512 << 10  # bytes: half of what a config.yaml may have

USAGE = Usage(
    ("init [<options>] --task <text>", "init [<options>] -F <file>"),
    (
        Option("--task", "task for the agents", "<text>"),
        Option("-F, --file", "file with the task ('-' for standard input)", "<file>"),
        Option("--agents", "number of agents (default: 3)", "<number>"),
        Option("--eval", "command that measures a result", "<command>"),
        Option("--metric", "name of the metric that the command prints", "<name>"),
        Option(
            "--direction",
            "whether a lower or a higher metric is better",
            "<direction>",
            choices=("lower", "higher"),
        ),
        Option("--baseline", "current value of the metric", "<number>"),
        Option("--base-branch", "branch to start from (default: current branch)", "<branch>"),
        Option("--id", "session id (default: local time as YYYYMMDD-HHMMSS)", "<id>"),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
)


def run(context: Context, args: Arguments) -> InitView:
    """Make the session; of two that want one id, one gets it."""
    values = {
        "session_id": "",
        "task": _task(args),
        "agent_count": str(_agents(args.value("agents"))),
        "base_branch": _check_text(
            "base branch", resolve_base_branch(context.project.paths, args.value("base-branch"))
        ),
        "created": format_iso(context.project.now()),
        **_measure(args),
    }
    wanted = args.value("id")
    chosen = parse_session_id(wanted) if wanted is not None else None
    dry_run = args.is_set("dry-run")
    make = choose_session_id if dry_run else create_session
    sid = make(context.project.store, values, chosen, now=context.project.now())
    if values.get("eval_cmd") and not dry_run:
        _approve(context, values["eval_cmd"])
    config = Config({**values, "session_id": sid})
    directory = relative_path(f"{context.project.paths.hub}/sessions/{sid}", context.project.cwd)
    return InitView(sid, config, directory, dry_run)


def _approve(context: Context, command: str) -> None:
    """Who writes an eval command may run it; one that comes with a repository needs a yes."""
    try:
        context.project.approvals.approve(context.project.paths.common_dir, command)
    except HubError as fault:
        context.reporter.note(
            f"warning: 'git hub-session eval' will ask before it runs it: {fault.message}"
        )


def _task(args: Arguments) -> str:
    text, file = args.value("task"), args.value("file")
    if (text is None) == (file is None):
        raise UsageError(
            "what is the task?" if text is None else "--task and -F exclude each other",
            hint="give --task <text>, or -F <file>",
        )
    if file is not None:
        text = read_text_file(file, "task", max_bytes=_MOST_TEXT).rstrip("\n")
    task = _check_text("task", text or "")
    if not task.strip():
        raise UsageError("the task is empty")
    return task


def _check_text(name: str, text: str) -> str:
    if len(os.fsencode(text)) > _MOST_TEXT:
        raise HubError(f"the {name} is larger than {_MOST_TEXT} bytes")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise HubError(f"the {name} is not UTF-8") from None
    return text


def _agents(text: str | None) -> int:
    if text is None:
        return 3
    number = parse_int(text, MAX_AGENTS)
    if not number:
        raise UsageError(
            f"not a number of agents: '{text}'", hint=f"--agents takes 1 to {MAX_AGENTS}"
        )
    return number


def _measure(args: Arguments) -> dict[str, str]:
    """The settings of the evaluation, in the order of the file."""
    metric, direction, baseline = (
        args.value("metric"),
        args.value("direction"),
        args.value("baseline"),
    )
    if (metric is None) != (direction is None):
        raise UsageError(
            "--metric and --direction go together", hint="say whether lower or higher is better"
        )
    if baseline is not None and metric is None:
        raise UsageError("--baseline is of no use without --metric")
    if baseline is not None and not _NUMBER.fullmatch(baseline):
        raise UsageError(f"not a number: '{baseline}'")
    found = {
        "eval_cmd": args.value("eval"),
        "metric": metric,
        "direction": direction,
        "baseline": baseline,
    }
    values = {key: _check_text(key, value) for key, value in found.items() if value is not None}
    for key, value in values.items():
        if not value.strip() or (key != "eval_cmd" and "\n" in value):
            raise UsageError(f"not a value for {key}: '{value}'")
    return values


class InitView(NamedTuple):
    """A session that was made, or would be."""

    session: SessionId
    config: Config
    directory: str
    """Where its files are, relative to where the command was called."""
    dry_run: bool
    exit_code: int = 0
    diagnostics: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return not self.dry_run

    def document(self) -> dict[str, Any]:
        config = self.config
        return {
            "session_id": self.session,
            "session_dir": self.directory,
            "task": config.task,
            "agent_count": config.agent_count,
            "eval_cmd": config.get("eval_cmd") or None,
            "metric": config.get("metric") or None,
            "direction": config.get("direction") or None,
            "baseline": config.get("baseline") or None,
            "base_branch": config.base_branch,
            "state": "init",
            "dry_run": self.dry_run,
        }

    def records(self) -> list[Record]:
        return [make_record(self.document())]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([self.session])
        config = self.config
        would = "Would initialize" if self.dry_run else "Initialized"
        out = [f"{would} session {self.session} in {escape_control(self.directory)}"]
        out += task_lines(config.task)
        out.append(f"  Agents: {config.agent_count}")
        out.append(f"  Base branch: {escape_control(config.base_branch)}")
        out += metric_lines(config)
        out.append("  State: init")
        return TextOutput(out)
