"""Match paths against gitignore patterns. The caller reads the files.

libgit2 has its own implementation. It drops a pattern `!name` that negates no pattern of the same
file. It then reports a file as ignored that git shows as untracked.
Sources: gitignore(5), git's dir.c and wildmatch.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.git.safe_open import MAX_BYTES

# Compiling a pattern takes 0.1 ms. The limit bounds the time that a hostile file can take.
_MAX_LINES = 20_000

_CLASSES = {
    b"alnum": b"0-9A-Za-z",
    b"alpha": b"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": b"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": b"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"!-/:-@\[-`{-~",
    b"space": rb" \t-\r",
    b"upper": b"A-Z",
    b"xdigit": b"0-9A-Fa-f",
}
_NOTHING = rb"(?!)"
_WILDCARD = re.compile(rb"[*?\[\\]")
# The wildcards as regular expressions. Each one matches as little as possible.
_WITHIN = rb"[^/]*?"
_ACROSS = rb".*?"
_DIRECTORIES = rb"(?:.*?/)??"


class IgnoreFileTooLarge(HubError):
    """An ignore file has too many lines or bytes."""

    code = "too-many-rules"

    def __init__(self) -> None:
        super().__init__(
            f"ignore file too large (limit: {_MAX_LINES:,} lines or {MAX_BYTES >> 20} MiB)"
        )


class IgnorePattern(NamedTuple):
    """One line of an ignore file. It applies below the directory of the file."""

    pattern: re.Pattern[bytes]
    negative: bool
    directories_only: bool
    whole_path: bool
    """True if the pattern matches the path, False if it matches the name of the file."""


def parse_ignore_file(text: bytes, *, ignore_case: bool = False) -> list[IgnorePattern]:
    """Parse an ignore file. Return the last line first, because the last match decides.

    Raises:
        IgnoreFileTooLarge: the text has too many lines or bytes.
    """
    if len(text) > MAX_BYTES or text.count(b"\n") > _MAX_LINES:
        raise IgnoreFileTooLarge
    lines = map(_trim, text.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    patterns = [
        _parse_pattern(line, ignore_case=ignore_case)
        for line in lines
        if line and not line.startswith(b"#")
    ]
    return patterns[::-1]


def _trim(line: bytes) -> bytes:
    """Remove a CR at the end, then the spaces at the end that no backslash escapes."""
    line = line.removesuffix(b"\r")
    if line.startswith(b"#"):
        return line
    trimmed = line.rstrip(b" ")
    backslashes = len(trimmed) - len(trimmed.rstrip(b"\\"))
    return line[: len(trimmed) + 1] if backslashes % 2 and trimmed != line else trimmed


def _parse_pattern(line: bytes, *, ignore_case: bool) -> IgnorePattern:
    negative = line.startswith(b"!")
    pattern = line[1:] if negative else line
    directories_only = pattern.endswith(b"/")
    pattern = pattern.removesuffix(b"/")
    whole_path = b"/" in pattern
    regex = _to_regex(pattern.removeprefix(b"/"), whole_path=whole_path, negative=negative)
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    return IgnorePattern(re.compile(regex, flags), negative, directories_only, whole_path)


def _to_regex(pattern: bytes, *, whole_path: bool, negative: bool) -> bytes:
    """Translate a pattern to a regular expression. In a whole path, only `**` matches a '/'."""
    tokens: list[bytes] = []
    position = 0
    while position < len(pattern):
        char = pattern[position : position + 1]
        if char == b"*" and whole_path:
            token, position = _stars_to_regex(pattern, position, negative=negative)
        elif char == b"*":
            token = _ACROSS
            position = _end_of_stars(pattern, position)
        elif char == b"[":
            token, position = _bracket_to_regex(pattern, position + 1, whole_path=whole_path)
        elif char == b"?":
            token = rb"[^/]" if whole_path else rb"."
            position += 1
        else:
            position += char == b"\\"
            token = re.escape(pattern[position : position + 1]) or _NOTHING
            position += 1
        tokens.append(token)
    return _chain_atomically(tokens, (_ACROSS, _DIRECTORIES), (_WITHIN,))


def _end_of_stars(pattern: bytes, start: int) -> int:
    end = start
    while pattern[end : end + 1] == b"*":
        end += 1
    return end


def _stars_to_regex(pattern: bytes, start: int, *, negative: bool) -> tuple[bytes, int]:
    """Translate the stars at `start`, and the '/' after `**`. Return the result and its end.

    git matches `**` across directories at the start of a component. Before 2.52, git compared the
    text before the first wildcard separately and then started again: `foo**/bar` matched `foobar`.
    Use the reading that ignores fewer files. A negative pattern therefore matches as many paths as
    the old git would match.
    """
    end = _end_of_stars(pattern, start)
    is_start = start == 0 or pattern[start - 1 : start] == b"/"
    is_start = is_start or (negative and not _WILDCARD.search(pattern, 0, start))
    if end - start == 1 or not is_start:
        return _WITHIN, end
    if end == len(pattern) or pattern[end : end + 2] == b"\\/":
        return _ACROSS, end
    if pattern[end : end + 1] == b"/":
        return _DIRECTORIES, end + 1
    return _WITHIN, end


def _chain_atomically(
    tokens: list[bytes],
    wildcards: Sequence[bytes],
    *inner: Sequence[bytes],
    to_the_end: bool = True,
) -> bytes:
    """Join the tokens to one expression that avoids exponential backtracking.

    A wildcard and the tokens up to the next wildcard form an atomic group. The wildcard matches
    as little as possible, and is never retried: the next wildcard can match whatever this one did
    not. The last group is not atomic if it has to match up to the end of the text (`to_the_end`).
    `inner` are wildcards that match less. They are chained in the same way inside each group.
    """
    chunks: list[list[bytes]] = [[]]
    for token in tokens:
        if token in wildcards:
            chunks.append([])
        chunks[-1].append(token)
    first, *others = (
        _chain_atomically(chunk, *inner, to_the_end=to_the_end and chunk is chunks[-1])
        if inner
        else b"".join(chunk)
        for chunk in chunks
    )
    last = others.pop() if others and to_the_end else b""
    return b"".join([first, *(b"(?>%s)" % other for other in others), last])


def _bracket_to_regex(pattern: bytes, start: int, *, whole_path: bool) -> tuple[bytes, int]:
    """Translate the bracket expression whose '[' is before `start`. Return it and its end.

    A pattern with an invalid or unterminated bracket expression matches nothing.
    """
    is_negative = pattern[start : start + 1] in (b"!", b"^")
    try:
        members, end = _parse_members(pattern, start + is_negative)
    except (ValueError, LookupError):
        return _NOTHING, len(pattern)
    no_slash = rb"(?!/)" if whole_path else b""
    return b"%s[%s%s]" % (no_slash, b"^" if is_negative else b"", members), end


def _parse_members(pattern: bytes, start: int) -> tuple[bytes, int]:
    """Translate the members of a bracket expression up to its ']', and return the end.

    Raises:
        ValueError: a class name has no end.
        LookupError: the expression has no end, or an unknown class.
    """
    members: list[bytes] = []
    low = -1  # the character from which a '-' would start a range
    position = start
    while position == start or pattern[position : position + 1] != b"]":
        if pattern[position : position + 2] == b"[:":
            end = pattern.index(b"]", position + 2)
            if pattern[end - 1 : end] == b":" and end > position + 2:
                members.append(_CLASSES[pattern[position + 2 : end - 1]])
                low = -1
                position = end + 1
                continue
        is_range = pattern[position : position + 1] == b"-" and low >= 0
        is_range = is_range and pattern[position + 1 : position + 2] not in (b"", b"]")
        position += is_range
        position += pattern[position : position + 1] == b"\\"
        code = pattern[position]
        if not is_range:
            members.append(rb"\x%02x" % code)
        elif low <= code:
            members.append(rb"\x%02x-\x%02x" % (low, code))
        low = -1 if is_range else code
        position += 1
    return b"".join(members), position + 1


class IgnoreRules:
    """The ignore patterns that apply to one worktree. Paths are bytes, relative to its top."""

    def __init__(
        self,
        read_file: Callable[[bytes], bytes],
        global_files: Sequence[bytes],
        *,
        ignore_case: bool,
    ) -> None:
        """Parse the global ignore files. A .gitignore file is parsed when it is first needed.

        Args:
            read_file: returns the text of a .gitignore file, or b'' if it does not exist.
            global_files: the texts of core.excludesFile and info/exclude, in this order.
            ignore_case: the value of core.ignoreCase.
        """
        self._read_file = read_file
        self._ignore_case = ignore_case
        self._global_patterns = [self._parse(text) for text in reversed(global_files)]
        self._patterns: dict[bytes, list[IgnorePattern]] = {}
        self._ignored_directories: dict[bytes, bool] = {b"": False}

    def _parse(self, text: bytes) -> list[IgnorePattern]:
        return parse_ignore_file(text, ignore_case=self._ignore_case)

    def is_ignored(self, path: bytes) -> bool:
        """Return True if the file at `path` is ignored. The file must not be in the index."""
        parent = path.rpartition(b"/")[0]
        return self.is_directory_ignored(parent) or self._match(path, is_directory=False)

    def is_directory_ignored(self, path: bytes) -> bool:
        """Return True if the directory at `path` is ignored."""
        unknown: list[bytes] = []
        ancestor = path
        while ancestor not in self._ignored_directories:
            unknown.append(ancestor)
            ancestor = ancestor.rpartition(b"/")[0]
        ignored = self._ignored_directories[ancestor]
        for directory in reversed(unknown):
            # No pattern can re-include a file in an ignored directory.
            ignored = ignored or self._match(directory, is_directory=True)
            self._ignored_directories[directory] = ignored
        return ignored

    def _match(self, path: bytes, *, is_directory: bool) -> bool:
        """Return True if the first match ignores the path. Search the nearest .gitignore first."""
        directory = path
        while directory:
            directory = directory.rpartition(b"/")[0]
            prefix = directory + b"/" if directory else b""
            if directory not in self._patterns:
                self._patterns[directory] = self._parse(self._read_file(prefix + b".gitignore"))
            patterns = self._patterns[directory]
            match = _first_match(patterns, path[len(prefix) :], is_directory=is_directory)
            if match is not None:
                return not match.negative
        for patterns in self._global_patterns:
            match = _first_match(patterns, path, is_directory=is_directory)
            if match is not None:
                return not match.negative
        return False


def _first_match(
    patterns: Sequence[IgnorePattern], path: bytes, *, is_directory: bool
) -> IgnorePattern | None:
    name = path.rpartition(b"/")[2]
    for pattern in patterns:
        subject = path if pattern.whole_path else name
        may_match = is_directory or not pattern.directories_only
        if may_match and pattern.pattern.fullmatch(subject):
            return pattern
    return None
