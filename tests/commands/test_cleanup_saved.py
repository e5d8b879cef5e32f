"""Each sort of uncommitted work: saved, the worktree gone, and brought back by the printed line."""

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


@pytest.mark.parametrize("dirty", CHANGES, ids=lambda dirty: dirty.__name__)
def test_it_comes_back_as_it_was(hub: Hub, dirty: Change) -> None:
    """`git worktree add` and the printed `git stash apply --index`: equal status, equal bytes."""
    where = create_worktree_with_files(hub)
    dirty(hub, where)
    assert_restored_as_printed(hub, where)


def test_a_file_rewritten_with_its_old_size_and_time(hub: Hub) -> None:
    """Where git trusts neither ctime nor inode, it sees no change; the file is read all the same."""
    where = create_worktree_with_files(hub)
    hub.git("config", "core.trustctime", "false")
    hub.git("config", "core.checkStat", "minimal")
    os.utime(where / "file", (1, 1))
    hub.git("update-index", "--refresh", cwd=where)
    (where / "file").write_text("FIRST\n")
    os.utime(where / "file", (1, 1))
    assert read_content(hub, where).status == [""]
    assert_restored_as_printed(hub, where, status=[" M file"])


def test_a_file_rewritten_in_the_very_tick_of_the_index(hub: Hub) -> None:
    """ "Racy git": the stat data are those that the index has, and the content is another."""
    where = create_worktree_with_files(hub)
    (where / "file").write_text("FIRST\n")
    index = hub.top / ".git" / "worktrees" / "agent-1" / "index"
    data = bytearray(index.read_bytes())
    at = data.index(b"file\0") - 62  # the start of the entry: gitformat-index(5)
    found = (where / "file").stat()
    times = (*divmod(found.st_ctime_ns, 10**9), *divmod(found.st_mtime_ns, 10**9))
    struct.pack_into(">4I", data, at, *times)
    index.write_bytes(data)
    os.utime(index, ns=(found.st_mtime_ns, found.st_mtime_ns))
    assert_restored_as_printed(hub, where)


def test_what_git_was_told_not_to_look_at(hub: Hub) -> None:
    """assume-unchanged and skip-worktree: changed, deleted and of another mode; the flags are not kept."""
    where = create_worktree_with_files(hub)
    hub.git("update-index", "--assume-unchanged", "file", "dir/one", "link", cwd=where)
    hub.git(
        "update-index", "--skip-worktree", "dir/two", "dir/three", "empty", "program", cwd=where
    )
    (where / "file").write_text("assumed\n")
    (where / "dir" / "one").unlink()
    (where / "link").unlink()
    (where / "link").symlink_to("sub")
    (where / "dir" / "two").write_text("skipped\n")
    (where / "dir" / "three").chmod(0o755)
    (where / "empty").unlink()
    assert read_content(hub, where).status == [""]
    before = read_content(hub, where)
    result = hub.run("cleanup", "s1")
    assert result == saved(where)
    run_restore_commands(hub, result)
    # A skip-worktree file that is absent is what skip-worktree is for: it comes from the commit.
    assert read_content(hub, where) == (
        ["", " D dir/one", " M dir/three", " M dir/two", " M file", " M link"],
        {**before.files, "empty": b""},
        ["dir/three", "program"],
    )


def test_an_absent_skip_worktree_file_is_no_change(hub: Hub) -> None:
    where = create_worktree_with_files(hub)
    hub.git("update-index", "--skip-worktree", "file", cwd=where)
    (where / "file").unlink()
    assert hub.run("cleanup", "s1") == removed(where)


def test_a_path_only_intended_to_be_added(hub: Hub) -> None:
    """It comes back as added: that it was only intended is more than a stash can say."""
    where = create_worktree_with_files(hub)
    (where / "new").write_text("new\n")
    (where / "void").write_text("")
    hub.git("add", "--intent-to-add", "new", "void", cwd=where)
    assert read_content(hub, where).status == ["", " A new", " A void"]
    assert_restored_as_printed(hub, where, status=["A  new", "A  void"])


