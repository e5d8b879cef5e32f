"""git hub-session restore: bring removed worktrees back, with the work that was saved of them."""

from __future__ import annotations

from shlex import quote

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.cli.context import Context
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, make_record, relative_path
from git_hub_session.git.ref_names import AgentBranch, short_name
from git_hub_session.restore.plan import RestoreOptions
from git_hub_session.restore.restore import preview_restore, restore_worktrees
from git_hub_session.session.agents import parse_agent
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.util.text import escape_control, quote_ansi_c
from git_hub_session.worktree.paths import worktree_template

if TYPE_CHECKING:
    from git_hub_session.restore.plan import (
        RestoreFailure,
        RestoreItem,
        RestoreResult,
        UnappliedRescue,
    )


USAGE = Usage(
    ("restore [<options>] [<id>]",),
    (
        Option("--agent", "restore only this agent (default: all)", "<agent>"),
        Option("--path", "path template (default: hubsession.worktreePath)", "<template>"),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> RestoreView:
    """Each worktree comes back whole, or not at all; exit 1 if one does not."""
    sid = context.require_session(args.argument, "restore")
    agent, count = args.value("agent"), context.project.store.read(sid).config.agent_count
    wish = RestoreOptions(
        0 if agent is None else parse_agent(agent, count or MAX_AGENTS),
        args.value("path") or worktree_template(context.project),
    )
    dry_run = args.is_set("dry-run")
    restored = (preview_restore if dry_run else restore_worktrees)(sid, context.project, wish)
    return RestoreView(restored, context.project.cwd, dry_run)


class RestoreView(NamedTuple):
    """The worktrees that came back, or would; `here` is the directory that paths are shown from."""

    restored: RestoreResult
    here: str
    dry_run: bool

    @property
    def exit_code(self) -> int:
        return 1 if self.restored.failed else 0

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> tuple[str, ...]:
        failed = [line for one in self.restored.failed for line in _failed_lines(one)]
        return (*failed, *(f"warning: {escape_control(note)}" for note in self.restored.notes))

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.restored.session.id,
            "dry_run": self.dry_run,
            "restored": [_item_fields(one) for one in self.restored.made],
            "present": [
                {**_agent(one.branch), "path": one.worktree.path} for one in self.restored.present
            ],
            "failed": [
                {**_agent(one.branch), "reason": one.reason, "hint": one.hint}
                for one in self.restored.failed
            ],
        }

    def records(self) -> list[Record]:
        head, document = ("session", self.restored.session.id), self.document()
        return [
            [head, ("outcome", kind), *make_record(entry)]
            for kind in ("restored", "present", "failed")
            for entry in document[kind]
        ]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        word = "Would restore" if self.dry_run else "Restored"
        out = []
        for one in self.restored.made:
            path = escape_control(relative_path(one.path, self.here))
            out.append(f"{word} {one.agent} in {path} on {short_name(one.branch.ref)}")
            out += [f"  branch from tag {short_name(one.tag)}"] * bool(one.tag)
            out += [f"  work from {escape_control(one.work)}"] * bool(one.work)
            out += [_unapplied_line(ref, one.path) for ref in one.unapplied]
        if out or self.restored.failed:
            return TextOutput(out)
        there = (
            "the worktrees are there" if self.restored.present else "no agent has a branch or a tag"
        )
        return TextOutput(out, [f"nothing to restore: {there}"])


def _failed_lines(one: RestoreFailure) -> list[str]:
    hints = [f"hint: {escape_control(line)}" for line in one.hint.splitlines()]
    return [f"error: agent-{one.branch.agent}: {escape_control(one.reason)}", *hints]


def _unapplied_line(one: UnappliedRescue, path: str) -> str:
    """What is not applied, and what to type in a shell to get at it."""
    if one.kind == "commits":
        return f"  not applied: commits, git branch <name> {one.ref}"
    where = quote(path) if escape_control(path) == path else quote_ansi_c(path)
    return f"  not applied: work on another commit, git -C {where} stash apply --index {one.ref}"


def _agent(branch: AgentBranch) -> dict[str, Any]:
    return {"agent": branch.agent, "attempt": branch.attempt, "branch": short_name(branch.ref)}


def _item_fields(one: RestoreItem) -> dict[str, Any]:
    return {
        **_agent(one.branch),
        "path": one.path,
        "tag": short_name(one.tag) or None,
        "work": one.work or None,
        "unapplied": [left.ref for left in one.unapplied],
    }
