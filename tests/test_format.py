"""The examples and tables of docs/format.md, read by the program itself."""

from __future__ import annotations

import json
import re

from git_hub_session.board.board import Board
from git_hub_session.board.posts import parse_post, render_post
from git_hub_session.session.config_file import parse_config, render_config
from git_hub_session.session.model import CONFIG_KEYS
from git_hub_session.session.state import TRANSITIONS
from git_hub_session.worktree.locks import EVAL_LOCK, RESTORE_LOCK
from tests.support.hub import CHECKOUT, Hub

FORMAT = (CHECKOUT / "docs" / "format.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the code blocks of the document in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", FORMAT, re.DOTALL | re.MULTILINE)


def test_the_config_file_is_the_one_that_is_written() -> None:
    [example] = blocks("yaml")
    values = parse_config(example)
    assert tuple(values) == CONFIG_KEYS
    assert render_config(values) == example


def test_the_state_file_has_the_keys_that_the_table_explains() -> None:
    state = json.loads(blocks("json")[0])
    [agent] = state["agents"].values()
    table = set(re.findall(r"^\| `(?:agents\.agent-<N>\.)?(\w+)`", FORMAT, re.MULTILINE))
    shared = {"session_id", "state", "created", "updated", "agents"}
    assert {*state, *agent} - shared - {"worktree"} <= table


def test_the_table_of_states_is_the_state_machine() -> None:
    rows = FORMAT.partition("| state | next states |\n")[2].partition("\n\n")[0].splitlines()[1:]
    table = {}
    for row in rows:
        states, following = (re.findall(r"`(\w+)`", cell) for cell in row.split("|")[1:3])
        table.update(dict.fromkeys(states, tuple(following)))
    assert table == {
        str(state): tuple(map(str, following)) for state, following in TRANSITIONS.items()
    }


def test_the_post_is_the_one_that_is_written() -> None:
    [example] = blocks("text")
    post = parse_post("results", "001-agent-1-20260317T143510Z.md", example.encode())
    assert not post.reason
    assert render_post(post).decode() == example


def test_the_index_is_the_one_that_is_written(hub: Hub) -> None:
    hub.session("s1")
    board = Board(str(hub.top / ".agenthub"))
    board.add_post("results", author="agent-1", text="x", session="s1", now=0)
    written = (hub.top / ".agenthub" / "board" / "_index.json").read_text()
    assert json.loads(written) == json.loads(blocks("json")[1])


def test_the_lock_reasons_are_those_of_the_program() -> None:
    assert f"| `{RESTORE_LOCK}` |" in FORMAT
    assert f"| `{EVAL_LOCK}` |" in FORMAT
