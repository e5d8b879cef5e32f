"""Hints about the repository, its settings and the hub: the command then succeeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hints import (
    Case,
    cases,
    check_case,
    find_hint,
    follow_hint,
    hints,
    type_hint,
    types,
)
from tests.support.hub import Hub, Result

DONE = "status s1"
INIT = "git hub-session init -q --id s1 --task t --agents 2"
S1 = f"{INIT}\ngit hub-session spawn -q s1"
BYTES = "printf '[hubsession]\\n\\tworktreePath = \\377\\n' >>.git/config"


@cases(
    Case("{} --replace-all core.bare false", "list", "{0}", f"{S1}\ngit config core.bare true"),
    Case("{} --unset-all core.worktree", "list", "{0}", f"{S1}\ngit config core.worktree /x"),
    Case("git -C / config --file {} --replace-all core.bare false", "list", "{0}",
         f"{S1}\ngit config core.bare true"),
    Case("git config --show-origin --get-all {}", "spawn s1",
         "{0} && git config --unset hubsession.worktreePath", f"{INIT}\n{BYTES}"),
    Case("use it: mv {} {}", "list", "mv {1} {2}",
         f"{INIT}\nmkdir deep\nmv .agenthub deep/.agenthub", DONE),
    Case("use it: mv {} {}", "init --task t", "mv {1} {2}",
         f"{INIT}\nmkdir deep\nmv .agenthub deep/.agenthub", DONE),
    Case("or create another hub: mkdir -p {}/sessions", "init --task t", "mkdir -p {1}/sessions",
         f"{INIT}\nmkdir deep\nmv .agenthub deep/.agenthub"),
    Case("cp -r {} {}.copy; {}", "doctor", "cp -r {1} {2}.copy; {3} && git commit -qm untrack",
         f"{INIT}\ngit add -f .agenthub\ngit commit -qm hub", DONE),
    Case("git -C {} rm -r -q --cached {}", "doctor", "{0}",
         f"{S1}\ncd ../project.hub/s1/agent-1 && mkdir .agenthub && touch .agenthub/x &&"
         " git add -f .agenthub", DONE),
    Case("git config core.hooksPath {}", "hooks install", "{0}", "git config core.hooksPath x"),
    Case("mv {} {}.old", "hooks install", "{0}",
         "git hub-session hooks install\necho >.git/hooks/pre-commit\n"
         "touch .git/hooks/pre-commit.before-hub-session"),
    Case("remove it: git would wait for it forever", "status s1", "rm .git/info/exclude",
         f"{S1}\nmkdir -p .git/info; rm -f .git/info/exclude; mkfifo .git/info/exclude"),
)  # fmt: skip
def test_command_succeeds(hub: Hub, case: Case) -> None:
    check_case(hub, case)


@types("'{}' names it; run 'git worktree repair' in the main worktree")
def test_worktree_that_names_no_git_dir(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / ".git").write_text(f"gitdir: {hub.top}/.git/worktrees/x\n")
    template = "'{}' names it; run 'git worktree repair' in the main worktree"
    hint = find_hint(hub.run("list", cwd=worktree), template)
    hub.git("worktree", "repair")
    assert hub.run("list", cwd=worktree).code == 0
    follow_hint(hint)


@types("git hub-session doctor {}")
def test_worktree_without_git_file(hub: Hub) -> None:
    """The hint is the command that prints the repair."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / ".git").unlink()
    hint = find_hint(hub.run("cleanup", "s1"), "git hub-session doctor {}")
    [repair] = hints(type_hint(hub, hint, code=1))
    type_hint(hub, repair)
    assert hub.run("cleanup", "s1").code == 0


@types("use it: export GIT_HUB_SESSION_DIR={}")
def test_two_hubs(hub: Hub) -> None:
    """One of them is in a subdirectory, and the other one has no session."""
    hub.session("s1")
    (hub.top / "deep").mkdir()
    (hub.top / ".agenthub").rename(hub.top / "deep" / ".agenthub")
    (hub.top / ".agenthub").mkdir()
    hint = find_hint(hub.run("list"), "use it: export GIT_HUB_SESSION_DIR={}")
    command = hint.removeprefix("use it: ")
    assert "s1" in type_hint(hub, f"{command}; git hub-session list").out
    follow_hint(hint)


@types("git hub-session hooks install")
def test_outdated_hook(hub: Hub) -> None:
    assert hub.run("hooks", "-q", "install") == Result(0)
    paths = [Path(row["path"]) for row in hub.json("hooks", "status")["hooks"]]
    paths[0].chmod(0o644)
    template = "git hub-session hooks install"
    type_hint(hub, find_hint(hub.run("hooks", "status"), template))
    assert hub.run("hooks", "status").err == ""


@types("run the command in the main worktree, or set GIT_HUB_SESSION_DIR to its .agenthub")
def test_separate_git_dir(hub: Hub) -> None:
    """git records no main worktree there. Each half of the hint helps."""
    main, linked = hub.top.parent / "separate", hub.top.parent / "linked"
    hub.git("clone", "-q", f"--separate-git-dir={hub.top.parent / 'store'}", hub.top, main)
    hub.git("worktree", "add", "-q", "-b", "linked", linked, cwd=main)
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", cwd=main).code == 0
    [hint] = hints(hub.run("list", cwd=linked))
    rows = hub.run("list", cwd=main)
    assert rows.code == 0
    assert hub.run("list", cwd=linked, environ={"GIT_HUB_SESSION_DIR": f"{main}/.agenthub"}) == rows
    follow_hint(hint)


@types("set GIT_DISCOVERY_ACROSS_FILESYSTEM=1 to search above the mount point")
def test_mount_point_in_a_repository(hub: Hub) -> None:
    hub.session("s1")
    mount_point = hub.top / "disk"
    mount_point.mkdir()
    mount = hub.call("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount_point)
    if mount.code:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        [hint] = hints(hub.run("list", cwd=mount_point))
        variable, value = hint.split()[1].split("=")
        result = hub.run("list", cwd=mount_point, environ={variable: value})
    finally:
        hub.call("umount", "-l", mount_point)
    assert result == hub.run("list")
    follow_hint(hint)
