"""A worktree that a killed `git worktree add` left: taken away, and nothing of anybody's with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import count

from git_hub_session import procfs, tree
from git_hub_session.errors import GitFailed, Refused
from git_hub_session.operations import removal
from git_hub_session.operations.examine import content
from git_hub_session.operations.scene import Scene
from git_hub_session.refnames import AgentBranch
from git_hub_session.worktrees import Worktree


def left_behind(
    branch: AgentBranch, path: str, worktrees: Sequence[Worktree], lock: str
) -> Worktree | None:
    """What a call that was cut off left of the worktree of `branch`, which it was to make at `path`.

    It is known by its branch, never by what the session says of a path: that may be anybody's.
    git names the branch late; until then its entry is locked for the reason `lock`, and
    nothing but the path tells.
    """
    real = os.path.realpath(path)
    for worktree in worktrees:
        begun = worktree.lock == lock and not worktree.head and worktree.path
        if branch.ref in worktree.branches or (begun and os.path.realpath(worktree.path) == real):
            return worktree
    return None


def refuse_if_made(worktree: Worktree, who: str) -> None:
    """Raise Refused, which speaks of `who`, where a git that outlived the killed call still works there."""
    users = procfs.workers_in(os.path.realpath(worktree.path))
    if users:
        raise Refused(
            f"{who} is still being made by process {users[0]}",
            hint="try again when it has finished",
        )


def set_aside(worktree: Worktree, scene: Scene, sources: Sequence[str], call: str) -> list[str]:
    """Remove the half-made worktree, whose files git was writing from the commits or trees `sources`.

    If there is a file in it that is not the start of one of theirs (somebody worked in it), the
    directory is kept under another name, and that is said; `call` is what was cut off.
    Raises removal.Stuck, OSError.
    """
    if worktree.missing or _is_gits_alone(worktree, scene, sources):
        removal.discard(worktree)
        return []
    free = (f"{worktree.path}.cut-off-{number}" for number in count(1))
    aside = next(path for path in free if not os.path.lexists(path))
    removal.keep_as(worktree, aside)
    return [f"a {call} that was cut off left files in '{worktree.path}': they are in '{aside}'"]


def _is_gits_alone(worktree: Worktree, scene: Scene, sources: Sequence[str]) -> bool:
    seen = tree.look(worktree.path)
    written: dict[bytes, set[bytes]] = {}
    for source in sources:
        for path, (mode, oid) in scene.repo.tree_entries(source).items():
            if mode != 0o160000:
                written.setdefault(path, set()).add(oid)
    return not seen.repositories and all(
        any(
            _is_start(content(worktree.path, path, file.st_mode), worktree, scene, path, blob)
            for blob in written.get(path, ())
        )
        for path, file in seen.files.items()
    )


def _is_start(data: bytes, worktree: Worktree, scene: Scene, path: bytes, blob: bytes) -> bool:
    """Whether `data` is the beginning of what git writes to `path` for that blob."""
    if scene.repo.blob(blob).startswith(data):
        return True
    inside = {"GIT_DIR": worktree.entry, "GIT_WORK_TREE": worktree.path}
    words = ["cat-file", "--filters", f"--path={os.fsdecode(path)}", blob.hex()]
    try:
        return scene.git.run(words, environ=inside, cwd=worktree.path).startswith(data)
    except GitFailed:
        return False
