"""Claims, with real remotes and several clones."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from git_hub_session.claims.claim import ClaimObserver, SeenClaim
from git_hub_session.claims.known import read_claims
from git_hub_session.git.ref_names import SessionId
from git_hub_session.session.project import Project
from git_hub_session.sharing.claims import ClaimLost, ClaimRefused, Claims
from git_hub_session.sharing.remote import Remote
from tests.support.hub import CHECKOUT, PYTHON, Hub
from tests.support.remotes import KINDS, ServedRepository, serve

SID = SessionId("s1")
REF = "refs/hub/claims/s1/agent-1"
BRANCH = "refs/heads/hub/s1/agent-1/attempt-1"
LONG = bool(os.environ.get("HUB_TEST_LONG"))


class Clone:
    """A clone with its claims on a remote."""

    def __init__(self, hub: Hub, served: ServedRepository, **options: Any) -> None:
        self.hub = hub
        environ = {**hub.environ, **served.environ, **options.pop("environ", {})}
        self.project = Project(environ, directory=str(hub.top))
        self.remote = Remote(self.project.git, served.url, pauses=(0.01,) * 3)
        self.claims = Claims(SID, self.project, self.remote, shared="refs/hub", **options)


def clone(hub: Hub, served: ServedRepository, name: str, **options: Any) -> Clone:
    """Return a copy of the repository of a test, with its own claims."""
    top = hub.top.parent / name
    hub.git("clone", "-q", hub.top, top, cwd=hub.top.parent)
    return Clone(Hub(top, hub.environ), served, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_a_claim_is_taken_renewed_and_released(hub: Hub, tmp_path: Path, kind: str) -> None:
    with serve(kind, tmp_path / "server") as served:
        one, two = Clone(hub, served), clone(hub, served, "two")
        held = one.claims.take(1)
        assert held is not None
        assert served.refs() == {REF: held.oid}
        assert two.claims.take(1) is None
        seen = two.claims.fetch()[1]
        assert (seen.oid, seen.generation, seen.host) == (held.oid, 1, os.uname().nodename)
        renewed, answer = one.claims.publish(held)
        assert (answer.refused, served.refs()) == ((), {REF: renewed.oid})
        assert renewed.oid != held.oid
        assert one.claims.release(renewed).refused == ()
        assert served.refs() == {}
        assert two.claims.fetch() == {}
        assert two.hub.refs("refs/hub") == one.hub.refs("refs/hub/own-claims") == {}
        assert two.claims.take(1) is not None


def test_the_content_is_readable_with_git_show(hub: Hub, served: ServedRepository) -> None:
    Clone(hub, served).claims.take(1)
    content = json.loads(served.git("show", f"{REF}:claim.json"))
    assert [*content] == ["host", "user", "boot_id", "pid", "at", "generation", "nonce"]
    assert content["pid"] == os.getpid()
    assert content["generation"] == 1


def test_each_agent_has_one_winner(hub: Hub, served: ServedRepository) -> None:
    """200 workers in four clones claim 20 agents at the same time; the short form has 40 and 5."""
    workers, agents = (200, 20) if LONG else (40, 5)
    clones = [clone(hub, served, f"clone-{number}") for number in range(4)]
    processes = [
        subprocess.Popen(
            [
                *(PYTHON, "-m", "tests.support.claimers", each.hub.top, served.url),
                *(str((start + step) % agents + 1) for step in range(workers // len(clones))),
            ],
            cwd=CHECKOUT,
            env={**hub.environ, "PYTHONPATH": str(CHECKOUT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for start, each in enumerate(clones)
    ]
    results = [(*process.communicate(), process.returncode) for process in processes]
    assert [(error, code) for _, error, code in results] == [("", 0)] * len(clones)
    won = sorted(int(line) for output, _, _ in results for line in output.splitlines())
    assert won == [*range(1, agents + 1)]
    assert len(served.refs("refs/hub/claims/s1/")) == agents


def test_identical_objects_have_one_winner(hub: Hub, served: ServedRepository) -> None:
    """git answers "up to date" and exits with 0 if the remote has the same object already."""
    same = {
        "make_nonce": lambda: "same",
        "environ": {
            "GIT_TEST_DATE_NOW": "1773757822",
            "GIT_AUTHOR_DATE": "@1773757822 +0000",
            "GIT_COMMITTER_DATE": "@1773757822 +0000",
        },
    }
    one, two = Clone(hub, served, **same), clone(hub, served, "two", **dict(same))
    first = one.claims.take(1)
    assert first is not None
    assert two.claims.take(1) is None
    assert served.refs() == {REF: first.oid}


def test_a_late_worker_is_refused_as_a_whole(hub: Hub, served: ServedRepository) -> None:
    late, other = Clone(hub, served), clone(hub, served, "other")
    held = late.claims.take(1)
    assert held is not None
    taken = other.claims.take(1, other.claims.fetch()[1])
    assert taken is not None
    assert taken.generation == 2
    tip = hub.commit(hub.top, "file", "late work\n")
    before = served.refs()
    for push in (late.claims.publish, late.claims.release):
        with pytest.raises(ClaimLost) as caught:
            push(held, {BRANCH: tip})
        host = os.uname().nodename
        assert caught.value.message == f"a worker on '{host}' has taken over agent-1"
        assert served.refs() == before
    assert hub.refs("refs/hub/own-claims") == {}
    published, answer = other.claims.publish(taken, {BRANCH: hub.git("rev-parse", "HEAD~1")})
    assert answer.refused == ()
    assert served.refs() == {BRANCH: hub.git("rev-parse", "HEAD~1"), REF: published.oid}


@pytest.mark.parametrize("releases", [False, True])
def test_a_push_that_was_interrupted_after_it_arrived(
    hub: Hub, served: ServedRepository, releases: bool
) -> None:
    """The worker does not know its newest claim. The claim on the remote is still its own."""
    one = Clone(hub, served)
    held = one.claims.take(1)
    assert held is not None
    newest, _ = one.claims.publish(held)
    tip = hub.git("rev-parse", "HEAD")
    if releases:
        assert one.claims.release(held, {BRANCH: tip}).refused == ()
        assert served.refs() == {BRANCH: tip}
        assert hub.refs("refs/hub/own-claims") == {}
    else:
        published, answer = one.claims.publish(held, {BRANCH: tip})
        assert answer.refused == ()
        assert served.refs() == {BRANCH: tip, REF: published.oid}
        assert served.git("rev-parse", f"{published.oid}^") == newest.oid
        assert published.generation == held.generation


def test_a_release_that_was_interrupted_after_it_arrived(
    hub: Hub, served: ServedRepository
) -> None:
    """The second release succeeds if the remote has the result. Otherwise the claim is lost."""
    one = Clone(hub, served)
    held = one.claims.take(1)
    assert held is not None
    tip = hub.git("rev-parse", "HEAD")
    assert one.claims.release(held, {BRANCH: tip}).refused == ()
    assert one.claims.release(held, {BRANCH: tip}).refused == ()
    assert (served.refs(), hub.refs("refs/hub/own-claims")) == ({BRANCH: tip}, {})
    later = hub.commit(hub.top, "file", "later\n")
    for targets in ({BRANCH: later}, {}):
        with pytest.raises(ClaimLost, match="^another worker has taken over agent-1$"):
            one.claims.release(held, targets)
    assert served.refs() == {BRANCH: tip}


def test_of_two_workers_that_take_over_one_wins(hub: Hub, served: ServedRepository) -> None:
    dead = Clone(hub, served)
    assert dead.claims.take(1) is not None
    others = [clone(hub, served, name) for name in ("two", "three")]
    seen = [each.claims.fetch()[1] for each in others]
    taken = [each.claims.take(1, claim) for each, claim in zip(others, seen, strict=True)]
    assert [held is not None for held in taken] == [True, False]


def test_a_claim_that_was_released_is_not_taken_over(hub: Hub, served: ServedRepository) -> None:
    """Its agent may be done. The worker looks at the session again."""
    one, two = Clone(hub, served), clone(hub, served, "two")
    held = one.claims.take(1)
    assert held is not None
    seen = two.claims.fetch()[1]
    one.claims.release(held)
    assert two.claims.take(1, seen) is None
    assert served.refs() == {}


def test_a_refused_branch_leaves_the_claim_as_it_was(hub: Hub, served: ServedRepository) -> None:
    one = Clone(hub, served)
    held = one.claims.take(1)
    assert held is not None
    first = hub.git("rev-parse", "HEAD")
    second = hub.commit(hub.top, "file", "second\n")
    held, _ = one.claims.publish(held, {BRANCH: second})
    before = served.refs()
    same, answer = one.claims.publish(held, {BRANCH: first})
    assert same == held
    assert answer.of(BRANCH).has_moved
    assert served.refs() == before
    renewed, answer = one.claims.publish(held, {BRANCH: second})
    assert (answer.refused, served.refs()[REF]) == ((), renewed.oid)


def test_a_hook_that_refuses_claims_is_an_error(hub: Hub, served: ServedRepository) -> None:
    served.install_hook("update", 'case $1 in refs/hub/*) echo "not here" >&2; exit 1;; esac')
    with pytest.raises(ClaimRefused, match=f"^'{served.url}' refuses claims: hook declined$"):
        Clone(hub, served).claims.take(1)
    assert served.refs() == {}


def test_a_hook_that_refuses_the_branch_refuses_everything(
    hub: Hub, served: ServedRepository
) -> None:
    one = Clone(hub, served)
    held = one.claims.take(1)
    assert held is not None
    served.install_hook("update", "case $1 in refs/heads/*) exit 1;; esac")
    before = served.refs()
    same, answer = one.claims.publish(held, {BRANCH: hub.git("rev-parse", "HEAD")})
    assert (same, answer.of(BRANCH).reason) == (held, "hook declined")
    assert served.refs() == before


def test_a_server_that_refuses_forced_updates_accepts_claims(
    hub: Hub, served: ServedRepository
) -> None:
    served.git("config", "receive.denyNonFastForwards", "true")
    one = Clone(hub, served)
    claims = Claims(SID, one.project, one.remote, shared="refs/heads/hub-meta")
    held = claims.take(1)
    assert held is not None
    assert claims.publish(held)[1].refused == ()
    taken = claims.take(1, claims.fetch()[1])
    assert taken is not None
    assert taken.generation == 2


def test_a_shallow_clone_claims_and_publishes(hub: Hub, served: ServedRepository) -> None:
    for text in ("a\n", "b\n", "c\n"):
        hub.commit(hub.top, "file", text)
    hub.git("push", "-q", served.url, "main")
    top = hub.top.parent / "shallow"
    hub.git("clone", "-q", "--depth=1", served.url, top, cwd=hub.top.parent)
    shallow = Clone(Hub(top, hub.environ), served)
    held = shallow.claims.take(1)
    assert held is not None
    tip = hub.commit(top, "file", "work\n")
    assert shallow.claims.release(held, {BRANCH: tip}).refused == ()
    assert served.refs()[BRANCH] == tip
    assert len(served.git("rev-list", BRANCH).splitlines()) == 5


@pytest.mark.parametrize("kind", ["git", "http", "ssh"])
def test_a_remote_that_disappears_for_a_while(hub: Hub, tmp_path: Path, kind: str) -> None:
    with serve(kind, tmp_path / "server") as served:
        one = Clone(hub, served)
        held = one.claims.take(1)
        assert held is not None
        served.stop()
        one.remote._note = lambda text: served.start() if "0.02" in text else None
        one.remote._pauses = (0.01, 0.02, 0.03, 0.04)
        renewed, answer = one.claims.publish(held, {BRANCH: hub.git("rev-parse", "HEAD")})
        assert (answer.refused, answer.tries) == ((), 3)
        assert served.refs()[REF] == renewed.oid


def test_an_answer_that_is_lost_is_no_lost_claim(hub: Hub, served: ServedRepository) -> None:
    """The remote changes its refs, then the connection ends. The next try finds them changed."""
    one = Clone(hub, served)
    held = one.claims.take(1)
    assert held is not None
    marker = served.path / "cut"
    # The hook ends the server before it has sent its report.
    served.install_hook("post-update", f"test -e {marker} || {{ touch {marker}; kill -9 $PPID; }}")
    renewed, answer = one.claims.publish(held, {BRANCH: hub.git("rev-parse", "HEAD")})
    assert (answer.tries, answer.refused) == (2, ())
    assert served.refs() == {BRANCH: hub.git("rev-parse", "HEAD"), REF: renewed.oid}
    marker.unlink()
    answer = one.claims.release(renewed, {BRANCH: hub.commit(hub.top, "file", "more\n")})
    assert (answer.tries, answer.refused) == (2, ())
    assert served.refs() == {BRANCH: hub.git("rev-parse", "HEAD")}


def test_hostile_refs_are_no_claims_or_claims_without_a_holder(
    hub: Hub, served: ServedRepository
) -> None:
    tip = hub.git("rev-parse", "HEAD")
    names = ["agent-1", "agent-0", "agent-x", "other/agent-2", "agent-3"]
    hub.git("push", "-q", served.url, *(f"{tip}:refs/hub/claims/s1/{name}" for name in names))
    one = Clone(hub, served)
    assert one.claims.fetch() == {1: SeenClaim(tip, None), 3: SeenClaim(tip, None)}
    assert read_claims(SID, one.project) == one.claims.fetch()
    taken = one.claims.take(1, SeenClaim(tip, None))
    assert taken is not None
    assert taken.generation == 1
    blob = hub.git("hash-object", "-w", "--stdin", stdin="x" * 5000)
    tree = hub.git("mktree", stdin=f"100644 blob {blob}\tclaim.json\n")
    large = hub.git("commit-tree", "-m", "x", tree)
    hub.git("push", "-q", "-f", served.url, f"{large}:refs/hub/claims/s1/agent-3")
    assert one.claims.fetch()[3] == SeenClaim(large, None)


def test_the_next_worker_of_a_clone_continues_the_claim(hub: Hub, served: ServedRepository) -> None:
    """The worker of the claim has ended. In another clone its claim has to become stale."""
    code = "import tests.support.claimers as c; c.main()"
    words = [PYTHON, "-c", code, str(hub.top), served.url, "1"]
    environ = {**hub.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(words, cwd=CHECKOUT, env=environ, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
    one, two = Clone(hub, served), clone(hub, served, "two")
    seen = one.claims.fetch()[1]
    assert one.claims.is_abandoned(1, seen)
    assert not two.claims.is_abandoned(1, two.claims.fetch()[1])
    held = one.claims.take(1, seen)
    assert held is not None
    assert not one.claims.is_abandoned(1, one.claims.fetch()[1]), "this process holds it now"


def test_another_prefix_can_be_used(hub: Hub, served: ServedRepository) -> None:
    one = Clone(hub, served)
    claims = Claims(SID, one.project, one.remote, shared="refs/heads/hub-meta")
    held = claims.take(2)
    assert held is not None
    assert [*served.refs()] == ["refs/heads/hub-meta/claims/s1/agent-2"]
    assert [*claims.fetch()] == [2]


def test_a_wrong_clock_has_no_effect(hub: Hub, served: ServedRepository) -> None:
    day = 86_400
    past = Clone(hub, served, environ={"GIT_TEST_DATE_NOW": str(1773757822 - day)})
    future = clone(hub, served, "two", environ={"GIT_TEST_DATE_NOW": str(1773757822 + day)})
    held = past.claims.take(1)
    assert held is not None
    observer = ClaimObserver(600)
    observer.observe(future.claims.fetch())
    assert not observer.is_stale(1)
    assert future.claims.take(1) is None
    assert past.claims.publish(held)[1].refused == ()
