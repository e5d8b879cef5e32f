"""git hub-session exec --on: workers that a command prefix or ssh starts elsewhere."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from select import select

import pytest

from tests.support.clones import connect
from tests.support.hints import find_hint, follow_hint, type_hint, types
from tests.support.hub import Hub, Result, is_alive, wait_for
from tests.support.remotes import ServedRepository, SshHost, run_sshd
from tests.support.workers import define_executor, finish, published_attempts, start_exec

pytestmark = pytest.mark.slow
COMMIT = 'echo "${HUB_AGENT#agent-} $FAR" >work && git add work && git commit -qm work'
HOST = os.uname().nodename
_LOST = "connection to 'ssh:far' was lost; its worker may go on"


@pytest.fixture
def first(hub: Hub, served: ServedRepository) -> Hub:
    """Return a clone with a session, which is not published, and the executor `box`."""
    connect(hub, served.url)
    created = hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    assert created == Result(0, "s1\n")
    define_executor(hub, "box", command="env FAR=box")
    return hub


@pytest.fixture
def host(first: Hub, far_home: Path, tmp_path: Path) -> Iterator[SshHost]:
    """Return the host `far`, which has the program on its PATH."""
    variables = {"HOME": far_home, "PATH": first.environ["PATH"], "FAR": "ssh"}
    with run_sshd(tmp_path / "keys", {key: str(each) for key, each in variables.items()}) as host:
        first.environ["GIT_SSH_COMMAND"] = host.command
        yield host


def execute(hub: Hub, *words: str) -> Result:
    """Run `git hub-session exec` to its end."""
    return finish(start_exec(hub, *words))


def content(served: ServedRepository, attempt: str) -> str:
    """Return the file that COMMIT has committed."""
    return served.git("show", f"refs/heads/hub/s1/{attempt}:work")


def claims(served: ServedRepository) -> list[str]:
    """Return the claims on the remote."""
    return [*served.refs("refs/hub/claims/")]


def check_done(hub: Hub, served: ServedRepository, far: str) -> None:
    """Check that the work of both agents is on the remote and in this clone."""
    assert sorted(published_attempts(served)) == ["agent-1/attempt-1", "agent-2/attempt-1"]
    assert [content(served, f"agent-{n}/attempt-1") for n in (1, 2)] == [f"1 {far}", f"2 {far}"]
    assert claims(served) == []
    ours = {f"refs/heads/hub/s1/{name}": oid for name, oid in published_attempts(served).items()}
    assert hub.refs("refs/heads/hub/s1") == ours
    agents = hub.state()["agents"]
    assert [agents[name]["status"] for name in ("agent-1", "agent-2")] == ["done", "done"]


def clones(hub: Hub) -> list[Path]:
    """Return the clones in the cache."""
    cache = Path(hub.environ["HOME"]) / ".cache" / "git-hub-session"
    return [git_dir.parent for git_dir in cache.glob("*/.git")]


def table(served: ServedRepository) -> list[str]:
    """Return the last lines of the output if both agents are done."""
    tips = [published_attempts(served)[f"agent-{n}/attempt-1"][:12] for n in (1, 2)]
    rows = [f"agent-{n}  done          1  {tip}" for n, tip in zip((1, 2), tips, strict=True)]
    return ["AGENT    STATUS  ATTEMPT  COMMIT", *rows]


def test_a_command_prefix_starts_a_worker(first: Hub, served: ServedRepository) -> None:
    result = execute(
        first, "--on", "box", "s1", "--", "sh", "-c", f"echo it\\'s $FAR; {COMMIT}; echo two  words"
    )
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    expected = [
        *(f"box: working on agent-{n}" for n in (1, 2)),
        *(f"box: agent-{n} | {text}" for n in (1, 2) for text in ("it's box", "two words")),
        *(f"box: agent-{n}: done" for n in (1, 2)),
    ]
    assert sorted(lines[:-3]) == sorted(expected)
    assert lines[-3:] == table(served)
    check_done(first, served, "box")
    again = execute(first, "--on", "box", "s1", "--", "false")
    assert (again.code, again.err) == (0, ""), again
    nothing = "box: nothing left to work on in session s1"
    assert again.out.splitlines() == [nothing, *table(served)]


def test_the_clone_is_in_the_cache_and_is_used_again(first: Hub, served: ServedRepository) -> None:
    execute(first, "--on", "box", "--only", "1", "s1", "--", "true")
    [clone] = clones(first)
    assert clone.name.startswith("shared-")
    assert first.git("remote", "get-url", "origin", cwd=clone) == served.url
    marker = clone / "marker"
    marker.touch()
    main = first.commit(first.top, "file", "later\n")
    first.git("push", "-q", "origin", "main")
    first.run("init", "-q", "--id", "s2", "--task", "Make it small", "--agents", "1")
    assert execute(first, "--on", "box", "s2", "--", "true").code == 0
    assert marker.exists()
    assert clones(first) == [clone]
    assert served.refs("refs/heads/hub/s2/")["refs/heads/hub/s2/agent-1/attempt-1"] == main


def test_a_clone_of_the_user_stays_on_its_commit(first: Hub, served: ServedRepository) -> None:
    path = first.top.parent / "own"
    first.git("clone", "-q", served.url, path)
    old = first.git("rev-parse", "HEAD", cwd=path)
    main = first.commit(first.top, "file", "later\n")
    first.git("push", "-q", "origin", "main")
    define_executor(first, "box", path=str(path))
    assert execute(first, "--on", "box", "s1", "--", "sh", "-c", COMMIT).code == 0
    assert first.git("rev-parse", "HEAD", cwd=path) == old
    assert first.git("rev-parse", "origin/main", cwd=path) == main
    check_done(first, served, "box")


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_the_shell_at_the_far_end(
    first: Hub, served: ServedRepository, tmp_path: Path, shell: str
) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    programs = tmp_path / "shell"
    programs.mkdir()
    (programs / "sh").symlink_to(program)
    define_executor(first, "box", command=f"env FAR={shell} PATH={programs}:$PATH")
    started, go = tmp_path / "started", tmp_path / "go"
    wait = f"touch {started}; until test -e {go}; do sleep 0.05; done"
    words = (
        "--on",
        "box",
        "s1",
        "--",
        "sh",
        "-c",
        f"{COMMIT}; {wait}; echo 'a  b' \"$@\"",
        "x",
        "",
    )
    process = start_exec(first, *words)
    wait_for(started.exists, process)
    os.killpg(process.pid, signal.SIGTERM)
    assert finish(process).code in (-signal.SIGTERM, 128 + signal.SIGTERM)
    ended = execute(first, "--on", "box", "--cancel", "s1")
    assert ended == Result(0, "Ended 1 worker on box\n")
    assert claims(served) == []
    go.touch()
    result = execute(first, *words)
    assert (result.code, result.err) == (0, "")
    assert content(served, "agent-1/attempt-1") == f"1 {shell}"
    assert any(line.endswith(" | a  b ") for line in result.out.splitlines())


@pytest.mark.parametrize("name", ["box", "ssh:far"])
def test_lines_are_shown_while_the_command_runs(
    first: Hub, host: SshHost, tmp_path: Path, name: str
) -> None:
    """The command waits until its first line was shown."""
    go = tmp_path / "go"
    script = f"echo first line; until test -e {go}; do sleep 0.05; done; echo last line"
    process = start_exec(first, "--on", name, "--only", "1", "s1", "--", "sh", "-c", script)
    assert process.stdout is not None
    shown = [process.stdout.readline() for _ in range(2)]
    assert shown == [f"{name}: working on agent-1\n", f"{name}: agent-1 | first line\n"]
    go.touch()
    result = finish(process)
    assert (result.code, result.out.splitlines()[0]) == (0, f"{name}: agent-1 | last line")


def test_two_workers_work_in_parallel(first: Hub, served: ServedRepository, tmp_path: Path) -> None:
    """Each command waits for the other one."""
    wait = f"touch {tmp_path}/$HUB_AGENT; until test -e {tmp_path}/agent-1 -a -e {tmp_path}/agent-2"
    words = ("s1", "--", "sh", "-c", f"{COMMIT}; {wait}; do sleep 0.05; done")
    result = execute(first, "--on", "box*2", *words)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[-3:] == table(served)
    check_done(first, served, "box")


def test_the_settings_of_an_executor(first: Hub, served: ServedRepository, tmp_path: Path) -> None:
    path = tmp_path / "a clone's place" / "project"
    define_executor(first, "box", slots="2", path=str(path), setup="export FAR='it is set up'; pwd")
    result = execute(first, "--on", "box", "s1", "--", "sh", "-c", COMMIT)
    assert result.code == 0
    assert result.err.splitlines() == [f"box: {path}"] * 2
    check_done(first, served, "it is set up")
    logs = path / ".git" / "hub-session-workers" / "s1" / HOST
    assert sorted(each.name for each in logs.iterdir()) == [
        f"{n}.{end}" for n in (1, 2) for end in ("command", "lock", "log", "pid", "status")
    ]


def test_a_remote_that_the_far_end_sees_elsewhere(first: Hub, served: ServedRepository) -> None:
    other = served.path.with_name("other.git")
    other.symlink_to(served.path)
    define_executor(first, "box", remote=f"file://{other}")
    assert execute(first, "--on", "box", "s1", "--", "sh", "-c", COMMIT).code == 0
    check_done(first, served, "box")
    [clone] = clones(first)
    assert clone.name.startswith("other-")
    assert first.git("remote", "get-url", "origin", cwd=clone) == f"file://{other}"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://me:secret@nowhere.invalid/a.git", "https://nowhere.invalid/a.git"),
        ("http://secret@nowhere.invalid/a.git", "http://nowhere.invalid/a.git"),
        ("ssh://git@nowhere.invalid/a.git", "ssh://git@nowhere.invalid/a.git"),
        ("git@nowhere.invalid:a@b.git", "git@nowhere.invalid:a@b.git"),
    ],
)
def test_the_far_end_gets_no_password(
    first: Hub, served: ServedRepository, tmp_path: Path, url: str, sent: str
) -> None:
    first.git("remote", "set-url", "--push", "origin", served.url)
    first.run("push", "-q", "s1")
    first.git("remote", "set-url", "origin", url)
    define_executor(first, "spy", command=f"head -n 20 >{tmp_path}/script; exit 9;")
    first.environ["GIT_SSH_COMMAND"] = "false"
    result = execute(first, "--on", "spy", "s1", "--", "true")
    assert result.code == 1
    assert "error: 'spy' failed with exit status 9" in result.err.splitlines()
    script = (tmp_path / "script").read_text()
    assert f"url={sent}\n" in script
    assert "secret" not in script + result.err


def test_a_remote_with_a_relative_path(first: Hub, served: ServedRepository) -> None:
    first.git("remote", "set-url", "origin", os.path.relpath(served.path, first.top))
    assert execute(first, "--on", "box", "s1", "--", "sh", "-c", COMMIT).code == 0
    check_done(first, served, "box")
    [clone] = clones(first)
    assert first.git("remote", "get-url", "origin", cwd=clone) == str(served.path)


def test_a_failed_command(first: Hub, served: ServedRepository) -> None:
    fail = f'{COMMIT}; test "$HUB_AGENT" = agent-1'
    result = execute(first, "--on", "box", "s1", "--", "sh", "-c", fail)
    assert (result.code, result.err) == (1, "")
    assert [line.split()[:2] for line in result.out.splitlines()[-3:]] == [
        ["AGENT", "STATUS"],
        ["agent-1", "done"],
        ["agent-2", "failed"],
    ]
    assert len(published_attempts(served)) == 2


def test_the_output_cannot_control_the_terminal(first: Hub) -> None:
    script = r"printf '\033]0;title\007\033[31mred\033[0m\r\n'; head -c 5000 /dev/zero | tr '\0' x"
    result = execute(first, "--on", "box", "--only", "1", "s1", "--", "sh", "-c", script)
    assert "box: agent-1 | \\x1b]0;title\\x07red" in result.out.splitlines()
    [long] = [line for line in result.out.splitlines() if "xxx" in line]
    assert len(long) < 2100
    assert long.endswith("...")


def test_a_hostile_far_end(first: Hub, served: ServedRepository) -> None:
    """It prints escape sequences, and reports that are not valid."""
    lines = r"\033]0;title\007\n\302\233 2J\377\nhub-session: ended 9x\nhub-session: cancelled -1"
    define_executor(first, "evil", command=f"printf '{lines}' >&2; printf '{lines}'; exit 0;")
    result = execute(first, "--on", "evil", "s1", "--", "true")
    shown = [f"evil: {text}" for text in (r"\x1b]0;title\x07", r"\x9b 2J\xff")]
    reports = [f"evil: hub-session: {text}" for text in ("ended 9x", "cancelled -1")]
    assert result.code == 1
    assert result.out.splitlines()[:4] == [*shown, *reports]
    assert result.err.splitlines()[:3] == [*shown, "evil: hub-session: cancelled -1"]
    assert result.err.splitlines()[3:] == ["error: a worker on 'evil' was killed"]
    assert published_attempts(served) == {}


def test_an_agent_cannot_forge_a_report(first: Hub, served: ServedRepository) -> None:
    script = f"echo; echo 'hub-session: ended 0'; echo 'hub-session: ended 0' >&2; {COMMIT}"
    result = execute(first, "--on", "box", "s1", "--", "sh", "-c", script)
    assert result.code == 0
    assert result.out.count("hub-session: ended 0") == 4
    check_done(first, served, "box")


def test_json(first: Hub, served: ServedRepository) -> None:
    result = first.run("exec", "--on", "box", "--format=json", "s1", "--", "true")
    assert (result.code, result.err) == (0, "")
    answer = json.loads(result.out)
    assert answer.pop("version") == 1
    worker = {"executor": "box", "worker": 1, "exit_code": 0, "attached": False}
    assert answer == {
        "session_id": "s1",
        "workers": [
            {**worker, "running": False, "cancelled": 0, "error": None, "hint": None, "job": None}
        ],
        "agents": [
            {
                "agent": n,
                "attempt": 1,
                "status": "done",
                "commit": published_attempts(served)[f"agent-{n}/attempt-1"],
            }
            for n in (1, 2)
        ],
    }


@types("git config --global {} {}")
def test_an_executor_that_is_not_defined(first: Hub, served: ServedRepository) -> None:
    before = served.refs()
    result = execute(first, "--on", "gpu1", "s1", "--", "true")
    hint = "git config --global hubsession.executor.gpu1.command 'ssh gpu1'"
    assert result == Result(128, "", f"fatal: no such executor: 'gpu1'\nhint: {hint}\n")
    assert served.refs() == before
    type_hint(first, find_hint(result, "git config --global {} {}"))
    key = "hubsession.executor.gpu1.command"
    assert first.git("config", "--global", key) == "ssh gpu1"


@pytest.mark.parametrize("place", ["config", "include", ".hubsession"])
def test_the_repository_cannot_define_an_executor(
    first: Hub, served: ServedRepository, tmp_path: Path, place: str
) -> None:
    """An agent can write there."""
    key = "hubsession.executor.gpu1.command"
    file = {
        "config": ".git/config",
        "include": str(tmp_path / "evil"),
        ".hubsession": ".hubsession",
    }[place]
    first.git("config", "-f", file, key, f"touch {tmp_path}/ran;")
    if place == "include":
        first.git("config", "include.path", file)
    result = execute(first, "--on", "gpu1", "s1", "--", "true")
    assert (result.code, result.out) == (128, "")
    message = result.err.splitlines()[-2]
    if place == ".hubsession":
        assert message == "fatal: no such executor: 'gpu1'"
    else:
        assert message.startswith(f"fatal: {key} is set in '")
        assert message.endswith("', but only your own configuration can set it")
    assert not (tmp_path / "ran").exists()
    assert served.refs("refs/hub") == {}


def test_the_repository_cannot_change_an_executor(
    first: Hub, served: ServedRepository, tmp_path: Path
) -> None:
    for variable in ("command", "setup", "path", "remote", "slots"):
        value = f"touch {tmp_path}/ran; false"
        first.git("config", f"hubsession.executor.box.{variable}", value)
    first.git("config", "core.sshCommand", f"touch {tmp_path}/ran;")
    assert execute(first, "--on", "box", "s1", "--", "sh", "-c", COMMIT).code == 0
    assert execute(first, "--on", "ssh:nowhere.invalid", "s1", "--", "true").code == 1
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--on", "box,-x"), "not an executor: '-x'"),
        (("--on", "ssh:-oProxyCommand=x"), "not an executor: 'ssh:-oProxyCommand=x'"),
        (("--on", "ssh:a b"), "not an executor: 'ssh:a b'"),
        (("--on", "ssh:-l@host"), "not an executor: 'ssh:-l@host'"),
        (("--on", ""), "not an executor: ''"),
        (("--on", "box*0"), "not a number of workers: 'box*0'"),
        (("--on", "box*1000"), "not a number of workers: 'box*1000'"),
        (("--on", "box,box*2"), "executor 'box' is given twice"),
        (("--on", "box", "-j", "2"), "--on and --jobs exclude each other"),
        (("--on", "box", "--failed"), "--on and --failed exclude each other"),
        (("--on", "box", "--cancel"), "--cancel and a command after '--' exclude each other"),
        (("--on", "box", "--cancel", "--bootstrap"), "--cancel and --bootstrap exclude each other"),
        (("--cancel",), "--cancel needs the executors"),
        (("--bootstrap",), "--bootstrap needs the executors"),
        (("--on", "box", "--timeout", "x"), "not a time: 'x'"),
    ],
)
def test_wrong_options(
    first: Hub, served: ServedRepository, words: tuple[str, ...], message: str
) -> None:
    result = execute(first, *words, "s1", "--", "true")
    assert (result.code, result.out) == (129, "")
    assert result.err.splitlines()[0] == f"error: {message}"
    assert served.refs("refs/hub") == {}


@types("git hub-session exec --on <executors> [<id>] -- <command>")
@types("--on takes names such as gpu1,ssh:host")
@types("use 1 or more, such as gpu1*2")
@types("give --on <executors>")
def test_the_hints_about_wrong_options(first: Hub) -> None:
    for words, hint in (
        (("--on", "-x"), "--on takes names such as gpu1,ssh:host"),
        (("--on", "box*x"), "use 1 or more, such as gpu1*2"),
        (("--cancel",), "give --on <executors>"),
        (("--on", "box"), "git hub-session exec --on <executors> [<id>] -- <command>"),
    ):
        follow_hint(find_hint(execute(first, *words, "s1"), hint))
    assert execute(first, "--on", "box*2", "s1", "--", "true").code == 0


@types("git config --global {} 1")
def test_a_wrong_number_of_slots(first: Hub) -> None:
    define_executor(first, "box", slots="many")
    result = execute(first, "--on", "box", "s1", "--", "true")
    message = "fatal: bad value for hubsession.executor.box.slots: 'many'"
    assert (result.code, result.out, result.err.splitlines()[0]) == (128, "", message)
    type_hint(first, find_hint(result, "git config --global {} 1"))
    assert execute(first, "--on", "box", "s1", "--", "true").code == 0


@types("add --bootstrap, or install it there: pipx install git-hub-session")
def test_a_far_end_without_the_program(first: Hub, far_home: Path, tmp_path: Path) -> None:
    """It has git and the usual programs. The program in ~/.local/bin is found."""
    programs = tmp_path / "far-bin"
    programs.mkdir()
    names = "cat cut env git head mkdir mv rm rmdir sed setsid sh sleep tail true uname wc"
    for name in names.split():
        (programs / name).symlink_to(shutil.which(name) or "")
    define_executor(first, "bare", command=f"env HOME={far_home} PATH={programs} GIT_EXEC_PATH=")
    result = execute(first, "--on", "bare", "s1", "--", "true")
    assert (result.code, result.out.splitlines()[0].split()[0]) == (1, "AGENT")
    assert result.err.splitlines()[0] == "error: git hub-session is not installed on 'bare'"
    assert [each.name for each in far_home.iterdir()] == [".gitconfig"]
    template = "add --bootstrap, or install it there: pipx install git-hub-session"
    hint = find_hint(result, template)
    local = far_home / ".local" / "bin"
    local.mkdir(parents=True)
    (local / "git-hub-session").symlink_to(
        shutil.which("git-hub-session", path=first.environ["PATH"]) or ""
    )
    follow_hint(hint)
    define_executor(first, "bare", command=f"env HOME={far_home} PATH={programs}")
    again = execute(first, "--on", "bare", "s1", "--", "true")
    assert (again.code, again.err) == (0, ""), again


def test_an_executor_fails_and_the_others_go_on(first: Hub, served: ServedRepository) -> None:
    define_executor(first, "down", command="sh -c 'echo no route >&2; exit 255'")
    define_executor(first, "odd", command="exit 3;")
    result = execute(first, "--on", "down,box,odd", "s1", "--", "sh", "-c", COMMIT)
    assert result.code == 1
    assert sorted(result.err.splitlines()) == [
        "down: no route",
        "error: 'odd' failed with exit status 3",
        "error: connection to 'down' failed",
    ]
    assert result.out.splitlines()[-3:] == table(served)
    check_done(first, served, "box")


@types("set {} to a command that runs the command in its arguments, such as 'nice'")
def test_a_command_that_runs_nothing(first: Hub, served: ServedRepository) -> None:
    define_executor(first, "box", command="echo")
    result = execute(first, "--on", "box", "s1", "--", "true")
    key = "hubsession.executor.box.command"
    assert result.code == 1
    assert result.err.splitlines() == [
        "error: the command of 'box' did not run its arguments",
        f"hint: set {key} to a command that runs the command in its arguments, such as 'nice'",
    ]
    assert published_attempts(served) == {}
    template = "set {} to a command that runs the command in its arguments, such as 'nice'"
    follow_hint(find_hint(result, template))
    first.git("config", "--global", key, "nice")
    assert execute(first, "--on", "box", "s1", "--", "sh", "-c", COMMIT).code == 0


def test_a_setup_that_fails(first: Hub, served: ServedRepository) -> None:
    define_executor(first, "box", setup="echo no module >&2; false")
    result = execute(first, "--on", "box", "s1", "--", "true")
    assert result.code == 1
    assert result.err.splitlines() == ["box: no module", "error: the setup failed on 'box'"]
    assert published_attempts(served) == {}


def test_a_clone_that_fails(first: Hub, served: ServedRepository, tmp_path: Path) -> None:
    define_executor(first, "box", remote=f"file://{tmp_path}/nothing.git")
    result = execute(first, "--on", "box", "s1", "--", "true")
    assert result.code == 1
    assert result.err.splitlines()[-1] == "error: the clone failed on 'box'"
    assert not [*(Path(first.environ["HOME"]) / ".cache" / "git-hub-session").iterdir()]


def test_a_remote_that_cannot_be_used(first: Hub, served: ServedRepository, tmp_path: Path) -> None:
    served.stop()
    define_executor(first, "box", command=f"touch {tmp_path}/ran;")
    result = execute(first, "--on", "box", "s1", "--", "true")
    served.start()
    assert (result.code, result.out) == (128, "")
    assert "cannot push to 'origin'" in result.err
    assert not (tmp_path / "ran").exists()


def test_ssh_starts_workers_with_one_connection(
    first: Hub, served: ServedRepository, host: SshHost, far_home: Path, tmp_path: Path
) -> None:
    result = execute(first, "--on", "ssh:far*2", "s1", "--", "sh", "-c", f"echo $HOME; {COMMIT}")
    assert (result.code, result.err) == (0, "")
    assert f"ssh:far: agent-1 | {far_home}" in result.out.splitlines()
    assert result.out.splitlines()[-3:] == table(served)
    check_done(first, served, "ssh")
    author = served.git(
        "log", "-1", "--format=%an", published_attempts(served)["agent-1/attempt-1"]
    )
    assert author == "Eve"
    log = (tmp_path / "keys" / "sshd.log").read_text()
    assert log.count("Accepted publickey") == 1


def test_ssh_cannot_connect(first: Hub, served: ServedRepository, host: SshHost) -> None:
    host.stop()
    result = execute(first, "--on", "ssh:far", "s1", "--", "true")
    host.start()
    assert result.code == 1
    assert "Connection refused" in result.err
    assert result.err.splitlines()[-1] == "error: connection to 'ssh:far' failed"
    assert published_attempts(served) == {}


def ssh_clients(process: subprocess.Popen[str]) -> list[int]:
    """Return the ids of the ssh programs below a process."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,comm="], capture_output=True, text=True)
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    below = {process.pid}
    for _ in rows:
        below |= {int(pid) for pid, parent, _ in rows if int(parent) in below}
    return [int(pid) for pid, _, name in rows if int(pid) in below and name == "ssh"]


