"""git hub-session eval: measure the agents' results, and rank them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from shlex import quote

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.cli.context import Context
from git_hub_session.cli.options import (
    DRY_RUN,
    FORMAT,
    QUIET,
    TIMEOUT,
    Arguments,
    Option,
    Usage,
    parse_jobs,
    parse_repeat,
    parse_timeout,
)
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, make_record, relative_path
from git_hub_session.errors import HubError, Refused, UsageError
from git_hub_session.evaluation.evaluate import EvalOptions, evaluate_session, preview_evaluation
from git_hub_session.evaluation.measure import MetricCommand
from git_hub_session.evaluation.metric import parse_number
from git_hub_session.evaluation.ranking import DIRECTIONS
from git_hub_session.git.ref_names import short_name
from git_hub_session.session.agents import parse_agents
from git_hub_session.session.model import MAX_AGENTS, Session
from git_hub_session.util.text import display_width, escape_control, pad

if TYPE_CHECKING:
    from git_hub_session.evaluation.evaluate import EvalResult, RankedCandidate


USAGE = Usage(
    ("eval [<options>] [<id>]", "eval --ranking <list> [<id>]"),
    (
        Option("--eval", "command that measures (default: the session's)", "<command>"),
        Option("--metric", "name of the metric (default: the session's)", "<name>"),
        Option("--metric-file", "file with the metric (default: standard output)", "<path>"),
        Option(
            "--direction",
            "whether a lower or a higher metric is better",
            "<direction>",
            choices=DIRECTIONS,
        ),
        Option("--baseline", "number to compare with, or 'measure'", "<number>"),
        Option("--repeat", "runs per agent; the median counts (default: 1)", "<number>"),
        Option("-j, --jobs", "number of parallel measurements (default: 1)", "<number>"),
        TIMEOUT,
        Option("--ranking", "record a judge's ranking, best agent first", "<list>"),
        Option("--force", "evaluate even if an agent is still running", no_abbreviation=True),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
)
_MEASURE_OPTIONS = (
    "eval",
    "metric",
    "metric-file",
    "direction",
    "baseline",
    "repeat",
    "jobs",
    "timeout",
)


def run(context: Context, args: Arguments) -> EvalView:
    """Measure every agent's tip and rank them; without an eval command nothing is ranked."""
    sid = context.require_session(args.argument, "eval")
    session = context.project.store.read(sid)
    dry_run = args.is_set("dry-run")
    wish = _parse_options(context, args, session)
    if wish.recipe is not None and not dry_run:
        _ask_approval(
            context, session, wish.recipe.command, is_typed=args.value("eval") is not None
        )
    return EvalView(
        (preview_evaluation if dry_run else evaluate_session)(sid, context.project, wish),
        context.project.cwd,
        dry_run,
    )


def _parse_options(context: Context, args: Arguments, session: Session) -> EvalOptions:
    ranking = args.value("ranking")
    if ranking is not None:
        beside = next((name for name in _MEASURE_OPTIONS if args.value(name) is not None), "")
        if beside:
            raise UsageError(f"--ranking and --{beside} exclude each other")
        count = session.config.agent_count or MAX_AGENTS
        return EvalOptions(None, ranking=parse_agents(ranking, count), force=args.is_set("force"))
    command = args.value("eval") or session.config.get("eval_cmd")
    if not command.strip():
        return EvalOptions(None, force=args.is_set("force"))
    config = session.config
    metric = args.value("metric") or config.get("metric")
    direction = args.value("direction") or config.get("direction")
    if not metric.strip() or direction not in DIRECTIONS:
        raise UsageError(
            "which metric is measured, and which way is it better?",
            hint="--metric <name> --direction lower",
        )
    file, text = args.value("metric-file") or "", args.value("baseline")
    if os.path.isabs(file) or ".." in file.split("/"):
        raise UsageError(f"not a path in the worktree: '{file}'")
    baseline = parse_number(config.get("baseline") if text is None else text)
    if text not in (None, "measure") and baseline is None:
        raise UsageError(f"not a number: '{text}'", hint="a number, or 'measure'")
    recipe = MetricCommand(
        command, metric, file, parse_repeat(args), parse_jobs(args) or 1, parse_timeout(args)
    )
    return EvalOptions(
        recipe,
        direction,
        baseline,
        text == "measure",
        force=args.is_set("force"),
    )


def _ask_approval(context: Context, session: Session, command: str, *, is_typed: bool) -> None:
    """A command that came with the repository runs only if this user has said so; raises Refused."""
    where, trust = context.project.paths.common_dir, context.project.approvals
    if not is_typed and not trust.is_approved(where, command):
        said = context.reporter.ask(f"Run the eval command of session '{session.id}': {command}?")
        if not said:
            raise Refused(
                f"you have not allowed the eval command of session '{session.id}': {command}",
                hint=f"git hub-session eval {session.id} --eval {quote(command)}",
            )
    try:
        trust.approve(where, command)
    except HubError as fault:
        context.reporter.note(f"warning: the command is allowed this once: {fault.message}")


_HEAD = ("RANK", "AGENT", "METRIC", "DELTA", "SPREAD", "FILES", "+/-", "")
_SPARE = (3, 4)


