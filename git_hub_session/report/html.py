"""A session as one HTML page without scripts and without requests to the network."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256

from git_hub_session import __version__
from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import attempt_name
from git_hub_session.report.charts import evaluations_chart, ranking_chart, sizes_chart
from git_hub_session.report.events import events_table
from git_hub_session.report.markup import Markup, element, join, lines_of, style_sheet
from git_hub_session.report.results import evaluations_table, overview_rows, ranking_table
from git_hub_session.report.tables import Column, Table, format_time, shorten
from git_hub_session.report.timeline import graph_chart, time_chart
from git_hub_session.report.work import (
    commits_table,
    failures_table,
    guarded_table,
    sizes_table,
)
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import count_noun, decode_terminal_line

if TYPE_CHECKING:
    from git_hub_session.board.posts import Post
    from git_hub_session.report.facts import SessionFacts

_STYLE_SHEET = os.path.join(os.path.dirname(__file__), "report.css")
_MAX_DIFF_LINES = 3000
_MAX_ROWS = 400
_MAX_TASK = 100_000
_MAX_POST = 20_000
_MAX_VALUE = 4_000
_DIFF_CLASSES = {"+": "add", "-": "del", "@": "hunk"}
_FILE_LINES = ("diff ", "index ", "--- ", "+++ ")


def render_page(facts: SessionFacts) -> str:
    """Return the page of one session."""
    session = facts.session
    header = element(
        "header",
        element("h1", f"Session {session.id}"),
        element("p", element("span", str(session.state), class_=f"state {session.state}")),
    )
    sections = [part for part in _sections(facts) if part]
    return document(f"Session {session.id}", [header, *sections], facts.now)


def document(title: str, body: Iterable[Markup], now: float) -> str:
    """Return a complete page. Its Content-Security-Policy allows only its style sheet."""
    with open(_STYLE_SHEET, encoding="ascii") as file:
        css = "\n".join(line.strip() for line in file)
    digest = b64encode(sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        style_sheet(css),
    )
    made = f"Made by git hub-session {__version__} at {format_time(now)}"
    content = [element("main", join(body, "\n")), element("footer", made)]
    page = element("html", join([head, element("body", join(content, "\n"))], "\n"), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _sections(facts: SessionFacts) -> Iterator[Markup]:
    task = facts.session.config.task.strip()
    yield section(
        "Task", element("pre", lines_of(shorten(task, _MAX_TASK)), class_="text") if task else ""
    )
    rows = overview_rows(facts)
    yield element(
        "dl",
        *(
            join([element("dt", name), element("dd", shorten(value, _MAX_VALUE))])
            for name, value in rows
        ),
    )
    yield from (element("p", f"Warning: {text}", class_="warning") for text in facts.warnings)
    yield section("Ranking", ranking_chart(facts), table("Ranking", ranking_table(facts)))
    yield section(
        "Evaluations", evaluations_chart(facts), table("Evaluations", evaluations_table(facts))
    )
    yield section("Lines changed", sizes_chart(facts), table("Lines changed", sizes_table(facts)))
    yield section("Time line", time_chart(facts), table("Time line", events_table(facts)))
    yield section(
        "Commits",
        graph_chart(facts),
        *_hidden_commits(facts),
        table("Commits", commits_table(facts)),
    )
    yield section("Guarded paths", table("Guarded paths", guarded_table(facts)))
    yield section(
        "Failures and uncommitted files",
        table("Failures and uncommitted files", failures_table(facts)),
        *_logs(facts),
    )
    yield section("Message board", *map(_post, facts.posts))
    yield section("Diff of the winner", *_diff(facts))


def section(title: str, *content: str) -> Markup:
    """Return a section with a heading, or nothing without content."""
    shown = [part for part in content if part]
    return element("section", element("h2", title), *shown) if shown else Markup()


def table(caption: str, rows: Table) -> Markup:
    """Return a table that scrolls in its own frame, or nothing without rows."""
    if not rows.rows:
        return Markup()
    names = [_column_class(column) for column in rows.columns]
    heads = [
        element("th", shorten(column.header), scope="col", class_=name)
        for column, name in zip(rows.columns, names, strict=True)
    ]
    shown = rows.rows[-_MAX_ROWS:] if rows.has_newest_last else rows.rows[:_MAX_ROWS]
    body = [
        element(
            "tr",
            *(_cell(shorten(text), column) for text, column in zip(row, rows.columns, strict=True)),
        )
        for row in shown
    ]
    more = len(rows.rows) - len(shown)
    content = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", join(body, "\n")),
    )
    frame = element("div", content, class_="frame", tabindex="0", role="region", aria_label=caption)
    text = f"The table leaves out {count_noun(more, 'row')}."
    note = [element("p", text, class_="note")] if more else []
    return join([frame, *note])


def _cell(text: str, column: Column) -> Markup:
    # Only an element inside the cell can limit the width that a long text asks for.
    content = element("div", text) if column.wraps and text else text
    return element("td", content, class_=_column_class(column))


def _column_class(column: Column) -> str:
    if column.is_number:
        return "number"
    return "words" if column.wraps else ""


def _hidden_commits(facts: SessionFacts) -> Iterator[Markup]:
    """Yield the command that shows all commits, if the graph has only the newest ones."""
    if facts.graph.hidden:
        text = f"The graph leaves out {count_noun(facts.graph.hidden, 'older commit')}. Show all with: "
        command = f"git hub-session log --graph {facts.session.id}"
        yield element("p", text, element("code", command), class_="note")


def _logs(facts: SessionFacts) -> Iterator[Markup]:
    """Yield the end of the log of each attempt whose run failed."""
    for summary in facts.attempts:
        if summary.progress.failure and summary.log_lines:
            name = facts.branch_label(summary.attempt.branch)
            lines = join(map(decode_terminal_line, summary.log_lines), "\n")
            yield element("h3", f"End of the log of {name}")
            yield element("pre", lines, class_="text")


def _post(post: Post) -> Markup:
    author = post.author or "unknown"
    heading = element("h3", f"{author} in {post.channel}")
    answer = f", reply to {post.parent}" if post.parent and post.parent != "null" else ""
    note = element("p", f"{post.timestamp} {post.id}{answer}", class_="note")
    text = (post.reason or post.text).strip()
    shown = element("pre", lines_of(shorten(text, _MAX_POST)), class_="text")
    if len(text) <= _MAX_POST:
        return element("article", heading, note, shown)
    command = f"git hub-session board read {quote_word(post.channel)}"
    rest = element("p", "The post is longer. Show all of it with: ", element("code", command))
    return element("article", heading, note, shown, rest)


def _diff(facts: SessionFacts) -> Iterator[Markup]:
    """Yield the diff of the winner, and the command that shows the rest."""
    winner = facts.winner
    if winner is None or not facts.diff.text:
        return
    lines = facts.diff.text.removesuffix("\n").split("\n")
    shown = [_diff_line(line) for line in lines[:_MAX_DIFF_LINES]]
    command = f"git hub-session diff {facts.session.id} {attempt_name(winner)}"
    yield element(
        "div",
        element("pre", join(shown, "\n"), class_="diff"),
        class_="frame",
        tabindex="0",
        role="region",
        aria_label="Diff of the winner",
    )
    is_complete = len(lines) <= _MAX_DIFF_LINES and not facts.diff.is_truncated
    text = "The same diff: " if is_complete else "The diff is longer. Show all of it with: "
    yield element("p", text, element("code", command), class_="note")


def _diff_line(line: str) -> Markup:
    name = "file" if line.startswith(_FILE_LINES) else _DIFF_CLASSES.get(line[:1], "")
    return element("span", line.expandtabs(), class_=name)
