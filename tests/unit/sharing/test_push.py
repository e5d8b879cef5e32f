"""Publish a session while another clone publishes the same session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from git_hub_session.git.ref_names import ALL_INCOMING, REFS, parse_session_id
from git_hub_session.session.project import Project
from git_hub_session.sharing import incoming_refs, push
from git_hub_session.sharing.fetch import fetch_sessions
from git_hub_session.sharing.push import PushOptions, push_sessions
from git_hub_session.sharing.remote import PushAnswer, Remote
from tests.support.clones import add_clone, bare_remote, connect
from tests.support.hub import Hub


class ChangingRemote(Remote):
    """A remote that another clone changes after it was read for the first time."""

    def __init__(self, project: Project, change: Callable[[], None]) -> None:
        super().__init__(project.git, "origin")
        self.change: Callable[[], None] | None = change

    def fetch(self, refspecs: Sequence[str], options: Sequence[str] = ()) -> None:
        super().fetch(refspecs, options)
        self._change_once()

    def list_refs(self, prefix: str = REFS) -> dict[str, str]:
        refs = super().list_refs(prefix)
        self._change_once()
        return refs

    def _change_once(self) -> None:
        if self.change is not None:
            change, self.change = self.change, None
            change()


def post(hub: Hub, author: str) -> None:
    words = ("results", "--session", "s1", "--author", author, "-m", "done")
    assert hub.run("board", "post", *words).code == 0


def test_a_push_between_two_reads_of_the_remote_is_not_overwritten(hub: Hub) -> None:
    server = bare_remote(hub)
    first = connect(hub, str(server))
    assert first.run("init", "-q", "--id", "s1", "--task", "t").code == 0
    assert first.run("push", "-q").code == 0
    second = add_clone(first, "second", str(server))
    assert second.run("fetch", "-q").code == 0
    post(first, "ada")
    assert first.run("push", "-q").code == 0  # the first push of the second clone is refused
    post(second, "bob")

    def publish_again() -> None:
        post(first, "eve")
        assert first.run("push", "-q").code == 0

    project = Project({**second.environ}, directory=str(second.top))
    remote = ChangingRemote(project, publish_again)
    [pushed] = push_sessions(
        [parse_session_id("s1")], project, remote, PushOptions(shared="refs/hub")
    )
    assert (pushed.error, remote.change) == (None, None)
    paths = first.git(
        "ls-tree", "-r", "--name-only", "refs/hub/sessions/s1", "board/", cwd=server
    ).splitlines()
    assert sorted(path.split("-")[1] for path in paths) == ["ada", "bob", "eve"]


class CountingRemote(Remote):
    """A remote that counts the calls of git."""

    pushes = fetches = 0

    def push(
        self,
        refspecs: Sequence[str],
        *,
        leases: Mapping[str, str] | None = None,
        runs_hook: bool = True,
    ) -> PushAnswer:
        self.pushes += 1
        return super().push(refspecs, leases=leases, runs_hook=runs_hook)

    def fetch(self, refspecs: Sequence[str], options: Sequence[str] = ()) -> None:
        self.fetches += 1
        super().fetch(refspecs, options)


def test_many_sessions_have_no_place_on_one_command_line(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = bare_remote(hub)
    first = connect(hub, str(server))
    second = add_clone(first, "second", str(server))
    sids = [parse_session_id(f"s{number}") for number in range(5)]
    for sid in sids:
        assert first.run("init", "-q", "--id", sid, "--task", "t").code == 0
    monkeypatch.setattr(push, "_MAX_ARGUMENTS", 800)  # two sessions without agents
    monkeypatch.setattr(incoming_refs, "_MAX_SESSIONS", 2)
    project = Project({**first.environ}, directory=str(first.top))
    remote = CountingRemote(project.git, "origin")
    pushed = push_sessions(sids, project, remote, PushOptions(shared="refs/hub"))
    assert [(each.sid, each.error) for each in pushed] == [(sid, None) for sid in sids]
    assert (remote.pushes, remote.fetches) == (3, 0)
    project = Project({**second.environ}, directory=str(second.top))
    remote = CountingRemote(project.git, "origin")
    fetched = fetch_sessions([], project, remote, shared="refs/hub", dry_run=False)
    assert [(each.sid, each.error) for each in fetched] == [(sid, None) for sid in sids]
    assert (remote.pushes, remote.fetches) == (0, 3)
    assert second.json("list") == first.json("list")
    assert not [ref for ref in second.refs() if ref.startswith(ALL_INCOMING)]
