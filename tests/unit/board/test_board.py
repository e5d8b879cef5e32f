"""The files of the message board have an exact format, and their numbers are unique."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from git_hub_session.board.board import Board
from git_hub_session.board.errors import NoHub, NoSuchChannel
from git_hub_session.board.posts import InvalidAuthor, Post, parse_author, parse_post
from git_hub_session.errors import Damaged, HubError
from git_hub_session.system.directory import CannotWrite
from git_hub_session.system.json_file import TooLarge
from tests.support.hub import NOW, Hub, Result, snapshot
from tests.support.interrupt import Template, count_changes, kill_at_changes, run_with_injected_code
from tests.support.stores import run_at_once

TIME_IN_ID = "20260317T143022Z"


@pytest.fixture
def board(hub: Hub) -> Board:
    hub.session()
    return Board(str(hub.top / ".agenthub"))


def board_directory(hub: Hub) -> Path:
    return hub.top / ".agenthub" / "board"


def read_index(hub: Hub) -> Any:
    return json.loads((board_directory(hub) / "_index.json").read_text())


def add_post(board: Board, text: str = "x", channel: str = "results", **fields: Any) -> Post:
    return board.add_post(
        channel, **{"author": "agent-1", "text": text, "session": "", **fields}, now=NOW
    )


def read_like_agenthub(text: str) -> tuple[dict[str, str], str]:
    """Parse a post as AgentHub does: the keys between the first two `---`, and the rest."""
    start, _, rest = text.partition("---")
    head, _, body = rest.partition("---")
    assert start == ""
    lines = [line.split(":", 1) for line in head.splitlines() if ":" in line]
    return {key.strip(): value.strip() for key, value in lines}, body.strip()


# The format


def test_the_exact_format_of_a_post(hub: Hub, board: Board) -> None:
    new_post = add_post(board, "Two\n\n--- lines: é", session="s1", parent="agent-2-result")
    assert new_post == Post(
        "results",
        f"001-agent-1-{TIME_IN_ID}",
        1,
        "agent-1",
        "2026-03-17T14:30:22Z",
        "agent-2-result",
        "s1",
        "Two\n\n--- lines: é",
    )
    assert snapshot(board_directory(hub)) == {
        f"results/001-agent-1-{TIME_IN_ID}.md": b"---\nauthor: agent-1\ntimestamp: 2026-03-17T14:30:22Z\n"
        b"channel: results\nsequence: 1\nparent: agent-2-result\nsession: s1\n---\n\n"
        b"Two\n\n--- lines: \xc3\xa9\n",
        "_index.json": b'{\n  "channels": [\n    "dispatch",\n    "progress",\n    "results"\n  ],\n'
        b'  "counters": {\n    "dispatch": 0,\n    "progress": 0,\n    "results": 1\n  }\n}\n',
    }
    assert board.read("results") == [new_post]


def test_posts_since_a_time(hub: Hub, board: Board) -> None:
    """Older files are not opened, and neither are files without a time."""
    add_post(board, "old")
    fields: dict[str, Any] = {"author": "agent-1", "text": "new", "session": ""}
    second = board.add_post("results", **fields, now=NOW + 1.5)
    (board_directory(hub) / "results" / "agent-1-result.md").write_text("x")
    texts = [[post.text for post in board.read("results", since=NOW + late)] for late in (0, 1, 2)]
    assert texts == [["old", "new"], ["new"], []]
    assert second.timestamp == "2026-03-17T14:30:23Z"


def test_agenthub_reads_a_post(hub: Hub, board: Board) -> None:
    """AgentHub finds the keys and the text, also if the session id contains `---`."""
    file = board_directory(hub) / "results" / add_post(board, "a\n---\nb", session="s1").file_name
    expected = {
        "author": "agent-1",
        "timestamp": "2026-03-17T14:30:22Z",
        "channel": "results",
        "sequence": "1",
        "parent": "null",
    }
    assert read_like_agenthub(file.read_text()) == ({**expected, "session": "s1"}, "a\n---\nb")
    file = board_directory(hub) / "results" / add_post(board, session="s---1").file_name
    keys, body = read_like_agenthub(file.read_text())
    assert (keys | {"sequence": "1", "session": ""}) == expected | {"session": ""}
    assert body.endswith("x")
    assert board.read("results")[1].session == "s---1"


def test_a_post_of_agenthub_is_read_and_its_numbers_continue(hub: Hub, board: Board) -> None:
    (board_directory(hub) / "progress" / "007-coordinator-20260317T143510Z.md").write_text(
        "---\nauthor: the coordinator\ntimestamp: 2026-03-17T14:35:10.123456+00:00\n"
        "channel: progress\nsequence: 7\nparent: 006-agent-1\n---\n\n  Half done.\n"
    )
    (board_directory(hub) / "_index.json").write_text(
        '{"counters": {"progress": 9, "mine": 2}, "x": [1]}'
    )
    assert board.read("progress") == [
        Post(
            "progress",
            "007-coordinator-20260317T143510Z",
            7,
            "the coordinator",
            "2026-03-17T14:35:10.123456+00:00",
            "006-agent-1",
            "",
            "  Half done.",
        )
    ]
    # AgentHub's script increments the counter before it writes: it did not write posts 8 and 9.
    assert add_post(board, channel="progress").id == f"010-agent-1-{TIME_IN_ID}"
    assert read_index(hub) == {
        "channels": ["progress"],
        "counters": {"progress": 10, "mine": 2},
        "x": [1],
    }
    assert board.warnings == []


@pytest.mark.parametrize("author", ["a", "agent-1", "A.b_c", "x" * 64, "1--2"])
def test_valid_authors(author: str) -> None:
    assert parse_author(author) == author


@pytest.mark.parametrize(
    "author",
    ["", ".a", "-a", "a-", "a---b", "a/b", "..", "a b", "a\n", "a\nsequence: 9", "é", "x" * 65],
)
def test_invalid_authors(author: str) -> None:
    with pytest.raises(InvalidAuthor):
        parse_author(author)


@pytest.mark.parametrize(
    ("content", "text", "reason"),
    [
        (b"just text\n", "just text", "no frontmatter"),
        (b"---\nauthor: a\n", "---\nauthor: a", "no frontmatter"),
        (b"", "", "no frontmatter"),
        (b"---\n" + b"x: y\n" * 101 + b"---\n", None, "no frontmatter"),
        (b"\xff", "", "not UTF-8"),
        (b"---\r\nauthor: a\r\n---\r\ntext", "text", ""),
        (b"---\nno colon\n---\n\n\n text \n\n", " text ", ""),
    ],
)
def test_the_reason_of_an_invalid_post(content: bytes, text: str | None, reason: str) -> None:
    parsed = parse_post("results", f"001-a-{TIME_IN_ID}.md", content)
    assert (parsed.sequence, parsed.reason) == (1, reason)
    assert text is None or parsed.text == text


# Numbers


@pytest.mark.slow
def test_50_parallel_posts_have_unique_numbers(hub: Hub, board: Board) -> None:
    """50 processes print different numbers, and no post replaces another post."""
    calls = [
        [
            "board",
            "post",
            ("results", "progress")[number % 2],
            "--author",
            "a",
            "-m",
            f"text {number}",
        ]
        for number in range(50)
    ]
    results = run_at_once(hub, calls)
    assert {(result.code, result.err) for result in results} == {(0, "")}
    outputs = {f"text {number}": result.out for number, result in enumerate(results)}
    for channel in ("results", "progress"):
        posts = board.read(channel)
        assert [post.sequence for post in posts] == [*range(1, 26)]
        assert all(outputs.pop(post.text) == f"Posted {channel}/{post.id}\n" for post in posts)
    assert outputs == {}
    assert read_index(hub)["counters"] == {"dispatch": 0, "progress": 25, "results": 25}


@pytest.mark.slow
def test_a_killed_call_leaves_a_complete_post_or_none(hub: Hub, board: Board) -> None:
    """No number is used twice, even if the index does not have the last number."""
    arguments = ["board", "post", "results", "--author", "killed", "-m", "whole\ntext"]
    hub.worktrees.mkdir()
    template = Template(hub)
    last_authors = set()
    for _ in kill_at_changes(hub, template, arguments, count_changes(hub, *arguments), short=9):
        assert hub.run("board", "post", "results", "--author", "after", "-m", "x").code == 0
        posts = board.read("results")
        assert [post.sequence for post in posts] == [*range(1, len(posts) + 1)]
        assert [(post.author, post.text) for post in posts] in (
            [("after", "x")],
            [("killed", "whole\ntext"), ("after", "x")],
        )
        last_authors.add(posts[0].author)
        assert read_index(hub)["counters"]["results"] == len(posts)
        assert board.warnings == []
        # The later call removed the temporary files of the killed call.
        names = os.listdir(board_directory(hub) / "results")
        assert [name for name in names if name[0] == "."] == []
    assert last_authors == {"killed", "after"}, "no call was killed between the post and the index"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not valid JSON"),
        ("[1]", "not an object"),
        ('{"channels": 3}', "not an index"),
        ('{"counters": [1]}', "not an index"),
        ('{"a":' * 5000, "nested too deeply"),
    ],
)
def test_a_damaged_index_is_rebuilt_from_the_files(
    hub: Hub, board: Board, text: str, reason: str
) -> None:
    for channel, count in (("results", 3), ("progress", 2)):
        for _ in range(count):
            add_post(board, channel=channel)
    (board_directory(hub) / "own").mkdir()
    (board_directory(hub) / "_index.json").write_text(text)
    assert len(board.read("results")) == 3
    assert add_post(board).sequence == 4
    assert read_index(hub) == {
        "channels": ["dispatch", "progress", "results", "own"],
        "counters": {"dispatch": 0, "progress": 2, "results": 4, "own": 0},
    }
    [warning] = board.warnings
    assert warning.startswith("the posts were counted again: _index.json: ")
    assert reason in warning


def test_a_missing_index_is_rebuilt(hub: Hub, board: Board) -> None:
    add_post(board, channel="progress")
    (board_directory(hub) / "_index.json").unlink()
    assert add_post(board).sequence == 1
    assert read_index(hub)["counters"] == {"dispatch": 0, "progress": 1, "results": 1}
    assert board.warnings == []


@pytest.mark.parametrize("count", [True, -1, "7", 1.5, None, 10**12, 10**4000])
def test_an_invalid_counter_is_ignored(hub: Hub, board: Board, count: object) -> None:
    add_post(board)
    (board_directory(hub) / "_index.json").write_text(json.dumps({"counters": {"results": count}}))
    assert add_post(board).sequence == 2
    assert read_index(hub)["counters"] == {"results": 2}


def test_the_largest_number(hub: Hub, board: Board) -> None:
    (board_directory(hub) / "results" / f"999999999-a-{TIME_IN_ID}.md").write_text("---\n---\n")
    assert [add_post(board).sequence for _ in range(3)] == [1, 2, 3]
    assert [post.sequence for post in board.read("results")] == [1, 2, 3, 999_999_999]


def test_numbers_of_different_length_are_sorted(hub: Hub, board: Board) -> None:
    for number in (999, 1000, 10000):
        (board_directory(hub) / "results" / f"{number}-a-{TIME_IN_ID}.md").write_text("---\n---\n")
    (board_directory(hub) / "results" / "2026-03-17-result.md").write_text("no number\n")
    assert add_post(board).id.startswith("10001-")
    assert [post.sequence for post in board.read("results")] == [999, 1000, 10000, 10001, 0]


def test_a_file_system_without_hard_links(hub: Hub, board: Board) -> None:
    fail = "raise PermissionError(1, 'no links here')"
    arguments = ("board", "post", "results", "--author", "a", "-m", "x")
    result = run_with_injected_code(hub, *arguments, code=fail, only="os.link")
    assert result == Result(0, f"Posted results/001-a-{TIME_IN_ID}\n")
    assert [post.text for post in board.read("results")] == ["x"]
    # A file that another process creates just before is kept.
    other_post = board_directory(hub) / "results" / f"002-a-{TIME_IN_ID}.md"
    create_and_fail = f"open('{other_post}', 'x').write('theirs'); {fail}"
    assert run_with_injected_code(hub, *arguments, code=create_and_fail, only="os.link").code == 128
    assert other_post.read_text() == "theirs"
    assert [post.sequence for post in board.read("results")] == [1, 2]


def test_a_post_never_replaces_another_file(hub: Hub, board: Board) -> None:
    """AgentHub's script takes no lock, so that it may create the same file just before."""
    other_post = board_directory(hub) / "results" / f"001-a-{TIME_IN_ID}.md"
    code = f"open('{other_post}', 'x').write('theirs')"
    result = run_with_injected_code(
        hub, "board", "post", "results", "--author", "a", "-m", "x", code=code, only="os.link"
    )
    assert result == Result(
        128,
        "",
        f"fatal: cannot write '{board_directory(hub)}/results': File exists\nhint: nothing was changed\n",
    )
    assert other_post.read_text() == "theirs"
    assert add_post(board).sequence == 2


