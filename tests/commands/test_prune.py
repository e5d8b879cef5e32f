"""`prune` deletes old archive refs and rescue refs of finished sessions."""

from __future__ import annotations

import pexpect
import pytest

from tests.support.hints import find_hint, type_hint, types
from tests.support.hub import NOW, Hub, Result
from tests.support.terminal import run_in_terminal

DAY = 24 * 3600
LATER = NOW + 100 * DAY
OLD = ("prune", "--older-than", "90d")
TAG = "refs/tags/hub/archive/s1/agent-2"
LOSER = "refs/hub/archive/s1/agent-2/attempt-1/1"
RESCUE = "refs/hub/rescue/s1/agent-2/attempt-1/1"
NOTHING = Result(0, "", "no ref to delete\n")


@pytest.fixture
def merged(hub: Hub) -> Hub:
    """Return a hub with a merged session. Its second agent has a commit and an uncommitted file."""
    hub.session(agents=2)
    for agent in (1, 2):
        hub.commit(hub.worktree(agent), "file", f"{agent}\n", f"idea {agent}")
    (hub.worktree(2) / "notes").write_text("todo\n")
    hub.run("update", "-q", "s1", "--state", "running")
    assert hub.run("eval", "-q", "s1", "--ranking", "1,2") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1").code == 0
    assert set(hub.refs("refs/hub")) == {LOSER, RESCUE}
    assert TAG in hub.refs()
    return hub


def lines(hub: Hub, verb: str, *refs: str) -> str:
    """Return the output for some refs."""
    oids, count = hub.refs(), {TAG: "1 commit", LOSER: "1 commit"}
    subjects = {TAG: "idea 2", LOSER: "idea 2"}
    text = ""
    for ref in refs:
        name = ref.removeprefix("refs/tags/")
        subject = subjects.get(ref) or hub.git("log", "-1", "--format=%s", ref)
        commits = count.get(ref, "4 commits")
        text += f"{verb} {name} (was {oids[ref][:12]}, {commits}): {subject}\n"
    return text


def test_old_refs_are_shown_and_deleted(merged: Hub) -> None:
    before = merged.refs()
    refs = (LOSER, TAG, RESCUE)
    ordered = sorted(refs[:2]) + [RESCUE]
    shown = lines(merged, "Would delete", *ordered) + "No other ref reaches 4 commits\n"
    assert merged.run(*OLD, "-n", now=LATER) == Result(0, shown)
    assert merged.refs() == before
    expected = lines(merged, "Deleted", *ordered) + "No other ref reaches 4 commits\n"
    assert merged.run(*OLD, "--yes", now=LATER) == Result(0, expected)
    assert {*before} - {*merged.refs()} == {*refs}
    assert {*merged.refs()} - {*before} == set()
    assert merged.run(*OLD, "--yes", now=LATER) == NOTHING
    assert merged.run("doctor", now=LATER).code == 0
    assert merged.run("status", "s1", now=LATER).code == 0


def test_one_kind_only(merged: Hub) -> None:
    before = {*merged.refs()}
    document = merged.run(*OLD, "--archived", "-n", "-z", now=LATER).out
    assert "rescue" not in document
    assert merged.run(*OLD, "--rescued", "-q", "--yes", now=LATER) == Result(0)
    assert before - {*merged.refs()} == {RESCUE}
    assert merged.run(*OLD, "--archived", "-q", "--yes", now=LATER) == Result(0)
    assert before - {*merged.refs()} == {RESCUE, LOSER, TAG}


def test_recent_and_unfinished_sessions_are_kept(merged: Hub) -> None:
    assert merged.run(*OLD, "--yes", now=NOW + 80 * DAY) == NOTHING
    merged.session("s2", agents=1)
    (merged.worktree(1, "s2") / "notes").write_text("todo\n")
    assert merged.run("cleanup", "-q", "s2", "--archive").code == 0
    before = {*merged.refs()}
    assert merged.run(*OLD, "-q", "--yes", now=LATER) == Result(0)
    assert before - {*merged.refs()} == {LOSER, TAG, RESCUE}


def test_a_start_of_an_unfinished_session_is_kept(merged: Hub) -> None:
    merged.run("init", "-q", "--id", "s2", "--task", "t", "--agents", "1")
    assert merged.run("spawn", "-q", "s2", "--base", LOSER) == Result(0)
    before = {*merged.refs()}
    assert merged.run(*OLD, "-q", "--yes", "--archived", now=LATER) == Result(0)
    assert before - {*merged.refs()} == set()