def test_a_worker_goes_on_without_its_connection(
    first: Hub, served: ServedRepository, host: SshHost, tmp_path: Path
) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    wait = f"touch {started}; until test -e {go}; do sleep 0.05; done; echo went on"
    words = ("--on", "ssh:far", "--only", "1", "s1", "--", "sh", "-c", f"{wait}; {COMMIT}")
    process = start_exec(first, *words)
    wait_for(started.exists, process)
    for pid in ssh_clients(process):
        os.kill(pid, signal.SIGKILL)
    result = finish(process)
    assert result.code == 1
    assert f"error: {_LOST}" in result.err.splitlines()
    assert claims(served) == ["refs/hub/claims/s1/agent-1"]
    hint = find_hint(result, "show them with: {}").partition(": ")[2]
    assert shlex.split(hint) == ["git", "hub-session", "exec", *words]
    second = start_exec(first, *words)
    assert second.stderr is not None
    answer = second.stderr
    wait_for(lambda: select([answer], [], [], 0)[0], second)
    assert answer.readline() == "ssh:far: worker 1 was running already\n"
    go.touch()
    shown = finish(second)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines()[:2] == ["ssh:far: agent-1 | went on", "ssh:far: agent-1: done"]
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]
    assert content(served, "agent-1/attempt-1") == "1 ssh"
    assert claims(served) == []


