"""The options of `merge`, which `run` has too."""

from __future__ import annotations

from git_hub_session.cli.options import Arguments, Option
from git_hub_session.errors import UsageError
from git_hub_session.git.ref_names import HEADS
from git_hub_session.merge.options import PARAGRAPH, MergeKind, MergeOptions
from git_hub_session.session.agents import parse_attempt
from git_hub_session.session.model import MAX_AGENTS

_KINDS = (
    Option("--squash", "merge as a single commit with one parent"),
    Option("--ff", "move the branch to the winner's commit, without a new commit"),
    Option("--rebase", "copy each of the winner's commits to the branch"),
)
_MESSAGE = Option(
    "-m, --message", "commit message (repeat it for more paragraphs)", "<text>", repeatable=True
)
_SIGNOFF = Option("--signoff", "end the message with your Signed-off-by line")
_ALLOW_REGRESSION = Option(
    "--allow-regression",
    "merge even if no agent is better than the baseline",
    no_abbreviation=True,
)
RUN_OPTIONS = (*_KINDS, _MESSAGE, _SIGNOFF, _ALLOW_REGRESSION)
"""The options that `run` passes to `merge`."""
UNMEASURED = Option(
    "--unmeasured",
    "merge even if the result of the merge was not measured",
    no_abbreviation=True,
)


def parse_options(args: Arguments) -> MergeOptions:
    """Return the options of a merge, or raise UsageError."""
    agent = args.value("agent")
    into = args.value("into")
    kind = _parse_kind(args)
    paragraphs = args.values("message")
    if not kind.has_message and (paragraphs or args.is_set("signoff")):
        option = "-m" if paragraphs else "--signoff"
        raise UsageError(
            f"{option} and --{kind} exclude each other", hint=f"use --squash with {option}"
        )
    number, attempt = (0, 0) if agent is None else parse_attempt(agent, MAX_AGENTS)
    return MergeOptions(
        agent=number,
        attempt=attempt,
        into="" if into is None else HEADS + into.removeprefix(HEADS),
        kind=kind,
        message=PARAGRAPH.join(paragraphs) if paragraphs else None,
        signs_off=args.is_set("signoff"),
        cleanup=not args.is_set("no-cleanup"),
        force=args.is_set("force"),
        allow_regression=args.is_set("allow-regression"),
        unmeasured=args.is_set("unmeasured"),
        is_approved=args.is_set("yes"),
    )


def _parse_kind(args: Arguments) -> MergeKind:
    given = [option.name for option in _KINDS if args.is_set(option.name)]
    if len(given) > 1:
        raise UsageError(f"--{given[0]} and --{given[1]} exclude each other")
    return MergeKind(given[0]) if given else MergeKind.MERGE
