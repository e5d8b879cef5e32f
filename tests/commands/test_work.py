"""git hub-session work: clones of one machine work on the agents of a shared session."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.clones import add_clone, connect, write_claim
from tests.support.hints import find_hint, follow_hint, type_hint, types
from tests.support.hub import Hub, Result, wait_for
from tests.support.remotes import ServedRepository, serve
from tests.support.workers import finish, published_attempts, start_command

COMMIT = 'echo "${HUB_AGENT#agent-} $HUB_ATTEMPT" >work && git add work && git commit -qm work'
SHORT = ("-c", "hubsession.claimTimeout=3")


@pytest.fixture
def first(hub: Hub, served: ServedRepository) -> Hub:
    """Return a clone that has published the session s1 with two agents."""
    connect(hub, served.url)
    created = hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    assert created == Result(0, "s1\n")
    assert hub.run("push", "-q", "s1").code == 0
    return hub


@pytest.fixture
def second(first: Hub, served: ServedRepository) -> Hub:
    """Return another clone."""
    return add_clone(first, "second", served.url)


def start(hub: Hub, *words: str, settings: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start `git hub-session work`."""
    return start_command(hub, "work", *words, settings=settings)


def work(hub: Hub, *words: str, settings: tuple[str, ...] = ()) -> Result:
    """Run `git hub-session work` to its end."""
    return finish(start(hub, *words, settings=settings))


