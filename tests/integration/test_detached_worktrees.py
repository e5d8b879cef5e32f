"""An agent's worktree whose HEAD was detached, or cut off: every command says so, and what it says to type is the way back."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.cleanup import repair_commands
from tests.support.doctor import list_findings
from tests.support.hub import Hub, Result, process_in, snapshot

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
    return str(line).removesuffix(", or: git hub-session cleanup --force s1")


def repair_command(hub: Hub, result: Result) -> str:
    """Return the command in the hint, or the one that the doctor prints if the hint says so."""
    line = hint(result)
    if line == "git hub-session doctor s1":
        [line] = repair_commands(hub)
        line = line.removesuffix(" && git hub-session cleanup s1")
    return line


def follows(hub: Hub, *words: str) -> None:
    """What the command says to type is typed, and then it goes."""
    line = repair_command(hub, hub.run(*words))
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
        line = repair_command(hub, result)
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


@pytest.mark.parametrize(
    "words", ["restore s1 --agent=1", "exec s1 -- true", "cleanup s1", "cleanup --force s1"]
)
def test_a_head_that_was_cut_off(hub: Hub, where: Path, words: str) -> None:
    (where / "new").write_text("new\n")
    own = entry(hub, where) / "HEAD"
    own.write_text("")
    result = hub.run(*words.split())
    assert f"'{where}'" in result.out + result.err or f"worktree: {where}\n" in result.out
    assert "its HEAD cannot be read" in result.out + result.err
    line = repair_command(hub, result)
    assert line == f"printf 'ref: %s\\n' refs/heads/{FIRST} >{own}"
    assert hub.call("sh", "-c", line) == Result(0)
    if not words.startswith("cleanup --force"):
        assert hub.git("status", "--short", cwd=where) == "?? new"
    assert hub.run(*words.split()).code == 0


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
    assert [one[:2] for one in list_findings(hub, code=1)] == [("worktree-off-branch", str(where))]
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0)
    follows(hub, "cleanup", "s1")
    assert hub.git("rev-parse", "hub/s1/agent-1/attempt-3") == tip


def test_cleanup_by_force_saves_what_only_it_had(hub: Hub, where: Path) -> None:
    detach(hub, where)
    tip = hub.commit(where, "more", "on no branch\n")
    (where / "new").write_text("new\n")
    lines = hub.run("cleanup", "s1").out.splitlines()
    assert lines[1:3] == [f"Kept worktree: {where}", f"  its HEAD is detached from '{FIRST}'"]
    force = "git hub-session cleanup --force s1"
    assert lines[3] == f"  hint: git hub-session doctor s1, or: {force}"
    [line] = repair_commands(hub)
    assert line.startswith(f"git -C {where} branch {SECOND} && ")
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
    line = repair_command(hub, hub.run("cleanup", "s1"))
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
    assert hub.run("doctor") == Result(0, "1 session, 2 worktrees: no problems found\n")
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


def test_without_a_reflog_it_is_nobodys(hub: Hub, where: Path) -> None:
    """Anybody may have made a worktree there: nothing is said or done of it."""
    hub.git("config", "core.logAllRefUpdates", "false")
    shutil.rmtree(entry(hub, where) / "logs")
    detach(hub, where)
    before = snapshot(where)
    assert hub.run("doctor").code == 0
    assert hint(hub.run("restore", "s1", "--agent=1")) == "choose another --path"
    assert hub.run("cleanup", "-q", "--force", "s1") == Result(0)
    assert snapshot(where) == before


def review(hub: Hub, where: Path) -> Path:
    """A person looks at what an agent has made, in a worktree of his own, and goes on from there."""
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    (hub.top / ".git" / "info" / "exclude").write_text("*.log\n")
    hub.git("tag", "v1", "main")
    mine = where.parent.parent / "review"
    hub.git("worktree", "add", "-q", mine, FIRST)
    detach(hub, mine, "v1")
    (mine / "build.log").write_text("ignored\n")
    return mine


def test_who_has_looked_at_an_agents_work_keeps_his_worktree(hub: Hub, where: Path) -> None:
    mine = review(hub, where)
    hub.commit(mine, "mine", "a person's\n")
    before = snapshot(mine)
    assert hub.run("doctor").code == 0
    assert hub.run("path", "s1", "1").code == 128
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert hub.run("exec", "-q", "s1", "--", "touch", "here") == Result(0)
    assert hub.run("cleanup", "-q", "--force", "s1") == Result(0)
    assert hub.run("archive", "-q", "s1") == Result(0)
    assert snapshot(mine) == before


@pytest.mark.parametrize("command", ["spawn s1", "restore s1 --agent=1"])
def test_what_a_person_made_in_an_agents_place_stays_a_persons(
    hub: Hub, where: Path, command: str
) -> None:
    if command.startswith("spawn"):
        where = place(hub, 3)
        file = hub.directory() / "config.yaml"
        file.write_text(file.read_text().replace("agent_count: 2", "agent_count: 3"))
    else:
        assert hub.run("cleanup", "-q", "s1") == Result(0)
    hub.git("worktree", "add", "-q", "--detach", where)
    before = snapshot(where)
    result = hub.run(*command.split())
    assert f"'{where}' exists already, with a detached HEAD" in result.out + result.err
    assert hint(result) == "choose another --path"
    assert hub.run("cleanup", "--force", "s1").code == 0
    assert snapshot(where) == before


def test_a_branch_that_is_no_agents(hub: Hub, where: Path) -> None:
    """Below the session's: it is nobody's once it was left, and no agent gets what is there."""
    mine = hub.top.parent / "mine"
    hub.git("worktree", "add", "-q", "-b", "hub/s1/mine", mine)
    detach(hub, mine)
    before = snapshot(hub.top / ".git" / "worktrees" / "mine")
    assert hub.run("doctor") == Result(0, "1 session, 2 worktrees: no problems found\n")
    assert "mine" not in hub.run("cleanup", "--force", "s1").out
    assert snapshot(hub.top / ".git" / "worktrees" / "mine") == before


@pytest.mark.parametrize("command", ["archive s1", "cleanup --archive s1", "merge --yes s1"])
def test_its_branch_stays_where_it_has_to_come_back_to(hub: Hub, where: Path, command: str) -> None:
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    detach(hub, where)
    planned = hub.run(*command.split(), "-n")
    told = "hint: git hub-session doctor s1, or: git hub-session cleanup --force s1"
    assert command[0] == "m" or told in planned.out
    result = hub.run(*command.split())
    assert told in result.out + result.err
    [line] = repair_commands(hub)
    line = line.removesuffix(" && git hub-session cleanup s1")
    assert hub.call("sh", "-c", line) == Result(0)
    assert hub.git("rev-parse", FIRST) == hub.git("rev-parse", "HEAD", cwd=where)
    assert hub.run("cleanup", "-q", "--archive", "s1") == Result(0)
    assert f"refs/heads/{FIRST}" not in hub.refs("refs/heads/hub")
    assert hub.git("rev-parse", "hub/archive/s1/agent-1")


def test_an_operation_that_comes_back_to_where_it_began_comes_first(hub: Hub, where: Path) -> None:
    """On its branch meanwhile `git rebase --abort` would move that."""
    tip = hub.git("rev-parse", FIRST)
    detach(hub, where, "main")
    hub.commit(where, "file", "other\n")
    assert hub.call("git", "rebase", "-q", FIRST, cwd=where).code == 1
    assert hint(hub.run("restore", "s1", "--agent=1")) == f"git -C {where} rebase --abort"
    assert hub.git("-C", where, "rebase", "--abort") == ""
    follows(hub, "restore", "s1", "--agent=1")
    assert hub.git("rev-parse", FIRST) == tip
    assert head_of(hub, where) == f"refs/heads/{SECOND}"


def test_a_bisect_that_began_off_any_branch(hub: Hub, where: Path) -> None:
    for name in ("a", "b", "c"):
        hub.commit(where, name, f"{name}\n")
    detach(hub, where)
    hub.git("bisect", "start", "HEAD", "HEAD~3", cwd=where)
    [finding] = hub.json("doctor", code=1)["findings"]
    assert finding["advice"] == f"git -C {where} bisect reset"
    assert hint(hub.run("exec", "s1", "--", "true")) == f"git -C {where} bisect reset"
    assert hub.call("sh", "-c", finding["advice"]).code == 0
    follows(hub, "exec", "s1", "--", "true")


def test_a_persons_head_that_was_cut_off_is_on_the_branch_that_it_was_on(
    hub: Hub, where: Path
) -> None:
    mine = review(hub, where)
    hub.git("checkout", "-q", "-b", "mine", cwd=mine)
    hub.commit(mine, "mine", "a person's\n")
    (entry(hub, mine) / "HEAD").write_text("")
    assert hub.run("doctor").code == 0
    assert hub.run("cleanup", "-q", "--force", "s1") == Result(0)


def test_only_the_end_of_a_long_reflog_counts(hub: Hub, where: Path) -> None:
    log = entry(hub, where) / "logs" / "HEAD"
    line = log.read_text().splitlines()[-1]
    with log.open("a") as file:
        for _ in range((17 << 20) // len(line)):
            file.write(f"{line}\n")
    detach(hub, where)
    assert hint(hub.run("restore", "s1", "--agent=1")).endswith(
        f"symbolic-ref HEAD refs/heads/{FIRST}"
    )


def test_status_in_the_middle_of_git_am(hub: Hub, where: Path) -> None:
    patch = hub.git("format-patch", "--stdout", "-1", "hub/s1/agent-2/attempt-1")
    assert hub.call("git", "am", "-q", cwd=where, stdin=patch).code == 128
    shown = hub.run("status", "s1")
    assert shown.code == 0
    assert "agent-1 (applying patches)" in shown.out


def test_an_agent_that_looks_at_anothers_work_is_its_own(hub: Hub, where: Path) -> None:
    """Where two sessions have their worktrees in one place: the one that it was made for has it."""
    hub.git("config", "hubsession.worktreePath", "../shared-{n}")
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert hub.run("init", "-q", "--id", "s2", "--task", "t", "--agents", "1").code == 0
    assert hub.run("spawn", "-q", "s2") == Result(0)
    shared = hub.top.parent / "shared-1"
    hub.git("checkout", "-q", FIRST, cwd=shared)
    detach(hub, shared)
    assert hub.run("cleanup", "--force", "s1") == Result(
        0, "Cleaned up 0 worktrees for session s1\n"
    )
    assert hub.run("path", "s2", "1") == Result(0, f"{shared}\n")
    [finding] = hub.json("doctor", code=1)["findings"]
    assert (finding["session"], finding["code"]) == ("s2", "worktree-off-branch")


def test_a_worktree_of_a_person_where_the_agents_was(hub: Hub, where: Path) -> None:
    """Made for a branch of his own, whatever he has looked at since."""
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    hub.git("worktree", "add", "-q", "-b", "mine", where)
    hub.git("checkout", "-q", FIRST, cwd=where)
    detach(hub, where, "main")
    before = snapshot(where)
    assert hub.run("doctor").code == 0
    assert hub.run("cleanup", "--force", "s1") == Result(
        0, "Cleaned up 0 worktrees for session s1\n"
    )
    assert snapshot(where) == before
