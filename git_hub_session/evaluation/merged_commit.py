"""Create the commits to measure: the merges of the agents' tips with the base branch.

If a tip contains the base branch, a merge has the tree of the tip, so the tip is measured. For each
other tip, the merge commit is created without a checkout. No ref points to it, so git deletes it
some weeks after the evaluation.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed, Refused
from git_hub_session.git.config import is_true
from git_hub_session.git.environment import ORIGINAL_OBJECTS
from git_hub_session.git.process import GitTooOld
from git_hub_session.git.ref_names import HEADS
from git_hub_session.session.agents import base_now, find_base_commit
from git_hub_session.session.model import CONFLICTS
from git_hub_session.util.signatures import MIN_TRUST, SIGNATURE_COMMAND, is_signature_valid
from git_hub_session.util.text import quote_list
from git_hub_session.worktree.checkouts import find_checkout
from git_hub_session.worktree.merge_tree import (
    CLEANUP_MODES,
    FAST_FORWARD,
    GitMergeOptions,
    StrategyOptionsNotSupported,
    merge_trees,
    overriding_setting,
    parse_merge_options,
    resolve_commands,
)

if TYPE_CHECKING:
    from git_hub_session.evaluation.candidates import Candidate
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.temporary.objects import NewObjects

_MESSAGE = b"hub: a merge to measure\n"
# With a fixed author and time, the next evaluation of the same merge creates no new object.
_AUTHOR = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (
        ("NAME", "git hub-session"),
        ("EMAIL", "git-hub-session@localhost"),
        ("DATE", "@0 +0000"),
    )
}


def with_merged_commits(
    candidates: Sequence[Candidate],
    session: Session,
    project: Project,
    objects: NewObjects,
    *,
    dry_run: bool,
) -> list[Candidate]:
    """Return the candidates with the merges into the base branch, or with the reason for none.

    A candidate that is measured in place stays as it is.

    Args:
        objects: keeps the merge commits.
        dry_run: find the conflicts, but do not create the merge commits.
    """
    base = base_now(session, project.repo)
    branch = session.config.base_branch
    options = _read_merge_options(branch, project)
    merged = [
        candidate
        if candidate.unmeasured_reason or candidate.directory or not base
        else _with_merged_commit(candidate, base, options, project, objects)
        for candidate in candidates
    ]
    if dry_run:
        return [each._replace(merged_commit="") for each in merged]
    created = [each for each in merged if each.merged_commit]
    if created:
        tips = [each.commit for each in created]
        objects.keep([each.merged_commit for each in created], [base, *tips])
    return merged


def baseline_commit(session: Session, project: Project, objects: NewObjects) -> str:
    """Return the commit to measure as the baseline: the base branch.

    If the agents start from a winner, this is the merge of the winner with the base branch.

    Args:
        objects: keeps the merge commit.

    Raises:
        Refused: the base branch is missing, or git cannot merge the winner.
    """
    repo = project.repo
    base = base_now(session, repo)
    start = find_base_commit(session, repo)
    if not start:
        raise _baseline_error("the base commit is missing")
    if not session.continues_session or repo.is_ancestor(base, start):
        return base
    if repo.is_ancestor(start, base):
        return start
    branch = session.config.base_branch
    options = _read_merge_options(branch, project)
    if options.unsupported_strategy[0]:
        raise _baseline_error(f"'{branch}' cannot be merged {_refused_setting(options)}")
    try:
        merge = merge_trees(project, base, start, options, objects=objects.directory)
    except StrategyOptionsNotSupported as error:
        raise _baseline_error(f"the merge with '{branch}': {error.message}") from None
    if merge.conflicts:
        paths = quote_list([os.fsdecode(path) for path in merge.conflicts])
        raise _baseline_error(
            f"{start[:12]}, from which the agents start, conflicts with '{branch}' in {paths}"
        )
    commit = _commit_merge(merge.tree, [base, start], project, objects)
    objects.keep([commit], [base, start])
    return commit


def _baseline_error(reason: str) -> Refused:
    return Refused(
        f"cannot measure the baseline: {reason}", hint="give a number with --baseline <number>"
    )


def merge_notes(candidates: Sequence[Candidate], session: Session, project: Project) -> list[str]:
    """Return the notes about merges that are not possible, most with a command that helps."""
    notes = []
    for candidate in candidates:
        if candidate.has_conflicts:
            command = _resolve_command(candidate, session)
            notes.append(f"{candidate.name} {candidate.merge_problem} (to resolve: {command})")
        elif candidate.unsupported_setting:
            setting = overriding_setting(candidate.unsupported_setting)
            command = f"git -c {setting} hub-session eval {session.id}"
            notes.append(f"{candidate.name} {candidate.merge_problem} (without it: {command})")
    return notes + _signature_notes(candidates, session.config.base_branch, project)


def _signature_notes(candidates: Sequence[Candidate], branch: str, project: Project) -> list[str]:
    """Return a note about each candidate that `merge` refuses because of its signature."""
    place, values = _read_target_settings(branch, project)
    switches = parse_merge_options(branch, values).switches
    if not switches.get("verifies", is_true(values.get("merge.verifysignatures"))):
        return []
    git = project.git.at(*place, variables=ORIGINAL_OBJECTS)
    min_trust = values.get("gpg.mintrustlevel", MIN_TRUST).lower()
    return [
        f"the last commit of {candidate.name} has no valid signature"
        " (merge refuses it: merge.verifySignatures)"
        for candidate in candidates
        if not candidate.unmeasured_reason
        and not is_signature_valid(git.run([*SIGNATURE_COMMAND, candidate.commit]), min_trust)
    ]


def merge_warning(session: Session, project: Project) -> str:
    """Return the warning that `merge` will refuse a setting, or ''. Raise GitFailed."""
    options = _read_merge_options(session.config.base_branch, project)
    if options.kind == FAST_FORWARD or options.unsupported_strategy[0]:
        return ""  # a fast-forward has no message, and eval names the strategy
    name, value = options.unsupported_option
    if not name and options.cleanup not in CLEANUP_MODES:
        name, value = "commit.cleanup", options.cleanup
    command = f"git -c {overriding_setting(name)} hub-session merge {session.id}"
    return f"merge refuses {name}='{value}' (without it: {command})" if name else ""


def _resolve_command(candidate: Candidate, session: Session) -> str:
    """Return the command that merges the base branch. It makes an earlier attempt the last one."""
    earlier_commit = candidate.commit if candidate.is_earlier else ""
    base_branch = session.config.base_branch
    return " && ".join(
        resolve_commands("merge", candidate.branch, base_branch, earlier_commit=earlier_commit)
    )


def _read_merge_options(branch: str, project: Project) -> GitMergeOptions:
    """Return the options of a merge into the branch (a name). Raise GitFailed."""
    _, values = _read_target_settings(branch, project)
    options = parse_merge_options(branch, values)
    if options.kind == FAST_FORWARD:  # a fast-forward has no strategy
        return options._replace(unsupported_strategy=("", ""))
    return options


def _read_target_settings(branch: str, project: Project) -> tuple[tuple[str, str], dict[str, str]]:
    """Return the git dir and the top of the worktree to merge in, and the settings there.

    It is the worktree that has the branch (a name) checked out, as in `merge`. Raise GitFailed.
    """
    paths = project.paths
    try:
        checkout = find_checkout(HEADS + branch, project)
    except Refused:  # `merge` refuses until the branch is not in use.
        checkout = None
    place = checkout or (paths.common_dir, paths.main_worktree)
    return (place[0], place[1]), project.settings_at(*place)


def _with_merged_commit(
    candidate: Candidate, base: str, options: GitMergeOptions, project: Project, objects: NewObjects
) -> Candidate:
    tip = candidate.commit
    if options.unsupported_strategy[0]:
        problem = f"cannot be merged {_refused_setting(options)}"
        return candidate._replace(
            merge_problem=problem, unsupported_setting=options.unsupported_strategy[0]
        )
    if project.repo.is_ancestor(tip, base):
        return candidate
    try:
        merge = merge_trees(project, base, tip, options, objects=objects.directory)
    except StrategyOptionsNotSupported as error:
        problem = f"cannot be merged: {error.message}"
        return candidate._replace(merge_problem=problem, unsupported_setting=error.setting)
    except GitTooOld:  # `merge` fails too, so the user merges with git.
        return candidate
    except GitFailed as error:
        message = error.stderr.strip().rpartition("\n")[2].removeprefix("fatal: ") or error.message
        return candidate._replace(merge_problem=f"cannot be merged: {message}")
    if merge.conflicts:
        paths = quote_list([os.fsdecode(path) for path in merge.conflicts])
        problem = f"{CONFLICTS}'{options.branch}' in {paths}"
        return candidate._replace(merge_problem=problem, has_conflicts=True)
    commit = _commit_merge(merge.tree, [base, tip], project, objects)
    return candidate._replace(merged_commit=commit)


def _refused_setting(options: GitMergeOptions) -> str:
    name, value = options.unsupported_strategy
    return f"with {name}='{value}'"


def _commit_merge(tree: str, parents: Sequence[str], project: Project, objects: NewObjects) -> str:
    git = project.git.at(project.paths.common_dir, objects=objects.directory)
    return git.commit_tree(tree, parents, _MESSAGE, environ=_AUTHOR)
