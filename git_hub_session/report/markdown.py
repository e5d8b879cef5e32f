"""A session as Markdown, to paste into a pull request.

A text on a site such as GitHub can mention users ("@name"), close issues ("fixes #1") and load images.
So each text from the repository is in a code span or in a code block.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import attempt_name
from git_hub_session.report.results import overview_rows, ranking_table
from git_hub_session.report.tables import Table, short_id, shorten
from git_hub_session.report.work import failures_table, guarded_table
from git_hub_session.util.text import count_noun, escape_control

if TYPE_CHECKING:
    from git_hub_session.report.facts import SessionFacts

_MAX_LINES = 60
_MAX_TASK = 10_000
_MAX_COMMITS = 10


def render_markdown(facts: SessionFacts) -> list[str]:
    """Return the lines of a summary."""
    session = facts.session
    lines = [f"## Session {code_span(session.id)}", "", *code_block(session.config.task), ""]
    lines += [f"- {name}: {code_span(value)}" for name, value in overview_rows(facts)]
    lines += _section("Ranking", ranking_table(facts))
    lines += _section("Failures and uncommitted files", failures_table(facts))
    lines += _section("Guarded paths", guarded_table(facts))
    return lines + _winner_lines(facts)


def _winner_lines(facts: SessionFacts) -> list[str]:
    """Return the commits of the winner, and the commands that show more."""
    winner = facts.winner
    if winner is None:
        return ["", f"More: {code_span(f'git hub-session status {facts.session.id}')}"]
    summary = facts.find_attempt(winner.agent, winner.attempt)
    label = facts.label(winner.agent, winner.attempt)
    lines = []
    if summary and summary.commits:
        lines += ["", f"### Commits of {label}", ""]
        shown = summary.commits[:_MAX_COMMITS]
        lines += [f"- {code_span(short_id(oid))} {code_span(text)}" for oid, _, text in shown]
        more = summary.commit_count - len(shown)
        lines += [f"- {count_noun(more, 'more commit')}"] if more > 0 else []
    name = attempt_name(winner)
    commands = (f"git hub-session {verb} {facts.session.id} {name}" for verb in ("show", "diff"))
    return [*lines, "", f"More: {', '.join(map(code_span, commands))}"]


def _section(title: str, table: Table) -> list[str]:
    return ["", f"### {title}", "", *table_rows(table)] if table.rows else []


def table_rows(table: Table) -> list[str]:
    """Return the rows of a table."""
    lines = [_row(_cell(each.header, is_code=each.has_code_header) for each in table.columns)]
    lines.append(_row("--:" if column.is_number else "---" for column in table.columns))
    for row in table.rows:
        cells = zip(row, table.columns, strict=True)
        lines.append(_row(_cell(text, is_code=column.is_code) for text, column in cells))
    return lines


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str, *, is_code: bool) -> str:
    """Return a cell. In a table, a vertical bar is escaped also in a code span.

    Put a space between a backslash and this escape: some programs read the two as another escape.
    """
    shown = code_span(text) if is_code else escape_control(text)
    return shown.replace("\\|", "\\ |").replace("|", "\\|")


def code_span(text: str) -> str:
    """Return the text as a code span on one line, or '' for ''."""
    text = escape_control(shorten(text))
    if not text:
        return ""
    fence = "`" * (_longest_run(text) + 1)
    space = " " if text[0] in " `" or text[-1] in " `" else ""
    return f"{fence}{space}{text}{space}{fence}"


def code_block(text: str) -> list[str]:
    """Return the lines of a code block with the first lines of the text."""
    shown = shorten(text.strip(), _MAX_TASK)
    lines = [escape_control(line.expandtabs()).rstrip() for line in shown.split("\n")]
    fence = "`" * max(3, _longest_run(text) + 1)
    more = len(lines) - _MAX_LINES
    rest = [f"... {count_noun(more, 'more line')}"] if more > 0 else []
    return [f"{fence}text", *lines[:_MAX_LINES], *rest, fence]


def _longest_run(text: str) -> int:
    """Return the length of the longest run of backticks."""
    return max(map(len, re.findall("`+", text)), default=0)
