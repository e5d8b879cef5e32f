"""Checks of archives, and of settings of remotes that cover refs of the hub."""

from __future__ import annotations

from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cleanup.archive_context import make_archive_context
from git_hub_session.cleanup.archive_limit import PRUNE_COMMAND, describe_excess
from git_hub_session.cleanup.exposed_refs import find_exposed_refs
from git_hub_session.cleanup.missing_tags import missing_tags
from git_hub_session.doctor.finding import Finding, Problem, check
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import create_command, short_name
from git_hub_session.session.attempts import newest_archive_refs, session_archived_attempts
from git_hub_session.session.model import Session

if TYPE_CHECKING:
    from git_hub_session.doctor.snapshot import HubSnapshot
    from git_hub_session.session.store import LockedSession


def exposed_findings(hub: HubSnapshot) -> Iterator[Finding]:
    """Check the settings of remotes."""
    if hub.hub_error is None and hub.project.store.hub_exists():
        yield from check_exposed_refs(hub)


def archive_limit_findings(hub: HubSnapshot) -> Iterator[Finding]:
    """Check the number of archives."""
    if hub.hub_error is None and hub.project.store.hub_exists():
        yield from check_archive_limit(hub)


def archive_findings(hub: HubSnapshot) -> Iterator[Finding]:
    """Check the archives of each session."""
    if hub.open_error is None:
        for session in hub.readable_sessions():
            yield from check_archive_refs(session, hub)
            yield from check_missing_tags(session, hub)


@check("refs-exposed", "a setting lets git fetch delete refs of the hub, or git push publish them")
def check_exposed_refs(hub: HubSnapshot) -> Iterator[Problem]:
    project = hub.project
    try:
        exposed = find_exposed_refs(project.config_entries, project.paths.common_dir)
    except HubError:
        return  # check_git_exists and check_repository report an unusable git
    for refs in exposed:
        yield Problem(refs.setting, refs.effect, advice=refs.hint)


@check("archives-many", "there are more archives than hubsession.archiveLimit")
def check_archive_limit(hub: HubSnapshot) -> Iterator[Problem]:
    """Find too many archive tags, archive refs and rescue refs: each of them slows git down."""
    try:
        evidence, advice = describe_excess(hub.project), PRUNE_COMMAND
    except HubError as error:
        evidence, advice = error.message, error.hint
    if evidence:
        yield Problem("archives", evidence, advice=advice)


def create_archive_ref(finding: Finding, hub: HubSnapshot, locked: LockedSession) -> list[str]:
    """Create the first archive ref of the attempt."""
    for ref, (name, oid) in _missing_refs(locked.read(), hub).items():
        if name == finding.subject:
            hub.project.git.update_refs("hub-session doctor", [create_command(ref, oid)])
    return []


@check("archive-ref-missing", "an archived attempt has only a tag", fix=create_archive_ref)
def check_archive_refs(session: Session, hub: HubSnapshot) -> Iterator[Problem]:
    """Find tags of AgentHub and of older versions, which 'git fetch' can delete."""
    for ref, (name, _) in _missing_refs(session, hub).items():
        yield Problem(name, "no archive ref has its commit", session.id, fix=f"create {ref}")


def _missing_refs(session: Session, hub: HubSnapshot) -> dict[str, tuple[str, str]]:
    """Return the missing archive refs, each with the name and the commit of its tag."""
    tags = hub.by_session.archive_tags(session.id)
    archives = newest_archive_refs(hub.by_session.archived(session.id))
    branches = {branch.ref for branch in hub.by_session.branches(session.id)}
    context = make_archive_context(session.id, session, hub.project, hub.find_parents)
    return {
        f"{branch.archive_prefix}1": (short_name(tag), tags[tag])
        for branch, tag in session_archived_attempts(session, tags).items()
        if branch not in archives and branch.ref not in branches
        if tags[tag] and not context.is_in_base(branch, tags[tag])
    }


def create_tag(finding: Finding, hub: HubSnapshot, locked: LockedSession) -> list[str]:
    """Create the tag of the archive ref."""
    tag, oid = _missing_tags(locked.read(), hub).get(finding.subject, ("", ""))
    if tag:
        hub.project.git.update_refs("hub-session doctor", [create_command(tag, oid)])
    return []


@check("archive-tag-missing", "an archived attempt has no tag", fix=create_tag)
def check_missing_tags(session: Session, hub: HubSnapshot) -> Iterator[Problem]:
    """Find archive refs whose tag was deleted, for example by 'git fetch'."""
    for ref, (tag, _) in _missing_tags(session, hub).items():
        name = short_name(tag)
        yield Problem(
            ref,
            "the tag of the archived attempt is missing",
            session.id,
            fix=f"create the tag {name}",
        )


def _missing_tags(session: Session, hub: HubSnapshot) -> dict[str, tuple[str, str]]:
    """Return the archive refs without a tag, each with its missing tag and its commit."""
    context = make_archive_context(session.id, session, hub.project, hub.find_parents)
    branches = {branch.ref for branch in hub.by_session.branches(session.id)}
    return missing_tags(context, hub.by_session.archived(session.id), branches)
