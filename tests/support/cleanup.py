"""What the tests of cleanup share: worktrees looked at whole, before and after."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from tests.support.hub import Hub, Result, snapshot

BRANCH = "hub/s1/agent-1/attempt-1"
RESCUE = "refs/hub/rescue/s1/agent-1/attempt-1/1"


class Look(NamedTuple):
    """A worktree as git and as the file system show it."""

    status: list[str]
    files: dict[str, bytes | str]
    programs: list[str]


def look(hub: Hub, where: Path) -> Look:
    """`git status`, untracked files and all, each file's bytes, what is executable; nothing is refreshed."""
    status = hub.git(
        "--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=all", cwd=where
    )
    files = snapshot(where)
    del files[".git"]
    programs = [name for name in files if os.lstat(where / name).st_mode & 0o170100 == 0o100100]
    return Look(sorted(status.split("\0")), files, sorted(programs))


def everything(hub: Hub) -> dict[str, bytes | str]:
    """Every byte of the repository, its hub and its worktrees, and the directories' modes."""
    found = snapshot(hub.top.parent)
    return {
        **found,
        **{
            f"{path.relative_to(hub.top.parent)}/": oct(path.lstat().st_mode)
            for path in hub.top.parent.rglob("*")
            if path.is_dir() and not path.is_symlink()
        },
    }


def saved(
    where: Path, *, branch: str = BRANCH, ref: str = RESCUE, sid: str = "s1", start: str = ""
) -> Result:
    """How a cleanup ends that saved the work of one worktree and removed it."""
    return Result(
        0,
        f"Saved uncommitted work of {branch} in {ref}\n"
        f"  bring it back: {line(where, branch=branch, ref=ref, start=start)}\n"
        f"Removed worktree: {where}\n"
        f"Cleaned up 1 worktree for session {sid}\n",
    )


def line(where: Path, *, branch: str = BRANCH, ref: str = RESCUE, start: str = "") -> str:
    """The shell line that is printed for saved work."""
    return f"git worktree add {where} {start or branch} && git -C {where} stash apply --index {ref}"


def removed(*where: Path, sid: str = "s1") -> Result:
    """How a cleanup ends that removed clean worktrees."""
    count = f"{len(where)} worktree{'' if len(where) == 1 else 's'}"
    return Result(
        0,
        "".join(f"Removed worktree: {path}\n" for path in where)
        + f"Cleaned up {count} for session {sid}\n",
    )


def kept(where: Path, reason: str, hint: str = "", *, sid: str = "s1") -> Result:
    """How a cleanup ends that kept the one worktree."""
    hints = "".join(f"  hint: {one}\n" for one in hint.splitlines())
    return Result(
        1,
        f"Kept worktree: {where}\n  {reason}\n{hints}Cleaned up 0 worktrees for session {sid}\n",
    )


def bring_back(hub: Hub, result: Result) -> None:
    """Type the lines that the command printed."""
    lines = re.findall("^  bring it back: (.*)$", result.out, re.MULTILINE)
    assert lines, result
    for typed in lines:
        done = hub.call("sh", "-c", typed)
        assert done.code == 0, done


def comes_back(hub: Hub, where: Path, *, status: list[str] | None = None) -> None:
    """Clean up the one worktree, bring its work back as printed: status and bytes are equal.

    `status` is what git says afterwards, where it was told not to see the changes before.
    """
    before = look(hub, where)
    if status is not None:
        before = before._replace(status=sorted(["", *status]))
    assert before.status != [""], "the test has to make something uncommitted"
    result = hub.run("cleanup", "s1")
    assert result == saved(where)
    assert not where.exists()
    assert hub.git("worktree", "list", "--porcelain").count("worktree ") == 1
    bring_back(hub, result)
    assert look(hub, where) == before
