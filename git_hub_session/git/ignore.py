"""git's rules of what is ignored, as pure functions of the texts of its files.

Not libgit2's: that throws away a literal `!name` which negates nothing in its own file, and
so calls a file ignored that git shows as untracked. Source: gitignore(5), git's dir.c and
wildmatch.c. A test holds each answer against git's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import HubError

MAX_BYTES = 1 << 20  # bytes of a file of rules
# Each becomes a pattern, which takes 0.1 ms: a file made to take for ever is not read.
_MOST_RULES = 20_000

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
_WILD = re.compile(rb"[*?\[\\]")
# What a wildcard takes, the least first.
_WITHIN = rb"[^/]*?"
_ACROSS = rb".*?"
_DIRECTORIES = rb"(?:.*?/)??"


class IgnoreFileTooLarge(HubError):
    """A file of rules that nobody can have meant."""

    code = "too-many-rules"

    def __init__(self) -> None:
        super().__init__(
            f"rules of what is ignored: more than {_MOST_RULES}, or than {MAX_BYTES} bytes"
        )


class IgnorePattern(NamedTuple):
    """One line: what it matches, below the directory of its file."""

    pattern: re.Pattern[bytes]
    negative: bool
    directories_only: bool
    whole_path: bool
    """Whether the path is matched, not the name alone."""


def parse_ignore_file(text: bytes, *, ignore_case: bool = False) -> list[IgnorePattern]:
    """The rules in the text of a .gitignore file, the last one first: that is the one which counts; raises TooManyRules."""
    if len(text) > MAX_BYTES or text.count(b"\n") > _MOST_RULES:
        raise IgnoreFileTooLarge
    lines = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    rules = [
        _parse_pattern(line, ignore_case=ignore_case)
        for line in map(_trim, lines)
        if line and not line.startswith(b"#")
    ]
    return rules[::-1]


def _trim(line: bytes) -> bytes:
    """Without a CR at the end, and without the spaces there that no backslash protects."""
    line = line.removesuffix(b"\r")
    if line.startswith(b"#"):
        return line
    kept = line.rstrip(b" ")
    slashes = len(kept) - len(kept.rstrip(b"\\"))
    return line[: len(kept) + 1] if slashes % 2 and kept != line else kept


def _parse_pattern(line: bytes, *, ignore_case: bool) -> IgnorePattern:
    negative = line.startswith(b"!")
    pattern = line[1:] if negative else line
    directories_only = pattern.endswith(b"/")
    pattern = pattern.removesuffix(b"/")
    whole_path = b"/" in pattern
    return IgnorePattern(
        re.compile(
            _to_regex(pattern.removeprefix(b"/"), whole_path=whole_path, negative=negative),
            re.DOTALL | (re.IGNORECASE if ignore_case else 0),
        ),
        negative,
        directories_only,
        whole_path,
    )


def _to_regex(pattern: bytes, *, whole_path: bool, negative: bool) -> bytes:
    """The pattern as a regular expression; in a whole path only `**` crosses a '/'.

    Before git 2.52 `foo**/bar` matched `foobar`: what comes before the first wildcard was compared
    by itself, and the rest started anew. Of both readings this takes the one that ignores less.
    """
    one, many = (rb"[^/]", _WITHIN) if whole_path else (rb".", _ACROSS)
    tokens: list[bytes] = []
    at = 0
    while at < len(pattern):
        char = pattern[at : at + 1]
        if char == b"*":
            stars = at
            while pattern[at : at + 1] == b"*":
                at += 1
            starts = stars == 0 or pattern[stars - 1 : stars] == b"/"
            starts = starts or (negative and not _WILD.search(pattern[:stars]))
            if not (whole_path and at - stars > 1 and starts):
                tokens.append(many)
            elif at == len(pattern) or pattern[at : at + 2] == b"\\/":
                tokens.append(_ACROSS)
            elif pattern[at : at + 1] == b"/":
                tokens.append(_DIRECTORIES)
                at += 1
            else:
                tokens.append(many)
        elif char == b"[":
            found, at = _bracket_to_regex(pattern, at + 1, whole_path=whole_path)
            tokens.append(found)
        elif char == b"?":
            tokens.append(one)
            at += 1
        else:
            at += char == b"\\"
            tokens.append(re.escape(pattern[at : at + 1]) or _NOTHING)
            at += 1
    return _chain_atomically(tokens, (_ACROSS, _DIRECTORIES), (_WITHIN,))


def _chain_atomically(
    tokens: list[bytes],
    wildcards: Sequence[bytes],
    *inner: Sequence[bytes],
    to_the_end: bool = True,
) -> bytes:
    """The tokens as one expression that does not try what cannot help.

    Each wildcard takes as little as lets what follows it match, up to the next one, and is
    not asked again: what it could take more, the next can take. Only the last has to reach
    the end. `inner` are wildcards that cross less, chained by themselves between the others.
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


