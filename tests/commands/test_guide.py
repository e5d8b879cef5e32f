"""`guide` prints instructions for a coding agent. Every command of the text works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.hub import Hub, Result

MEASURE = ("--eval", "cat file", "--metric", "ms", "--direction", "lower", "--baseline", "9")
# Type each command of the guide in a shell, and write its exit status into a file.
TYPE_COMMANDS = """\
import json, subprocess, sys
from pathlib import Path

guide = subprocess.run(["git", "hub-session", "guide"], capture_output=True, text=True, check=True)
results = []
for line in guide.stdout.splitlines():
    if line.startswith("    ") and line[4] != " ":
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
        results.append([line.strip(), done.returncode, done.stdout, done.stderr])
Path(sys.argv[1]).write_text(json.dumps(results))
"""
COMMANDS = [
    'cat "$HUB_PROMPT_FILE"',
    "git hub-session board read dispatch --session s1",
    "git hub-session show s1 agent-1",
    "git add --all",
    'git commit --message="say what the step does"',
    "git restore .",
    "git hub-session diff --stat s1 agent-1",
    "git hub-session eval --here",
    'git hub-session board post progress -m "what you tried, and the value"',
    'git hub-session board post results -m "approach, value, tests, limits"',
    "git hub-session board read progress --session s1",
]


@pytest.fixture
def session(hub: Hub) -> Hub:
    """A session with an agent and its assignment."""
    words = ("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "1")
    assert hub.run(*words, *MEASURE) == Result(0, "s1\n")
    assert hub.run("spawn", "-q", "s1").code == 0
    return hub


def worktree(hub: Hub) -> Path:
    return Path(hub.run("path", "s1", "1").out.strip())


def type_commands(hub: Hub, tmp_path: Path) -> dict[str, tuple[int, str, str]]:
    """Let an agent with an uncommitted file type the commands of the guide."""
    script, answers = tmp_path / "agent.py", tmp_path / "answers"
    script.write_text(TYPE_COMMANDS)
    (worktree(hub) / "file").write_text("ms: 7\n")
    assert hub.run("exec", "-q", "s1", "--", "python3", script, answers).code == 0
    return {
        command: (code, out, err) for command, *(code, out, err) in json.loads(answers.read_text())
    }


def test_every_command_works_in_an_agents_worktree(session: Hub, tmp_path: Path) -> None:
    answers = type_commands(session, tmp_path)
    assert {command: code for command, (code, _, _) in answers.items()} == dict.fromkeys(
        COMMANDS, 0
    )
    assert [*answers] == COMMANDS
    assert "Make it fast" in answers['cat "$HUB_PROMPT_FILE"'][1]
    assert "Make it fast" in answers["git hub-session board read dispatch --session s1"][1]
    assert "file | 2 +-" in answers["git hub-session diff --stat s1 agent-1"][1]
    assert "ms: 9 → 7" in answers["git hub-session eval --here"][1]
    assert "what you tried, and the value" in answers[COMMANDS[-1]][1]
    branch = "hub/s1/agent-1/attempt-1"
    assert session.git("log", "-1", "--format=%s", branch) == "say what the step does"
    posts = session.json("board", "read", "results")["posts"]
    assert [(post["author"], post["session"]) for post in posts] == [("agent-1", "s1")]
    assert session.run("eval", "-q", "s1").code == 0
    assert session.run("merge", "-q", "--yes", "s1").code == 0


def test_session_without_an_eval_command(hub: Hub, tmp_path: Path) -> None:
    assert hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "1").code == 0
    assert hub.run("spawn", "-q", "s1").code == 0
    answers = type_commands(hub, tmp_path)
    expected = [command for command in COMMANDS if "eval" not in command]
    assert [(command, code) for command, (code, _, _) in answers.items()] == [
        (command, 0) for command in expected
    ]
    assert "no eval command: run the tests" in hub.run("guide", cwd=worktree(hub)).out


def test_names_of_the_worktree(session: Hub) -> None:
    result = session.run("guide", cwd=worktree(session))
    assert result == Result(0, result.out)
    assert "You are agent-1, attempt 1, of session s1." in result.out
    assert (
        "  Branch: hub/s1/agent-1/attempt-1\n  Eval: cat file\n  Metric: ms (lower)\n  Baseline: 9\n"
    ) in result.out
    assert "<" not in result.out
    assert max(map(len, result.out.splitlines())) <= 80


def test_names_of_the_environment(session: Hub, tmp_path: Path) -> None:
    expected = session.run("guide", cwd=worktree(session))
    branch = {"HUB_SESSION_ID": "s1", "HUB_BRANCH": "hub/s1/agent-1/attempt-1"}
    assert session.run("guide", environ=branch) == expected
    only_session = session.run("guide", environ={"HUB_SESSION_ID": "s1"}).out
    assert "You are <agent>, attempt <attempt>, of session s1." in only_session
    other = session.run("guide", environ={**branch, "HUB_BRANCH": "hub/s2/agent-1/attempt-1"}).out
    assert other == only_session
    # A detached HEAD does not name the agent.
    session.git("checkout", "-q", "--detach", cwd=worktree(session))
    assert session.run("guide", environ=branch, cwd=worktree(session)) == expected


@pytest.mark.parametrize("sid", ["", "s2", "../s1", "\x1b[2J"])
def test_placeholders(session: Hub, tmp_path: Path, sid: str) -> None:
    result = session.run("guide", environ={"HUB_SESSION_ID": sid})
    assert result == Result(0, result.out)
    assert "You are <agent>, attempt <attempt>, of session <session>." in result.out
    assert "  Branch: <branch>\n  Metric: <metric> (<direction>)\n" in result.out
    assert "    git hub-session eval --here\n" in result.out
    assert session.run("guide", cwd=tmp_path) == result  # outside of a repository


def test_json(session: Hub, tmp_path: Path) -> None:
    document = session.json("guide", cwd=worktree(session))
    assert document.pop("guide") == session.run("guide", cwd=worktree(session)).out
    assert document == {
        "session_id": "s1",
        "agent": 1,
        "attempt": 1,
        "branch": "hub/s1/agent-1/attempt-1",
        "eval_cmd": "cat file",
        "metric": "ms",
        "direction": "lower",
        "baseline": "9",
    }
    outside = session.json("guide", cwd=tmp_path)
    assert {key for key, value in outside.items() if value is not None} == {"guide"}


def test_directory_of_the_plugin(hub: Hub, tmp_path: Path) -> None:
    result = hub.run("guide", "--plugin", cwd=tmp_path)
    assert (result.code, result.err) == (0, "")
    plugin = Path(result.out.removesuffix("\n"))
    assert (plugin / ".claude-plugin" / "plugin.json").is_file()
    assert hub.json("guide", "--plugin") == {"plugin": str(plugin)}


def test_texts_of_the_repository_are_escaped(session: Hub) -> None:
    config = session.directory() / "config.yaml"
    text = config.read_text().replace("metric: ms", 'metric: "{session}\\e[2J\\nms"')
    config.write_text(text)
    result = session.run("guide", cwd=worktree(session))
    assert "\n  Metric: {session}\\x1b[2J\\nms (lower)\n" in result.out


def test_unreadable_session(session: Hub) -> None:
    (session.directory() / "config.yaml").write_text("task: [")
    # `path` needs only the branches and the worktrees.
    result = session.run("guide", cwd=worktree(session))
    assert (result.code, result.out) == (128, "")


def test_section_for_agents_md(hub: Hub, tmp_path: Path) -> None:
    """The section is the text of a skill, without its fields, also outside of a repository."""
    result = hub.run("guide", "--agents-md", cwd=tmp_path)
    assert (result.code, result.err) == (0, "")
    plugin = Path(hub.json("guide", "--plugin")["plugin"])
    skill = (plugin / "skills" / "agent-worktree" / "SKILL.md").read_text()
    assert skill.endswith(f"---\n\n{result.out}")
    assert result.out.startswith("## Worktrees of git hub-session\n")
    assert hub.json("guide", "--agents-md") == {"section": result.out}
    assert hub.run("guide", "--agents-md", "--plugin").err.startswith(
        "error: --plugin and --agents-md exclude each other\n"
    )
