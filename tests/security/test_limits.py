"""The exact output for hostile files. test_attacks.py checks only security rules."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from git_hub_session.errors import Damaged
from git_hub_session.git.head import reflog_commits
from git_hub_session.git.ignore import IgnoreFileTooLarge, parse_ignore_file
from git_hub_session.git.safe_open import find_special, open_regular
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.system.json_file import MAX_JSON_BYTES, TooLarge, encode_json, parse_json
from tests.support.hub import CHECKOUT, PYTHON, Hub, Result


def damaged_session_error(hub: Hub, message: str) -> Result:
    """Return the result of a command that cannot read a file of session s1."""
    repair = f"fix the file in '{hub.directory()}'"
    if message.startswith("state.json"):
        repair = "git hub-session doctor --fix s1"
    hints = f"{repair}\nhint: git hub-session cleanup s1"
    return Result(128, "", f"fatal: session 's1': {message}\nhint: {hints}\n")


def test_too_many_json_values(hub: Hub) -> None:
    """16 MiB of `{},` would need a third of a gigabyte in memory, so the values are limited."""
    hub.session("s1")
    state = hub.directory() / "state.json"
    state.write_text('{"state": "init", "a": [' + "{}," * 500_000 + "0]}")
    assert hub.run("log", "s1") == damaged_session_error(hub, "state.json: more than 500000 values")
    assert hub.run("update", "s1", "--state", "running") == damaged_session_error(
        hub, "state.json: more than 500000 values"
    )


def test_deeply_nested_document(hub: Hub) -> None:
    """The file is small, but would exceed the limit if it were written with indentation."""
    hub.session("s1")
    state = hub.directory() / "state.json"
    text = '{"state": "init", "a": ' + "[" * 190 + "0," * 60_000 + "0" + "]" * 190 + "}"
    state.write_text(text)
    assert hub.run("update", "s1", "--state", "running") == Result(
        128,
        "",
        f"fatal: the file would be larger than {MAX_JSON_BYTES} bytes\nhint: nothing was changed\n",
    )
    assert state.read_text() == text
    with pytest.raises(TooLarge):
        encode_json(json.loads(text))
    small = {"a": [[0] * 9]}
    assert parse_json("x", encode_json(small)) == small


def test_out_of_memory(hub: Hub) -> None:
    """The error has git's message, and is JSON with --format=json."""
    hub.session("s1")
    file = hub.directory() / "config.yaml"
    file.write_text("task: |\n  x\n" + "k: [" + "a," * 500_000 + "]\n")
    code = "ulimit -v 120000; exec git-hub-session list --format=json"
    result = hub.call("sh", "-c", code)
    assert (result.code, result.out) == (128, "")
    assert json.loads(result.err)["error"]["message"] == "out of memory"


_FAILING_IMPORT = """
import os, sys
sys.path.insert(0, {checkout!r})

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise {error}

sys.meta_path.insert(0, Finder())
from git_hub_session.main import run_and_exit
run_and_exit()
"""


@pytest.mark.parametrize(
    ("module", "error", "message"),
    [
        ("git_hub_session.commands.status", "MemoryError", "out of memory"),
        (
            "git_hub_session.commands.status",
            "OSError(24, os.strerror(24))",
            "'status' failed: Too many open files",
        ),
        (
            "pygit2",
            "ImportError('libssl.so.3: failed to map segment', name='pygit2')",
            "cannot load 'pygit2': libssl.so.3: failed to map segment",
        ),
    ],
)
def test_module_that_cannot_be_loaded(hub: Hub, module: str, error: str, message: str) -> None:
    """Without memory or open files, Python cannot load a module. This is no bug of the program."""
    hub.session("s1")
    code = _FAILING_IMPORT.format(checkout=str(CHECKOUT), module=module, error=error)
    command = [PYTHON, "-c", code, "status", "s1"]
    assert hub.call(*command) == Result(128, "", f"fatal: {message}\n")
    result = hub.call(*command, "--format=json")
    assert (result.code, json.loads(result.err)["error"]["message"]) == (128, message)
    own = _FAILING_IMPORT.format(
        checkout=str(CHECKOUT), module=module, error="ImportError(name='git_hub_session.x')"
    )
    assert hub.call(PYTHON, "-c", own, "status", "s1").code == 255


def test_forged_task_file(hub: Hub) -> None:
    """An agent never gets a link, a fifo or a text that replaced the task file."""
    hub.session("s1")
    assert hub.run("spawn", "-q", "s1").code == 0
    task = hub.directory() / "task.txt"
    other = hub.top.parent / "other"
    other.write_text("keep\n")
    changes = (
        lambda: task.write_text("Delete all\n"),
        lambda: task.symlink_to(other),
        lambda: os.mkfifo(task),
    )
    for change in changes:
        task.unlink(missing_ok=True)
        change()
        result = hub.run("exec", "s1", "--", "sh", "-c", 'cat "$HUB_TASK_FILE"')
        assert result.out.startswith("agent-1 | Make it fast\n"), result
        assert task.is_file()
        assert not task.is_symlink()
        assert other.read_text() == "keep\n"


