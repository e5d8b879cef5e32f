"""Parse the commits that a rebase copies."""

from __future__ import annotations

import pytest

from git_hub_session.merge.replay import CommitText, parse_commit

TREE = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"
COMMITTER = b"committer B <b@x> 1 +0000\n"


@pytest.mark.parametrize(
    ("author", "headers", "message", "expected"),
    [
        (b"A B <a@x> 12 +0100", b"", b"m\n", (b"A B", b"a@x", b"12 +0100", "utf-8", b"m\n")),
        (b" <> -1 -0000", b"", b"", (b"", b"", b"-1 -0000", "utf-8", b"")),
        (b"\xe9 <a> 1 +0000", b"", b"\xff", (b"\xe9", b"a", b"1 +0000", "utf-8", b"\xff")),
        (
            *(b"\xe9 <a> 1 +0000", b"encoding latin1\n", b"\xe9\n\nx\n\n"),
            ("é".encode(), b"a", b"1 +0000", "utf-8", "é\n\nx\n\n".encode()),
        ),
        (
            *(b"\xe9 <a> 1 +0000", b"encoding no-such\n", b"\xe9"),
            (b"\xe9", b"a", b"1 +0000", "no-such", b"\xe9"),
        ),
        (
            b"A <a> 1 +0000",
            b"gpgsig x\n author F <f> 2 +0000\n",
            b"",
            (b"A", b"a", b"1 +0000", "utf-8", b""),
        ),
    ],
)
def test_commit(
    author: bytes, headers: bytes, message: bytes, expected: tuple[object, ...]
) -> None:
    data = TREE + b"author " + author + b"\n" + COMMITTER + headers + b"\n" + message
    assert parse_commit(data) == CommitText(*expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("line", [b"", b"author A <a@x> soon\n", b"author A 1 +0000\n"])
def test_author_that_is_not_valid(line: bytes) -> None:
    assert parse_commit(TREE + line + COMMITTER + b"\nm") is None
