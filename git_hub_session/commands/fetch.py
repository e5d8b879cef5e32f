"""git hub-session fetch: fetch sessions from a remote, and merge them into this clone."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Usage
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
from git_hub_session.sharing.fetch import fetch_sessions
from git_hub_session.sharing.move_refs import DIVERGED, IN_USE, KEPT
from git_hub_session.sharing.remote import RemoteRefused
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.sharing.fetch import FetchedSession
    from git_hub_session.sharing.move_refs import FetchedRef

USAGE = Usage(
    ("fetch [<options>] [<remote>] [<id>...]",), (DRY_RUN, QUIET, *FORMAT), max_arguments=None
)

_REASONS = {
    IN_USE: "a worktree has it checked out",
    DIVERGED: "this clone has other commits",
}


def run(context: Context, args: Arguments) -> FetchView:
    """Fetch the sessions, by default all that have changed, and merge them."""
    named = parse_remote(context, args)
    dry_run = args.is_set("dry-run")
    try:
        fetched = fetch_sessions(
            named.sids, context.project, named.remote, shared=named.shared, dry_run=dry_run
        )
    except RemoteRefused as error:
        words = ["--dry-run"] if dry_run else []
        words += [quote_word(named.remote.label), *named.sids]
        error.hint = f"git hub-session fetch {' '.join(words)}"
        raise
    return FetchView(fetched, named.remote.label, dry_run=dry_run)


class FetchView(View):
    """The sessions that were fetched, or would be fetched."""

    def __init__(self, fetched: Sequence[FetchedSession], remote: str, *, dry_run: bool) -> None:
        self.fetched = fetched
        self.remote = remote
        self.dry_run = dry_run

    @property
    def exit_code(self) -> int:
        return 1 if any(each.error or _kept(each) for each in self.fetched) else 0

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def next_command(self) -> str:
        sids = [each.sid for each in self.fetched if _is_fetched(each)]
        if len(sids) == 1:
            return f"status {sids[0]}"
        return "list" if sids else ""

    @property
    def diagnostics(self) -> list[str]:
        errors = [line for each in self.fetched if each.error for line in error_lines(each.error)]
        kept = [_kept_warning(ref) for each in self.fetched for ref in _kept(each)]
        fetched = self.fetched
        conflicts = [text for each in fetched for text in conflict_warnings(each.sid, each.shared)]
        return [*errors, *warning_lines([*kept, *conflicts])]

    def document(self) -> dict[str, Any]:
        return {
            "remote": self.remote,
            "dry_run": self.dry_run,
            "sessions": [
                {
                    "session_id": each.sid,
                    "state": each.shared.record.state if each.shared else None,
                    "new": bool(each.shared and each.shared.is_new),
                    "changed": bool(each.shared and each.shared.is_changed),
                    "conflict": bool(each.shared and each.shared.record.conflict),
                    "refs": [
                        {
                            "ref": ref.ref,
                            "action": ref.action,
                            "oid": ref.oid,
                            "reason": ref.reason or None,
                        }
                        for ref in each.refs
                    ],
                    "error": error_fields(each.error) if each.error else None,
                    **conflict_fields(each.shared.record.conflict if each.shared else None),
                }
                for each in self.fetched
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
        out = [line for each in self.fetched for line in self._session_lines(each, style)]
        return TextOutput(out if self.fetched else [f"{escape_control(self.remote)}: no changes"])

    def _session_lines(self, each: FetchedSession, style: TerminalStyle) -> Iterator[str]:
        if each.shared is None:
            return
        remote = escape_control(self.remote)
        verb = "Would fetch" if self.dry_run else "Fetched"
        if _is_fetched(each):
            kind = "new session" if each.shared.is_new else "session"
            yield f"{verb} {kind} {each.sid} from {remote} ({each.shared.record.state})"
        elif not each.refs:
            yield f"Session {each.sid} has no changes on {remote}"
        for ref in _moved(each):
            yield f"  {ref.action} {short_name(ref.ref)} {style.abbreviate(ref.oid)}"


def _is_fetched(each: FetchedSession) -> bool:
    """Return True if the session, or one of its refs, is new or has changed."""
    shared = each.shared
    return shared is not None and (shared.is_new or shared.is_changed or bool(_moved(each)))


def _moved(each: FetchedSession) -> list[FetchedRef]:
    return [ref for ref in each.refs if ref.action != KEPT]


def _kept(each: FetchedSession) -> list[FetchedRef]:
    return [ref for ref in each.refs if ref.action == KEPT]


def _kept_warning(ref: FetchedRef) -> str:
    return f"'{short_name(ref.ref)}' was not moved to {ref.oid:.12}: {_REASONS.get(ref.reason, '')}"
