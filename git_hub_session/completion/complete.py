"""Complete the last word of a command line of `git hub-session`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.completion import values
from git_hub_session.completion.expected import Expected, find_expected
from git_hub_session.completion.values import Candidate, is_safe_word
from git_hub_session.errors import HubError

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Option, Usage
    from git_hub_session.session.model import Session

WORDS, FILES, COMMAND = "words", "files", "command"
_FILE_KINDS = ("<file>", "<path>", "<template>", "<worktree>")
_AGENT_KINDS = ("<agent>", "<list>")
_LIST_KINDS = ("<list>", "<executors>")


class Completion(NamedTuple):
    """The words that a shell can insert for the last word."""

    kind: str
    """WORDS, or FILES or a COMMAND with its arguments, which the shell completes itself."""
    candidates: tuple[Candidate, ...] = ()


def complete_command(summaries: Mapping[str, str], start: str) -> Completion:
    """Complete the name of a command."""
    candidates = [Candidate(name, summary) for name, summary in summaries.items()]
    return Completion(WORDS, _matching(candidates, start))


def complete_word(usage: Usage, words: Sequence[str], context: Context) -> Completion:
    """Complete the last of the words after the name of a command."""
    expected = find_expected(usage, words)
    if expected.is_command:
        return Completion(COMMAND)
    if any(kind in _FILE_KINDS for kind in expected.kinds):
        return Completion(FILES)
    if expected.options:
        return Completion(WORDS, _option_candidates(expected.options, words[-1]))
    prefix = expected.prefix
    start = words[-1].removeprefix(prefix)
    if any(kind in _LIST_KINDS for kind in expected.kinds):  # complete the last element of a list
        head, comma, start = start.rpartition(",")
        prefix += head + comma
    found = _matching(_find_candidates(expected, context), start)
    return Completion(
        WORDS,
        tuple(candidate._replace(word=f"{prefix}{candidate.word}") for candidate in found),
    )


def _matching(candidates: Sequence[Candidate], start: str) -> tuple[Candidate, ...]:
    return tuple(
        candidate
        for candidate in candidates
        if candidate.word.startswith(start) and is_safe_word(candidate.word)
    )


def _option_candidates(options: Sequence[Option], start: str) -> tuple[Candidate, ...]:
    """Return the long options that begin with `start`.

    An option that can lose work is not offered for a part of its name: the only match would be
    inserted at once.
    """
    candidates = []
    for option in options:
        word = f"--{option.name}"
        is_offered = start in ("-", "--", word) or not option.no_abbreviation
        if len(option.name) > 1 and word.startswith(start) and is_offered:
            takes_value = option.value and not option.value_optional
            candidates.append(Candidate(f"{word}=" if takes_value else word, option.help))
    return tuple(candidates)


def _find_candidates(expected: Expected, context: Context) -> list[Candidate]:
    """Return the values of all expected kinds. A kind that cannot be read has none."""
    candidates = [Candidate(choice) for choice in expected.choices]
    for kind in expected.kinds:
        if not kind.startswith("<"):
            candidates.append(Candidate(kind))
            continue
        try:
            candidates += _values_of_kind(kind, expected, context)
        except (HubError, OSError):
            continue
    return candidates


def _values_of_kind(kind: str, expected: Expected, context: Context) -> list[Candidate]:
    project = context.project
    if kind == "<id>":
        return values.session_candidates(project.store)
    if kind in _AGENT_KINDS:
        return values.agent_candidates(_find_session(expected, context))
    if kind == "<state>":
        return values.state_candidates()
    if kind == "<setting>":
        return values.setting_candidates()
    if kind == "<executors>":
        return values.executor_candidates(project.config_entries)
    if kind == "<answer>":
        return values.answer_candidates()
    if kind in ("<channel>", "<post>"):
        from git_hub_session.board.board import Board

        board = Board(project.paths.hub)
        is_channel = kind == "<channel>"
        return values.channel_candidates(board) if is_channel else values.post_candidates(board)
    if kind == "<branch>":
        return values.branch_candidates(project.repo)
    return values.commit_candidates(project.repo) if kind == "<commit>" else []


def _find_session(expected: Expected, context: Context) -> Session:
    """Return the session that the earlier words name, or else the default of the command."""
    store = context.project.store
    ids = store.ids()
    named = next((word for word in expected.arguments if word in ids), None)
    return store.read(context.find_session(named))
