"""Helpers of the cleanup tests: the complete state of worktrees, and the expected output."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from tests.support.hub import Hub, Result, snapshot

BRANCH = "hub/s1/agent-1/attempt-1"
RESCUE = "refs/hub/rescue/s1/agent-1/attempt-1/1"


class WorktreeContent(NamedTuple):
    """A worktree as git and the file system show it."""

    status: list[str]
    files: dict[str, bytes | str]
    programs: list[str]


def look(hub: Hub, where: Path) -> WorktreeContent:
    """Return the `git status`, the files and the executables of a worktree.

    Do not refresh its index.
    """
    status = hub.git(
        "--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=all", cwd=where
    )
    files = snapshot(where)
    del files[".git"]
    programs = [name for name in files if os.lstat(where / name).st_mode & 0o170100 == 0o100100]
    return WorktreeContent(sorted(status.split("\0")), files, sorted(programs))


def everything(hub: Hub) -> dict[str, bytes | str]:
    """Return all files of the repository, its hub and its worktrees, and the directories' modes."""
    top = hub.top.parent
    modes = {
        f"{path.relative_to(top)}/": oct(path.lstat().st_mode)
        for path in top.rglob("*")
        if path.is_dir() and not path.is_symlink()
    }
    return {**snapshot(top), **modes}


def repair_commands(hub: Hub, sid: str = "s1") -> list[str]:
    """Return the repair commands that the doctor prints for a session."""
    findings = hub.json("doctor", sid, code=1)["findings"]
    return [finding["advice"] for finding in findings if finding["advice"]]


def saved(
    where: Path, *, branch: str = BRANCH, ref: str = RESCUE, sid: str = "s1", start: str = ""
) -> Result:
    """Return the result of a cleanup that saved the work of one worktree and removed it."""
    return Result(
        0,
        f"Saved uncommitted work of {branch} in {ref}\n"
        f"  bring it back: {line(where, branch=branch, ref=ref, start=start)}\n"
        f"Removed worktree: {where}\n"
        f"Cleaned up 1 worktree for session {sid}\n",
    )


def line(where: Path, *, branch: str = BRANCH, ref: str = RESCUE, start: str = "") -> str:
    """Return the shell command that is printed for saved work."""
    return f"git worktree add {where} {start or branch} && git -C {where} stash apply --index {ref}"


def removed(*where: Path, sid: str = "s1") -> Result:
    """Return the result of a cleanup that removed clean worktrees."""
    count = f"{len(where)} worktree{'' if len(where) == 1 else 's'}"
    return Result(
        0,
        "".join(f"Removed worktree: {path}\n" for path in where)
        + f"Cleaned up {count} for session {sid}\n",
    )


def kept(where: Path, reason: str, hint: str = "", *, sid: str = "s1") -> Result:
    """Return the result of a cleanup that kept the only worktree."""
    hints = "".join(f"  hint: {text}\n" for text in hint.splitlines())
    return Result(
        1,
        f"Kept worktree: {where}\n  {reason}\n{hints}Cleaned up 0 worktrees for session {sid}\n",
    )


def bring_back(hub: Hub, result: Result) -> None:
    """Run the commands that a cleanup printed to restore the saved work."""
    lines = re.findall("^  bring it back: (.*)$", result.out, re.MULTILINE)
    assert lines, result
    for command in lines:
        restored = hub.call("sh", "-c", command)
        assert restored.code == 0, restored


def comes_back(hub: Hub, where: Path, *, status: list[str] | None = None) -> None:
    """Clean up the only worktree, restore its work as printed, and compare status and files.

    `status` is the expected status if git ignored the changes before the cleanup.
    """
    before = look(hub, where)
    if status is not None:
        before = before._replace(status=sorted(["", *status]))
    assert before.status != [""], "the test must create uncommitted changes"
    result = hub.run("cleanup", "s1")
    assert result == saved(where)
    assert not where.exists()
    assert hub.git("worktree", "list", "--porcelain").count("worktree ") == 1
    bring_back(hub, result)
    assert look(hub, where) == before
