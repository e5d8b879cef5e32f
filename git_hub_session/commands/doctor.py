"""git hub-session doctor: report problems in the hub, or fix them."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    make_record,
    relative_path,
)
from git_hub_session.doctor.doctor import check_hub, fix_hub
from git_hub_session.util.text import count_noun, escape_control

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.doctor.doctor import DoctorResult
    from git_hub_session.doctor.finding import FindingResult
    from git_hub_session.git.ref_names import SessionId


USAGE = Usage(
    ("doctor [<options>] [<id>]",),
    (
        Option(
            "--fix", "fix the problems that can be fixed without losing work", no_abbreviation=True
        ),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> DoctorView:
    """Check the hub or one session. Change it only with --fix, and without --dry-run."""
    fixing = args.is_set("fix") and not args.is_set("dry-run")
    sid = _parse_session(context, args.argument, fixing=fixing)
    result = (fix_hub if fixing else check_hub)(context.project, sid)
    return DoctorView(result, context.project.cwd, fixing=fixing)


def _parse_session(context: Context, text: str | None, *, fixing: bool) -> SessionId | None:
    if text is None:
        return None
    return context.require_session(text, "doctor") if fixing else context.find_session(text)


class DoctorView(View):
    """The findings, and the results of their fixes."""

    wraps = False

    def __init__(self, result: DoctorResult, cwd: str, *, fixing: bool) -> None:
        self.result = result
        self.cwd = cwd
        self.fixing = fixing

    @property
    def exit_code(self) -> int:
        return 0 if all(outcome.is_fixed for outcome in self.result.outcomes) else 1

    @property
    def changed(self) -> bool:
        return any(outcome.is_fixed for outcome in self.result.outcomes)

    def document(self) -> dict[str, Any]:
        result = self.result
        return {
            "sessions": result.sessions,
            "worktrees": result.worktrees,
            "in_use": list(result.locked_sessions),
            "findings": [_finding_fields(outcome) for outcome in result.outcomes],
        }

    def records(self) -> list[Record]:
        return [make_record(_finding_fields(outcome)) for outcome in self.result.outcomes]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        out: list[str] = []
        for outcome in self.result.outcomes:
            out.append(self._heading(outcome, style))
            out += [] if quiet else _detail_lines(outcome)
        if quiet:
            return TextOutput(out)
        err = [
            f"session '{sid}' was not checked: another process is changing it"
            for sid in self.result.locked_sessions
        ]
        return TextOutput([*out, self._summary()], err)

    def _heading(self, outcome: FindingResult, style: TerminalStyle) -> str:
        finding = outcome.finding
        subject = finding.subject
        if os.path.isabs(subject):
            subject = relative_path(subject, self.cwd)
        color = "green" if outcome.is_fixed else "red"
        return f"{style.paint(finding.code, color)}: {escape_control(subject)}"

    def _summary(self) -> str:
        outcomes = self.result.outcomes
        sessions = count_noun(self.result.sessions, "session")
        checked = f"{sessions}, {count_noun(self.result.worktrees, 'worktree')}"
        if not outcomes:
            return f"{checked}: no problems found"
        if self.fixing:
            fixed = sum(outcome.is_fixed for outcome in outcomes)
            return f"{checked}: {len(outcomes)} found, {fixed} fixed"
        fixable = sum(bool(outcome.finding.fix) for outcome in outcomes)
        return f"{checked}: {len(outcomes)} found, --fix can fix {fixable}"


def _detail_lines(outcome: FindingResult) -> list[str]:
    finding = outcome.finding
    out = [f"  {escape_control(finding.evidence)}"]
    if outcome.is_fixed:
        out.append(f"  done: {escape_control(finding.fix)}")
    elif outcome.failure:
        out.append(f"  not done: {escape_control(outcome.failure)}")
        out += _manual_lines(outcome.hint)
    elif finding.fix:
        out.append(f"  --fix: {escape_control(finding.fix)}")
    out += _manual_lines(finding.advice)
    return out + [f"  {escape_control(note)}" for note in outcome.notes]


def _manual_lines(text: str) -> list[str]:
    if not text:
        return []
    first, *more = text.strip().splitlines()
    return [
        f"  manual fix: {escape_control(first)}",
        *(f"    {escape_control(line)}" for line in more),
    ]


def _finding_fields(outcome: FindingResult) -> dict[str, Any]:
    finding = outcome.finding
    fields = finding._asdict() | {"fixed": outcome.is_fixed}
    del fields["git_dir"]
    if outcome.failure:
        fields |= {"failure": outcome.failure, "hint": outcome.hint}
    if outcome.notes:
        fields["notes"] = list(outcome.notes)
    return fields
