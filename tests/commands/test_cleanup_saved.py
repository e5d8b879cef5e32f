"""Each kind of uncommitted change: saved by `cleanup`, and restored by the printed command."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from tests.support.cleanup import (
    assert_restored_as_printed,
    kept,
    read_content,
    removed,
    restore_command,
    run_restore_commands,
    saved,
    shown_path,
)
from tests.support.hub import Hub, snapshot
from tests.support.worktree_changes import (
    CHANGES,
    Change,
    change_file,
    create_untracked_files,
    create_worktree_with_files,
    large_file_filters,
    stage_and_change_file,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_each_kind_of_change_is_restored(hub: Hub, change: Change) -> None:
    """Status and bytes are equal after `git worktree add` and `git stash apply --index`."""
    worktree = create_worktree_with_files(hub)
    change(hub, worktree)
    assert_restored_as_printed(hub, worktree)


def test_file_rewritten_with_its_old_size_and_time(hub: Hub) -> None:
    """Git trusts neither ctime nor inode and sees no change. The command reads the file."""
    worktree = create_worktree_with_files(hub)
    hub.git("config", "core.trustctime", "false")
    hub.git("config", "core.checkStat", "minimal")
    os.utime(worktree / "file", (1, 1))
    hub.git("update-index", "--refresh", cwd=worktree)
    (worktree / "file").write_text("FIRST\n")
    os.utime(worktree / "file", (1, 1))
    assert read_content(hub, worktree).status == [""]
    assert_restored_as_printed(hub, worktree, status=[" M file"])


def test_file_written_in_the_same_tick_as_the_index(hub: Hub) -> None:
    """The file is "racily clean": its stat data match the index, but its content differs."""
    worktree = create_worktree_with_files(hub)
    (worktree / "file").write_text("FIRST\n")
    index = hub.top / ".git" / "worktrees" / "agent-1" / "index"
    data = bytearray(index.read_bytes())
    position = data.index(b"file\0") - 62  # the start of the entry: gitformat-index(5)
    stat = (worktree / "file").stat()
    times = (*divmod(stat.st_ctime_ns, 10**9), *divmod(stat.st_mtime_ns, 10**9))
    struct.pack_into(">4I", data, position, *times)
    index.write_bytes(data)
    os.utime(index, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    assert_restored_as_printed(hub, worktree)


def test_assume_unchanged_and_skip_worktree_files(hub: Hub) -> None:
    """Changed contents, modes and deletions are restored. The flags are lost."""
    worktree = create_worktree_with_files(hub)
    hub.git("update-index", "--assume-unchanged", "file", "dir/one", "link", cwd=worktree)
    hub.git(
        "update-index", "--skip-worktree", "dir/two", "dir/three", "empty", "program", cwd=worktree
    )
    (worktree / "file").write_text("assumed\n")
    (worktree / "dir" / "one").unlink()
    (worktree / "link").unlink()
    (worktree / "link").symlink_to("sub")
    (worktree / "dir" / "two").write_text("skipped\n")
    (worktree / "dir" / "three").chmod(0o755)
    (worktree / "empty").unlink()
    assert read_content(hub, worktree).status == [""]
    before = read_content(hub, worktree)
    result = hub.run("cleanup", "s1")
    assert result == saved(worktree)
    run_restore_commands(hub, result)
    # A missing skip-worktree file is not a change. The restored file comes from the commit.
    assert read_content(hub, worktree) == (
        ["", " D dir/one", " M dir/three", " M dir/two", " M file", " M link"],
        {**before.files, "empty": b""},
        ["dir/three", "program"],
    )


def test_missing_skip_worktree_file_is_not_a_change(hub: Hub) -> None:
    worktree = create_worktree_with_files(hub)
    hub.git("update-index", "--skip-worktree", "file", cwd=worktree)
    (worktree / "file").unlink()
    assert hub.run("cleanup", "s1") == removed(worktree)


def test_intent_to_add(hub: Hub) -> None:
    """The files are restored as added, because a stash cannot record the intent."""
    worktree = create_worktree_with_files(hub)
    (worktree / "new").write_text("new\n")
    (worktree / "void").write_text("")
    hub.git("add", "--intent-to-add", "new", "void", cwd=worktree)
    assert read_content(hub, worktree).status == ["", " A new", " A void"]
    assert_restored_as_printed(hub, worktree, status=["A  new", "A  void"])


def test_fsmonitor_is_not_used(hub: Hub) -> None:
    """The monitor reports that no file has changed."""
    worktree = create_worktree_with_files(hub)
    call_log = hub.top.parent / "asked"
    monitor = hub.top.parent / "monitor"
    monitor.write_text(f"#!/bin/sh\necho >>{call_log}\nprintf 'token\\0'\n")
    monitor.chmod(0o755)
    hub.git("config", "core.fsmonitor", monitor)
    hub.git("update-index", "--fsmonitor", cwd=worktree)
    hub.git("status", cwd=worktree)
    assert call_log.exists()
    (worktree / "file").write_text("changed\n")
    (worktree / "new").write_text("new\n")
    assert " M file" not in read_content(hub, worktree).status
    before = read_content(hub, worktree)
    call_log.unlink()
    result = hub.run("cleanup", "s1")
    assert result == saved(worktree)
    assert not call_log.exists()
    hub.git("config", "--unset", "core.fsmonitor")
    run_restore_commands(hub, result)
    assert read_content(hub, worktree) == before._replace(status=["", " M file", "?? new"])


@pytest.mark.parametrize("cone", [True, False])
def test_sparse_checkout_with_files_outside_its_patterns(hub: Hub, *, cone: bool) -> None:
    """Changes outside the patterns are saved too. The restored worktree is not sparse."""
    worktree = create_worktree_with_files(hub)
    files = snapshot(worktree)
    patterns = ["set", "--cone", "sub"] if cone else ["set", "--no-cone", "/file", "sub"]
    hub.git("sparse-checkout", *patterns, cwd=worktree)
    assert not (worktree / "dir").exists()
    (worktree / "dir").mkdir()
    (worktree / "dir" / "one").write_text("left over, changed\n")
    (worktree / "dir" / "new").write_text("new\n")
    (worktree / "sub" / "other").write_text("changed\n")
    result = hub.run("cleanup", "s1")
    assert result == saved(worktree)
    run_restore_commands(hub, result)
    del files[".git"]
    assert read_content(hub, worktree) == (
        ["", " M dir/one", " M sub/other", "?? dir/new"],
        {
            **files,
            "dir/one": b"left over, changed\n",
            "dir/new": b"new\n",
            "sub/other": b"changed\n",
        },
        ["program"],
    )


def test_clean_sparse_checkout_is_removed(hub: Hub) -> None:
    worktree = create_worktree_with_files(hub)
    hub.git("sparse-checkout", "set", "--cone", "sub", cwd=worktree)
    assert hub.run("cleanup", "s1") == removed(worktree)


def test_sparse_index(hub: Hub) -> None:
    """One entry of the index stands for a directory. Staged and unstaged changes are restored."""
    worktree = create_worktree_with_files(hub)
    hub.git("sparse-checkout", "set", "--cone", "--sparse-index", "sub", cwd=worktree)
    assert "dir/\n" in hub.git("ls-files", "--sparse", cwd=worktree)
    (worktree / "sub" / "other").write_text("staged\n")
    hub.git("add", "sub", cwd=worktree)
    (worktree / "sub" / "other").write_text("changed\n")
    (worktree / "dir").mkdir()
    (worktree / "dir" / "two").write_text("left over, changed\n")
    result = hub.run("cleanup", "s1")
    assert result == saved(worktree)
    run_restore_commands(hub, result)
    assert read_content(hub, worktree).status == ["", " M dir/two", "MM sub/other"]
    assert (worktree / "sub" / "other").read_text() == "changed\n"
    assert (worktree / "dir" / "two").read_text() == "left over, changed\n"


def test_clean_worktrees_with_a_split_or_sparse_index(hub: Hub) -> None:
    hub.session("s1", agents=2)
    hub.git("update-index", "--split-index", cwd=hub.worktree(1))
    hub.git("sparse-checkout", "set", "--cone", "--sparse-index", "none", cwd=hub.worktree(2))
    assert hub.run("cleanup", "s1") == removed(hub.worktree(1), hub.worktree(2))


@pytest.mark.parametrize("setting", ["true", "input", "false"])
def test_line_endings(hub: Hub, setting: str) -> None:
    """Files with git's own line endings are restored exactly, with attributes and core.autocrlf."""
    hub.git("config", "core.autocrlf", setting)
    (hub.top / ".gitattributes").write_text("*.txt text\n*.crlf text eol=crlf\n*.raw -text\n")
    hub.git("add", ".gitattributes")
    hub.git("commit", "-q", "-m", "attributes")
    hub.session("s1", agents=1)
    worktree = hub.worktree(1)
    native_ending = b"\r\n" if setting == "true" else b"\n"
    (worktree / "a.txt").write_bytes(b"one" + native_ending + b"two" + native_ending)
    (worktree / "b.crlf").write_bytes(b"one\r\ntwo\r\n")
    (worktree / "c.raw").write_bytes(b"one\r\ntwo\n\r")
    hub.git("add", ".", cwd=worktree)
    (worktree / "a.txt").write_bytes(b"three" + native_ending)
    (worktree / "d.txt").write_bytes(b"untracked" + native_ending)
    (worktree / "e.crlf").write_bytes(b"untracked\r\n")
    assert_restored_as_printed(hub, worktree)


