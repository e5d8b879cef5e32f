"""A session in which each text is hostile."""

from __future__ import annotations

import json

from tests.support.hub import Hub

HOSTILE = "</title></pre><script>alert(1)</script><img src=x onerror=alert(1)>'\"&amp;\x1b[31m\u202e|`@all`"
SHOWN = HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")


def create_hostile_session(hub: Hub) -> None:
    """Create a session in which each text is hostile."""
    task = f"{HOSTILE}\n{HOSTILE}"
    hub.run(
        "init", "-q", "--id", "s1", "--agents", "1", "--strategy", HOSTILE, "-F", "-", stdin=task
    )
    hub.run("spawn", "-q", "s1")
    worktree = hub.top.parent / "project.hub" / "s1" / "agent-1"
    (worktree / "<b>").write_text(f"{HOSTILE}\n")
    hub.git("add", "-A", cwd=worktree)
    hub.git("commit", "-qm", HOSTILE, cwd=worktree)
    hub.run("board", "post", "-q", "results", "-m", HOSTILE, cwd=worktree)
    script = f"printf '%s\\n' {json.dumps(HOSTILE)!s}; exit 1"
    hub.run("exec", "-q", "s1", "--", "sh", "-c", script)
    message = ("--ranking", "1", "--include-failed", "-m", HOSTILE)
    assert hub.run("eval", "-q", "s1", *message).code == 0
