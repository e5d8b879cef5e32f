"""Remote and choose_remote(), with real remotes."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_hub_session.session.project import Project
from git_hub_session.sharing.choose_remote import NoRemote, choose_remote
from git_hub_session.sharing.remote import RefAnswer, Remote, RemoteFailed, parse_answers
from tests.support.hints import follow_hint, types
from tests.support.hub import Hub, is_alive
from tests.support.remotes import KINDS, ServedRepository, serve

MAIN = "refs/heads/main"
OTHER = "refs/heads/other"


@pytest.fixture(params=KINDS)
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedRepository]:
    """Return a bare repository that is the remote `origin` of the fixture `hub`."""
    with serve(request.param, tmp_path / "server") as served:
        yield served


def open_remote(hub: Hub, served: ServedRepository, name: str = "", **options: object) -> Remote:
    """Return the remote of a repository, with short pauses."""
    project = Project({**hub.environ, **served.environ}, directory=str(hub.top))
    values = {"pauses": (0.01, 0.01), **options}
    return Remote(project.git, name or served.url, **values)  # type: ignore[arg-type]


def file_remote(tmp_path: Path) -> ServedRepository:
    """Return a bare repository that is reached by its path."""
    with serve("file", tmp_path / "server") as served:
        return served


def commit(hub: Hub, text: str) -> str:
    """Return a new commit on main."""
    return hub.commit(hub.top, "file", text)


def test_each_ref_has_an_answer(hub: Hub, served: ServedRepository) -> None:
    remote = open_remote(hub, served)
    first = hub.git("rev-parse", MAIN)
    answer = remote.push([f"{MAIN}:{MAIN}"])
    assert (answer.refs, answer.tries) == ((RefAnswer("*", MAIN),), 1)
    assert remote.push([f"{MAIN}:{MAIN}"]).refs == (RefAnswer("=", MAIN),)
    second = commit(hub, "second\n")
    assert remote.push([f"{MAIN}:{MAIN}"]).refs == (RefAnswer(" ", MAIN, first, second),)
    forced = remote.push([f"{first}:{MAIN}"], leases={MAIN: second})
    assert forced.refs == (RefAnswer("+", MAIN, second, first),)
    remote.push([f"{MAIN}:{OTHER}"])
    assert remote.push([f":{OTHER}"], leases={OTHER: second}).refs == (RefAnswer("-", OTHER),)
    assert served.refs() == {MAIN: first}


def test_a_refused_ref_refuses_the_whole_push(hub: Hub, served: ServedRepository) -> None:
    remote = open_remote(hub, served)
    remote.push([f"{MAIN}:{MAIN}"])
    commit(hub, "second\n")
    before = served.refs()
    answer = remote.push([f"{MAIN}:{OTHER}", f"{MAIN}:{MAIN}"], leases={MAIN: ""})
    assert answer.of(MAIN) == RefAnswer("!", MAIN, reason="stale info")
    assert answer.of(MAIN).has_moved
    assert answer.of("refs/heads/none") == RefAnswer("!", "refs/heads/none", reason="no answer")
    assert served.refs() == before


def test_refs_are_listed_and_fetched(hub: Hub, served: ServedRepository) -> None:
    remote = open_remote(hub, served)
    oid = hub.git("rev-parse", MAIN)
    remote.push([f"{MAIN}:{MAIN}", f"{MAIN}:refs/hub/x/one"])
    assert remote.list_refs() == {MAIN: oid, "refs/hub/x/one": oid}
    assert remote.list_refs("refs/hub/") == {"refs/hub/x/one": oid}
    remote.fetch(["+refs/hub/x/*:refs/hub/y/*"])
    assert hub.refs("refs/hub") == {"refs/hub/y/one": oid}
    assert not (hub.top / ".git" / "FETCH_HEAD").exists()


def test_a_push_waits_for_a_remote_that_comes_back(hub: Hub, served: ServedRepository) -> None:
    if served.url.startswith("file:"):
        pytest.skip("a missing directory is not a failure of the connection")
    served.stop()
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        if len(notes) == 2:
            served.start()

    remote = open_remote(hub, served, pauses=(0.01,) * 5, note=note)
    answer = remote.push([f"{MAIN}:{MAIN}"])
    assert (answer.of(MAIN).flag, answer.tries) == ("*", 3)
    assert all(text.startswith(f"cannot push to '{served.url}': ") for text in notes)
    assert all(text.endswith("; trying again in 0.01 s") for text in notes)


def test_a_remote_that_stays_away_is_an_error(hub: Hub, served: ServedRepository) -> None:
    served.stop()
    remote = open_remote(hub, served)
    with pytest.raises(RemoteFailed, match="^cannot fetch from '") as caught:
        remote.fetch([MAIN])
    assert served.url in caught.value.message
    served.start()


def test_a_fetch_while_a_worktree_is_created(hub: Hub, tmp_path: Path) -> None:
    """The HEAD of the worktree names a commit that git cannot read yet."""
    served = file_remote(tmp_path)
    open_remote(hub, served).push([f"{MAIN}:{OTHER}"])
    head = hub.top / ".git" / "worktrees" / "new" / "HEAD"
    hub.git("worktree", "add", "-q", "--detach", tmp_path / "new")
    old = head.read_text()
    tip = hub.git("commit-tree", "-m", "new", f"{OTHER}^{{tree}}", cwd=served.path)
    served.git("update-ref", OTHER, tip)
    head.write_text(f"{'1' * 40}\n")
    notes = []

    def note(text: str) -> None:
        notes.append(text)
        head.write_text(old)

    open_remote(hub, served, note=note).fetch([f"{OTHER}:refs/hub/x"])
    assert hub.git("rev-parse", "refs/hub/x") == tip
    reason = f"bad object worktrees/new/HEAD; {served.url} did not send all necessary objects"
    assert notes == [f"cannot fetch from '{served.url}': {reason}; trying again in 0.01 s"]


def test_a_hook_of_the_server_refuses(hub: Hub, served: ServedRepository) -> None:
    served.install_hook("pre-receive", r"printf 'no room \033[31mred\r\n' >&2; exit 1")
    answer = open_remote(hub, served).push([f"{MAIN}:{MAIN}"])
    assert answer.refs == (RefAnswer("!", MAIN, reason="pre-receive hook declined"),)
    assert answer.messages == ("remote: no room red",)
    assert answer.tries == 1
    assert served.refs() == {}


def test_a_silent_remote_ends_the_command(hub: Hub, tmp_path: Path) -> None:
    """A server that accepts connections and sends nothing is like a link that was cut."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        url = f"git://127.0.0.1:{server.getsockname()[1]}/x"
        served = ServedRepository(tmp_path, url, {})
        remote = open_remote(hub, served, silence_limit=0.2, pauses=())
        with pytest.raises(RemoteFailed, match="^cannot push to 'git://.*': no answer for 0.2 s$"):
            remote.push([f"{MAIN}:{MAIN}"])