def test_line_endings_that_git_would_convert_keep_the_worktree(hub: Hub) -> None:
    worktree = create_worktree_with_files(hub)
    hub.git("config", "core.autocrlf", "input")
    (worktree / "new").write_bytes(b"one\r\n")
    before = snapshot(worktree)
    assert hub.run("cleanup", "s1") == kept(
        worktree,
        "cannot be saved byte for byte: 'new' (changed by line-ending conversion or a filter)",
        "commit it, or move it out of the worktree",
    )
    assert (snapshot(worktree), hub.refs("refs/hub")) == (before, {})
    assert hub.run("cleanup", "--discard", "s1") == removed(worktree)


def test_committed_crlf_with_autocrlf(hub: Hub) -> None:
    """Git does not convert a file whose blob in the index has CR LF."""
    worktree = create_worktree_with_files(hub)
    (worktree / "file").write_bytes(b"one\r\n")
    hub.git("commit", "-q", "-a", "-m", "CR LF", cwd=worktree)
    hub.git("config", "core.autocrlf", "input")
    (worktree / "file").write_bytes(b"one\r\ntwo\r\n")
    assert_restored_as_printed(hub, worktree)


def create_worktree_with_filter(hub: Hub, clean: str, smudge: str) -> Path:
    """Set a filter for *.big, commit one such file in a worktree, and return the worktree."""
    worktree = create_worktree_with_files(hub)
    hub.git("config", "filter.pointer.clean", clean)
    hub.git("config", "filter.pointer.smudge", smudge)
    hub.git("config", "filter.pointer.required", "true")
    (worktree / ".gitattributes").write_text("*.big filter=pointer\n")
    (worktree / "a.big").write_text("big\n")
    hub.git("add", ".", cwd=worktree)
    hub.git("commit", "-q", "-m", "big", cwd=worktree)
    return worktree


