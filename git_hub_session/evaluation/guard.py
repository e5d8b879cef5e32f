"""Guarded paths: they are measured as in the base branch, whatever an attempt did to them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from shlex import shlex

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Damaged, Refused, UsageError
from git_hub_session.session.agents import base_now
from git_hub_session.session.guarded import (
    Holdout,
    describe_guarded,
    find_missing_guard,
    missing_guard_error,
    parse_guards,
)
from git_hub_session.settings.table import GUARD
from git_hub_session.util.paths import normalize_relative

if TYPE_CHECKING:
    from git_hub_session.evaluation.candidates import Candidate
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

_SUBMODULE = 0o160000
_MAX_LINKS = 40

# Commands that only print, count or compare. They run no program of the repository.
_READERS = frozenset(
    {
        *("[", "awk", "cat", "cd", "cut", "diff", "du", "echo", "egrep", "expr", "false", "fgrep"),
        *("find", "grep", "head", "jq", "ls", "md5sum", "printf", "sed", "seq", "sha1sum"),
        *("sha256sum", "sort", "stat", "tail", "tee", "test", "tr", "true", "uniq", "wc"),
    }
)
# Readers that run a program from a file with an option such as `-f`.
_INTERPRETERS = frozenset({"awk", "jq", "sed"})
_PROGRAM_OPTION = r"-[a-zA-Z]*f.*|--(?:file|from-file|exec).*"
_KEYWORDS = frozenset(
    {"!", "{", "}", "if", "then", "elif", "else", "fi", "while", "until", "do", "done"}
)
_ASSIGNMENT = r"\w+=.*"
_CURRENT_DIRECTORY = r'("?)\$(?:PWD|\{PWD\}|\(pwd\))\1/'
_PUNCTUATION = frozenset("();<>|&")


class FixedPaths(NamedTuple):
    """The guarded paths and the holdout of an evaluation."""

    base: str = ""
    """The tip of the base branch, whose files are measured, or '' without a guarded path."""
    paths: tuple[bytes, ...] = ()
    """Files and directories of the base branch."""
    is_default: bool = False
    """True if the eval command names the paths, and the user does not."""
    holdout: Holdout = Holdout()
    """The files that only measurements see."""

    @property
    def names(self) -> tuple[str, ...]:
        """The paths as text."""
        return tuple(os.fsdecode(path) for path in self.paths)

    def files(self, commit: str, repo: GitRepo) -> list[bytes]:
        """Return the files of a commit at the guarded paths."""
        entries = repo.tree_entries(commit).items()
        return [
            path
            for path, (mode, _) in entries
            if mode != _SUBMODULE and any(_contains(guarded, path) for guarded in self.paths)
        ]

    def select_changed(self, changed: Collection[bytes]) -> tuple[str, ...]:
        """Return the guarded paths and holdout files with a changed file in, at or above them."""
        return tuple(
            os.fsdecode(guarded)
            for guarded in dict.fromkeys((*self.paths, *self.holdout.paths))
            if any(_contains(guarded, path) or _contains(path, guarded) for path in changed)
        )


def choose_guard(
    session: Session, project: Project, given: Sequence[str] | None, command: str
) -> FixedPaths:
    """Return the guarded paths: those of the option, the session, the setting, or the command.

    Args:
        given: the paths of the option --guard, or None without the option.
        command: the eval command. By default, the files that it names are guarded.

    Raises:
        Refused: the base branch does not have a path of the option or of the session.
    """
    repo = project.repo
    base = base_now(session, repo)
    given = _session_guards(session) if given is None else given
    if given is not None:
        missing = find_missing_guard(given, base, repo)
        if missing:
            raise missing_guard_error(missing)
        return _fix_paths(base, given, repo)
    configured = parse_guards(project.settings.values(GUARD))
    if configured:
        # The setting is for all sessions: another base branch may not have the path.
        existing = [path for path in configured if not find_missing_guard([path], base, repo)]
        return _fix_paths(base, existing, repo)
    names = filter(None, map(normalize_relative, benchmark_words(command)))
    words = list(map(os.fsencode, names))
    entries = repo.tree_entries(base) if base and words else {}
    named = [word for word in words if entries.keys() & resolve_links(word, entries, repo)[-1:]]
    return _fix_paths(base, [*map(os.fsdecode, named)], repo)._replace(is_default=True)


def mark_guarded(
    candidates: Sequence[Candidate], fixed_paths: FixedPaths, session: Session, repo: GitRepo
) -> list[Candidate]:
    """Return the candidates with the guarded paths and holdout files that their diff touches.

    In the worktree of such an agent, the files of the base branch cannot be measured.
    """
    base = base_now(session, repo)
    if not (fixed_paths.paths or fixed_paths.holdout.paths) or not base:
        return list(candidates)
    marked = []
    for candidate in candidates:
        guarded = changed_guarded_paths(candidate.commit, base, fixed_paths, repo)
        candidate = candidate._replace(guarded=guarded)
        if candidate.directory and candidate.guarded:
            reason = describe_guarded(candidate.guarded)
            candidate = candidate._replace(directory="", not_in_place_reason=reason)
        marked.append(candidate)
    return marked


def changed_guarded_paths(
    commit: str, base: str, fixed_paths: FixedPaths, repo: GitRepo
) -> tuple[str, ...]:
    """Return the guarded paths and holdout files that the diff of a commit touches.

    Args:
        commit: the commit, or '' for none.
        base: the tip of the base branch.
    """
    changed = repo.changed_paths(commit, base) if commit else set()
    if fixed_paths.select_changed(changed):
        changed = _different_paths(changed, commit, base, repo)
    return fixed_paths.select_changed(changed)


def _different_paths(paths: set[bytes], commit: str, base: str, repo: GitRepo) -> set[bytes]:
    """Return the paths that differ between two commits.

    If an agent amends a commit of the base branch, the merge base is the commit before it. The files
    that the agent kept from the amended commit are not changes of the agent.
    """
    entries, base_entries = repo.tree_entries(commit), repo.tree_entries(base)
    return {path for path in paths if entries.get(path) != base_entries.get(path)}


def refuse_holdout_in_place(fixed_paths: FixedPaths, *, in_place: bool) -> None:
    """Raise Refused if the agents would see the holdout files."""
    if fixed_paths.holdout.paths and in_place:
        raise Refused(
            "--in-place would show the holdout files to the agents", hint="leave out --in-place"
        )


def mark_changed_by_attributes(
    candidates: Sequence[Candidate],
    restored: Mapping[str, Collection[bytes]],
    fixed_paths: FixedPaths,
    repo: GitRepo,
) -> list[Candidate]:
    """Return the candidates with the guarded paths that only their attributes change.

    Args:
        restored: the files that differed from the base branch, by the name of the agent.
    """
    base = repo.tree_entries(fixed_paths.base)
    marked = []
    for candidate in candidates:
        tip = repo.tree_entries(candidate.measured_commit)
        files = restored.get(candidate.target, ())
        hidden = fixed_paths.select_changed(
            [path for path in files if tip.get(path) == base.get(path)]
        )
        guarded = tuple(dict.fromkeys((*candidate.guarded, *hidden)))
        marked.append(candidate._replace(guarded=guarded))
    return marked


def _fix_paths(base: str, paths: Sequence[str], repo: GitRepo) -> FixedPaths:
    """Return the paths, and the files that symbolic links on these paths name, as guarded paths."""
    entries = repo.tree_entries(base) if base and paths else {}
    names = [name for path in paths for name in resolve_links(os.fsencode(path), entries, repo)]
    return FixedPaths(base, tuple(dict.fromkeys(names))) if names else FixedPaths()


def resolve_links(
    path: bytes, entries: Mapping[bytes, tuple[int, bytes]], repo: GitRepo
) -> list[bytes]:
    """Return the symbolic links of a tree on the path, and then the path that they lead to.

    Leave out a path outside the tree.
    """
    found: list[bytes] = []
    current: list[bytes] = []
    rest = path.split(b"/")
    while rest and len(found) < _MAX_LINKS:
        name = rest.pop(0)
        if name == b"..":
            if not current:
                return found
            current.pop()
        elif name not in (b"", b"."):
            current.append(name)
        mode, oid = entries.get(b"/".join(current), (0, b""))
        if stat.S_ISLNK(mode):
            found.append(b"/".join(current))
            target = repo.read_blob(oid)
            if target.startswith(b"/"):
                return found
            current.pop()
            rest = [*target.split(b"/"), *rest]
    return [*found, b"/".join(current)]


def _session_guards(session: Session) -> tuple[str, ...] | None:
    """Return the guarded paths in config.yaml, or None without the key.

    Raise Damaged if a path is invalid.
    """
    paths = session.config.guard
    try:
        return None if paths is None else parse_guards(paths)
    except UsageError as error:
        raise Damaged(f"config.yaml: guard: {error.message}") from None


def _contains(directory: bytes, path: bytes) -> bool:
    return path == directory or path.startswith(directory + b"/")


def benchmark_words(command: str) -> list[str]:
    """Return the words of a shell command, also those of a command in quotes and after "=".

    Behind `cd DIRECTORY`, also return the words below the directory. Behind `-m`, also return the
    files of the Python module. If the command only reads files, as in `cat result` or
    `wc -l <list`, the files are the result of the agents and no benchmark. Then return no words.
    """
    if _only_reads(command):
        return []
    command = re.sub(_CURRENT_DIRECTORY, "", command).replace("`", " ")
    words = _split_command(command)
    parts = [part for word in words for part in (word, *_split_command(word.replace("=", " ")))]
    return [*parts, *_paths_of_words(parts)]


def _paths_of_words(words: Sequence[str]) -> list[str]:
    """Return the paths behind `cd DIRECTORY`, and the files of a Python module behind `-m`."""
    directory = previous = ""
    paths = []
    for word in words:
        if word == previous:  # a word without quotes and "=" is its own part
            continue
        names = [word] if directory else []
        if previous == "cd":
            directory += f"{word}/"
        elif previous == "-m":
            module = word.replace(".", "/")
            names += [f"{module}.py", f"{module}/__main__.py"]
        paths += [directory + name for name in names]
        previous = word
    return paths


def _only_reads(command: str) -> bool:
    """Return True if each command of a command line is one of _READERS."""
    if "`" in command:
        return False
    name = previous = ""
    outer: list[str] = []  # the name of the command that goes on behind each open "("
    is_redirection = False
    for word in _split_command(command.replace("\n", " ; ")):
        is_substitution, previous = previous.endswith("$"), word
        if set(word) <= _PUNCTUATION:
            is_redirection = word.endswith(("<", ">", "<&", ">&"))
            for mark in re.sub("[<>]&|&>|[<>]", "", word):
                if mark == "(":
                    outer.append(name if is_substitution else "")
                name = outer.pop() if mark == ")" and outer else ""
        elif is_redirection:
            is_redirection = False
        elif not name:
            if word in _KEYWORDS or re.fullmatch(_ASSIGNMENT, word):
                continue
            name = word
            if name not in _READERS:
                return False
        elif not _is_read_argument(name, word):
            return False
    return True


def _is_read_argument(name: str, word: str) -> bool:
    """Return True if the argument of a reader runs no program."""
    if name in _INTERPRETERS and re.fullmatch(_PROGRAM_OPTION, word):
        return False
    if name == "find" and word.startswith(("-exec", "-ok")):
        return False
    inner = re.search(r"\$\((.*)\)", word, re.DOTALL)
    return inner is None or _only_reads(inner[1])


def _split_command(command: str) -> list[str]:
    lexer = shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:  # unbalanced quotes
        return command.split()
