"""git hub-session doctor: what does not fit, what it comes from, and what mends it."""

from __future__ import annotations

from git_hub_session.context import Context
from git_hub_session.operations.doctor.visit import check_hub, fix_hub
from git_hub_session.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.refnames import SessionId
from git_hub_session.views.doctor import DoctorView

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
    return DoctorView((fix_hub if fixing else check_hub)(context, sid), context.cwd, fixing)


def _session(context: Context, text: str, *, exactly: bool) -> SessionId:
    if exactly:
        return context.require_session(text, "doctor")
    return context.find_session(text)