class EvalView(NamedTuple):
    """The agents and what was measured of them, the best first; `here` is where paths are shown from."""

    evaluated: EvalResult
    here: str
    dry_run: bool

    @property
    def exit_code(self) -> int:
        """1 where all that was measured is that nothing can be."""
        scores = [one.score for one in self.evaluated.standings if one.score is not None]
        return 1 if scores and not any(score.values for score in scores) else 0

    @property
    def changed(self) -> bool:
        return self.evaluated.state != self.evaluated.session.state or bool(self.evaluated.run)

    @property
    def diagnostics(self) -> tuple[str, ...]:
        return tuple(f"warning: {escape_control(note)}" for note in self.evaluated.notes)

    def document(self) -> dict[str, Any]:
        evaluated, recipe = self.evaluated, self.evaluated.recipe
        return {
            "session_id": evaluated.session.id,
            "state": str(evaluated.state),
            "run": evaluated.run or None,
            "dry_run": self.dry_run,
            "eval_cmd": recipe.command if recipe else None,
            "metric": recipe.metric if recipe else None,
            "baseline": evaluated.baseline,
            "agents": [_candidate_fields(standing) for standing in evaluated.standings],
            "notes": list(evaluated.notes),
        }

    def records(self) -> list[Record]:
        head = ("session", self.evaluated.session.id)
        return [[head, *make_record(_candidate_fields(one))] for one in self.evaluated.standings]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        if self.dry_run and self.evaluated.recipe:
            return TextOutput(
                [self._preview_line(standing) for standing in self.evaluated.standings]
            )
        session = self.evaluated.session
        is_ranked = any(standing.rank for standing in self.evaluated.standings)
        out = _table(self.evaluated.standings, style, is_ranked=is_ranked)
        if self.evaluated.state != session.state:
            out.append(
                f"Session {session.id}: {session.state} {style.arrow} {self.evaluated.state}"
            )
        if is_ranked or self.dry_run:
            return TextOutput(out)
        names = ",".join(standing.contestant.name for standing in self.evaluated.standings)
        typed = f"git hub-session eval {session.id} --ranking {names}"
        return TextOutput(
            out,
            [
                "nothing is ranked: the session has no eval command",
                f"hint: record a verdict, the best first: {typed}",
            ],
        )

    def _preview_line(self, standing: RankedCandidate) -> str:
        one = standing.contestant
        where = (
            relative_path(one.directory, self.here)
            or f"a checkout of its own ({one.no_directory_reason})"
        )
        return f"Would measure {one.name} at {one.commit[:12]} in {escape_control(where)}"


def _table(
    standings: tuple[RankedCandidate, ...], style: TerminalStyle, *, is_ranked: bool
) -> list[str]:
    rows = [_HEAD, *(_row(standing) for standing in standings)]
    if not is_ranked:
        rows = [(row[1], *row[5:]) for row in rows]
    elif style.columns is not None and sum(_widths(rows)) + 2 * len(_HEAD) > style.columns:
        # No room for all: a DELTA or SPREAD that nobody has says nothing.
        told = [at for at in range(len(_HEAD)) if at not in _SPARE or _has_values(rows, at)]
        rows = [tuple(row[at] for at in told) for row in rows]
    widths = _widths(rows)
    name = 1 if is_ranked else 0
    out = []
    for row in rows:
        cells = [
            pad(cell, widths[at]) if at in (name, len(row) - 2) else cell.rjust(widths[at])
            for at, cell in enumerate(row[:-1])
        ]
        text = "  ".join(cells)
        out.append(f"{text}  {style.fit(row[-1], display_width(text) + 2)}")
    return out


def _widths(rows: Sequence[tuple[str, ...]]) -> list[int]:
    return [max(display_width(row[at]) for row in rows) for at in range(len(rows[0]))]


def _has_values(rows: Sequence[tuple[str, ...]], at: int) -> bool:
    return any(row[at] != "-" for row in rows[1:])


def _row(standing: RankedCandidate) -> tuple[str, ...]:
    one, score, diff = standing.contestant, standing.score, standing.contestant.diff
    values = score.values if score else ()
    return (
        str(standing.rank.place) if standing.rank else "-",
        one.name,
        f"{score.metric:.6g}" if score and values else "-",
        f"{standing.delta:+.6g}" if standing.delta is not None else "-",
        f"{score.spread:.6g}" if score and len(values) > 1 else "-",
        str(diff.files) if diff else "?",
        f"+{diff.insertions}/-{diff.deletions}" if diff else "?",
        escape_control(standing.reason)
        or ("tie" if standing.rank and standing.rank.is_tie else ""),
    )


def _candidate_fields(standing: RankedCandidate) -> dict[str, Any]:
    one, score, diff = standing.contestant, standing.score, standing.contestant.diff
    values = score.values if score else ()
    return {
        "rank": standing.rank.place if standing.rank else None,
        "agent": one.branch.agent,
        "attempt": one.branch.attempt,
        "branch": short_name(one.branch.ref),
        "commit": one.commit or None,
        "metric": score.metric if score and values else None,
        "values": list(values),
        "delta": standing.delta,
        "spread": score.spread if score and values else None,
        "tie": standing.rank.is_tie if standing.rank else False,
        "reason": standing.reason or None,
        "files": diff.files if diff else None,
        "insertions": diff.insertions if diff else None,
        "deletions": diff.deletions if diff else None,
        "output": standing.log or None,
    }