def test_filter_like_git_lfs(hub: Hub) -> None:
    worktree = create_worktree_with_filter(hub, *large_file_filters(hub))
    assert hub.git("show", "HEAD:a.big", cwd=worktree).startswith("pointer ")
    (worktree / "a.big").write_text("bigger\n")
    hub.git("add", ".", cwd=worktree)
    (worktree / "a.big").write_text("and bigger\n")
    (worktree / "b.big").write_text("untracked\n")
    assert_restored_as_printed(hub, worktree)
    assert hub.git("show", "refs/hub/rescue/s1/agent-1/attempt-1/1:a.big").startswith("pointer ")


def test_touched_file_with_a_filter_is_not_a_change(hub: Hub) -> None:
    """Only the filter can show that the file is unchanged. The worktree is removed."""
    worktree = create_worktree_with_filter(hub, *large_file_filters(hub))
    (worktree / "a.big").write_text("big\n")
    assert hub.run("cleanup", "s1") == removed(worktree)
    assert hub.refs("refs/hub") == {}


@pytest.mark.parametrize("name", ["a.big", "b.big"])
def test_lossy_filter_keeps_the_worktree(hub: Hub, name: str) -> None:
    """The filter changes a tracked or an untracked file in a way that cannot be undone."""
    worktree = create_worktree_with_filter(hub, "tr a-z A-Z", "cat")
    (worktree / name).write_text("mixed CASE\n")
    before = snapshot(worktree)
    assert hub.run("cleanup", "s1") == kept(
        worktree,
        f"cannot be saved byte for byte: '{name}' (changed by line-ending conversion or a filter)",
        "commit it, or move it out of the worktree",
    )
    assert (snapshot(worktree), hub.refs("refs/hub")) == (before, {})


