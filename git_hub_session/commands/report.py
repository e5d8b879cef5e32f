"""git hub-session report: show a session on one page, as HTML or as Markdown."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import QUIET, Arguments, Option, Usage
from git_hub_session.cli.output import is_stdout_a_terminal
from git_hub_session.cli.view import TerminalStyle, TextOutput, View
from git_hub_session.report.facts import read_facts
from git_hub_session.report.file import write_report_file
from git_hub_session.report.html import render_page
from git_hub_session.report.markdown import render_markdown
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context

HTML, MARKDOWN = "html", "md"
_STDOUT = "-"

USAGE = Usage(
    ("report [<options>] [<id>]",),
    (
        Option("-o, --output", "write to this file ('-': standard output)", "<file>"),
        Option(
            "--format", "format of the page (default: html)", "<format>", choices=(HTML, MARKDOWN)
        ),
        QUIET,
    ),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> ReportView:
    """Return the report of a session, or write it to a file."""
    is_html = args.value("format") != MARKDOWN
    sid = context.find_session(args.argument)
    facts = read_facts(context.project.store.read(sid), context.project)
    lines = render_page(facts).splitlines() if is_html else render_markdown(facts)
    return write_report(lines, f"hub-report-{sid}.html" if is_html else "", args, context)


def write_report(lines: list[str], name: str, args: Arguments, context: Context) -> ReportView:
    """Write the lines to the file that the user names, or return them.

    Args:
        name: the name of the file on a terminal, or '' to show the lines there.
    """
    given = args.value("output")
    if given is None and name and is_stdout_a_terminal():
        file = name
    elif given in (None, _STDOUT):
        return ReportView(lines)
    else:
        file = given or ""
    text = "".join(f"{line}\n" for line in lines)
    write_report_file(os.path.join(context.project.cwd, file), text.encode())
    return ReportView([] if given else [escape_control(file)], is_written=True, is_file=not given)


class ReportView(View):
    """A report, or the name of the file with it."""

    def __init__(
        self, output: list[str], *, is_written: bool = False, is_file: bool = False
    ) -> None:
        self.output = output
        self.is_written = is_written
        self.is_file = is_file

    @property
    def changed(self) -> bool:
        return self.is_written

    @property
    def is_paged(self) -> bool:
        return True

    def document(self) -> dict[str, Any]:
        return {"lines": self.output}

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput([] if quiet and self.is_file else self.output)
