"""Publish a session while another clone publishes the same session."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from git_hub_session.git.ref_names import REFS, parse_session_id
from git_hub_session.session.project import Project
from git_hub_session.sharing.push import PushOptions, push_sessions
from git_hub_session.sharing.remote import Remote
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
