"""`board`: list channels, read posts, post and reply. `status` shows the newest posts."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from tests.support.hub import NOW, Hub, Result, snapshot

STAMP = "20260317T143022Z"
FIRST, SECOND = f"001-coordinator-{STAMP}", f"002-agent-1-{STAMP}"


def channel_directory(hub: Hub, name: str = "results") -> Path:
    """Return the directory of a channel."""
    return hub.top / ".agenthub" / "board" / name


def add_two_posts(hub: Hub) -> None:
    """Post as the coordinator, and reply as agent-1 from its worktree."""
    hub.session(agents=1)
    post_arguments = ("post", "results", "--session", "s1", "-m", "Who is\n\x1b[2J fast?")
    assert hub.run("board", *post_arguments) == Result(0, f"Posted results/{FIRST}\n")
    reply_arguments = ("reply", "001", "-m", "I am.")
    assert hub.run("board", *reply_arguments, cwd=hub.worktree(1)) == Result(
        0, f"Posted results/{SECOND}\n"
    )


def post_fields(number: int, author: str, text: str, **fields: Any) -> dict[str, Any]:
    """Return the JSON fields of a post in `results`."""
    default = {
        "post": f"{number:03d}-{author}-{STAMP}",
        "channel": "results",
        "sequence": number,
        "author": author,
        "timestamp": "2026-03-17T14:30:22Z",
        "parent": None,
        "session": "s1",
        "reason": None,
        "text": text,
    }
    return {**default, **fields}


def test_list_of_channels(hub: Hub) -> None:
    add_two_posts(hub)
    expected = Result(
        0,
        "CHANNEL   POSTS  LAST POST\n"
        "dispatch      0  -\n"
        "progress      0  -\n"
        f"results       2  {SECOND}  2 minutes ago: I am.\n",
    )
    assert hub.run("board", now=NOW + 120) == expected
    assert hub.run("board", "list", now=NOW + 120) == expected
    assert hub.run("board", "list", "-q", now=NOW + 120, cwd=hub.worktree(1)) == expected
    empty = {"posts": 0, "last": None, "reason": None}
    last = post_fields(2, "agent-1", "I am.", parent=FIRST)
    assert hub.json("board") == {
        "channels": [
            {"channel": "dispatch", **empty},
            {"channel": "progress", **empty},
            {"channel": "results", "posts": 2, "last": last, "reason": None},
        ]
    }
    assert hub.run("board", "--format=porcelain").out == (
        "channel dispatch\nposts 0\n\nchannel progress\nposts 0\n\n"
        f"channel results\nposts 2\nlast {SECOND}\n\n"
    )


def test_posts_of_a_channel(hub: Hub) -> None:
    """Control characters in posts are escaped."""
    add_two_posts(hub)
    assert hub.run("board", "read", "results") == Result(
        0,
        f"{FIRST}  (by coordinator, 0 seconds ago, session s1)\n"
        "    Who is\n"
        "    \\x1b[2J fast?\n"
        "\n"
        f"{SECOND}  (by agent-1, 0 seconds ago, session s1, in reply to {FIRST})\n"
        "    I am.\n",
    )
    assert hub.json("board", "read", "results") == {
        "channel": "results",
        "posts": [
            post_fields(1, "coordinator", "Who is\n\x1b[2J fast?"),
            post_fields(2, "agent-1", "I am.", parent=FIRST),
        ],
    }
    assert hub.run("board", "read", "results", "-z").out.split("\0\0")[1].split("\0") == [
        f"post {SECOND}",
        "channel results",
        "sequence 2",
        "author agent-1",
        "timestamp 2026-03-17T14:30:22Z",
        f"parent {FIRST}",
        "session s1",
        "text I am.",
    ]
    assert hub.run("board", "read", "progress") == Result(0, "", "no posts in 'progress'\n")
    assert hub.run("board", "read", "progress", "-q") == Result(0)


def test_dry_run_of_a_post(hub: Hub) -> None:
    """The output is like that of `read`, the errors are those of `post`, and nothing is written."""
    add_two_posts(hub)
    before = snapshot(hub.top)
    assert hub.run("board", "post", "-n", "progress", "-m", "Half\n\x1b[2J done.") == Result(
        0, f"Would post progress/{FIRST}  (by coordinator)\n    Half\n    \\x1b[2J done.\n"
    )
    third = f"003-agent-1-{STAMP}"
    reply = ("board", "reply", "--dry-run", "001", "-m", "So am I.")
    assert hub.run(*reply, cwd=hub.worktree(1)) == Result(
        0,
        f"Would post results/{third}  (by agent-1, session s1, in reply to {FIRST})\n    So am I.\n",
    )
    assert hub.run(*reply, "-q") == Result(0)
    assert hub.json(*reply, cwd=hub.worktree(1)) == {
        **post_fields(3, "agent-1", "So am I.", parent=FIRST),
        "dry_run": True,
    }
    assert hub.run("board", "post", "-n", "resluts", "-m", "x").code == 128
    assert snapshot(hub.top) == before


def test_dry_run_does_not_create_the_board(hub: Hub) -> None:
    hub.session()
    rmtree(hub.top / ".agenthub" / "board")
    before = snapshot(hub.top)
    preview = f"Would post results/{FIRST}  (by coordinator)\n    first\n"
    assert hub.run("board", "post", "-n", "results", "-m", "first") == Result(0, preview)
    assert hub.run("board", "post", "-n", "resluts", "-m", "first") == Result(
        128,
        "",
        "fatal: no such channel: 'resluts'\nhint: the channels are dispatch, progress, results\n"
        "hint: to create it: git hub-session board create resluts\n",
    )
    assert snapshot(hub.top) == before


def test_posts_of_a_session(hub: Hub) -> None:
    add_two_posts(hub)
    hub.session("s2")
    hub.run("board", "post", "results", "--session", "s2", "-m", "another")
    hub.run("board", "post", "results", "-m", "of none")
    filtered = hub.json("board", "read", "results", "--session", "s2")
    assert filtered["posts"] == [post_fields(3, "coordinator", "another", session="s2")]
    assert hub.json("board", "read", "results")["posts"][3]["session"] is None
    assert hub.run("board", "read", "results", "--session", "nope").code == 128


def test_files_without_a_number_come_last(hub: Hub) -> None:
    add_two_posts(hub)
    (channel_directory(hub) / "agent-1-result.md").write_text("# Result\n\n12 ms\n")
    (channel_directory(hub) / "agent-2-result.md").write_text("---\nauthor: agent-2\n---\n\n9 ms\n")
    result = hub.run("board", "read", "results")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[6:] == [
        "",
        "agent-1-result",
        "    # Result",
        "",
        "    12 ms",
        "",
        "agent-2-result  (by agent-2)",
        "    9 ms",
    ]
    assert hub.run("board").out.splitlines()[3].startswith(f"results       4  {SECOND}")
    hub.run("board", "reply", "agent-2", "-m", "well done")
    assert hub.json("board", "read", "results")["posts"][2] == post_fields(
        3, "coordinator", "well done", parent="agent-2-result", session=None
    )


def test_invalid_post_is_reported(hub: Hub) -> None:
    add_two_posts(hub)
    os.mkfifo(channel_directory(hub) / f"003-\x1b[2J-{STAMP}.md")
    channel_directory(hub, "progress").rmdir()
    channel_directory(hub, "progress").symlink_to(hub.top)
    result = hub.run("board", "read", "results")
    assert (result.code, len(result.out.splitlines())) == (1, 8)
    assert result.out.splitlines()[7].startswith(f"003-\\x1b[2J-{STAMP}  (not a post: ")
    assert result.err == (f"error: '003-\\x1b[2J-{STAMP}.md' is not a post: not a regular file\n")
    reason = f"'{channel_directory(hub, 'progress')}' is a symbolic link: links in the hub are not followed"
    result = hub.run("board")
    assert (result.code, result.err) == (1, f"error: channel 'progress': {reason}\n")
    assert result.out.splitlines()[2] == "progress      0  broken"
    assert hub.json("board", code=1)["channels"][1]["reason"] == reason
    for arguments in (("read", "progress"), ("post", "progress", "-m", "x")):
        assert hub.run("board", *arguments) == Result(128, "", f"fatal: {reason}\n")


def test_board_without_channels(hub: Hub) -> None:
    hub.session()
    for channel in ("dispatch", "progress", "results"):
        channel_directory(hub, channel).rmdir()
    channel_directory(hub, "_index.json").write_text('{"channels": [], "counters": {}}')
    assert hub.run("board") == Result(0, "CHANNEL  POSTS  LAST POST\n")


def test_damaged_index_causes_a_warning(hub: Hub) -> None:
    add_two_posts(hub)
    (channel_directory(hub, "_index.json")).write_text("[]")
    warning = "warning: the posts were counted again: _index.json: not an object\n"
    assert hub.run("board", "read", "progress").err == f"{warning}no posts in 'progress'\n"
    assert hub.run("board", "reply", "001", "-m", "x") == Result(
        0, f"Posted results/003-coordinator-{STAMP}\n", warning
    )
    assert hub.run("board", "post", "results", "-q", "-m", "x") == Result(0)


def test_default_author_and_session(hub: Hub) -> None:
    """The defaults are the agent and the session of the current worktree."""
    hub.session("s1", agents=2).session("s2")

    def post(*arguments: str, cwd: Path | None = None) -> tuple[str, str | None]:
        document = hub.json("board", "post", "dispatch", "-m", "x", *arguments, cwd=cwd)
        return document["author"], document["session"]

    assert post() == ("coordinator", None)
    assert post("--author", "ada", "--session", "s2") == ("ada", "s2")
    assert post(cwd=hub.worktree(2) / "sub") == ("agent-2", "s1")
    assert post("--author", "judge", "--session", "s2", cwd=hub.worktree(2)) == ("judge", "s2")
    hub.git("checkout", "-q", "--detach", cwd=hub.worktree(2))
    assert post(cwd=hub.worktree(2)) == ("coordinator", None)
    reply = ("board", "reply", "002", "-m", "x")
    assert hub.json(*reply)["session"] == "s2"
    assert hub.json(*reply, cwd=hub.worktree(1))["session"] == "s1"


def test_text_from_a_file_or_standard_input(hub: Hub) -> None:
    hub.session()
    (hub.top / "text").write_text("\nfrom a file\n\n  indented\n\n")
    assert hub.json("board", "post", "results", "-F", "text")["text"] == "from a file\n\n  indented"
    arguments = ("board", "post", "results", "-q", "-F", "-")
    assert hub.run(*arguments, stdin="from a pipe\n") == Result(0)
    assert [post["text"] for post in hub.json("board", "read", "results")["posts"]] == [
        "from a file\n\n  indented",
        "from a pipe",
    ]
    before = snapshot(hub.top)
    assert hub.run("board", "post", "results", "-F", "nope") == Result(
        128, "", "fatal: cannot read the text from 'nope': No such file or directory\n"
    )
    too_large = hub.run(*arguments, stdin="x" * (2 << 20))
    assert too_large == Result(128, "", "fatal: the post is larger than 1048576 bytes\n")
    assert hub.run(*arguments, stdin="\udcff") == Result(128, "", "fatal: the text is not UTF-8\n")
    assert snapshot(hub.top) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("say", "'say' is not a board subcommand\nhint: use list, read, post, reply, create"),
        ("list results", "too many arguments: 'results'"),
        ("read", "no channel given\nhint: git hub-session board read <channel>"),
        ("reply -m x", "no post given\nhint: git hub-session board reply <post>"),
        ("post results", "option '--message' is required\nhint: give -m <text> or -F <file>"),
        (
            "post results -m x -F y",
            "-m and -F exclude each other\nhint: give -m <text> or -F <file>",
        ),
        ("post results -m ''", "the text is empty"),
        ("read results -m x", "--message cannot be used with 'board read'"),
        ("read results --author x", "--author cannot be used with 'board read'"),
        ("--session s1", "--session cannot be used with 'board list'"),
        ("read results -n", "--dry-run cannot be used with 'board read'"),
    ],
)
def test_usage_errors(hub: Hub, arguments: str, message: str) -> None:
    hub.session()
    before = snapshot(hub.top)
    assert hub.run("board", *shlex.split(arguments)) == Result(129, "", f"error: {message}\n")
    assert snapshot(hub.top) == before


def test_the_last_posts(hub: Hub) -> None:
    add_two_posts(hub)
    hub.run("board", "post", "results", "--author", "agent-2", "-m", "no session")

    def ids(*words: str) -> list[str]:
        posts = hub.json("board", "read", "results", *words)["posts"]
        return [post["post"] for post in posts]

    third = f"003-agent-2-{STAMP}"
    assert ids("--max-count", "2") == [SECOND, third]
    assert ids("--max-count", "1", "--session", "s1") == [SECOND]
    assert ids("--max-count=9") == [FIRST, SECOND, third]
    assert ids("--max-count=0") == []
    assert hub.run("board", "read", "results", "--max-count", "1") == Result(
        0, f"{third}  (by agent-2, 0 seconds ago)\n    no session\n"
    )
    for text in ("x", "-1", "1.5", "", "9" * 5000):
        result = hub.run("board", "read", "results", "--max-count", text)
        assert (result.code, result.out) == (129, "")
        assert result.err.startswith(f"error: not a number of posts: '{text[:9]}")


def test_the_last_posts_do_not_open_the_others(hub: Hub) -> None:
    """A damaged older file does not change the result."""
    add_two_posts(hub)
    first = channel_directory(hub) / f"{FIRST}.md"
    first.unlink()
    first.symlink_to("/etc/passwd")
    assert hub.run("board", "read", "results").code == 1
    [post] = hub.json("board", "read", "results", "--max-count", "1")["posts"]
    assert post["post"] == SECOND


def test_a_new_channel(hub: Hub) -> None:
    add_two_posts(hub)
    before = snapshot(hub.top)
    preview = Result(0, "Would create channel ideas\n")
    assert hub.run("board", "create", "-n", "ideas") == preview
    assert snapshot(hub.top) == before
    assert hub.run("board", "create", "ideas") == Result(0, "Created channel ideas\n")
    index = json.loads((channel_directory(hub).parent / "_index.json").read_text())
    assert index == {
        "channels": ["dispatch", "progress", "results", "ideas"],
        "counters": {"dispatch": 0, "progress": 0, "results": 2, "ideas": 0},
    }
    assert [*channel_directory(hub, "ideas").iterdir()] == []
    assert hub.json("board")["channels"][3] == {
        "channel": "ideas",
        "posts": 0,
        "last": None,
        "reason": None,
    }
    assert hub.run("board", "read", "ideas") == Result(0, "", "no posts in 'ideas'\n")
    assert hub.run("board", "post", "ideas", "-m", "x") == Result(0, f"Posted ideas/{FIRST}\n")
    assert hub.json("board", "create", "more", "-n") == {"channel": "more", "dry_run": True}
    assert hub.json("board", "create", "more") == {"channel": "more", "dry_run": False}
    assert hub.run("board", "create", "quiet", "-q") == Result(0)


def test_a_new_channel_creates_the_board(hub: Hub) -> None:
    hub.session()
    rmtree(hub.top / ".agenthub" / "board")
    assert hub.run("board", "create", "-n", "ideas").code == 0
    assert not (hub.top / ".agenthub" / "board").exists()
    assert hub.run("board", "create", "ideas").code == 0
    names = [channel["channel"] for channel in hub.json("board")["channels"]]
    assert names == ["dispatch", "progress", "results", "ideas"]


@pytest.mark.parametrize("name", ["results", "Results"])
def test_an_existing_channel_is_not_created(hub: Hub, name: str) -> None:
    """Some file systems ignore the letter case."""
    hub.session()
    before = snapshot(hub.top)
    for option in ("-q", "-n"):
        assert hub.run("board", "create", option, name) == Result(
            1,
            "",
            "error: channel 'results' already exists\nhint: git hub-session board read results\n",
        )
    assert snapshot(hub.top) == before


NO_CHANNELS = [
    "", " ", ".", "..", "a/b", "../x", "/tmp/x", ".git", "_index.json", "-x", "a b", "a\nb", "a---b",
    "a..b", "a.lock", "a.", "a-", "\x1b[2J", "é", "x" * 65, "$(touch x)", "a:b", "a~1", "a^", "a*",
]  # fmt: skip


@pytest.mark.parametrize("name", NO_CHANNELS)
def test_names_that_no_new_channel_gets(hub: Hub, name: str) -> None:
    hub.session()
    before = snapshot(hub.top)
    result = hub.run("board", "create", "--", name)
    assert result.code == (128 if name else 129)
    assert "\x1b" not in result.err
    assert snapshot(hub.top) == before


def test_a_file_in_the_place_of_a_new_channel(hub: Hub) -> None:
    hub.session()
    board = channel_directory(hub).parent
    (board / "notes").write_text("mine")
    (board / "link").symlink_to("/tmp")
    before = snapshot(hub.top)
    assert hub.run("board", "create", "notes").code == 128
    assert hub.run("board", "create", "link").code == 1
    assert snapshot(hub.top) == before


def test_one_of_several_processes_creates_a_channel(hub: Hub) -> None:
    hub.session()
    line = "git hub-session board create ideas -q & " * 6 + "wait"
    assert hub.call("sh", "-c", line).err.count("already exists") == 5
    assert hub.run("board", "post", "-q", "ideas", "-m", "x") == Result(0)
    assert hub.run("doctor").code == 0


def test_errors(hub: Hub) -> None:
    add_two_posts(hub)
    hub.run("board", "post", "progress", "--author", "coordinator", "-m", "x")
    before = snapshot(hub.top)
    assert hub.run("board", "post", "resluts", "-m", "x") == Result(
        128,
        "",
        "fatal: no such channel: 'resluts'\nhint: the channels are dispatch, progress, results\n"
        "hint: to create it: git hub-session board create resluts\n",
    )
    assert hub.run("board", "read", "../sessions").code == 128
    assert hub.run("board", "reply", "001-nobody", "-m", "x") == Result(
        128, "", "fatal: no such post: '001-nobody'\nhint: git hub-session board\n"
    )
    assert hub.run("board", "reply", FIRST, "-m", "x") == Result(
        128,
        "",
        f"fatal: '{FIRST}' is the start of 2 posts\n"
        "hint: the candidates are\n"
        f"hint:   progress/{FIRST}\n"
        f"hint:   results/{FIRST}\n",
    )
    refused = hub.run("board", "post", "results", "--author", "../x", "-m", "x")
    assert (refused.code, refused.err.splitlines()[0]) == (128, "fatal: not an author: '../x'")
    assert hub.run("board", "post", "results", "--session", "s", "-m", "x").err == (
        "fatal: no such session: 's'\nhint: git hub-session list\n"
    )
    assert snapshot(hub.top) == before
    assert hub.run("board", "reply", f"progress/{FIRST}", "-m", "x").code == 0
    assert hub.run("board", "reply", "results/001", "-m", "x").code == 0


def test_without_a_hub(hub: Hub) -> None:
    no_hub = Result(
        128,
        "",
        f"fatal: no hub at '{hub.top}/.agenthub'\nhint: git hub-session init --task <text>\n",
    )
    for arguments in (
        (),
        ("read", "results"),
        ("post", "results", "-m", "x"),
        ("reply", "1", "-m", "x"),
    ):
        assert hub.run("board", *arguments) == no_hub
    assert not (hub.top / ".agenthub").exists()


def test_status_shows_the_newest_posts_of_the_session(hub: Hub) -> None:
    hub.session(agents=1).session("s2")
    for number, text in enumerate(("one", "two\nmore", "\x1b[2Jthree", "four", "five")):
        hub.run(
            *("board", "post", ("results", "progress")[number % 2], "-m", text),
            *("--session", "s2" if text == "four" else "s1"),
            now=NOW - 60 * (5 - number),
        )
    assert hub.run("status", "s1").out.partition("\n\n  Posts:\n")[2] == (
        "    results/003-coordinator-20260317T142922Z  60 seconds ago: five\n"
        "    results/002-coordinator-20260317T142722Z  3 minutes ago: \\x1b[2Jthree\n"
        "    progress/001-coordinator-20260317T142622Z  4 minutes ago: two\n"
    )
    posts = hub.json("status", "s1")["posts"]
    assert [post["text"] for post in posts] == ["five", "\x1b[2Jthree", "two\nmore"]
    assert posts == [
        post
        for name in ("results", "progress")
        for post in reversed(hub.json("board", "read", name)["posts"])
        if post["text"] in ("five", "\x1b[2Jthree", "two\nmore")
    ]
    records = hub.run("status", "s2", "--format=porcelain").out.split("\n\n")
    assert records[1].splitlines() == [
        "post 002-coordinator-20260317T142822Z",
        "channel progress",
        "sequence 2",
        "author coordinator",
        "timestamp 2026-03-17T14:28:22Z",
        "session s2",
        "text four",
    ]


def write_agenthub_post(hub: Hub, name: str, author: str, timestamp: str, text: str) -> None:
    """Write a post as AgentHub's script and its prompts do: it names no session."""
    content = f"---\nauthor: {author}\ntimestamp: {timestamp}\nchannel: progress\n---\n\n{text}\n"
    (channel_directory(hub, "progress") / f"{name}.md").write_text(content)


