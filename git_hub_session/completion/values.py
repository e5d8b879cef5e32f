"""Find the values for a command line: ids, agents, attempts, states, posts and refs.

A shell inserts a value into the command line as it is. So only values that a shell reads back
unchanged are offered: a branch can be called `$(command)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.ref_names import REFS, agent_name
from git_hub_session.schemas.schema import read_descriptions
from git_hub_session.session.attempts import earlier_attempts
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.session.read import UnreadableSession
from git_hub_session.session.state import State
from git_hub_session.settings.table import SETTINGS, executor_key, executor_of
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session.board.board import Board
    from git_hub_session.git.config import ConfigEntry
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.model import Session
    from git_hub_session.session.store import Store

# Every character of a value is one of these, and none of them is special in bash, zsh and fish.
_SAFE = "[A-Za-z0-9._/@+,-]+"
_HEADS, _TAGS = f"{REFS}heads/", f"{REFS}tags/"


class Candidate(NamedTuple):
    """A word that a shell can insert, and its description."""

    word: str
    description: str = ""


def is_safe_word(word: str) -> bool:
    """Return True if a shell reads the word as it is."""
    return re.fullmatch(_SAFE, word) is not None


def session_candidates(store: Store) -> list[Candidate]:
    """Return the id of each session, with its state and its task."""
    return store.map_sessions(_session_candidate)


def agent_candidates(session: Session) -> list[Candidate]:
    """Return the agents of a session with their status, and their attempts if there are several."""
    count = min(session.config.agent_count, MAX_AGENTS)
    names = dict.fromkeys([*(agent_name(n + 1) for n in range(count)), *session.agents])
    return [candidate for name in names for candidate in _attempt_candidates(session, name)]


def state_candidates() -> list[Candidate]:
    """Return the states of a session."""
    return [Candidate(str(state)) for state in State]


def setting_candidates() -> list[Candidate]:
    """Return the names of the settings, with their descriptions."""
    return [Candidate(setting.name, setting.help) for setting in SETTINGS]


def executor_candidates(entries: Iterable[ConfigEntry]) -> list[Candidate]:
    """Return `slurm` and the executors that git's settings define, with their command prefixes."""
    commands = {"slurm": "submit jobs to Slurm"}
    commands |= {executor_of(each.name): each.value for each in entries if _is_command(each)}
    return [Candidate(name, commands[name]) for name in sorted(filter(None, commands))]


def _is_command(entry: ConfigEntry) -> bool:
    return entry.name == executor_key(executor_of(entry.name), "command")


def answer_candidates() -> list[Candidate]:
    """Return the names of the JSON answers, with their descriptions."""
    return [Candidate(name, text) for name, text in read_descriptions().items()]


def channel_candidates(board: Board) -> list[Candidate]:
    """Return the channels of the board, with their numbers of posts."""
    return [Candidate(channel.name, f"{channel.posts} posts") for channel in board.channels()]


def post_candidates(board: Board) -> list[Candidate]:
    """Return the ids of all posts, with their channels."""
    return [Candidate(post.id, post.channel) for post in board.list_posts()]


def branch_candidates(repo: GitRepo) -> list[Candidate]:
    """Return the names of all branches."""
    return [Candidate(ref.removeprefix(_HEADS)) for ref in repo.refs(_HEADS)]


def commit_candidates(repo: GitRepo) -> list[Candidate]:
    """Return the names of all branches and tags."""
    tags = [Candidate(ref.removeprefix(_TAGS), "tag") for ref in repo.refs(_TAGS)]
    return branch_candidates(repo) + tags


def _session_candidate(session: Session | UnreadableSession) -> Candidate:
    if isinstance(session, UnreadableSession):
        return Candidate(session.id, "broken")
    return Candidate(session.id, escape_control(f"{session.state}: {session.config.task}"))


def _attempt_candidates(session: Session, name: str) -> Iterator[Candidate]:
    record = session.agent_record(name)
    yield Candidate(name, escape_control(record.status))
    earlier = earlier_attempts(session, name)
    for attempt in [*earlier, record.attempt] if earlier else []:
        yield Candidate(f"{name}/attempt-{attempt}")
