"""Sessions that are evaluated and ready for a merge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.cleanup import everything
from tests.support.hub import Hub, Result


def create_evaluated_session(
    hub: Hub, *, agents: int = 2, sid: str = "s1", task: str = "Make it fast"
) -> Hub:
    """Create an evaluated session. Its winner agent-2 has changed `file` and added `new`."""
    hub.run("init", "-q", "--id", sid, "--task", task, "--agents", str(agents))
    hub.run("spawn", "-q", sid)
    for agent in range(1, agents + 1):
        (agent_worktree(hub, agent, sid) / "file").write_text(f"first\nby agent {agent}\n")
        hub.git("add", "-A", cwd=agent_worktree(hub, agent, sid))
        hub.commit(agent_worktree(hub, agent, sid), "new", f"{agent}\n")
    assert hub.run("eval", "-q", "--ranking", "2,1", sid) == Result(0)
    return hub


def agent_worktree(hub: Hub, agent: int, sid: str = "s1") -> Path:
    """Return the path of the worktree of an agent."""
    return hub.top.parent / "project.hub" / sid / f"agent-{agent}"


def protected_state(hub: Hub) -> dict[str, Any]:
    """Return everything that a refused merge must not change: all but git's objects and caches."""
    files = everything(hub)
    protected = {
        path: content
        for path, content in files.items()
        if "/objects/" not in path and not path.endswith(("/.git/index", "agent-1/index"))
    }
    return {**protected, "index": hub.git("ls-files", "--stage"), "status": git_status(hub)}


def git_status(hub: Hub, worktree: Path | None = None) -> str:
    """Return the branch and the changes that `git status` prints. Do not refresh the index."""
    return hub.git("--no-optional-locks", "status", "--porcelain", "--branch", cwd=worktree)


def write_hook(hub: Hub, name: str, script: str) -> None:
    """Write a hook of the repository."""
    path = hub.top / ".git" / "hooks" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def git_version(hub: Hub) -> tuple[int, ...]:
    """Return the first two numbers of git's version."""
    return tuple(map(int, hub.git("version").split()[2].split(".")[:2]))


def sign_with(hub: Hub, name: str) -> str:
    """Create a key that git signs with. Return its line for gpg.ssh.allowedSignersFile."""
    key = hub.top.parent / name
    hub.call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    hub.git("config", "--global", "gpg.format", "ssh")
    hub.git("config", "--global", "user.signingKey", key)
    return f"ada@example.com {key.with_suffix('.pub').read_text()}"
