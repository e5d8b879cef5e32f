"""Hints of `cleanup`: afterwards the worktree is removed, and its work is saved."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

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
from tests.support.hub import Hub, process_in

W = "../project.hub/s1/agent-1"


def spawn_agent(hub: Hub) -> Path:
    """Create session s1 with an agent that has a commit. Return its worktree."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    worktree = (hub.top / W).resolve()
    hub.commit(worktree, "file", "second\n")
    return worktree


def merge_agent(hub: Hub) -> None:
    """Merge the agent, and keep its worktree."""
    spawn_agent(hub)
    assert hub.run("eval", "--ranking", "1", "s1").code == 0
    assert hub.run("merge", "--no-cleanup", "--yes", "s1").code == 0


def in_worktree(*commands: str) -> Callable[[Hub], None]:
    """Return the situation after some commands in the worktree of the agent of session s1."""

    def build(hub: Hub) -> None:
        worktree = spawn_agent(hub)
        for command in commands:
            # Some commands end with a conflict.
            hub.call("sh", "-c", command, cwd=worktree)

    return build


OTHER = "git switch -qc other main && git commit -q --allow-empty -m other && git switch -q -"
CONFLICT = "echo a >file; git stash -q; echo b >file; git commit -qam b; git stash apply"
SUBMODULE = (
    "git init -q ../library && git -C ../library commit -q --allow-empty -m code &&"
    " git submodule --quiet add $PWD/../library library && git commit -qm library"
)
INSIDE = (
    "rm library/.git && mv ../../../project/.git/worktrees/agent-1/modules/library library/.git &&"
    " rmdir ../../../project/.git/worktrees/agent-1/modules &&"
    " git config -f library/.git/config --unset core.worktree"
)
PATCH = "git format-patch -q -1 --stdout >../patch && git reset -q --hard main && echo x >file"
AM = f"{PATCH} && git commit -qam x && git am ../patch"
FORCE = "cleanup --force s1"


@cases(
    Case("git worktree unlock {}", "cleanup s1", "{0}", in_worktree("git worktree lock .")),
    Case(
        "restore the directory",
        "cleanup s1",
        "mv ../moved ../project.hub/s1",
        in_worktree("mv ../../s1 ../../../moved"),
    ),
    Case("git -C {} worktree move {}", "cleanup s1", "{0}", in_worktree("git worktree add -q in -b x")),
    Case(
        "wait for the git command, or delete {}",
        "cleanup s1",
        "rm {1}",
        in_worktree("touch $(git rev-parse --git-dir)/index.lock"),
    ),
    Case("git -C {} {}", "cleanup s1", "{0}", in_worktree(AM)),
    Case("git -C {} {}", "cleanup s1", "{0}", in_worktree(OTHER, "git merge -q --no-commit --no-ff other")),
    Case("git hub-session cleanup --force {}", "cleanup s1", "{0}", in_worktree(OTHER, "git bisect start HEAD main")),
    Case("git hub-session cleanup --force {}", "cleanup s1", "{0}", in_worktree("git checkout -q --detach")),
    Case(
        "git -C {} status",
        "cleanup s1",
        "{0} && git -C {1} checkout -q --ours file && git -C {1} add file",
        in_worktree(CONFLICT),
    ),
    Case(
        "restore its directory",
        "cleanup s1",
        f"mv ../away {W} && git -C {W} checkout -q --ours file && git -C {W} add file",
        in_worktree(CONFLICT, "mv $PWD ../../../away"),
    ),
    Case("mv {}", "cleanup s1", "{0}", in_worktree("git init -q inner")),
    Case("move HEAD, objects and refs out of {}", "cleanup s1",
         "mkdir ../bare && cd {1} && mv HEAD objects refs ../../../bare",
         in_worktree("mkdir objects refs && echo 'ref: refs/heads/main' >HEAD")),
    Case("rm {}", "cleanup s1", "{0}", in_worktree("mkfifo 'a pipe'")),
    Case("git -c hubsession.rescueLimit={} hub-session cleanup {}", "cleanup s1", "{0}",
         in_worktree("git config hubsession.rescueLimit 1", "echo x >new")),
    Case("a number of bytes: 100m, 2g", "cleanup s1", "git config hubsession.rescueLimit 100m",
         in_worktree("git config hubsession.rescueLimit much")),
    Case("rename it", "cleanup s1", f"mv {W}/x/git~1 {W}/x/git", in_worktree("mkdir x; echo >x/git~1")),
    Case("commit it, or move it out of the worktree", "cleanup s1", f"git -C {W} commit -qam crlf",
         in_worktree("echo '* text eol=lf' >.gitattributes", "git add . && git commit -qm a",
                     "printf 'a\\r\\n' >file")),
    Case("git branch {} {}", "cleanup s1", "{0}",
         in_worktree("git update-ref -d refs/heads/hub/s1/agent-1/attempt-1")),
    Case("check out another branch in it", "cleanup s1", "git checkout -q main",
         "git hub-session init -q --id s1 --task t\ngit checkout -q -b hub/s1/agent-1/attempt-1"),
    Case("git hub-session adopt {} {}", "cleanup s1", "{0}", in_worktree("git switch -q -c x")),
    Case("git hub-session cleanup --archive {}", "archive s1", "{0}",
         merge_agent, then="status s1"),
)  # fmt: skip
def test_worktree_is_removed(hub: Hub, case: Case) -> None:
    check_case(hub, case)


