"""What a command answers, as plain values ready to show; they know of no format but JSON's types.

`document()` is the JSON document, `records()` what porcelain shows: one list of (key,
value) for each thing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from git_hub_session.refnames import SessionId, short
from git_hub_session.session import CONFIG_KEYS, Config, Session, Transition

if TYPE_CHECKING:
    from git_hub_session.operations.cleanup import Kept, Removed, Report, Saved
    from git_hub_session.operations.survey import BranchFacts, Survey, WorktreeFacts
    from git_hub_session.store import Broken

Record = list[tuple[str, str]]


class View(Protocol):
    """An answer."""

    @property
    def exit_code(self) -> int:
        """0, or 1 where the answer is no, something was kept, or something is broken."""

    @property
    def changed(self) -> bool:
        """Whether the command changed something: a failure to show it is then no failure."""

    def document(self) -> dict[str, Any]:
        """The answer as one JSON object."""

    def records(self) -> list[Record]:
        """The answer as porcelain records."""


class Listed(NamedTuple):
    """What `list` shows of a session; there may be thousands, so no more of it is kept."""

    session_id: str
    state: str
    """As state.json spells it, or 'broken'."""
    task: str
    agents: int
    created: str
    updated: str
    reason: str | None = None
    """Why it is broken."""

    @classmethod
    def of(cls, session: Session | Broken) -> Listed:
        if isinstance(session, Session):
            config, state = session.config, str(session.state)
            created, updated = session.created, session.updated
            return cls(session.id, state, config.task, config.agent_count, created, updated)
        config = session.config or Config({})
        created = config.get("created")
        return cls(
            session.id, "broken", config.task, config.agent_count, created, "", session.reason
        )

    def document(self) -> dict[str, Any]:
        document = self._asdict()
        if self.reason is None:
            del document["reason"]
        return document


class ListView(NamedTuple):
    """All sessions; `now` is for ages, in seconds since the epoch."""

    sessions: tuple[Listed, ...]
    now: float
    changed: bool = False

    @property
    def exit_code(self) -> int:
        return 0 if all(session.reason is None for session in self.sessions) else 1

    def document(self) -> dict[str, Any]:
        return {"sessions": [session.document() for session in self.sessions]}

    def records(self) -> list[Record]:
        return [_record(session.document()) for session in self.sessions]


class StatusView(NamedTuple):
    """One session whole; `here` is the directory that paths are shown from."""

    survey: Survey
    here: str
    now: float
    changed: bool = False
    exit_code: int = 0

    def document(self) -> dict[str, Any]:
        session = self.survey.session
        return {
            "config": dict(session.config.values),
            "state": dict(session.document),
            "branches": [_branch(facts) for facts in self.survey.branches],
            "worktrees": [_worktree(facts) for facts in self.survey.worktrees],
        }

    def records(self) -> list[Record]:
        session = self.survey.session
        head = {"session": session.id, "state": str(session.state)}
        head |= {key: session.config.get(key) for key in CONFIG_KEYS[1:] if session.config.get(key)}
        return [
            _record({**head, "updated": session.updated}),
            *(_record(_branch(facts)) for facts in self.survey.branches),
            *(_record(_worktree(facts)) for facts in self.survey.worktrees),
        ]


def _branch(facts: BranchFacts) -> dict[str, Any]:
    branch, diff = facts.branch, facts.diff
    return {
        "branch": short(branch.ref),
        "agent": facts.agent.agent if facts.agent else None,
        "attempt": facts.agent.attempt if facts.agent else None,
        "oid": branch.oid or None,
        "ahead": facts.ahead,
        "behind": facts.behind,
        "files": diff.files if diff else None,
        "insertions": diff.insertions if diff else None,
        "deletions": diff.deletions if diff else None,
        "time": branch.time if branch.oid else None,
        "subject": branch.subject,
        "frontier": facts.frontier,
    }


def _worktree(facts: WorktreeFacts) -> dict[str, Any]:
    worktree = facts.worktree
    return {
        "worktree": worktree.path,
        "branch": short(facts.branch),
        "changed": facts.changed,
        "untracked": facts.untracked,
        "locked": worktree.lock,
        "missing": worktree.missing,
        "fault": worktree.fault or None,
        "operation": worktree.operation or None,
        "processes": list(facts.users),
    }


class InitView(NamedTuple):
    """A session that was made, or would be."""

    session: SessionId
    config: Config
    directory: str
    """Where its files are, relative to where the command was called."""
    dry_run: bool
    exit_code: int = 0

    @property
    def changed(self) -> bool:
        return not self.dry_run

    def document(self) -> dict[str, Any]:
        config = self.config
        return {
            "session_id": self.session,
            "session_dir": self.directory,
            "task": config.task,
            "agent_count": config.agent_count,
            "eval_cmd": config.get("eval_cmd") or None,
            "metric": config.get("metric") or None,
            "direction": config.get("direction") or None,
            "baseline": config.get("baseline") or None,
            "base_branch": config.base_branch,
            "state": "init",
        }

    def records(self) -> list[Record]:
        return [_record(self.document())]


class UpdateView(NamedTuple):
    """A transition that was made, or would be."""

    session: SessionId
    source: str
    target: str
    dry_run: bool
    exit_code: int = 0

    @property
    def changed(self) -> bool:
        return not self.dry_run

    def document(self) -> dict[str, Any]:
        return {"session_id": self.session, "from": self.source, "to": self.target}

    def records(self) -> list[Record]:
        return [_record(self.document())]


class LogView(NamedTuple):
    """The transitions of a session, newest first."""

    session: SessionId
    history: tuple[Transition, ...]
    now: float
    changed: bool = False
    exit_code: int = 0

    def document(self) -> dict[str, Any]:
        return {"session_id": self.session, "history": [_transition(step) for step in self.history]}

    def records(self) -> list[Record]:
        return [_record(_transition(step)) for step in self.history]


def _transition(step: Transition) -> dict[str, Any]:
    shown = {
        "at": step.at,
        "from": step.source,
        "to": step.target,
        "by": step.by,
        "verb": step.verb,
    }
    return {**shown, "reason": step.reason} if step.reason else shown


class CleanupView(NamedTuple):
    """What was removed, saved, kept and archived, session by session; or would be."""

    reports: tuple[Report, ...]
    dry_run: bool

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def exit_code(self) -> int:
        return 0 if all(report.is_complete for report in self.reports) else 1

    def document(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "sessions": [_report(report) for report in self.reports],
        }

    def records(self) -> list[Record]:
        found: list[Record] = []
        for report in self.reports:
            document = _report(report)
            for kind in ("removed", "saved", "kept", "archived", "branches_kept"):
                for entry in document[kind]:
                    found.append([("session", report.session), ("outcome", kind), *_record(entry)])
        return found


def _report(report: Report) -> dict[str, Any]:
    return {
        "session_id": report.session,
        "removed": [_removed(removed) for removed in report.removed],
        "saved": [
            {
                "ref": saved.ref,
                "kind": saved.kind,
                "path": outcome.path,
                "branch": short(outcome.branch),
            }
            for outcome in report.outcomes
            for saved in outcome.saved
        ],
        "kept": [_kept(kept) for kept in report.kept],
        "archived": [
            {"branch": short(step.branch), "tag": short(step.tag), "oid": step.oid}
            for step in report.branches.archived
        ],
        "branches_kept": [
            {"branch": short(left.branch), "reason": left.reason} for left in report.branches.left
        ],
        "notes": list(report.notes),
    }


def _removed(removed: Removed) -> dict[str, Any]:
    return {"path": removed.path, "branch": short(removed.branch), "missing": removed.missing}


def _kept(kept: Kept) -> dict[str, Any]:
    reason = kept.reason
    return {
        "path": kept.path,
        "branch": short(kept.branch),
        "code": reason.code,
        "reason": reason.message,
        "hint": reason.hint,
    }


class DemoView(NamedTuple):
    """A demonstration that has shown itself; nothing is left to say."""

    exit_code: int
    changed: bool = True

    def document(self) -> dict[str, Any]:
        return {"exit_code": self.exit_code}

    def records(self) -> list[Record]:
        return [_record(self.document())]


def _record(document: dict[str, Any]) -> Record:
    """What is None, False or an empty list is left out; True is the bare key."""
    found: Record = []
    for key, value in document.items():
        for one in value if isinstance(value, list) else [value]:
            if one is True:
                found.append((key, ""))
            elif one is not None and one is not False:
                found.append((key, str(one)))
    return found


def relative(path: str, here: str) -> str:
    """`path` as it is called from `here`, if that is shorter than all of it."""
    if not path:
        return path
    shown = os.path.relpath(path, here)
    return shown if len(shown) < len(path) else path


def bring_back(saved: Saved, path: str, branch: str) -> str:
    """What to type to get saved work back, in a shell; `branch` is '' where it was deleted."""
    from shlex import quote

    if saved.kind == "commits":
        return f"git branch <name> {saved.ref}"
    where = quote(path)
    if saved.on_branch and branch:
        add = f"git worktree add {where} {quote(short(branch))}"
    else:
        add = f"git worktree add --detach {where} {saved.ref}^"
    return f"{add} && git -C {where} stash apply --index {saved.ref}"
