"""git hub-session show: show one attempt on one page."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.agent_table import agent_progress_fields, describe_state
from git_hub_session.cli.options import FORMAT, QUIET, Arguments, Usage
from git_hub_session.cli.post import post_fields, post_summary
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    make_record,
    metric_text,
    relative_path,
    task_lines,
)
from git_hub_session.commands._attempt.arguments import parse_one_attempt
from git_hub_session.git.ref_names import HEADS, short_name
from git_hub_session.review.attempt import find_attempt
from git_hub_session.review.summary import summarize_attempt
from git_hub_session.session.baseline import BY_RATIO, last_evaluation
from git_hub_session.util.clock import format_age
from git_hub_session.util.text import (
    count_noun,
    decode_terminal_line,
    describe_pass,
    escape_control,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.review.summary import AttemptSummary

_MAX_FILES = 10

USAGE = Usage(("show [<options>] [<id>] <agent>",), (QUIET, *FORMAT), max_arguments=2)


def run(context: Context, args: Arguments) -> ShowView:
    """Return everything that is known about the attempt, or about the agent's last attempt."""
    sid, named = parse_one_attempt(context, args, "show")
    project = context.project
    session = project.store.read(sid)
    attempt = find_attempt(*named, session, project)
    return ShowView(summarize_attempt(attempt, session, project), project.cwd, project.now())


class ShowView(View):
    """One attempt."""

    def __init__(self, summary: AttemptSummary, cwd: str, now: float) -> None:
        self.summary = summary
        self.evaluation = last_evaluation(summary.session)
        self.cwd = cwd
        self.now = now

    @property
    def is_paged(self) -> bool:
        return True

    def document(self) -> dict[str, Any]:
        summary = self.summary
        diff = summary.diff
        fields = agent_progress_fields(summary.progress, self.evaluation, self.now)
        return {
            "session_id": summary.session.id,
            "branch": short_name(summary.attempt.branch.ref),
            "ref": summary.attempt.ref,
            "oid": summary.attempt.commit,
            "start": summary.start,
            "worktree": summary.worktree or None,
            "strategy": summary.strategy or None,
            "files": diff.files if diff else None,
            "insertions": diff.insertions if diff else None,
            "deletions": diff.deletions if diff else None,
            **fields,
            "commit_count": summary.commit_count,
            "commits": [commit._asdict() for commit in summary.commits],
            "uncommitted_files": None if summary.uncommitted is None else [*summary.uncommitted],
            "posts": [post_fields(post) for post in summary.posts],
        }

    def records(self) -> list[Record]:
        document = self.document()
        commits, posts = document.pop("commits"), document.pop("posts")
        return [make_record(document), *map(make_record, commits), *map(make_record, posts)]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput(
            [
                *self._head(style),
                *_section("Commits", self._commits(style)),
                *_section("Uncommitted", self._files()),
                *_section("Posts", self._posts(style)),
                *self._log(style),
            ]
        )

    def _head(self, style: TerminalStyle) -> list[str]:
        summary = self.summary
        branch = summary.attempt.branch
        diff = summary.diff
        ref = summary.attempt.ref
        kind = "Merged into" if ref.startswith(HEADS) else "Archive"
        kind = "Branch" if ref == branch.ref else kind
        commit = style.abbreviate(summary.attempt.commit)
        out = [style.paint(f"{summary.attempt.name} of session {summary.session.id}", "bold")]
        out += task_lines(summary.session.config.task)
        if summary.strategy:
            out.append(f"  Strategy: {escape_control(summary.strategy.partition(chr(10))[0])}")
        out.append(f"  {kind}: {escape_control(short_name(ref))} ({commit})")
        if summary.worktree:
            out.append(f"  Worktree: {escape_control(relative_path(summary.worktree, self.cwd))}")
        out.append(f"  State: {describe_state(summary.progress, self.now)}")
        out += self._result_lines(style)
        if diff:
            out.append(
                f"  Changes: {count_noun(diff.files, 'file')}, +{diff.insertions}/-{diff.deletions}"
            )
        remarks = [escape_control(remark) for remark in summary.progress.remarks]
        return out + ([f"  Remarks: {', '.join(remarks)}"] if remarks else [])

    def _result_lines(self, style: TerminalStyle) -> list[str]:
        result, evaluation = self.summary.progress.result, self.evaluation
        if result is None:
            return []
        order = f" (by {BY_RATIO})" if evaluation.by_ratio else ""
        out = [f"  Rank: {result.rank}{order}"] if result.rank else []
        if result.metric is not None:
            name = evaluation.metric or "metric"
            baseline, unit = evaluation.baseline_of(result), evaluation.unit
            out.append(f"  Metric: {metric_text(name, result.metric, baseline, style, unit=unit)}")
        elif result.passed is not None:
            out.append(f"  Result: {describe_pass(result.passed)}")
        if result.machine is not None:
            out.append(f"  Machine: {escape_control(result.machine.text)}")
        return out

    def _commits(self, style: TerminalStyle) -> list[str]:
        out = []
        for commit in self.summary.commits:
            head = f"{style.abbreviate(commit.oid)}  {format_age(self.now - commit.time)}: "
            out.append(style.fit(f"{head}{escape_control(commit.subject)}", 4))
        more = self.summary.commit_count - len(self.summary.commits)
        return [*out, f"and {more} earlier commits"] if more else out

    def _files(self) -> list[str]:
        files = self.summary.uncommitted or ()
        out = [escape_control(file) for file in files[:_MAX_FILES]]
        more = len(files) - len(out)
        return [*out, f"and {more} more files"] if more else out

    def _posts(self, style: TerminalStyle) -> list[str]:
        return [
            style.fit(f"{escape_control(post.channel)}/{post_summary(post, self.now)}", 4)
            for post in self.summary.posts
        ]

    def _log(self, style: TerminalStyle) -> list[str]:
        log = self.summary.progress.log
        if not log:
            return []
        lines = [decode_terminal_line(line) for line in self.summary.log_lines]
        path = escape_control(relative_path(log, self.cwd))
        return ["", f"  Log: {path}", *(f"    {style.fit(line, 4)}" for line in lines)]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"  {title}:", *(f"    {line}" for line in lines)] if lines else []
