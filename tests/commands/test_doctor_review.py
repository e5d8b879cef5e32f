"""What a reviewer made the doctor lie about, or do harm by: each is a repository as it may be met."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from git_hub_session.worktrees import REMOVING
from tests.commands.test_doctor import branch_cut_off, edited, entry, found
from tests.hub import PYTHON, Hub, Result, snapshot, wait_for


def advice(hub: Hub) -> str:
    """What the one finding says to do by hand."""
    [finding] = hub.json("doctor", code=1)["findings"]
    assert finding["fix"] == ""
    return str(finding["advice"])


def typed(hub: Hub, line: str) -> Result:
    """The line, as a person types it."""
    return hub.call("sh", "-c", line)


NOTHING = Result(0, "1 session, 2 worktrees: nothing found\n")


@pytest.mark.parametrize("packed", [False, True])
def test_a_branch_whose_file_was_cut_off_comes_back_from_its_reflog(hub: Hub, packed: bool) -> None:
    hub.session("a", agents=2)
    if packed:  # what git has packed is older, and hidden by the file
        hub.git("pack-refs", "--all")
    tip = hub.commit(hub.worktree(2, "a"), "work", "an agent's\n")
    name = branch_cut_off(hub, "a")
    file = hub.top / ".git" / "refs" / "heads" / name
    assert advice(hub) == f"rm {file} && git update-ref refs/heads/{name} {tip}"
    assert typed(hub, advice(hub)) == Result(0)
    assert hub.git("rev-parse", name) == tip
    assert hub.run("doctor") == NOTHING


def test_a_branch_that_leads_to_a_lost_commit_comes_back_from_its_reflog(hub: Hub) -> None:
    hub.session("a", agents=2)
    tip = hub.commit(hub.worktree(1, "a"), "work", "an agent's\n")
    lost = hub.commit(hub.worktree(1, "a"), "work", "lost\n")
    (hub.top / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    name = "hub/a/agent-1/attempt-1"
    assert advice(hub) == f"git update-ref refs/heads/{name} {tip}"
    assert typed(hub, advice(hub)).code == 0
    assert hub.run("doctor") == NOTHING


def test_a_lock_whose_note_is_lost_goes_and_nothing_else(hub: Hub) -> None:
    hub.session("a", agents=2)
    (hub.worktree(1, "a") / "draft").write_text("mine")
    lock = entry(hub, "a") / "locked"
    lock.write_text(REMOVING)
    before = snapshot(hub.top / ".git"), snapshot(hub.worktrees)
    assert found(hub, "--fix", code=0) == [("removal-cut-off", str(hub.worktree(1, "a")), True)]
    assert not lock.exists()
    lock.write_text(REMOVING)
    assert (snapshot(hub.top / ".git"), snapshot(hub.worktrees)) == before


def test_a_rewritten_state_knows_what_the_agents_started_from(hub: Hub) -> None:
    start = hub.git("rev-parse", "main")
    assert hub.run("init", "-q", "--id", "a", "--task", "t", "--agents", "2").code == 0
    assert hub.run("spawn", "-q", "a").code == 0
    where = hub.run("path", "a", "1").out.strip()
    hub.commit(Path(where), "work", "an agent's\n")
    hub.commit(hub.top, "later", "main has gone on\n")
    (hub.directory("a") / "state.json").write_text("{")
    assert [one[0] for one in found(hub, "--fix", code=0)] == ["state-damaged"]
    assert (hub.state("a")["state"], hub.state("a")["base_commit"]) == ("running", start)


def test_a_moved_worktree_of_which_there_are_two_is_left_to_a_person(hub: Hub) -> None:
    hub.session("a", agents=2)
    where = hub.worktree(1, "a")
    where.rename(hub.worktrees / "a" / "one")
    shutil.copytree(hub.worktrees / "a" / "one", hub.worktrees / "a" / "two")
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert (finding["code"], finding["fix"]) == ("worktree-moved", "")
    one, two = (str(hub.worktrees / "a" / name) for name in ("one", "two"))
    assert finding["evidence"] == f"it lies in '{one}' or '{two}' now"
    assert typed(hub, finding["advice"]).code == 0
    assert hub.run("path", "a", "1").out == f"{one}\n"
    assert hub.run("doctor") == NOTHING


def test_a_moved_worktree_is_not_mended_while_another_link_is_wrong(hub: Hub) -> None:
    """`git worktree repair` mends all links at once, and writes a .git file wherever an entry says."""
    hub.session("a", agents=2)
    hub.worktree(1, "a").rename(hub.worktrees / "a" / "best")
    somewhere = hub.top.parent / "mine"
    hub.git("worktree", "add", "-q", "--detach", somewhere)
    (somewhere / ".git").unlink()
    before = snapshot(hub.top / ".git"), snapshot(somewhere), snapshot(hub.worktrees)
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert (finding["code"], finding["fix"]) == ("worktree-moved", "")
    after = snapshot(hub.top / ".git"), snapshot(somewhere), snapshot(hub.worktrees)
    assert after == before


def test_a_hub_that_the_repository_ignores_by_itself_is_ignored(hub: Hub) -> None:
    hub.session("a", agents=2)
    (hub.top / ".agenthub" / ".gitignore").unlink()
    assert [one[0] for one in found(hub, code=1)] == ["hub-not-ignored"]
    exclude = hub.top / ".git" / "info" / "exclude"
    exclude.write_text(".agenthub/\n")
    assert hub.run("doctor") == NOTHING


def test_a_detached_worktree_that_is_missing_comes_back_with_what_git_has_of_it(hub: Hub) -> None:
    hub.session("a", agents=2)
    where = hub.worktree(1, "a")
    edited(hub, "a", agents={"agent-1": {"status": "ready", "worktree": str(where)}})
    hub.git("checkout", "-q", "--detach", cwd=where)
    tip = hub.commit(where, "work", "on no branch\n")
    (where / "staged").write_text("staged\n")
    hub.git("add", "staged", cwd=where)
    link = f"printf 'gitdir: %s\\n' {entry(hub, 'a')} >{where}/.git"
    shutil.rmtree(where)
    way = f"mkdir -p {where} && {link} && git -C {where} checkout-index -a"
    assert advice(hub) == way
    assert typed(hub, way).code == 0
    assert hub.git("rev-parse", "HEAD", cwd=where) == tip
    assert hub.git("status", "--short", cwd=where) == "A  staged"
    assert hub.run("doctor") == NOTHING


def test_a_detached_worktree_of_a_person_is_none_of_ours(hub: Hub) -> None:
    hub.session("a", agents=2)
    where = hub.top.parent / "mine"
    hub.git("worktree", "add", "-q", "--detach", where)
    shutil.rmtree(where)
    assert hub.run("doctor") == NOTHING


def test_of_a_half_made_session_only_what_init_makes_is_deleted(hub: Hub) -> None:
    path = hub.session("a", agents=2).directory("") / ".b.0123456789ab.tmp"
    path.mkdir()
    (path / "config.yaml").write_text("task: ")
    (path / "notes").write_text("mine")
    subject = os.path.relpath(path, hub.top)
    fix = f"half-made-session: {subject}\n  left by an init that was cut off\n"
    assert hub.run("doctor", "--fix") == Result(
        1, f"{fix}  not done: it is still there\n1 session, 2 worktrees: 1 found, 0 fixed\n"
    )
    assert (path / "notes").read_text() == "mine"


_HOLDER = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(fd, fcntl.LOCK_EX)
print(flush=True)
time.sleep(60)
"""


