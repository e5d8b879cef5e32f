"""A repository that was moved, or copied, together with its worktrees: none of them is given up."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.cleanup import repair_commands
from tests.support.doctor import list_findings
from tests.support.hub import Hub, Result, snapshot

FIRST = "hub/s1/agent-1/attempt-1"


def place(hub: Hub, agent: int) -> Path:
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


@pytest.fixture
def begun(hub: Hub) -> Hub:
    """Two agents; each has committed something, staged something, and has a file that is not committed."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2").code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)
    for agent in (1, 2):
        hub.commit(place(hub, agent), "file", f"{agent}\n")
        (place(hub, agent) / "staged").write_text("staged\n")
        hub.git("add", "staged", cwd=place(hub, agent))
        (place(hub, agent) / "new").write_text(f"of agent-{agent}\n")
    return hub


def moved(hub: Hub, *, by: str = "mv") -> Hub:
    """The repository and its worktrees, moved to another directory, or copied there."""
    there = hub.top.parent / "moved"
    there.mkdir()
    for name in ("project", "project.hub"):
        assert hub.call(*by.split(), hub.top.parent / name, there, cwd=there).code == 0
    return Hub(there / "project", hub.environ)


def entry(hub: Hub, agent: int) -> Path:
    return hub.top / ".git" / "worktrees" / f"agent-{agent}"


def is_whole(hub: Hub) -> None:
    for agent in (1, 2):
        where = place(hub, agent)
        assert hub.git("rev-parse", "--absolute-git-dir", cwd=where) == str(entry(hub, agent))
        assert hub.git("status", "--short", cwd=where) == "A  staged\n?? new"
    assert hub.run("doctor") == Result(0, "1 session, 2 worktrees: no problems found\n")


def test_cleanup_keeps_them_and_the_doctor_mends_them(begun: Hub) -> None:
    old = [str(place(begun, agent)) for agent in (1, 2)]
    hub = moved(begun)
    before = snapshot(hub.top), snapshot(place(hub, 1).parent)
    kept = "".join(
        f"Kept worktree: {was}\n  the directory was moved to '{place(hub, agent)}'\n"
        "  hint: git hub-session doctor --fix s1\n"
        for agent, was in enumerate(old, start=1)
    )
    told = Result(1, f"{kept}Cleaned up 0 worktrees for session s1\n")
    assert hub.run("cleanup", "--force", "s1") == told
    assert (snapshot(hub.top), snapshot(place(hub, 1).parent)) == before
    assert list_findings(hub, "--fix", code=0) == [("worktree-moved", was, True) for was in old]
    is_whole(hub)
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert hub.git("show", "refs/hub/rescue/s1/agent-2/attempt-1/1^3:new") == "of agent-2"


def test_what_each_command_says_leads_there(begun: Hub) -> None:
    hub = moved(begun)
    words, typed = ["exec", "s1", "--", "true"], []
    while (result := hub.run(*words)).code:
        hint = re.findall("hint: git hub-session (.*)", result.out + result.err)[0]
        typed.append(hint)
        assert len(typed) < 5, typed
        words = hint.split()
    assert typed == ["restore s1", "cleanup s1", "doctor --fix s1"]
    is_whole(hub)


def test_beside_a_link_that_is_wrong_they_are_told_one_by_one(begun: Hub) -> None:
    """git would mend that, too, as its entry says."""
    hub = moved(begun)
    mine = hub.top.parent / "mine"
    hub.git("worktree", "add", "-q", "--detach", mine)
    (mine / ".git").unlink()
    before = snapshot(mine)
    hints = re.findall("hint: (.*)", hub.run("cleanup", "s1").out)
    assert hints == ["git hub-session doctor s1"] * 2
    lines = repair_commands(hub)
    assert lines == [
        f"printf 'gitdir: %s\\n' {entry(hub, agent)} >{place(hub, agent)}/.git"
        f" && printf '%s\\n' {place(hub, agent)}/.git >{entry(hub, agent)}/gitdir"
        for agent in (1, 2)
    ]
    findings = hub.json("doctor", "--fix", code=1)["findings"]
    assert [(one["fix"], one["advice"]) for one in findings] == [("", line) for line in lines]
    for line in lines:
        assert hub.call("sh", "-c", line) == Result(0)
    is_whole(hub)
    assert snapshot(mine) == before


