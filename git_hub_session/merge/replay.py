"""Replay the winner's commits on another commit without a checkout, as `git rebase` does.

Git merges the files of two commits relative to their merge base. To apply the change of a commit,
merge it with a temporary commit that has the files so far, and the same parent. The merge base is then
this parent. Every git with `merge-tree --write-tree` can do this.

As in `git rebase`, merge commits are left out, and so are commits whose change the branch has. A
commit that is already on top of the branch stays as it is.
"""

from __future__ import annotations

import re

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Refused
from git_hub_session.worktree.merge_tree import MergeTreeResult, run_merge_tree

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.git.repository import GitRepo

_COMMITS = (
    *("rev-list", "--reverse", "--topo-order", "--no-merges"),
    *("--cherry-pick", "--right-only", "--end-of-options"),
)
_NO_REBASE = "merge without --rebase"
_NOBODY = "git hub-session <git-hub-session@localhost> 0 +0000"
_AUTHOR = re.compile(rb"author (.*?) ?<([^<>\n]*)> (-?[0-9]+ [+-][0-9]{4})")


class ReplayedCommit(NamedTuple):
    """A commit to copy, and the tree of the copy."""

    oid: str
    tree: str


class Replay(NamedTuple):
    """The commits to create on top of a branch, or the first commit that conflicts."""

    start: str
    """The parent of the first new commit: the tip of the branch, or a commit on top of it."""
    commits: tuple[ReplayedCommit, ...]
    result: MergeTreeResult
    """The files after the last commit, or the conflicts."""
    conflicting: str = ""
    """The object id of the commit that conflicts, or ''."""


class CommitText(NamedTuple):
    """The parts of a commit that its copy keeps, as bytes of `encoding`."""

    author: bytes
    email: bytes
    date: bytes
    """The seconds since the epoch and the time zone, such as b"1700000000 +0100"."""
    encoding: str
    message: bytes


def plan_replay(git: GitAt, repo: GitRepo, base: str, tip: str) -> Replay:
    """Compute the copies of the commits of `tip` on top of `base`. Change no ref and no file.

    Args:
        git: the git of open_merge_git().

    Raises:
        Refused: a commit has no parent.
        GitFailed: git could not compute the files.
    """
    commits = git.run([*_COMMITS, f"{base}...{tip}"]).decode().split()
    return _replay(git, repo, base, commits)


def _replay(git: GitAt, repo: GitRepo, base: str, commits: list[str]) -> Replay:
    start = base
    tree = repo.tree_id(base).hex()
    copies: list[ReplayedCommit] = []
    is_rewritten = False
    for oid in commits:
        parents = repo.commit_parents([oid], []).get(oid, [])
        if not parents:
            raise Refused(f"cannot copy commit {oid[:12]}: it has no parent", hint=_NO_REBASE)
        old_tree, own_tree = (repo.tree_id(commit).hex() for commit in (parents[0], oid))
        if not is_rewritten and parents[0] == start:
            start, tree = oid, own_tree
            continue
        result = run_merge_tree(git, _write_counterpart(git, tree, parents[0]), oid)
        if result.conflicts:
            return Replay(start, tuple(copies), result, oid)
        is_rewritten = True
        if result.tree != tree or own_tree == old_tree:  # the branch does not have the change
            tree = result.tree
            copies.append(ReplayedCommit(oid, tree))
    return Replay(start, tuple(copies), MergeTreeResult(tree))


def _write_counterpart(git: GitAt, tree: str, parent: str) -> str:
    """Write the temporary commit. No ref points to it, so git deletes it after some weeks."""
    text = f"tree {tree}\nparent {parent}\nauthor {_NOBODY}\ncommitter {_NOBODY}\n\n"
    command = ["hash-object", "-t", "commit", "-w", "--stdin"]
    return git.run(command, stdin=text.encode()).decode().strip()


def commit_replay(git: GitAt, repo: GitRepo, replay: Replay, *, sign: bool) -> str:
    """Create the commits of the replay. Return the last one. Raise Refused or GitFailed.

    Keep the authors and the messages. The user is the committer.
    """
    head = replay.start
    for oid, tree in replay.commits:
        text = parse_commit(repo.commit_data(oid))
        if text is None:
            raise Refused(
                f"cannot copy commit {oid[:12]}: its author is not valid", hint=_NO_REBASE
            )
        names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE")
        values = (text.author, text.email, b"@" + text.date)
        author = {
            name: value.decode("utf-8", "surrogateescape")
            for name, value in zip(names, values, strict=True)
        }
        settings = {"i18n.commitEncoding": text.encoding}
        head = git.commit_tree(
            tree, [head], text.message, sign=sign, settings=settings, environ=author
        )
    return head


def parse_commit(data: bytes) -> CommitText | None:
    """Return the parts of a commit object, or None if its author is not valid."""
    headers, _, message = data.partition(b"\n\n")
    author = None
    encoding = "utf-8"
    for line in headers.split(b"\n"):
        if line.startswith(b"author "):
            author = _AUTHOR.fullmatch(line)
        elif line.startswith(b"encoding "):
            encoding = line.removeprefix(b"encoding ").decode("utf-8", "surrogateescape")
    if author is None:
        return None
    text = CommitText(author[1], author[2], author[3], encoding, message)
    try:
        return _in_utf8(text)
    except (LookupError, UnicodeError):
        return text


def _in_utf8(text: CommitText) -> CommitText:
    """Return the text in UTF-8: the name of the committer, from the settings, is UTF-8 too."""
    author, message = (part.decode(text.encoding).encode() for part in (text.author, text.message))
    return text._replace(author=author, encoding="utf-8", message=message)
