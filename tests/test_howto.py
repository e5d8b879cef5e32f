"""The how-to pages: the commands of each section run in a project of their own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.hub import CHECKOUT, Hub
from tests.support.transcripts import code_blocks

pytestmark = pytest.mark.slow

PAGE = (CHECKOUT / "docs" / "howto.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))

# A program of this name prints its arguments and its prompt, and leaves a faster program.
AGENT = """\
#!/bin/sh
echo "${0##*/} $*" >>"$PROGRAMS_LOG"
for file; do case $file in */prompt*) exec <"$file" ;; esac; done
[ "${0##*/}" = npm ] && { mkdir node_modules; exit; }
grep -q 'Make the parser fast' && echo 'ms = 5' >size.py || true
"""


def create_project(hub: Hub) -> Path:
    """Create a benchmark and the programs. Return the file with the calls of the programs."""
    hub.commit(hub.top, "bench.py", "from size import *\nprint('ms:', globals().get('ms', 50))\n")
    hub.commit(hub.top, "size.py", "size = 9\n")
    hub.commit(hub.top, "requirements.txt", "")
    hub.commit(hub.top, ".gitignore", ".env\n.venv\nnode_modules\n__pycache__\n")
    (hub.top / ".env").write_text("SECRET=1\n")
    for name in ("claude", "codex", "aider", "npm"):
        program = hub.top.parent / "bin" / name
        program.write_text(AGENT)
        program.chmod(0o755)
    return hub.top.parent / "programs.log"


def run_section(hub: Hub, title: str, *, code: int = 0) -> list[str]:
    """Run the commands of a section. Return the calls of the programs."""
    log = create_project(hub)
    log.touch()
    for script in code_blocks(SECTIONS[title], "sh"):
        environ = {"PROGRAMS_LOG": str(log)}
        result = hub.call("sh", "-e", "-c", f"exec 2>&1; {script}", environ=environ)
        assert result.code == code, result.out
    return sorted(log.read_text().splitlines())


CLAUDE = "claude -p --permission-mode acceptEdits"
ALLOWED = "Bash(git add:*) Bash(git commit:*) Bash(git hub-session board:*) Bash(git hub-session eval --here)"
CODEX = "codex exec --sandbox workspace-write --add-dir BOARD -"
INSTALL = ["claude plugin install hub@git-hub-session", "claude plugin marketplace add DIRECTORY"]


@pytest.mark.parametrize(
    ("title", "calls"),
    [
        (
            "Run Claude Code",
            [
                "claude --plugin-dir DIRECTORY",
                *[f"{CLAUDE} --allowedTools {ALLOWED}"] * 3,
                *INSTALL,
            ],
        ),
        (
            "Run Codex",
            [
                *[CODEX] * 3,
                "codex plugin add hub@git-hub-session",
                "codex plugin marketplace add DIRECTORY",
            ],
        ),
        ("Compare different agents", [CLAUDE, CODEX]),
        ("Use git hub-session in continuous integration", [CLAUDE] * 3),
    ],
)
def test_the_agents_get_their_prompt_and_the_winner_is_merged(
    hub: Hub, title: str, calls: list[str]
) -> None:
    plugin = hub.json("guide", "--plugin")["plugin"]
    board = str(hub.top / ".agenthub" / "board")
    found = [
        call.replace(plugin, "DIRECTORY").replace(board, "BOARD")
        for call in run_section(hub, title)
    ]
    assert found == calls
    assert hub.git("show", "main:size.py") == "ms = 5"


def test_files_for_codex(hub: Hub) -> None:
    """The worktrees get AGENTS.md, because the file is committed."""
    run_section(hub, "Run Codex")
    section = hub.run("guide", "--agents-md").out
    assert f"{hub.git('show', 'main:AGENTS.md')}\n" == section


def test_aider_gets_its_prompt_as_a_file(hub: Hub) -> None:
    calls = run_section(hub, "Run aider")
    assert [re.sub(r" /\S+", " FILE", call) for call in calls] == [
        "aider --yes-always --message-file FILE"
    ] * 3
    assert hub.git("show", "main:size.py") == "ms = 5"
    assert f"{hub.git('show', 'main:CONVENTIONS.md')}\n" == hub.run("guide", "--agents-md").out
    (hub.top / ".aider.chat.history.md").touch()
    assert hub.git("status", "--porcelain") == ""
    assert hub.git("show", "main:.aider.conf.yml") == "read: [CONVENTIONS.md]"


def test_a_script_is_an_agent(hub: Hub) -> None:
    run_section(hub, "Run a script")
    assert hub.git("show", "main:size.py") == "size = 1"


def test_branches_of_another_tool_are_adopted(hub: Hub) -> None:
    run_section(hub, "Take over branches that another tool made")
    agents = hub.json("status", "fixes")["state"]["agents"]
    assert sorted(agents) == ["agent-1", "agent-2"]


def test_an_alias_and_an_event(hub: Hub) -> None:
    hub.session("s1")
    run_section(hub, "Use git hub-session from an alias or a hook")
    assert hub.git("agents", "--short") == hub.run("status", "--short").out.rstrip("\n") != ""
    hub.spawn("s1", 1)
    hub.commit(hub.worktree(1), "work", "done\n")
    assert hub.run("update", "s1", "--state", "running").code == 0
    assert hub.run("update", "s1", "--state", "evaluating").code == 0
    assert hub.run("merge", "s1", "--agent=1", "--yes").code == 0
    [event] = (hub.top / "merged.jsonl").read_text().splitlines()
    assert json.loads(event)["session_id"] == "s1"


def test_dependencies_are_installed_in_each_worktree(hub: Hub) -> None:
    assert run_section(hub, "Install dependencies in each worktree") == ["npm ci --silent"] * 2
    directory = hub.top.parent / "project.hub"
    assert (directory / "web" / "agent-2" / "node_modules").is_dir()
    environment = directory / "tool" / "agent-2" / ".venv" / "bin" / "python"
    prefix = hub.call(environment, "-c", "import sys; print(sys.prefix)").out
    assert prefix == f"{directory}/tool/agent-2/.venv\n"


def test_ignored_files_are_copied(hub: Hub) -> None:
    run_section(hub, "Copy ignored files into each worktree")
    copy = hub.top.parent / "project.hub" / "env" / "agent-1" / ".env"
    assert copy.read_text() == "SECRET=1\n"


def test_each_agent_has_its_database_and_port(hub: Hub) -> None:
    run_section(hub, "Give each agent a database and a port")
    directory = hub.top.parent / "project.hub" / "server"
    first, second = ((directory / f"agent-{n}" / ".env").read_text() for n in (1, 2))
    assert first.startswith("DATABASE=app_server_1 PORT=")
    assert second.startswith("DATABASE=app_server_2 PORT=")
    assert first.partition(" ")[2] != second.partition(" ")[2]


def test_a_session_ends_without_a_winner(hub: Hub) -> None:
    run_section(hub, "End a session without a winner")
    assert hub.state("draft")["state"] == "archived"


def test_every_section_is_tested() -> None:
    source = Path(__file__).read_text()
    assert [title for title in SECTIONS if f'"{title}"' not in source] == []
