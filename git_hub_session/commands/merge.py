"""git hub-session merge: the winner's work into the base branch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from shlex import quote

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.cleanup.options import read_cleanup_options
from git_hub_session.cli.context import Context
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, YES, Arguments, Option, Usage
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, make_record
from git_hub_session.commands._cleanup_report import (
    kept_lines,
    report_fields,
    report_lines,
    report_records,
    report_warnings,
)
from git_hub_session.errors import Refused
from git_hub_session.git.ref_names import HEADS, agent_name, short_name
from git_hub_session.merge.merge import MergeOptions, MergePlan, merge_winner, plan_merge
from git_hub_session.session.agents import parse_agent
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.session.state import State
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session.merge.merge import MergeResult


USAGE = Usage(
    ("merge [<options>] [<id>]",),
    (
        Option("--agent", "winner (default: the agent that is ranked first)", "<agent>"),
        Option("--into", "branch to merge into (default: the base branch)", "<branch>"),
        Option("--squash", "merge as a single commit with one parent"),
        Option(
            "-m, --message",
            "commit message (repeat it for more paragraphs)",
            "<text>",
            repeatable=True,
        ),
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
    """Show what would be merged, ask, and merge it; with conflicts nothing is changed."""
    sid = context.require_session(args.argument, "merge")
    wish, policy = _parse_options(args), read_cleanup_options(context.project)
    dry_run = args.is_set("dry-run")
    # Nobody reads what was changed, so nobody has to wait for it.
    described = not args.is_set("quiet") or args.value("format") not in (None, "text")
    plan = plan_merge(sid, context.project, wish, dry_run=dry_run, described=described)
    if plan.conflicts or dry_run:
        return MergeView(plan, None, dry_run)
    _confirm(context, plan, wish, is_allowed=args.is_set("yes"))
    return MergeView(plan, merge_winner(sid, context.project, wish, policy, plan), dry_run)


def _parse_options(args: Arguments) -> MergeOptions:
    agent, into = args.value("agent"), args.value("into")
    return MergeOptions(
        0 if agent is None else parse_agent(agent, MAX_AGENTS),
        "" if into is None else HEADS + into.removeprefix(HEADS),
        args.is_set("squash"),
        "\n\n".join(args.values("message")),
        not args.is_set("no-cleanup"),
        args.is_set("force"),
    )


def _option_words(wish: MergeOptions) -> Iterator[str]:
    """The options that a wish came from, as one types them."""
    if wish.agent:
        yield f"--agent {wish.agent}"
    if wish.into:
        yield f"--into {quote(wish.into.removeprefix(HEADS))}"
    if wish.message:
        yield f"-m {quote(wish.message)}"
    given = {"squash": wish.squash, "no-cleanup": not wish.cleanup, "force": wish.force}
    yield from (f"--{name}" for name, is_given in given.items() if is_given)


def _confirm(context: Context, plan: MergePlan, wish: MergeOptions, *, is_allowed: bool) -> None:
    """Show what is about to happen; raises Refused unless it may."""
    context.reporter.write_text(format_preview(plan))
    for remark in plan.remarks:
        context.reporter.note(f"warning: {remark}")
    if is_allowed:
        return
    name, sid = agent_name(plan.winner.agent), plan.session.id
    into = plan.into.removeprefix(HEADS)
    question = (
        f"Finish session '{sid}'?" if plan.existing_commit else f"Merge {name} into '{into}'?"
    )
    said = context.reporter.ask(question)
    if said is None:
        raise Refused(
            "off a terminal nobody can be asked",
            hint=f"git hub-session merge {' '.join([*_option_words(wish), sid])} --yes",
        )
    if not said:
        raise Refused(
            f"session '{sid}' was not finished"
            if plan.existing_commit
            else f"{name} was not merged"
        )


class MergeView(NamedTuple):
    """A merge that was made (`merged`), would be, or cannot be made for its conflicts."""

    plan: MergePlan
    merged: MergeResult | None
    dry_run: bool

    @property
    def exit_code(self) -> int:
        if self.merged is None:
            return 1 if self.plan.conflicts else 0
        return 0 if self.merged.report.is_finished else 1

    @property
    def changed(self) -> bool:
        return self.merged is not None

    @property
    def diagnostics(self) -> tuple[str, ...]:
        if self.merged is not None:
            return tuple(report_warnings(self.merged.report))
        return tuple(f"warning: {escape_control(remark)}" for remark in self.plan.remarks)

    def document(self) -> dict[str, Any]:
        return {**self._plan_fields(), **(report_fields(self.merged.report) if self.merged else {})}

    def _plan_fields(self) -> dict[str, Any]:
        plan, stat = self.plan, self.plan.stat
        return {
            "session_id": plan.session.id,
            "state": str(self._state),
            "dry_run": self.dry_run,
            "agent": plan.winner.agent,
            "attempt": plan.winner.attempt,
            "branch": short_name(plan.winner.ref),
            "oid": plan.tip,
            "into": short_name(plan.into),
            "commit": (self.merged.commit if self.merged else plan.existing_commit) or None,
            "conflicts": [os.fsdecode(path) for path in plan.conflicts],
            "files": stat.files if stat else None,
            "insertions": stat.insertions if stat else None,
            "deletions": stat.deletions if stat else None,
            "remarks": list(plan.remarks),
        }

    @property
    def _state(self) -> State:
        return State.MERGED if self.merged else self.plan.session.state

    def records(self) -> list[Record]:
        facts = self._plan_fields()
        first = [("session", facts.pop("session_id")), *make_record(facts)]
        return [first, *(report_records(self.merged.report) if self.merged else [])]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        plan, sid = self.plan, self.plan.session.id
        name, into = agent_name(plan.winner.agent), escape_control(short_name(plan.into))
        if plan.conflicts:
            paths = [f"  {escape_control(os.fsdecode(path))}" for path in plan.conflicts]
            head = f"{name} and '{into}' have changed the same in"
            merge = f"git merge {quote(short_name(plan.into))}"
            hints = [
                f"hint: git hub-session exec {sid} --agents {plan.winner.agent} -- {escape_control(merge)}",
                f"hint: once it is solved and committed there: git hub-session eval {sid}",
            ]
            return TextOutput([] if quiet else [head, *paths], [*hints, "nothing was changed"])
        if self.merged is None:
            return TextOutput([] if quiet else format_preview(plan).splitlines())
        kept = [f"session {sid} is merged, but something of it was kept"]
        err = kept if self.exit_code else []
        if quiet:
            return TextOutput([], [*kept_lines(self.merged.report, style), *err] if err else [])
        # Where an earlier call merged it, the preview has said so.
        out = (
            []
            if plan.existing_commit
            else [f"Merged {name} into {into}: {self.merged.commit[:12]}"]
        )
        out += report_lines(self.merged.report, style, dry_run=False)
        if plan.session.state != self._state:
            out.append(f"Session {sid}: {plan.session.state} {style.arrow} {self._state}")
        return TextOutput(out, err)


def format_preview(plan: MergePlan) -> str:
    """What a plan comes to, before anything is done."""
    branch, into = (
        escape_control(short_name(plan.winner.ref)),
        escape_control(short_name(plan.into)),
    )
    if plan.existing_commit:
        return f"{branch} is merged into {into} already, in {plan.existing_commit[:12]}\n"
    out = [f"Merging {branch} into {into}"]
    if plan.result is not None:
        metric = plan.result.metric
        measured = "" if metric is None else f", metric {metric:.6g}"
        out.append(f"  Rank: {plan.result.rank}{measured}")
    out += [f" {escape_control(line)}" for line in plan.summary]
    return "".join(f"{line}\n" for line in out)