@types("show them with: {}")
@types("end them with: {}")
@pytest.mark.parametrize("name", ["box", "ssh:far"])
def test_a_signal_leaves_the_workers(
    first: Hub, served: ServedRepository, host: SshHost, tmp_path: Path, name: str
) -> None:
    started = tmp_path / "started"
    script = f"{COMMIT}; touch {started}; exec sleep 600"
    process = start_exec(first, "--on", name, "--only", "1", "s1", "--", "sh", "-c", script)
    wait_for(started.exists, process)
    os.killpg(process.pid, signal.SIGINT)
    result = finish(process)
    assert result.code in (-signal.SIGINT, 128 + signal.SIGINT)
    assert result.err.splitlines()[0] == "the workers go on, unless their executor ends them"
    assert claims(served) == ["refs/hub/claims/s1/agent-1"]
    show = find_hint(result, "show them with: {}").partition(": ")[2]
    words = ["--on", name, "--only", "1", "s1", "--", "sh", "-c"]
    assert show.startswith(f"git hub-session exec {' '.join(words)} ")
    follow_hint(find_hint(result, "show them with: {}"))
    hint = find_hint(result, "end them with: {}")
    ended = first.call("sh", "-c", hint.partition(": ")[2])
    follow_hint(hint)
    assert ended == Result(0, f"Ended 1 worker on {name}\n")
    assert claims(served) == []
    assert content(served, "agent-1/attempt-1") == f"1 {'box' if name == 'box' else 'ssh'}"
    again = execute(first, "--on", name, "--cancel", "s1")
    assert again == Result(0, f"Ended 0 workers on {name}\n")


