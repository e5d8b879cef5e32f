"""Run the filters of new files before a merge changes a checkout.

git stops at the first required filter that fails, such as that of git-lfs without its server. It has
then deleted the old file, and written others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed, Refused
from git_hub_session.git.environment import ORIGINAL_OBJECTS
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.system.tree import path_and_parents

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.checkouts import Checkout

_ATTRIBUTES = b".gitattributes"

Entries = Mapping[bytes, tuple[int, bytes]]
"""The mode and the object id of each path of a tree."""


def refuse_failing_filters(
    project: Project, checkout: Checkout, variables: Mapping[str, str], *, old: str, new: str
) -> None:
    """Raise Refused if a required filter fails for a file that differs between two commits."""
    old_entries, new_entries = project.repo.tree_entries(old), project.repo.tree_entries(new)
    changed = [path for path, entry in new_entries.items() if old_entries.get(path) != entry]
    with temporary_directory() as scratch:
        index = os.path.join(scratch, "index")
        variables = {**variables, **ORIGINAL_OBJECTS}
        git = project.git.at(checkout.git_dir, checkout.path, index=index, variables=variables)
        _write_index(git, {path: new_entries[path] for path in changed}, new_entries)
        paths = _filtered_paths(git, changed)
        command = ["checkout-index", "-z", "--stdin", f"--prefix={scratch}/files/"]
        try:
            git.run(command, stdin=b"".join(path + b"\0" for path in paths))
        except GitFailed as error:
            raise Refused(
                f"git cannot write the merged files to '{checkout.path}'", hint=error.stderr.strip()
            ) from None


def _write_index(git: GitAt, files: Entries, tree: Entries) -> None:
    """Write an index of some files of a tree, and of the attribute files that apply to them."""
    parents = {parent for path in files for parent in path_and_parents(path) if parent != path}
    names = [_ATTRIBUTES, *(parent + b"/" + _ATTRIBUTES for parent in parents)]
    entries = {**{name: tree[name] for name in names if name in tree}, **files}
    lines = [
        b"%o %s\t%s\0" % (mode, oid.hex().encode(), path) for path, (mode, oid) in entries.items()
    ]
    git.run(["update-index", "-z", "--index-info"], stdin=b"".join(lines))


def _filtered_paths(git: GitAt, paths: list[bytes]) -> list[bytes]:
    """Return the paths that have a filter by the attributes in the index."""
    stdin = b"".join(path + b"\0" for path in paths)
    output = git.run(["check-attr", "-z", "--cached", "--stdin", "filter"], stdin=stdin)
    fields = output.split(b"\0")
    values = zip(fields[0::3], fields[2::3], strict=False)
    return [path for path, value in values if value not in (b"unspecified", b"unset")]
