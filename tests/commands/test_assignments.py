"""Strategies, templates, and the assignments that `spawn` posts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from git_hub_session.board.assignment import assignment_text
from git_hub_session.cli.agent_options import parse_strategy_file
from git_hub_session.errors import UsageError
from git_hub_session.session.assignment_values import TEMPLATES
from git_hub_session.session.model import Config, Session
from git_hub_session.session.state import State
from tests.support.hub import Hub, Result
from tests.support.interrupt import DIE, run_with_injected_code

MEASURE = ("--eval", "cat ms", "--metric", "ms", "--direction", "lower", "--baseline", "9")


def dispatch_posts(hub: Hub) -> list[str]:
    """Return the texts in the channel `dispatch`."""
    posts = sorted((hub.top / ".agenthub" / "board" / "dispatch").glob("*.md"))
    return [post.read_text().split("---\n", 2)[2].strip() for post in posts]


def test_assignments_of_a_session(hub: Hub, tmp_path: Path) -> None:
    """The file, the post and the variables of an agent have its strategy."""
    strategies = tmp_path / "strategies"
    strategies.write_text("# two\nagent-2: cache: all\n  of it\n\nagent-1: loops\n")
    options = ("--agents=3", "--template=optimizer", "--strategies", strategies, *MEASURE)
    document = hub.json("init", "--id", "s1", "--task", "Two\nlines", *options)
    texts = ["agent-2: cache: all\nof it", "agent-1: loops"]
    assert (document["template"], document["strategies"]) == ("optimizer", texts)
    assert hub.run("spawn", "-q", "--only=1,2", "s1") == Result(0)
    posts = dispatch_posts(hub)
    assert [post.partition("\n")[0] for post in posts] == [
        *("# agent-1 of session s1", "# agent-2 of session s1"),
    ]
    for part in (
        "\n## Task\n\nTwo\nlines\n",
        "\n- Command: cat ms\n- Metric: ms (lower is better)\n- Baseline: 9\n",
        "`git hub-session eval --here`",
        "\n## Strategy\n\ncache: all\nof it\n",
        "one change at a time",
        "`git hub-session board post progress -m",
    ):
        assert part in posts[1], part
    script = 'echo "$HUB_STRATEGY"; cat "$HUB_PROMPT_FILE"'
    assert hub.run("exec", "-q", "s1", "--", "sh", "-c", script) == Result(0)
    log = hub.directory() / "output" / "exec-1" / "agent-2.log"
    assert log.read_text() == f"cache: all\nof it\n{posts[1]}\n"
    assert hub.run("spawn", "-q", "s1") == hub.run("spawn", "-q", "--retry=1", "s1") == Result(0)
    assert (len(dispatch_posts(hub)), "Strategy" in dispatch_posts(hub)[2]) == (3, False)
    own = ("board", "post", "dispatch", "-q", "--session=s1", "-m", "# agent-1 of another team")
    assert hub.json("status", "s1")["posts"] == []
    assert hub.run(*own).code == 0
    assert [post["text"] for post in hub.json("status", "s1")["posts"]] == [own[-1]]
    script = 'test -z "${HUB_STRATEGY+x}" && test -f "$HUB_PROMPT_FILE"'
    command = ("exec", "-q", "--only=3", "s1", "--", "sh", "-c", script)
    assert hub.run(*command, environ={"HUB_STRATEGY": "outer"}) == Result(0)


def test_strategies_that_came_with_the_repository(hub: Hub) -> None:
    """Text that no variable can have is left out."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2").code == 0
    strategies = {"agent-1": "a\ud800b", "agent-2": "loops", "agent-3": 7}
    with (hub.directory() / "config.yaml").open("a") as file:
        file.write(f"strategies: {json.dumps(json.dumps(strategies))}\n")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    script = 'test "${HUB_STRATEGY-}" = "$1"'
    for agent, text in ((1, ""), (2, "loops")):
        command = ("sh", "-c", script, "sh", text)
        assert hub.run("exec", "-q", f"--only={agent}", "s1", "--", *command) == Result(0)


def test_posts_after_a_kill(hub: Hub) -> None:
    """A killed spawn has posted one of two assignments. The next one posts the other."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    killed = run_with_injected_code(hub, "spawn", "s1", code=DIE, only="os.link", nth=2)
    assert killed.code == -9
    assert len(dispatch_posts(hub)) == 1
    assert hub.run("spawn", "-q", "s1") == hub.run("spawn", "-q", "s1") == Result(0)
    assert [post.split()[1] for post in dispatch_posts(hub)] == ["agent-1", "agent-2"]


def test_board_that_cannot_be_written(hub: Hub) -> None:
    """The agents are created, and a warning says that they have no posts."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    board = hub.top / ".agenthub" / "board"
    (board / "dispatch").rmdir()
    (board / "dispatch").symlink_to(hub.top)
    result = hub.run("spawn", "-q", "s1")
    assert (result.code, hub.worktree(1).parents[1].exists()) == (0, False)
    assert result.err.startswith("warning: cannot post the assignments on the board: ")


@pytest.mark.parametrize(
    ("options", "code", "error"),
    [
        (
            ("--strategy=x", "--strategies=y"),
            129,
            "error: --strategy and --strategies exclude each other",
        ),
        (("--strategy=agent-4=x",), 128, "fatal: no such agent: 'agent-4'"),
        (("--strategy= ",), 129, "error: option '--strategy' has an empty value"),
        (("--strategies=.git/HEAD",), 129, "error: not a strategy: 'ref: refs/heads/main'"),
    ],
)
def test_options_that_are_not_valid(
    hub: Hub, options: tuple[str, ...], code: int, error: str
) -> None:
    result = hub.run("init", "--task", "t", *options)
    assert (result.code, result.err.splitlines()[0]) == (code, error)


@pytest.mark.parametrize("template", [*TEMPLATES, "../../x"])
def test_template(template: str) -> None:
    config = Config({"task": "t", "template": template, "strategies": '{"agent-1": 5, "x": "y"}'})
    text = assignment_text(Session("s1", config, State.RUNNING, {}), 1)  # type: ignore[arg-type]
    assert ("## Method\n\n" in text, "## Strategy" in text) == (template in TEMPLATES, False)


def test_texts_in_the_file_of_strategies() -> None:
    """Only a line feed ends a line, with or without a carriage return before it."""
    assert parse_strategy_file("\ufeffagent-1: a\u2028b\r\nagent-2:\n c\x0b\n", 2) == {
        "agent-1": "a\u2028b",
        "agent-2": "c",
    }
    for text, problem in (("agent-1: \n", "is empty"), ("agent-1: a\0", "has a NUL character")):
        with pytest.raises(UsageError, match=f"the strategy of agent-1 {problem}"):
            parse_strategy_file(text, 2)
