"""git_hub_session.sharing.move_refs: create and move the refs of fetched sessions."""

from __future__ import annotations

from pathlib import Path

from git_hub_session.git.ref_names import parse_session_id
from git_hub_session.session.project import Project
from git_hub_session.sharing.move_refs import FetchedRef, move_refs, plan_refs
from git_hub_session.sharing.session_refs import group_refs
from tests.support.clones import add_clone
from tests.support.hub import Hub
from tests.support.workers import finish, start_command


def test_another_process_has_moved_the_refs(hub: Hub) -> None:
    """Two workers in one clone fetch a session at the same time."""
    sid = parse_session_id("s1")
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    before = hub.git("rev-parse", "@")
    hub.commit(hub.top, "file", "later\n")
    after = hub.git("rev-parse", "@")
    same, older = (f"refs/heads/hub/s1/agent-{n}/attempt-1" for n in (1, 2))
    theirs = group_refs([sid], {same: after, older: after})
    project = Project({**hub.environ}, directory=str(hub.top))
    planned = plan_refs(theirs, project)
    assert [each.action for each in planned[sid]] == ["created", "created"]
    hub.git("update-ref", same, after)
    hub.git("update-ref", older, before)
    moved, errors = move_refs(theirs, planned, project)
    assert errors == {}
    assert moved == {sid: [FetchedRef(older, "updated", after, before)]}
    assert hub.refs("refs/heads/hub/s1") == {same: after, older: after}


def test_four_fetches_of_a_new_session(hub: Hub, remote: Path) -> None:
    for number in range(5):
        words = ("--id", f"s{number}", "--task", "t", "--agents", "8")
        assert hub.run("init", "-q", *words).code == 0
        assert hub.run("spawn", "-q", f"s{number}").code == 0
    assert hub.run("push", "-q").code == 0
    second = add_clone(hub, "second", str(remote))
    for number in range(5):
        sid = f"s{number}"
        started = [start_command(second, "fetch", "-q", "origin", sid) for _ in range(4)]
        for result in map(finish, started):
            assert (result.code, result.out, result.err) == (0, "", "")
        assert second.refs(f"refs/heads/hub/{sid}") == hub.refs(f"refs/heads/hub/{sid}")
        assert second.state(sid)["state"] == "running"
