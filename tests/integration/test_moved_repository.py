"""A repository was moved or copied together with its worktrees. No worktree is lost."""

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


def worktree_path(hub: Hub, agent: int) -> Path:
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


@pytest.fixture
def two_agents(hub: Hub) -> Hub:
    """Create two agents, each with one commit, one staged file and one untracked file."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2").code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)
    for agent in (1, 2):
        hub.commit(worktree_path(hub, agent), "file", f"{agent}\n")
        (worktree_path(hub, agent) / "staged").write_text("staged\n")
        hub.git("add", "staged", cwd=worktree_path(hub, agent))
        (worktree_path(hub, agent) / "new").write_text(f"of agent-{agent}\n")
    return hub


def relocate(hub: Hub, *, command: str = "mv") -> Hub:
    """Move or copy the repository and its worktrees. Return the new repository."""
    destination = hub.top.parent / "moved"
    destination.mkdir()
    for name in ("project", "project.hub"):
        assert (
            hub.call(*command.split(), hub.top.parent / name, destination, cwd=destination).code
            == 0
        )
    return Hub(destination / "project", hub.environ)


def git_dir(hub: Hub, agent: int) -> Path:
    return hub.top / ".git" / "worktrees" / f"agent-{agent}"


def assert_intact(hub: Hub) -> None:
    """Check that both worktrees belong to the repository and have their uncommitted changes."""
    for agent in (1, 2):
        worktree = worktree_path(hub, agent)
        assert hub.git("rev-parse", "--absolute-git-dir", cwd=worktree) == str(git_dir(hub, agent))
        assert hub.git("status", "--short", cwd=worktree) == "A  staged\n?? new"
    assert hub.run("doctor") == Result(0, "1 session, 2 worktrees: no problems found\n")


def test_cleanup_keeps_moved_worktrees_and_the_doctor_repairs_them(two_agents: Hub) -> None:
    old_paths = [str(worktree_path(two_agents, agent)) for agent in (1, 2)]
    hub = relocate(two_agents)
    before = snapshot(hub.top), snapshot(worktree_path(hub, 1).parent)
    expected_lines = "".join(
        f"agent-{agent}: kept {os.path.relpath(old_path, hub.top)}\n"
        f"  the directory was moved to '{worktree_path(hub, agent)}'\n"
        "  hint: git hub-session doctor --fix s1\n"
        for agent, old_path in enumerate(old_paths, start=1)
    )
    expected = Result(1, f"{expected_lines}Cleaned up 0 worktrees for session s1\n")
    assert hub.run("cleanup", "--force", "s1") == expected
    assert (snapshot(hub.top), snapshot(worktree_path(hub, 1).parent)) == before
    assert list_findings(hub, "--fix", code=0) == [
        ("worktree-moved", old_path, True) for old_path in old_paths
    ]
    assert_intact(hub)
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert hub.git("show", "refs/hub/rescue/s1/agent-2/attempt-1/1^3:new") == "of agent-2"


def test_hints_lead_to_the_doctor(two_agents: Hub) -> None:
    hub = relocate(two_agents)
    arguments, hints = ["exec", "s1", "--", "true"], []
    while (result := hub.run(*arguments)).code:
        hint = re.findall("hint: git hub-session (.*)", result.out + result.err)[0]
        hints.append(hint)
        assert len(hints) < 5, hints
        arguments = hint.split()
    assert hints == ["restore s1", "cleanup s1", "doctor --fix s1"]
    assert_intact(hub)


def test_doctor_prints_commands_if_git_would_repair_other_worktrees(two_agents: Hub) -> None:
    """git would also repair the user's worktree, so --fix only prints commands."""
    hub = relocate(two_agents)
    user_worktree = hub.top.parent / "mine"
    hub.git("worktree", "add", "-q", "--detach", user_worktree)
    (user_worktree / ".git").unlink()
    before = snapshot(user_worktree)
    hints = re.findall("hint: (.*)", hub.run("cleanup", "s1").out)
    assert hints == ["git hub-session doctor s1"] * 2
    commands = repair_commands(hub)
    assert commands == [
        f"printf 'gitdir: %s\\n' {git_dir(hub, agent)} >{worktree_path(hub, agent)}/.git"
        f" && printf '%s\\n' {worktree_path(hub, agent)}/.git >{git_dir(hub, agent)}/gitdir"
        for agent in (1, 2)
    ]
    findings = hub.json("doctor", "--fix", code=1)["findings"]
    assert [(finding["fix"], finding["advice"]) for finding in findings] == [
        ("", command) for command in commands
    ]
    for command in commands:
        assert hub.call("sh", "-c", command) == Result(0)
    assert_intact(hub)
    assert snapshot(user_worktree) == before


