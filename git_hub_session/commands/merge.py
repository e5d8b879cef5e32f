"""git hub-session merge: merge the winner and archive the other branches."""

from __future__ import annotations

import os
from functools import partial

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cleanup.maintenance import run_maintenance
from git_hub_session.cleanup.options import read_cleanup_options
from git_hub_session.cli.approval import confirm
from git_hub_session.cli.cleanup_report import ReportOutput
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, YES, Arguments, Option, Usage
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    agent_fields,
    command_after,
    make_record,
    warning_lines,
)
from git_hub_session.commands._archive.view import AncestorViews, ArchiveView
from git_hub_session.commands._merge.options import RUN_OPTIONS, UNMEASURED, parse_options
from git_hub_session.commands._merge.preview import preview_lines, result_lines
from git_hub_session.commands._share.automatic import push_automatically
from git_hub_session.errors import HubError, Refused
from git_hub_session.git.ref_names import HEADS, agent_name, short_name
from git_hub_session.merge.ancestors import archive_ancestors
from git_hub_session.merge.commit import refuse_empty_message
from git_hub_session.merge.merge import merge_winner
from git_hub_session.merge.move_branch import refuse_blocked_update
from git_hub_session.merge.options import MergeOptions, merge_command
from git_hub_session.merge.plan import MergePlan, plan_merge
from git_hub_session.restore.commands import restore_commands
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.session.state import State
from git_hub_session.settings.table import HOOK_ARCHIVED, HOOK_MERGED
from git_hub_session.temporary.objects import NewObjects
from git_hub_session.util.numbers import difference
from git_hub_session.util.text import escape_control
from git_hub_session.worktree.merge_tree import resolve_commands

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.merge.ancestors import ArchivedAncestors
    from git_hub_session.merge.merge import MergeResult
    from git_hub_session.session.project import Project

