"""Reports of sessions with several attempts, with damaged files, and with very long texts."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from git_hub_session.report.markdown import code_block, code_span, table_rows
from git_hub_session.report.tables import Column, Table
from tests.support.hub import Hub
from tests.support.pages import Page, rows, section


def test_several_attempts_of_an_agent(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    hub.run("spawn", "-q", "s1")
    hub.run("exec", "-q", "-j1", "s1", "--", "sh", "-c", "exit 2")
    hub.run("spawn", "-q", "s1", "--retry", "1")
    page = hub.run("report", "s1").out
    names = ["agent-1/attempt-1", "agent-1/attempt-2", "agent-2"]
    assert [row[0] for row in rows(section(page, "Lines changed"))[1:]] == names
    runs = [row for row in rows(section(page, "Time line")) if row[2] == "run"]
    assert [(row[1], re.sub("after .*", "", row[3])) for row in runs] == [
        ("agent-1/attempt-1", "exec-1: failed with exit code 2 "),
        ("agent-2", "exec-1: failed with exit code 2 "),
    ]


def test_a_running_agent(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    hub.run("exec", "-q", "s1", "--", "true")
    state = hub.state()
    started = "2026-03-17T14:40:00+00:00"
    state["agents"]["agent-1"]["exec"] = {"run": "exec-2", "started": started}
    (hub.directory() / "state.json").write_text(json.dumps(state))
    table = rows(section(hub.run("report", "s1").out, "Time line"))
    assert table[-1] == ["2026-03-17 14:40:00Z", "agent-1", "run", "exec-2: started"]


def test_guarded_paths(hub: Hub) -> None:
    """The page and the summary name the agent that changed a guarded path."""
    hub.commit(hub.top, "bench.sh", "echo ms: 9\n")
    hub.session("s1", agents=2)
    hub.commit(hub.worktree(1), "bench.sh", "echo ms: 0\n")
    hub.commit(hub.worktree(2), "file", "1\n")
    hub.run("update", "-q", "s1", "--state", "running")
    measure = ("--eval", "sh bench.sh", "--metric", "ms", "--direction", "lower")
    assert hub.run("eval", "-q", "s1", *measure).code == 0
    page = hub.run("report", "s1").out
    assert rows(section(page, "Guarded paths")) == [
        ["Agent", "Changed path"],
        ["agent-1", "bench.sh"],
    ]
    markdown = hub.run("report", "s1", "--format=md").out
    table = (
        "### Guarded paths\n\n| Agent | Changed path |\n| --- | --- |\n| agent-1 | `bench.sh` |\n"
    )
    assert table in markdown


def test_damaged_files_are_named(hub: Hub) -> None:
    """A damaged board or log does not hide the session."""
    hub.session(agents=1)
    log = hub.directory() / "evaluations.jsonl"
    log.unlink(missing_ok=True)
    log.symlink_to("missing")
    shutil.rmtree(hub.top / ".agenthub" / "board")
    (hub.top / ".agenthub" / "board").symlink_to("missing")
    page = hub.run("report", "s1")
    assert page.code == 0
    assert [line.partition("'")[0] for line in page.err.splitlines()] == [
        "warning: ",
        "warning: ",
    ]
    assert Page(page.out).text.count("Warning: ") == 2
    assert rows(section(page.out, "Lines changed"))
    markdown = hub.run("report", "s1", "--format=md")
    assert (markdown.code, markdown.err) == (0, page.err)


@pytest.fixture
def long_texts(hub: Hub) -> Hub:
    """Return a session with texts of a megabyte and many events."""
    hub.run("init", "-q", "--id", "s1", "-F", "-", "--agents", "1", stdin="t" * 60_000)
    hub.run("spawn", "-q", "s1")
    worktree = hub.top.parent / "project.hub" / "s1" / "agent-1"
    hub.git("commit", "-q", "--allow-empty", "-F", "-", cwd=worktree, stdin="s" * 1_000_000)
    hub.run("board", "post", "-q", "results", "-F", "-", cwd=worktree, stdin="p" * 900_000)
    state = hub.state()
    entry = {**state["history"][0], "reason": "first"}
    state["history"] = [entry, *[{**entry, "reason": "r" * 100}] * 500, {**entry, "reason": "last"}]
    (hub.directory() / "state.json").write_text(json.dumps(state))
    return hub


def test_long_texts_are_truncated(long_texts: Hub) -> None:
    page = long_texts.run("report", "s1").out
    assert len(page) < 400_000
    assert section(page, "Commits").count("s" * 500) == 1
    board = section(page, "Message board")
    assert (
        "The post is longer. Show all of it with: <code>git hub-session board read results" in board
    )
    line = section(page, "Time line")
    assert len(rows(line)) == 401
    assert re.search(r"The table leaves out \d+ rows\.", line)
    assert "(spawn): last<" in line
    assert "(spawn): first<" not in line
    assert len(long_texts.run("report", "s1", "--format=md").out) < 20_000
    assert len(long_texts.run("report", "--all").out) < 20_000


def test_a_state_without_valid_times(hub: Hub) -> None:
    hub.session(agents=1)
    hub.commit(hub.worktree(1), "file", "1\n")
    hub.run("board", "post", "-q", "results", "-m", "x", cwd=hub.worktree(1))
    state = hub.state() | {"created": "?", "history": [{"at": 1}, 7]}
    (hub.directory() / "state.json").write_text(json.dumps(state))
    page = hub.run("report", "s1")
    assert (page.code, page.err) == (0, "")
    assert [row[2] for row in rows(section(page.out, "Time line"))[1:]] == ["commit", "post"]
    assert section(page.out, "Time line").count("<svg") == 1


# --- Markdown -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("", ""),
        ("a", "`a`"),
        ("`a`", "`` `a` ``"),
        ("a``b", "```a``b```"),
        (" a", "`  a `"),
        ("a\nb\x1b", "`a\\nb\\x1b`"),
        ("x" * 600, f"`{'x' * 500}…`"),
    ],
)
def test_code_spans(text: str, span: str) -> None:
    assert code_span(text) == span


def test_a_fence_is_longer_than_the_fences_in_the_text() -> None:
    assert code_block("a\n```\n````\n@all \t\x07") == [
        "`````text",
        "a",
        "```",
        "````",
        "@all    \\x07",
        "`````",
    ]
    assert code_block("\n".join("x" * 70))[-2:] == ["... 10 more lines", "```"]


def test_vertical_bars_do_not_end_a_cell() -> None:
    columns = (Column("a|b", has_code_header=True), Column("n", is_number=True, is_code=True))
    assert table_rows(Table(columns, (("a|b", "c\\|d"),))) == [
        "| `a\\|b` | n |",
        "| --- | --: |",
        "| a\\|b | `c\\ \\|d` |",
    ]