def test_a_lying_fsmonitor_is_neither_asked_nor_believed(hub: Hub) -> None:
    where = create_worktree_with_files(hub)
    asked = hub.top.parent / "asked"
    monitor = hub.top.parent / "monitor"
    monitor.write_text(f"#!/bin/sh\necho >>{asked}\nprintf 'token\\0'\n")
    monitor.chmod(0o755)
    hub.git("config", "core.fsmonitor", monitor)
    hub.git("update-index", "--fsmonitor", cwd=where)
    hub.git("status", cwd=where)
    assert asked.exists()
    (where / "file").write_text("changed\n")
    (where / "new").write_text("new\n")
    assert " M file" not in read_content(hub, where).status
    before = read_content(hub, where)
    asked.unlink()
    result = hub.run("cleanup", "s1")
    assert result == saved(where)
    assert not asked.exists()
    hub.git("config", "--unset", "core.fsmonitor")
    run_restore_commands(hub, result)
    assert read_content(hub, where) == before._replace(status=["", " M file", "?? new"])


@pytest.mark.parametrize("cone", [True, False])
def test_sparse_checkout_with_leftovers(hub: Hub, *, cone: bool) -> None:
    """Files outside of what is checked out, changed all the same; the new worktree is not sparse."""
    where = create_worktree_with_files(hub)
    whole = snapshot(where)
    patterns = ["set", "--cone", "sub"] if cone else ["set", "--no-cone", "/file", "sub"]
    hub.git("sparse-checkout", *patterns, cwd=where)
    assert not (where / "dir").exists()
    (where / "dir").mkdir()
    (where / "dir" / "one").write_text("left over, changed\n")
    (where / "dir" / "new").write_text("new\n")
    (where / "sub" / "other").write_text("changed\n")
    result = hub.run("cleanup", "s1")
    assert result == saved(where)
    run_restore_commands(hub, result)
    del whole[".git"]
    assert read_content(hub, where) == (
        ["", " M dir/one", " M sub/other", "?? dir/new"],
        {
            **whole,
            "dir/one": b"left over, changed\n",
            "dir/new": b"new\n",
            "sub/other": b"changed\n",
        },
        ["program"],
    )


def test_a_clean_sparse_checkout_has_nothing_to_save(hub: Hub) -> None:
    where = create_worktree_with_files(hub)
    hub.git("sparse-checkout", "set", "--cone", "sub", cwd=where)
    assert hub.run("cleanup", "s1") == removed(where)


def test_a_sparse_index(hub: Hub) -> None:
    """Whole directories are one entry in it; what is staged and changed comes back."""
    where = create_worktree_with_files(hub)
    hub.git("sparse-checkout", "set", "--cone", "--sparse-index", "sub", cwd=where)
    assert "dir/\n" in hub.git("ls-files", "--sparse", cwd=where)
    (where / "sub" / "other").write_text("staged\n")
    hub.git("add", "sub", cwd=where)
    (where / "sub" / "other").write_text("changed\n")
    (where / "dir").mkdir()
    (where / "dir" / "two").write_text("left over, changed\n")
    result = hub.run("cleanup", "s1")
    assert result == saved(where)
    run_restore_commands(hub, result)
    assert read_content(hub, where).status == ["", " M dir/two", "MM sub/other"]
    assert (where / "sub" / "other").read_text() == "changed\n"
    assert (where / "dir" / "two").read_text() == "left over, changed\n"


def test_a_clean_split_or_sparse_index_has_nothing_to_save(hub: Hub) -> None:
    hub.session("s1", agents=2)
    hub.git("update-index", "--split-index", cwd=hub.worktree(1))
    hub.git("sparse-checkout", "set", "--cone", "--sparse-index", "none", cwd=hub.worktree(2))
    assert hub.run("cleanup", "s1") == removed(hub.worktree(1), hub.worktree(2))


@pytest.mark.parametrize("setting", ["true", "input", "false"])
def test_line_endings(hub: Hub, setting: str) -> None:
    """Text attributes and core.autocrlf: the bytes come back wherever git's own rules can make them."""
    hub.git("config", "core.autocrlf", setting)
    (hub.top / ".gitattributes").write_text("*.txt text\n*.crlf text eol=crlf\n*.raw -text\n")
    hub.git("add", ".gitattributes")
    hub.git("commit", "-q", "-m", "attributes")
    hub.session("s1", agents=1)
    where = hub.worktree(1)
    native = b"\r\n" if setting == "true" else b"\n"
    (where / "a.txt").write_bytes(b"one" + native + b"two" + native)
    (where / "b.crlf").write_bytes(b"one\r\ntwo\r\n")
    (where / "c.raw").write_bytes(b"one\r\ntwo\n\r")
    hub.git("add", ".", cwd=where)
    (where / "a.txt").write_bytes(b"three" + native)
    (where / "d.txt").write_bytes(b"untracked" + native)
    (where / "e.crlf").write_bytes(b"untracked\r\n")
    assert_restored_as_printed(hub, where)


