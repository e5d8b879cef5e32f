"""Blobs that equal saved files are read in batches, and a damaged one is found."""

from __future__ import annotations

import pytest

from git_hub_session.session.project import Project
from git_hub_session.stash import round_trip
from git_hub_session.stash.round_trip import CannotRoundTrip, EqualFile, require_sound_blobs
from tests.support.hub import Hub


def test_blobs_are_read_in_batches(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blobs of one batch fit into memory, and a larger blob is read alone."""
    monkeypatch.setattr(round_trip, "_BATCH", 2_500)
    files = {}
    for number, size in enumerate((1_000, 1_000, 1_000, 4_000, 1_000)):
        content = f"{number}".ljust(size)
        hub.commit(hub.top, f"file{number}", content)
        oid = hub.git("rev-parse", f"HEAD:file{number}")
        files[oid] = EqualFile(f"file{number}".encode(), size)
    project = Project(dict(hub.environ), directory=str(hub.top))
    common_dir = project.paths.common_dir
    counts: list[int] = []

    def run(*arguments: str, stdin: bytes) -> bytes:
        counts.append(len(stdin.split()))
        return project.git.at(common_dir).run([*arguments], stdin=stdin)

    require_sound_blobs(files, run, project.repo, f"{hub.top}/none", common_dir)
    assert counts == [2, 1, 1, 1]
    last = list(files)[-1]
    path = hub.top / ".git" / "objects" / last[:2] / last[2:]
    path.chmod(0o644)
    path.write_bytes(b"")
    with pytest.raises(CannotRoundTrip, match=f"^'file4' .* damaged object .*: {last}\\)$"):
        require_sound_blobs(files, run, project.repo, f"{hub.top}/none", common_dir)
