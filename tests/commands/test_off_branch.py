"""An agent's worktree whose HEAD was detached, or cut off: every command says so, and what it says to type is the way back."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.commands.test_doctor import found
from tests.commands.test_status import process_in
from tests.hub import Hub, Result

MEASURE = ("--eval", "cat file | wc -c | sed 's/^/n: /'", "--metric", "n", "--direction", "higher")
FIRST, SECOND = (f"hub/s1/agent-1/attempt-{number}" for number in (1, 2))


@pytest.fixture
def where(hub: Hub) -> Path:
    """The worktree of the first of two agents, who have committed something each."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2").code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)
    for agent in (1, 2):
        hub.commit(place(hub, agent), "file", "x\n" * 10 * agent)
    return place(hub, 1)


def place(hub: Hub, agent: int) -> Path:
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


def detach(hub: Hub, where: Path, *at: str) -> None:
    hub.git("checkout", "-q", "--detach", *at, cwd=where)


def entry(hub: Hub, where: Path) -> Path:
    return hub.top / ".git" / "worktrees" / where.name


def head_of(hub: Hub, where: Path) -> str:
    return hub.git("symbolic-ref", "HEAD", cwd=where)


def hint(result: Result) -> str:
    """The one thing that it says to type."""
    assert result.code == 1, result
    [line] = re.findall("hint: (.*)", result.out + result.err)
    return str(line).removesuffix(", or use --force")


def follows(hub: Hub, *words: str) -> None:
    """What the command says to type is typed, and then it goes."""
    line = hint(hub.run(*words))
    assert hub.call("sh", "-c", line).code == 0, line
    result = hub.run(*words)
    assert result.code == 0, result


@pytest.mark.parametrize(
    "words", ["exec s1 -- true", "exec --agents=1 s1 -- true", "restore s1", "cleanup s1", "doctor"]
)
def test_at_its_tip_it_is_on_its_branch_again(hub: Hub, where: Path, words: str) -> None:
    """With all that is in it, staged or not."""
    (where / "staged").write_text("staged\n")
    hub.git("add", "staged", cwd=where)
    (where / "new").write_text("new\n")
    tip = hub.git("rev-parse", FIRST)
    detach(hub, where)
    if words == "doctor":
        [finding] = hub.json("doctor", code=1)["findings"]
        assert finding["evidence"] == f"its HEAD is detached from '{FIRST}'"
        line = finding["advice"]
    else:
        result = hub.run(*words.split())
        assert f"its HEAD is detached from '{FIRST}'" in result.out + result.err
        line = hint(result)
    assert line == f"git -C {where} symbolic-ref HEAD refs/heads/{FIRST}"
    assert where.exists()
    assert hub.call("sh", "-c", line) == Result(0)
    assert (head_of(hub, where), hub.git("rev-parse", FIRST)) == (f"refs/heads/{FIRST}", tip)
    assert hub.git("status", "--short", cwd=where) == "A  staged\n?? new"
    assert hub.run(*words.split()).code == 0


def test_what_was_committed_there_becomes_another_attempt(hub: Hub, where: Path) -> None:
    """And is measured, and merged."""
    detach(hub, where)
    tip = hub.commit(where, "file", "x\n" * 90)
    follows(hub, "exec", "s1", "--", "true")
    assert (head_of(hub, where), hub.git("rev-parse", SECOND)) == (f"refs/heads/{SECOND}", tip)
    assert hub.run("doctor").code == 0
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    assert hub.run("merge", "-q", "--yes", "s1").code == 0
    assert hub.git("rev-parse", "main^2") == tip
    assert hub.git("rev-parse", "hub/archive/s1/agent-1") == hub.git("rev-parse", f"{tip}~")


def test_who_has_looked_at_an_older_commit_goes_back(hub: Hub, where: Path) -> None:
    detach(hub, where, "HEAD~")
    assert hint(hub.run("restore", "s1", "--agent=1")) == f"git -C {where} checkout {FIRST}"
    follows(hub, "restore", "s1", "--agent=1")
    assert head_of(hub, where) == f"refs/heads/{FIRST}"


