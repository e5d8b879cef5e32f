"""The assignment of an agent: the task and how to work on it, as a post and as a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.board.board import Board
from git_hub_session.board.posts import COORDINATOR, DISPATCH, assignment_heading, is_assignment
from git_hub_session.errors import HubError, to_hub_error
from git_hub_session.git.ref_names import agent_name
from git_hub_session.session.assignment_values import TEMPLATES, parse_strategies
from git_hub_session.util.clock import parse_iso

if TYPE_CHECKING:
    from git_hub_session.session.model import Config, Session
    from git_hub_session.session.store import LockedSession

_TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
_RULES = """\
- Work only in the directory in which you were started, and on its branch.
- Do not read or change the directories and branches of the other agents.
- Commit your work with `git commit`. Uncommitted files do not count.
- Do not change the files that measure the result.
- Report each step: `git hub-session board post progress -m "<text>"`
- Report the result at the end: `git hub-session board post results -m "<text>"`
- Read the board: `git hub-session board read progress`
"""


def assignment_text(session: Session, agent: int) -> str:
    """Return the text for an agent. Its first line is different for each agent of each session."""
    name = agent_name(agent)
    config = session.config
    sections = {
        "Task": config.task,
        "Measurement": "\n".join(_measurement_lines(config)),
        "Strategy": parse_strategies(config.get("strategies")).get(name, ""),
        "Method": _read_template(config.get("template")),
        "Rules": _RULES,
    }
    parts = [f"## {title}\n\n{text.strip()}\n" for title, text in sections.items() if text]
    return "\n".join([assignment_heading(name, session.id), "", *parts])


def ensure_prompt_file(locked: LockedSession, session: Session, agent: int) -> str:
    """Write the assignment of an agent if necessary, and return the path, or raise CannotWrite."""
    name = f"prompt-{agent_name(agent)}.txt"
    return locked.ensure_text_file(name, assignment_text(session, agent))


def _measurement_lines(config: Config) -> Iterator[str]:
    if config.get("eval_cmd"):
        yield f"- Command: {config.get('eval_cmd')}"
    if config.get("metric"):
        yield f"- Metric: {config.get('metric')} ({config.get('direction')} is better)"
    if config.get("baseline"):
        yield f"- Baseline: {config.get('baseline')}"
    if config.get("eval_cmd"):
        yield "- Measure your present state: `git hub-session eval --here`"


def _read_template(name: str) -> str:
    """Return the text of a built-in template, or '' for an unknown name."""
    if name not in TEMPLATES:  # config.yaml may have come with the repository
        return ""
    with open(os.path.join(_TEMPLATES, f"{name}.txt"), encoding="utf-8") as file:
        return file.read()


def post_assignments(session: Session, agents: Iterable[int], hub: str, *, now: float) -> list[str]:
    """Post the assignment of each agent, unless it is on the board already. Return warnings.

    The caller holds the session lock, so no other process posts them at the same time.

    Args:
        now: the time in seconds since the epoch.
    """
    board = Board(hub)
    try:
        posted = {
            post.text.partition("\n")[0]
            for post in board.read(DISPATCH, since=parse_iso(session.created))
            if post.session == session.id and is_assignment(post)
        }
        texts = [
            assignment_text(session, agent)
            for agent in agents
            if assignment_heading(agent_name(agent), session.id) not in posted
        ]
        if texts:
            board.add_posts(DISPATCH, author=COORDINATOR, texts=texts, session=session.id, now=now)
    except (HubError, OSError) as error:
        return [f"cannot post the assignments on the board: {to_hub_error(error).message}"]
    return []
