"""Lock files that git left where it was killed: git alone knows whether it still runs, and cannot tell."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from shlex import quote

from git_hub_session.doctor.finding import Finding
from git_hub_session.doctor.snapshot import HubSnapshot
from git_hub_session.system import procfs

STALE_SECONDS = 600
"""Seconds for which no git command that is not at work keeps a lock."""

_NAMES = ("index.lock", "HEAD.lock", "packed-refs.lock", "packed-refs.new", "config.lock")


def look(facts: HubSnapshot) -> Iterator[Finding]:
    """Those of the repository, and of the refs that are sessions'; what nobody is at work on."""
    place = facts.project.paths
    tops = [place.main_worktree or place.common_dir, *(one.path for one in facts.worktrees)]
    at_work = [pid for top in tops for pid in procfs.processes_in(top, facts.processes)]
    # An editor that git waits for may be open for hours.
    if facts.locked_sessions or any(procfs.process_name(pid).startswith("git") for pid in at_work):
        return
    yield from stale_locks(facts, place.common_dir, "")
    locks = [path for path in facts.ref_files if path.endswith(".lock")]
    yield from stale_locks(facts, place.common_dir, "", locks)


def stale_locks(
    facts: HubSnapshot, directory: str, sid: str, names: Sequence[str] = _NAMES
) -> Iterator[Finding]:
    """Those of a git directory, or of the entry of a worktree; or the files `names` in it."""
    for name in names:
        path = os.path.join(directory, name)
        try:
            age = facts.now - os.lstat(path).st_mtime
        except OSError:
            continue
        if age > STALE_SECONDS:
            evidence = "git made it, and no git is at work there"
            yield Finding("git-lock-left", path, evidence, sid, advice=f"rm {quote(path)}")
