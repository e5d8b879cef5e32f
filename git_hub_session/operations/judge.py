"""May a worktree go, and what has to be saved first? Rules as pure functions of facts.

The order is the order in which a person would want to hear the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from os import fsdecode
from shlex import quote

from git_hub_session.operations.examine import Examination, is_savable
from git_hub_session.operations.links import way_back
from git_hub_session.operations.offbranch import off_branch
from git_hub_session.operations.ownership import session_of
from git_hub_session.operations.policy import Policy
from git_hub_session.refnames import HEADS, SessionId, short
from git_hub_session.typed import NamedTuple
from git_hub_session.worktrees import Worktree


class Reason(NamedTuple):
    """Why a worktree is kept: a stable code, a sentence, and what can be done ('' if nothing)."""

    code: str
    message: str
    hint: str = ""


CHANGED = Reason("changed", "something was written into it meanwhile", "try again")
GONE = Reason("changed", "its directory went meanwhile", "try again")
GIT_USED = Reason("changed", "git was used in it meanwhile", "try again")


class Surroundings(NamedTuple):
    """What lies around one worktree."""

    session: SessionId
    stood_in: bool
    """Whether the command itself was called in it."""
    users: tuple[str, ...]
    """The other processes whose current directory is in it: '1234 (bash)'."""
    mounts: tuple[str, ...]
    """The mount points at or below it."""
    contained: tuple[str, ...]
    """Other worktrees, the repository or the hub, where they lie in it."""
    away: str = ""
    """Where the directory lies, if it was moved."""
    back: str = ""
    """What to type then, to have the two together again."""
    uprooted: bool = False
    """Whether it is missing, and the directory that it was in is, too."""
    onto: str = ""
    """What to type to have it on a branch, where it is off its own."""


def in_use(users: Sequence[str], sid: SessionId) -> Reason:
    """Processes stand in it: '1234 (bash)'."""
    return Reason("in-use", f"in use by process {', '.join(users)}", f"end it, or: {_forced(sid)}")


def _forced(sid: SessionId) -> str:
    """What overrules the reason; in full, for `archive` and `merge` say it too."""
    return f"git hub-session cleanup --force {sid}"


def reason_before_looking(
    worktree: Worktree, around: Surroundings, policy: Policy
) -> Reason | None:
    """Why the worktree stays whatever is in it, or None."""
    where = quote(worktree.path)
    if worktree.lock is not None:
        because = f": {worktree.lock}" if worktree.lock else ""
        return Reason("locked", f"locked{because}", f"git worktree unlock {where}")
    if around.stood_in:
        return Reason("current", "you are in it", "call it from another directory")
    if around.away:
        return Reason("moved", f"its directory lies in '{around.away}'", around.back)
    if worktree.fault:
        return Reason("damaged-link", worktree.fault, way_back(worktree))
    if around.users and not policy.force:
        return in_use(around.users, around.session)
    if around.mounts:
        return Reason(
            "mount-point", f"a mount point: {around.mounts[0]}", f"umount {quote(around.mounts[0])}"
        )
    if around.contained:
        return Reason("contains", f"'{around.contained[0]}' lies in it", f"move it out of {where}")
    if worktree.index_locked:
        return Reason(
            "index-locked",
            "its index is locked: a git command is running there, or was killed",
            f"wait for it, or delete {quote(worktree.entry + '/index.lock')}",
        )
    if worktree.submodules:
        return Reason(
            "submodule",
            f"it holds repositories of submodules: {worktree.submodules}",
            f"push what is in them, then delete {quote(worktree.submodules)}",
        )
    if worktree.operation and not policy.force:
        return _in_the_middle(worktree, around.session)
    if around.uprooted and not policy.force:
        gone = "its directory is gone, and so is the one that it was in"
        hint = f"bring it back; if it is gone: {_forced(around.session)}"
        return Reason("place-missing", gone, hint)
    return _off_branch(worktree, around, policy) if around.onto else None


def _off_branch(worktree: Worktree, around: Surroundings, policy: Policy) -> Reason | None:
    """Where HEAD was cut off nobody knows what is committed there: that stays by force, too."""
    may_go = bool(worktree.detached) or worktree.missing
    if may_go and policy.force:
        return None
    more = f", or: {_forced(around.session)}" if may_go else ""
    return Reason("off-branch", off_branch(worktree), f"{around.onto}{more}")


def _in_the_middle(worktree: Worktree, sid: SessionId) -> Reason:
    operation, forced = worktree.operation, _forced(sid)
    way = _git_in(worktree, "bisect reset" if operation == "bisect" else f"{operation} --abort")
    return Reason(
        "operation",
        f"in the middle of {'an' if operation == 'am' else 'a'} {operation}",
        f"{forced}, or: {way}" if worktree.missing else f"{way}, or: {forced}",
    )


def _git_in(worktree: Worktree, words: str) -> str:
    return way_back(worktree) if worktree.missing else f"git -C {quote(worktree.path)} {words}"


def head_back(worktree: Worktree) -> str:
    """How HEAD leads to a commit again: its branch was deleted under it, most likely."""
    if worktree.head.startswith(HEADS) and worktree.came_from:
        return f"git branch {quote(short(worktree.head))} {worktree.came_from}"
    return _git_in(worktree, "status")


def reason_after_looking(worktree: Worktree, seen: Examination, policy: Policy) -> Reason | None:
    """Why the worktree stays because of what is in it, or None."""
    where = quote(worktree.path)
    if not seen.head:
        return Reason("unreadable-head", "its HEAD leads to no commit", head_back(worktree))
    if seen.indexed.unmerged:
        return Reason(
            "unmerged",
            f"unmerged entries: {_some(sorted(seen.indexed.unmerged))}",
            _git_in(worktree, "status"),
        )
    if seen.submodules:
        return Reason(
            "submodule",
            f"a populated submodule: {_some(seen.submodules)}",
            f"git -C {where} submodule deinit --all",
        )
    if seen.repositories:
        return Reason(
            "nested-repository",
            f"another repository in it: {_some(seen.repositories)}",
            f"move it out of {where}",
        )
    if seen.tree.devices:
        return Reason("mount-point", f"a mount point: {_some(seen.tree.devices)}")
    if policy.discard:
        return None
    if seen.special:
        return Reason(
            "special-file", f"not a file that git can save: {_some(seen.special)}", "use --discard"
        )
    size = seen.size(to_save(seen, policy))
    if size > policy.rescue_limit:
        sid = session_of(worktree) or "<id>"
        return Reason(
            "too-large",
            f"{size:,} bytes of untracked files are more than hubsession.rescueLimit ({policy.rescue_limit:,})",
            f"git -c hubsession.rescueLimit={size} hub-session cleanup {sid}, or use --discard",
        )
    return None


def to_save(seen: Examination, policy: Policy) -> tuple[bytes, ...]:
    """The files not in the index that must not be lost: untracked, and ignored ones worth keeping."""
    return seen.untracked + tuple(
        path
        for path in seen.ignored
        if is_savable(seen.tree.files[path].st_mode)
        and _is_worth_keeping(path, policy.keep_ignored)
    )


def _is_worth_keeping(path: bytes, patterns: Sequence[str]) -> bool:
    text = fsdecode(path)
    name = text.rpartition("/")[2]
    return any(fnmatchcase(text if "/" in pattern else name, pattern) for pattern in patterns)


def _some(paths: Sequence[bytes]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(f"'{fsdecode(path)}'" for path in paths[:3]) + more