@types("git -C {} submodule deinit --all && {}")
def test_submodule(hub: Hub) -> None:
    """A commit that only the submodule has stays in the repository that the hint moves."""
    in_worktree(SUBMODULE)(hub)
    [hint] = hints(hub.run("cleanup", "s1"))
    [modules] = hub.top.glob(".git/worktrees/*/modules")
    [repository] = modules.iterdir()
    only = hub.git("--git-dir", repository, "commit-tree", "-m", "only here", "HEAD^{tree}")
    hub.git("--git-dir", repository, "update-ref", "refs/stash", only)
    type_hint(hub, hint)
    assert hub.run("cleanup", "s1").code == 0
    moved = Path(f"{hub.top / W}-modules") / repository.name
    hub.git("fetch", "-q", moved, "refs/stash:refs/tags/kept")
    assert hub.git("rev-parse", "refs/tags/kept") == only


@types("mv {} {}")
def test_submodule_of_a_missing_worktree(hub: Hub) -> None:
    in_worktree(SUBMODULE)(hub)
    shutil.rmtree(hub.top / W)
    [hint] = hints(hub.run("cleanup", "s1"))
    assert hint.startswith("mv ")
    type_hint(hub, hint)
    assert hub.run("cleanup", "s1").code == 0


@types("git -C {} submodule deinit --all")
def test_submodule_with_its_repository_inside(hub: Hub) -> None:
    """The hint moves the repository into the git dir."""
    in_worktree(SUBMODULE, INSIDE)(hub)
    [hint] = hints(hub.run("cleanup", "s1"))
    type_hint(hub, hint)
    [hint] = hints(hub.run("cleanup", "s1"))
    type_hint(hub, hint)
    assert hub.run("cleanup", "s1").code == 0


@types("run the command from another directory")
def test_current_directory(hub: Hub) -> None:
    worktree = spawn_agent(hub)
    result = hub.run("cleanup", "s1", cwd=worktree)
    follow_hint(find_hint(result, "run the command from another directory"))
    assert hub.run("cleanup", "s1", cwd=hub.top).code == 0


@types("end the process")
def test_process(hub: Hub) -> None:
    worktree = spawn_agent(hub)
    with process_in(worktree):
        result = hub.run("cleanup", "s1")
        hint = find_hint(result, "end the process")
        type_hint(hub, find_hint(result, "git hub-session cleanup --force {}"))
    assert not worktree.exists()
    hub.run("restore", "s1")
    with process_in(worktree):
        assert hub.run("cleanup", "s1").code == 1
    follow_hint(hint)
    assert hub.run("cleanup", "s1").code == 0


@types("wait for it to end")
def test_command_of_an_agent(hub: Hub, tmp_path: Path) -> None:
    """A running `exec` uses the worktree. Its process is elsewhere."""
    worktree = spawn_agent(hub)
    wait, script = tmp_path / "wait", 'cd / && git -C "$0" hub-session cleanup s1 >"$1" 2>&1; true'
    command = ("sh", "-c", script, str(hub.top), str(wait))
    assert hub.run("exec", "-q", "s1", "--", *command).code == 0
    output = wait.read_text()
    hint, force = (line.strip().removeprefix("hint: ") for line in output.splitlines()[2:4])
    assert shlex.split(force)[-4:] == ["hub-session", "cleanup", "--force", "s1"]
    assert hub.run("cleanup", "s1").code == 0  # it has ended
    follow_hint(hint)
    assert not os.path.lexists(worktree)