def test_a_git_that_cannot_find_them_again(begun: Hub) -> None:
    """One before 2.31 reads in their .git files that the repository is where it was."""
    hub = moved(begun)
    programs, real = hub.top.parent / "bin", shutil.which("git", path=hub.environ["PATH"])
    programs.mkdir()
    cannot = "*'worktree repair'*) echo 'error: unable to locate repository' >&2; exit 1"
    (programs / "git").write_text(f'#!/bin/sh\ncase "$*" in {cannot} ;; esac\nexec {real} "$@"\n')
    (programs / "git").chmod(0o755)
    path = {"PATH": f"{programs}{os.pathsep}{hub.environ['PATH']}"}
    result = hub.call("git-hub-session", "doctor", "--fix", environ=path)
    assert result.code == 1
    assert result.out.count("  not done: error: unable to locate repository\n") == 2
    lines = re.findall("manual fix: (.*)", result.out)
    assert len(lines) == 2
    for line in lines:
        assert hub.call("sh", "-c", line) == Result(0)
    is_whole(hub)


def test_a_copy_takes_nothing_from_the_first(begun: Hub) -> None:
    """Each agent's directory in the copy still says that it is the first one's, and so does its entry."""
    before = snapshot(begun.top), snapshot(place(begun, 1).parent)
    hub = moved(begun, by="cp -a")
    assert hub.run("cleanup", "--force", "s1").out.endswith(
        "Cleaned up 0 worktrees for session s1\n"
    )
    for one in hub.json("doctor", "--fix", code=1)["findings"]:
        assert (one["fix"], hub.call("sh", "-c", one["advice"])) == ("", Result(0))
    is_whole(hub)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert (snapshot(begun.top), snapshot(place(begun, 1).parent)) == before
    is_whole(begun)


def test_what_lies_at_another_distance_is_another_projects(begun: Hub) -> None:
    """A directory in an agent's place whose repository is gone: of the same names, and not of this one."""
    hub = moved(begun)
    shutil.rmtree(place(hub, 1).parent)
    for agent in (1, 2):
        place(hub, agent).mkdir(parents=True)
        (place(hub, agent) / ".git").write_text(f"gitdir: /elsewhere/{entry(hub, agent)}\n")
    before = snapshot(place(hub, 1).parent)
    findings = hub.json("doctor", "--fix", code=1)["findings"]
    assert [(one["code"], one["fix"]) for one in findings] == [("worktree-missing", "")] * 2
    assert snapshot(place(hub, 1).parent) == before


def test_more_than_the_worktree_is_gone(begun: Hub) -> None:
    """A disk that is not mounted, or somebody who has tidied up: nobody knows, and --force says."""
    tip = begun.git("rev-parse", FIRST)
    shelf = place(begun, 1).parent.parent
    away = shelf.rename(begun.top.parent / "unplugged")
    kept = "".join(
        f"Kept worktree: {place(begun, agent)}\n"
        "  the directory and its parent directory are missing\n"
        "  hint: restore the directory, or: git hub-session cleanup --force s1\n"
        for agent in (1, 2)
    )
    told = Result(1, f"{kept}Cleaned up 0 worktrees for session s1\n")
    assert begun.run("cleanup", "s1") == told
    away.rename(shelf)
    is_whole(begun)
    shutil.rmtree(shelf)
    assert begun.run("cleanup", "-q", "--force", "s1") == Result(0)
    assert begun.git("worktree", "list").count("\n") == 0
    rescue = "refs/hub/rescue/s1/agent-1/attempt-1/1"
    assert begun.git("show", f"{rescue}:staged") == "staged"
    assert begun.git("rev-parse", FIRST) == tip


def test_a_repository_that_is_reached_by_a_link(begun: Hub) -> None:
    hub = moved(begun)
    link = begun.top.parent / "link"
    os.symlink(hub.top.parent, link)
    assert Hub(link / "project", hub.environ).run("doctor", "--fix", "-q").code == 0
    is_whole(hub)


