"""What a hostile reader found: ways in which work could be taken for what may go, or stop the command."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

import pytest

from git_hub_session.git.index import parse_index
from tests.support.cleanup import BRANCH, RESCUE, assert_restored_as_printed, kept, removed, saved
from tests.support.hub import Hub, Result, snapshot


@pytest.fixture
def where(hub: Hub) -> Path:
    """The worktree of session s1's one agent."""
    return hub.session("s1", agents=1).worktree(1)


@pytest.fixture
def excludes(hub: Hub) -> Path:
    """core.excludesFile, as the user's own configuration names it: *.log."""
    path = hub.top.parent / "excludes"
    path.write_text("*.log\n")
    hub.git("config", "--global", "core.excludesFile", path)
    return path


def untracked_in_rescue(hub: Hub) -> str:
    return hub.git("ls-tree", "-r", "--name-only", f"{RESCUE}^3")


def test_a_worktrees_own_configuration_says_what_is_ignored(
    hub: Hub, where: Path, excludes: Path
) -> None:
    hub.git("config", "extensions.worktreeConfig", "true")
    hub.git("config", "--worktree", "core.excludesFile", "", cwd=where)
    (where / "precious.log").write_text("precious\n")
    assert hub.run("cleanup", "s1") == saved(where)
    assert untracked_in_rescue(hub) == "precious.log"


def test_rules_are_named_from_the_worktrees_top(hub: Hub, where: Path, excludes: Path) -> None:
    hub.git("config", "core.excludesFile", "rules")
    (where / "rules").write_text("*.tmp\nrules\n")
    for name in ("precious.log", "gone.tmp"):
        (where / name).write_text("x\n")
    assert hub.run("cleanup", "s1") == saved(where)
    assert untracked_in_rescue(hub) == "precious.log"


