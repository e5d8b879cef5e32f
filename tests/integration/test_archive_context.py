"""The attempts that an archive counts as merged."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_hub_session.cleanup.archive_context import make_archive_context
from git_hub_session.git.ref_names import AgentBranch, SessionId
from git_hub_session.session.project import Project
from tests.support.hub import Hub


def test_the_sessions_are_read_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time does not grow with the product of the branches and the sessions."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "3").code == 0
    assert hub.run("spawn", "-q", "s1").code == 0
    for agent in (1, 2, 3):
        hub.commit(Path(hub.run("path", "s1", str(agent)).out.strip()), f"file{agent}", "work\n")
        hub.git("merge", "-q", "--no-edit", f"hub/s1/agent-{agent}/attempt-1")
    branches = [AgentBranch(SessionId("s1"), agent, 1) for agent in (1, 2, 3)]
    monkeypatch.chdir(hub.top)
    project = Project(hub.environ)
    calls = []

    def find_parents() -> list[AgentBranch]:
        calls.append("read")
        return branches[:1]

    session = project.store.read(SessionId("s1"))
    context = make_archive_context(session.id, session, project, find_parents)
    found = [context.is_in_base(branch, hub.git("rev-parse", branch.ref)) for branch in branches]
    assert (found, calls) == ([False, True, True], ["read"])
