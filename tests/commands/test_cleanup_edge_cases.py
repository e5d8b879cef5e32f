"""`cleanup` with unusual configuration, ignore files, refs and index entries."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

import pytest

from git_hub_session.git.index import parse_index
from tests.support.cleanup import BRANCH, RESCUE, assert_restored_as_printed, kept, removed, saved
from tests.support.hints import type_hint, types
from tests.support.hub import Hub, Result, snapshot
from tests.support.nested_directories import nest_directories


@pytest.fixture
def worktree(hub: Hub) -> Path:
    """Return the worktree of the only agent of session s1."""
    return hub.session("s1", agents=1).worktree(1)


@pytest.fixture
def excludes(hub: Hub) -> Path:
    """Set core.excludesFile in the global configuration to a file that ignores *.log."""
    path = hub.top.parent / "excludes"
    path.write_text("*.log\n")
    hub.git("config", "--global", "core.excludesFile", path)
    return path


def list_saved_untracked_files(hub: Hub) -> str:
    """Return the paths of the untracked files in the stash commit."""
    return hub.git("ls-tree", "-r", "--name-only", f"{RESCUE}^3")


def test_excludes_file_in_the_worktree_configuration(
    hub: Hub, worktree: Path, excludes: Path
) -> None:
    hub.git("config", "extensions.worktreeConfig", "true")
    hub.git("config", "--worktree", "core.excludesFile", "", cwd=worktree)
    (worktree / "precious.log").write_text("precious\n")
    assert hub.run("cleanup", "s1") == saved(worktree)
    assert list_saved_untracked_files(hub) == "precious.log"


def test_relative_excludes_file(hub: Hub, worktree: Path, excludes: Path) -> None:
    hub.git("config", "core.excludesFile", "rules")
    (worktree / "rules").write_text("*.tmp\nrules\n")
    for name in ("precious.log", "gone.tmp"):
        (worktree / name).write_text("x\n")
    assert hub.run("cleanup", "s1") == saved(worktree)
    assert list_saved_untracked_files(hub) == "precious.log"


@pytest.mark.parametrize("variable", ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"])
def test_variable_that_replaces_the_configuration(
    hub: Hub, worktree: Path, excludes: Path, variable: str
) -> None:
    """The excludes file is unknown. Every file that no .gitignore matches is saved."""
    config = hub.top.parent / "other-config"
    config.write_text("[user]\n\tname = Bea\n\temail = bea@example.com\n")
    (worktree / "precious.log").write_text("precious\n")
    environ = {variable: str(config), "GIT_CONFIG_NOSYSTEM": "0"}
    assert hub.run("cleanup", "s1", environ=environ) == saved(worktree)
    assert list_saved_untracked_files(hub) == "precious.log"


@pytest.mark.parametrize(
    "setting", ["core.excludesFile=", "core.excludesFile=none", "include.path={config}"]
)
def test_excludes_file_in_a_command_line_setting(
    hub: Hub, worktree: Path, excludes: Path, setting: str
) -> None:
    config = hub.top.parent / "included"
    config.write_text("[core]\n\texcludesFile = none\n")
    (worktree / "precious.log").write_text("precious\n")
    setting = setting.format(config=config)
    assert hub.call("git", "-c", setting, "hub-session", "cleanup", "s1") == saved(worktree)
    assert list_saved_untracked_files(hub) == "precious.log"


def test_include_condition_that_libgit2_does_not_support(
    hub: Hub, worktree: Path, excludes: Path
) -> None:
    included = hub.top.parent / "included"
    included.write_text("[core]\n\texcludesFile = none\n")
    hub.git("config", "remote.origin.url", "https://example.com/x")
    hub.git(
        "config",
        "--global",
        "includeIf.hasconfig:remote.*.url:https://example.com/**.path",
        included,
    )
    (worktree / "precious.log").write_text("precious\n")
    assert_restored_as_printed(hub, worktree)


def test_gitignore_outside_of_the_sparse_checkout(hub: Hub, worktree: Path) -> None:
    """Git reads the file from the index. The command saves the files that git does not ignore."""
    hub.commit(worktree, ".gitignore", "*.log\n")
    hub.commit(worktree, "sub/.gitignore", "!precious.log\n")
    hub.git("update-index", "--skip-worktree", "sub/.gitignore", cwd=worktree)
    (worktree / "sub" / ".gitignore").unlink()
    for name in ("gone.log", "sub/gone.log", "sub/precious.log"):
        (worktree / name).write_text("x\n")
    assert hub.git("status", "--porcelain", cwd=worktree) == "?? sub/precious.log"
    assert hub.run("cleanup", "s1") == saved(worktree)
    assert list_saved_untracked_files(hub) == "sub/precious.log"


def test_archive_tag_that_is_a_symbolic_ref_to_the_branch(hub: Hub, worktree: Path) -> None:
    """The tag would be broken after the deletion of the branch. The next tag name is used."""
    tip = hub.commit(worktree, "file", "second\n")
    hub.git("symbolic-ref", "refs/tags/hub/archive/s1/agent-1", f"refs/heads/{BRANCH}")
    assert hub.run("cleanup", "--archive", "s1").code == 0
    assert hub.refs("refs/tags") == {"refs/tags/hub/archive/s1/agent-1-attempt-1": tip}


def test_archive_tag_that_is_deleted_during_the_cleanup(hub: Hub, worktree: Path) -> None:
    """The tag existed and was not created.

    The transaction that deletes the branch verifies the tag.
    """
    tip = hub.commit(worktree, "file", "second\n")
    tag = "refs/tags/hub/archive/s1/agent-1"
    hub.git("update-ref", tag, tip)
    directory = hub.top.parent / "racing"
    directory.mkdir()
    git = hub.call("sh", "-c", "command -v git").out.strip()
    wrapper = directory / "git"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *update-ref*) {git} --git-dir={hub.top}/.git update-ref -d {tag};;'
        f' esac\nexec {git} "$@"\n'
    )
    wrapper.chmod(0o755)
    environ = {"PATH": f"{directory}:{hub.environ['PATH']}"}
    result = hub.call("git-hub-session", "cleanup", "--archive", "s1", environ=environ)
    assert (result.code, result.err) == (1, "")
    assert "agent-1: removed ../worktrees/s1/agent-1, kept branch: git refused: " in result.out
    assert hub.refs("refs/heads/hub") == {f"refs/heads/{BRANCH}": tip}


def test_tag_in_a_worktree_ref(hub: Hub, worktree: Path) -> None:
    """refs/worktree is removed with the worktree. The tag object gets a rescue ref."""
    lost = hub.git("commit-tree", "-m", "lost", "main^{tree}")
    hub.git("tag", "-a", "-m", "a tag", "v1", lost)
    tag = hub.git("rev-parse", "v1")
    hub.git("update-ref", "refs/worktree/v1", tag, cwd=worktree)
    hub.git("tag", "-d", "v1")
    assert hub.run("cleanup", "s1").code == 0
    assert hub.refs("refs/hub/rescue") == {RESCUE: tag}
    assert not worktree.exists()


def test_bare_repository_at_the_top_of_the_worktree(hub: Hub, worktree: Path) -> None:
    (hub.top / ".git" / "info").mkdir(exist_ok=True)
    (hub.top / ".git" / "info" / "exclude").write_text("/HEAD\n/objects\n/refs\n")
    for name in ("objects", "refs"):
        (worktree / name).mkdir()
    (worktree / "HEAD").write_text("ref: refs/heads/main\n")
    (worktree / "objects" / "precious").write_text("precious\n")
    before = snapshot(worktree)
    assert hub.run("cleanup", "s1") == kept(
        worktree,
        "contains another repository: '.'",
        f"move HEAD, objects and refs out of {worktree}",
    )
    assert snapshot(worktree) == before


def test_index_entry_with_size_zero(hub: Hub, worktree: Path) -> None:
    """Git writes size 0 for a racily clean entry. The empty file differs from the blob."""
    hub.commit(worktree, "new", "content\n")
    (worktree / "new").write_bytes(b"")
    stat = (worktree / "new").stat()
    index = Path(hub.git("rev-parse", "--absolute-git-dir", cwd=worktree)) / "index"
    data = bytearray(index.read_bytes())
    start = data.index(b"new\0") - 62
    entry = parse_index(bytes(data)).entries[b"new"]
    times = (*divmod(stat.st_ctime_ns, 10**9), *divmod(stat.st_mtime_ns, 10**9))
    struct.pack_into(">6I", data, start, *times, stat.st_dev & 0xFFFFFFFF, stat.st_ino & 0xFFFFFFFF)
    struct.pack_into(">I", data, start + 36, 0)
    index.write_bytes(data[:-20] + hashlib.sha1(data[:-20]).digest())
    later = stat.st_mtime_ns + 10**9
    os.utime(index, ns=(later, later))
    assert entry.oid.hex() == hub.git("rev-parse", "HEAD:new", cwd=worktree)
    assert_restored_as_printed(hub, worktree)


def test_configuration_that_is_not_utf8(hub: Hub, worktree: Path) -> None:
    """Git accepts any bytes. Only the settings that the command reads must be UTF-8."""
    with open(hub.top / ".git" / "config", "ab") as file:
        file.write(b'[branch "caf\xe9"]\n\tmerge = refs/heads/caf\xe9\n')
    (worktree / "new").write_text("new\n")
    assert hub.run("cleanup", "s1") == saved(worktree)


@pytest.mark.parametrize("name", ["hubsession.rescueLimit", "hubsession.keepIgnored"])
def test_setting_that_is_not_utf8(hub: Hub, worktree: Path, name: str) -> None:
    section, _, key = name.partition(".")
    with open(hub.top / ".git" / "config", "ab") as file:
        file.write(f"[{section}]\n\t{key} = ".encode() + b"caf\xe9\n")
    assert hub.run("cleanup", "s1") == Result(
        128,
        "",
        f"fatal: the value of {name} is not UTF-8\nhint: git config --show-origin --get-all {name}\n",
    )
    assert worktree.exists()


@types("git fsck")
def test_missing_tree_object(hub: Hub, worktree: Path) -> None:
    """The worktree cannot be compared with its commit, and is kept."""
    hub.commit(worktree, "sub/other", "third\n")
    hub.git("update-index", "--add", "--cacheinfo", f"100644,{'1' * 40},x", cwd=worktree)
    oid = hub.git("rev-parse", "HEAD:sub", cwd=worktree)
    missing = hub.top / ".git" / "objects" / oid[:2] / oid[2:]
    content = missing.read_bytes()
    missing.unlink()
    before = snapshot(worktree)
    result = hub.run("cleanup", "s1")
    assert result == kept(
        worktree,
        "cannot inspect the worktree: cannot read the repository: "
        f"object not found - no match for id ({oid})",
        "git fsck\nin a partial clone: git fetch --refetch --no-filter",
    )
    assert snapshot(worktree) == before
    assert f"missing tree {oid}\n" in type_hint(hub, "git fsck", code=2).out
    missing.write_bytes(content)  # from a backup
    hub.git("update-index", "--force-remove", "x", cwd=worktree)
    assert hub.run("cleanup", "-q", "s1") == Result(0)


def test_ignored_files_are_removed(hub: Hub, worktree: Path, excludes: Path) -> None:
    (worktree / "gone.log").write_text("x\n")
    assert hub.run("cleanup", "s1") == removed(worktree)


def test_deeply_nested_directories(hub: Hub, worktree: Path) -> None:
    """An untracked file in such a directory comes back, and ignored directories are deleted."""
    file = nest_directories(worktree)
    assert hub.run("cleanup", "s1") == saved(worktree)
    assert hub.run("restore", "s1").code == 0
    restored = Path(hub.run("path", "s1", "agent-1").out.strip())
    assert os.path.isfile(os.path.join(os.fsencode(restored), file))
    (restored / "d" / ".gitignore").write_text("*\n")
    assert hub.run("cleanup", "s1").code == 0
    assert not restored.exists()
