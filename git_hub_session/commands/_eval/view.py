"""The agents and their measurements as text, JSON and porcelain."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.evaluation_table import result_table
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    agent_fields,
    command_after,
    make_record,
    relative_path,
    warning_lines,
)
from git_hub_session.evaluation.missing import commit_files_command
from git_hub_session.session.baseline import BY_RATIO, describe_verdict
from git_hub_session.util.machine import machine_fields
from git_hub_session.util.text import escape_control
from git_hub_session.worktree.uncommitted import UNCOMMITTED, uncommitted_warning

if TYPE_CHECKING:
    from git_hub_session.evaluation.candidates import Candidate
    from git_hub_session.evaluation.result import EvalResult, PairedResult, RankedCandidate

_PAIR_KEYS = ("ratio", "ratio_interval", "base", "base_values", "machine")


class EvalView(View):
    """The agents and their measurements, best agent first."""

    def __init__(self, result: EvalResult, cwd: str, hint: str, *, dry_run: bool) -> None:
        """Create the output.

        Args:
            hint: the commands that commit the files of agents without a commit, or ''.
        """
        self.result = result
        self.hint = hint
        self.cwd = cwd
        self.dry_run = dry_run

    @property
    def exit_code(self) -> int:
        """1 if agents were measured, but every measurement failed."""
        measured = [ranked.has_result for ranked in self.result.candidates if ranked.score]
        return 1 if measured and not any(measured) else 0

    @property
    def changed(self) -> bool:
        return self.result.state != self.result.session.state or bool(self.result.run)

    @property
    def diagnostics(self) -> list[str]:
        off_branch = [ranked.candidate.off_branch for ranked in self.result.candidates]
        hints = [f"hint: {escape_control(reason[1])}" for reason in off_branch if reason]
        uncommitted = self.result.uncommitted
        if uncommitted:
            hints.append(f"hint: {escape_control(commit_files_command(uncommitted))}")
        return [*warning_lines(self.result.notes), *hints]

    def _uncommitted_lines(self) -> list[str]:
        """Return the files of the agents without a commit, and the commands that help."""
        agents = uncommitted_agents(self.result).values()
        files = [uncommitted_warning(agent.name, agent.uncommitted) for agent in agents]
        hints = [f"hint: {escape_control(line)}" for line in self.hint.splitlines()]
        return [*warning_lines(files), *hints]

    @property
    def is_paged(self) -> bool:
        return True

    @property
    def next_command(self) -> str:
        return command_after(self.result.session.id, str(self.result.state))

    def document(self) -> dict[str, Any]:
        result = self.result
        metric_command = result.metric_command
        return {
            "session_id": result.session.id,
            "state": str(result.state),
            "run": result.run or None,
            "dry_run": self.dry_run,
            "eval_cmd": metric_command.command if metric_command else None,
            "metric": (metric_command.metric or None) if metric_command else None,
            "baseline": result.baseline,
            "agents": [_candidate_fields(ranked) for ranked in result.candidates],
            "notes": list(result.notes),
            "unit": result.unit or None,
            "guard": list(result.guard),
            "verdict": result.verdict.text if result.verdict else None,
            "judge": (result.verdict.judge or None) if result.verdict else None,
            "improves": result.verdict.improves if result.verdict else None,
            "holdout": list(result.holdout),
            "require": [each.text for each in metric_command.requirements]
            if metric_command
            else [],
            "by_ratio": result.by_ratio,
            "workers": [],
            "unmeasured": [],
        }

    def records(self) -> list[Record]:
        head = ("session", self.result.session.id)
        records = []
        for row in self.document()["agents"]:
            last = {"unit": self.result.unit or None, "guarded": row.pop("guarded")}
            last |= {
                key: row.pop(key)
                for key in ("passed", "interval", "counted", "uncommitted_attempts", *_PAIR_KEYS)
            }
            last["machine"] = (last["machine"] or {}).get("host")
            records.append([head, *make_record({**row, **last})])
        return records

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        result = self.result
        if self.dry_run and result.metric_command:
            return TextOutput([self._preview_line(ranked, style) for ranked in result.candidates])
        session = result.session
        is_ranked = bool(result.metric_command) or any(each.rank for each in result.candidates)
        out = result_table(result, style, is_ranked=is_ranked)
        if result.by_ratio and any(ranked.rank for ranked in result.candidates):
            out.append(f"Ranked by {BY_RATIO}")
        out += _verdict_lines(result)
        if result.state != session.state:
            out.append(f"Session {session.id}: {session.state} {style.arrow} {result.state}")
        err = self._uncommitted_lines()
        if is_ranked or self.dry_run:
            return TextOutput(out, err)
        command = f"git hub-session eval {session.id} --ranking {result.rankable_agents}"
        return TextOutput(
            out,
            [
                *err,
                "nothing is ranked: the session has no eval command",
                f"hint: record a ranking, best agent first: {command}",
            ],
        )

    def _preview_line(self, ranked: RankedCandidate, style: TerminalStyle) -> str:
        candidate = ranked.candidate
        if candidate.unmeasured_reason:
            reason = escape_control(candidate.unmeasured_reason)
            return f"Would not measure {candidate.name}: {reason}"
        path = relative_path(candidate.directory, self.cwd) or "a temporary worktree"
        commit = style.abbreviate(candidate.commit)
        return f"Would measure {candidate.name} at {commit} in {escape_control(path)}"


def uncommitted_agents(result: EvalResult) -> dict[int, Candidate]:
    """Return the agents that have uncommitted files, but no commit of their own."""
    candidates = [ranked.candidate for ranked in result.candidates]
    return {
        candidate.branch.agent: candidate
        for candidate in candidates
        if candidate.unmeasured_reason.endswith(UNCOMMITTED) and not candidate.is_earlier
    }


def _verdict_lines(result: EvalResult) -> list[str]:
    verdict = result.verdict
    if verdict is None:
        return []
    text = describe_verdict(verdict.text, has_no_improvement=verdict.improves is False)
    return [f"Verdict: {escape_control(text)}"] if text else []


def _candidate_fields(ranked: RankedCandidate) -> dict[str, Any]:
    candidate = ranked.candidate
    diff = candidate.diff
    score = ranked.score if ranked.score and ranked.score.values else None
    return {
        "rank": ranked.rank.place if ranked.rank else None,
        **agent_fields(candidate.branch),
        "commit": candidate.commit or None,
        "metric": score.metric if score else None,
        "values": list(score.values) if score else [],
        "delta": ranked.delta,
        "spread": score.spread if score else None,
        "tie": ranked.rank.is_tie if ranked.rank else False,
        "reason": ranked.unranked_reason or None,
        **(diff._asdict() if diff else dict.fromkeys(("files", "insertions", "deletions"))),
        "output": ranked.log or None,
        "uncommitted": len(candidate.uncommitted),
        "guarded": list(candidate.guarded),
        "failure": candidate.failure or None,
        "hint": candidate.hint,
        "passed": ranked.passed,
        "interval": score.interval if score else None,
        "counted": ranked.is_counted,
        "uncommitted_attempts": [*candidate.others_uncommitted],
        **_pair_fields(ranked.pair),
    }


def _pair_fields(pair: PairedResult | None) -> dict[str, Any]:
    """Return the fields of the base branch beside a candidate, in the order of _PAIR_KEYS."""
    ratio = pair.ratio if pair else None
    return {
        "ratio": ratio.estimate if ratio else None,
        "ratio_interval": ratio.interval if ratio else None,
        "base": pair.baseline if pair else None,
        "base_values": list(pair.base_values) if pair else [],
        "machine": machine_fields(pair.machine) if pair else None,
    }
