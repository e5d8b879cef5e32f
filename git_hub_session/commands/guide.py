"""git hub-session guide: print instructions for a coding agent in a worktree."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import FORMAT, Arguments, Option, Usage
from git_hub_session.cli.view import TerminalStyle, TextOutput, View, metric_lines
from git_hub_session.errors import UsageError
from git_hub_session.git.discovery import NotARepository
from git_hub_session.git.ref_names import (
    HEADS,
    AgentBranch,
    SessionId,
    agent_name,
    parse_agent_branch,
    short_name,
)

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.session.model import Session

_TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guide.txt")
_MEASURE = """\
Measure yourself at any time. Nothing is recorded:
    git hub-session eval --here
  It measures the files as they are, with the uncommitted ones. Status 0 means
  that you pass, and are better than the baseline, if there is one."""
_NO_MEASURE = """\
The session has no eval command: run the tests of the project."""
_PLACEHOLDERS = ("  Metric: <metric> (<direction>)",)

_PLUGIN = os.path.join(os.path.dirname(os.path.dirname(_TEMPLATE)), "plugin")
_AGENT_SKILL = os.path.join(_PLUGIN, "skills", "agent-worktree", "SKILL.md")

USAGE = Usage(
    ("guide [<options>]",),
    (
        Option("--plugin", "print the directory of the plugin for Claude Code and Codex"),
        Option("--agents-md", "print a section for AGENTS.md, which other agents read"),
        *FORMAT,
    ),
)


def run(context: Context, args: Arguments) -> View:
    """Return the guide for the agent of the worktree or of the environment, or for any agent."""
    if args.is_set("plugin") and args.is_set("agents-md"):
        raise UsageError("--plugin and --agents-md exclude each other")
    if args.is_set("plugin"):
        return PluginView()
    if args.is_set("agents-md"):
        return AgentsSectionView()
    try:
        sid, branch = _find_agent(context)
    except NotARepository:
        return GuideView(None, None)
    return GuideView(context.project.store.read(sid) if sid else None, branch)


def _find_agent(context: Context) -> tuple[SessionId | None, AgentBranch | None]:
    """Return the session and the branch of the worktree, or else of the environment."""
    store, environ = context.project.store, context.project.environ
    current = context.current_agent()
    if current is not None and store.has_session(current.session):
        return current.session, current
    named = environ.get("HUB_SESSION_ID", "")
    if named not in store.ids():
        return None, None
    sid = SessionId(named)
    branch = parse_agent_branch(f"{HEADS}{environ.get('HUB_BRANCH', '')}")
    return sid, branch if branch and branch.session == sid else None


class PluginView(View):
    """The directory of the plugin, which ships with the package."""

    wraps = False

    def document(self) -> dict[str, Any]:
        return {"plugin": _PLUGIN}

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput([_PLUGIN])


class AgentsSectionView(View):
    """The section for AGENTS.md: the text of a skill of the plugin."""

    wraps = False

    def __init__(self) -> None:
        with open(_AGENT_SKILL, encoding="utf-8") as file:
            self._section = file.read().partition("\n---\n\n")[2]

    def document(self) -> dict[str, Any]:
        return {"section": self._section}

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput(self._section.splitlines())


class GuideView(View):
    """The guide, with the names of a session and an agent, or with placeholders."""

    wraps = False

    def __init__(self, session: Session | None, branch: AgentBranch | None) -> None:
        self.session = session
        self.branch = branch

    def document(self) -> dict[str, Any]:
        session, branch = self.session, self.branch
        config = session.config if session else None
        values = {
            key: config.get(key) or None if config else None
            for key in ("eval_cmd", "metric", "direction", "baseline")
        }
        return {
            "session_id": session.id if session else None,
            "agent": branch.agent if branch else None,
            "attempt": branch.attempt if branch else None,
            "branch": short_name(branch.ref) if branch else None,
            **values,
            "guide": self._text(),
        }

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput(self._text().splitlines())

    def _text(self) -> str:
        """Return the guide. The texts from the repository have no control characters."""
        session, branch = self.session, self.branch
        sid = session.id if session else "<session>"
        agent = agent_name(branch.agent) if branch else "<agent>"
        settings = metric_lines(session.config) if session else _PLACEHOLDERS
        branch_name = short_name(branch.ref) if branch else "<branch>"
        attempt = branch.attempt if branch else "<attempt>"
        is_measured = session is None or session.config.get("eval_cmd")
        with open(_TEMPLATE, encoding="utf-8") as file:
            return file.read().format(
                identity=f"You are {agent}, attempt {attempt}, of session {sid}.",
                settings="\n".join([f"  Branch: {branch_name}", *settings]),
                session=sid,
                agent=agent,
                branch=branch_name,
                measure=_MEASURE if is_measured else _NO_MEASURE,
            )