def test_status_shows_the_posts_of_agenthub(hub: Hub) -> None:
    """The posts belong to the session that was created last. The last post of each agent is shown."""
    hub.session()
    hub.run("init", "-q", "--id", "s2", "--task", "t", now=NOW + 1000)
    names = {f"00{agent}-agent-{agent}-20260317T14304{agent}Z": agent for agent in (1, 2, 3, 4, 5)}
    for name, agent in names.items():
        stamp = f"2026-03-17T14:30:4{agent}Z"
        write_agenthub_post(hub, name, f"agent-{agent}", stamp, f"from {agent}")
    write_agenthub_post(hub, "agent-1-iter-2", "agent-1", "2026-03-17T14:30:50Z", "newer")
    write_agenthub_post(hub, "agent-2-old", "agent-2", "2026-03-17T14:30:21Z", "before the session")
    write_agenthub_post(hub, "later", "agent-1", "2026-03-17T14:50:00Z", "of s2")
    write_agenthub_post(hub, "broken", "agent-3", "\x1b[2J", "no time")
    posts = hub.json("status", "s1")["posts"]
    assert [(post["author"], post["text"]) for post in posts] == [
        ("agent-1", "newer"),
        ("agent-5", "from 5"),
        ("agent-4", "from 4"),
        ("agent-3", "from 3"),
        ("agent-2", "from 2"),
    ]
    assert [post["text"] for post in hub.json("status", "s2")["posts"]] == ["of s2"]
    lines = hub.run("status", "s1").out.partition("\n\n  Posts:\n")[2].splitlines()
    assert lines[0].startswith("    progress/agent-1-iter-2  in the future: newer")
    assert len(lines) == 5


def test_status_with_a_damaged_board(hub: Hub) -> None:
    """The session is shown without posts, and links are not followed."""
    add_two_posts(hub)
    board = channel_directory(hub, "")
    (board / "_index.json").write_text("{")
    assert hub.run("status", "s1").out.count("  results/") == 2
    board.rename(hub.top / "elsewhere")
    board.symlink_to(hub.top / "elsewhere")
    result = hub.run("status", "s1")
    assert (result.code, "Posts:" in result.out) == (0, False)
    assert result.err == (
        f"warning: '{board}' is a symbolic link: links in the hub are not followed\n"
    )
    board.unlink()
    result = hub.run("status", "s1")
    assert (result.code, "Posts:" in result.out, result.err) == (0, False, "")
    board.write_text("no directory")
    result = hub.run("status", "s1")
    assert (result.code, "Posts:" in result.out) == (0, False)
    assert result.err == "warning: the board cannot be read: Not a directory\n"