def test_a_session_that_is_locked_hides_nothing_of_the_others(hub: Hub) -> None:
    for sid in ("a", "b", "c"):
        hub.session(sid, agents=2)
        shutil.rmtree(hub.worktree(1, sid))
    words = [PYTHON, "-c", _HOLDER, str(hub.directory("b"))]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            answer = hub.json("doctor", "--fix", code=0)
        finally:
            holder.send_signal(signal.SIGKILL)
    missing = [("worktree-missing", str(hub.worktree(1, sid))) for sid in ("a", "c")]
    assert [(one["code"], one["subject"]) for one in answer["findings"]] == missing
    assert all(one["fixed"] for one in answer["findings"])
    assert answer["in_use"] == ["b"]
    wait_for(lambda: hub.json("doctor", code=1)["in_use"] == [])
    assert found(hub, "--fix", code=0) == [("worktree-missing", str(hub.worktree(1, "b")), True)]


def test_a_worktree_that_went_in_the_middle_of_a_rebase_comes_back_in_it(hub: Hub) -> None:
    """Its autostash is on no ref, and the entry alone knows of it."""
    hub.session("a", agents=2)
    where = hub.worktree(1, "a")
    hub.commit(where, "one", "1\n")
    hub.commit(where, "two", "2\n")
    (where / "one").write_text("not committed\n")
    editor = {"GIT_SEQUENCE_EDITOR": "sed -i 1s/pick/edit/"}
    words = ("git", "-C", where, "rebase", "-q", "--autostash", "-i", "HEAD~2")
    assert hub.call(*words, environ=editor).code == 0
    (where / "staged").write_text("staged\n")
    hub.git("add", "staged", cwd=where)
    shutil.rmtree(where)
    entries = snapshot(hub.top / ".git" / "worktrees")
    assert [one[0] for one in found(hub, "--fix", code=1)] == ["worktree-missing"]
    assert snapshot(hub.top / ".git" / "worktrees") == entries

    assert typed(hub, advice(hub)).code == 0
    assert (where / "staged").read_text() == "staged\n"
    assert hub.run("doctor") == NOTHING
    editor = {"GIT_EDITOR": "true"}
    assert hub.call("git", "-C", where, "rebase", "--continue", environ=editor).code == 0
    assert (where / "one").read_text() == "not committed\n"


def test_a_link_in_the_place_of_a_session_is_named_and_not_followed(hub: Hub) -> None:
    hub.session("a", agents=2)
    outside = hub.top.parent / "outside"
    hub.directory("a").rename(outside)
    hub.directory("a").symlink_to(outside)
    (outside / "state.json").write_text("{")
    before = snapshot(outside)
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert (finding["code"], finding["fix"]) == ("hub-damaged", "")
    assert finding["advice"].endswith(f"mv {shlex.quote(str(hub.directory('a')))} somewhere else")
    assert snapshot(outside) == before


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "../../x", "a b~^:", "-x"])
def test_a_base_and_a_merge_of_any_name(hub: Hub, name: str) -> None:
    """What state.json and config.yaml name need not be a name of a branch at all."""
    hub.session("a", agents=2)
    merge = {"agent": 1, "attempt": 1, "tip": "f" * 40, "into": name, "commit": "e" * 40}
    edited(hub, "a", state="evaluating", merge=merge)
    config = hub.directory("a") / "config.yaml"
    lines = config.read_text().splitlines(keepends=True)
    others = [line for line in lines if not line.startswith("base_branch:")]
    config.write_text("".join(others) + f"base_branch: {json.dumps(name)}\n")
    refs = hub.refs()
    for words in ([], ["--fix"], ["--format=porcelain"]):
        result = hub.run("doctor", *words)
        assert (result.code, result.err) == (1, ""), result
        assert not set(result.out) & {"\0", "\ud800", "\x1b"}
    assert hub.refs() == refs