def test_cancel_before_the_first_worker(first: Hub, served: ServedRepository) -> None:
    first.run("push", "-q", "s1")
    result = execute(first, "--on", "box", "--cancel", "s1")
    assert result == Result(0, "Ended 0 workers on box\n")
    assert not (Path(first.environ["HOME"]) / ".cache" / "git-hub-session").exists()


def test_an_interrupt_reaches_the_command_of_an_agent(first: Hub, served: ServedRepository) -> None:
    """A shell without job control lets its background processes ignore SIGINT."""
    script = "trap 'echo caught' INT; kill -INT $$; :"
    result = execute(first, "--on", "box", "--only", "1", "s1", "--", "sh", "-c", script)
    assert "box: agent-1 | caught" in result.out.splitlines()


def test_a_worker_that_was_killed(first: Hub, served: ServedRepository, tmp_path: Path) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    script = f"touch {started}; until test -e {go}; do sleep 0.05; done; rm {started}"
    process = start_exec(first, "--on", "box", "--only", "1", "s1", "--", "sh", "-c", script)
    wait_for(started.exists, process)
    [clone] = clones(first)
    pid_file = clone / ".git" / "hub-session-workers" / "s1" / HOST / "1.pid"
    pid = int(pid_file.read_text().split()[0])
    os.killpg(pid, signal.SIGKILL)
    result = finish(process)
    assert result.code == 1
    assert "error: a worker on 'box' was killed" in result.err.splitlines()
    assert not is_alive(pid)
    go.touch()
    wait_for(lambda: not started.exists())
    again = execute(first, "--on", "box", "--only", "1", "s1", "--", "sh", "-c", COMMIT)
    assert (again.code, claims(served)) == (0, []), again
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]