def test_a_post_is_kept_if_the_index_cannot_be_written(hub: Hub, board: Board) -> None:
    fail = "raise OSError(28, 'No space left on device')"
    result = run_with_injected_code(
        hub, "board", "post", "results", "--author", "a", "-m", "x", code=fail, only="os.rename"
    )
    assert result == Result(
        0,
        f"Posted results/001-a-{TIME_IN_ID}\n",
        "warning: _index.json cannot be written: No space left on device\n",
    )
    assert read_index(hub)["counters"]["results"] == 0
    assert add_post(board).sequence == 2
    assert read_index(hub)["counters"]["results"] == 2


# Links and files that came with the repository


@pytest.mark.parametrize("name", [".agenthub", ".agenthub/board", ".agenthub/board/results"])
def test_no_link_is_followed(hub: Hub, board: Board, tmp_path: Path, name: str) -> None:
    path = hub.top / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    before = snapshot(tmp_path / "elsewhere")
    with pytest.raises(Damaged, match="symbolic link"):
        board.read("results")
    with pytest.raises(Damaged, match="symbolic link"):
        add_post(board)
    assert snapshot(tmp_path / "elsewhere") == before


def test_a_link_in_the_place_of_the_index_or_of_a_temporary_file(
    hub: Hub, board: Board, tmp_path: Path
) -> None:
    add_post(board)
    other = tmp_path / "other"
    other.write_text('{"counters": {"results": 99}}')
    (board_directory(hub) / "_index.json").unlink()
    (board_directory(hub) / "_index.json").symlink_to(other)
    (board_directory(hub) / "results" / ".new.tmp").symlink_to(other)
    assert add_post(board).sequence == 2
    assert other.read_text() == '{"counters": {"results": 99}}'
    assert not (board_directory(hub) / "_index.json").is_symlink()
    assert (board_directory(hub) / "_index.json").stat().st_mode & 0o022 == 0
    assert read_index(hub)["counters"]["results"] == 2
    assert "symbolic link" in board.warnings[0]