def test_git_that_cannot_repair_moved_worktrees(two_agents: Hub) -> None:
    """Before git 2.31, `git worktree repair` uses the old path of the repository in the .git files."""
    hub = relocate(two_agents)
    programs, git = hub.top.parent / "bin", shutil.which("git", path=hub.environ["PATH"])
    programs.mkdir()
    failing_case = "*'worktree repair'*) echo 'error: unable to locate repository' >&2; exit 1"
    (programs / "git").write_text(
        f'#!/bin/sh\ncase "$*" in {failing_case} ;; esac\nexec {git} "$@"\n'
    )
    (programs / "git").chmod(0o755)
    path = {"PATH": f"{programs}{os.pathsep}{hub.environ['PATH']}"}
    result = hub.call("git-hub-session", "doctor", "--fix", environ=path)
    assert result.code == 1
    assert result.out.count("  not done: error: unable to locate repository\n") == 2
    commands = re.findall("manual fix: (.*)", result.out)
    assert len(commands) == 2
    for command in commands:
        assert hub.call("sh", "-c", command) == Result(0)
    assert_intact(hub)


def test_copy_does_not_change_the_original(two_agents: Hub) -> None:
    """The .git files and git dirs of the copy still have the paths of the original."""
    before = snapshot(two_agents.top), snapshot(worktree_path(two_agents, 1).parent)
    hub = relocate(two_agents, command="cp -a")
    assert hub.run("cleanup", "--force", "s1").out.endswith(
        "Cleaned up 0 worktrees for session s1\n"
    )
    for finding in hub.json("doctor", "--fix", code=1)["findings"]:
        assert (finding["fix"], hub.call("sh", "-c", finding["advice"])) == ("", Result(0))
    assert_intact(hub)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert (snapshot(two_agents.top), snapshot(worktree_path(two_agents, 1).parent)) == before
    assert_intact(two_agents)


def test_directory_of_another_repository_is_not_the_moved_worktree(two_agents: Hub) -> None:
    """The .git file of the directory at the agent's path names a git dir of another repository."""
    hub = relocate(two_agents)
    shutil.rmtree(worktree_path(hub, 1).parent)
    for agent in (1, 2):
        worktree_path(hub, agent).mkdir(parents=True)
        (worktree_path(hub, agent) / ".git").write_text(
            f"gitdir: /elsewhere/{git_dir(hub, agent)}\n"
        )
    before = snapshot(worktree_path(hub, 1).parent)
    findings = hub.json("doctor", "--fix", code=1)["findings"]
    assert [(finding["code"], finding["fix"]) for finding in findings] == [
        ("worktree-missing", "")
    ] * 2
    assert snapshot(worktree_path(hub, 1).parent) == before


def test_parent_directory_of_the_worktrees_is_missing(two_agents: Hub) -> None:
    """The worktrees are kept, because their disk may not be mounted. --force removes them."""
    tip = two_agents.git("rev-parse", FIRST)
    parent = worktree_path(two_agents, 1).parent.parent
    moved = parent.rename(two_agents.top.parent / "unplugged")
    expected_lines = "".join(
        f"agent-{agent}: kept ../project.hub/s1/agent-{agent}\n"
        "  the directory and its parent directory are missing\n"
        "  hint: restore the directory\n"
        "  hint: git hub-session cleanup --force s1\n"
        for agent in (1, 2)
    )
    expected = Result(1, f"{expected_lines}Cleaned up 0 worktrees for session s1\n")
    assert two_agents.run("cleanup", "s1") == expected
    moved.rename(parent)
    assert_intact(two_agents)
    shutil.rmtree(parent)
    assert two_agents.run("cleanup", "-q", "--force", "s1") == Result(0)
    assert two_agents.git("worktree", "list").count("\n") == 0
    rescue = "refs/hub/rescue/s1/agent-1/attempt-1/1"
    assert two_agents.git("show", f"{rescue}:staged") == "staged"
    assert two_agents.git("rev-parse", FIRST) == tip


def test_repository_behind_a_symbolic_link(two_agents: Hub) -> None:
    hub = relocate(two_agents)
    link = two_agents.top.parent / "link"
    os.symlink(hub.top.parent, link)
    assert Hub(link / "project", hub.environ).run("doctor", "--fix", "-q").code == 0
    assert_intact(hub)


