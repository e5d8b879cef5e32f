"""The answer of `git hub-session merge`."""

from __future__ import annotations

import os
from shlex import quote

from git_hub_session.escape import escape_control
from git_hub_session.refnames import short_name
from git_hub_session.states import State
from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.views.report import (
    kept_lines,
    report_fields,
    report_warnings,
    report_lines,
    report_records,
)
from git_hub_session.views.view import TextOutput, Record, TerminalStyle, make_record

if TYPE_CHECKING:
    from git_hub_session.operations.merge import MergeResult, MergePlan


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
        name, into = f"agent-{plan.winner.agent}", escape_control(short_name(plan.into))
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
