"""The README's first session, run word by word in a fresh repository."""

from __future__ import annotations

import re

from git_hub_session import __version__
from git_hub_session.commands import COMMANDS
from tests.hub import CHECKOUT, Hub

README = (CHECKOUT / "README.md").read_text()


def session() -> list[tuple[str, str]]:
    """(what is typed, what it answers) of the only console block."""
    (block,) = re.findall(r"^```console\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    steps = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(command, answer) for command, _, answer in (step.partition("\n") for step in steps)]


def test_the_first_session_is_what_happens(hub: Hub) -> None:
    """All it writes, on standard output and standard error, but for where the repository lies and how long an agent took."""
    here = str(hub.top.parent)
    for command, answer in session():
        result = hub.call("sh", "-c", f"exec 2>&1; {command}")
        shown = re.sub(r"\b\d\.\ds\b", "0.0s", result.out.replace(here, "/home/ada"))
        assert (command, shown) == (command, answer)
        assert result.code == 0, command


def test_it_is_ten_lines() -> None:
    assert len(session()) <= 10


def test_the_table_has_every_command() -> None:
    rows = dict(re.findall(r"^\| `([a-z]+)[^|]*` \| (.*) \|$", README, re.MULTILINE))
    assert rows == {name: command.summary for name, command in COMMANDS.items()}


def test_every_file_that_is_named_is_there() -> None:
    for document in ("README.md", "CONTRIBUTING.md", *(f"docs/{name}" for name in DOCUMENTS)):
        path = CHECKOUT / document
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{document}: {target}"


DOCUMENTS = ("architecture.md", "format.md", "decisions.md", "performance.md", "reliability.md")


def test_every_test_that_a_document_names_exists() -> None:
    sources = "\n".join(path.read_text() for path in (CHECKOUT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)", sources, re.MULTILINE))
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"`(test_\w+)`", (CHECKOUT / "docs" / document).read_text())
    }
    assert named, "docs/reliability.md names tests"
    assert named - defined == set()


def test_the_changelog_knows_this_version() -> None:
    assert re.search(
        rf"^## {re.escape(__version__)}\b", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