def test_with_worktrees_in_places_of_their_own(hub: Hub) -> None:
    """Where spawn would not make them today; and their old parent is there still."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1").code == 0
    assert hub.run("spawn", "-q", "--path", "../mine-{n}", "s1") == Result(0)
    where = hub.top.parent / "mine-1"
    (where / "new").write_text("new\n")
    there = hub.top.parent / "there"
    there.mkdir()
    for path in (hub.top, where):
        path.rename(there / path.name)
    now = Hub(there / "project", hub.environ)
    assert "the directory was moved to" in now.run("cleanup", "--force", "s1").out
    assert list_findings(now, "--fix", code=0) == [("worktree-moved", str(where), True)]
    assert now.run("path", "s1", "1") == Result(0, f"{there / 'mine-1'}\n")
    assert now.git("status", "--short", cwd=there / "mine-1") == "?? new"


def test_renamed_together_with_the_repository(begun: Hub) -> None:
    """Nothing is as far from anything as it was: the files tell."""
    hub = Hub(begun.top.parent / "renamed", begun.environ)
    begun.top.rename(hub.top)
    (begun.top.parent / "project.hub").rename(begun.top.parent / "renamed.hub")
    assert hub.run("cleanup", "--force", "s1").out.count("the directory was moved to") == 2
    assert [one[2] for one in list_findings(hub, "--fix", code=0)] == [True, True]
    where = begun.top.parent / "renamed.hub" / "s1" / "agent-2"
    assert hub.git("status", "--short", cwd=where) == "A  staged\n?? new"


def test_where_it_was_there_is_another_of_the_same_name(begun: Hub) -> None:
    """With agents of its own: nothing there is touched, and none of its worktrees is said to be ours."""
    hub = moved(begun)
    begun.top.mkdir()
    begun.git("init", "-q")
    begun.commit(begun.top, "file", "another\n")
    assert begun.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2").code == 0
    assert begun.run("spawn", "-q", "s1") == Result(0)
    before = snapshot(begun.top), snapshot(place(begun, 1).parent)
    told = hub.run("path", "s1", "1")
    assert (told.code, told.out) == (128, "")
    assert told.err.startswith(
        f"fatal: '{place(begun, 1)}': its .git file names another git dir\nhint: printf "
    )
    assert hub.run("cleanup", "--force", "s1").out.endswith(
        "Cleaned up 0 worktrees for session s1\n"
    )
    for one in hub.json("doctor", "--fix", code=1)["findings"]:
        assert (one["fix"], hub.call("sh", "-c", one["advice"])) == ("", Result(0))
    is_whole(hub)
    assert (snapshot(begun.top), snapshot(place(begun, 1).parent)) == before


def test_a_locked_one_is_named_too(begun: Hub) -> None:
    begun.git("worktree", "lock", "--reason", "mine", place(begun, 1))
    hub = moved(begun)
    assert [one[2] for one in list_findings(hub, "--fix", code=0)] == [True, True]
    is_whole(hub)
    assert (entry(hub, 1) / "locked").read_text().strip() == "mine"


@pytest.fixture
def alone(hub: Hub) -> Hub:
    """One agent, in a worktree beside the repository, with a file that git ignores."""
    hub.git("config", "hubsession.worktreePath", "../{repo}-{n}")
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1").code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)
    return hub


def copied(hub: Hub, name: str) -> Path:
    """A backup of the repository and of its worktree."""
    backup = hub.top.parent / name
    backup.mkdir()
    for one in ("project", "project-1"):
        assert hub.call("cp", "-a", hub.top.parent / one, backup, cwd=backup).code == 0
    return backup


def test_a_backup_is_not_taken_for_it(alone: Hub) -> None:
    """Deleted on purpose, and filed beside the backup: to that nothing is done."""
    backup = copied(alone, "backup")
    shutil.rmtree(alone.top.parent / "project-1")
    hub = Hub(backup / "now", alone.environ)
    alone.top.rename(hub.top)
    before = snapshot(backup / "project"), snapshot(backup / "project-1")
    findings = hub.json("doctor", "--fix", code=0)["findings"]
    assert [(one["code"], one["fixed"]) for one in findings] == [("worktree-missing", True)]
    assert hub.run("cleanup", "-q", "--force", "s1") == Result(0)
    assert (snapshot(backup / "project"), snapshot(backup / "project-1")) == before


def test_the_very_one_is_found_under_any_name(alone: Hub) -> None:
    """And a backup, whose files are like it, is not."""
    backup = copied(alone, "backup")
    (alone.top.parent / "project-1" / "new").write_text("new\n")
    hub = Hub(backup / "now" / "r", alone.environ)
    hub.top.parent.mkdir()
    alone.top.rename(hub.top)
    best = (alone.top.parent / "project-1").rename(hub.top.parent / "best")
    [finding] = hub.json("doctor", "--fix", code=0)["findings"]
    assert finding["evidence"] == f"it is in '{best}'"
    assert hub.git("status", "--short", cwd=best) == "?? new"


def test_a_copy_of_the_worktree_alone_is_told_and_not_taken(alone: Hub) -> None:
    where = alone.top.parent / "project-1"
    assert alone.call("cp", "-a", where, f"{where}.bak").code == 0
    alone.commit(where, "file", "newer\n")
    shutil.rmtree(where)
    [finding] = alone.json("doctor", "--fix", code=1)["findings"]
    own = alone.top / ".git" / "worktrees" / "project-1" / "gitdir"
    assert (finding["fix"], finding["advice"]) == (
        "",
        f"printf '%s\\n' {where}.bak/.git >{own}",
    )
    kept = alone.run("cleanup", "--force", "s1")
    assert "  hint: git hub-session doctor s1\n" in kept.out


def test_through_no_second_name_of_a_file(alone: Hub) -> None:
    """A snapshot of hard links: what is written goes into it alone."""
    snap = alone.top.parent / "snap"
    snap.mkdir()
    for one in ("project", "project-1"):
        assert alone.call("cp", "-al", alone.top.parent / one, snap, cwd=snap).code == 0
    hub = Hub(snap / "project", alone.environ)
    before = snapshot(alone.top / ".git" / "worktrees"), snapshot(alone.top.parent / "project-1")
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert finding["advice"].count("rm ") == 2
    assert hub.call("sh", "-c", finding["advice"]) == Result(0)
    assert hub.run("path", "s1", "1") == Result(0, f"{snap}/project-1\n")
    assert (
        snapshot(alone.top / ".git" / "worktrees"),
        snapshot(alone.top.parent / "project-1"),
    ) == before
    assert alone.run("doctor").code == 0


def test_a_copy_of_one_whose_worktree_went_on(alone: Hub) -> None:
    """Nothing is damaged, and yet the copy's directory names the first one's entry: git would write into that."""
    there = copied(alone, "there")
    alone.git("worktree", "move", alone.top.parent / "project-1", alone.top.parent / "best")
    hub = Hub(there / "project", alone.environ)
    before = snapshot(alone.top), snapshot(alone.top.parent / "best")
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert (finding["code"], finding["fix"]) == ("worktree-moved", "")
    assert hub.call("sh", "-c", finding["advice"]) == Result(0)
    assert hub.run("path", "s1", "1") == Result(0, f"{there}/project-1\n")
    assert (snapshot(alone.top), snapshot(alone.top.parent / "best")) == before


def test_what_was_moved_beside_a_snapshot_of_hard_links(alone: Hub) -> None:
    snap = alone.top.parent / "snap"
    assert alone.call("cp", "-al", alone.top.parent / "project-1", snap).code == 0
    there = alone.top.parent / "there"
    there.mkdir()
    for one in ("project", "project-1"):
        (alone.top.parent / one).rename(there / one)
    before = snapshot(snap)
    hub = Hub(there / "project", alone.environ)
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert finding["advice"].startswith(f"rm {there}/project-1/.git && printf ")
    assert hub.call("sh", "-c", finding["advice"]) == Result(0)
    assert hub.run("path", "s1", "1") == Result(0, f"{there}/project-1\n")
    assert snapshot(snap) == before
