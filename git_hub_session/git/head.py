"""Read HEAD, unfinished operations and reflogs from the files of a git dir.

The git dir is that of the repository or of one linked worktree. Sources: gitrepository-layout(5),
git's wt-status.c, and git's reflog format.
"""

from __future__ import annotations

import os
import re

from git_hub_session._typing import NamedTuple
from git_hub_session.git.ref_names import HEADS, REFS, is_object_id
from git_hub_session.git.safe_open import read_existing_text, read_text


def read_head(git_dir: str) -> tuple[str, str]:
    """Return the branch and the commit of HEAD: (full ref, ''), ('', object id) or ('', '').

    Two empty strings mean that HEAD is missing or unreadable. As git's validate_headref(), accept
    a link or a symbolic ref only if it names a ref: git follows no other link.
    """
    path = f"{git_dir}/HEAD"
    try:
        if os.path.islink(path):
            return _ref_or_nothing(os.readlink(path)), ""
    except OSError:
        return "", ""
    text = read_text(path).rstrip("\n")
    if text.startswith("ref:"):
        return _ref_or_nothing(text[4:].strip()), ""
    return "", text if is_object_id(text) else ""


def _ref_or_nothing(name: str) -> str:
    is_ref = name.startswith(REFS) and ".." not in name and "\0" not in name
    return name if is_ref else ""


class Operation(NamedTuple):
    """The unfinished operation in a worktree, such as a rebase."""

    name: str
    """'merge', 'rebase', 'am', 'cherry-pick', 'revert', 'bisect' or ''."""
    branches: tuple[str, ...]
    """The full refs of the branches that HEAD returns to after the operation."""
    other_branches: tuple[str, ...]
    """The full refs of other branches that `rebase --update-refs` will move."""


# The file or directory of each operation. If several exist, the first one counts.
_OPERATION_BY_FILE = {
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "BISECT_LOG": "bisect",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "sequencer": "cherry-pick",
}


_AM_FILE = "rebase-apply/applying"  # the only difference between `git am` and `git rebase --apply`


def read_operation(git_dir: str) -> Operation:
    """Return the unfinished operation of the worktree that has this git dir."""
    files = _operation_files(git_dir)
    branches: list[str] = []
    other_branches: list[str] = []
    for directory in files & {"rebase-merge", "rebase-apply"}:
        branches.append(read_text(os.path.join(git_dir, directory, "head-name")).strip())
        # Three lines for each branch: the ref, its old object id and its new object id.
        update_refs = read_text(os.path.join(git_dir, directory, "update-refs"))
        other_branches += update_refs.splitlines()[::3]
    if "BISECT_LOG" in files:
        start = read_text(os.path.join(git_dir, "BISECT_START")).strip()
        if not is_object_id(start):  # an object id: HEAD was detached before the bisect
            branches.append(start if start.startswith(REFS) else HEADS + start)
    name = next((name for file, name in _OPERATION_BY_FILE.items() if file in files), "")
    if "rebase-apply" in files and os.path.exists(os.path.join(git_dir, _AM_FILE)):
        name = "am"
    return Operation(name, _branches_only(branches), _branches_only(other_branches))


def _operation_files(git_dir: str) -> set[str]:
    """Return the files of unfinished operations. List the git dir once: usually it has none."""
    try:
        return _OPERATION_BY_FILE.keys() & os.listdir(git_dir)
    except OSError:
        paths = {file: os.path.join(git_dir, file) for file in _OPERATION_BY_FILE}
        return {file for file, path in paths.items() if os.path.lexists(path)}


# The files of an unfinished operation that name commits.
_FILES_WITH_COMMITS = {
    "rebase-merge": (
        *("orig-head", "onto", "squash-onto", "autostash", "stopped-sha", "amend"),
        *("git-rebase-todo", "git-rebase-todo.backup", "done"),
        *("rewritten-list", "rewritten-pending"),
    ),
    "rebase-apply": ("orig-head", "onto", "autostash", "original-commit", "rewritten"),
    "sequencer": ("head", "abort-safety", "todo"),
}


def operation_commits(git_dir: str) -> list[str]:
    """Return the ids of the commits that an unfinished operation names. They may be abbreviated.

    The list of a cherry-pick or a rebase can be the only place that names a commit. Raise OSError
    if a file cannot be read.
    """
    commits: dict[str, None] = {}
    for directory in _operation_files(git_dir) & _FILES_WITH_COMMITS.keys():
        for name in _FILES_WITH_COMMITS[directory]:
            path = os.path.join(git_dir, directory, name)
            text = read_existing_text(path, limit=_MAX_OPERATION_FILE)
            for line in text.splitlines():
                commits.update(dict.fromkeys(_ids_in(line.split())))
    return list(commits)


def _ids_in(words: list[str]) -> list[str]:
    """Return the object ids in a line: `<id> <id>`, `pick <id> <subject>` or `fixup -C <id>`."""
    if len(words) == 1 or (words and is_object_id(words[0])):
        candidates = words[:2]
    else:
        # The command of a list can have an option. A later word belongs to the subject.
        candidates = words[2:3] if words[1:2] and words[1].startswith("-") else words[1:2]
    return [word for word in candidates if re.fullmatch("[0-9a-f]{4,64}", word)]


def _branches_only(refs: list[str]) -> tuple[str, ...]:
    return tuple(ref for ref in refs if ref.startswith(HEADS) and "\0" not in ref)


_MAX_OPERATION_FILE = 1 << 24  # bytes
_MAX_REFLOG = 1 << 24  # bytes, from the end, where the newest entries are
_CHECKOUT_MESSAGE = "checkout: moving from "  # of `git checkout` and `git switch`
_RENAME_MESSAGE = f"Branch: renamed {HEADS}"  # of `git branch -m`


def read_reflog(git_dir: str, ref: str, *, strict: bool = False) -> list[str]:
    """Return the lines of a reflog: old id, new id, committer and time, a tab, the message.

    With `strict`, raise OSError if the reflog exists and cannot be read.
    """
    read = read_existing_text if strict else read_text
    path = f"{git_dir}/logs/{ref}"
    return read(path, limit=_MAX_REFLOG, from_end=True).splitlines()


def reflog_tip(git_dir: str, ref: str) -> str:
    """Return the newest object id in the reflog of `ref`, or ''.

    Skip the null id of a deletion.
    """
    for line in reversed(read_reflog(git_dir, ref)):
        oid = line[41:81]
        if is_object_id(oid) and oid.strip("0"):
            return oid
    return ""


def previous_branches(git_dir: str) -> list[str]:
    """Return the full refs of the branches that HEAD has left, oldest first (from its reflog).

    A branch that was renamed while it was checked out counts too.
    """
    messages = (line.partition("\t")[2] for line in read_reflog(git_dir, "HEAD"))
    moves = (
        message.removeprefix(prefix)
        for message in messages
        for prefix in (_CHECKOUT_MESSAGE, _RENAME_MESSAGE)
        if message.startswith(prefix)
    )
    sources = (move.partition(" ")[0] for move in moves)
    return [HEADS + source for source in sources if not is_object_id(source)]


def reflog_commits(common_dir: str, ref: str, *, strict: bool = False) -> list[str]:
    """Return the object ids in the reflog of the full ref `ref`. git deletes both together.

    With `strict`, raise OSError if the reflog exists and cannot be read.
    """
    oids = dict.fromkeys(line[41:81] for line in read_reflog(common_dir, ref, strict=strict))
    return [oid for oid in oids if is_object_id(oid)]