@pytest.mark.parametrize("variable", ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"])
def test_another_file_for_the_users_configuration(
    hub: Hub, where: Path, excludes: Path, variable: str
) -> None:
    """What it says is not known: all that no .gitignore names is saved."""
    other = hub.top.parent / "other-config"
    other.write_text("[user]\n\tname = Bea\n\temail = bea@example.com\n")
    (where / "precious.log").write_text("precious\n")
    environ = {variable: str(other), "GIT_CONFIG_NOSYSTEM": "0"}
    assert hub.run("cleanup", "s1", environ=environ) == saved(where)
    assert untracked_in_rescue(hub) == "precious.log"


@pytest.mark.parametrize(
    "setting", ["core.excludesFile=", "core.excludesFile=none", "include.path={config}"]
)
def test_a_setting_of_one_call_says_what_is_ignored(
    hub: Hub, where: Path, excludes: Path, setting: str
) -> None:
    config = hub.top.parent / "included"
    config.write_text("[core]\n\texcludesFile = none\n")
    (where / "precious.log").write_text("precious\n")
    setting = setting.format(config=config)
    assert hub.call("git", "-c", setting, "hub-session", "cleanup", "s1") == saved(where)
    assert untracked_in_rescue(hub) == "precious.log"


def test_a_condition_that_libgit2_does_not_know(hub: Hub, where: Path, excludes: Path) -> None:
    included = hub.top.parent / "included"
    included.write_text("[core]\n\texcludesFile = none\n")
    hub.git("config", "remote.origin.url", "https://example.com/x")
    hub.git(
        "config",
        "--global",
        "includeIf.hasconfig:remote.*.url:https://example.com/**.path",
        included,
    )
    (where / "precious.log").write_text("precious\n")
    assert_restored_as_printed(hub, where)


def test_a_gitignore_that_sparse_checkout_leaves_out(hub: Hub, where: Path) -> None:
    """git reads it from the index; what it brings back is no more ignored than to git."""
    hub.commit(where, ".gitignore", "*.log\n")
    hub.commit(where, "sub/.gitignore", "!precious.log\n")
    hub.git("update-index", "--skip-worktree", "sub/.gitignore", cwd=where)
    (where / "sub" / ".gitignore").unlink()
    for name in ("gone.log", "sub/gone.log", "sub/precious.log"):
        (where / name).write_text("x\n")
    assert hub.git("status", "--porcelain", cwd=where) == "?? sub/precious.log"
    assert hub.run("cleanup", "s1") == saved(where)
    assert untracked_in_rescue(hub) == "sub/precious.log"


def test_a_tag_that_is_another_name_of_the_branch_keeps_nothing(hub: Hub, where: Path) -> None:
    """With the branch it would lead nowhere: the next tag is taken."""
    tip = hub.commit(where, "file", "second\n")
    hub.git("symbolic-ref", "refs/tags/hub/archive/s1/agent-1", f"refs/heads/{BRANCH}")
    assert hub.run("cleanup", "--archive", "s1").code == 0
    assert hub.refs("refs/tags") == {"refs/tags/hub/archive/s1/agent-1-attempt-1": tip}


def test_a_tag_that_goes_meanwhile(hub: Hub, where: Path) -> None:
    """It was there before, and so is not made: it is asked for again with the branch's end."""
    tip = hub.commit(where, "file", "second\n")
    tag = "refs/tags/hub/archive/s1/agent-1"
    hub.git("update-ref", tag, tip)
    programs = hub.top.parent / "racing"
    programs.mkdir()
    git = hub.call("sh", "-c", "command -v git").out.strip()
    racing = programs / "git"
    racing.write_text(
        f'#!/bin/sh\ncase "$*" in *update-ref*) {git} --git-dir={hub.top}/.git update-ref -d {tag};;'
        f' esac\nexec {git} "$@"\n'
    )
    racing.chmod(0o755)
    environ = {"PATH": f"{programs}:{hub.environ['PATH']}"}
    result = hub.call("git-hub-session", "cleanup", "--archive", "s1", environ=environ)
    assert (result.code, result.err) == (1, "")
    assert f"Kept branch: {BRANCH}: git refused: " in result.out
    assert hub.refs("refs/heads/hub") == {f"refs/heads/{BRANCH}": tip}


def test_a_tag_that_only_the_worktree_has(hub: Hub, where: Path) -> None:
    """refs/worktree/… goes with the worktree: the tag object and its commit are kept."""
    lost = hub.git("commit-tree", "-m", "lost", "main^{tree}")
    hub.git("tag", "-a", "-m", "a tag", "v1", lost)
    tag = hub.git("rev-parse", "v1")
    hub.git("update-ref", "refs/worktree/v1", tag, cwd=where)
    hub.git("tag", "-d", "v1")
    assert hub.run("cleanup", "s1").code == 0
    assert hub.refs("refs/hub/rescue") == {RESCUE: tag}
    assert not where.exists()


def test_a_bare_repository_at_the_top_of_the_worktree(hub: Hub, where: Path) -> None:
    (hub.top / ".git" / "info").mkdir(exist_ok=True)
    (hub.top / ".git" / "info" / "exclude").write_text("/HEAD\n/objects\n/refs\n")
    for name in ("objects", "refs"):
        (where / name).mkdir()
    (where / "HEAD").write_text("ref: refs/heads/main\n")
    (where / "objects" / "precious").write_text("precious\n")
    before = snapshot(where)
    assert hub.run("cleanup", "s1") == kept(
        where, "contains another repository: '.'", f"move it out of {where}"
    )
    assert snapshot(where) == before


def test_a_size_that_git_was_not_sure_of(hub: Hub, where: Path) -> None:
    """git writes 0 in place of it: an empty file whose times fit is no more unchanged for that."""
    hub.commit(where, "new", "content\n")
    (where / "new").write_bytes(b"")
    file = (where / "new").stat()
    index = Path(hub.git("rev-parse", "--absolute-git-dir", cwd=where)) / "index"
    data = bytearray(index.read_bytes())
    start = data.index(b"new\0") - 62
    entry = parse_index(bytes(data)).entries[b"new"]
    times = (*divmod(file.st_ctime_ns, 10**9), *divmod(file.st_mtime_ns, 10**9))
    struct.pack_into(">6I", data, start, *times, file.st_dev & 0xFFFFFFFF, file.st_ino & 0xFFFFFFFF)
    struct.pack_into(">I", data, start + 36, 0)
    index.write_bytes(data[:-20] + hashlib.sha1(data[:-20]).digest())
    later = file.st_mtime_ns + 10**9
    os.utime(index, ns=(later, later))
    assert entry.oid.hex() == hub.git("rev-parse", "HEAD:new", cwd=where)
    assert_restored_as_printed(hub, where)


def test_configuration_that_is_no_text(hub: Hub, where: Path) -> None:
    """git takes any bytes: only a setting that is asked for has to be one."""
    with open(hub.top / ".git" / "config", "ab") as file:
        file.write(b'[branch "caf\xe9"]\n\tmerge = refs/heads/caf\xe9\n')
    (where / "new").write_text("new\n")
    assert hub.run("cleanup", "s1") == saved(where)


@pytest.mark.parametrize("name", ["hubsession.rescueLimit", "hubsession.keepIgnored"])
def test_a_setting_that_is_no_text(hub: Hub, where: Path, name: str) -> None:
    section, _, key = name.partition(".")
    with open(hub.top / ".git" / "config", "ab") as file:
        file.write(f"[{section}]\n\t{key} = ".encode() + b"caf\xe9\n")
    assert hub.run("cleanup", "s1") == Result(
        128, "", f"fatal: the value of {name} is not UTF-8\nhint: git config {name}\n"
    )
    assert where.exists()


def test_a_tree_that_is_missing(hub: Hub, where: Path) -> None:
    """Nothing can be compared with it: the worktree stays."""
    hub.commit(where, "sub/other", "third\n")
    hub.git("update-index", "--add", "--cacheinfo", f"100644,{'1' * 40},x", cwd=where)
    oid = hub.git("rev-parse", "HEAD:sub", cwd=where)
    (hub.top / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    before = snapshot(where)
    result = hub.run("cleanup", "s1")
    assert result == kept(
        where,
        "cannot inspect the worktree: cannot read the repository: "
        f"object not found - no match for id ({oid})",
        "git fsck\nin a partial clone: git fetch --refetch --no-filter",
    )
    assert snapshot(where) == before


def test_clean_still_goes(hub: Hub, where: Path, excludes: Path) -> None:
    """With rules that are known, what they name goes with the directory."""
    (where / "gone.log").write_text("x\n")
    assert hub.run("cleanup", "s1") == removed(where)
