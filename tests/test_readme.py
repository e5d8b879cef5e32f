"""The examples of the README, run word by word in a fresh repository, and its tables and links."""

from __future__ import annotations

import re
from pathlib import Path

from git_hub_session import __version__
from git_hub_session.commands import COMMANDS
from git_hub_session.settings.table import SETTINGS
from tests.support.doctor import FINDING_CODES
from tests.support.hub import CHECKOUT, Hub, Result
from tests.support.transcripts import code_blocks, transcript_steps

README = (CHECKOUT / "README.md").read_text()
CHANGELOG = (CHECKOUT / "CHANGELOG.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the code blocks of the README in one language."""
    return code_blocks(README, language)


def first_session() -> str:
    """Return the lines of the section "A first session"."""
    [session] = [block for block in blocks("sh") if block.startswith("git hub-session init")]
    return session


def check_transcript(hub: Hub, transcript: str) -> None:
    """Run each command of a transcript and compare its output with the text below the command.

    The path of the repository and the duration of an agent may differ.
    """
    steps = transcript_steps(transcript)
    assert steps
    for command, expected in steps:
        result = hub.call("sh", "-c", f"exec 2>&1; {command}")
        shown = result.out.replace(str(hub.top.parent), "/home/ada")
        shown = re.sub(r"\b\d\.\ds\b", "0.0s", shown)
        assert (command, shown, result.code) == (command, expected, 0)


def test_the_first_transcript_is_true(hub: Hub) -> None:
    check_transcript(hub, blocks("console")[0])


def test_the_commands_for_the_first_session(hub: Hub) -> None:
    """The sentences after the transcript name the live view, the report and the diff."""
    check_transcript(hub, blocks("console")[0])
    named = re.findall(r"`(git hub-session (?:watch|\w+ list\b[^`]*))`", README)
    assert [line.split()[2] for line in named] == ["watch", "report", "diff"]
    watched, reported, diff = (hub.call("sh", "-c", line) for line in named)
    assert watched == Result(0, "0 sessions, 0 agents, none needs you\n")
    assert reported == Result(0)
    assert "Write a short list" in (hub.top / "report.html").read_text()
    assert (diff.code, diff.out.endswith("+++ b/list\n@@ -0,0 +1 @@\n+1\n")) == (0, True)


def test_the_first_session_works_and_its_transcript_is_true(hub: Hub) -> None:
    result = hub.call("sh", "-e", "-c", f"exec 2>&1; {first_session()}")
    assert result.code == 0, result.out
    assert result.out.count("Session plan: ") == 3, result.out
    check_transcript(hub, blocks("console")[1])


def test_every_transcript_is_checked() -> None:
    assert len(blocks("console")) == 2


def test_the_first_session_has_at_most_ten_lines() -> None:
    assert len(first_session().splitlines()) <= 10


def test_the_text_fits_into_80_columns() -> None:
    lines = [line for line in README.splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > 80] == []


def test_the_table_has_every_command() -> None:
    section = README.partition("\n## Commands\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", section, re.MULTILINE))
    assert rows == {name: command.summary for name, command in COMMANDS.items()}


def test_the_number_of_findings_is_true() -> None:
    number = str(len(FINDING_CODES))
    assert re.findall(r"`doctor` checks for (\d+) kinds", README) == [number]
    reliability = (CHECKOUT / "docs" / "reliability.md").read_text()
    assert re.findall(r"^\| kinds of findings \| (\d+) \|$", reliability, re.MULTILINE) == [number]


def test_every_linked_file_exists() -> None:
    documents = [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").glob("*.md")]
    assert len(documents) >= 8
    for document in documents:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_test_that_a_document_names_exists() -> None:
    sources = "\n".join(path.read_text() for path in (CHECKOUT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)", sources, re.MULTILINE))
    documents = (CHECKOUT / "docs").glob("*.md")
    named = {name for path in documents for name in re.findall(r"`(test_\w+)`", path.read_text())}
    assert named, "docs/reliability.md names tests"
    assert named - defined == set()


def test_the_printed_version_is_true(hub: Hub) -> None:
    output = hub.run("--version").out
    assert re.findall(r"`git hub-session --version` prints\s`(.*?)`", README) == [output.strip()]


def test_the_changelog_knows_this_version() -> None:
    assert re.search(rf"^## {re.escape(__version__)}\b", CHANGELOG, re.MULTILINE)


def test_each_change_is_one_line_that_starts_with_a_verb() -> None:
    sections = re.split(r"^## .*\n", CHANGELOG, flags=re.MULTILINE)[1:]
    lines = [line for section in sections for line in section.splitlines() if line]
    wrong = [line for line in lines if not re.match(r"- (?:Add|Change|Fix|Remove) .", line)]
    assert [line for line in wrong if line != "The first version."] == []


def test_every_setting_is_named() -> None:
    section = README.partition("\n## Configuration\n")[2].partition("\n## ")[0]
    named = [*dict.fromkeys(re.findall(r"`(hubsession\.[a-zA-Z.]+)`", section))]
    assert set(named) == {setting.key for setting in SETTINGS}
    last = [setting.key for setting in SETTINGS if not setting.is_project]
    assert named[-len(last) :] == last
    assert f"`{last[0]}` and the settings below it" in section


def test_the_defaults_of_a_project_work(hub: Hub) -> None:
    """The file .hubsession and the command below it."""
    hub.commit(hub.top, "speed", "9\n", "base")
    hub.commit(hub.top, "bench.py", 'print("ms:", open("speed").read())\n', "base")
    [file] = blocks("ini")
    hub.commit(hub.top, ".hubsession", file, "defaults")
    (hub.top / "task.md").write_text("Make it fast\n")
    agent = Path(hub.environ["PATH"].partition(":")[0], "claude")
    agent.write_text(
        '#!/bin/sh\ntest "$1" = -p && grep -q "Make it fast" || exit\n'
        'echo $((7 - ${HUB_AGENT#agent-})) >speed; git commit -qam "An idea"\n'
    )
    agent.chmod(0o755)
    [command] = [block for block in blocks("sh") if "-F task.md" in block]
    refused = hub.call("sh", "-c", command)
    assert (refused.code, "is not approved: claude -p" in refused.err) == (1, True), refused
    settings = ("agentCmd", "eval")
    for name in settings:
        [value] = hub.json("config", name)["settings"][0]["values"]
        hub.git("config", f"hubsession.{name}", value)
    result = hub.call("sh", "-c", f"{command.strip()} --yes")
    assert (result.code, result.err) == (0, ""), result
    assert (hub.top / "speed").read_text() == "4\n"