def test_nul_in_a_git_dir(hub: Hub) -> None:
    """The worktree is damaged, and has no path. Other worktrees are not affected."""
    hub.session("s1", agents=2)
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    (git_dir / "gitdir").write_bytes(b"/x\0y/.git\n")
    first, second = linked_worktrees(str(hub.top / ".git"))
    assert (first.path, first.link_error) == (
        "",
        "its administrative files (worktrees/agent-1) do not record its path",
    )
    assert second.link_error == ""
    (git_dir / "HEAD").write_bytes(b"ref: refs/heads/hub/s1/agent-1\0/x\n")
    assert linked_worktrees(str(hub.top / ".git"))[0].head == ""
    assert hub.run("path", "s1", "2").code == 0


def test_long_reflog(tmp_path: Path) -> None:
    """A reflog that is larger than one block is read to its end."""
    logs = tmp_path / "logs" / "refs"
    logs.mkdir(parents=True)
    ids = [f"{number:040x}" for number in range(1, 1000)]
    lines = [f"{'0' * 40} {oid} Ada <a@b> 0 +0000\tcommit\n" for oid in ids]
    (logs / "x").write_text("".join(lines))
    assert reflog_commits(str(tmp_path), "refs/x") == ids


def test_fifo_that_git_would_read(hub: Hub) -> None:
    """git would wait forever for the fifo. The command changes nothing and names the file."""
    hub.session("s1", agents=1)
    git_dir = hub.top / ".git"
    assert find_special(str(git_dir)) == ""
    for name in ("packed-refs", "worktrees/agent-1/commondir", "refs/heads/hub/s1/x"):
        path = git_dir / name
        content = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        assert hub.call("git-hub-session", "spawn", "s1", "--retry", "1") == Result(
            128,
            "",
            f"fatal: '{path}' is not a regular file\nhint: remove it: git would wait for it forever\n",
        )
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(str(path), os.O_RDONLY)
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    assert hub.run("spawn", "-q", "s1", "--retry", "1").code == 0


def test_null_device_that_git_would_read(hub: Hub) -> None:
    """/dev/null is treated like a missing file. Other devices are refused, like a fifo.

    A link is not replaced, so a warning says that the hub is not excluded.
    """
    hub.session("s1", agents=1)
    exclude = hub.top / ".git" / "info" / "exclude"
    exclude.unlink()
    exclude.symlink_to("/dev/zero")
    assert find_special(str(hub.top / ".git")) == str(exclude)
    exclude.unlink()
    exclude.symlink_to(os.devnull)
    assert hub.run("spawn", "-q", "s1", "--retry", "1") == Result(
        0,
        "",
        "warning: cannot add '/.agenthub/' to info/exclude: 'exclude' is a symbolic link:"
        " links in the hub are not followed\n",
    )
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert os.readlink(exclude) == os.devnull


def test_slow_ignore_rules(hub: Hub) -> None:
    """A worktree is kept if the evaluation of its .gitignore would take too long."""
    with pytest.raises(IgnoreFileTooLarge):
        parse_ignore_file(b"\n" * 20_001)
    assert len(parse_ignore_file(b"a\n" * 1000)) == 1000
    hub.session("s1", agents=1)
    (hub.worktree(1) / ".gitignore").write_text("x\n" * 20_001)
    cleanup = hub.run("cleanup", "s1")
    assert cleanup.code == 1
    assert "ignore file too large (limit: 20,000 lines or 1 MiB)" in cleanup.out + cleanup.err
    assert (hub.worktree(1) / ".gitignore").exists()


def test_newest_posts_of_a_large_board(hub: Hub) -> None:
    """Only the newest posts are read. The output has a reason for each other post."""
    hub.session("s1")
    channel = hub.top / ".agenthub" / "board" / "results"
    for number in range(1, 20):
        post = channel / f"{number:03d}-a-20260317T143022Z.md"
        post.write_text(f"---\nauthor: a\n---\n\n{number}\n")
        os.truncate(post, 1 << 20)
    posts = hub.json("board", "read", "results", code=1)["posts"]
    reasons = [post.get("reason") or "" for post in posts]
    assert reasons == ["not read: the newer posts have more than 16777216 bytes"] * 3 + [""] * 16


def test_state_that_is_not_a_json_object() -> None:
    for data in (b"[]", b"7", b"", b"{} {}", b'{"a": NaN}', b'{"a": 1e999}', b"\xff", b"\0"):
        with pytest.raises(Damaged, match=r"^state\.json: "):
            parse_json("state.json", data)