def _bracket_to_regex(pattern: bytes, at: int, *, whole_path: bool) -> tuple[bytes, int]:
    """The set whose '[' stands before `at` as an expression, and where it ends; one without end matches nothing."""
    negative = pattern[at : at + 1] in (b"!", b"^")
    at += negative
    parts: list[bytes] = []
    first, low = True, -1  # `low` is what a '-' would start a range from
    while first or pattern[at : at + 1] != b"]":
        first = False
        if at >= len(pattern):
            return _NOTHING, at
        if pattern[at : at + 2] == b"[:":
            end = pattern.find(b"]", at + 2)
            name = pattern[at + 2 : end - 1]
            if end < 0:
                return _NOTHING, len(pattern)
            if pattern[end - 1 : end] == b":" and end > at + 2:
                if name not in _CLASSES:
                    return _NOTHING, len(pattern)
                parts.append(_CLASSES[name])
                at, low = end + 1, -1
                continue
        is_range = pattern[at : at + 1] == b"-" and low >= 0
        is_range = is_range and pattern[at + 1 : at + 2] not in (b"", b"]")
        at += is_range
        if pattern[at : at + 1] == b"\\":
            at += 1
        if at >= len(pattern):
            return _NOTHING, at
        code = pattern[at]
        if is_range:
            if low <= code:
                parts.append(rb"\x%02x-\x%02x" % (low, code))
            low = -1
        else:
            parts.append(rb"\x%02x" % code)
            low = code
        at += 1
    inside = b"".join(parts)
    found = b"[%s%s]" % (b"^" if negative else b"", inside)
    return (rb"(?!/)" if whole_path else b"") + found, at + 1


class IgnoreRules:
    """What is ignored in one worktree. Paths are bytes, relative to its top."""

    def __init__(
        self, read: Callable[[bytes], bytes], everywhere: Sequence[bytes], *, ignore_case: bool
    ) -> None:
        """`read` gives the text of a .gitignore file ('' where there is none), `everywhere` are
        the texts of core.excludesFile and info/exclude, the latter last."""
        self._read = read
        self._ignore_case = ignore_case
        self._everywhere = [self._rules(text) for text in reversed(everywhere)]
        self._below: dict[bytes, list[IgnorePattern]] = {}
        self._directories: dict[bytes, bool] = {b"": False}

    def _rules(self, text: bytes) -> list[IgnorePattern]:
        return parse_ignore_file(text, ignore_case=self._ignore_case)

    def is_ignored(self, path: bytes) -> bool:
        """Whether the file at `path`, which is not in the index, is ignored."""
        parent = path.rpartition(b"/")[0]
        return self._is_directory_ignored(parent) or self._match(path, directory=False)

    def _is_directory_ignored(self, path: bytes) -> bool:
        unknown: list[bytes] = []
        while path not in self._directories:
            unknown.append(path)
            path = path.rpartition(b"/")[0]
        ignored = self._directories[path]
        for below in reversed(unknown):
            # What lies in an ignored directory is ignored, whatever rules lie there.
            ignored = ignored or self._match(below, directory=True)
            self._directories[below] = ignored
        return ignored

    def _match(self, path: bytes, *, directory: bool) -> bool:
        base = path
        while base:
            base = base.rpartition(b"/")[0]
            prefix = base + b"/" if base else b""
            if base not in self._below:
                self._below[base] = self._rules(self._read(prefix + b".gitignore"))
            rule = _first_match(self._below[base], path[len(prefix) :], directory=directory)
            if rule is not None:
                return not rule.negative
        for rules in self._everywhere:
            rule = _first_match(rules, path, directory=directory)
            if rule is not None:
                return not rule.negative
        return False


def _first_match(
    rules: Sequence[IgnorePattern], path: bytes, *, directory: bool
) -> IgnorePattern | None:
    name = path.rpartition(b"/")[2]
    for rule in rules:
        if (directory or not rule.directories_only) and rule.pattern.fullmatch(
            path if rule.whole_path else name
        ):
            return rule
    return None
