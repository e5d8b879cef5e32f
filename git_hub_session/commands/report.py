"""git hub-session report: show a session on one page, as HTML or as Markdown."""

from __future__ import annotations

import os
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import QUIET, Arguments, Option, Usage
from git_hub_session.cli.output import is_stdout_a_terminal
from git_hub_session.cli.view import TerminalStyle, TextOutput, View, warning_lines
from git_hub_session.errors import UsageError
from git_hub_session.report.facts import read_facts
from git_hub_session.report.file import write_report_file
from git_hub_session.report.html import render_page
from git_hub_session.report.markdown import render_markdown
from git_hub_session.report.overview import newest_first, overview_lines, render_overview
from git_hub_session.session.read import UnreadableSession
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context

HTML, MARKDOWN = "html", "md"
_STDOUT = "-"

USAGE = Usage(
    ("report [<options>] [<id>]", "report [<options>] --all"),
    (
        Option("--all", "show an overview of all sessions"),
        Option("-o, --output", "write to this file ('-': standard output)", "<file>"),
        Option(
            "--format", "format of the page (default: html)", "<format>", choices=(HTML, MARKDOWN)
        ),
        QUIET,
    ),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> ReportView:
    """Return a report, or write it to a file."""
    is_html = args.value("format") != MARKDOWN
    if args.is_set("all"):
        return _report_all(context, args, is_html=is_html)
    sid = context.find_session(args.argument)
    facts = read_facts(context.project.store.read(sid), context.project)
    lines = render_page(facts).splitlines() if is_html else render_markdown(facts)
    name = f"hub-report-{sid}.html" if is_html else ""
    return _write_report(lines, name, args, context, diagnostics=warning_lines(facts.warnings))


def _report_all(context: Context, args: Arguments, *, is_html: bool) -> ReportView:
    """Return an overview of all sessions, or write it to a file."""
    if args.argument:
        raise UsageError("--all takes no id")
    project = context.project
    sessions = newest_first(project.store.read_all())
    lines = overview_lines(sessions)
    if is_html:
        lines = render_overview(sessions, project.now()).splitlines()
    broken = [each for each in sessions if isinstance(each, UnreadableSession)]
    name = "hub-report.html" if is_html else ""
    return _write_report(lines, name, args, context, diagnostics=_error_lines(broken))


def _error_lines(broken: Sequence[UnreadableSession]) -> list[str]:
    return [
        f"error: session '{escape_control(each.id)}': {escape_control(each.reason)}"
        for each in broken
    ]


def _write_report(
    lines: list[str],
    name: str,
    args: Arguments,
    context: Context,
    *,
    diagnostics: Sequence[str],
) -> ReportView:
    """Write the lines to the file that the user names, or return them.

    Args:
        name: the name of the file on a terminal, or '' to show the lines there.
        diagnostics: errors about sessions, or warnings.
    """
    given = args.value("output")
    if given is None and name and is_stdout_a_terminal():
        file = name
    elif given in (None, _STDOUT):
        return ReportView(lines, diagnostics)
    else:
        file = given or ""
    text = "".join(f"{line}\n" for line in lines)
    write_report_file(os.path.join(context.project.cwd, file), text.encode())
    return ReportView([] if given else [escape_control(file)], diagnostics, is_written=True)


class ReportView(View):
    """A report, or the name of the file with it."""

    wraps = False

    def __init__(
        self, output: list[str], diagnostics: Sequence[str], *, is_written: bool = False
    ) -> None:
        self.output = output
        self._diagnostics = diagnostics
        self.is_written = is_written

    @property
    def exit_code(self) -> int:
        return 1 if any(line.startswith("error:") for line in self._diagnostics) else 0

    @property
    def diagnostics(self) -> Sequence[str]:
        return self._diagnostics

    @property
    def changed(self) -> bool:
        return self.is_written

    @property
    def is_paged(self) -> bool:
        return True

    def document(self) -> dict[str, Any]:
        return {"lines": self.output}

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput([] if quiet and self.is_written else self.output)
