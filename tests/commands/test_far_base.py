"""The base branch of a session whose workers run elsewhere (exec --on, eval --on)."""

from __future__ import annotations

import pytest

from tests.support.clones import add_clone
from tests.support.hints import find_hint, type_hint, types
from tests.support.hub import Hub, Result
from tests.support.measured_sessions import MEASURE
from tests.support.remotes import ServedRepository
from tests.support.workers import connect_with_box, published_attempts

pytestmark = pytest.mark.slow
COMMIT = "echo 50 >ms && git add ms && git commit -qm work"
RUN = ("exec", "--on", "box", "s1", "--", "sh", "-c", COMMIT)


@pytest.fixture
def first(hub: Hub, served: ServedRepository) -> Hub:
    return connect_with_box(hub, served)


def init(hub: Hub) -> None:
    """Create a session of two agents."""
    created = hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    assert created == Result(0, "s1\n")


@types("git push {} {}")
def test_a_base_that_is_not_published(first: Hub, served: ServedRepository) -> None:
    """The workers would start from another commit, so nothing is published."""
    first.commit(first.top, "file", "later\n")
    init(first)
    refused = first.run(*RUN)
    tip = first.git("rev-parse", "main")
    message = f"error: 'origin' does not have commit {tip[:12]} of 'main'"
    assert (refused.code, refused.out, refused.err.splitlines()[0]) == (1, "", message)
    assert served.refs("refs/hub") == {}
    type_hint(first, find_hint(refused, "git push {} {}"))
    done = first.run(*RUN)
    assert done.code == 0, done
    for ref in published_attempts(served):
        assert served.git("rev-parse", f"refs/heads/hub/s1/{ref}~") == tip


def test_a_base_that_is_not_the_default_branch(first: Hub, served: ServedRepository) -> None:
    first.git("switch", "-q", "-c", "topic")
    first.commit(first.top, "file", "topic\n")
    first.git("push", "-q", "origin", "topic")
    init(first)
    done = first.run(*RUN)
    assert done.code == 0, done
    tip = first.git("rev-parse", "topic")
    for ref in published_attempts(served):
        assert served.git("rev-parse", f"refs/heads/hub/s1/{ref}~") == tip
    measured = first.run(
        "eval", "--on", "box", *MEASURE, "--no-guard", "--eval", "echo ms: $(cat ms)", "s1"
    )
    assert measured.code == 0, measured


def test_the_base_branch_of_the_remote_is_ahead(first: Hub, served: ServedRepository) -> None:
    """All agents start from the tip in the clone of the user."""
    init(first)
    other = add_clone(first, "other", served.url)
    other.commit(other.top, "file", "ahead\n")
    other.git("push", "-q", "origin", "main")
    done = first.run(*RUN)
    assert done.code == 0, done
    tip = first.git("rev-parse", "main")
    for ref in published_attempts(served):
        assert served.git("rev-parse", f"refs/heads/hub/s1/{ref}~") == tip
    first.commit(first.top, "file", "other\n")
    first.git("reset", "-q", "--hard", "HEAD~")
    measured = first.run(
        "eval", "--on", "box", *MEASURE, "--no-guard", "--eval", "echo ms: $(cat ms)", "s1"
    )
    assert measured.code == 0, measured
    assert first.state()["evaluation"]["base"] == tip
