"""The post-merge hook changes the merge, or removes the hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.evaluated_sessions import create_evaluated_session, write_hook
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