def worker_of(process: subprocess.Popen[str]) -> int:
    """Return the id of the process that git has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_for(lambda: children.read_text().split(), process)
    return int(children.read_text().split()[0])


def content(served: ServedRepository, attempt: str) -> str:
    """Return the file that COMMIT has committed."""
    return served.git("show", f"refs/heads/hub/s1/{attempt}:work")


def shared_agent(served: ServedRepository, name: str = "agent-1") -> Any:
    """Return the entry of an agent in the published record."""
    state = json.loads(served.git("show", "refs/hub/sessions/s1:state.json"))
    return state["agents"][name]


def claims(served: ServedRepository) -> list[str]:
    """Return the claims on the remote."""
    return [*served.refs("refs/hub/claims/")]


def test_one_worker_works_on_all_agents(first: Hub, served: ServedRepository) -> None:
    result = work(first, "s1", "--", "sh", "-c", COMMIT)
    assert (result.code, sorted(result.out.splitlines())) == (0, ["agent-1: done", "agent-2: done"])
    assert sorted(published_attempts(served)) == ["agent-1/attempt-1", "agent-2/attempt-1"]
    assert content(served, "agent-2/attempt-1") == "2 1"
    assert claims(served) == []
    assert first.refs("refs/hub/own-claims") == {}
    again = work(first, "s1", "--", "false")
    assert again == Result(0, "", "nothing left to work on in session s1\n")


def test_an_output_that_cannot_be_written(first: Hub, served: ServedRepository) -> None:
    """The results are published, so the exit status is that of the work."""
    script = f"git hub-session work s1 -- sh -c {shlex.quote(COMMIT)} >/dev/full"
    result = first.call("sh", "-c", script)
    assert result.code == 0, result
    assert len(published_attempts(served)) == 2


def test_two_clones_share_the_agents(first: Hub, second: Hub, served: ServedRepository) -> None:
    command = f"{COMMIT}; sleep 1"
    workers = [start(each, "s1", "--", "sh", "-c", command) for each in (first, second)]
    results = [finish(worker) for worker in workers]
    assert [result.code for result in results] == [0, 0], results
    done = sorted(line for result in results for line in result.out.splitlines())
    assert done == ["agent-1: done", "agent-2: done"]
    assert sorted(published_attempts(served)) == ["agent-1/attempt-1", "agent-2/attempt-1"]
    assert claims(served) == []
    for each in (first, second):
        assert each.run("fetch", "-q").code == 0
        agents = each.state()["agents"]
        assert [agents[name]["status"] for name in ("agent-1", "agent-2")] == ["done", "done"]
        assert {ref: oid for ref, oid in each.refs("refs/heads/hub/s1").items()} == {
            f"refs/heads/hub/s1/{name}": oid for name, oid in published_attempts(served).items()
        }


def test_the_selected_agents(first: Hub, served: ServedRepository) -> None:
    one = work(first, "--only", "agent-2", "s1", "--", "sh", "-c", COMMIT)
    assert (one.code, one.out) == (0, "agent-2: done\n")
    assert [*published_attempts(served)] == ["agent-2/attempt-1"]
    none = work(first, "--only", "2", "--max", "1", "s1", "--", "true")
    assert none.err == "nothing left to work on in session s1\n"


def test_the_largest_number_of_agents(first: Hub, served: ServedRepository) -> None:
    one = work(first, "--max=1", "--remote", served.url, "s1", "--", "sh", "-c", COMMIT)
    [attempt] = published_attempts(served)
    assert (one.code, one.out) == (0, f"{attempt.removesuffix('/attempt-1')}: done\n")


@types("--max takes 1 or more")
def test_a_largest_number_of_no_agent(first: Hub, served: ServedRepository) -> None:
    result = work(first, "--max", "0", "s1", "--", "true")
    message = "error: not a number of agents: '0'\nhint: --max takes 1 or more\n"
    assert result == Result(129, "", message)
    follow_hint(find_hint(result, "--max takes 1 or more"))
    assert work(first, "--max", "1", "s1", "--", "true").code == 0


@pytest.mark.parametrize("options", [("--only", "1,99"), ("--agent-cmd", "agent-99=true")])
def test_an_agent_that_the_session_does_not_have(
    first: Hub, served: ServedRepository, options: tuple[str, ...]
) -> None:
    command = ("--", "true") if "--only" in options else ()
    refs = first.refs(), served.refs()
    assert work(first, *options, "s1", *command) == Result(
        128,
        "",
        "fatal: no such agent: 'agent-99'\nhint: choose one of the session: agent-1 to agent-2\n",
    )
    assert (first.refs(), served.refs()) == refs


def test_the_deprecated_name_of_only_does_not_exist(first: Hub) -> None:
    result = work(first, "--agents", "1", "s1", "--", "true")
    assert (result.code, result.out) == (129, "")
    assert result.err.splitlines()[0] == "error: unknown option 'agents'"


def test_a_failed_command_is_a_published_result(first: Hub, served: ServedRepository) -> None:
    result = work(first, "--max", "1", "--only", "1", "s1", "--", "sh", "-c", f"{COMMIT}; exit 7")
    assert (result.code, result.out) == (1, "agent-1: failed\n")
    assert content(served, "agent-1/attempt-1") == "1 1"
    assert claims(served) == []
    assert work(first, "--only", "1", "s1", "--", "true").out == "", "the agent has ended"


def test_a_session_that_is_not_shared(first: Hub, served: ServedRepository) -> None:
    result = work(first, "s2", "--", "true")
    assert result == Result(1, "", "error: 'origin' has no session 's2'\n")
    assert claims(served) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_publishes_what_is_committed(
    first: Hub, second: Hub, served: ServedRepository, number: signal.Signals
) -> None:
    worker = start(first, "--only", "1", "s1", "--", "sh", "-c", f"{COMMIT}; exec sleep 600")
    work_file = first.top.parent / "project.hub" / "s1" / "agent-1" / "work"
    branch = "refs/heads/hub/s1/agent-1/attempt-1"
    start_commit = first.git("rev-parse", "main")
    wait_for(lambda: first.refs(branch).get(branch, start_commit) != start_commit, worker)
    os.kill(worker_of(worker), number)
    assert finish(worker).code == 128 + number
    assert work_file.exists()
    assert content(served, "agent-1/attempt-1") == "1 1"
    assert claims(served) == []
    assert first.refs("refs/hub/own-claims") == {}
    result = work(second, "--only", "1", "s1", "--", "sh", "-c", COMMIT)
    assert (result.code, result.out) == (0, "agent-1: done\n")
    assert content(served, "agent-1/attempt-2") == "1 2"
    parent = served.git("rev-parse", f"{branch.replace('attempt-1', 'attempt-2')}~1")
    assert parent == published_attempts(served)["agent-1/attempt-1"], (
        "it starts from the published commit"
    )


@pytest.mark.slow
def test_a_killed_worker_is_replaced_from_its_last_commit(
    first: Hub, second: Hub, served: ServedRepository
) -> None:
    """The commit was published with a renewal of the claim."""
    worker = start(
        first,
        *("--only", "1", "s1", "--", "sh", "-c", f"{COMMIT}; exec sleep 600"),
        settings=SHORT,
    )
    main = first.git("rev-parse", "main")
    wait_for(lambda: published_attempts(served).get("agent-1/attempt-1", main) != main, worker)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.communicate()
    assert claims(served) == ["refs/hub/claims/s1/agent-1"]
    result = work(second, "--only", "1", "s1", "--", "sh", "-c", COMMIT, settings=SHORT)
    assert (result.code, result.out) == (0, "agent-1: done\n")
    assert content(served, "agent-1/attempt-1") == "1 1"
    assert content(served, "agent-1/attempt-2") == "1 2"
    assert claims(served) == []
    end_processes(first)


def end_processes(hub: Hub) -> None:
    """End the command that a killed worker has left."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"HUB_RUN={hub.top}/".encode() in environ.read_bytes():
                os.kill(int(environ.parent.name), signal.SIGKILL)
        except OSError:
            pass


