"""A command loads only the modules that it needs. A real process lists its modules at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hub import CHECKOUT, PYTHON, Hub, Result
from tests.support.loaded_modules import PROBE, heavy, loaded
from tests.support.measured_sessions import agent_worktree


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("list", "--format=json"),
        ("list", "-z"),
        ("log", "s1"),
        ("board",),
        ("board", "post", "results", "-m", "x"),
        ("update", "s1", "--state", "running"),
        ("update", "s1", "--state", "running", "-n"),
        ("init", "--task", "Another", "--id", "s2"),
        ("init", "--task", "Another", "-n"),
        ("guide",),
        ("--version",),
    ],
)
def test_commands_without_objects_load_no_heavy_module(hub: Hub, words: tuple[str, ...]) -> None:
    """The commands read files of the hub and refs, but no object of the repository."""
    hub.session()
    assert heavy(loaded(hub, *words)) == []


def test_no_heavy_module_in_an_agents_worktree(hub: Hub) -> None:
    """The branch that is checked out names the session."""
    hub.session(agents=1)
    for words in (("list",), ("log",), ("guide",), ("update", "--state", "running")):
        assert heavy(loaded(hub, *words, cwd=hub.worktree(1))) == []


def test_update_to_a_final_state_reads_the_worktrees_without_libgit2(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    hub.run("spawn", "-q", "s1")
    hub.git("switch", "-q", "--detach", cwd=agent_worktree(hub, 1))
    hub.run("update", "-q", "s1", "--state", "evaluating")
    assert heavy(loaded(hub, "update", "s1", "--state", "archived")) == []


def test_task_of_several_lines_loads_only_yaml(hub: Hub) -> None:
    hub.session(task="two\nlines")
    assert heavy(loaded(hub, "list")) == ["yaml"]


def test_status_starts_no_process(hub: Hub) -> None:
    hub.session(agents=2)
    (hub.worktree(1) / "new").write_text("new")
    assert heavy(loaded(hub, "status", "s1")) == ["pygit2"]


def test_frontier_starts_no_process(hub: Hub) -> None:
    hub.session(agents=2)
    hub.commit(hub.worktree(2), "file", "better\n")
    assert heavy(loaded(hub, "log", "--frontier")) == ["pygit2"]


def test_cleanup_of_clean_worktrees_starts_no_process(hub: Hub) -> None:
    hub.session(agents=2)
    hub.commit(hub.worktree(2), "file", "better\n")
    assert heavy(loaded(hub, "cleanup", "s1")) == ["pygit2"]
    assert not hub.worktree(1).exists()
    assert not hub.worktree(2).exists()


def test_cleanup_of_uncommitted_work_starts_git(hub: Hub) -> None:
    """The two tests above would find a command that starts git: this test does."""
    hub.session(agents=1)
    (hub.worktree(1) / "new").write_text("new")
    assert heavy(loaded(hub, "cleanup", "s1")) == ["pygit2", "subprocess"]


def test_other_commands_are_not_loaded(hub: Hub) -> None:
    hub.session()
    modules = loaded(hub, "list")
    commands = {name for name in modules if name.startswith("git_hub_session.commands.")}
    assert commands == {"git_hub_session.commands.list"}
    assert "git_hub_session.system.trace" not in modules


def test_broken_pygit2_stops_only_commands_that_need_it(hub: Hub, tmp_path: Path) -> None:
    hub.session()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "pygit2.py").write_text("raise ImportError('no libgit2 here')\n")
    probe = f"import sys\nsys.path.insert(0, {str(broken)!r})\n{PROBE.partition('code = ')[0]}"
    run = (PYTHON, "-I", "-c", f"{probe}\nsys.exit(main())", CHECKOUT)
    assert hub.call(*run, "list", "--format=porcelain").code == 0
    assert hub.call(*run, "update", "s1", "--state", "running") == Result(
        0, "Session s1: init → running\n"
    )
    assert hub.call(*run, "status", "s1") == Result(
        128, "", "fatal: cannot load a library: no libgit2 here\n"
    )
