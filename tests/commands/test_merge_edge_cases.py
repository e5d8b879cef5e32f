"""`merge` with unusual repositories and hooks, with other processes and after a kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

import pytest

from tests.support.evaluated_sessions import (
    agent_worktree,
    create_evaluated_session,
    git_status,
    protected_state,
    write_hook,
)
from tests.support.hub import Hub, Result, wait_for
from tests.support.interrupt import run_with_injected_code


@pytest.mark.parametrize("is_checked_out", [True, False])
def test_branch_switched_by_a_hook(hub: Hub, is_checked_out: bool) -> None:
    """A hook switches to or from the base branch. No branch moves, and no file changes."""
    create_evaluated_session(hub)
    hub.git("branch", "topic")
    if not is_checked_out:
        hub.git("switch", "-q", "topic")
    unset = "unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE"
    write_hook(
        hub,
        "commit-msg",
        f"cd {hub.top}; {unset}; git switch -q {'topic' if is_checked_out else 'main'}",
    )
    refs, state = hub.refs(), hub.state()
    result = hub.run("merge", "-q", "--yes", "s1")
    assert result == Result(
        1,
        "",
        "error: the checkout of 'main' changed during the merge\nhint: git hub-session merge s1\n",
    )
    assert (hub.refs(), hub.state()) == (refs, state)
    assert git_status(hub) == f"## {'topic' if is_checked_out else 'main'}"


def test_attributes_of_a_crafted_tree(hub: Hub) -> None:
    """A crafted tree has a directory `..`, and links in the place of .gitattributes."""
    create_evaluated_session(hub)
    blob = hub.git("hash-object", "-w", "--stdin", stdin="* merge=ours\n")
    tree_text = f"100644 blob {blob}\t.gitattributes\n"
    for name in ("victim", ".."):
        tree_text = f"040000 tree {hub.git('mktree', stdin=tree_text)}\t{name}\n"
    link = f"120000 blob {blob}\t.gitattributes\n"
    commit_link = f"160000 commit {hub.git('rev-parse', 'main')}\t.gitattributes\n"
    for name, content in (("link", link), ("commits", commit_link)):
        tree_text += f"040000 tree {hub.git('mktree', stdin=content)}\t{name}\n"
    tree = hub.git("mktree", stdin=f"{tree_text}{hub.git('ls-tree', 'main')}\n")
    hub.git("branch", "odd", hub.git("commit-tree", tree, "-p", "main", "-m", "odd"))
    temporary = hub.top.parent / "scratch"
    temporary.mkdir()
    arguments = ("merge", "-q", "--yes", "--into=odd", "s1")
    assert hub.run(*arguments, environ={"TMPDIR": str(temporary)}) == Result(0)
    assert list(temporary.iterdir()) == []


def test_branch_deleted_after_the_merge(hub: Hub) -> None:
    create_evaluated_session(hub)
    hub.git("branch", "release", "main")
    arguments = ("merge", "-q", "--yes", "--no-cleanup", "--into=release", "s1")
    assert hub.run(*arguments) == Result(0)
    hub.git("branch", "-q", "-D", "release")
    assert hub.run("merge", "--yes", "s1") == Result(
        1,
        "",
        "error: session 's1' is 'merged': there is nothing to merge\n"
        "hint: git hub-session cleanup --archive s1\n",
    )


def test_metric_that_is_too_large(hub: Hub) -> None:
    """A state.json has a metric that no float can hold. The metric is ignored."""
    create_evaluated_session(hub)
    state = hub.directory() / "state.json"
    state.write_text(state.read_text().replace('"metric": null', f'"metric": {10**400}'))
    assert hub.run("merge", "-n", "s1").out.startswith(
        "Merging hub/s1/agent-2/attempt-1 into main\n  Rank: 1\n  file | 1 +\n"
    )


def test_message_emptied_by_a_hook(hub: Hub) -> None:
    """Like `git merge`, the command makes no commit without a message."""
    create_evaluated_session(hub)
    write_hook(hub, "commit-msg", ': >"$1"')
    refs, state = hub.refs(), hub.state()
    refused = Result(
        1, "", "error: the merge message is empty\nhint: give a message with -m <text>\n"
    )
    assert hub.run("merge", "-q", "--yes", "s1") == refused
    (hub.top / ".git" / "hooks" / "commit-msg").unlink()
    assert hub.run("merge", "-q", "--yes", "-m", " ", "s1") == refused
    assert (hub.refs(), hub.state(), git_status(hub)) == (refs, state, "## main")


def test_merge_into_a_branch_of_the_session(hub: Hub) -> None:
    """The cleanup would archive the branch, like those of the other agents."""
    create_evaluated_session(hub)
    into = "hub/s1/agent-3/attempt-1"
    hub.git("branch", into, "main")
    refs = hub.refs()
    assert hub.run("merge", "--yes", f"--into={into}", "s1") == Result(
        1,
        "",
        f"error: '{into}' is a branch of the session itself\nhint: name another branch with --into\n",
    )
    assert hub.refs() == refs


def test_unprintable_file_names(hub: Hub) -> None:
    """Each name is escaped in the text, and is complete in JSON."""
    names = [
        b"bad\xff",
        b"esc\x1b[2J",
        b"line\n 0 files changed",
        "sep\u2028\x85".encode(),
        b"plain name",
    ]
    create_evaluated_session(hub)
    worktree = agent_worktree(hub, 2)
    for name in names:
        (worktree / os.fsdecode(name)).write_bytes(b"x\n")
    hub.git("mv", "sub/other", "sub/moved\n", cwd=worktree)
    hub.git("add", "-A", cwd=worktree)
    hub.git("commit", "-q", "-m", "odd names", cwd=worktree)
    escaped = [
        *("bad\\xff", "esc\\x1b[2J", "line\\n 0 files changed", "plain name", "sep\\u2028\\x85"),
    ]
    assert hub.run("merge", "-n", "--unmeasured", "-z", "--format=porcelain", "s1").code == 0
    assert hub.run("merge", "-n", "--unmeasured", "s1").out == (
        "Merging hub/s1/agent-2/attempt-1 into main\n  Rank: 1\n"
        f"  A {escaped[0]} | 1\n  A {escaped[1]} | 1\n  M file | 1\n  A {escaped[2]} | 1\n  A new | 1\n"
        f"  A {escaped[3]} | 1\n  A {escaped[4]} | 1\n  R sub/moved\\n | 0\n"
        "  8 files changed, 7 insertions(+)\n"
    )
    for name in names:
        (hub.top / os.fsdecode(name)).write_bytes(b"y\n")
    hub.git("add", "-A")
    hub.git("commit", "-q", "-m", "the same names")
    assert hub.run("merge", "-n", "--unmeasured", "s1").out.splitlines()[1:] == [
        f"  {name}" for name in escaped
    ]
    conflicts = hub.json("merge", "-n", "--unmeasured", "s1", code=1)["conflicts"]
    assert sorted(map(os.fsencode, conflicts)) == sorted(names)


def test_interrupt_during_the_update_of_the_files(hub: Hub) -> None:
    """The checkout is complete after Ctrl-C. A second call finishes the merge."""
    (hub.top / ".gitattributes").write_text("new filter=slow\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "attributes")
    create_evaluated_session(hub)
    started, go = hub.top.parent / "begun", hub.top.parent / "go"
    wait = f"until test -e {go}; do sleep 0.01; done"
    hub.git("config", "filter.slow.smudge", f"touch {started}; {wait}; cat")
    process = subprocess.Popen(
        ["git-hub-session", "merge", "-q", "--yes", "s1"],
        cwd=hub.top,
        env=hub.environ,
        start_new_session=True,
    )
    wait_for(started.exists, process)
    os.killpg(process.pid, signal.SIGINT)
    go.touch()
    assert process.wait() == -signal.SIGINT
    assert (git_status(hub), (hub.top / "new").read_text()) == ("## main", "2\n")
    assert hub.state()["state"] == "evaluating"
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("rev-parse", "main^2") == hub.git("rev-parse", "hub/s1/agent-2/attempt-1")
    assert hub.state()["state"] == "merged"


def test_locked_branch(hub: Hub) -> None:
    """A locked ref stops the merge, and nothing is changed. Local changes survive the merge."""
    create_evaluated_session(hub)
    (hub.top / "mine").write_text("staged\n")
    hub.git("add", "mine")
    (hub.top / "sub" / "other").write_text("changed here\n")
    before = protected_state(hub)
    lock = hub.top / ".git" / "refs" / "heads" / "main.lock"
    lock.touch()
    result = hub.run("merge", "-q", "--yes", "s1")
    lock.unlink()
    assert (result.code, "cannot lock ref 'refs/heads/main'" in result.err) == (1, True)
    assert protected_state(hub) == before
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert git_status(hub) == "## main\nA  mine\n M sub/other"


def test_sessions_are_merged_one_at_a_time(hub: Hub) -> None:
    """Two updates of one checkout at the same time would overwrite each other's index."""
    create_evaluated_session(hub)
    refs, state = hub.refs(), hub.state()
    sessions = str(hub.directory().parent)
    try_lock = f"fcntl.flock(os.open({sessions!r}, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    code = f"import fcntl; {try_lock}"
    arguments = ("merge", "-q", "--yes", "s1")
    result = run_with_injected_code(hub, *arguments, code=code, started="update-ref")
    assert (result.code, "Resource temporarily unavailable" in result.err) == (128, True)
    assert (hub.refs(), hub.state()) == (refs, state)
    assert hub.run(*arguments) == Result(0)