def test_an_invalid_post_does_not_prevent_reading_others(
    hub: Hub, board: Board, tmp_path: Path
) -> None:
    add_post(board, "first")
    results = board_directory(hub) / "results"
    os.mkfifo(results / f"002-fifo-{TIME_IN_ID}.md")
    (tmp_path / "secret").write_text("---\nauthor: x\n---\nsecret\n")
    (results / f"003-link-{TIME_IN_ID}.md").symlink_to(tmp_path / "secret")
    with open(results / f"004-huge-{TIME_IN_ID}.md", "wb") as file:
        file.truncate((1 << 20) + 1)
    (results / f"005-directory-{TIME_IN_ID}.md").mkdir()
    (results / "merge-summary.md").write_text("Agent 2 won.\n")
    (results / "agent-10-result.md").write_text("---\nauthor: agent-10\n---\nten\n")
    (results / "agent-9-result.md").write_bytes(b"\xff")
    (results / ".hidden.md").write_text("x")
    (results / "notes.txt").write_text("x")
    (board_directory(hub) / "loose").symlink_to(tmp_path)
    assert add_post(board, "last").sequence == 6
    assert [
        (post.id, post.text, post.reason.rpartition(": ")[2]) for post in board.read("results")
    ] == [
        (f"001-agent-1-{TIME_IN_ID}", "first", ""),
        (f"002-fifo-{TIME_IN_ID}", "", "not a regular file"),
        (f"003-link-{TIME_IN_ID}", "", "links in the hub are not followed"),
        (f"004-huge-{TIME_IN_ID}", "", "larger than 1048576 bytes"),
        (f"005-directory-{TIME_IN_ID}", "", "not a regular file"),
        (f"006-agent-1-{TIME_IN_ID}", "last", ""),
        ("agent-9-result", "", "not UTF-8"),
        ("agent-10-result", "ten", ""),
        ("merge-summary", "Agent 2 won.", ""),
    ]
    # A channel that is a link is listed, and the other channels are read.
    assert [
        (channel.name, channel.posts, channel.reason != "") for channel in board.channels()
    ] == [
        ("dispatch", 0, False),
        ("progress", 0, False),
        ("results", 9, False),
        ("loose", 0, True),
    ]
    assert board.find_post("merge").id == "merge-summary"
    (board_directory(hub) / "_index.json").write_text("{")
    assert [channel.posts for channel in board.channels()] == [0, 0, 9, 0]


