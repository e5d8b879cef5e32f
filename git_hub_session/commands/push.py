"""git hub-session push: publish sessions on a remote."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    error_fields,
    error_lines,
    make_record,
    warning_lines,
)
from git_hub_session.commands._share.arguments import parse_remote
from git_hub_session.commands._share.conflict import conflict_fields, conflict_warnings
from git_hub_session.git.ref_names import short_name
from git_hub_session.sharing.push import PushOptions, push_sessions
from git_hub_session.sharing.remote import CREATED, RemoteRefused
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from collections.abc import Sequence

    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.sharing.push import PushedSession

USAGE = Usage(
    ("push [<options>] [<remote>] [<id>...]",),
    (
        Option("--rescue", "publish the rescue refs too: they contain uncommitted work"),
        Option("--logs", "publish the output logs of exec and eval too"),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=None,
)


def run(context: Context, args: Arguments) -> PushView:
    """Publish the sessions, by default all, with their branches and archives."""
    named = parse_remote(context, args, requires_sessions=True)
    options = PushOptions(
        named.shared,
        rescue=args.is_set("rescue"),
        logs=args.is_set("logs"),
        dry_run=args.is_set("dry-run"),
    )
    sids = named.sids or context.project.store.ids()
    try:
        pushed = push_sessions(sids, context.project, named.remote, options)
    except RemoteRefused as error:
        error.hint = options.command(named.remote, named.sids)
        raise
    return PushView(pushed, named.remote.label, dry_run=options.dry_run)


class PushView(View):
    """The sessions that were published, or would be published."""

    def __init__(self, pushed: Sequence[PushedSession], remote: str, *, dry_run: bool) -> None:
        self.pushed = pushed
        self.remote = remote
        self.dry_run = dry_run

    @property
    def exit_code(self) -> int:
        return 1 if any(session.error for session in self.pushed) else 0

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> list[str]:
        lines = [line for each in self.pushed if each.error for line in error_lines(each.error)]
        pushed = self.pushed
        conflicts = [text for each in pushed for text in conflict_warnings(each.sid, each.shared)]
        return [*lines, *warning_lines(conflicts)]

    def document(self) -> dict[str, Any]:
        return {
            "remote": self.remote,
            "dry_run": self.dry_run,
            "sessions": [
                {
                    "session_id": each.sid,
                    "state": each.shared.record.state if each.shared else None,
                    "conflict": bool(each.shared and each.shared.record.conflict),
                    "refs": [{"ref": ref, "action": _action(flag)} for ref, flag in each.refs],
                    "error": error_fields(each.error) if each.error else None,
                    **conflict_fields(each.shared.record.conflict if each.shared else None),
                }
                for each in self.pushed
            ],
        }

    def records(self) -> list[Record]:
        rows = self.document()["sessions"]
        for row in rows:
            row["refs"] = [f"{ref['action']} {ref['ref']}" for ref in row["refs"]]
            row["error"] = row["error"] and row["error"]["message"]
            row["merges"] = [f"{merge['agent']} {merge['commit']}" for merge in row["merges"]]
        return [make_record(row) for row in rows]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        remote = escape_control(self.remote)
        out = []
        for each in self.pushed:
            if each.error is None:
                verb = "Would push" if self.dry_run else "Pushed"
                text = f"{verb} session {each.sid} to {remote}"
                out.append(text if each.refs else f"Session {each.sid} is up to date on {remote}")
                out += [
                    f"  {_action(flag)} {escape_control(short_name(ref))}"
                    for ref, flag in each.refs
                ]
        return TextOutput(out if self.pushed else ["no sessions"])


def _action(flag: str) -> str:
    """Return the change of a ref as a word. `flag` is that of `git push --porcelain`."""
    return "created" if flag == CREATED else "updated"