def test_line_endings_that_git_would_change_keep_the_worktree(hub: Hub) -> None:
    where = create_worktree_with_files(hub)
    hub.git("config", "core.autocrlf", "input")
    (where / "new").write_bytes(b"one\r\n")
    before = snapshot(where)
    assert hub.run("cleanup", "s1") == kept(
        where,
        "cannot be saved byte for byte: 'new' (changed by line-ending conversion or a filter)",
        "commit it, or use --discard",
    )
    assert (snapshot(where), hub.refs("refs/hub")) == (before, {})
    assert hub.run("cleanup", "--discard", "s1") == removed(where)


def test_committed_crlf_under_autocrlf(hub: Hub) -> None:
    """A file that was committed with CR LF stays so: git looks at the blob in the index."""
    where = create_worktree_with_files(hub)
    (where / "file").write_bytes(b"one\r\n")
    hub.git("commit", "-q", "-a", "-m", "CR LF", cwd=where)
    hub.git("config", "core.autocrlf", "input")
    (where / "file").write_bytes(b"one\r\ntwo\r\n")
    assert_restored_as_printed(hub, where)


def filtered(hub: Hub, clean: str, smudge: str) -> Path:
    """A worktree in which a filter is set for *.big, with one such file committed."""
    where = create_worktree_with_files(hub)
    hub.git("config", "filter.pointer.clean", clean)
    hub.git("config", "filter.pointer.smudge", smudge)
    hub.git("config", "filter.pointer.required", "true")
    (where / ".gitattributes").write_text("*.big filter=pointer\n")
    (where / "a.big").write_text("big\n")
    hub.git("add", ".", cwd=where)
    hub.git("commit", "-q", "-m", "big", cwd=where)
    return where


def test_a_filter_like_that_of_large_files(hub: Hub) -> None:
    where = filtered(hub, *large_file_filters(hub))
    assert hub.git("show", "HEAD:a.big", cwd=where).startswith("pointer ")
    (where / "a.big").write_text("bigger\n")
    hub.git("add", ".", cwd=where)
    (where / "a.big").write_text("and bigger\n")
    (where / "b.big").write_text("untracked\n")
    assert_restored_as_printed(hub, where)
    assert hub.git("show", "refs/hub/rescue/s1/agent-1/attempt-1/1:a.big").startswith("pointer ")


def test_a_touched_file_of_a_filter_is_no_change(hub: Hub) -> None:
    """Whether it is one only the filter can tell; nothing is saved, and the worktree goes."""
    where = filtered(hub, *large_file_filters(hub))
    (where / "a.big").write_text("big\n")
    assert hub.run("cleanup", "s1") == removed(where)
    assert hub.refs("refs/hub") == {}


@pytest.mark.parametrize("name", ["a.big", "b.big"])
def test_a_lossy_filter_keeps_the_worktree(hub: Hub, name: str) -> None:
    """Neither a tracked nor an untracked file is given up for what its filter leaves of it."""
    where = filtered(hub, "tr a-z A-Z", "cat")
    (where / name).write_text("mixed CASE\n")
    before = snapshot(where)
    assert hub.run("cleanup", "s1") == kept(
        where,
        f"cannot be saved byte for byte: '{name}' (changed by line-ending conversion or a filter)",
        "commit it, or use --discard",
    )
    assert (snapshot(where), hub.refs("refs/hub")) == (before, {})


def test_a_required_filter_that_fails_keeps_the_worktree(hub: Hub) -> None:
    where = filtered(hub, "cat", "cat")
    hub.git("config", "filter.pointer.clean", "echo no such server >&2; false")
    (where / "a.big").write_text("bigger\n")
    before = snapshot(where)
    result = hub.run("cleanup", "s1")
    assert (result.code, result.err) == (1, "")
    assert result.out.startswith(
        f"Kept worktree: {where}\n"
        "  cannot save the work: 'git update-index' failed (exit 128)\n"
        "  hint: no such server\n"
    )
    assert (snapshot(where), hub.refs("refs/hub")) == (before, {})


def test_working_tree_encoding(hub: Hub) -> None:
    where = create_worktree_with_files(hub)
    (where / ".gitattributes").write_text("*.utf16 text working-tree-encoding=UTF-16LE eol=lf\n")
    (where / "a.utf16").write_bytes("grün\n".encode("utf-16-le"))
    hub.git("add", ".", cwd=where)
    hub.git("commit", "-q", "-m", "UTF-16", cwd=where)
    (where / "a.utf16").write_bytes("grüner\n".encode("utf-16-le"))
    (where / "b.utf16").write_bytes("neu\n".encode("utf-16-le"))
    assert_restored_as_printed(hub, where)


