"""Publish sessions: their records, branches and archives, in one atomic push.

The record and the archives have leases. Branches are only created or moved forward. If the record of
the remote has moved, it is merged and the push is tried again. If the remote refuses a session for
another reason, the other sessions are published without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import sleep

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.claims.known import sessions_with_own_claims
from git_hub_session.errors import HubError, Refused
from git_hub_session.git.ref_names import (
    REFS,
    SessionId,
    parse_agent_branch,
    record_ref,
    shared_name,
    short_name,
    tracked_record,
)
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.sharing.claims import release_left_claims
from git_hub_session.sharing.fetch import NotShared, fetch_sessions, track_records
from git_hub_session.sharing.local_record import SharedState, share_sessions
from git_hub_session.sharing.published_logs import write_logs
from git_hub_session.sharing.remote import CREATED, REFUSED, UNCHANGED, refused_reasons
from git_hub_session.sharing.session_refs import (
    group_numbered_refs,
    read_refs_by_session,
    with_free_numbers,
)
from git_hub_session.util.batches import split_batches
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import quote_list

if TYPE_CHECKING:
    from git_hub_session.session.project import Project
    from git_hub_session.sharing.remote import PushAnswer, RefAnswer, Remote
    from git_hub_session.sharing.session_refs import SessionRefs

MAX_ROUNDS = 10
"""The largest number of pushes of a session that other clones change at the same time."""
_PAUSE = 0.05  # seconds; it grows with each round
_MAX_ARGUMENTS = 1 << 18  # bytes of the refs of one push: the length of a command line is limited
_MAX_MESSAGES = 3  # of the server, in an error
_OTHER_BYTES = 150  # of a refspec and of a lease: two object ids and the name of the option


class PushRefused(Refused):
    """The remote refuses the refs of a session. The remote is unchanged."""

    code = "push-refused"


class PushOptions(NamedTuple):
    """The options of a push."""

    shared: str
    """The prefix of the shared refs on the remote (hubsession.sharedRefs)."""
    rescue: bool = False
    """Publish the rescue refs too."""
    logs: bool = False
    """Publish the output logs too."""
    dry_run: bool = False
    agents: Sequence[int] = ()
    """Publish only the branches of these agents; empty: those of all agents."""

    def command(self, remote: Remote, sids: Sequence[str]) -> str:
        """Return the command that publishes the sessions with these options."""
        switches = {"--rescue": self.rescue, "--logs": self.logs, "--dry-run": self.dry_run}
        options = [name for name, is_set in switches.items() if is_set]
        words = " ".join([*options, quote_word(remote.label), *sids])
        return f"git hub-session push {words}"


class PushedSession(NamedTuple):
    """A session that was published, or the error."""

    sid: SessionId
    shared: SharedState | None
    refs: tuple[tuple[str, str], ...] = ()
    """The changed refs of the remote, each with its flag in `git push --porcelain`."""
    error: HubError | None = None


class _Draft(NamedTuple):
    """The refs to push for a session."""

    sid: SessionId
    shared: SharedState
    targets: dict[str, str]
    """The object ids, by the full names of the refs on the remote."""
    leases: dict[str, str]
    """The object id that a ref on the remote must have now, or '' for a new ref."""


def push_sessions(
    sids: Sequence[SessionId], project: Project, remote: Remote, options: PushOptions
) -> list[PushedSession]:
    """Publish sessions. Return the result of each session in the same order.

    Raises:
        RemoteFailed: the remote cannot be used.
    """
    push = _Push(project, remote, options)
    unique = list(dict.fromkeys(sids))
    if options.dry_run:
        push.preview(unique)
    else:
        push.publish(unique)
        claimed = sessions_with_own_claims(project)
        for sid in unique:
            if sid in claimed and push.results[sid].error is None:
                release_left_claims(sid, project, remote, options.agents, shared=options.shared)
    return [push.results[sid] for sid in unique]


class _Push:
    """One call of push_sessions()."""

    def __init__(self, project: Project, remote: Remote, options: PushOptions) -> None:
        self._project = project
        self._remote = remote
        self._options = options
        self._theirs: Mapping[str, str] = {}
        """The refs of the remote. They are not read before they are needed."""
        self._numbered: Mapping[str, Mapping[str, str]] = {}
        """The same refs in groups that differ only in the last component of their names."""
        self._merged: dict[SessionId, str] = {}
        """The record of the remote, or '', that the last fetch merged into each session."""
        self.results: dict[SessionId, PushedSession] = {}
        """The sessions that were published or refused."""

    def preview(self, sids: Sequence[SessionId]) -> None:
        """Compare the refs with those of the remote."""
        self._list_theirs()
        for draft in self._make_drafts(sids):
            changes = tuple(
                (ref, " " if ref in self._theirs else CREATED)
                for ref, oid in draft.targets.items()
                if not oid or self._theirs.get(ref) != oid
            )
            self.results[draft.sid] = PushedSession(draft.sid, draft.shared, changes)

    def publish(self, sids: Sequence[SessionId]) -> None:
        """Push the sessions, and those whose refs have moved again after a fetch."""
        waiting = list(sids)
        for number in range(MAX_ROUNDS):
            drafts = self._make_drafts(waiting)
            for batch in split_batches(drafts, _argument_bytes, _MAX_ARGUMENTS):
                self._push_drafts(batch)
            waiting = self._without_result(waiting)
            if not waiting:
                return
            sleep(_PAUSE * number)
            self._fetch(waiting)
            waiting = self._without_result(waiting)
        for sid in waiting:
            error = PushRefused(
                f"other clones changed session '{sid}' during each of {MAX_ROUNDS} tries",
                hint=self._options.command(self._remote, [sid]),
            )
            self._refuse(sid, error)

    def _without_result(self, sids: Sequence[SessionId]) -> list[SessionId]:
        return [sid for sid in sids if sid not in self.results]

    def _refuse(self, sid: SessionId, error: HubError) -> None:
        self.results[sid] = PushedSession(sid, None, error=error)

    def _fetch(self, sids: Sequence[SessionId]) -> None:
        """Merge what other clones have published in the meantime."""
        shared = self._options.shared
        for fetched in fetch_sessions(
            sids, self._project, self._remote, shared=shared, dry_run=False
        ):
            if fetched.error is not None and not isinstance(fetched.error, NotShared):
                self._refuse(fetched.sid, fetched.error)
            self._merged[fetched.sid] = fetched.record
        self._list_theirs()

    def _list_theirs(self) -> None:
        """Read the refs of the remote."""
        self._theirs = self._remote.list_refs(REFS)
        self._numbered = group_numbered_refs(self._theirs)

    def _make_drafts(self, sids: Sequence[SessionId]) -> list[_Draft]:
        """Write the records of sessions, and return the refs to push for each of them."""
        project = self._project
        expected = {sid: self._expected_record(sid) for sid in sids}
        incoming = {
            sid: oid if oid and project.repo.has_commit(oid) else ""
            for sid, oid in expected.items()
        }
        shared = share_sessions(incoming, project, dry_run=self._options.dry_run)
        refs = read_refs_by_session(sids, project.git)
        drafts = []
        for sid, state in shared.items():
            try:
                if isinstance(state, HubError):
                    raise state
                drafts.append(self._make_draft(sid, state, refs[sid], expected[sid]))
            except HubError as error:
                self._refuse(sid, error)
        return drafts

    def _expected_record(self, sid: SessionId) -> str:
        """Return the commit of the remote's record that was merged here, or ''.

        Another clone can publish a record between a fetch and a push.
        """
        known = self._project.repo.tip(tracked_record(sid, self._remote.name))
        return self._merged.get(sid, known)

    def _make_draft(
        self, sid: SessionId, state: SharedState, refs: SessionRefs, expected: str
    ) -> _Draft:
        """Return the refs to push for a session.

        Expect that the remote still has the record that was merged here, and no archive.
        """
        project, shared = self._project, self._options.shared
        record = shared_name(record_ref(sid), shared)
        added = self._numbered_refs(refs)
        branches = {
            ref: oid
            for ref, oid in _branches_of(self._options.agents, refs).items()
            if _is_behind(self._theirs.get(ref, ""), ref, oid, project)
        }
        targets = {record: state.commit, **branches, **added}
        if self._options.logs:
            logs = write_logs(sid, project, dry_run=self._options.dry_run)
            targets |= {shared_name(ref, shared): oid for ref, oid in logs.items()}
        return _Draft(sid, state, targets, {record: expected, **dict.fromkeys(added, "")})

    def _numbered_refs(self, refs: SessionRefs) -> dict[str, str]:
        """Return the archives, and perhaps the rescue refs, with free names on the remote."""
        ours = {**refs.archives, **(refs.rescues if self._options.rescue else {})}
        shared = {shared_name(ref, self._options.shared): oid for ref, oid in ours.items()}
        theirs: dict[str, str] = {}
        for name in group_numbered_refs(shared):
            theirs |= self._numbered.get(name, {})
        return with_free_numbers(shared, theirs)

    def _push_drafts(self, drafts: Sequence[_Draft]) -> None:
        """Push the drafts at once, and record the published and the refused sessions.

        A session without a result can be pushed again, after a fetch.
        """
        refspecs = [f"{oid}:{ref}" for draft in drafts for ref, oid in draft.targets.items()]
        leases = {ref: oid for draft in drafts for ref, oid in draft.leases.items()}
        answer = self._remote.push(refspecs, leases=leases)
        if not answer.refused:
            self._finish(drafts, answer)
            return
        refused = {draft.sid: _refusals(draft, answer) for draft in drafts}
        if len(drafts) > 1 and all(refused.values()):
            for draft in drafts:
                self._push_drafts([draft])
        elif any(refused.values()) or any(each.has_moved for each in answer.refused):
            self._refuse_all(refused, answer)
        else:  # no reason names a session, so no other push helps
            self._refuse_all(dict.fromkeys(refused, answer.refused), answer)

    def _refuse_all(
        self, refused: Mapping[SessionId, Sequence[RefAnswer]], answer: PushAnswer
    ) -> None:
        for sid, answers in refused.items():
            if answers:
                hint = self._options.command(self._remote, [sid])
                error = _refused_error(sid, answers, answer, self._remote.label, hint)
                self._refuse(sid, error)

    def _finish(self, drafts: Sequence[_Draft], answer: PushAnswer) -> None:
        commits = {draft.sid: draft.shared.commit for draft in drafts}
        track_records(commits, self._project, self._remote)
        flags = {each.ref: each.flag for each in answer.refs}
        for draft in drafts:
            changes = tuple(
                (ref, flag)
                for ref in draft.targets
                if (flag := flags.get(ref, REFUSED)) != UNCHANGED
            )
            self.results[draft.sid] = PushedSession(draft.sid, draft.shared, changes)


def _argument_bytes(draft: _Draft) -> int:
    """Return the bytes that the refs of a session take on a command line."""
    return sum(len(ref) + _OTHER_BYTES for ref in (*draft.targets, *draft.leases))


def _branches_of(agents: Sequence[int], refs: SessionRefs) -> dict[str, str]:
    """Return the branches of some agents, or all branches for ()."""
    parsed = ((parse_agent_branch(ref), ref, oid) for ref, oid in refs.branches.items())
    return {
        ref: oid for branch, ref, oid in parsed if not agents or (branch and branch.agent in agents)
    }


def _is_behind(theirs: str, ref: str, oid: str, project: Project) -> bool:
    """Return True if the remote lacks commits of a branch. Raise PushRefused if both have some.

    Args:
        theirs: the tip on the remote, or ''. It may be unknown here.
        oid: the tip here.
    """
    repo = project.repo
    if not theirs or not repo.has_commit(theirs) or repo.is_ancestor(oid, theirs):
        return theirs != oid
    if repo.is_ancestor(theirs, oid):
        return False
    raise PushRefused(
        f"'{short_name(ref)}' has other commits on the remote: {theirs:.12}",
        hint=_merge_command(ref, theirs, project),
    )


def _merge_command(ref: str, oid: str, project: Project) -> str:
    """Return the command that merges a commit into a branch in the worktree of the branch."""
    for worktree in linked_worktrees(project.paths.common_dir):
        if worktree.head == ref and not worktree.is_missing:
            return f"git -C {quote_word(worktree.path)} merge {oid:.12}"
    return f"git checkout {quote_word(short_name(ref))} && git merge {oid:.12}"


def _refusals(draft: _Draft, answer: PushAnswer) -> list[RefAnswer]:
    """Return the refs that the remote refuses for a reason that a fetch does not change."""
    refused = [each for each in answer.refused if each.ref in draft.targets]
    return [each for each in refused if not each.has_moved and not each.is_following]


def _refused_error(
    sid: SessionId, refused: Sequence[RefAnswer], answer: PushAnswer, label: str, hint: str
) -> PushRefused:
    """Return the error, with the reasons of git and the first messages of the server."""
    names = quote_list([short_name(each.ref) for each in refused])
    texts = [f"{refused_reasons(refused)} ({names})", *answer.server_messages[:_MAX_MESSAGES]]
    return PushRefused(f"'{label}' refuses session '{sid}': {'; '.join(texts)}", hint=hint)