def test_the_next_worker_of_a_clone_continues_at_once(first: Hub, served: ServedRepository) -> None:
    """The claim is not stale yet, but its worker has ended."""
    worker = start(first, "--only", "1", "s1", "--", "sh", "-c", f"{COMMIT}; exec sleep 600")
    branch = "refs/heads/hub/s1/agent-1/attempt-1"
    main = first.git("rev-parse", "main")
    wait_for(lambda: first.refs(branch).get(branch, main) != main, worker)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.communicate()
    end_processes(first)
    result = work(first, "--only", "1", "s1", "--", "sh", "-c", "git log -1 --format=%s")
    assert (result.code, result.out) == (0, "agent-1 | work\nagent-1: done\n")
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]
    assert content(served, "agent-1/attempt-1") == "1 1"
    assert claims(served) == []


def test_the_claim_is_renewed_while_the_worktree_is_set_up(
    first: Hub, served: ServedRepository
) -> None:
    go = first.top.parent / "go"
    setup = f"hubsession.setup=until test -e {go}; do sleep 0.05; done"
    settings = (*SHORT, "-c", setup)
    process = start(first, "--only", "1", "s1", "--", "sh", "-c", COMMIT, settings=settings)
    seen: set[str] = set()

    def is_renewed() -> bool:
        seen.update(served.refs("refs/hub/claims/").values())
        return len(seen) > 2

    wait_for(is_renewed, process)
    assert published_attempts(served) == {}, "a branch is published with its record"
    go.touch()
    result = finish(process)
    assert (result.code, result.out) == (0, "agent-1: done\n"), result
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]


@pytest.mark.slow
@types("git hub-session adopt {} {} {}")
def test_a_worker_that_comes_back_late_is_refused(
    first: Hub, second: Hub, served: ServedRepository
) -> None:
    """Its worker is stopped, not its command. Its commits stay in its clone, and can be adopted."""
    go = first.top.parent / "go"
    late_command = f"{COMMIT}; until test -e {go}; do sleep 0.05; done"
    late = start(first, "--only", "1", "s1", "--", "sh", "-c", late_command, settings=SHORT)
    wait_for(lambda: "agent-1/attempt-1" in published_attempts(served), late)
    stopped = worker_of(late)
    os.kill(stopped, signal.SIGSTOP)
    other = work(second, "--only", "1", "s1", "--", "sh", "-c", COMMIT, settings=SHORT)
    assert (other.code, other.out) == (0, "agent-1: done\n")
    before = served.refs()
    go.touch()
    os.kill(stopped, signal.SIGCONT)
    result = finish(late)
    assert (result.code, result.out) == (1, "agent-1: taken over\n")
    assert (
        "agent-1 was taken over; the commits of this worker are on 'hub/s1/agent-1/attempt-1'"
        in result.err
    )
    assert served.refs() == before
    hint = find_hint(result, "git hub-session adopt {} {} {}")
    first.run("fetch", "-q")
    type_hint(first, hint)
    assert first.refs("refs/heads/hub/s1/agent-1")["refs/heads/hub/s1/agent-1/attempt-3"]


