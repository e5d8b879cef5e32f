"""The options of a merge, and the command line that they come from."""

from __future__ import annotations

from enum import Enum

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.ref_names import HEADS, agent_name
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId

PARAGRAPH = "\n\n"
"""The text between two paragraphs of the message. Each paragraph is one option -m."""


class MergeKind(str, Enum):
    """The way in which the winner's commits come into the branch, as state.json spells it."""

    MERGE = "merge"
    """A merge commit."""
    SQUASH = "squash"
    """One commit with the files of the merge."""
    FAST_FORWARD = "ff"
    """No new commit: the branch moves to the winner's tip."""
    REBASE = "rebase"
    """A copy of each of the winner's commits."""

    def __str__(self) -> str:
        return self.value

    @property
    def has_message(self) -> bool:
        """True if the merge creates a commit with a new message."""
        return self in (MergeKind.MERGE, MergeKind.SQUASH)


def parse_kind(text: str) -> MergeKind:
    """Return the kind that state.json records. An unknown kind counts as a merge commit."""
    return MergeKind(text) if text in set(MergeKind) else MergeKind.MERGE


class MergeOptions(NamedTuple):
    """The branch to merge, the branch to merge into, and the kind of merge."""

    agent: int = 0
    """The number of the agent to merge, or 0 for the best one."""
    attempt: int = 0
    """The attempt of the agent to merge, or 0 for the one that the evaluation ranked."""
    into: str = ""
    """The full ref of the branch to merge into, or '' for the session's base branch."""
    kind: MergeKind = MergeKind.MERGE
    """The kind of merge. MERGE is the default, which merge.ff can replace."""
    message: str | None = None
    """The message of the user, or None for AgentHub's message."""
    signs_off: bool = False
    """End the message with a Signed-off-by line of the committer."""
    cleanup: bool = True
    force: bool = False
    """Merge even if another program has marked an agent as running."""
    allow_regression: bool = False
    """Merge even if no agent is better than the baseline."""
    unmeasured: bool = False
    """Merge even if the evaluation did not measure the result of the merge."""
    is_approved: bool = False
    """Merge without a question (--yes)."""


def merge_command(sid: SessionId, options: MergeOptions) -> str:
    """Return the command that merges the session with these options."""
    words = []
    if options.agent:
        attempt = f"/attempt-{options.attempt}" if options.attempt else ""
        words.append(f"--agent {agent_name(options.agent)}{attempt}")
    if options.into:
        words.append(f"--into {quote_word(options.into.removeprefix(HEADS))}")
    if options.message is not None:
        words += [f"-m {quote_word(paragraph)}" for paragraph in options.message.split(PARAGRAPH)]
    switches = {
        str(options.kind): options.kind is not MergeKind.MERGE,
        "signoff": options.signs_off,
        "no-cleanup": not options.cleanup,
        "force": options.force,
        "allow-regression": options.allow_regression,
        "unmeasured": options.unmeasured,
        "yes": options.is_approved,
    }
    words += [f"--{name}" for name, is_set in switches.items() if is_set]
    return " ".join(["git hub-session merge", *words, sid])