def test_branch_switched_before_the_update_of_the_files(hub: Hub) -> None:
    """The shell that updates the files checks HEAD once more before the update."""
    create_evaluated_session(hub)
    hub.git("branch", "topic")
    refs, state = hub.refs(), hub.state()
    switch = f"git -C {hub.top} symbolic-ref HEAD refs/heads/topic"
    code = f"os.system({switch!r})"
    result = run_with_injected_code(
        hub, "merge", "-q", "--yes", "s1", code=code, started="update-ref"
    )
    assert result == Result(
        1,
        "",
        f"error: git cannot update '{hub.top}', where 'main' is checked out\n"
        "hint: HEAD is on another branch\n",
    )
    assert (hub.refs(), hub.state(), git_status(hub)) == (refs, state, "## topic")


def test_locked_index(hub: Hub) -> None:
    """A running or killed git has left index.lock. The message names it, and nothing changes."""
    create_evaluated_session(hub)
    before = protected_state(hub)
    lock = hub.top / ".git" / "index.lock"
    lock.touch()
    result = hub.run("merge", "-q", "--yes", "s1")
    lock.unlink()
    message = (
        f"cannot create '{lock}': File exists; another git process is running, or crashed: "
        "in that case, remove the file manually to continue"
    )
    reason = f"git cannot update '{hub.top}', where 'main' is checked out"
    assert result == Result(1, "", f"error: {reason}\nhint: {message}\n")
    assert protected_state(hub) == before
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert (git_status(hub), lock.exists()) == ("## main", False)