def test_in_the_middle_of_a_merge_it_stays_in_it(hub: Hub, where: Path) -> None:
    detach(hub, where)
    hub.commit(hub.top, "file", "of main\n")
    assert hub.call("git", "merge", "-q", "main", cwd=where).code == 1
    follows(hub, "restore", "s1", "--agent=1")
    assert hub.git("status", "--short", cwd=where) == "UU file"
    detach_again = hub.call("git", "checkout", "-q", "--detach", cwd=where)
    assert detach_again.code == 1  # git's own: it resolves that first


@pytest.mark.parametrize("words", ["restore s1 --agent=1", "exec s1 --agents=1 -- true"])
def test_a_head_that_was_cut_off(hub: Hub, where: Path, words: str) -> None:
    (where / "new").write_text("new\n")
    own = entry(hub, where) / "HEAD"
    own.write_text("")
    result = hub.run(*words.split())
    if words.startswith("exec"):  # to which it is none of the session's
        assert hint(result) == "git hub-session restore s1"
        result = hub.run("restore", "s1", "--agent=1")
    assert f"'{where}': its HEAD cannot be read" in result.out + result.err
    line = hint(result)
    assert line == f"printf 'ref: %s\\n' refs/heads/{FIRST} >{own}"
    assert hub.call("sh", "-c", line) == Result(0)
    assert hub.run(*words.split()).code == 0
    assert hub.git("status", "--short", cwd=where) == "?? new"


def test_another_branch_in_its_place_is_named(hub: Hub, where: Path) -> None:
    hub.git("checkout", "-q", "-b", "mine", cwd=where)
    assert (
        hub.run("restore", "s1", "--agent=1")
        .err.splitlines()[0]
        .endswith(f"'{where}' exists already, with 'mine' checked out")
    )
    assert hub.run("doctor").code == 0  # what is committed there has a branch


def test_an_attempt_before_the_last_is_found_too(hub: Hub, where: Path) -> None:
    """Of which the session has no path any more; and the agent goes on with its last."""
    assert hub.run("spawn", "-q", "--retry", "1", "s1") == Result(0)
    detach(hub, where)
    tip = hub.commit(where, "more", "on no branch\n")
    assert [one[:2] for one in found(hub, code=1)] == [("worktree-off-branch", str(where))]
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0)
    follows(hub, "cleanup", "s1")
    assert hub.git("rev-parse", "hub/s1/agent-1/attempt-3") == tip


def test_cleanup_by_force_saves_what_only_it_had(hub: Hub, where: Path) -> None:
    detach(hub, where)
    tip = hub.commit(where, "more", "on no branch\n")
    (where / "new").write_text("new\n")
    lines = hub.run("cleanup", "s1").out.splitlines()
    assert lines[1:3] == [f"Kept worktree: {where}", f"  its HEAD is detached from '{FIRST}'"]
    assert lines[3].startswith(f"  hint: git -C {where} branch {SECOND} && ")
    assert lines[3].endswith(", or use --force")
    assert hub.run("cleanup", "-q", "--force", "s1") == Result(0)
    assert not where.exists()
    saved = hub.refs("refs/hub/rescue/s1/agent-1/attempt-1")
    assert tip in saved.values()
    assert "new" in [hub.call("git", "show", f"{ref}^3:new").out.strip() for ref in saved]
    assert hub.git("rev-parse", FIRST) == hub.git("rev-parse", f"{tip}~")


def test_one_that_is_missing_is_kept_until_somebody_says(hub: Hub, where: Path) -> None:
    detach(hub, where)
    tip = hub.commit(where, "more", "on no branch\n")
    shutil.rmtree(where)
    line = hint(hub.run("cleanup", "s1"))
    [finding] = hub.json("doctor", code=1)["findings"]
    assert (finding["code"], finding["advice"]) == ("worktree-missing", line)
    assert hub.call("sh", "-c", line).code == 0
    assert (where / "more").read_text() == "on no branch\n"
    shutil.rmtree(where)
    assert hub.run("cleanup", "-q", "--force", "s1") == Result(0)
    assert tip in hub.refs("refs/hub/rescue/s1").values()


