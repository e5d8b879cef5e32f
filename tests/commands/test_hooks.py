"""`hooks` installs guards beside the hooks of the user, and restores the former files."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from git_hub_session.hooks.guards import GUARDS
from tests.support.evaluated_sessions import write_hook
from tests.support.hints import hints, type_hint
from tests.support.hub import Hub, Result, snapshot

NAMES = [guard.hook for guard in GUARDS]
NOT_INSTALLED = "".join(f"{name}: not installed\n" for name in NAMES)


def version(hub: Hub) -> tuple[int, ...]:
    """Return the version of git."""
    return tuple(map(int, hub.git("version").split()[2].split(".")[:2]))


@pytest.fixture
def files(hub: Hub) -> Hub:
    """Return a hub whose git runs one file for each hook."""
    if version(hub) >= (2, 54):
        pytest.skip("this git runs hooks of its configuration")
    return hub


def directory(hub: Hub) -> Path:
    """Return the directory of the hooks."""
    return hub.top / ".git" / "hooks"


def entries(path: Path) -> dict[str, tuple[int, object]]:
    """Return the mode and the content of each file in a directory."""
    contents = snapshot(path)
    return {name: (os.lstat(path / name).st_mode, content) for name, content in contents.items()}


def test_install_and_uninstall(files: Hub) -> None:
    before = entries(files.top / ".git")
    installed = "".join(f"{name}: installed in .git/hooks/{name}\n" for name in NAMES)
    assert files.run("hooks", "status") == Result(0, NOT_INSTALLED)
    assert files.run("hooks", "install") == Result(0, installed)
    assert files.run("hooks", "status") == Result(0, installed)
    assert files.run("hooks", "install") == Result(0, installed)
    assert files.json("hooks", "install") == {
        "changed": False,
        "hooks": [
            {
                "hook": name,
                "installed": True,
                "path": str(directory(files) / name),
                "former": None,
                "configured": False,
                "problem": None,
            }
            for name in NAMES
        ],
    }
    assert files.run("hooks", "uninstall") == Result(0, NOT_INSTALLED)
    assert files.run("hooks", "uninstall", "-q") == Result(0)
    assert entries(files.top / ".git") == before


def test_the_former_hook_comes_back(files: Hub) -> None:
    """A script, a file that is not executable, and a link: the same bytes, mode and target."""
    script = files.top / "script"
    script.write_text("#!/bin/sh\n")
    for link in (False, True):
        for name in NAMES:
            (directory(files) / name).unlink(missing_ok=True)
        write_hook(files, "reference-transaction", "exit 0")
        path = directory(files) / "pre-commit"
        if link:
            path.symlink_to("../../script")
        else:
            path.write_bytes(b"no text \xff\n")
        before = entries(directory(files))
        result = files.run("hooks", "install", cwd=files.top / "sub")
        assert result == Result(
            0,
            "".join(
                f"{name}: installed in ../.git/hooks/{name}, "
                f"then runs ../.git/hooks/{name}.before-hub-session\n"
                for name in NAMES
            ),
        )
        assert files.run("hooks", "install", "-q") == Result(0)
        assert files.run("hooks", "uninstall") == Result(0, NOT_INSTALLED)
        assert entries(directory(files)) == before


def test_an_interrupted_call_is_finished(files: Hub) -> None:
    """The interrupted call has moved the hook of the user, but not written the script."""
    write_hook(files, "pre-commit", "exit 0")
    before = entries(directory(files))
    for action in ("install", "uninstall"):
        path = directory(files) / "pre-commit"
        path.rename(f"{path}.before-hub-session")
        assert files.run("hooks", "-q", action) == Result(0)
        assert files.run("hooks", "-q", "uninstall") == Result(0)
        assert entries(directory(files)) == before


def test_another_tool_has_replaced_the_hook(files: Hub) -> None:
    write_hook(files, "pre-commit", "exit 0")
    assert files.run("hooks", "-q", "install") == Result(0)
    write_hook(files, "pre-commit", "exit 1")
    path = directory(files) / "pre-commit"
    before = entries(directory(files))
    result = files.run("hooks", "install")
    assert result == Result(
        1,
        "",
        f"error: cannot rename the hook '{path}': '{path}.before-hub-session' exists\n"
        f"hint: mv {path}.before-hub-session {path}.before-hub-session.old\n",
    )
    assert entries(directory(files)) == before
    [hint] = hints(result)
    type_hint(files, hint)
    assert files.run("hooks", "-q", "install") == Result(0)


def test_an_old_script_is_replaced(files: Hub) -> None:
    assert files.run("hooks", "-q", "install") == Result(0)
    path = directory(files) / "pre-commit"
    script = path.read_text()
    path.write_text(f"{script}# old\n")
    line = "pre-commit: installed in .git/hooks/pre-commit"
    hint = "hint: git hub-session hooks install\n"
    result = files.run("hooks", "status")
    assert (result.out.splitlines()[1], result.err) == (f"{line} (of another version)", hint)
    assert files.run("hooks", "install").out.splitlines()[1] == line
    assert path.read_text() == script
    path.chmod(0o644)
    result = files.run("hooks", "status")
    assert (result.out.splitlines()[1], result.err) == (f"{line} (not executable)", hint)
    assert files.run("hooks", "install").out.splitlines()[1] == line
    assert path.stat().st_mode & stat.S_IXUSR


def test_core_hooks_path(files: Hub) -> None:
    files.git("config", "core.hooksPath", "my hooks")
    result = files.run("hooks", "install", cwd=files.top / "sub")
    assert result == Result(
        1,
        "",
        "error: core.hooksPath is relative: 'my hooks' is another directory in each worktree\n"
        f"hint: git config core.hooksPath '{files.top}/my hooks'\n",
    )
    problem = " (core.hooksPath is relative)\n"
    assert files.run("hooks", "status").out == NOT_INSTALLED.replace("\n", problem)
    assert files.run("hooks", "uninstall").code == 0
    [hint] = hints(result)
    type_hint(files, hint)
    assert files.run("hooks", "-q", "install") == Result(0)
    assert sorted(path.name for path in (files.top / "my hooks").iterdir()) == sorted(NAMES)
    files.git("config", "core.hooksPath", "~/hooks")
    assert files.run("hooks", "status") == Result(0, NOT_INSTALLED)
    assert files.run("hooks", "-q", "install") == Result(0)
    assert (Path(files.environ["HOME"]) / "hooks" / "pre-commit").exists()
    assert files.run("hooks", "uninstall") == Result(0, NOT_INSTALLED)


def test_in_a_linked_worktree(files: Hub) -> None:
    """The hooks are those of the repository."""
    files.session("s1", agents=1)
    assert files.run("hooks", "-q", "install", cwd=files.worktree(1)) == Result(0)
    assert {*NAMES} <= {path.name for path in directory(files).iterdir()}


def test_hooks_of_the_configuration(hub: Hub) -> None:
    if version(hub) < (2, 54):
        pytest.skip("this git runs one file for each hook")
    before = entries(hub.top / ".git")
    write_hook(hub, "pre-commit", "echo user >&2")
    hub.git("config", "core.hooksPath", ".git/hooks")
    assert hub.run("hooks", "-q", "install") == Result(0)
    assert all(hook["configured"] for hook in hub.json("hooks", "status")["hooks"])
    hub.session("s1", agents=1)
    hub.commit(hub.worktree(1), "file", "x\n")
    assert hub.call("git", "reset", "-q", "--hard", "HEAD~1", cwd=hub.worktree(1)).code != 0
    moved = Hub(hub.top.rename(hub.top.with_name("moved")), hub.environ)
    assert moved.call("git", "commit", "-q", "--allow-empty", "-m", "x") == Result(0, "", "user\n")
    assert moved.run("hooks", "status").err == "hint: git hub-session hooks install\n"
    assert moved.run("hooks", "-q", "uninstall") == Result(0)
    assert not (moved.top / ".git" / "hub-session-hooks").exists()
    assert set(before) <= set(entries(moved.top / ".git"))


@pytest.fixture
def newer_git(files: Hub) -> Mapping[str, str]:
    """Return an environment in which git calls itself git 2.54.0."""
    program = files.top.parent / "newer" / "git"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nfor word; do\n\ttest "$word" != version || exec echo git version 2.54.0\n'
        f'done\nexec {shutil.which("git")} "$@"\n'
    )
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{files.environ['PATH']}"}


def test_an_older_git_after_a_newer_one(files: Hub, newer_git: Mapping[str, str]) -> None:
    """Each version installs what it runs, and removes what only the other one runs."""
    write_hook(files, "pre-commit", "exit 0")
    before = entries(files.top / ".git")
    of_newer = "".join(f"{name}: installed in .git/hub-session-hooks/{name}\n" for name in NAMES)
    of_older = (
        f"{NAMES[0]}: installed in .git/hooks/{NAMES[0]}\n"
        "pre-commit: installed in .git/hooks/pre-commit, "
        "then runs .git/hooks/pre-commit.before-hub-session\n"
    )
    newer_install = partial(files.call, "git-hub-session", "hooks", "install", environ=newer_git)
    assert newer_install() == Result(0, of_newer)
    problem = " (git before 2.54 does not run it)\n"
    hint = "hint: git hub-session hooks install\n"
    assert files.run("hooks", "status") == Result(0, of_newer.replace("\n", problem), hint)
    for _ in range(2):
        assert files.run("hooks", "install") == Result(0, of_older)
        assert files.run("hooks", "status") == Result(0, of_older)
    assert files.call("git", "config", "--get-regexp", "^hook[.]").code == 1
    assert not (files.top / ".git" / "hub-session-hooks").exists()
    assert newer_install() == Result(0, of_newer)
    assert sorted(set(entries(directory(files))) & {*NAMES}) == ["pre-commit"]
    assert files.run("hooks", "uninstall") == Result(0, NOT_INSTALLED)
    after = entries(files.top / ".git")
    assert {**after, "config": before["config"]} == before


def test_a_guard_that_the_configuration_turns_off(files: Hub, newer_git: Mapping[str, str]) -> None:
    """`status` says so, also if the user has turned it off for all repositories."""
    run = partial(files.call, "git-hub-session", "hooks", environ=newer_git)
    assert run("install", "-q") == Result(0)
    key = f"{GUARDS[1].section}.enabled"
    for scope in ("--global", "--local"):
        files.git("config", scope, key, "no")
        result = run("status")
        line = f"pre-commit: installed in .git/hub-session-hooks/pre-commit ({key} is false)"
        assert (result.out.splitlines()[1], result.err) == (
            line,
            "hint: git hub-session hooks install\n",
        )
        assert "is false" not in run("install").out
        assert run("status").err == ""
    assert run("uninstall", "-q") == Result(0)
    assert files.call("git", "config", "--local", "--get-regexp", "^hook[.]").code == 1


def test_the_command_in_the_configuration(files: Hub, newer_git: Mapping[str, str]) -> None:
    """git runs it with a shell, and appends arguments. One shell reads the script."""
    run = partial(files.call, "git-hub-session", "hooks", environ=newer_git)
    assert run("install", "-q") == Result(0)
    files.session(agents=1)
    tip = files.commit(files.worktree(1), "file", "one\n")
    ref = "refs/heads/hub/s1/agent-1/attempt-1"
    key = f"{GUARDS[0].section}.command"

    def run_as_git(phase: str, line: str) -> Result:
        command = files.git("config", key)
        return files.call("sh", "-c", f'{command} "$@"', command, phase, stdin=line)

    lost = f"{tip} {'0' * 40} {ref}\n"
    assert run_as_git("prepared", lost.replace("/hub/", "/other/")) == Result(0)
    for phase in ("preparing", "committed", "aborted"):
        assert run_as_git(phase, lost) == Result(0)
    refused = run_as_git("prepared", lost)
    assert (refused.code, refused.err.splitlines()[0]) == (
        1,
        f"error: no other ref keeps commit {tip} of '{ref.removeprefix('refs/heads/')}'",
    )
    command = files.git("config", key)
    script = files.top / ".git" / "hub-session-hooks" / "reference-transaction"
    files.git("config", key, command.replace(" . ", " "))
    assert run("status").out.splitlines()[0].endswith(f"/{NAMES[0]} (of another version)")
    assert run("install", "-q") == Result(0)
    assert files.git("config", key) == command
    script.unlink()
    assert run_as_git("prepared", lost) == Result(0)
    assert run("status").out.splitlines()[0].endswith("(git does not find the script)")


def test_wrong_arguments(hub: Hub) -> None:
    hint = "hint: use one of install, uninstall, status\n"
    assert hub.run("hooks") == Result(129, "", f"error: no action given\n{hint}")
    assert hub.run("hooks", "x") == Result(129, "", f"error: not an action: 'x'\n{hint}")


def test_outside_of_a_repository(hub: Hub, tmp_path: Path) -> None:
    assert hub.run("hooks", "install", cwd=tmp_path).code == 128
