"""The reasons to keep a worktree: the table RULES at the end of this file.

The first rule that applies gives the reason. To add a reason, add its code to the man page too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cleanup.reason_texts import (
    abort_command,
    forget_claim_hint,
    index_lock_hint,
    list_some,
    lock_message,
    move_out_command,
    operation_message,
    remove_command,
    rescue_limit_hint,
    rescue_limit_message,
    submodule_hint,
    submodule_repositories_hint,
)
from git_hub_session.errors import Damaged, HubError, to_hub_error
from git_hub_session.git.ref_names import parse_agent_branch
from git_hub_session.removal.journal import STEP_TRASH
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.off_branch import (
    has_other_branch,
    off_branch_command,
    restore_branch_command,
)
from git_hub_session.worktree.reason import Reason

if TYPE_CHECKING:
    from git_hub_session.cleanup.options import CleanupOptions
    from git_hub_session.removal.inspect import WorktreeState

FORCE = "force"
DISCARD = "discard"


class Rule(NamedTuple):
    """One reason to keep a worktree."""

    code: str
    applies: Callable[[WorktreeState], object]
    """Returns a true value if the worktree must be kept."""
    message: Callable[[WorktreeState], str] | str
    hint: Callable[[WorktreeState], str] | str = ""
    overridden_by: str = ""
    """FORCE, DISCARD, or '' if no option overrides the rule."""

    def reason(self, state: WorktreeState) -> Reason:
        """Return the reason with the message and the hint for this worktree."""
        message, hint = self.message, self.hint
        return Reason(
            self.code,
            message if isinstance(message, str) else message(state),
            hint if isinstance(hint, str) else hint(state),
        )


def first_reason(
    rules: Sequence[Rule], state: WorktreeState, options: CleanupOptions
) -> Reason | None:
    """Return the reason of the first rule that applies and is not overridden, or None."""
    overridden = {FORCE: options.force, DISCARD: options.discard}
    for rule in rules:
        if not overridden.get(rule.overridden_by) and rule.applies(state):
            return rule.reason(state)
    return None


# --- Commands in hints ----------------------------------------------------------------------------


def force_command(state: WorktreeState) -> str:
    """Return the command that overrides the reason, in full: `archive` and `merge` print it too."""
    return f"git hub-session cleanup --force {state.session}"


def cleanup_command(state: WorktreeState) -> str:
    """Return the command that undoes or finishes an interrupted removal."""
    return f"git hub-session cleanup {state.session}"


def doctor_command(state: WorktreeState) -> str:
    """Return the command that prints how to repair the worktree."""
    return f"git hub-session doctor {state.session}"


def _trash_message(state: WorktreeState) -> str:
    return f"an interrupted removal moved the directory to '{state.journal.trash}'"


# --- Messages and hints that differ from case to case ---------------------------------------------


def _moved_hint(state: WorktreeState) -> str:
    if state.location.can_repair:
        return f"git hub-session doctor --fix {state.session}"
    return doctor_command(state)


def _operation_hint(state: WorktreeState) -> str:
    worktree = state.worktree
    if worktree.is_missing:  # Without the directory, the operation cannot be aborted.
        return f"{force_command(state)}\n{doctor_command(state)}"
    return f"{abort_command(worktree.path, worktree.operation)}\n{force_command(state)}"


def _unsaved_operation_hint(state: WorktreeState) -> str:
    worktree = state.worktree
    if worktree.is_missing:
        return doctor_command(state)
    return abort_command(worktree.path, worktree.unsaved_operation)


def _unmerged_hint(state: WorktreeState) -> str:
    worktree = state.worktree
    if not worktree.is_missing:
        return f"git -C {quote_word(worktree.path)} status"
    # The doctor recreates the directory only in the middle of an operation.
    return doctor_command(state) if worktree.operation else "restore its directory"


def _may_be_forced(state: WorktreeState) -> bool:
    """Return True if --force may remove the worktree, which has no branch of the user."""
    if has_other_branch(state.worktree, state.branch):
        return False
    return bool(state.worktree.detached) or state.worktree.is_missing


def _missing_branch_hint(state: WorktreeState) -> str:
    worktree = state.worktree
    if worktree.is_missing or parse_agent_branch(worktree.head) is not None:
        return restore_branch_command(worktree) or doctor_command(state)
    return restore_branch_command(worktree) or f"git -C {quote_word(worktree.path)} status"


def _off_branch_hint(state: WorktreeState) -> str:
    branch = parse_agent_branch(state.branch)
    if branch is not None and has_other_branch(state.worktree, state.branch):
        return off_branch_command(state.worktree, branch)
    return doctor_command(state)


def _error(state: WorktreeState) -> HubError:
    return to_hub_error(state.error) if state.error else HubError("")


def _size_to_save(state: WorktreeState) -> int:
    return state.scan.size(state.paths_to_save)


# --- The rules ------------------------------------------------------------------------------------

IN_USE = Rule(
    "in-use",
    lambda state: state.usage.processes,
    lambda state: f"in use by process {', '.join(state.usage.processes)}",
    lambda state: f"end the process\n{force_command(state)}",
    overridden_by=FORCE,
)

OFF_BRANCH = Rule(
    "off-branch",
    lambda state: state.head_problem and not _may_be_forced(state),
    lambda state: state.head_problem,
    _off_branch_hint,
)

USAGE_RULES = (
    Rule(
        "stuck",
        lambda state: state.is_trash_blocked,
        lambda state: f"{_trash_message(state)}, and '{state.worktree.path}' exists again",
        doctor_command,
    ),
    Rule(  # Only a dry run sees this: a cleanup has undone the interrupted removal.
        "stuck",
        lambda state: state.journal.step == STEP_TRASH and state.worktree.is_missing,
        _trash_message,
        cleanup_command,
    ),
    Rule(
        "locked",
        lambda state: state.worktree.lock_reason is not None,
        lambda state: lock_message(state.worktree.lock_reason),
        lambda state: f"git worktree unlock {quote_word(state.worktree.path)}",
    ),
    Rule(
        "current",
        lambda state: state.usage.is_caller_inside,
        "the current directory is in the worktree",
        "run the command from another directory",
    ),
    Rule(
        "moved",
        lambda state: state.location.path,
        lambda state: f"the directory was moved to '{state.location.path}'",
        _moved_hint,
    ),
    Rule(
        "damaged-link",
        lambda state: state.worktree.link_error,
        lambda state: state.worktree.link_error,
        doctor_command,
    ),
    IN_USE,
    Rule(
        "in-use",
        lambda state: state.usage.runs,
        lambda state: state.usage.runs[0],
        lambda state: f"wait for it to end\n{force_command(state)}",
        overridden_by=FORCE,
    ),
    Rule(
        "claimed",
        lambda state: state.usage.worker,
        lambda state: f"claimed by a worker of this clone: {state.usage.worker}",
        lambda state: forget_claim_hint(state.session, force_command(state)),
        overridden_by=FORCE,
    ),
    Rule(
        "mount-point",
        lambda state: state.usage.mounts,
        lambda state: f"contains a mount point: '{state.usage.mounts[0]}'",
        lambda state: f"umount {quote_word(state.usage.mounts[0])}",
    ),
    Rule(
        "contains",
        lambda state: state.usage.nested,
        lambda state: f"contains '{state.usage.nested[0]}'",
        lambda state: move_out_command(state.worktree.path, state.usage.nested[0]),
    ),
    Rule(
        "index-locked",
        lambda state: state.is_index_locked,
        "the index is locked: a git command is running or was killed",
        lambda state: index_lock_hint(state.worktree.git_dir),
    ),
    Rule(
        "submodule",
        lambda state: state.worktree.submodule_dir,
        lambda state: f"has repositories of submodules: '{state.worktree.submodule_dir}'",
        lambda state: submodule_repositories_hint(state.worktree),
    ),
    Rule(  # The patches or notes that wait are only in the git dir. No ref can keep them.
        "operation",
        lambda state: state.worktree.unsaved_operation,
        lambda state: operation_message(state.worktree.unsaved_operation),
        _unsaved_operation_hint,
    ),
    Rule(
        "operation",
        lambda state: state.worktree.operation,
        lambda state: operation_message(state.worktree.operation),
        _operation_hint,
        overridden_by=FORCE,
    ),
    Rule(
        "place-missing",
        lambda state: state.location.is_parent_missing,
        "the directory and its parent directory are missing",
        lambda state: f"restore the directory\n{force_command(state)}",
        overridden_by=FORCE,
    ),
    Rule(
        "off-branch",
        lambda state: state.head_problem and _may_be_forced(state),
        lambda state: state.head_problem,
        lambda state: f"{doctor_command(state)}\n{force_command(state)}",
        overridden_by=FORCE,
    ),
    OFF_BRANCH,
)
"""The rules that need no scan of the directory."""

CHANGES_RULES = (
    Rule(
        "unreadable-index",
        lambda state: isinstance(state.error, Damaged),
        lambda state: _error(state).message,
        doctor_command,
    ),
    Rule(
        "unreadable",
        lambda state: state.error,
        lambda state: f"cannot inspect the worktree: {_error(state).message}",
        lambda state: _error(state).hint,
    ),
    Rule(
        "unreadable-head",
        lambda state: not state.scan.head,
        "HEAD points to no commit",
        _missing_branch_hint,
    ),
    Rule(
        "unmerged",
        lambda state: state.scan.git_index.unmerged,
        lambda state: f"unmerged entries: {list_some(sorted(state.scan.git_index.unmerged))}",
        _unmerged_hint,
    ),
    Rule(
        "submodule",
        lambda state: state.scan.submodules,
        lambda state: f"has a populated submodule: {list_some(state.scan.submodules)}",
        lambda state: submodule_hint(state.worktree.path, state.scan.submodules),
    ),
    Rule(
        "nested-repository",
        lambda state: state.scan.repositories,
        lambda state: f"contains another repository: {list_some(state.scan.repositories)}",
        lambda state: move_out_command(
            state.worktree.path, os.fsdecode(state.scan.repositories[0])
        ),
    ),
    Rule(
        "undeletable",
        lambda state: state.undeletable,
        lambda state: state.undeletable[0].message,
        lambda state: state.undeletable[0].hint,
    ),
    Rule(  # /proc may not list all mounts. A directory on another device is a mount point.
        "mount-point",
        lambda state: state.scan.tree.devices,
        lambda state: f"contains a mount point: {list_some(state.scan.tree.devices)}",
    ),
    Rule(
        "special-file",
        lambda state: state.scan.special_files,
        lambda state: f"git cannot store a special file: {list_some(state.scan.special_files)}",
        lambda state: remove_command(state.worktree.path, state.scan.special_files),
        overridden_by=DISCARD,
    ),
    Rule(
        "too-large",
        lambda state: _size_to_save(state) > state.rescue_limit,
        lambda state: rescue_limit_message(_size_to_save(state), state.rescue_limit),
        lambda state: rescue_limit_hint(_size_to_save(state), state.session),
        overridden_by=DISCARD,
    ),
)
"""The rules that need a scan of the directory."""

RULES = (*USAGE_RULES, *CHANGES_RULES)