def test_a_reply_to_an_unsafe_id_is_refused(board: Board) -> None:
    for parent in ("x\nauthor: root", "a---b", "", "é", " x"):
        if parent:
            with pytest.raises(HubError, match="invalid post id for a reply"):
                add_post(board, parent=parent)
    assert board.read("results") == []


def test_invalid_channel_names(hub: Hub, board: Board, tmp_path: Path) -> None:
    """Invalid names in the index are ignored."""
    names = ["../..", "/tmp", "a/b", ".", "..", ".git", "a\nb", "a---b", "", 3, None, "new one"]
    (board_directory(hub) / "_index.json").write_text(json.dumps({"channels": names}))
    valid_names = ["new one", "dispatch", "progress", "results"]
    assert [channel.name for channel in board.channels()] == valid_names
    before = snapshot(tmp_path)
    for name in map(str, names[:-1]):
        with pytest.raises(NoSuchChannel):
            add_post(board, channel=name)
        with pytest.raises(NoSuchChannel):
            board.read(name)
    assert snapshot(tmp_path) == before
    assert add_post(board, channel="new one").sequence == 1


# Missing and unwritable boards, searches


def test_the_first_post_creates_the_board(hub: Hub) -> None:
    board = Board(str(hub.top / ".agenthub"))
    with pytest.raises(NoHub):
        board.channels()
    with pytest.raises(NoHub):
        add_post(board)
    assert not (hub.top / ".agenthub").exists()
    (hub.top / ".agenthub" / "sessions").mkdir(parents=True)
    assert [channel.name for channel in board.channels()] == ["dispatch", "progress", "results"]
    assert board.read("results") == board.recent_posts("s1", 3) == []
    assert board.find_last_post("results", session="s1", author="a") is None
    with pytest.raises(NoSuchChannel):
        board.read("nope")
    assert not board_directory(hub).exists()
    assert add_post(board).sequence == 1
    assert sorted(path.name for path in board_directory(hub).iterdir()) == [
        "_index.json",
        "dispatch",
        "progress",
        "results",
    ]


