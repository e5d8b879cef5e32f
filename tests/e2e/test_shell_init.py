"""The function `hubcd` in the real shells."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.hub import Hub, Result

START = {
    "bash": ["bash", "--norc", "-c"],
    "zsh": ["zsh", "-f", "-c"],
    "fish": ["fish", "--no-config", "-c"],
}
LOAD = {
    "bash": 'eval "$(git hub-session shell-init bash)"',
    "zsh": 'eval "$(git hub-session shell-init zsh)"',
    "fish": "git hub-session shell-init fish | source",
}
STATUS = {"bash": "$?", "zsh": "$?", "fish": "$status"}


@pytest.fixture(params=START)
def shell(request: pytest.FixtureRequest) -> str:
    """Return the name of an installed shell."""
    name = str(request.param)
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    return name


def run_in(shell: str, hub: Hub, script: str, cwd: Path | None = None) -> Result:
    return hub.call(*START[shell], f"{LOAD[shell]}\n{script}", cwd=cwd)


def test_the_function_changes_the_directory(shell: str, hub: Hub) -> None:
    hub.session(agents=2)
    hub.spawn("s1", 1, 2)
    place = hub.worktrees / "s1"
    script = "hubcd s1 agent-2; pwd; hubcd 1/attempt-1; pwd; hubcd 1; pwd"
    assert run_in(shell, hub, script) == Result(
        0, f"{place / 'agent-2'}\n{place / 'agent-1'}\n{place / 'agent-1-2'}\n"
    )


def test_an_error_leaves_the_directory(shell: str, hub: Hub) -> None:
    hub.session(agents=1)
    result = run_in(shell, hub, f'hubcd s1 2; echo "{STATUS[shell]}"; pwd')
    assert result == Result(
        0,
        f"128\n{hub.top}\n",
        "fatal: no such agent: 'agent-2'\nhint: choose one of the session: agent-1\n",
    )


def test_a_path_with_line_feeds_and_signs(shell: str, hub: Hub) -> None:
    hub.session()
    path = hub.top.parent / "-a'b $(x)\nc"
    hub.git("worktree", "add", "-q", "-b", "hub/s1/agent-1/attempt-1", path)
    assert run_in(shell, hub, "hubcd s1 1; command pwd") == Result(0, f"{path}\n")


def test_no_shell(hub: Hub) -> None:
    hint = "hint: use one of bash, zsh, fish\n"
    assert hub.run("shell-init") == Result(129, "", f"error: no shell given\n{hint}")
    assert hub.run("shell-init", "sh") == Result(129, "", f"error: not a shell: 'sh'\n{hint}")
