"""One thing that does not fit, as a value. KINDS is all that there are; the codes are stable."""

from __future__ import annotations

from git_hub_session._typing import NamedTuple

FINDINGS = {
    # the place
    "git-missing": "git cannot be started",
    "git-too-old": "git lacks what some commands need",
    "git-lock-left": "a lock file of a git that was killed is in the way",
    "cannot-open": "libgit2 does not open the repository",
    "hub-damaged": "the hub, or a part of it, is a link or no directory",
    "hub-copied": "the hub, or a copy of it, is checked out of a commit",
    "hub-not-ignored": "git does not ignore the hub",
    "board-damaged": "the index of the message board cannot be read",
    # sessions
    "not-a-session": "something in the hub is no session",
    "half-made-session": "an init was cut off",
    "ids-fold": "ids differ only by case",
    "config-damaged": "config.yaml cannot be understood",
    "state-damaged": "state.json cannot be understood",
    "state-unknown": "the state is none that there is",
    "history-contradicts": "the history does not lead to the state",
    "lock-orphaned": "whoever took the lock is dead, and it is held",
    "leftover-file": "a file was being written when its writer was killed",
    "agent-cut-off": "a command was cut off while it worked for an agent",
    "merge-cut-off": "a merge was cut off",
    "session-forgotten": "it runs, but nobody has done anything for a day",
    "base-gone": "the base branch, or the commit that the agents started from, is gone",
    # worktrees
    "worktree-of-no-session": "a worktree of a session that is not there",
    "worktree-of-finished": "the session is over, and a worktree of it is there",
    "worktree-half-added": "git was killed while it made the worktree",
    "removal-cut-off": "a cleanup was killed while it removed the worktree",
    "worktree-missing": "the directory is gone, the entry is not",
    "worktree-moved": "the directory lies elsewhere than the entry says",
    "worktree-off-branch": "what is committed in it gets onto no branch of its agent",
    "worktree-damaged": "entry and directory do not point to each other",
    "lock-of-dead-process": "it is locked for a process that is dead",
    "trash-left": "a directory that a killed cleanup moved aside",
    # refs
    "branches-of-no-session": "branches of a session that is not there",
    "ref-broken": "an agent's branch, an archive tag or a rescue ref leads to no commit",
    "agent-without-branch": "an agent's branch is gone, and no tag has its work",
    "tag-elsewhere": "an archive tag is not on the branch that it archives",
    "rescue-of-no-session": "rescue refs with nothing to say whose they are",
    "rescue-unrecorded": "saved work of which its session says nothing",
}
"""{code: what it means}"""


class Finding(NamedTuple):
    """Something that does not fit."""

    code: str
    subject: str
    """What it is about: a session's id, a path, a ref."""
    evidence: str
    """What was seen, as a sentence that continues the subject."""
    session: str = ""
    """The id of the session that it belongs to, or ''."""
    fix: str = ""
    """What --fix does, as a command ("remove the entry"); '' where it leaves it alone."""
    advice: str = ""
    """What a person can do, where --fix does nothing: something to type, if that is possible."""
    git_dir: str = ""
    """The entry of the worktree that it is about: paths can be in two of them."""
