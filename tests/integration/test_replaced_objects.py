"""Objects that an agent replaces for all worktrees are named, and never merged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hub import Hub, Result
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
)

PREFIX = "warning: git replaces objects since the first agent was created:"
TIP = "hub/s1/agent-1/attempt-1"


@pytest.fixture
def session(hub: Hub) -> Hub:
    """Create an evaluated session. The user has replaced an object before, for a reason."""
    hub.commit(hub.top, "ms", "ms: 5\n")
    hub.git("replace", hub.git("rev-parse", "HEAD:ms"), write_blob(hub, "of the user\n"))
    create_measurable_session(hub, "ms: 3\n", "ms: 4\n")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    return hub


def write_blob(hub: Hub, text: str) -> str:
    path = hub.top.parent / "blob"
    path.write_text(text)
    return hub.git("hash-object", "-w", str(path))


def replace(hub: Hub, kind: str, tip: str = TIP) -> str:
    """Replace the file `ms` of a commit, its tree, or the commit. Return the replaced object."""
    cheat = hub.top.parent / f"cheat-{kind}"
    hub.git("worktree", "add", "-q", "--detach", str(cheat), tip)
    hub.commit(cheat, "ms", "ms: evil\n")
    hub.commit(cheat, "evil", "evil\n")
    name = {"blob": ":ms", "tree": "^{tree}", "commit": ""}[kind]
    old, new = hub.git("rev-parse", f"{tip}{name}", f"{git_head(cheat, hub)}{name}").split()
    hub.git("worktree", "remove", "--force", str(cheat))
    hub.git("replace", old, new)
    return old


def git_head(directory: Path, hub: Hub) -> str:
    return hub.git("rev-parse", "HEAD", cwd=directory)


def warnings(hub: Hub, *command: str) -> list[str]:
    result = hub.run(*command)
    assert result.code == 0
    return [line for line in result.err.splitlines() if line.startswith("warning: git ")]


@pytest.mark.parametrize("packs", [False, True])
def test_replaced_objects_are_named(session: Hub, packs: bool) -> None:
    assert warnings(session, "status", "s1") == warnings(session, "merge", "-n", "s1") == []
    old = replace(session, "blob")
    if packs:
        session.git("pack-refs", "--all")
    expected = [f"{PREFIX} '{old[:12]}'"]
    assert warnings(session, "status", "s1") == warnings(session, "merge", "-n", "s1") == expected
    [finding] = session.json("doctor", code=1)["findings"]
    assert (finding["code"], finding["session"]) == ("objects-replaced", "s1")
    assert f"warning: {finding['evidence']}" == expected[0]
    session.git("replace", "-d", old)
    assert warnings(session, "status", "s1") == []
    assert session.run("doctor").code == 0


def test_many_and_invalid_names(session: Hub) -> None:
    """git ignores a name that is not an object id."""
    directory = session.top / ".git" / "refs" / "replace"
    head = session.git("rev-parse", "HEAD")
    for number in range(7):
        (directory / f"{number:040x}").write_text(f"{head}\n")
    (directory / "x\x1b").write_text(f"{head}\n")
    names = ", ".join(["'000000000000'"] * 5)
    assert warnings(session, "status", "s1") == [f"{PREFIX} {names} and 2 more"]


def test_grafts_are_named(session: Hub) -> None:
    tip, root = session.git("rev-parse", TIP, "main").split()
    (session.top / ".git" / "info" / "grafts").write_text(f"{tip} {root}\n")
    expected = ["warning: git settings changed since the first agent was created: 'info/grafts'"]
    assert warnings(session, "status", "s1") == warnings(session, "merge", "-n", "s1") == expected


@pytest.mark.parametrize("kind", ["blob", "tree", "commit"])
@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("option", ["--no-squash", "--rebase"])
def test_merge_lands_the_original_objects(
    session: Hub, kind: str, moved: bool, option: str
) -> None:
    if moved:
        session.commit(session.top, "other", "other\n")
        assert session.run("eval", "-q", *MEASURE, "s1") == Result(0)
    replace(session, kind)
    assert session.run("merge", "-q", "--yes", option, "s1").code == 0
    session.environ["GIT_NO_REPLACE_OBJECTS"] = "1"
    assert session.git("show", "main:ms") == "ms: 3"
    assert (session.top / "ms").read_text() == "ms: 3\n"
    assert not (session.top / "evil").exists()
    assert "evil" not in session.git("ls-tree", "-r", "--name-only", "main").split()
    assert session.git("status", "--porcelain", "--untracked-files=no") == ""


def test_measured_merge_has_the_original_objects(session: Hub) -> None:
    """The measured tree is a merge: the base branch has moved."""
    session.commit(session.top, "other", "other\n")
    replace(session, "tree")
    assert session.run("eval", "-q", *MEASURE, "s1") == Result(0)
    result = session.state()["agents"]["agent-1"]["result"]
    assert (result["rank"], result["metric"]) == (1, 3)
    assert session.run("merge", "-q", "--yes", "s1").code == 0
    assert (session.top / "ms").read_text() == "ms: 3\n"
    assert not (session.top / "evil").exists()


def test_hub_files_behind_a_replaced_tree_are_refused(session: Hub) -> None:
    """The replaced tree has no files of the hub, and the original one has."""
    tree = session.git("rev-parse", f"{TIP}^{{tree}}")
    worktree = agent_worktree(session, 1)
    (worktree / ".agenthub").mkdir()
    (worktree / ".agenthub" / "x").write_text("x\n")
    session.git("add", "-f", ".agenthub/x", cwd=worktree)
    session.git("commit", "-q", "-m", "hub files", cwd=worktree)
    session.git("replace", session.git("rev-parse", f"{TIP}^{{tree}}"), tree)
    result = session.run("merge", "--yes", "--unmeasured", "s1")
    assert result.code == 1
    assert "agent-1 has committed files of the hub:" in result.err
    assert ".agenthub/x" in result.err
