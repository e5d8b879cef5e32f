"""A worktree that a killed `git worktree add` left: taken away, and nothing of anybody's with it."""

from __future__ import annotations

import os
from itertools import count

from git_hub_session import tree
from git_hub_session.operations import removal
from git_hub_session.operations.examine import content
from git_hub_session.typed import TYPE_CHECKING
from git_hub_session.worktrees import Worktree

if TYPE_CHECKING:
    from git_hub_session.gitrepo import GitRepo


def set_aside(worktree: Worktree, repo: GitRepo, base: str) -> list[str]:
    """Remove the half-made worktree, whose files git was writing from the commit `base`.

    If there is a file in it that is not the start of one of that commit's (a filter made it,
    or somebody worked in it), the directory is kept under another name, and that is said.
    Raises removal.Stuck, OSError.
    """
    if worktree.missing or _is_gits_alone(worktree.path, repo, base):
        removal.discard(worktree)
        return []
    free = (f"{worktree.path}.cut-off-{number}" for number in count(1))
    aside = next(path for path in free if not os.path.lexists(path))
    removal.keep_as(worktree, aside)
    return [f"a spawn that was cut off left files in '{worktree.path}': they are in '{aside}'"]


def _is_gits_alone(path: str, repo: GitRepo, base: str) -> bool:
    committed = repo.tree_entries(base)
    seen = tree.look(path)
    return not seen.repositories and all(
        file in committed
        and repo.blob(committed[file][1]).startswith(content(path, file, found.st_mode))
        for file, found in seen.files.items()
    )
