"""The commit of the base branch that workers elsewhere use."""

from __future__ import annotations

from functools import partial

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Refused
from git_hub_session.git.ref_names import HEADS, REMOTES
from git_hub_session.session.attempts import attempt_branches
from git_hub_session.session.record import with_base_commit
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from git_hub_session.commands._executors.call import ExecutorCall
    from git_hub_session.session.model import Session


def share_base(call: ExecutorCall) -> None:
    """Record the commit from which new attempts start, so that it is the same on all machines.

    Raises:
        Refused: the remote does not have the commit.
        RemoteFailed: the remote cannot be used.
    """
    project = call.context.project
    session = project.store.read(call.sid)
    base = session.base_commit or project.repo.tip(HEADS + session.config.base_branch)
    branches = attempt_branches(call.sid, project.repo)
    if not call.has_host_repository:  # a new host repository gets the base branch
        refuse_unpublished_base(call, session, base, [project.repo.tip(b.ref) for b in branches])
    if base and not session.base_commit:
        project.store.update(call.sid, partial(with_base_commit, commit=base))


def refuse_unpublished_base(
    call: ExecutorCall, session: Session, base: str, published: Iterable[str]
) -> None:
    """Raise Refused if the remote does not have a commit of the base branch.

    Args:
        base: the commit, or ''.
        published: the tips of branches that the remote gets with the session.
    """
    repo = call.context.project.repo
    branch = session.config.base_branch
    known = repo.tip(f"{REMOTES}{call.remote.name}/{branch}")
    if not base or any(repo.is_ancestor(tip, base) for tip in (known, *published)):
        return
    theirs = call.remote.list_refs(HEADS + branch).get(HEADS + branch, "")
    if theirs and not repo.has_commit(theirs):
        call.remote.fetch([HEADS + branch])  # another clone has pushed the branch
    if repo.has_commit(theirs) and repo.is_ancestor(theirs, base):
        return
    push = f"git push {quote_word(call.remote.name)} {quote_word(branch)}"
    raise Refused(f"'{call.remote.label}' does not have commit {base:.12} of '{branch}'", hint=push)
