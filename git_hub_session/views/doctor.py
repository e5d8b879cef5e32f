"""The answer of `git hub-session doctor`."""

from __future__ import annotations

import os

from git_hub_session.escape import visible
from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.views.view import Answer, Record, Style, record, relative

if TYPE_CHECKING:
    from git_hub_session.operations.doctor.visit import Outcome, Visit


class DoctorView(NamedTuple):
    """What was found, and what became of it."""

    visit: Visit
    here: str
    fixed: bool
    """Whether it was to be mended."""

    @property
    def exit_code(self) -> int:
        return 0 if all(outcome.mended for outcome in self.visit.outcomes) else 1

    @property
    def changed(self) -> bool:
        return any(outcome.mended for outcome in self.visit.outcomes)

    @property
    def faults(self) -> tuple[str, ...]:
        return ()

    def document(self) -> dict[str, Any]:
        visit = self.visit
        return {
            "sessions": visit.sessions,
            "worktrees": visit.worktrees,
            "in_use": list(visit.in_use),
            "findings": [_document(outcome) for outcome in visit.outcomes],
        }

    def records(self) -> list[Record]:
        return [record(_document(outcome)) for outcome in self.visit.outcomes]

    def lines(self, style: Style, *, quiet: bool) -> Answer:
        out = [
            line for outcome in self.visit.outcomes for line in self._lines(outcome, style, quiet)
        ]
        if quiet:
            return Answer(out)
        err = [
            f"session '{sid}' is being changed: it was not looked into" for sid in self.visit.in_use
        ]
        return Answer([*out, self._summary()], err)

    def _lines(self, outcome: Outcome, style: Style, quiet: bool) -> list[str]:
        finding = outcome.finding
        path = os.path.isabs(finding.subject)
        subject = relative(finding.subject, self.here) if path else finding.subject
        color = "green" if outcome.mended else "red"
        out = [f"{style.paint(finding.code, color)}: {visible(subject)}"]
        if quiet:
            return out
        out.append(f"  {visible(finding.evidence)}")
        if outcome.mended:
            out.append(f"  done: {visible(finding.fix)}")
        elif outcome.failure:
            out.append(f"  not done: {visible(outcome.failure)}")
            out += _by_hand(outcome.hint)
        elif finding.fix:
            out.append(f"  --fix: {visible(finding.fix)}")
        out += _by_hand(finding.advice)
        return [*out, *(f"  {visible(note)}" for note in outcome.notes)]

    def _summary(self) -> str:
        outcomes = self.visit.outcomes
        looked = (
            f"{_count(self.visit.sessions, 'session')}, {_count(self.visit.worktrees, 'worktree')}"
        )
        if not outcomes:
            return f"{looked}: nothing found"
        mended = sum(outcome.mended for outcome in outcomes)
        if self.fixed:
            return f"{looked}: {len(outcomes)} found, {mended} fixed"
        fixable = sum(bool(outcome.finding.fix) for outcome in outcomes)
        return f"{looked}: {len(outcomes)} found, --fix mends {fixable}"


def _by_hand(text: str) -> list[str]:
    if not text:
        return []
    first, *more = text.strip().splitlines()
    return [f"  by hand: {visible(first)}", *(f"    {visible(line)}" for line in more)]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _document(outcome: Outcome) -> dict[str, Any]:
    finding = outcome.finding
    document = finding._asdict() | {"fixed": outcome.mended}
    del document["entry"]
    if outcome.failure:
        document |= {"failure": outcome.failure, "hint": outcome.hint}
    if outcome.notes:
        document["notes"] = list(outcome.notes)
    return document
