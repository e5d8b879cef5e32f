"""git hub-session merge: the winner's work into the base branch."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from git_hub_session.context import Context
from git_hub_session.errors import Refused
from git_hub_session.operations.agents import parse_agent
from git_hub_session.operations.merge import MergePlan, MergeOptions, merge_winner, plan_merge
from git_hub_session.operations.policy import read_cleanup_options
from git_hub_session.options import DRY_RUN, FORMAT, QUIET, YES, Arguments, Option, Usage
from git_hub_session.refnames import HEADS
from git_hub_session.session import MAX_AGENTS
from git_hub_session.views.merge import MergeView, format_preview

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
    wish, policy = _parse_options(args), read_cleanup_options(context)
    dry_run = args.is_set("dry-run")
    # Nobody reads what was changed, so nobody has to wait for it.
    described = not args.is_set("quiet") or args.value("format") not in (None, "text")
    plan = plan_merge(sid, context, wish, dry_run=dry_run, described=described)
    if plan.conflicts or dry_run:
        return MergeView(plan, None, dry_run)
    _confirm(context, plan, wish, is_allowed=args.is_set("yes"))
    return MergeView(plan, merge_winner(sid, context, wish, policy, plan), dry_run)


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
    context.say(format_preview(plan))
    for remark in plan.remarks:
        context.note(f"warning: {remark}")
    if is_allowed:
        return
    name, sid = f"agent-{plan.winner.agent}", plan.session.id
    into = plan.into.removeprefix(HEADS)
    question = (
        f"Finish session '{sid}'?" if plan.existing_commit else f"Merge {name} into '{into}'?"
    )
    said = context.ask(question)
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
