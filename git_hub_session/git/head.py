"""What the files of a git directory say of its HEAD: where it is, what is unfinished there, where it was.

Source: gitrepository-layout(5), git's wt-status.c and reflog format. Of the repository, or of
one linked worktree, whose own git directory is its entry.
"""

from __future__ import annotations

import os

from git_hub_session._typing import NamedTuple
from git_hub_session.git.ref_names import HEADS, REFS, is_object_id
from git_hub_session.git.safe_open import read_text


def read_head(git_dir: str) -> tuple[str, str]:
    """What HEAD in `git_dir` says: (full ref, '') or ('', object id) or ('', '') where it is no HEAD."""
    path = os.path.join(git_dir, "HEAD")
    try:
        if os.path.islink(path):
            return os.readlink(path), ""
    except OSError:
        return "", ""
    text = read_text(path).rstrip("\n")
    if text.startswith("ref:") and "\0" not in text:
        return text[4:].strip(), ""
    return "", text if is_object_id(text) else ""


class Operation(NamedTuple):
    """What is unfinished in a worktree."""

    name: str
    """'merge', 'rebase', 'am', 'cherry-pick', 'revert', 'bisect' or ''."""
    branches: tuple[str, ...]
    """The full refs of the branches that it will come back to."""
    other_branches: tuple[str, ...]
    """Other branches that `rebase --update-refs` will move."""


# What tells of an unfinished operation, and of which; where there are two, the first is meant.
_MARKS = {
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "BISECT_LOG": "bisect",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "sequencer": "cherry-pick",
}


_APPLYING = "rebase-apply/applying"  # git am's, which otherwise looks like an old rebase


def read_operation(git_dir: str) -> Operation:
    """The unfinished operation in the worktree whose own git directory is `git_dir`."""
    present = _operation_files(git_dir)
    branches: list[str] = []
    moved: list[str] = []
    for directory in present & {"rebase-merge", "rebase-apply"}:
        branches.append(read_text(os.path.join(git_dir, directory, "head-name")).strip())
        # Three lines each: the ref, its old and its new object id.
        moved += read_text(os.path.join(git_dir, directory, "update-refs")).splitlines()[::3]
    if "BISECT_LOG" in present:
        start = read_text(os.path.join(git_dir, "BISECT_START")).strip()
        if not is_object_id(start):  # begun off any branch
            branches.append(start if start.startswith(REFS) else HEADS + start)
    name = next((name for mark, name in _MARKS.items() if mark in present), "")
    if "rebase-apply" in present and os.path.exists(os.path.join(git_dir, _APPLYING)):
        name = "am"
    return Operation(name, _branches_only(branches), _branches_only(moved))


def _operation_files(git_dir: str) -> set[str]:
    """Which of _MARKS are there: one listing, for nearly always there is none."""
    try:
        return _MARKS.keys() & os.listdir(git_dir)
    except OSError:
        return {mark for mark in _MARKS if os.path.lexists(os.path.join(git_dir, mark))}


def _branches_only(refs: list[str]) -> tuple[str, ...]:
    return tuple(ref for ref in refs if ref.startswith(HEADS) and "\0" not in ref)


_MOVING = "checkout: moving from "  # what git checkout and git switch say there


def read_reflog(git_dir: str, ref: str) -> list[str]:
    """The lines of a reflog: old id, new id, who, when; then a tab and why."""
    return read_text(os.path.join(git_dir, "logs", ref), limit=1 << 24, end=True).splitlines()


def reflog_tip(git_dir: str, ref: str) -> str:
    """The object id that the reflog of `ref` in `git_dir` has last, or ''."""
    last = "".join(read_reflog(git_dir, ref)[-1:])[41:81]
    return last if is_object_id(last) else ""


def previous_branches(git_dir: str) -> list[str]:
    """The full refs of the branches that HEAD has left, in that order, as its reflog has them."""
    whys = (line.partition("\t")[2] for line in read_reflog(git_dir, "HEAD"))
    moves = (why.removeprefix(_MOVING) for why in whys if why.startswith(_MOVING))
    sources = (move.partition(" ")[0] for move in moves)
    return [HEADS + source for source in sources if not is_object_id(source)]


def reflog_commits(common_dir: str, ref: str) -> list[str]:
    """The object ids that the reflog of the full ref `ref` has; it goes with the ref."""
    words = dict.fromkeys(line[41:81] for line in read_reflog(common_dir, ref))
    return [word for word in words if is_object_id(word)]
