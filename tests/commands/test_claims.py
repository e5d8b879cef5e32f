"""The claims of other machines, as `fetch` brings them and `status` shows them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.clones import add_clone, add_session, bare_remote, connect, write_claim
from tests.support.hints import find_hint, follow_hint, type_hint, types
from tests.support.hub import Hub, Result

CLAIM = "refs/hub/claims/s1/agent-1"
NOW = 1_773_757_822  # the time in the tests


@pytest.fixture
def remote(hub: Hub) -> Hub:
    """Return the remote of two clones."""
    return Hub(bare_remote(hub), hub.environ)


@pytest.fixture
def clone(hub: Hub, remote: Hub) -> Hub:
    """Return a clone that has published the session s1 with two agents."""
    first = connect(hub, str(remote.top))
    add_session(first)
    assert first.run("push").code == 0
    return first


def set_age(hub: Hub, ref: str, seconds: int) -> None:
    """Set the time at which a clone has received a ref."""
    os.utime(hub.top / ".git" / ref, (NOW - seconds, NOW - seconds))


def claim_fields(**changes: object) -> dict[str, object]:
    return {
        "claimed_agent": 1,
        "user": "Bob <bob@example.com>",
        "host": "gpu1",
        "pid": 7,
        "generation": 1,
        "renewal_seen": NOW - 180,
        "ended": False,
        **changes,
    }


def claim_lines(hub: Hub) -> list[str]:
    lines = hub.run("status", "s1").out.splitlines()
    return [line.removeprefix("  Claim: ") for line in lines if line.startswith("  Claim: ")]


@pytest.mark.parametrize("words", [("s1",), ()])
def test_fetch_brings_claims_and_status_shows_them(
    clone: Hub, remote: Hub, words: tuple[str, ...]
) -> None:
    oid = write_claim(remote, CLAIM)
    assert claim_lines(clone) == []
    assert clone.run("fetch", "-n", *words).code == 0
    assert clone.refs("refs/hub/claims") == {}
    assert clone.run("fetch", *words).code == 0
    assert clone.refs("refs/hub/claims") == {CLAIM: oid}
    assert clone.refs("refs/hub/incoming") == {}
    set_age(clone, CLAIM, 180)
    holder = "Bob <bob@example.com> on gpu1"
    assert claim_lines(clone) == [f"agent-1 is claimed by {holder} (renewal seen 3 minutes ago)"]
    assert clone.json("status", "s1")["claims"] == [claim_fields()]
    porcelain = clone.run("status", "s1", "--format=porcelain").out
    assert "\n\nclaimed_agent 1\nuser Bob <bob@example.com>\nhost gpu1\npid 7\n" in porcelain
    clone.git("pack-refs", "--all")  # git forgets the time
    assert claim_lines(clone) == [f"agent-1 is claimed by {holder}"]
    assert clone.json("status", "s1")["claims"] == [claim_fields(renewal_seen=None)]
    remote.git("update-ref", "-d", CLAIM)
    assert clone.run("fetch", *words).code == 0
    assert clone.refs("refs/hub/claims") == {}
    assert claim_lines(clone) == []


def test_status_fetches_claims_automatically(clone: Hub, remote: Hub) -> None:
    write_claim(remote, CLAIM, user="")
    clone.git("config", "hubsession.autoShare", "true")
    status = clone.json("status", "s1")
    assert [claim["host"] for claim in status["claims"]] == ["gpu1"]
    remote.git("update-ref", "-d", CLAIM)
    assert clone.json("status", "s1")["claims"] == []


def test_a_worker_of_this_host_that_has_ended(clone: Hub) -> None:
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    if not boot_id.exists():
        pytest.skip("this system has no id of its start")
    host, start = os.uname().nodename, boot_id.read_text().strip()
    own = "refs/hub/own-claims/s1/agent-1"
    write_claim(clone, own, host=host, boot_id=start, pid=os.getpid())
    set_age(clone, own, 180)
    assert claim_lines(clone) == [
        f"agent-1 is claimed by Bob <bob@example.com> on {host} (renewal seen 3 minutes ago)"
    ]
    write_claim(clone, own, host=host, boot_id="another start", pid=os.getpid())
    ended = f"agent-1 is claimed by Bob <bob@example.com> on {host}, whose process has ended"
    assert claim_lines(clone) == [ended]
    write_claim(clone, CLAIM, generation=2)
    set_age(clone, CLAIM, 0)
    [line] = claim_lines(clone)
    assert line.startswith("agent-1 is claimed by Bob <bob@example.com> on gpu1"), "taken over"


def test_hostile_claims(clone: Hub, remote: Hub) -> None:
    write_claim(remote, CLAIM, host="\x1b[2J", user="a\nb")
    tip = remote.git("rev-parse", "main")
    remote.git("update-ref", "refs/hub/claims/s1/agent-2", f"{tip}^{{tree}}")
    for name in ("s1/agent-3/x", "s1/other", "../s1/agent-3", "no-session/agent-1"):
        path = Path(os.path.normpath(remote.top / "refs/hub/claims" / name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{tip}\n")
    for words in ((), ("s1",)):
        assert clone.run("fetch", *words).err == ""
        assert [*clone.refs("refs/hub/claims")] == [CLAIM, "refs/hub/claims/s1/agent-2"]
    set_age(clone, CLAIM, 0)
    set_age(clone, "refs/hub/claims/s1/agent-2", 0)
    assert claim_lines(clone) == [
        "agent-1 is claimed by a\\nb on \\x1b[2J (renewal seen 0 seconds ago)",
        "agent-2 is claimed by an unknown host (renewal seen 0 seconds ago)",
    ]


def test_a_ref_in_the_place_of_a_claim(clone: Hub, remote: Hub) -> None:
    """`git fetch` of the user may have brought a ref of which a claim is the directory."""
    clone.git("update-ref", f"{CLAIM}/x", "main")
    oid = write_claim(remote, CLAIM)
    assert clone.run("fetch", "s1").err == ""
    assert clone.refs("refs/hub/claims") == {CLAIM: oid}


OWN = "refs/hub/own-claims/s1/agent-1"
FORGET = "git hub-session fetch s1"


@types("git hub-session fetch {}")
def test_a_claim_of_a_worker_on_another_host_keeps_a_worktree(clone: Hub, remote: Hub) -> None:
    """The clone is on a file system that two hosts share."""
    oid = write_claim(clone, OWN)
    clone.git("push", "-q", "origin", f"{oid}:{CLAIM}")
    worktree = Path(clone.json("path", "s1", "1")["path"])
    cleanup = "git hub-session cleanup --force s1"
    for words in (("cleanup", "-n"), ("cleanup",), ("archive",), ("fetch",), ("cleanup",)):
        result = clone.run(*words, "s1")
        if words != ("fetch",):
            assert result.code == 1
            assert (
                "  claimed by a worker of this clone: Bob <bob@example.com> on gpu1\n"
                f"  hint: {FORGET}\n  hint: {cleanup}\n"
            ) in result.out
        assert worktree.is_dir()
    [report] = json.loads(clone.run("cleanup", "--format=json", "s1").out)["sessions"]
    assert [kept["code"] for kept in report["kept"]] == ["claimed"]
    assert clone.state()["state"] == "running"
    remote.git("update-ref", "-d", CLAIM)
    type_hint(clone, FORGET)
    assert clone.refs("refs/hub/own-claims") == {}
    assert clone.run("cleanup", "s1").code == 0
    assert not worktree.exists()


def test_force_removes_a_claimed_worktree(clone: Hub) -> None:
    write_claim(clone, OWN)
    worktree = Path(clone.json("path", "s1", "1")["path"])
    assert clone.run("cleanup", "--force", "s1").code == 0
    assert not worktree.exists()


def test_a_claim_that_does_not_keep_a_worktree(clone: Hub, remote: Hub) -> None:
    """A worker of another clone, a later worker, and an ended process do not use the worktree."""
    if not Path("/proc/sys/kernel/random/boot_id").exists():
        pytest.skip("this system has no id of its start")
    write_claim(clone, CLAIM, generation=2)
    write_claim(clone, OWN)
    write_claim(clone, "refs/hub/own-claims/s1/agent-2", host=os.uname().nodename)
    assert clone.run("cleanup", "s1").code == 0


def test_a_living_worker_of_this_host_keeps_a_worktree(clone: Hub) -> None:
    start = Path("/proc/sys/kernel/random/boot_id")
    if not start.exists():
        pytest.skip("this system has no id of its start")
    values = {"host": os.uname().nodename, "boot_id": start.read_text().strip()}
    write_claim(clone, OWN, pid=os.getpid(), **values)
    assert clone.run("cleanup", "s1").code == 1
    assert clone.run("fetch").code == 0
    assert [*clone.refs("refs/hub/own-claims")] == [OWN], "the worker forgets its claim itself"


@types("to forget a released claim: git hub-session fetch {}")
def test_a_claimed_session_is_not_deleted(clone: Hub) -> None:
    assert clone.run("init", "-q", "--id", "s2", "--task", "x").code == 0
    write_claim(clone, "refs/hub/own-claims/s2/agent-1")
    result = clone.run("delete", "s2")
    assert result == Result(
        1,
        "",
        "error: agent-1 of session 's2' is claimed by a worker of this clone:"
        " Bob <bob@example.com> on gpu1\n"
        "hint: to forget a released claim: git hub-session fetch s2\n",
    )
    assert clone.run("push", "s2").code == 0
    type_hint(
        clone,
        find_hint(result, "to forget a released claim: git hub-session fetch {}").partition(": ")[
            2
        ],
    )
    follow_hint(find_hint(result, "to forget a released claim: git hub-session fetch {}"))
    assert clone.run("delete", "s2").code == 0


def test_a_session_that_the_remote_does_not_have(clone: Hub, remote: Hub) -> None:
    write_claim(clone, CLAIM)
    remote.git("update-ref", "-d", "refs/hub/sessions/s1")
    result = clone.run("fetch", "s1")
    assert (result.code, clone.refs("refs/hub/claims")) == (1, {})


def test_claims_of_many_sessions(clone: Hub, remote: Hub) -> None:
    sids = [f"many-{number}" for number in range(21)]
    refs = [f"refs/hub/claims/{sid}/agent-1" for sid in sids]
    oid = write_claim(remote, refs[0])
    for ref in (*refs[1:], CLAIM):
        remote.git("update-ref", ref, oid)
    for sid in sids:
        assert clone.run("init", "-q", "--id", sid, "--task", "x").code == 0
    assert clone.run("push", "-q").code == 0
    assert clone.run("fetch", *sids).code == 0
    assert clone.refs("refs/hub/claims") == dict.fromkeys(refs, oid)


def test_a_claim_for_an_unknown_session_is_not_kept(clone: Hub, remote: Hub) -> None:
    other = add_clone(clone, "other", str(remote.top))
    write_claim(remote, "refs/hub/claims/s2/agent-1")
    assert other.run("fetch").code == 0
    assert other.refs("refs/hub/claims") == {}
