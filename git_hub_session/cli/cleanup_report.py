"""A CleanupReport as text, as JSON and as porcelain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.table import part_lines
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    make_record,
    relative_path,
    warning_lines,
)
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import (
    agent_name,
    name_in_session,
    parse_agent_branch,
    short_name,
)
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import count_noun, escape_control, natural_key, quote_ansi_c

if TYPE_CHECKING:
    from git_hub_session.cleanup.report import (
        CleanupReport,
        KeptWorktree,
        RemovedWorktree,
        SavedWork,
    )

_MAX_KEPT = 3
"""The number of kept worktrees and branches in one error."""
_KINDS = {"work": "uncommitted work", "commits": "unreferenced commits"}


class ReportOutput:
    """The output of a report, with the commands that restore the saved work."""

    def __init__(
        self, report: CleanupReport, cwd: str, restore: Mapping[str, str], *, dry_run: bool
    ) -> None:
        """Create the output.

        Args:
            cwd: the current directory, to which paths are relative.
            restore: the commands of `restore` by rescue ref (see restore/commands.py).
        """
        self.report = report
        self._cwd = cwd
        self._dry_run = dry_run
        self._git_commands = {} if dry_run else _git_commands(report)
        self._restore_commands = restore

    @property
    def warnings(self) -> list[str]:
        """The warnings of the report, for standard error."""
        return warning_lines(self.report.notes)

    def fields(self) -> dict[str, Any]:
        """Return the fields of the report."""
        report = self.report
        hints = {kept.branch: kept.reason.hint for kept in report.kept}
        return {
            "session_id": report.session,
            "removed": [_removed_fields(removed) for removed in report.removed],
            "saved": [
                {
                    "ref": saved.ref,
                    "kind": saved.kind,
                    "path": worktree.path,
                    "branch": short_name(worktree.branch),
                    "restore": self._restore_commands.get(saved.ref),
                    "git": self._git_commands.get(saved.ref),
                }
                for worktree in report.outcomes
                for saved in worktree.saved
            ],
            "kept": [_kept_fields(kept) for kept in report.kept],
            "archived": [
                {
                    "branch": short_name(archived.branch),
                    "tag": short_name(archived.tag) or None,
                    "oid": archived.oid,
                    "ref": archived.ref,
                }
                for archived in report.branches.archived
            ],
            "branches_kept": [
                {
                    "branch": short_name(skipped.branch),
                    "reason": skipped.reason,
                    "hint": skipped.hint or hints.get(skipped.branch, ""),
                }
                for skipped in report.branches.skipped
            ],
            "notes": list(report.notes),
        }

    def records(self) -> list[Record]:
        """Return the porcelain records: one for each worktree, rescue ref and branch."""
        fields = self.fields()
        return [
            [("session", self.report.session), ("outcome", outcome), *make_record(record)]
            for outcome in ("removed", "saved", "kept", "archived", "branches_kept")
            for record in fields[outcome]
        ]

    def lines(self, style: TerminalStyle) -> list[str]:
        """Return the report as text: one line for each agent, and its details below it.

        On a narrow terminal, a row has several lines.
        """
        cleaned_up = "Would clean up" if self._dry_run else "Cleaned up"
        worktrees = count_noun(len(self.report.removed), "worktree")
        last = f"{cleaned_up} {worktrees} for session {self.report.session}"
        return [*self._branch_lines(self.report, style), last]

    def kept_lines(self, style: TerminalStyle) -> list[str]:
        """Return the lines of kept worktrees and branches. Print them even with -q."""
        branches = self.report.branches._replace(archived=())
        report = self.report._replace(removed=(), branches=branches, unchanged_branches=())
        return self._branch_lines(report, style)

    def kept_error(self, done: str) -> HubError:
        """Return the error with the kept worktrees and branches.

        Args:
            done: the part of the command that succeeded, such as "agent-1 is merged into 'main'".
        """
        names = _branch_names(self.report)
        texts = []
        hints = []
        for kept in self.report.kept:
            place = self._path(kept.path)
            texts.append(f"{names[kept.branch]} was kept in {place}: {kept.reason.message}")
            hints.append(kept.reason.hint.strip())
        branches = {kept.branch for kept in self.report.kept}
        for skipped in self.report.branches.skipped:
            if skipped.branch not in branches:
                texts.append(f"the branch of {names[skipped.branch]} was kept: {skipped.reason}")
                hints.append(skipped.hint.strip())
        left = "; ".join(texts[:_MAX_KEPT]) or "its cleanup is not complete"
        more = f"; and {len(texts) - _MAX_KEPT} more" if len(texts) > _MAX_KEPT else ""
        hint = "\n".join(filter(None, dict.fromkeys(hints[:_MAX_KEPT])))
        return HubError(f"{done}, but {left}{more}", hint=hint)

    def _branch_lines(self, report: CleanupReport, style: TerminalStyle) -> list[str]:
        names = _branch_names(report)
        parts: dict[str, list[str]] = {ref: [] for ref in names}
        details: dict[str, list[str]] = {ref: [] for ref in names}
        for removed in report.removed:
            parts[removed.branch] += self._removed_parts(removed)
            details[removed.branch] += self._restore_lines(removed)
        for kept in report.kept:
            parts[kept.branch] += self._kept_parts(kept, style)
            details[kept.branch] += _reason_lines(kept, names[kept.branch])
        for archived in report.branches.archived:
            verbs = ("would tag", "tagged") if archived.tag else ("would archive", "archived")
            parts[archived.branch].append(f"{verbs[not self._dry_run]} as {archived.name}")
        for skipped in report.branches.skipped:
            reason = escape_control(skipped.reason)
            parts[skipped.branch].append(f"{style.paint('kept', 'red')} branch: {reason}")
            hints = filter(None, [skipped.hint])
            details[skipped.branch] += [f"  hint: {escape_control(hint)}" for hint in hints]
        for ref in report.unchanged_branches:
            parts[ref].append("would keep its branch" if self._dry_run else "kept its branch")
        out = []
        for name, refs in _refs_by_agent(names).items():
            out += part_lines(name, _parts_of_attempts(refs, parts), style)
            out += [line for ref in refs for line in details[ref]]
        return out

    def _removed_parts(self, removed: RemovedWorktree) -> Iterator[str]:
        remove, save = ("would remove", "would save") if self._dry_run else ("removed", "saved")
        remark = " (its directory was missing)" if removed.missing else ""
        yield f"{remove} {self._path(removed.path)}{remark}"
        if removed.saved:
            kinds = dict.fromkeys(_KINDS[saved.kind] for saved in removed.saved)
            yield f"{save} {' and '.join(kinds)}"

    def _kept_parts(self, kept: KeptWorktree, style: TerminalStyle) -> Iterator[str]:
        yield f"{style.paint('kept', 'red')} {self._path(kept.path)}"
        for saved in kept.saved:
            yield f"saved {_KINDS[saved.kind]} in {escape_control(saved.ref)}"

    def _restore_lines(self, removed: RemovedWorktree) -> list[str]:
        """Return the commands that restore the saved work, the short ones if they are enough."""
        commands = {**self._git_commands, **self._restore_commands}
        refs = [saved.ref for saved in removed.saved if saved.ref in commands]
        return [f"  bring it back: {commands[ref]}" for ref in refs]

    def _path(self, path: str) -> str:
        return escape_control(relative_path(path, self._cwd)) or "?"


def _branch_names(report: CleanupReport) -> dict[str, str]:
    """Return the names of the branches in a report by their refs, in natural order.

    The name is that of the agent, such as "agent-2", if the report has only one of its attempts.
    """
    refs = {worktree.branch for worktree in report.outcomes}
    refs |= {archived.branch for archived in report.branches.archived}
    refs |= {skipped.branch for skipped in report.branches.skipped}
    refs |= {*report.unchanged_branches}
    attempts = {ref: parse_agent_branch(ref) for ref in sorted(refs, key=natural_key)}
    agents = Counter(attempt.agent for attempt in attempts.values() if attempt)
    names = {}
    for ref, attempt in attempts.items():
        name = name_in_session(report.session, ref)
        if attempt and agents[attempt.agent] == 1:
            name = agent_name(attempt.agent)
        names[ref] = escape_control(name) or "?"
    return names


def _refs_by_agent(names: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the refs of each agent by its name. A branch of no agent has its own name."""
    groups: dict[str, list[str]] = {}
    for ref, name in names.items():
        attempt = parse_agent_branch(ref)
        groups.setdefault(agent_name(attempt.agent) if attempt else name, []).append(ref)
    return groups