def test_failing_required_filter_keeps_the_worktree(hub: Hub) -> None:
    worktree = create_worktree_with_filter(hub, "cat", "cat")
    hub.git("config", "filter.pointer.clean", "echo no such server >&2; false")
    (worktree / "a.big").write_text("bigger\n")
    before = snapshot(worktree)
    result = hub.run("cleanup", "s1")
    assert (result.code, result.err) == (1, "")
    assert result.out.startswith(
        f"agent-1: kept {shown_path(worktree)}\n"
        "  cannot save the work: 'git update-index' failed (exit 128)\n"
        "  hint: no such server\n"
    )
    assert (snapshot(worktree), hub.refs("refs/hub")) == (before, {})


def test_working_tree_encoding(hub: Hub) -> None:
    worktree = create_worktree_with_files(hub)
    (worktree / ".gitattributes").write_text("*.utf16 text working-tree-encoding=UTF-16LE eol=lf\n")
    (worktree / "a.utf16").write_bytes("grün\n".encode("utf-16-le"))
    hub.git("add", ".", cwd=worktree)
    hub.git("commit", "-q", "-m", "UTF-16", cwd=worktree)
    (worktree / "a.utf16").write_bytes("grüner\n".encode("utf-16-le"))
    (worktree / "b.utf16").write_bytes("neu\n".encode("utf-16-le"))
    assert_restored_as_printed(hub, worktree)


@pytest.mark.parametrize("staged", [False, True])
def test_uncommitted_attributes(hub: Hub, *, staged: bool) -> None:
    worktree = create_worktree_with_files(hub)
    (worktree / ".gitattributes").write_text("# none yet\n")
    hub.git("add", ".", cwd=worktree)
    hub.git("commit", "-q", "-m", "attributes", cwd=worktree)
    (worktree / ".gitattributes").write_text("*.crlf text eol=crlf\n")
    (worktree / "a.crlf").write_bytes(b"one\r\n")
    hub.git("add", ".gitattributes" if staged else "a.crlf", cwd=worktree)
    hub.git("add", "a.crlf", cwd=worktree)
    (worktree / "a.crlf").write_bytes(b"two\r\n")
    assert_restored_as_printed(hub, worktree)


@pytest.mark.parametrize("ignored", [False, True])
def test_untracked_attributes_of_a_tracked_file_keep_the_worktree(
    hub: Hub, *, ignored: bool
) -> None:
    """`git stash apply` writes the tracked file before the attributes, with other line endings."""
    worktree = create_worktree_with_files(hub)
    if ignored:
        (hub.top / ".git" / "info" / "exclude").write_text(".gitattributes\n")
    (worktree / ".gitattributes").write_text("*.crlf text eol=crlf\n")
    (worktree / "a.crlf").write_bytes(b"one\r\n")
    hub.git("add", "a.crlf", cwd=worktree)
    before = snapshot(worktree)
    assert hub.run("cleanup", "s1") == kept(
        worktree,
        "cannot be saved byte for byte: 'a.crlf' (changed by line-ending conversion or a filter)",
        "commit it, or move it out of the worktree",
    )
    assert (snapshot(worktree), hub.refs("refs/hub")) == (before, {})