def test_the_largest_post(hub: Hub, board: Board) -> None:
    before = snapshot(board_directory(hub))
    with pytest.raises(TooLarge):
        add_post(board, "x" * (1 << 20))
    with pytest.raises(HubError, match="not UTF-8"):
        add_post(board, "\udcff")
    assert snapshot(board_directory(hub)) == before
    large = "x" * ((1 << 20) - 200)
    assert add_post(board, large) == board.read("results")[0]


def test_a_board_that_cannot_be_written(hub: Hub, board: Board) -> None:
    (board_directory(hub) / "results").rmdir()
    (board_directory(hub) / "results").write_text("a file")
    with pytest.raises(CannotWrite, match="Not a directory"):
        add_post(board)
    assert read_index(hub)["counters"]["results"] == 0


def test_the_last_post_of_an_author(board: Board) -> None:
    add_post(board, "one", session="s1", author="coordinator")
    second = add_post(board, "two", session="s1", author="coordinator")
    add_post(board, "three", session="s2", author="coordinator")
    add_post(board, "four", session="s1")
    add_post(board, "five", "progress", session="s1", author="coordinator")
    assert board.find_last_post("results", session="s1", author="coordinator") == second
    assert board.find_last_post("results", session="s3", author="coordinator") is None


def test_the_newest_posts_of_a_session(hub: Hub, board: Board) -> None:
    """The posts of all channels are sorted by time. Only the newest files of a large board are read."""
    for number, (channel, session) in enumerate(
        [
            ("results", "s1"),
            ("progress", "s1"),
            ("dispatch", "s2"),
            ("results", "s1"),
            ("dispatch", "s1"),
        ]
    ):
        board.add_post(channel, author="a", text=str(number), session=session, now=NOW + number)
    (board_directory(hub) / "results" / "by-hand.md").write_text("---\nsession: s1\n---\nby hand\n")
    assert [post.text for post in board.recent_posts("s1", 3)] == ["4", "3", "1"]
    assert [post.text for post in board.recent_posts("s1", 9)] == ["4", "3", "1", "0", "by hand"]
    assert [post.text for post in board.recent_posts("s2", 3)] == ["2"]
    assert board.recent_posts("", 0) == []
    for number in range(300):
        name = f"{number + 10:03d}-a-20270101T000000Z.md"
        (board_directory(hub) / "progress" / name).write_text("---\nsession: s3\n---\n")
    assert board.recent_posts("s1", 3) == []
    assert [post.sequence for post in board.recent_posts("s3", 2)] == [309, 308]
