"""The post-merge hook changes the merge, or removes the hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.evaluated_sessions import create_evaluated_session, git_status, write_hook
from tests.support.hints import find_hint, follow_hint, types
from tests.support.hub import Hub, Result


@pytest.mark.parametrize("kind", [(), ("--squash",), ("--ff",), ("--rebase",)])
@pytest.mark.parametrize(
    "script",
    [
        "git commit -q --amend -m amended",
        "echo more >more; git add more; git commit -q --amend -m amended",
    ],
)
def test_amended_merge(hub: Hub, kind: tuple[str, ...], script: str) -> None:
    """The commit that the hook left is the merge, as for `git merge`."""
    create_evaluated_session(hub)
    parents = hub.git("rev-parse", "main")
    write_hook(hub, "post-merge", script)
    result = hub.run("merge", "-q", "--yes", "--unmeasured", *kind, "s1")
    assert result == Result(0), result
    tip = hub.git("rev-parse", "main")
    assert hub.git("log", "-1", "--format=%s", "main") == "amended"
    assert hub.git("rev-parse", "main^1") == parents
    assert (hub.state()["state"], hub.state()["merge"]["commit"]) == ("merged", tip)
    assert hub.git("status", "--porcelain") == ""
    assert hub.json("doctor")["findings"] == []
    again = hub.run("merge", "--yes", "s1")
    assert (again.code, f"already merged into main, in {tip[:12]}" in again.out) == (0, True)


@pytest.mark.parametrize(
    ("script", "hint"),
    [
        ("rm -rf .agenthub", "git hub-session init --adopt s1"),
        ("git clean -ffdxq", "git hub-session init --adopt s1"),
        ("git stash -q --all", "git stash pop"),
    ],
)
def test_hub_that_the_hook_removes(hub: Hub, script: str, hint: str) -> None:
    """The message says that the branch is merged. The hint restores the session."""
    create_evaluated_session(hub)
    write_hook(hub, "post-merge", script)
    tip = hub.git("rev-parse", "main")
    assert hub.run("merge", "-q", "--yes", "s1") == Result(
        1,
        "",
        f"error: a hook removed session 's1', after the merge into 'main'\nhint: {hint}\n",
    )
    assert hub.git("rev-parse", "main^1") == tip
    assert hub.call("sh", "-c", hint, cwd=hub.top).code == 0
    assert hub.run("status", "s1").code == 0


@pytest.mark.parametrize("name", ["state.json", "config.yaml"])
@pytest.mark.parametrize("hook", ["post-merge", "reference-transaction"])
def test_session_that_the_hook_damages(hub: Hub, name: str, hook: str) -> None:
    """The message says that the branch is merged. Once the file is back, merge ends the session."""
    create_evaluated_session(hub)
    directory = hub.directory("s1")
    script = f"test -e saved || {{ cp {directory}/* . && :> {directory}/{name}; }} && :>saved"
    write_hook(hub, hook, f'mkdir -p "$HOME/saved" && cd "$HOME/saved" && {script}')
    tip = hub.git("rev-parse", "main")
    result = hub.run("merge", "-q", "--yes", "s1")
    assert (result.code, result.out) == (128, "")
    assert result.err.startswith(f"fatal: session 's1': {name}: ")
    assert result.err.splitlines()[0].endswith(", after the merge into 'main'"), result
    assert hub.git("rev-parse", "main^1") == tip
    (directory / name).write_bytes((Path(hub.environ["HOME"]) / "saved" / name).read_bytes())
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.state()["state"] == "merged"


@types("correct the post-merge hook, then: git hub-session merge {}")
def test_hook_that_removes_the_merge(hub: Hub) -> None:
    """Nothing is archived. After a correction of the hook, the hint merges."""
    create_evaluated_session(hub)
    write_hook(hub, "post-merge", "git reset -q --hard HEAD^")
    refs, state = hub.refs(), hub.state()
    result = hub.run("merge", "-q", "--yes", "s1")
    commit = hub.git("rev-parse", "--short=12", "main@{1}")
    assert result == Result(
        1,
        "",
        f"error: a hook removed the merge {commit} from 'main'\n"
        "hint: correct the post-merge hook, then: git hub-session merge s1\n",
    )
    assert (hub.refs(), hub.state()) == (refs, state)
    write_hook(hub, "post-merge", "true")
    hint = find_hint(result, "correct the post-merge hook, then: git hub-session merge {}")
    assert hub.call("sh", "-c", f"{hint.partition(': ')[2]} -q --yes") == Result(0)
    follow_hint(hint)


COMMIT_ONCE = 'test -n "$ONCE" && exit 0; export ONCE=1; {}git commit -q --no-verify -m mine'
"""The script of a hook whose commit calls the hook again, which then does nothing."""


@pytest.mark.parametrize("hook", ["pre-merge-commit", "prepare-commit-msg", "commit-msg"])
@pytest.mark.parametrize("end", ["", "; exit 1"])
@pytest.mark.parametrize("before", ["", "echo more >more; git add more; "])
def test_commit_with_the_index_of_the_merge(hub: Hub, hook: str, end: str, before: str) -> None:
    """The branch has the commit of the hook, and its files and index are those of the commit."""
    create_evaluated_session(hub)
    base = hub.git("rev-parse", "main")
    write_hook(hub, hook, COMMIT_ONCE.format(before) + end)
    error = "'main' changed during the merge\nhint: git hub-session merge s1"
    if end:
        error = f"the {hook} hook rejected the merge, but 'main' has moved"
    assert hub.run("merge", "-q", "--yes", "s1") == Result(1, "", f"error: {error}\n")
    assert hub.git("log", "--format=%s %P", f"{base}..main") == f"mine {base}"
    assert git_status(hub) == "## main"
    assert (hub.top / "new").read_text() == "2\n"
    assert (hub.top / "more").exists() == bool(before)
    assert hub.state()["state"] == "evaluating"
    assert hub.json("doctor")["findings"] == []


def test_commit_that_a_hook_makes_of_other_files(hub: Hub) -> None:
    """The hook has its own index. The staged changes of the user stay as they are."""
    create_evaluated_session(hub)
    (hub.top / "sub" / "other").write_text("staged\n")
    hub.git("add", "sub/other")
    index = "export GIT_INDEX_FILE=$(pwd)/.git/own; git read-tree HEAD; "
    write_hook(hub, "prepare-commit-msg", COMMIT_ONCE.format(index) + " --allow-empty")
    result = hub.run("merge", "-q", "--yes", "s1")
    assert (result.code, result.err.splitlines()[0]) == (
        *(1, "error: 'main' changed during the merge"),
    )
    assert git_status(hub) == "## main\nM  sub/other"
    assert (hub.top / "file").read_text() == "first\n"


def test_commit_with_the_index_of_the_merge_beside_local_changes(hub: Hub) -> None:
    """A change that the hook makes to a file of the merge is not overwritten."""
    create_evaluated_session(hub)
    write_hook(hub, "commit-msg", COMMIT_ONCE.format("echo mine >file; "))
    assert hub.run("merge", "-q", "--yes", "s1").code == 1
    assert hub.git("log", "-1", "--format=%s", "main") == "mine"
    assert (hub.top / "file").read_text() == "mine\n"
