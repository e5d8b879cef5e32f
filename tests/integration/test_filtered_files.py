"""A worktree is unchanged where `git status` finds it unchanged, before git has refreshed its index."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.support.cleanup import kept, removed, saved
from tests.support.hub import Hub, snapshot
from tests.support.loaded_modules import heavy, loaded

ENDINGS = "*.txt text eol=crlf\n"
MEASURE = ("--eval", "echo ms: 9", "--metric", "ms", "--direction", "lower")
FILTER = "*.up filter=up\n"


def commit_attributes(hub: Hub, attributes: str, **files: bytes) -> None:
    """Commit .gitattributes, then files with the names `file_txt` for file.txt, in this form."""
    (hub.top / ".gitattributes").write_text(attributes)
    for name, data in files.items():
        (hub.top / name.replace("_", ".")).write_bytes(data)
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "files")


def use_filter(hub: Hub, clean: str = "tr a-z A-Z") -> Path:
    """Set the filter `up`, which stores capital letters. Return the log of its calls."""
    log = hub.top.parent / "calls"
    log.touch()
    hub.git("config", "filter.up.clean", f"echo %f >>'{log}'; {clean}")
    hub.git("config", "filter.up.smudge", "tr A-Z a-z")
    return log


def age(*paths: Path) -> None:
    """Give files other stat data, so that their contents must be compared."""
    for path in paths:
        os.utime(path, (1, 1))


def make_racy(hub: Hub, agent: int = 1) -> None:
    """Make the index as old as the oldest file, as if all were written in one tick of the clock."""
    index = hub.top / ".git" / "worktrees" / f"agent-{agent}" / "index"
    os.utime(index, (1, 1))


def status_of(hub: Hub, agent: int = 1) -> tuple[int, int]:
    """Return the numbers of changed and of untracked files. Compare them with `git status`."""
    result = hub.run("status", "s1", "--format=json")
    assert (result.code, result.err) == (0, "")
    worktree = json.loads(result.out)["worktrees"][agent - 1]
    numbers = (worktree["changed"], worktree["untracked"])
    lines = hub.git(
        "--no-optional-locks", "status", "--porcelain", cwd=hub.worktree(agent)
    ).splitlines()
    untracked = sum(line.startswith("??") for line in lines)
    assert numbers == (len(lines) - untracked, untracked)
    return numbers


def assert_clean(hub: Hub) -> None:
    """Check that `status` and the preview of `cleanup` find no work, and that `cleanup` saves none."""
    assert status_of(hub) == (0, 0)
    assert "save" not in hub.run("cleanup", "--dry-run", "s1").out
    assert hub.run("cleanup", "s1") == removed(hub.worktree(1))
    assert hub.refs("refs/hub") == {}


@pytest.mark.parametrize("racy", [True, False])
@pytest.mark.parametrize(
    ("attributes", "data"),
    [
        (ENDINGS, b"one\r\ntwo\r\n"),
        ("*.txt ident\n", b"$Id$\n"),
        ("*.txt text working-tree-encoding=UTF-16LE\n", "grün\n".encode("utf-16-le")),
        ("[attr]up filter=up\n*.txt up\n", b"lower\n"),
    ],
    ids=["line endings", "ident", "encoding", "filter"],
)
def test_file_that_only_a_filter_can_compare(
    hub: Hub, *, attributes: str, data: bytes, racy: bool
) -> None:
    use_filter(hub)
    commit_attributes(hub, attributes, a_txt=data)
    worktree = hub.session("s1", agents=1).worktree(1)
    if racy:
        make_racy(hub)
    else:
        age(worktree / "a.txt")
    assert_clean(hub)


def test_core_autocrlf(hub: Hub) -> None:
    hub.git("config", "core.autocrlf", "true")
    worktree = hub.session("s1", agents=1).worktree(1)
    assert (worktree / "file").read_bytes() == b"first\r\n"
    make_racy(hub)
    assert_clean(hub)


@pytest.mark.skipif(not shutil.which("git-lfs"), reason="git-lfs is not installed")
def test_git_lfs(hub: Hub) -> None:
    hub.git("lfs", "install", "--local")
    commit_attributes(hub, "*.bin filter=lfs diff=lfs merge=lfs -text\n", a_bin=b"large\n")
    worktree = hub.session("s1", agents=1).worktree(1)
    age(worktree / "a.bin")
    assert status_of(hub) == (0, 0)
    (worktree / "a.bin").write_bytes(b"LARGE\n")
    assert status_of(hub) == (1, 0)


def test_attributes_of_the_git_dir_in_a_split_index(hub: Hub) -> None:
    """libgit2 cannot read the index. git completes it, without stat data, and compares the files."""
    use_filter(hub)
    commit_attributes(hub, "", a_up=b"lower\n")
    (hub.top / ".git" / "info" / "attributes").write_text(FILTER)
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "a.up").write_text("lower\n")
    hub.git("add", "--renormalize", ".", cwd=worktree)
    hub.git("commit", "-q", "-m", "LOWER", cwd=worktree)
    hub.git("update-index", "--split-index", cwd=worktree)
    assert hub.run("cleanup", "s1") == removed(worktree)


def test_changed_file_of_each_filter(hub: Hub) -> None:
    """A change of the same size is found in a file that a filter applies to."""
    use_filter(hub)
    commit_attributes(hub, ENDINGS + FILTER, a_txt=b"one\r\n", b_up=b"lower\n")
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "a.txt").write_bytes(b"ONE\r\n")
    (worktree / "b.up").write_bytes(b"other\n")
    assert status_of(hub) == (2, 0)
    assert hub.run("cleanup", "s1") == saved(worktree)


def test_filter_runs_only_where_git_status_runs_it(hub: Hub) -> None:
    """Neither the recorded stat data nor another size needs a filter."""
    log = use_filter(hub)
    commit_attributes(hub, FILTER, a_up=b"lower\n", b_up=b"lower\n", c_txt=b"text\n")
    worktree = hub.session("s1", agents=1).worktree(1)
    age(worktree / "a.up", worktree / "b.up")
    hub.git("update-index", "--refresh", cwd=worktree)
    log.write_text("")
    (worktree / "b.up").write_text("much longer\n")
    (worktree / "c.txt").write_text("TEXT\n")
    assert hub.run("status", "s1", "--format=json").code == 0
    assert log.read_text() == ""
    age(worktree / "c.txt")
    assert heavy(loaded(hub, "status", "s1")) == ["pygit2"]
    (worktree / "b.up").write_text("lower\n")
    assert hub.run("status", "s1", "--format=json").code == 0
    assert log.read_text() == "b.up\n"


def test_filter_that_fails(hub: Hub) -> None:
    """The file counts as changed, and no message of the filter reaches the terminal."""
    use_filter(hub)
    commit_attributes(hub, FILTER + "*.txt \x1b[2J\n", a_up=b"lower\n")
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.git("config", "filter.up.clean", r"printf '\033[2J' >&2; false")
    hub.git("config", "filter.up.required", "true")
    age(worktree / "a.up")
    result = hub.run("status", "s1", "--format=json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["worktrees"][0]["changed"] == 1


def test_mixed_line_endings(hub: Hub) -> None:
    """The file is unchanged for git, but git would not restore its bytes."""
    commit_attributes(hub, "*.txt text=auto eol=crlf\n", a_txt=b"one\r\ntwo\r\n")
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "a.txt").write_bytes(b"one\ntwo\r\n")
    hub.git("add", "a.txt", cwd=worktree)
    age(worktree / "a.txt")
    assert status_of(hub) == (0, 0)
    before = snapshot(worktree)
    assert hub.run("cleanup", "s1") == kept(
        worktree,
        "cannot be saved byte for byte: 'a.txt' (changed by line-ending conversion or a filter)",
        "commit it, or move it out of the worktree",
    )
    assert snapshot(worktree) == before


def test_core_file_mode(hub: Hub) -> None:
    """A file system without permissions shows all files as executable."""
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.git("config", "core.fileMode", "false")
    (worktree / "file").chmod(0o755)
    assert_clean(hub)


def test_core_file_mode_of_one_worktree(hub: Hub) -> None:
    hub.session("s1", agents=2)
    hub.git("config", "extensions.worktreeConfig", "true")
    hub.git("config", "--worktree", "core.fileMode", "false", cwd=hub.worktree(2))
    for agent in (1, 2):
        (hub.worktree(agent) / "file").chmod(0o755)
    assert status_of(hub, 1) == (1, 0)
    assert status_of(hub, 2) == (0, 0)


def test_mode_is_saved_with_other_work(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.git("config", "core.fileMode", "false")
    (worktree / "file").chmod(0o755)
    (worktree / "new").write_text("new\n")
    assert hub.run("cleanup", "s1") == saved(worktree)
    tree = hub.git("ls-tree", "refs/hub/rescue/s1/agent-1/attempt-1/1", "file")
    assert tree.startswith("100755 ")


def test_core_symlinks(hub: Hub) -> None:
    """git writes a file in the place of a link."""
    (hub.top / "link").symlink_to("file")
    hub.git("add", "link")
    hub.git("commit", "-q", "-m", "link")
    hub.git("config", "core.symlinks", "false")
    worktree = hub.session("s1", agents=1).worktree(1)
    assert not (worktree / "link").is_symlink()
    assert status_of(hub) == (0, 0)
    (worktree / "link").write_text("elif")
    assert status_of(hub) == (1, 0)
    (worktree / "link").write_text("file")
    assert_clean(hub)


def test_large_file(hub: Hub) -> None:
    """A file above 64 MiB is hashed in parts."""
    with (hub.top / "large").open("wb") as file:
        file.truncate((64 << 20) + 1)
    hub.git("-c", "core.bigFileThreshold=1m", "add", "large")
    hub.git("commit", "-q", "-m", "large")
    worktree = hub.session("s1", agents=1).worktree(1)
    age(worktree / "large")
    assert status_of(hub) == (0, 0)
    with (worktree / "large").open("r+b") as file:
        file.write(b"x")
    assert status_of(hub) == (1, 0)


def test_eval_and_merge_after_a_touch(hub: Hub) -> None:
    """Neither command warns of uncommitted changes."""
    commit_attributes(hub, ENDINGS, a_txt=b"one\r\n")
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.commit(worktree, "file", "better\n")
    assert hub.run("update", "-q", "s1", "--state", "running").code == 0
    age(worktree / "a.txt")
    result = hub.run("eval", *MEASURE, "--in-place", "s1")
    assert (result.code, "uncommitted" in result.out + result.err) == (0, False), result
    age(worktree / "a.txt")
    result = hub.run("merge", "-n", "s1")
    assert (result.code, "uncommitted" in result.out + result.err) == (0, False)