@pytest.mark.parametrize("staged", [False, True])
def test_attributes_that_are_uncommitted_themselves(hub: Hub, *, staged: bool) -> None:
    where = create_worktree_with_files(hub)
    (where / ".gitattributes").write_text("# none yet\n")
    hub.git("add", ".", cwd=where)
    hub.git("commit", "-q", "-m", "attributes", cwd=where)
    (where / ".gitattributes").write_text("*.crlf text eol=crlf\n")
    (where / "a.crlf").write_bytes(b"one\r\n")
    hub.git("add", ".gitattributes" if staged else "a.crlf", cwd=where)
    hub.git("add", "a.crlf", cwd=where)
    (where / "a.crlf").write_bytes(b"two\r\n")
    assert_restored_as_printed(hub, where)


@pytest.mark.parametrize("ignored", [False, True])
def test_untracked_attributes_come_too_late_for_tracked_files(hub: Hub, *, ignored: bool) -> None:
    """`git stash apply` writes the tracked files first: without the attributes they would differ."""
    where = create_worktree_with_files(hub)
    if ignored:
        (hub.top / ".git" / "info" / "exclude").write_text(".gitattributes\n")
    (where / ".gitattributes").write_text("*.crlf text eol=crlf\n")
    (where / "a.crlf").write_bytes(b"one\r\n")
    hub.git("add", "a.crlf", cwd=where)
    before = snapshot(where)
    assert hub.run("cleanup", "s1") == kept(
        where,
        "cannot be saved byte for byte: 'a.crlf' (changed by line-ending conversion or a filter)",
        "commit it, or use --discard",
    )
    assert (snapshot(where), hub.refs("refs/hub")) == (before, {})


def test_nobody_is_configured(hub: Hub) -> None:
    """Without user.name the stash is signed as git stash would sign it."""
    hub.session("s1", agents=1)
    where = hub.worktree(1)
    (Path(hub.environ["HOME"]) / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    (where / "file").write_text("changed\n")
    assert_restored_as_printed(hub, where)
    ref = "refs/hub/rescue/s1/agent-1/attempt-1/1"
    assert hub.git("log", "-1", "--format=%an <%ae> %cn", ref) == (
        "git hub-session <git@hub-session> git hub-session"
    )


def test_the_stash_says_what_it_is(hub: Hub) -> None:
    """git's own format: HEAD, the index, the untracked files; signed by who is configured."""
    where = create_worktree_with_files(hub)
    stage_and_change_file(hub, where)
    create_untracked_files(hub, where)
    head = hub.git("rev-parse", "HEAD", cwd=where)
    assert hub.run("cleanup", "s1") == saved(where)
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


def test_saved_twice_is_numbered(hub: Hub) -> None:
    """What was saved and brought back is saved again under the next number, if it changed."""
    where = create_worktree_with_files(hub)
    change_file(hub, where)
    run_restore_commands(hub, hub.run("cleanup", "s1"))
    (where / "file").write_text("more\n")
    result = hub.run("cleanup", "s1")
    assert result == saved(where, ref="refs/hub/rescue/s1/agent-1/attempt-1/2")
    assert [*hub.refs("refs/hub")] == [
        "refs/hub/rescue/s1/agent-1/attempt-1/1",
        "refs/hub/rescue/s1/agent-1/attempt-1/2",
    ]


def test_the_line_quotes_the_path_for_a_shell(hub: Hub) -> None:
    hub.session("s1")
    where = hub.worktrees / "an agent's $(place)"
    hub.git("worktree", "add", "-q", "-b", "hub/s1/agent-1/attempt-1", where, "main")
    (where / "file").write_text("changed\n")
    result = hub.run("cleanup", "s1")
    quoted = "'" + str(where).replace("'", "'\"'\"'") + "'"
    assert restore_command(Path(quoted)) in result.out
    run_restore_commands(hub, result)
    assert read_content(hub, where).status == ["", " M file"]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_submodule_that_is_not_populated(hub: Hub, *, replaced: bool) -> None:
    """Its directory deleted, or a file in its place."""
    head = hub.git("rev-parse", "HEAD")
    hub.git("update-index", "--add", "--cacheinfo", f"160000,{head},library")
    hub.git("commit", "-q", "-m", "library")
    where = hub.session("s1", agents=1).worktree(1)
    (where / "library").rmdir()
    if replaced:
        (where / "library").write_text("a file now\n")
    assert_restored_as_printed(hub, where)