def test_without_user_name(hub: Hub) -> None:
    """The author of the stash is a fallback identity. `git stash` has such a fallback too."""
    hub.session("s1", agents=1)
    worktree = hub.worktree(1)
    (Path(hub.environ["HOME"]) / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    (worktree / "file").write_text("changed\n")
    assert_restored_as_printed(hub, worktree)
    ref = "refs/hub/rescue/s1/agent-1/attempt-1/1"
    assert hub.git("log", "-1", "--format=%an <%ae> %cn", ref) == (
        "git hub-session <git@hub-session> git hub-session"
    )


def test_parents_and_messages_of_the_stash(hub: Hub) -> None:
    """The stash has git's format: commits for HEAD, the index and the untracked files."""
    worktree = create_worktree_with_files(hub)
    stage_and_change_file(hub, worktree)
    create_untracked_files(hub, worktree)
    head = hub.git("rev-parse", "HEAD", cwd=worktree)
    assert hub.run("cleanup", "s1") == saved(worktree)
    ref = "refs/hub/rescue/s1/agent-1/attempt-1/1"
    log = hub.git("log", "--format=%an %s", ref, "--not", "hub/s1/agent-1/attempt-1")
    assert sorted(log.splitlines()) == [
        "Ada On hub/s1/agent-1/attempt-1: saved by git hub-session cleanup",
        f"Ada index on hub/s1/agent-1/attempt-1: {head[:7]}",
        f"Ada untracked files on hub/s1/agent-1/attempt-1: {head[:7]}",
    ]
    assert hub.git("rev-parse", f"{ref}^1") == head
    assert hub.git("show", f"{ref}:file") == "and more"
    assert hub.git("show", f"{ref}^2:file") == "staged"
    assert hub.git("ls-tree", "-r", "--name-only", f"{ref}^3") == "deep/er/new\nnew"
    assert hub.git("stash", "list") == ""
    assert hub.state()["agents"] == {"agent-1": {"rescue": [ref], "work": {"attempt-1": ref}}}


def test_second_save_gets_the_next_number(hub: Hub) -> None:
    """Changes that were restored and changed again are saved under a new ref."""
    worktree = create_worktree_with_files(hub)
    change_file(hub, worktree)
    run_restore_commands(hub, hub.run("cleanup", "s1"))
    (worktree / "file").write_text("more\n")
    result = hub.run("cleanup", "s1")
    assert result == saved(worktree, ref="refs/hub/rescue/s1/agent-1/attempt-1/2")
    assert [*hub.refs("refs/hub")] == [
        "refs/hub/rescue/s1/agent-1/attempt-1/1",
        "refs/hub/rescue/s1/agent-1/attempt-1/2",
    ]


def test_printed_command_quotes_the_path(hub: Hub) -> None:
    hub.session("s1")
    worktree = hub.worktrees / "an agent's $(place)"
    hub.git("worktree", "add", "-q", "-b", "hub/s1/agent-1/attempt-1", worktree, "main")
    (worktree / "file").write_text("changed\n")
    result = hub.run("cleanup", "s1")
    quoted = "'" + str(worktree).replace("'", "'\"'\"'") + "'"
    assert restore_command(Path(quoted)) in result.out
    run_restore_commands(hub, result)
    assert read_content(hub, worktree).status == ["", " M file"]


@pytest.mark.parametrize("replaced", [False, True])
def test_missing_directory_of_an_unpopulated_submodule(hub: Hub, *, replaced: bool) -> None:
    """The directory is deleted, or a file replaces it."""
    head = hub.git("rev-parse", "HEAD")
    hub.git("update-index", "--add", "--cacheinfo", f"160000,{head},library")
    hub.git("commit", "-q", "-m", "library")
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "library").rmdir()
    if replaced:
        (worktree / "library").write_text("a file now\n")
    assert_restored_as_printed(hub, worktree)
