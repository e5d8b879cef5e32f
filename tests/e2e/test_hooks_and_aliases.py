"""Commands work in hooks and aliases, where git exports variables of another worktree."""

from __future__ import annotations

from pathlib import Path

from tests.support.cleanup import shown_path
from tests.support.hub import Hub, Result


def write_hook(directory: Path, name: str, script: str) -> None:
    """Write a hook that stops at the first error. It logs to <directory>/../hook.log."""
    path = directory / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\nexec >>'{directory.parent}/hook.log' 2>&1\nset -e\n{script}\n")
    path.chmod(0o755)


def read_and_delete_log(hub: Hub) -> str:
    """Return the output of the hooks, and delete the file."""
    path = hub.top / "hook.log"
    text = path.read_text()
    path.unlink()
    return text


def test_aliases(hub: Hub) -> None:
    """An alias runs the same command. git runs an alias with ! at the top and sets GIT_PREFIX."""
    hub.session("s1")
    hub.git("config", "alias.hs", "hub-session")
    hub.git("config", "alias.sessions", "hub-session list --format=porcelain")
    hub.git("config", "alias.there", '!cd "${GIT_PREFIX:-.}" && git hub-session list')
    hub.git("config", "alias.top", "!git hub-session list")
    sub = hub.top / "sub"
    expected = hub.run("list")
    assert hub.call("git", "hs", "list", cwd=sub) == expected
    assert hub.call("git", "there", cwd=sub) == expected
    assert hub.call("git", "top", cwd=sub) == expected
    assert hub.call("git", "sessions", cwd=sub) == hub.run("list", "--format=porcelain")
    assert hub.call("git", "hs", "nope", cwd=sub).code == 129


def clean_up_in_hook(hub: Hub, name: str, *arguments: str) -> None:
    """Commit in the main worktree. The hook cleans up an agent's worktree with changes."""
    hub.session("s1", agents=1)
    worktree = hub.worktree(1)
    (worktree / "file").write_text("changed by the agent\n")
    (worktree / "new").write_text("new\n")
    write_hook(hub.top / ".git", name, "git hub-session cleanup s1")
    (hub.top / "file").write_text("changed in main\n")
    (hub.top / "other").write_text("left alone\n")
    hub.git("add", "other")
    hub.git("commit", "-q", "-m", "mine", *arguments)
    ref = "refs/hub/rescue/s1/agent-1/attempt-1/1"
    branch = "hub/s1/agent-1/attempt-1"
    assert read_and_delete_log(hub) == (
        f"agent-1: removed {shown_path(worktree)}, saved uncommitted work, kept its branch\n"
        f"  bring it back: git worktree add {worktree} {branch}"
        f" && git -C {worktree} stash apply --index {ref}\n"
        "Cleaned up 1 worktree for session s1\n"
    )
    assert not worktree.exists()
    # The rescue ref has only the agent's changes, and none of the commit.
    assert hub.git("diff", "--name-only", f"{ref}^1", ref) == "file"
    assert hub.git("show", f"{ref}:file") == "changed by the agent"
    assert hub.git("ls-tree", "--name-only", f"{ref}^3") == "new"
    assert hub.git("ls-tree", "-r", "--name-only", f"{ref}^2") == "file\nsub/other"


def changed_files(hub: Hub) -> str:
    """Return the files that the last commit changed."""
    return hub.git("diff", "--name-only", "HEAD^", "HEAD")


def test_pre_commit(hub: Hub) -> None:
    """git sets GIT_INDEX_FILE=.git/index."""
    clean_up_in_hook(hub, "pre-commit")
    assert changed_files(hub) == "other"
    assert hub.git("status", "--porcelain", "-uno") == " M file"


def test_pre_commit_of_commit_all(hub: Hub) -> None:
    """git sets GIT_INDEX_FILE=.git/index.lock."""
    clean_up_in_hook(hub, "pre-commit", "-a")
    assert changed_files(hub) == "file\nother"
    assert hub.git("status", "--porcelain", "-uno") == ""


def test_pre_commit_of_partial_commit(hub: Hub) -> None:
    """git sets GIT_INDEX_FILE=.git/next-index-N.lock."""
    clean_up_in_hook(hub, "pre-commit", "file")
    assert changed_files(hub) == "file"
    assert hub.git("status", "--porcelain", "-uno") == "A  other"


def test_post_commit(hub: Hub) -> None:
    clean_up_in_hook(hub, "post-commit")
    assert changed_files(hub) == "other"


def test_hook_in_a_linked_worktree(hub: Hub) -> None:
    """git sets GIT_DIR to the git dir of the linked worktree. The other worktree is cleaned up."""
    hub.session("s1", agents=2)
    first, second = hub.worktree(1), hub.worktree(2)
    (second / "new").write_text("new\n")
    write_hook(
        hub.top / ".git",
        "pre-commit",
        "env | grep -c '^GIT_DIR=.*/worktrees/agent-1$'\n"
        "git hub-session update --state running\n"
        "git hub-session cleanup || echo kept",
    )
    hub.commit(first, "mine", "x\n")
    ref = "refs/hub/rescue/s1/agent-2/attempt-1/1"
    branch = "hub/s1/agent-2/attempt-1"
    text = read_and_delete_log(hub)
    assert text.startswith("1\nSession s1: init → running\nagent-1: kept .\n")
    assert text.endswith(
        "agent-2: removed ../agent-2, saved uncommitted work, kept its branch\n"
        f"  bring it back: git worktree add {second} {branch}"
        f" && git -C {second} stash apply --index {ref}\n"
        "Cleaned up 1 worktree for session s1\nkept\n"
    )
    assert hub.git("ls-tree", "--name-only", f"{ref}^3") == "new"
    assert hub.git("show", "--format=", "--name-only", "HEAD", cwd=first) == "mine"
    assert hub.git("status", "--porcelain", cwd=first) == ""