def test_commit_during_the_update_of_the_files(hub: Hub) -> None:
    """The index and the branch are locked during the whole update of the files."""
    (hub.top / ".gitattributes").write_text("new filter=slow\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "attributes")
    create_evaluated_session(hub)
    base = hub.git("rev-parse", "main")
    output = hub.top.parent / "tried"
    commit = f"git -C {hub.top} commit -q --allow-empty -m loop"
    move = f"git -C {hub.top} update-ref refs/heads/main {base}^ {base}"
    unset = "unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE"
    try_both = f"( {unset}; {commit}; echo $?; {move}; echo $? ) >{output} 2>{output}.err; cat"
    hub.git("config", "filter.slow.smudge", try_both)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert output.read_text() == "128\n128\n"
    errors = (hub.top.parent / "tried.err").read_text()
    assert "index.lock': File exists" in errors
    assert "cannot lock ref 'refs/heads/main'" in errors
    assert hub.git("rev-parse", "main^1") == base
    assert git_status(hub) == "## main"


def test_reflog_that_cannot_be_written(hub: Hub) -> None:
    """The reflog cannot be written after the update of the files, so the update is undone."""
    create_evaluated_session(hub)
    (hub.top / "mine").write_text("staged\n")
    hub.git("add", "mine")
    reflog = hub.top / ".git" / "logs" / "refs" / "heads" / "main"
    reflog.unlink()
    reflog.symlink_to("/dev/full")
    before = protected_state(hub)
    result = hub.run("merge", "-q", "--yes", "s1")
    assert (result.code, "unable to append to" in result.err) == (1, True), result
    assert protected_state(hub) == before


def create_git_wrapper(hub: Hub, case: str) -> dict[str, str]:
    """Create a wrapper of git, and return an environment with it.

    `case` has the cases of a shell `case` on the arguments. `$real` is the real git.
    """
    directory = hub.top.parent / "wrapped"
    directory.mkdir()
    real = shutil.which("git", path=hub.environ["PATH"])
    wrapper = directory / "git"
    wrapper.write_text(f'#!/bin/sh\nreal={real}\ncase "$*" in\n{case}\nesac\nexec "$real" "$@"\n')
    wrapper.chmod(0o755)
    return {"PATH": f"{directory}:{hub.environ['PATH']}"}


def test_killed_after_a_directory_replaced_a_file(hub: Hub) -> None:
    """A directory replaced a file, and a file a directory, in the second commit of a rebase.

    The next call undoes the update first.
    """
    create_evaluated_session(hub)
    winner = agent_worktree(hub, 2)
    hub.git("rm", "-q", "file", "sub/other", cwd=winner)
    hub.commit(winner, "file/deep/one", "x\n")
    hub.commit(winner, "sub", "y\n")
    assert hub.run("eval", "-q", "--ranking", "2", "s1").code == 0
    case = '*"read-tree -m"*) "$real" "$@"; kill -9 $PPID; exit 1 ;;'
    base = hub.commit(hub.top, "later", "x\n")
    assert hub.run("eval", "-q", "--ranking", "2", "s1").code == 0
    arguments = ("git-hub-session", "merge", "--rebase", "-q", "--yes", "s1")
    killed = hub.call(*arguments, environ=create_git_wrapper(hub, case))
    assert (killed.code, "git was killed while it updated" in killed.err) == (128, True), killed
    assert (hub.top / "file" / "deep" / "one").read_text() == "x\n"
    (hub.top / ".git" / "index.lock").unlink()
    assert hub.run(*arguments[1:]).code == 0
    assert git_status(hub) == "## main"
    assert (hub.git("rev-parse", "main~3"), hub.git("show", "main:sub")) == (base, "y")


def test_git_that_locks_the_branch_is_killed(hub: Hub) -> None:
    """The kill is after the update of the files. The update is undone, and the index unlocked."""
    create_evaluated_session(hub)
    before = protected_state(hub)
    pid = hub.top.parent / "pid"
    case = f"""*update-ref*--stdin*) echo $$ >{pid} ;;
*"read-tree -m"*)
	"$real" "$@"
	code=$?
	kill -9 "$(cat {pid})" 2>/dev/null
	while test -e "/proc/$(cat {pid})/exe"; do sleep 0.01; done
	exit $code ;;"""
    arguments = ("git-hub-session", "merge", "-q", "--yes", "s1")
    result = hub.call(*arguments, environ=create_git_wrapper(hub, case))
    reason = f"git cannot update '{hub.top}', where 'main' is checked out"
    message = "git was killed before it moved the branch"
    assert result == Result(1, "", f"error: {reason}\nhint: {message}\n")
    for lock in (
        "HEAD.lock",
        "ORIG_HEAD.lock",
        "refs/heads/main.lock",
    ):  # a killed git leaves these
        (hub.top / ".git" / lock).unlink()
    pid.unlink()
    shutil.rmtree(hub.top.parent / "wrapped")
    assert protected_state(hub) == before
    assert hub.run(*arguments[1:]) == Result(0)


@pytest.mark.parametrize("first", ["a", "hub", "z"])
def test_branch_with_many_components(hub: Hub, first: str) -> None:
    """libgit2 lists no loose ref behind such a branch, and reports no error."""
    create_evaluated_session(hub)
    hub.git("branch", f"{first}/{'d/' * 110}x")
    lock = hub.top / ".git" / "refs" / "heads" / "hub" / "s1" / "agent-1" / "attempt-9.lock"
    lock.write_text(f"{hub.git('rev-parse', 'main')}\n")
    branches = {branch["branch"] for branch in hub.json("status", "s1")["branches"]}
    assert branches == {f"hub/s1/agent-{number}/attempt-1" for number in (1, 2)}
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.refs("refs/tags/hub/archive").keys() == {"refs/tags/hub/archive/s1/agent-1"}
    assert hub.run("restore", "-q", "s1") == Result(0)
