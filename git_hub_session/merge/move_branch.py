"""Move a checked-out branch together with its files and index."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import ChangedMeanwhile, GitFailed, HookRefused, HubError, Refused
from git_hub_session.git.environment import ORIGINAL_OBJECTS
from git_hub_session.git.index import read_index
from git_hub_session.git.ref_names import SessionId, short_name, update_command
from git_hub_session.merge.filters import refuse_failing_filters
from git_hub_session.merge.hooks import run_hooks_after_merge
from git_hub_session.merge.surroundings import git_at_target
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.system.tree import path_and_parents
from git_hub_session.util.move_aside import move_aside_command
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.checkouts import find_checkout

if TYPE_CHECKING:
    from git_hub_session.merge.plan import MergePlan
    from git_hub_session.merge.settings import MergeSettings
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.checkouts import Checkout


_INCOMPLETE = 3
"""The exit status of the script if git has updated only some of the files."""

_BLOCKED = r"error: (Entry|Untracked working tree file) '(.*)' (?:not|would)"
"""git's message about a file that a merge would overwrite. git is not translated here."""
_SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "move_branch.sh")


class InterruptedUpdate(HubError):
    """git updated only some of the files. The next merge undoes the update."""

    code = "cut-off"


class IncompleteUpdate(Refused):
    """git could not write a file, and has updated others. The caller must undo the update."""


def move_branch(
    project: Project,
    ref: str,
    checkout: Checkout | None,
    variables: Mapping[str, str],
    *,
    old: str,
    new: str,
    sid: SessionId,
    reason: str,
    is_squash: bool,
    settings: MergeSettings,
) -> str:
    """Move the branch `ref` from the commit `old` to `new`, and update its checkout.

    Return the commit of the merge: a hook after the merge may amend it.

    Args:
        variables: the variables of `git merge` for the hooks and filters.
        settings: the settings of the merge, which tell if a filter is required and if there may be
            hooks.
        reason: the message in the reflogs.

    Raises:
        Refused: nothing was changed, or another process moved the branch during the update.
        IncompleteUpdate: git could not write one of the files.
        InterruptedUpdate: git was killed while it updated files.
    """
    _refuse_other_checkout(project, ref, checkout, sid)
    if checkout is None:
        _move_ref(project, ref, reason, old=old, new=new, sid=sid)
        return new
    _refuse_if_ignored_files_lost(project, checkout, project.repo.paths_added(old, new))
    if settings.requires_filters:
        refuse_failing_filters(project, checkout, variables, old=old, new=new)
    _move_with_files(project, ref, checkout, variables, old=old, new=new, sid=sid, reason=reason)
    if settings.has_merge_hooks:
        run_hooks_after_merge(git_at_target(project, checkout, variables), is_squash=is_squash)
    return _find_merge(project, ref, old=old, new=new, sid=sid)


def _find_merge(project: Project, ref: str, *, old: str, new: str, sid: SessionId) -> str:
    """Return the commit of the merge after the hooks. Raise Refused if the branch has none."""
    repo, tip = project.repo, project.repo.tip(ref)
    if repo.is_ancestor(tip, new):
        return new
    parents = repo.commit_parents([oid for oid in (tip, new) if oid], [old])
    if parents.get(tip) == parents[new]:
        return tip  # amended
    raise Refused(
        f"a hook removed the merge {new[:12]} from '{short_name(ref)}'",
        hint=f"correct the post-merge hook, then: git hub-session merge {sid}",
    )


def _refuse_other_checkout(
    project: Project, ref: str, checkout: Checkout | None, sid: SessionId
) -> None:
    # The hooks and the signature of the merge commit take time, so check again.
    if find_checkout(ref, project) != checkout:
        raise ChangedMeanwhile(
            f"the checkout of '{short_name(ref)}' changed during the merge",
            hint=f"git hub-session merge {sid}",
        )


def _refuse_moved_branch(project: Project, ref: str, *, old: str, sid: SessionId) -> None:
    if project.repo.tip(ref) != old:
        raise ChangedMeanwhile(
            f"'{short_name(ref)}' changed during the merge", hint=f"git hub-session merge {sid}"
        ) from None


def _move_ref(
    project: Project, ref: str, reason: str, *, old: str, new: str, sid: SessionId
) -> None:
    try:
        project.git.update_refs(reason, [update_command(ref, new, old)])
    except HookRefused as error:
        raise HookRefused(error.hook, "the merge; nothing was changed") from None
    except GitFailed as error:
        _refuse_moved_branch(project, ref, old=old, sid=sid)
        raise Refused(f"git cannot move '{short_name(ref)}'", hint=error.stderr.strip()) from None


