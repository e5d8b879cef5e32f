"""Each parser returns a value of its type for random input, or raises its own error."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from git_hub_session.board.posts import (
    Post,
    parse_author,
    parse_post,
    render_post,
    sort_key,
    with_number,
)
from git_hub_session.cli.options import FORMAT, Option, Usage
from git_hub_session.cli.parser import parse_arguments
from git_hub_session.errors import Damaged, UsageError
from git_hub_session.git.config import (
    config_from_environment,
    is_true,
    parse_git_config,
    parse_size,
)
from git_hub_session.git.ignore import IgnoreFileTooLarge, IgnoreRules
from git_hub_session.git.index import parse_index
from git_hub_session.git.ref_names import (
    is_session_id,
    parse_agent_branch,
    parse_archive_tag,
    session_of_branch,
)
from git_hub_session.git.worktrees import read_worktree
from git_hub_session.metric.metric import MetricNotFound, read_metric
from git_hub_session.metric.quantity import parse_finite_quantity
from git_hub_session.system.json_file import parse_json
from git_hub_session.util.clock import format_age_since, format_iso, parse_duration, parse_iso
from git_hub_session.util.text import (
    decode_terminal_line,
    display_width,
    escape_control,
    natural_key,
    quote_ansi_c,
    truncate,
)
from tests.security.fuzz.session import check_input
from tests.support.examples import many_examples


def text_with(*strings: str) -> st.SearchStrategy[str]:
    """Return a strategy for random text in which these strings are frequent."""
    return st.lists(st.one_of(st.text(max_size=12), st.sampled_from(strings)), max_size=10).map(
        "".join
    )


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
SESSION_KEYS = ("agents", "history", "merge", "evaluation", "base_commit", "created", "updated")


@many_examples(150)
@given(
    st.sampled_from(["init", "running", "evaluating", "merged"]),
    st.dictionaries(st.sampled_from(SESSION_KEYS), json_values),
)
def test_a_session_of_any_json(state: str, document: dict[str, object]) -> None:
    """The checks of the fuzzing harness pass for documents with valid keys and random values."""
    check_input(json.dumps({"state": state, **document}).encode())


@many_examples(150)
@given(st.binary(max_size=200))
def test_any_bytes_as_a_document(data: bytes) -> None:
    try:
        assert isinstance(parse_json("x.json", data), dict)
    except Damaged as error:
        assert error.message.startswith("x.json: ")


@many_examples(150)
@given(
    st.one_of(
        st.binary(max_size=300),
        text_with("---", "\n", "author: ", "parent: null", ":").map(as_bytes),
    )
)
def test_any_bytes_as_a_post(data: bytes) -> None:
    """The id and the number are those of the file name. An invalid file has a reason."""
    post = parse_post("results", "007-a-20260317T143022Z.md", data)
    assert (post.channel, post.id, post.sequence) == ("results", "007-a-20260317T143022Z", 7)
    assert "\n" not in post.author + post.timestamp + post.parent + post.session
    assert post.reason in ("", "not UTF-8", "no frontmatter")


@many_examples(150)
@given(text_with("---", "\n", "author: x").filter(lambda text: text.isprintable() or "\n" in text))
def test_a_post_reads_back(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode().strip("\n")
    post = with_number(
        Post("results", "", 0, parse_author("a"), "2026-03-17T14:30:22Z", "", "s1", text), 3
    )
    assert parse_post("results", post.file_name, render_post(post)) == post


@many_examples(150)
@given(st.text(max_size=40), st.text(max_size=40))
def test_order_of_ids(first: str, second: str) -> None:
    """Two sort keys are equal, or one key is less than the other."""
    _assert_ordered(sort_key(first), sort_key(second))
    _assert_ordered(natural_key(first), natural_key(second))


def _assert_ordered(first: Any, second: Any) -> None:
    assert (first < second) + (second < first) + (first == second) == 1


@many_examples(150)
@given(text_with("[a]", '[a "b"]', "\n", "=", "\\", '"', "#", ";", "core.bare"))
def test_any_text_as_configuration(text: str) -> None:
    for name, value in parse_git_config(text).items():
        assert re.fullmatch(r"[^A-Z]+(\..*)?\.[a-z][a-z0-9-]*", name, re.DOTALL), name
        assert isinstance(value, str)
        assert isinstance(is_true(value), bool)
    size = parse_size(text)
    assert size is None or size >= 0
    names = config_from_environment({"GIT_CONFIG_PARAMETERS": text, "GIT_CONFIG_COUNT": text})
    assert all(names)


@many_examples(150)
@given(st.binary(max_size=200), st.integers(0, 3), st.integers(0, 9))
def test_any_bytes_as_an_index(data: bytes, version: int, count: int) -> None:
    head = b"DIRC" + (version + 1).to_bytes(4, "big") + count.to_bytes(4, "big")
    for content in (data, head + data):
        try:
            index = parse_index(content)
        except Damaged as error:
            assert error.message.startswith("index: ")
        else:
            assert set(index.gitlinks) <= set(index.entries)


@many_examples(150)
@given(
    text_with("*", "**", "/", "!", "[", "]", "[!", "[:alpha:]", "\\", "?", "\n").map(as_bytes),
    text_with("/", "a", "[").map(as_bytes),
)
def test_any_bytes_as_ignore_rules(text: bytes, path: bytes) -> None:
    try:
        ignores = IgnoreRules(lambda _: text, [text], ignore_case=True)
        assert ignores.is_ignored(path.strip(b"/")) in (True, False)
    except IgnoreFileTooLarge:
        assert len(text) > 20_000


@many_examples(150)
@given(st.text(max_size=60))
def test_any_text_as_a_ref(text: str) -> None:
    """A ref that can be parsed is formatted as the same ref."""
    for ref in (text, f"refs/heads/hub/{text}", f"refs/heads/hub/{text}/agent-1/attempt-2"):
        branch = parse_agent_branch(ref)
        assert branch is None or branch.ref == ref
        sid = session_of_branch(ref)
        assert sid is None or ("/" not in sid and is_session_id(sid))
    tag = parse_archive_tag(f"refs/tags/hub/archive/{text}/agent-3-attempt-4")
    assert tag is None or (tag.session, tag.agent, tag.attempt) == (text, 3, 4)


@many_examples(150)
@given(st.one_of(st.text(max_size=30), st.datetimes().map(str), st.from_regex(r"\d{1,12}[smhdw]")))
def test_any_text_as_a_time(text: str) -> None:
    seconds = parse_iso(text)
    assert seconds is None or parse_iso(format_iso(max(seconds, 0.0))) == round(
        max(seconds, 0.0), 6
    )
    assert escape_control(format_age_since(text, 1773757822.0)) == format_age_since(
        text, 1773757822.0
    )
    duration = parse_duration(text)
    assert duration is None or duration >= 0


@many_examples(150)
@given(
    st.one_of(
        text_with("p50", ": ", "=", "12.5", "nan", "{", "}", '"', "[0]", "1e999", "-", "ms", "1m"),
        json_values.map(str),
    ),
    text_with("p50", ".", "[0]"),
)
def test_any_output_as_a_metric(text: str, name: str) -> None:
    try:
        value = read_metric(text, name or "p50")
    except MetricNotFound as error:
        assert str(error)
    else:
        assert abs(value.value) <= 1e300
    quantity = parse_finite_quantity(text)
    assert quantity is None or abs(quantity.value) <= 1e300


USAGE = Usage(
    ("x",),
    (
        Option("-n, --number", "a number", "<number>", repeatable=True),
        Option("--force", "all", no_abbreviation=True),
        *FORMAT,
    ),
    max_arguments=2,
    takes_command=True,
)


@many_examples(150)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=8),
            st.sampled_from(["--", "-n", "--number=", "--forc", "-z", "--format", "-h"]),
        ),
        max_size=6,
    )
)
def test_any_arguments_as_a_command_line(arguments: list[str]) -> None:
    try:
        args = parse_arguments(USAGE, arguments)
    except UsageError as error:
        assert error.message
        return
    assert len(args.arguments) <= 2 or args.is_set("help")
    assert args.is_set("force") == (
        "--force" in (arguments[: arguments.index("--")] if "--" in arguments else arguments)
    )


@many_examples(150)
@given(st.text(max_size=60), st.integers(3, 20))
def test_any_text_is_shown_safely(text: str, columns: int) -> None:
    escaped = escape_control(text)
    assert escape_control(escaped) == escaped
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", escaped)
    assert display_width(truncate(escaped, columns, "...")) <= columns
    assert quote_ansi_c(text.encode("utf-8", "ignore").decode()).isascii()
    assert escape_control(decode_terminal_line(as_bytes(text))) == decode_terminal_line(
        as_bytes(text)
    )


FILES = (
    "gitdir",
    "HEAD",
    "locked",
    "BISECT_LOG",
    "BISECT_START",
    "index",
    "logs/HEAD",
    "rebase-merge/head-name",
    "rebase-merge/update-refs",
    "ORIG_HEAD",
)
contents = st.one_of(
    st.binary(max_size=60),
    text_with("ref: refs/heads/hub/s1/", "agent-1/attempt-1", "\n", "..", "/", "\0", "1a" * 20).map(
        as_bytes
    ),
)


@many_examples(150)
@given(st.dictionaries(st.sampled_from(FILES), contents))
def test_any_bytes_in_a_git_dir(files: dict[str, bytes]) -> None:
    """The git dir is read without an exception, and its commits are object ids."""
    with tempfile.TemporaryDirectory() as top:
        git_dir = Path(top) / "worktrees" / "x"
        for name, data in files.items():
            (git_dir / name).parent.mkdir(parents=True, exist_ok=True)
            (git_dir / name).write_bytes(data)
        git_dir.mkdir(parents=True, exist_ok=True)
        worktree = read_worktree("x", str(git_dir))
        assert worktree.path == "" or os.path.isabs(worktree.path)
        assert "\0" not in "".join(
            (worktree.path, worktree.head, *worktree.branches, *worktree.reserved_branches)
        )
        assert worktree.link_error or worktree.is_missing or os.path.isdir(worktree.path)
        assert all(re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", oid) for oid in worktree.own_commits())
