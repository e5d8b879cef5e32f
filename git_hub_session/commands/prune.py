"""git hub-session prune: delete old archives and saved work of finished sessions."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cleanup.expiry import (
    ARCHIVED,
    RESCUED,
    Expiry,
    delete_expired,
    find_expired,
)
from git_hub_session.cli.approval import confirm
from git_hub_session.cli.command_line import command_line
from git_hub_session.cli.options import (
    DRY_RUN,
    FORMAT,
    QUIET,
    YES,
    Arguments,
    Option,
    Usage,
    parse_age,
)
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    error_fields,
    error_lines,
    make_record,
)
from git_hub_session.errors import UsageError
from git_hub_session.git.ref_names import short_name
from git_hub_session.util.text import count_noun, escape_control

if TYPE_CHECKING:
    from collections.abc import Mapping

    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.errors import HubError
    from git_hub_session.git.ref_names import SessionId

USAGE = Usage(
    ("prune [<options>] --older-than <age>",),
    (
        Option("--older-than", "only sessions not updated for this long, such as 90d", "<age>"),
        Option("--archived", "only archive tags and archive refs"),
        Option("--rescued", "only rescue refs, which have saved work"),
        YES,
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
)


def run(context: Context, args: Arguments) -> PruneView:
    """Show the expired refs, ask, and delete them."""
    age = args.value("older-than")
    if age is None:
        raise UsageError("option '--older-than' is required", hint="--older-than 90d")
    kinds = [kind for kind in (ARCHIVED, RESCUED) if args.is_set(kind)] or (ARCHIVED, RESCUED)
    expiry = find_expired(context.project, parse_age(age), kinds)
    preview = PruneView(expiry, {}, dry_run=True)
    if args.is_set("dry-run") or not expiry.refs:
        return preview
    if not args.is_set("yes"):
        context.reporter.show_view(preview)
        retry = command_line("prune", USAGE.options, args.with_values(yes=True))
        question = f"Delete {count_noun(len(expiry.refs), 'ref')}?"
        confirm(context, question, retry=retry, refusal="no ref was deleted")
    return PruneView(expiry, delete_expired(expiry, context.project), dry_run=False)


class PruneView(View):
    """The refs that were deleted, or would be deleted."""

    def __init__(
        self, expiry: Expiry, errors: Mapping[SessionId, HubError], *, dry_run: bool
    ) -> None:
        self.expiry = expiry
        self.errors = errors
        """The errors of the sessions whose refs are kept."""
        self.dry_run = dry_run

    @property
    def exit_code(self) -> int:
        return 1 if self.errors else 0

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> list[str]:
        return [line for error in self.errors.values() for line in error_lines(error)]

    def document(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "unreachable": self.expiry.unreachable,
            "refs": [
                {
                    "session_id": each.session,
                    "kind": each.kind,
                    "ref": each.ref,
                    "oid": each.oid,
                    "subject": each.subject,
                    "commits": each.commits,
                    "kept": error_fields(self.errors[each.session])
                    if each.session in self.errors
                    else None,
                }
                for each in self.expiry.refs
            ],
        }

    def records(self) -> list[Record]:
        rows = self.document()["refs"]
        for row in rows:
            row["kept"] = row["kept"] and row["kept"]["message"]
        return [make_record(row) for row in rows]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        if not self.expiry.refs:
            return TextOutput([], ["no ref to delete"])
        verb = "Would delete" if self.dry_run else "Deleted"
        out = []
        for each in self.expiry.refs:
            if each.session not in self.errors:
                name, was = short_name(each.ref), style.abbreviate(each.oid)
                subject = escape_control(each.subject)
                commits = count_noun(each.commits, "commit")
                out.append(f"{verb} {name} (was {was}, {commits}): {subject}")
        if not self.errors:
            commits = count_noun(self.expiry.unreachable, "commit")
            out.append(f"No other ref reaches {commits}")
        return TextOutput(out)