def test_worktree_that_was_created_with_a_path(hub: Hub) -> None:
    """The worktree is not at the default path, and its old parent directory still exists."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1").code == 0
    assert hub.run("spawn", "-q", "--path", "../mine-{n}", "s1") == Result(0)
    worktree = hub.top.parent / "mine-1"
    (worktree / "new").write_text("new\n")
    destination = hub.top.parent / "there"
    destination.mkdir()
    for path in (hub.top, worktree):
        path.rename(destination / path.name)
    moved_hub = Hub(destination / "project", hub.environ)
    assert "the directory was moved to" in moved_hub.run("cleanup", "--force", "s1").out
    assert list_findings(moved_hub, "--fix", code=0) == [("worktree-moved", str(worktree), True)]
    assert moved_hub.run("path", "s1", "1") == Result(0, f"{destination / 'mine-1'}\n")
    assert moved_hub.git("status", "--short", cwd=destination / "mine-1") == "?? new"


def test_worktrees_renamed_together_with_the_repository(two_agents: Hub) -> None:
    """All relative paths have changed. The .git files identify the worktrees."""
    hub = Hub(two_agents.top.parent / "renamed", two_agents.environ)
    two_agents.top.rename(hub.top)
    (two_agents.top.parent / "project.hub").rename(two_agents.top.parent / "renamed.hub")
    assert hub.run("cleanup", "--force", "s1").out.count("the directory was moved to") == 2
    assert [finding[2] for finding in list_findings(hub, "--fix", code=0)] == [True, True]
    worktree = two_agents.top.parent / "renamed.hub" / "s1" / "agent-2"
    assert hub.git("status", "--short", cwd=worktree) == "A  staged\n?? new"


def test_new_repository_at_the_old_path(two_agents: Hub) -> None:
    """The worktrees of the new repository are not treated as the moved worktrees."""
    hub = relocate(two_agents)
    two_agents.top.mkdir()
    two_agents.git("init", "-q")
    two_agents.commit(two_agents.top, "file", "another\n")
    assert two_agents.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2").code == 0
    assert two_agents.run("spawn", "-q", "s1") == Result(0)
    before = snapshot(two_agents.top), snapshot(worktree_path(two_agents, 1).parent)
    result = hub.run("path", "s1", "1")
    assert (result.code, result.out) == (128, "")
    assert result.err.startswith(
        f"fatal: '{worktree_path(two_agents, 1)}': its .git file names another git dir\nhint: printf "
    )
    assert hub.run("cleanup", "--force", "s1").out.endswith(
        "Cleaned up 0 worktrees for session s1\n"
    )
    for finding in hub.json("doctor", "--fix", code=1)["findings"]:
        assert (finding["fix"], hub.call("sh", "-c", finding["advice"])) == ("", Result(0))
    assert_intact(hub)
    assert (snapshot(two_agents.top), snapshot(worktree_path(two_agents, 1).parent)) == before


def test_locked_worktree_is_repaired_and_stays_locked(two_agents: Hub) -> None:
    two_agents.git("worktree", "lock", "--reason", "mine", worktree_path(two_agents, 1))
    hub = relocate(two_agents)
    assert [finding[2] for finding in list_findings(hub, "--fix", code=0)] == [True, True]
    assert_intact(hub)
    assert (git_dir(hub, 1) / "locked").read_text().strip() == "mine"


@pytest.fixture
def single_agent(hub: Hub) -> Hub:
    """Create one agent with a worktree beside the repository."""
    hub.git("config", "hubsession.worktreePath", "../{repo}-{n}")
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1").code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)
    return hub


def copy_to_backup(hub: Hub, name: str) -> Path:
    """Copy the repository and its worktree into a new directory. Return the directory."""
    backup = hub.top.parent / name
    backup.mkdir()
    for source in ("project", "project-1"):
        assert hub.call("cp", "-a", hub.top.parent / source, backup, cwd=backup).code == 0
    return backup


def test_backup_is_not_used_as_the_worktree(single_agent: Hub) -> None:
    """The worktree is deleted, and the repository moved beside its backup. The backup is kept."""
    backup = copy_to_backup(single_agent, "backup")
    shutil.rmtree(single_agent.top.parent / "project-1")
    hub = Hub(backup / "now", single_agent.environ)
    single_agent.top.rename(hub.top)
    before = snapshot(backup / "project"), snapshot(backup / "project-1")
    findings = hub.json("doctor", "--fix", code=0)["findings"]
    assert [(finding["code"], finding["fixed"]) for finding in findings] == [
        ("worktree-missing", True)
    ]
    assert hub.run("cleanup", "-q", "--force", "s1") == Result(0)
    assert (snapshot(backup / "project"), snapshot(backup / "project-1")) == before


def test_renamed_worktree_is_found_beside_a_backup(single_agent: Hub) -> None:
    """The worktree is identified although a backup with the same files is beside it."""
    backup = copy_to_backup(single_agent, "backup")
    (single_agent.top.parent / "project-1" / "new").write_text("new\n")
    hub = Hub(backup / "now" / "r", single_agent.environ)
    hub.top.parent.mkdir()
    single_agent.top.rename(hub.top)
    renamed = (single_agent.top.parent / "project-1").rename(hub.top.parent / "best")
    [finding] = hub.json("doctor", "--fix", code=0)["findings"]
    assert finding["evidence"] == f"it is in '{renamed}'"
    assert hub.git("status", "--short", cwd=renamed) == "?? new"


def test_copy_of_the_worktree_is_reported_and_not_used(single_agent: Hub) -> None:
    worktree = single_agent.top.parent / "project-1"
    assert single_agent.call("cp", "-a", worktree, f"{worktree}.bak").code == 0
    single_agent.commit(worktree, "file", "newer\n")
    shutil.rmtree(worktree)
    [finding] = single_agent.json("doctor", "--fix", code=1)["findings"]
    gitdir_file = single_agent.top / ".git" / "worktrees" / "project-1" / "gitdir"
    assert (finding["fix"], finding["advice"]) == (
        "",
        f"printf '%s\\n' {worktree}.bak/.git >{gitdir_file}",
    )
    cleanup = single_agent.run("cleanup", "--force", "s1")
    assert "  hint: git hub-session doctor s1\n" in cleanup.out


def test_repair_does_not_write_through_hard_links(single_agent: Hub) -> None:
    """In a copy of hard links, the repair replaces files and does not change the originals."""
    copy = single_agent.top.parent / "snap"
    copy.mkdir()
    for name in ("project", "project-1"):
        assert (
            single_agent.call("cp", "-al", single_agent.top.parent / name, copy, cwd=copy).code == 0
        )
    hub = Hub(copy / "project", single_agent.environ)
    before = (
        snapshot(single_agent.top / ".git" / "worktrees"),
        snapshot(single_agent.top.parent / "project-1"),
    )
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert finding["advice"].count("rm ") == 2
    assert hub.call("sh", "-c", finding["advice"]) == Result(0)
    assert hub.run("path", "s1", "1") == Result(0, f"{copy}/project-1\n")
    assert (
        snapshot(single_agent.top / ".git" / "worktrees"),
        snapshot(single_agent.top.parent / "project-1"),
    ) == before
    assert single_agent.run("doctor").code == 0


def test_copy_of_a_repository_whose_worktree_was_moved_later(single_agent: Hub) -> None:
    """The .git file of the copy names the original's git dir. The repair changes only the copy."""
    destination = copy_to_backup(single_agent, "there")
    single_agent.git(
        "worktree", "move", single_agent.top.parent / "project-1", single_agent.top.parent / "best"
    )
    hub = Hub(destination / "project", single_agent.environ)
    before = snapshot(single_agent.top), snapshot(single_agent.top.parent / "best")
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert (finding["code"], finding["fix"]) == ("worktree-moved", "")
    assert hub.call("sh", "-c", finding["advice"]) == Result(0)
    assert hub.run("path", "s1", "1") == Result(0, f"{destination}/project-1\n")
    assert (snapshot(single_agent.top), snapshot(single_agent.top.parent / "best")) == before


def test_moved_repository_with_a_copy_of_hard_links(single_agent: Hub) -> None:
    copy = single_agent.top.parent / "snap"
    assert single_agent.call("cp", "-al", single_agent.top.parent / "project-1", copy).code == 0
    destination = single_agent.top.parent / "there"
    destination.mkdir()
    for name in ("project", "project-1"):
        (single_agent.top.parent / name).rename(destination / name)
    before = snapshot(copy)
    hub = Hub(destination / "project", single_agent.environ)
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert finding["advice"].startswith(f"rm {destination}/project-1/.git && printf ")
    assert hub.call("sh", "-c", finding["advice"]) == Result(0)
    assert hub.run("path", "s1", "1") == Result(0, f"{destination}/project-1\n")
    assert snapshot(copy) == before