def _parts_of_attempts(refs: Sequence[str], parts: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the parts of all attempts of an agent. The first part of each one names it."""
    if len(refs) == 1:
        return [*parts[refs[0]]]
    texts = []
    for ref in refs:
        attempt = parse_agent_branch(ref)
        assert attempt is not None
        texts += [f"attempt-{attempt.attempt} {', '.join(parts[ref][:1])}", *parts[ref][1:]]
    return texts


def _removed_fields(removed: RemovedWorktree) -> dict[str, Any]:
    return {"path": removed.path, "branch": short_name(removed.branch), "missing": removed.missing}


def _kept_fields(kept: KeptWorktree) -> dict[str, Any]:
    reason = kept.reason
    return {
        "path": kept.path,
        "branch": short_name(kept.branch),
        "code": reason.code,
        "reason": reason.message,
        "hint": reason.hint,
    }


def _reason_lines(kept: KeptWorktree, name: str) -> list[str]:
    attempt = name.partition("/attempt-")[2]
    label = f"attempt-{attempt}: " if attempt else ""
    hints = kept.reason.hint.strip().splitlines()
    reason = f"  {label}{escape_control(kept.reason.message)}"
    return [reason, *(f"  hint: {escape_control(line)}" for line in hints)]


def _git_commands(report: CleanupReport) -> dict[str, str]:
    """Return the shell command that restores saved work with git alone, by rescue ref."""
    # The branches that a printed command cannot check out. An archived branch was deleted, and git
    # checks a branch out only once.
    unavailable = {archived.branch for archived in report.branches.archived}
    commands = {}
    # The recorded worktree of a branch is the last one, and gets the branch.
    for worktree in reversed(report.removed):
        for saved in worktree.saved:
            branch = "" if worktree.branch in unavailable else worktree.branch
            commands[saved.ref] = _git_command(saved, worktree.path, branch)
            unavailable |= {worktree.branch} if saved.kind == "work" else set()
    return commands


def _git_command(saved: SavedWork, path: str, branch: str) -> str:
    """Return the shell command that restores saved work with git alone.

    Args:
        branch: the full ref of the branch to check out, or '' if it cannot be checked out.
    """
    if saved.kind == "commits":
        return f"git branch <name> {saved.ref}"
    directory = quote_path(path)
    if saved.on_branch and branch:
        add = f"git worktree add {directory} {quote_word(short_name(branch))}"
    else:
        add = f"git worktree add --detach {directory} {saved.ref}^"
    return f"{add} && git -C {directory} stash apply --index {saved.ref}"


def quote_path(path: str) -> str:
    """Quote a path for a shell. Use ANSI C quotes if it contains control characters."""
    return quote_word(path) if escape_control(path) == path else quote_ansi_c(path)
