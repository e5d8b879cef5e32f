"""git hub-session doctor: what does not fit, what it comes from, and what mends it."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.cli.context import Context
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, make_record, relative_path
from git_hub_session.doctor.doctor import check_hub, fix_hub
from git_hub_session.git.ref_names import SessionId
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session.doctor.doctor import DoctorResult, FindingResult


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
    """The whole hub, or one session; without --fix, or with --dry-run, nothing is changed."""
    fixing = args.is_set("fix") and not args.is_set("dry-run")
    sid = None if args.argument is None else _session(context, args.argument, exactly=fixing)
    return DoctorView(
        (fix_hub if fixing else check_hub)(context.project, sid), context.project.cwd, fixing
    )


def _session(context: Context, text: str, *, exactly: bool) -> SessionId:
    if exactly:
        return context.require_session(text, "doctor")
    return context.find_session(text)


class DoctorView(NamedTuple):
    """What was found, and what became of it."""

    result: DoctorResult
    here: str
    fixed: bool
    """Whether it was to be mended."""

    @property
    def exit_code(self) -> int:
        return 0 if all(outcome.is_fixed for outcome in self.result.outcomes) else 1

    @property
    def changed(self) -> bool:
        return any(outcome.is_fixed for outcome in self.result.outcomes)

    @property
    def diagnostics(self) -> tuple[str, ...]:
        return ()

    def document(self) -> dict[str, Any]:
        visit = self.result
        return {
            "sessions": visit.sessions,
            "worktrees": visit.worktrees,
            "in_use": list(visit.locked_sessions),
            "findings": [_finding_fields(outcome) for outcome in visit.outcomes],
        }

    def records(self) -> list[Record]:
        return [make_record(_finding_fields(outcome)) for outcome in self.result.outcomes]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        out = [
            line for outcome in self.result.outcomes for line in self._lines(outcome, style, quiet)
        ]
        if quiet:
            return TextOutput(out)
        err = [
            f"session '{sid}' is being changed: it was not looked into"
            for sid in self.result.locked_sessions
        ]
        return TextOutput([*out, self._summary()], err)

    def _lines(self, outcome: FindingResult, style: TerminalStyle, quiet: bool) -> list[str]:
        finding = outcome.finding
        path = os.path.isabs(finding.subject)
        subject = relative_path(finding.subject, self.here) if path else finding.subject
        color = "green" if outcome.is_fixed else "red"
        out = [f"{style.paint(finding.code, color)}: {escape_control(subject)}"]
        if quiet:
            return out
        out.append(f"  {escape_control(finding.evidence)}")
        if outcome.is_fixed:
            out.append(f"  done: {escape_control(finding.fix)}")
        elif outcome.failure:
            out.append(f"  not done: {escape_control(outcome.failure)}")
            out += _manual_lines(outcome.hint)
        elif finding.fix:
            out.append(f"  --fix: {escape_control(finding.fix)}")
        out += _manual_lines(finding.advice)
        return [*out, *(f"  {escape_control(note)}" for note in outcome.notes)]

    def _summary(self) -> str:
        outcomes = self.result.outcomes
        looked = f"{_count(self.result.sessions, 'session')}, {_count(self.result.worktrees, 'worktree')}"
        if not outcomes:
            return f"{looked}: nothing found"
        mended = sum(outcome.is_fixed for outcome in outcomes)
        if self.fixed:
            return f"{looked}: {len(outcomes)} found, {mended} fixed"
        fixable = sum(bool(outcome.finding.fix) for outcome in outcomes)
        return f"{looked}: {len(outcomes)} found, --fix mends {fixable}"


def _manual_lines(text: str) -> list[str]:
    if not text:
        return []
    first, *more = text.strip().splitlines()
    return [
        f"  by hand: {escape_control(first)}",
        *(f"    {escape_control(line)}" for line in more),
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _finding_fields(outcome: FindingResult) -> dict[str, Any]:
    finding = outcome.finding
    document = finding._asdict() | {"fixed": outcome.is_fixed}
    del document["git_dir"]
    if outcome.failure:
        document |= {"failure": outcome.failure, "hint": outcome.hint}
    if outcome.notes:
        document["notes"] = list(outcome.notes)
    return document