def test_two_workers_of_one_clone(first: Hub, served: ServedRepository) -> None:
    workers = [start(first, "s1", "--", "sh", "-c", f"{COMMIT}; sleep 1") for _ in range(2)]
    results = [finish(worker) for worker in workers]
    assert [result.code for result in results] == [0, 0], results
    done = sorted(line for result in results for line in result.out.splitlines())
    assert done == ["agent-1: done", "agent-2: done"]
    assert sorted(published_attempts(served)) == ["agent-1/attempt-1", "agent-2/attempt-1"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["git", "ssh"])
def test_a_remote_that_is_away_at_the_end_of_the_command(
    hub: Hub, tmp_path: Path, kind: str
) -> None:
    with serve(kind, tmp_path / "server") as served:
        hub = connect(hub, served.url, served.environ)
        hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "1")
        assert hub.run("push", "-q", "s1").code == 0
        started, go = tmp_path / "started", tmp_path / "go"
        wait = f"touch {started}; until test -e {go}; do sleep 0.05; done"
        worker = start(hub, "s1", "--", "sh", "-c", f"{COMMIT}; {wait}")
        wait_for(started.exists, worker)
        served.stop()
        go.touch()
        lines = []
        assert worker.stderr is not None
        for line in worker.stderr:
            lines.append(line)
            if "trying again" in line:
                served.start()
                break
        result = finish(worker)
        assert (result.code, result.out) == (0, "agent-1: done\n"), (lines, result)
        assert content(served, "agent-1/attempt-1") == "1 1"
        assert claims(served) == []


def test_a_setup_of_the_repository_needs_approval(first: Hub, served: ServedRepository) -> None:
    (first.top / ".hubsession").write_text("[hubsession]\n\tsetup = touch ran\n")
    result = work(first, "s1", "--", "true")
    assert result.code == 1
    assert "hubsession.setup" in result.err
    assert claims(served) == []
    assert published_attempts(served) == {}


def test_delete_deletes_the_copies_of_claims(first: Hub, served: ServedRepository) -> None:
    for name in ("claims/s1/agent-1", "own-claims/s1/agent-2", "claims/s10/agent-1"):
        write_claim(first, f"refs/hub/{name}", host=os.uname().nodename)
    assert first.run("delete", "s1").code == 0
    assert [*first.refs("refs/hub")] == ["refs/hub/claims/s10/agent-1"]


@types("git hub-session push {} {}")
def test_a_hook_of_the_server_that_refuses_results(first: Hub, served: ServedRepository) -> None:
    served.install_hook(
        "update",
        'case $1 in refs/heads/hub/*) git show "$3:work" >/dev/null 2>&1 && exit 1;; esac; exit 0',
    )
    result = work(first, "--only", "1", "s1", "--", "sh", "-c", COMMIT)
    assert (result.code, result.out) == (1, "agent-1: not published\n")
    assert "refuses session 's1': hook declined ('hub/s1/agent-1/attempt-1')" in result.err
    assert claims(served) == []
    assert published_attempts(served)["agent-1/attempt-1"] == first.git("rev-parse", "main")
    assert first.git("show", "hub/s1/agent-1/attempt-1:work") == "1 1"
    (served.path / "hooks" / "update").unlink()
    type_hint(first, find_hint(result, "git hub-session push {} {}"))
    assert content(served, "agent-1/attempt-1") == "1 1"


def test_a_late_push_keeps_the_work_of_the_next_worker(
    first: Hub, second: Hub, served: ServedRepository
) -> None:
    """The push after a refused result has no claim. Another worker has the agent by then."""
    served.install_hook(
        "update",
        'case $1 in */attempt-1) git show "$3:work" >/dev/null 2>&1 && exit 1;; esac; exit 0',
    )
    refused = work(first, "--only", "1", "s1", "--", "sh", "-c", COMMIT)
    assert (refused.code, refused.out) == (1, "agent-1: not published\n")
    own = first.refs("refs/heads/hub/s1/")["refs/heads/hub/s1/agent-1/attempt-1"]
    (served.path / "hooks" / "update").unlink()
    other = work(second, "--only", "1", "s1", "--", "sh", "-c", COMMIT)
    assert (other.code, other.out) == (0, "agent-1: done\n")
    entry = shared_agent(served)
    assert (entry["attempt"], entry["status"], entry["exec"]["exit_code"]) == (2, "done", 0)
    before = published_attempts(served)
    type_hint(first, find_hint(refused, "git hub-session push {} {}"))
    assert published_attempts(served) == {**before, "agent-1/attempt-1": own}
    assert shared_agent(served) == entry
    assert second.run("fetch").code == 0
    assert [clone.state()["agents"]["agent-1"]["attempt"] for clone in (first, second)] == [2, 2]