def test_a_silent_ssh_is_ended_too(hub: Hub, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = tmp_path / "ssh"
    script.write_text(f"#!/bin/sh\necho $$ >{pid_file}\nexec sleep 600\n")
    script.chmod(0o755)
    served = ServedRepository(tmp_path, "ssh://far/x", {"GIT_SSH_COMMAND": str(script)})
    remote = open_remote(hub, served, silence_limit=2.0, pauses=())
    with pytest.raises(RemoteFailed, match="no answer for 2 s"):
        remote.fetch([MAIN])
    assert not is_alive(int(pid_file.read_text()))


def test_a_slow_remote_that_shows_progress_is_not_ended(hub: Hub, tmp_path: Path) -> None:
    served = file_remote(tmp_path)
    served.install_hook("pre-receive", "for i in 1 2 3 4 5 6; do echo $i >&2; sleep 0.5; done")
    answer = open_remote(hub, served, silence_limit=2.0).push([f"{MAIN}:{MAIN}"])
    assert answer.of(MAIN).flag == "*"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nowhere", "'nowhere' does not appear to be a git repository"),
        ("ext::sh -c 'touch ran'", "transport 'ext' not allowed"),
        ("-x", "strange pathname '-x' blocked"),
    ],
)
def test_permanent_failures_are_not_retried(
    hub: Hub, tmp_path: Path, url: str, reason: str
) -> None:
    notes: list[str] = []
    remote = open_remote(hub, file_remote(tmp_path), url, note=notes.append)
    with pytest.raises(RemoteFailed) as caught:
        remote.push([f"{MAIN}:{MAIN}"])
    assert caught.value.message == f"cannot push to '{url}': {reason}"
    assert notes == []
    assert not (hub.top / "ran").exists()