def test_without_a_terminal_it_asks_for_the_option(merged: Hub) -> None:
    before = merged.refs()
    refused = merged.run("prune", "--older-than", "0s", "-q", now=LATER)
    message = "error: cannot ask for confirmation: standard input is not a terminal (use --yes)\n"
    command = "git hub-session prune --older-than 0s --yes --quiet"
    assert refused == Result(1, "", f"{message}hint: {command}\n")
    assert merged.refs() == before
    type_hint(merged, find_hint(refused, "git hub-session prune --older-than {} --yes{}"))
    assert {*before} - {*merged.refs()} == {LOSER, TAG, RESCUE}


@pytest.mark.parametrize("answer", ["n", "y"])
def test_the_question_on_a_terminal(merged: Hub, answer: str) -> None:
    terminal = pexpect.spawn(
        "git-hub-session",
        ["prune", "--older-than", "0s", "--rescued"],
        cwd=str(merged.top),
        env=merged.environ,
        timeout=120,
        encoding="utf-8",
    )
    terminal.expect_exact(f"Would delete {RESCUE} ")
    terminal.expect_exact("Delete 1 ref? [y/N] ")
    terminal.sendline(answer)
    terminal.expect_exact(f"Deleted {RESCUE} " if answer == "y" else "error: no ref was deleted")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == (0 if answer == "y" else 1)
    assert (RESCUE in merged.refs()) == (answer == "n")


def test_a_hook_refuses(merged: Hub) -> None:
    hook = merged.top / ".git" / "hooks" / "reference-transaction"
    hook.write_text("#!/bin/sh\ntest $1 != prepared || { echo no >&2; exit 1; }\n")
    hook.chmod(0o755)
    before = merged.refs()
    result = merged.run(*OLD, "--yes", now=LATER)
    expected = "error: the reference-transaction hook rejected the change of the refs\n"
    assert result == Result(1, "", f"no\n{expected}")
    assert merged.refs() == before


def test_json(merged: Hub) -> None:
    oid = merged.refs()[RESCUE]
    subject = merged.git("log", "-1", "--format=%s", RESCUE)
    assert merged.json("prune", "--older-than", "0s", "--rescued", "-n") == {
        "dry_run": True,
        "unreachable": 3,
        "refs": [
            {
                "session_id": "s1",
                "kind": "rescued",
                "ref": RESCUE,
                "oid": oid,
                "subject": subject,
                "commits": 3,
                "kept": None,
            }
        ],
    }


def test_wrong_options(hub: Hub) -> None:
    required = "error: option '--older-than' is required\nhint: --older-than 90d\n"
    assert hub.run("prune") == Result(129, "", required)
    hint = "hint: use a number with s, m, h, d or w, such as 7d\n"
    assert hub.run("prune", "--older-than", "old") == Result(
        129, "", f"error: not an age: 'old'\n{hint}"
    )
    assert hub.run("prune", "--older-than", "0s") == NOTHING


@types("git hub-session prune --older-than 90d --dry-run")
def test_more_archives_than_the_limit(merged: Hub) -> None:
    """`doctor` reports it, and `list` does so on a terminal."""
    warning = "3 archives exceed hubsession.archiveLimit (2)"
    merged.git("config", "hubsession.archiveLimit", "3")
    assert merged.run("doctor").code == 0
    merged.git("config", "hubsession.archiveLimit", "2")
    assert "warning" not in merged.run("list").err
    listed = run_in_terminal(merged, "list").splitlines()
    assert listed[:2] == [
        f"warning: {warning}",
        "hint: git hub-session prune --older-than 90d --dry-run",
    ]
    shown = run_in_terminal(merged, "list", environ={"GIT_ADVICE": "0"})
    assert shown.splitlines()[0] == f"warning: {warning}"
    assert "hint:" not in shown
    assert warning not in run_in_terminal(merged, "list", "-q")
    [finding] = merged.json("doctor", code=1)["findings"]
    assert (finding["code"], finding["evidence"]) == ("archives-many", warning)
    deleted = type_hint(merged, finding["advice"])
    assert deleted == NOTHING
    merged.git("pack-refs", "--all")
    assert merged.json("doctor", code=1)["findings"] == [finding]
    assert merged.run("prune", "--older-than", "0s", "--rescued", "--yes", now=LATER).code == 0
    assert merged.run("doctor").code == 0


def test_limit_that_is_no_number(merged: Hub) -> None:
    merged.git("config", "hubsession.archiveLimit", "many")
    message = "bad value for hubsession.archivelimit: 'many'"
    [finding] = merged.json("doctor", code=1)["findings"]
    assert finding["evidence"].lower() == message
    assert f"warning: {message}" in run_in_terminal(merged, "list").lower()