def test_a_sandbox(first: Hub, served: ServedRepository, tmp_path: Path) -> None:
    """An agent can write only into the directory of the sandbox, and into the remote."""
    if shutil.which("bwrap") is None:
        pytest.skip("bwrap is not installed")
    home = Path(first.environ["HOME"])
    box, server = home / "sandbox", served.path.parent
    box.mkdir()
    bwrap = 'bwrap --ro-bind / / --dev /dev --proc /proc --bind "$HOME/sandbox" "$HOME/sandbox"'
    bwrap += f" --bind {server} {server} --setenv TMPDIR {box} --unshare-pid --die-with-parent"
    if first.call("sh", "-c", f"{bwrap} true").code:
        pytest.skip("bwrap cannot create a sandbox here")
    define_executor(first, "sandbox", command=bwrap, path="sandbox/project")
    own = first.top / ".git"
    names = ("config", "hooks/post-checkout", "refs/heads/main", "HEAD")
    (own / "hooks").mkdir(exist_ok=True)
    (own / "hooks" / "post-checkout").write_text("#!/bin/sh\n")
    files = [home / ".gitconfig", first.top / "file", *(own / name for name in names)]
    before = [file.read_bytes() for file in files]
    attack = "; ".join(f"echo x >>{file}" for file in files)
    result = execute(
        first, "--on", "sandbox", "s1", "--", "sh", "-c", f"{attack}; FAR=bwrap; {COMMIT}"
    )
    assert (result.code, result.err) == (0, "")
    assert result.out.count("Read-only file system") == 2 * len(files)
    assert [file.read_bytes() for file in files] == before
    check_done(first, served, "bwrap")
    assert (box / "project" / ".git").is_dir()


def test_a_sandbox_that_is_killed(first: Hub, served: ServedRepository, tmp_path: Path) -> None:
    """Its worker is killed too. The next call takes over its stale claim."""
    if first.call("sh", "-c", "bwrap --bind / / --unshare-pid true").code:
        pytest.skip("bwrap cannot create a sandbox here")
    prefix = "bwrap --bind / / --dev /dev --proc /proc --unshare-pid --die-with-parent env FAR=box"
    define_executor(first, "box", command=prefix)
    first.git("config", "hubsession.claimTimeout", "3")
    started = tmp_path / "started"
    script = f"touch {started}; exec sleep 600"
    process = start_exec(first, "--on", "box", "--only", "1", "s1", "--", "sh", "-c", script)
    wait_for(started.exists, process)
    os.killpg(process.pid, signal.SIGTERM)
    finish(process)
    assert claims(served) == ["refs/hub/claims/s1/agent-1"]
    result = execute(first, "--on", "box", "--only", "1", "s1", "--", "sh", "-c", COMMIT)
    assert result.code == 0
    [*_, last] = sorted(published_attempts(served))
    assert content(served, last) == "1 box"
    assert claims(served) == []