def test_environment_of_the_calling_git_is_ignored(hub: Hub, tmp_path: Path) -> None:
    """Changes are saved correctly although the caller has exported variables of its repository."""
    hub.session("s1", agents=1)
    worktree = hub.worktree(1)
    (worktree / "file").write_text("changed\n")
    (worktree / "new[1]").write_text("new\n")
    object_directory = tmp_path / "objects"
    object_directory.mkdir()
    environ = {
        "GIT_INDEX_FILE": str(tmp_path / "index"),
        "GIT_OBJECT_DIRECTORY": str(object_directory),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(hub.top / ".git" / "objects"),
        "GIT_PREFIX": "sub/",
        "GIT_NAMESPACE": "elsewhere",
        "GIT_ICASE_PATHSPECS": "1",
        "GIT_SHALLOW_FILE": str(tmp_path / "shallow"),
    }
    assert hub.run("cleanup", "s1", environ=environ).code == 0
    assert list(object_directory.iterdir()) == []
    assert not (tmp_path / "index").exists()
    ref = "refs/hub/rescue/s1/agent-1/attempt-1/1"
    assert hub.git("show", f"{ref}:file") == "changed"
    assert hub.git("ls-tree", "--name-only", f"{ref}^3") == "new[1]"


def test_push_hooks_of_a_bare_repository(hub: Hub, tmp_path: Path) -> None:
    """git sets GIT_DIR to '.'. In pre-receive, git forbids ref updates, but reading works."""
    bare = tmp_path / "remote" / "bare"
    hub.git("clone", "-q", "--bare", hub.top, bare)
    hub.run("init", "-q", "--id", "s1", "--task", "x", cwd=bare)
    linked = tmp_path / "remote" / "linked"
    hub.git("worktree", "add", "-q", "-b", "hub/s1/agent-1/attempt-1", linked, cwd=bare)
    (linked / "new").write_text("new\n")
    write_hook(
        bare,
        "pre-receive",
        "git hub-session list --format=porcelain | head -1\n"
        "git hub-session update s1 --state running\n"
        "git hub-session cleanup s1 --format=porcelain | grep -e '^code' -e '^reason' -e '^hint'",
    )
    write_hook(bare, "post-receive", "git hub-session cleanup s1 | tail -1")
    hub.commit(hub.top, "pushed", "x\n")
    hub.git("push", "-q", bare, "main")
    assert (tmp_path / "remote" / "hook.log").read_text() == (
        "session_id s1\n"
        "Session s1: init → running\n"
        "code cannot-save\n"
        "reason cannot save the work: 'git update-ref' failed (exit 128)\n"
        "hint fatal: prepare: ref updates forbidden inside quarantine environment\n"
        "Cleaned up 1 worktree for session s1\n"
    )
    assert not linked.exists()
    assert hub.git("rev-parse", "main", cwd=bare) == hub.git("rev-parse", "main")
    rescue = "refs/hub/rescue/s1/agent-1/attempt-1/1"
    assert hub.git("ls-tree", "--name-only", f"{rescue}^3", cwd=bare) == "new"


def test_post_checkout(hub: Hub) -> None:
    """A checkout in the main worktree cleans up a session. git sets only GIT_PREFIX."""
    hub.session("s1", agents=1)
    write_hook(hub.top / ".git", "post-checkout", "git hub-session cleanup s1 | tail -1")
    hub.git("checkout", "-q", "-b", "topic", cwd=hub.top / "sub")
    assert read_and_delete_log(hub) == "Cleaned up 1 worktree for session s1\n"
    assert not hub.worktree(1).exists()


def test_reference_transaction(hub: Hub) -> None:
    """The hook reads sessions while git holds locks, also during the transactions of cleanup."""
    hub.session("s1", agents=1)
    (hub.worktree(1) / "new").write_text("new\n")
    write_hook(
        hub.top / ".git",
        "reference-transaction",
        '[ "$1" = committed ] || exit 0\n'
        "git hub-session list --format=porcelain | head -1\n"
        "git hub-session status s1 --format=porcelain | head -1",
    )
    assert hub.run("cleanup", "s1").code == 0
    assert read_and_delete_log(hub) == "session_id s1\nsession s1\n"


def test_rebase_exec(hub: Hub) -> None:
    """During a rebase HEAD is detached. The rebased branch identifies the session."""
    hub.session("s1", agents=1)
    path = hub.worktree(1)
    hub.commit(path, "one", "1\n")
    command = "git hub-session update --state running && git hub-session cleanup || echo kept"
    result = hub.call("git", "rebase", "-q", "--exec", command, "main~0", cwd=path)
    assert result == Result(0, result.out, result.err)
    assert result.out.splitlines() == [
        "Session s1: init → running",
        "agent-1: kept .",
        "  the current directory is in the worktree",
        "  hint: run the command from another directory",
        "Cleaned up 0 worktrees for session s1",
        "kept",
    ]