USAGE = Usage(
    ("merge [<options>] [<id>]",),
    (
        Option("--agent", "winner, such as 2 or 2/attempt-1 (default: the first)", "<agent>"),
        Option("--into", "branch to merge into (default: the base branch)", "<branch>"),
        *RUN_OPTIONS,
        UNMEASURED,
        Option("--no-cleanup", "keep the worktrees and the other branches"),
        Option("--force", "merge even if an agent is marked as running", no_abbreviation=True),
        YES,
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> MergeView:
    """Show the merge, ask for confirmation, and merge. Change nothing if there are conflicts."""
    sid = context.require_session(args.argument, "merge")
    project = context.project
    options = parse_options(args)
    cleanup_options = read_cleanup_options(project)
    dry_run = args.is_set("dry-run")
    # Compute the list of changes only if it is printed: for large changes it takes a long time.
    described = not args.is_set("quiet") or args.value("format") not in (None, "text")
    described = described or bool(project.settings.value(HOOK_MERGED))
    with NewObjects(project.git) as objects:
        plan = plan_merge(sid, project, options, objects, described=described)
        if dry_run and not plan.conflicts:
            _refuse_in_dry_run(context, plan, options, objects)
        if plan.conflicts or dry_run:
            return MergeView(plan, None, None, dry_run=dry_run)
        _confirm(context, plan, options)
        result = merge_winner(project, options, cleanup_options, plan, objects)
    commands = restore_commands(result.report, project)
    winner = [plan.winner.ref] if options.cleanup else []
    outcome = result.report.with_unchanged_branches(project.repo, *winner)
    report = ReportOutput(outcome, project.cwd, commands, dry_run=False)
    ancestors = None
    if options.cleanup:
        archived = archive_ancestors(plan, project, cleanup_options, force=options.force)
        ancestors = _ancestor_views(archived, project)
    view = MergeView(plan, result, report, ancestors)
    _send_events(context, view)
    push_automatically(context, sid)
    run_maintenance(project)
    return view


def _refuse_in_dry_run(
    context: Context, plan: MergePlan, options: MergeOptions, objects: NewObjects
) -> None:
    """Show the merge and raise Refused if the message or the files of the checkout prevent it."""
    try:
        refuse_empty_message(plan, options.message)
        refuse_blocked_update(context.project, plan, objects.directory)
    except Refused:
        context.reporter.write_lines(partial(preview_lines, plan))
        raise


def _send_events(context: Context, view: MergeView) -> None:
    """Send the events of a new merge, and of the sessions that were archived with it."""
    if view.is_new:
        context.send_event(HOOK_MERGED, view.document)
    for archived in view.ancestors.views:
        if archived.is_archived:
            context.send_event(HOOK_ARCHIVED, archived.document)


def _confirm(context: Context, plan: MergePlan, options: MergeOptions) -> None:
    """Show the planned merge, and raise Refused if the user does not approve it."""
    context.reporter.write_lines(partial(preview_lines, plan))
    hints = () if options.is_approved else plan.uncommitted.hints
    warnings = [f"warning: {warning}" for warning in plan.remarks]
    for line in (*warnings, *context.reporter.hint_lines(hints)):
        context.reporter.note(line)
    if options.is_approved:
        return
    agent = plan.winner_name
    sid = plan.session.id
    into = plan.into.removeprefix(HEADS)
    if plan.existing_commit:
        question = f"Finish session '{sid}'?"
        refusal = f"session '{sid}' was not finished"
    else:
        question = f"Merge {agent} into '{into}'?"
        refusal = f"{agent} was not merged"
    retry = merge_command(sid, options._replace(is_approved=True))
    confirm(context, question, retry=retry, refusal=refusal)


def _ancestor_views(archived: ArchivedAncestors, project: Project) -> AncestorViews:
    """Return the output for archived sessions."""
    views = []
    for result in archived.results:
        commands = restore_commands(result.report, project)
        outcome = result.report.with_unchanged_branches(project.repo)
        report = ReportOutput(outcome, project.cwd, commands, dry_run=False)
        views.append(ArchiveView(result, report, dry_run=False))
    return AncestorViews(views, archived.errors)


class MergeView(View):
    """A merge that was made, would be made, or is impossible because of conflicts."""

    def __init__(
        self,
        plan: MergePlan,
        result: MergeResult | None,
        report: ReportOutput | None,
        ancestors: AncestorViews | None = None,
        *,
        dry_run: bool = False,
    ) -> None:
        self.plan = plan
        self.result = result
        self.report = report
        self.ancestors = ancestors or AncestorViews()
        self.dry_run = dry_run

    @property
    def exit_code(self) -> int:
        if self.result is None:
            return 1 if self.plan.conflicts else 0
        is_finished = self.result.report.is_finished and self.ancestors.is_finished
        return 0 if is_finished else 1

    @property
    def unfinished(self) -> HubError | None:
        if self.result is None or self.report is None or self.exit_code == 0:
            return None
        into = short_name(self.plan.into)
        return self.report.kept_error(f"{self.plan.winner_name} is merged into '{into}'")

    @property
    def changed(self) -> bool:
        return self.result is not None

    @property
    def is_new(self) -> bool:
        """True if this call merged the winner, or finished the session."""
        if self.result is None:
            return False
        return not self.plan.existing_commit or self._state != self.plan.session.state

    @property
    def diagnostics(self) -> list[str]:
        if self.report is not None:
            return [*self.report.warnings, *self.ancestors.diagnostics]
        hints = [f"hint: {hint}" for hint in self.plan.uncommitted.hints]
        return [*warning_lines(self.plan.remarks), *hints]

    @property
    def next_command(self) -> str:
        return command_after(self.plan.session.id, str(self._state))

    @property
    def _state(self) -> State:
        return self.result.state if self.result else self.plan.session.state

    def document(self) -> dict[str, Any]:
        if self.report is None:
            return self._plan_fields()
        ancestors = {"ancestors": self.ancestors.documents()}
        return {**self._plan_fields(), **self.report.fields(), **ancestors}

    def _plan_fields(self) -> dict[str, Any]:
        plan = self.plan
        stat = plan.stat
        return {
            "session_id": plan.session.id,
            "state": str(self._state),
            "dry_run": self.dry_run,
            **agent_fields(plan.winner),
            "oid": plan.tip,
            "into": short_name(plan.into),
            "commit": (self.result.commit if self.result else plan.existing_commit) or None,
            "conflicts": [os.fsdecode(path) for path in plan.conflicts],
            "files": stat.files if stat else None,
            "insertions": stat.insertions if stat else None,
            "deletions": stat.deletions if stat else None,
            "remarks": list(plan.remarks),
            **_metric_fields(plan),
            "kind": str(plan.kind),
            "conflicting_commit": (plan.replay.conflicting or None) if plan.replay else None,
        }

    def records(self) -> list[Record]:
        fields = self._plan_fields()
        first = [("session", fields.pop("session_id")), *make_record(fields)]
        report = self.report.records() if self.report else []
        return [first, *report, *self.ancestors.records()]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if self.plan.conflicts:
            return _conflict_output(self.plan, quiet=quiet)
        if self.result is None or self.report is None:
            return TextOutput([] if quiet else preview_lines(self.plan, style))
        output = self._merge_output(self.result, self.report, style, quiet=quiet)
        return self.ancestors.add_lines(output, style, quiet=quiet)

    def _merge_output(
        self, result: MergeResult, report: ReportOutput, style: TerminalStyle, *, quiet: bool
    ) -> TextOutput:
        """Return the text of a merge without the archived ancestors."""
        session = self.plan.session
        err = []
        if not result.report.is_finished:
            err.append(f"session {session.id} is merged, but its cleanup is not complete")
        if quiet:
            return TextOutput([], [*report.kept_lines(style), *err] if err else [])
        out = []
        # The preview has already shown a merge that an earlier call made.
        if not self.plan.existing_commit:
            into = escape_control(short_name(self.plan.into))
            commit = style.abbreviate(result.commit)
            out.append(f"Merged {self.plan.winner_name} into {into}: {commit}")
            out += result_lines(self.plan, style)
        out += report.lines(style)
        if session.state != self._state:
            out.append(f"Session {session.id}: {session.state} {style.arrow} {self._state}")
        return TextOutput(out, err)


def _conflict_output(plan: MergePlan, *, quiet: bool) -> TextOutput:
    sid = plan.session.id
    name = plan.winner_name
    into = escape_control(short_name(plan.into))
    paths = [f"  {escape_control(os.fsdecode(path))}" for path in plan.conflicts]
    verb, what = "merge", name
    if plan.replay is not None:
        verb, what = "rebase", f"commit {plan.replay.conflicting[:12]} of {name}"
    earlier_commit = plan.tip if name != agent_name(plan.winner.agent) else ""
    commands = resolve_commands(
        verb, plan.winner, short_name(plan.into), earlier_commit=earlier_commit
    )
    err = [
        *(f"hint: {escape_control(command)}" for command in commands),
        f"hint: resolve and commit the conflicts there, then: git hub-session eval {sid}",
        "nothing was changed",
    ]
    return TextOutput([] if quiet else [f"{what} and '{into}' conflict in", *paths], err)


def _metric_fields(plan: MergePlan) -> dict[str, Any]:
    evaluation = last_evaluation(plan.session)
    value = plan.result.metric if plan.result else None
    baseline = plan.baseline if value is not None else None
    return {
        "metric": (evaluation.metric or None) if value is not None else None,
        "value": value,
        "baseline": baseline,
        "delta": difference(value, baseline)
        if value is not None and baseline is not None
        else None,
        "unit": (evaluation.unit or None) if value is not None else None,
        "passed": plan.result.passed if plan.result else None,
    }
