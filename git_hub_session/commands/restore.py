"""git hub-session restore: restore removed worktrees with their changes."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.cleanup_report import quote_path
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    agent_fields,
    make_record,
    relative_path,
    warning_lines,
)
from git_hub_session.commands._share.automatic import push_automatically
from git_hub_session.git.ref_names import agent_name, parse_archive_tag, short_name
from git_hub_session.restore.plan import RestoreOptions
from git_hub_session.restore.restore import preview_restore, restore_worktrees
from git_hub_session.session.agents import parse_attempt
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.util.text import escape_control
from git_hub_session.worktree.paths import worktree_template

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.restore.plan import (
        RestoreFailure,
        RestoreItem,
        RestoreResult,
        UnappliedRescue,
    )


USAGE = Usage(
    ("restore [<options>] [<id>]",),
    (
        Option("--agent", "restore only this agent or attempt (default: all)", "<agent>"),
        Option("--path", "path template (default: hubsession.worktreePath)", "<template>"),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> RestoreView:
    """Restore each worktree completely or not at all."""
    sid = context.require_session(args.argument, "restore")
    project = context.project
    agent = args.value("agent")
    count = project.store.read(sid).config.agent_count or MAX_AGENTS
    number, attempt = (0, 0) if agent is None else parse_attempt(agent, count)
    template = args.value("path") or worktree_template(project.settings, project.paths)
    options = RestoreOptions(number, template, attempt)
    dry_run = args.is_set("dry-run")
    result = (preview_restore if dry_run else restore_worktrees)(sid, project, options)
    if result.restored and not dry_run:
        push_automatically(context, sid)
    return RestoreView(result, project.cwd, dry_run=dry_run)


class RestoreView(View):
    """The worktrees that were restored, or would be restored."""

    def __init__(self, result: RestoreResult, cwd: str, *, dry_run: bool) -> None:
        self.result = result
        self.cwd = cwd
        self.dry_run = dry_run

    @property
    def exit_code(self) -> int:
        return 1 if self.result.failed or self.result.hook_errors else 0

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> list[str]:
        errors = [line for failure in self.result.failed for line in _failure_lines(failure)]
        return errors + warning_lines((*self.result.hook_errors, *self.result.notes))

    @property
    def next_command(self) -> str:
        return f"status {self.result.session.id}"

    def document(self) -> dict[str, Any]:
        result = self.result
        return {
            "session_id": result.session.id,
            "dry_run": self.dry_run,
            "restored": [_item_fields(item) for item in result.restored],
            "present": [
                {**agent_fields(existing.branch), "path": existing.worktree.path}
                for existing in result.present
            ],
            "failed": [
                {**agent_fields(failure.branch), "reason": failure.reason, "hint": failure.hint}
                for failure in result.failed
            ],
        }

    def records(self) -> list[Record]:
        head = ("session", self.result.session.id)
        document = self.document()
        return [
            [head, ("outcome", outcome), *make_record(fields)]
            for outcome in ("restored", "present", "failed")
            for fields in document[outcome]
        ]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        out = [line for item in self.result.restored for line in self._item_lines(item)]
        if out or self.result.failed:
            return TextOutput(out)
        if self.result.present:
            return TextOutput([], ["nothing to restore: all worktrees exist"])
        return TextOutput([], ["nothing to restore: no agent has a branch or a tag"])

    def _item_lines(self, item: RestoreItem) -> list[str]:
        verb = "Would restore" if self.dry_run else "Restored"
        path = escape_control(relative_path(item.path, self.cwd))
        out = [f"{verb} {item.agent} in {path} on {short_name(item.branch.ref)}"]
        if item.archive:
            kind = "tag " if parse_archive_tag(item.archive) else ""
            out.append(f"  branch from {kind}{short_name(item.archive)}")
        if item.work:
            out.append(f"  work from {escape_control(item.work)}")
        return out + [_unapplied_line(rescue, item.path) for rescue in item.unapplied]


def _failure_lines(failure: RestoreFailure) -> list[str]:
    hints = [f"hint: {escape_control(line)}" for line in failure.hint.splitlines()]
    return [f"error: {agent_name(failure.branch.agent)}: {escape_control(failure.reason)}", *hints]


def _unapplied_line(rescue: UnappliedRescue, path: str) -> str:
    """Return the line for a rescue ref that was not applied, with the command that applies it."""
    if rescue.kind == "commits":
        return f"  not applied: commits, git branch <name> {rescue.ref}"
    command = f"git -C {quote_path(path)} stash apply --index {rescue.ref}"
    return f"  not applied: work on another commit, {command}"


def _item_fields(item: RestoreItem) -> dict[str, Any]:
    return {
        **agent_fields(item.branch),
        "path": item.path,
        "tag": short_name(item.archive) if parse_archive_tag(item.archive) else None,
        "work": item.work or None,
        "unapplied": [rescue.ref for rescue in item.unapplied],
        "archive": item.archive or None,
    }