def _move_with_files(
    project: Project,
    ref: str,
    checkout: Checkout,
    variables: Mapping[str, str],
    *,
    old: str,
    new: str,
    sid: SessionId,
    reason: str,
) -> None:
    git = git_at_target(project, checkout, variables)
    try:
        with project.store.lock_hub():  # exclude merges of other sessions
            git.run_with_locked_ref(reason, (_SCRIPT, checkout.git_dir), ref, new, old)
    except HookRefused as error:
        raise HookRefused(error.hook, "the merge; nothing was changed") from None
    except GitFailed as error:
        if error.was_killed:
            raise InterruptedUpdate(
                f"git was killed while it updated '{checkout.path}'",
                hint=f"git hub-session merge {sid}",
            ) from None
        is_incomplete = error.status == _INCOMPLETE
        if not is_incomplete:
            _refuse_moved_branch(project, ref, old=old, sid=sid)
        kind = IncompleteUpdate if is_incomplete else Refused
        raise _update_error(kind, checkout, ref, error) from None


def refuse_blocked_update(project: Project, plan: MergePlan, objects: str) -> None:
    """Raise Refused if git would not update the files of the checkout. Change nothing.

    Args:
        objects: the directory with the objects of the merge.
    """
    checkout = plan.checkout
    # After a killed merge, the next one restores the files first.
    if checkout is None or plan.session.merge is not None:
        return
    with temporary_directory() as scratch:
        index = os.path.join(scratch, "index")
        _copy_index(os.path.join(checkout.git_dir, "index"), index)
        git = project.git.at(
            checkout.git_dir,
            checkout.path,
            index=index,
            objects=objects,
            variables=ORIGINAL_OBJECTS,
        )
        command = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=A"]
        added = git.run([*command, plan.base, plan.final_tree]).split(b"\0")[:-1]
        _refuse_if_ignored_files_lost(project, checkout, added)
        command = ["read-tree", "-n", "-m", "-u", "--no-recurse-submodules"]
        command += [plan.base, plan.final_tree]
        try:
            git.run(command)
        except GitFailed:
            with suppress(GitFailed):  # It lists the changed files.
                git.run(["update-index", "-q", "--refresh"])
            try:
                git.run(command, environ={"GIT_TEXTDOMAINDIR": os.devnull})
            except GitFailed as error:
                raise _update_error(Refused, checkout, plan.into, error) from None


def _copy_index(source: str, target: str) -> None:
    """Copy an index with its time: git compares the time with those of the files."""
    try:
        with open(source, "rb") as reader, open(target, "xb") as writer:
            writer.write(reader.read())
            status = os.fstat(reader.fileno())
    except FileNotFoundError:
        return
    os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))


def _update_error(
    kind: type[Refused | IncompleteUpdate], checkout: Checkout, ref: str, error: GitFailed
) -> HubError:
    message = f"git cannot update '{checkout.path}', where '{short_name(ref)}' is checked out"
    blocked = re.match(_BLOCKED, error.stderr)
    if blocked is None or kind is IncompleteUpdate:
        return kind(message, hint=error.stderr.strip())
    path = blocked[2]
    if blocked[1] == "Entry":
        git = f"git -C {quote_word(checkout.path)}"
        stash = f"{git} stash"
        flag = read_index(checkout.git_dir)[0].hiding_flag(os.fsencode(path))
        if flag:  # `git stash` saves no file with this flag
            stash = f"{git} update-index --no-{flag} {quote_word(path)} && {stash}"
        return kind(
            f"{message}: '{path}' has local changes",
            hint=f"commit the changes there\n{stash}",
        )
    return kind(
        f"{message}: '{path}' is not tracked",
        hint=move_aside_command(os.path.join(checkout.path, path)),
    )


def _refuse_if_ignored_files_lost(
    project: Project, checkout: Checkout, added: Iterable[bytes]
) -> None:
    """Raise Refused if the merge adds files at paths of ignored files: git would overwrite them."""
    top = os.fsencode(checkout.path)
    occupied = {
        os.fsdecode(ancestor)
        for path in added
        for ancestor in path_and_parents(path)
        if _is_occupied(os.path.join(top, ancestor), is_parent=ancestor != path)
    }
    if not occupied:
        return
    command = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--"]
    command += [f":(literal){path}" for path in sorted(occupied)]
    ignored = checkout.git(project).run(command).split(b"\0")[:-1]
    if ignored:
        raise Refused(
            f"the merge would overwrite ignored files in '{checkout.path}'",
            hint="\n".join(map(os.fsdecode, ignored)),
        )


def _is_occupied(path: bytes, *, is_parent: bool) -> bool:
    """Return True if `path` exists and blocks a new file.

    A directory at a parent of the new file does not block the file.
    """
    is_directory = os.path.isdir(path) and not os.path.islink(path)
    return os.path.lexists(path) and not (is_parent and is_directory)
