"""Run `doctor`, and damage a session for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from git_hub_session.doctor import doctor  # the module imports every check
from git_hub_session.doctor.finding import FINDINGS
from tests.support.hub import Hub

assert doctor.CHECKS
FINDING_CODES = set(FINDINGS)


def list_findings(hub: Hub, *arguments: str, code: int) -> list[tuple[str, str, bool]]:
    """Run `doctor` and return (code, subject, fixed) of each finding."""
    result = hub.json("doctor", *arguments, code=code)
    return [
        (finding["code"], finding["subject"], finding["fixed"]) for finding in result["findings"]
    ]


def edit_state(hub: Hub, sid: str, **changes: Any) -> str:
    """Write into state.json like another program, and return the id of the session."""
    (hub.directory(sid) / "state.json").write_text(json.dumps({**hub.state(sid), **changes}))
    return sid


def worktree_git_dir(hub: Hub, sid: str, agent: int = 1) -> Path:
    """Return the git dir of the agent's worktree."""
    text = (hub.worktree(agent, sid) / ".git").read_text()
    return Path(text.removeprefix("gitdir: ").strip())


def truncate_branch(hub: Hub, sid: str) -> str:
    """Truncate the file of agent-2's branch, as a power failure does, and return the branch."""
    name = f"hub/{sid}/agent-2/attempt-1"
    (hub.top / ".git" / "refs" / "heads" / name).write_text("")
    edit_state(hub, sid, state="running", agents={"agent-2": {"status": "ready", "attempt": 1}})
    return name
