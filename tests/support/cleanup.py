"""Helpers of the cleanup tests: the content of worktrees, and the expected output."""

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


def read_content(hub: Hub, worktree: Path) -> WorktreeContent:
    """Return the `git status`, the files and the executables of a worktree.

    Do not refresh its index.
    """
    status = hub.git(
        "--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=all", cwd=worktree
    )
    files = snapshot(worktree)
    del files[".git"]
    programs = [name for name in files if os.lstat(worktree / name).st_mode & 0o170100 == 0o100100]
    return WorktreeContent(sorted(status.split("\0")), files, sorted(programs))


def everything(hub: Hub) -> dict[str, bytes | str]:
    """Return all files of the repository, the hub and the worktrees, and the directory modes."""
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
    worktree: Path, *, branch: str = BRANCH, ref: str = RESCUE, sid: str = "s1", start: str = ""
) -> Result:
    """Return the result of a cleanup that saved the work of one worktree and removed it."""
    return Result(
        0,
        f"{branch.split('/')[2]}: removed {shown_path(worktree)}, saved uncommitted work, kept its branch\n"
        f"  bring it back: {restore_command(worktree, branch=branch, ref=ref, start=start)}\n"
        f"Cleaned up 1 worktree for session {sid}\n",
    )


def shown_path(worktree: Path) -> str:
    """Return the path of a worktree as a command in the main worktree, `project`, shows it."""
    [top] = [
        parent / "project" for parent in worktree.parents if (parent / "project" / ".git").exists()
    ]
    return os.path.relpath(worktree, top)


def agent_of(worktree: Path) -> str:
    """Return the agent of a worktree at its usual path, or agent-1 for another path."""
    return worktree.name if re.fullmatch(r"agent-\d+", worktree.name) else "agent-1"


def restore_command(
    worktree: Path, *, branch: str = BRANCH, ref: str = RESCUE, start: str = ""
) -> str:
    """Return the shell command that `cleanup` prints for saved work."""
    return f"git worktree add {worktree} {start or branch} && git -C {worktree} stash apply --index {ref}"


def removed(*worktrees: Path, sid: str = "s1") -> Result:
    """Return the result of a cleanup that removed clean worktrees."""
    count = f"{len(worktrees)} worktree{'' if len(worktrees) == 1 else 's'}"
    return Result(
        0,
        "".join(
            f"{agent_of(worktree)}: removed {shown_path(worktree)}, kept its branch\n"
            for worktree in worktrees
        )
        + f"Cleaned up {count} for session {sid}\n",
    )


def kept(
    worktree: Path, reason: str, hint: str = "", *, sid: str = "s1", shown: str = ""
) -> Result:
    """Return the result of a cleanup that kept the only worktree, which the output shows so."""
    hints = "".join(f"  hint: {text}\n" for text in hint.splitlines())
    return Result(
        1,
        f"{agent_of(worktree)}: kept {shown or shown_path(worktree)}\n  {reason}\n{hints}"
        f"Cleaned up 0 worktrees for session {sid}\n",
    )


def run_restore_commands(hub: Hub, result: Result) -> None:
    """Run the commands that a cleanup printed to restore the saved work."""
    commands = re.findall("^  bring it back: (.*)$", result.out, re.MULTILINE)
    assert commands, result
    for command in commands:
        outcome = hub.call("sh", "-c", command)
        assert outcome.code == 0, outcome


def assert_restored_as_printed(
    hub: Hub, worktree: Path, *, status: list[str] | None = None
) -> None:
    """Clean up the only worktree, run the printed restore command, and compare status and files.

    `status` is the expected status if git ignored the changes before the cleanup.
    """
    before = read_content(hub, worktree)
    if status is not None:
        before = before._replace(status=sorted(["", *status]))
    assert before.status != [""], "the test must create uncommitted changes"
    result = hub.run("cleanup", "s1")
    assert result == saved(worktree)
    assert not worktree.exists()
    assert hub.git("worktree", "list", "--porcelain").count("worktree ") == 1
    run_restore_commands(hub, result)
    assert read_content(hub, worktree) == before
