"""Find archive refs whose tag is missing.

`git fetch` can delete tags, and clones share none.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cleanup.archive_branches import choose_tag
from git_hub_session.git.ref_names import parse_archive_tag
from git_hub_session.session.attempts import newest_archive_refs

if TYPE_CHECKING:
    from git_hub_session.cleanup.archive_branches import ArchiveContext


def missing_tags(
    context: ArchiveContext, refs: Mapping[str, str], branches: Container[str]
) -> dict[str, tuple[str, str]]:
    """Return the archive refs without a tag, each with its missing tag and its commit.

    Args:
        refs: the archive tags and the archive refs of the session with their commits.
        branches: the full refs of the branches. An attempt that has a branch needs no tag.
    """
    tagged = {oid for ref, oid in refs.items() if parse_archive_tag(ref)}
    missing = {}
    for branch, ref in newest_archive_refs(refs).items():
        oid = refs[ref]
        if oid not in tagged and branch.ref not in branches:
            tag = choose_tag(context, branch, oid, refs, is_short=branch.attempt == 1)
            if tag:
                missing[ref] = (tag, oid)
    return missing