def test_whoever_stands_in_it_may_know_what_he_does(hub: Hub, where: Path) -> None:
    detach(hub, where)
    with process_in(where):
        assert hub.run("doctor").code == 0
    assert hub.run("doctor").code == 1


def test_where_it_is_and_how_it_stands_is_shown(hub: Hub, where: Path) -> None:
    detach(hub, where)
    assert hub.run("path", "s1", "1") == Result(0, f"{where}\n")
    shown = os.path.relpath(where, hub.top)
    assert f"{shown} (detached)" in hub.run("status", "s1").out
    worktrees = hub.json("status", "s1")["worktrees"]
    assert [one["detached"] for one in worktrees] == [True, False]
    assert hub.run("spawn", "s1").code == 0  # nothing is missing


def test_the_one_on_the_branch_is_the_agents(hub: Hub, where: Path) -> None:
    """Where another worktree was on that branch once."""
    detach(hub, where)
    other = hub.top.parent / "other"
    hub.git("worktree", "add", "-q", other, FIRST)
    assert hub.run("path", "s1", "1") == Result(0, f"{other}\n")
    assert hub.run("exec", "-q", "s1", "--", "sh", "-c", "pwd >here") == Result(0)
    assert (other / "here").exists()
    assert not (where / "here").exists()
    # Nor is it given the branch which the other has.
    [finding] = hub.json("doctor", code=1)["findings"]
    assert finding["advice"].startswith(f"git -C {where} branch {SECOND} && ")
    (entry(hub, where) / "HEAD").write_text("")
    tip = hub.git("rev-parse", FIRST)
    [finding] = hub.json("doctor", code=1)["findings"]
    assert finding["advice"] == f"printf '%s\\n' {tip} >{entry(hub, where)}/HEAD"
    assert hub.call("sh", "-c", finding["advice"]) == Result(0)
    follows(hub, "cleanup", "s1")
    assert not other.exists()
    assert not where.exists()


def test_a_persons_worktree_is_a_persons(hub: Hub, where: Path) -> None:
    """Who is on a branch of his own, or was on another since, or looks at a session that is gone."""
    mine = hub.top.parent / "mine"
    hub.git("worktree", "add", "-q", "-b", "mine", mine)
    detach(hub, mine, FIRST)
    detach(hub, mine)
    gone = hub.top.parent / "gone"
    hub.git("worktree", "add", "-q", "-b", "hub/gone/agent-1/attempt-1", gone)
    detach(hub, gone)
    hub.git("branch", "-q", "-D", "hub/gone/agent-1/attempt-1")
    assert hub.run("doctor") == Result(0, "1 session, 2 worktrees: nothing found\n")
    assert hub.run("cleanup", "-q", "s1").code == 0
    assert mine.exists()
    assert gone.exists()
    assert not where.exists()


def test_what_the_way_back_lands_on_is_nobodys(hub: Hub, where: Path) -> None:
    """Not on a branch that there is, nor one whose file is damaged, nor one that is archived."""
    hub.git("branch", SECOND, "main")
    (hub.top / ".git" / "refs" / "heads" / f"{FIRST[:-1]}3").write_text("")
    hub.git("tag", "hub/archive/s1/agent-1-attempt-4", "main")
    detach(hub, where)
    hub.commit(where, "more", "on no branch\n")
    assert f"branch {FIRST[:-1]}5 && " in hub.run("restore", "s1", "--agent=1").err + str(
        [one["advice"] for one in hub.json("doctor", code=1)["findings"]]
    )


def test_reflogs_are_of_no_use_here(hub: Hub, where: Path) -> None:
    """Without them the session's own word counts, and that the place is the agent's."""
    hub.git("config", "core.logAllRefUpdates", "false")
    own = entry(hub, where)
    shutil.rmtree(own / "logs")
    detach(hub, where)
    [finding] = hub.json("doctor", code=1)["findings"]
    assert (finding["code"], finding["evidence"]) == ("worktree-off-branch", "its HEAD is detached")
    follows(hub, "restore", "s1", "--agent=1")
    assert head_of(hub, where) == f"refs/heads/{FIRST}"