def test_a_password_is_not_shown(hub: Hub, tmp_path: Path) -> None:
    remote = open_remote(hub, file_remote(tmp_path), "http://ada:secret@127.0.0.1:1/x", pauses=())
    with pytest.raises(RemoteFailed) as caught:
        remote.fetch([MAIN])
    assert caught.value.message.startswith("cannot fetch from 'http://127.0.0.1:1/x': unable to")
    assert "secret" not in caught.value.message


def test_settings_of_the_user_do_not_add_refs(hub: Hub, tmp_path: Path) -> None:
    served = file_remote(tmp_path)
    hub.git("remote", "add", "--mirror=push", "origin", served.url)
    hub.git("config", "push.followTags", "true")
    hub.git("tag", "-a", "-m", "x", "v1")
    open_remote(hub, served, "origin").push([f"{MAIN}:{MAIN}"])
    assert [*served.refs()] == [MAIN]


def test_the_pre_push_hook_runs_unless_it_is_left_out(hub: Hub, tmp_path: Path) -> None:
    served = file_remote(tmp_path)
    hook = hub.top / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho printed; exit 1\n")
    hook.chmod(0o755)
    remote = open_remote(hub, served)
    with pytest.raises(RemoteFailed, match="^cannot push to '"):
        remote.push([f"{MAIN}:{MAIN}"])
    assert remote.push([f"{MAIN}:{MAIN}"], runs_hook=False).of(MAIN).flag == "*"
    hook.write_text("#!/bin/sh\necho printed\n")
    assert remote.push([f"{MAIN}:{OTHER}"]).of(OTHER).flag == "*"


def test_answers_are_parsed_strictly() -> None:
    output = (
        b"To x\nprinted by a hook\n*\tHEAD:refs/hub/\x1b[31m\t[new branch]\n"
        b"?\ta:refs/x\ty\n!\ta:refs/y\t[remote rejected] (a\x1b]0;x\x07b)\nDone\n"
    )
    assert [*parse_answers(output)] == [
        RefAnswer("*", "refs/hub/\x1b[31m"),
        RefAnswer("!", "refs/y", reason=r"a\x1b]0;x\x07b"),
    ]


def choose(hub: Hub, name: str = "") -> str:
    """Return the chosen remote of a repository."""
    return choose_remote(Project(hub.environ, directory=str(hub.top)), name)


def test_the_remote_is_chosen_by_a_fixed_order(hub: Hub) -> None:
    hub.git("remote", "add", "only", "/only")
    assert choose(hub) == "only"
    hub.git("remote", "add", "Other.one", "/other")
    hub.git("remote", "add", "origin", "/origin")
    assert choose(hub) == "origin"
    hub.git("config", "branch.main.remote", "Other.one")
    assert choose(hub) == "Other.one"
    hub.git("config", "branch.main.remote", ".")
    assert choose(hub) == "origin"
    hub.git("config", "hubsession.remote", "only")
    assert choose(hub) == "only"
    assert choose(hub, "/path") == "/path"


@types("git remote add origin <url>", "git config {} <name>")
def test_without_a_remote_a_hint_names_the_command(hub: Hub) -> None:
    for setup, message, hint, words in (
        ((), "no remote is configured", "git remote add origin <url>", "git remote add a /a"),
        (
            (("remote", "add", "b", "/b"),),
            "several remotes and no default: 'a', 'b'",
            "git config hubsession.remote <name>",
            "git config hubsession.remote b",
        ),
    ):
        for command in setup:
            hub.git(*command)
        with pytest.raises(NoRemote) as caught:
            choose(hub)
        assert (caught.value.message, caught.value.hint) == (message, hint)
        follow_hint(hint)
        hub.git(*words.split()[1:])
        choose(hub)


def test_a_signal_ends_a_waiting_git(hub: Hub, tmp_path: Path) -> None:
    """The exception of the signal arrives although the remote does not answer."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        url = f"git://127.0.0.1:{server.getsockname()[1]}/x"
        remote = open_remote(hub, ServedRepository(tmp_path, url, {}), pauses=())
        main_thread = threading.main_thread().ident
        assert main_thread is not None
        connections: list[socket.socket] = []

        def interrupt() -> None:
            connections.append(server.accept()[0])
            signal.pthread_kill(main_thread, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            remote.push([f"{MAIN}:{MAIN}"])
        thread.join()
        connections.pop().close()