@pytest.mark.slow
def test_a_claim_that_git_cannot_renew(first: Hub, served: ServedRepository) -> None:
    """git cannot write objects for a while, as on a full disk. The command goes on."""
    objects = first.top / ".git" / "objects"
    away, go = objects.with_name("away"), first.top.parent / "go"
    wait = f"mv {objects} {away}; until test -e {go}; do sleep 0.05; done; mv {away} {objects}"
    words = ("--only", "1", "s1", "--", "sh", "-c", f"{wait}; {COMMIT}")
    worker = start(first, *words, settings=SHORT)
    assert worker.stderr is not None
    for line in worker.stderr:
        if line == "warning: 'git hash-object' failed (exit 128)\n":
            break
    go.touch()
    result = finish(worker)
    assert (result.code, result.out) == (0, "agent-1: done\n"), result
    assert content(served, "agent-1/attempt-1") == "1 1"
    assert claims(served) == []


@pytest.mark.parametrize("command", ["push", "work"])
def test_a_result_that_was_not_published(
    first: Hub, second: Hub, served: ServedRepository, command: str
) -> None:
    """The next push, or the next worker of the clone, publishes the result and releases the claim."""
    away = served.path.with_name("away")
    words = ("--only", "1", "s1", "--", "sh", "-c", f"{COMMIT}; mv {served.path} {away}")
    result = work(first, *words)
    assert (result.code, result.out) == (128, "agent-1: not published\n"), result
    away.rename(served.path)
    assert claims(served) == ["refs/hub/claims/s1/agent-1"]
    again = work(first, *words) if command == "work" else first.run("push", "s1")
    assert again.code == 0, again
    assert claims(served) == []
    assert content(served, "agent-1/attempt-1") == "1 1"
    assert shared_agent(served)["status"] == "done"
    for clone in (first, second):
        assert clone.run("fetch", "s1").code == 0
        assert clone.json("status", "s1")["claims"] == []
        assert clone.refs("refs/hub/own-claims") == clone.refs("refs/hub/claims") == {}


def test_a_claim_that_the_server_does_not_delete(first: Hub, served: ServedRepository) -> None:
    """The result is published without the claim, and the next worker takes another agent."""
    served.git("config", "receive.denyDeletes", "true")
    first.git("config", "hubsession.sharedRefs", "refs/heads/meta")
    assert first.run("push", "-q", "s1").code == 0
    result = work(first, "--only", "1", "s1", "--", "sh", "-c", COMMIT)
    assert (result.code, result.out) == (1, "agent-1: not published\n"), result
    assert "deletion prohibited" in result.err
    assert first.run("push", "-q", "s1") == Result(0)
    assert content(served, "agent-1/attempt-1") == "1 1"
    assert [*served.refs("refs/heads/meta/claims")] == ["refs/heads/meta/claims/s1/agent-1"]


@types("git hub-session work <id> -- <command>")
def test_a_session_has_to_be_named(first: Hub, served: ServedRepository) -> None:
    result = work(first, "--only", "2", "--", "true")
    assert result.code == 129
    follow_hint(find_hint(result, "git hub-session work <id> -- <command>"))
    assert work(first, "--only", "2", "s1", "--", "true").out == "agent-2: done\n"


def test_the_json_names_each_agent(first: Hub, served: ServedRepository) -> None:
    result = work(first, "--format=json", "--only", "2", "s1", "--", "echo", "x")
    answer = json.loads(result.out)
    assert answer["session_id"] == "s1"
    assert answer["remote"] == "origin"
    [agent] = answer["agents"]
    assert (agent["agent"], agent["attempt"], agent["outcome"]) == (2, 1, "done")
    assert agent["commit"] == published_attempts(served)["agent-2/attempt-1"]
    assert agent["run"]["exit_code"] == 0
