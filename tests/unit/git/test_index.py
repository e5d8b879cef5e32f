"""The index is read as by `git ls-files`."""

from __future__ import annotations

import random

import pytest

from git_hub_session.errors import Damaged
from git_hub_session.git.index import EMPTY_INDEX, Index, parse_index
from tests.support.hub import Hub


def read_index(hub: Hub) -> Index:
    return parse_index((hub.top / ".git" / "index").read_bytes())


def read_entries_with_git(hub: Hub) -> dict[bytes, tuple[int, str]]:
    """Return the mode and the object id of each path, as printed by `git ls-files`."""
    entries = {}
    for line in hub.git("ls-files", "--stage", "-z").split("\0")[:-1]:
        head, _, path = line.partition("\t")
        mode, oid, stage = head.split(" ")
        if stage == "0":
            entries[path.encode("utf-8", "surrogateescape")] = (int(mode, 8), oid)
    return entries


def add_many_files(hub: Hub) -> None:
    """Add names of many lengths. The longest does not fit into the length field of the flags."""
    for length in range(1, 40):
        (hub.top / ("x" * length)).write_text("x\n")
        (hub.top / "sub" / ("ü" * length)).write_text("y\n")
    (hub.top / "program").write_text("#!/bin/sh\n")
    (hub.top / "program").chmod(0o755)
    (hub.top / "link").symlink_to("file")
    hub.git("add", ".")
    blob = hub.git("rev-parse", "HEAD:file")
    hub.git("update-index", "--index-info", stdin=f"100644 {blob}\t{'d/' * 2500}x\n")


@pytest.mark.parametrize("version", [2, 3, 4])
def test_all_versions(hub: Hub, version: int) -> None:
    add_many_files(hub)
    if version == 3:  # git writes version 3 only if an entry has extended flags
        hub.git("update-index", "--skip-worktree", "file")
    else:
        hub.git("update-index", "--index-version", str(version))
    index = read_index(hub)
    entries = {path: (entry.mode, entry.oid.hex()) for path, entry in index.entries.items()}
    assert entries == read_entries_with_git(hub)
    assert (hub.top / ".git" / "index").read_bytes()[7] == version
    assert (index.incomplete, index.unmerged, index.gitlinks) == ("", frozenset(), frozenset())
    status = (hub.top / "file").stat()
    entry = index.entries[b"file"]
    assert (entry.mtime, entry.mtime_ns) == divmod(status.st_mtime_ns, 10**9)
    assert (entry.ctime, entry.ctime_ns) == divmod(status.st_ctime_ns, 10**9)
    assert (entry.ino, entry.size) == (status.st_ino & 0xFFFFFFFF, status.st_size)


def test_flags_of_index_entries(hub: Hub) -> None:
    for name in ("a", "b", "c"):
        (hub.top / name).write_text("x\n")
    hub.git("add", "a", "b")
    hub.git("add", "--intent-to-add", "c")
    hub.git("update-index", "--skip-worktree", "a")
    hub.git("update-index", "--assume-unchanged", "b")
    index = read_index(hub)
    assert index.intent_to_add == {b"c"}
    assert index.skip_worktree == {b"a"}


def test_the_tree_id_of_the_cache_tree(hub: Hub) -> None:
    assert read_index(hub).tree == bytes.fromhex(hub.git("rev-parse", "HEAD^{tree}"))
    (hub.top / "file").write_text("changed\n")
    hub.git("add", "file")
    assert read_index(hub).tree is None
    assert bytes.fromhex(hub.git("write-tree")) == read_index(hub).tree


def test_unmerged_paths(hub: Hub) -> None:
    hub.git("checkout", "-q", "-b", "other")
    hub.commit(hub.top, "file", "other\n")
    hub.git("checkout", "-q", "main")
    hub.commit(hub.top, "file", "ours\n")
    assert hub.call("git", "merge", "other").code == 1
    index = read_index(hub)
    assert index.unmerged == {b"file"}
    assert [*index.entries] == [b"sub/other"]


def test_gitlinks(hub: Hub) -> None:
    head = hub.git("rev-parse", "HEAD")
    hub.git("update-index", "--add", "--cacheinfo", f"160000,{head},library")
    assert read_index(hub).gitlinks == {b"library"}


def test_split_and_sparse_indexes_are_incomplete(hub: Hub) -> None:
    hub.git("update-index", "--split-index")
    assert read_index(hub).incomplete == "split index"
    hub.git("update-index", "--no-split-index")
    assert read_index(hub).incomplete == ""
    hub.git("sparse-checkout", "set", "--cone", "--sparse-index", "none")
    assert read_index(hub).incomplete == "sparse index"


def test_optional_extensions_are_skipped(hub: Hub) -> None:
    """The index has the untracked cache, and the extensions of fsmonitor and index.threads."""
    hub.git("config", "index.threads", "2")
    hub.git("update-index", "--force-untracked-cache", "--fsmonitor")
    hub.git("status")
    assert [*read_index(hub).entries] == [b"file", b"sub/other"]


def test_an_unknown_mandatory_extension(hub: Hub) -> None:
    data = (hub.top / ".git" / "index").read_bytes()
    unreadable = data[:-20] + b"must\0\0\0\x01x" + data[-20:]
    with pytest.raises(Damaged, match="unknown mandatory extension b'must'"):
        parse_index(unreadable)
    assert parse_index(data[:-20] + b"MAYB\0\0\0\x01x" + data[-20:]).entries


def test_invalid_indexes(hub: Hub) -> None:
    data = (hub.top / ".git" / "index").read_bytes()
    for damaged in (
        b"",
        b"DIRC",
        b"GARB" + data[4:],
        data[:4] + b"\0\0\0\x09" + data[8:],
        data[:60],
    ):
        with pytest.raises(Damaged):
            parse_index(damaged)


def test_random_damage_raises_only_damaged(hub: Hub) -> None:
    """Damaged bytes cause no other exception and no endless loop."""
    add_many_files(hub)
    hub.git("update-index", "--index-version", "4")
    data = (hub.top / ".git" / "index").read_bytes()
    rng = random.Random(1)
    for _ in range(300):
        damaged = bytearray(data[: rng.randrange(len(data))] if rng.random() < 0.5 else data)
        for _ in range(rng.randrange(1, 4)):
            if damaged:
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            parse_index(bytes(damaged))
        except Damaged:
            pass


def test_an_empty_index(hub: Hub) -> None:
    hub.git("read-tree", "--empty")
    index = read_index(hub)
    assert index._replace(tree=None) == EMPTY_INDEX
