"""The store with concurrent writers, killed processes, held locks, links and full disks."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from git_hub_session.errors import Damaged, HubError, LockHeld
from git_hub_session.git.ref_names import parse_session_id
from git_hub_session.session.model import Config
from git_hub_session.session.store import SessionExists, Store
from git_hub_session.system.directory import SafeDirectory
from tests.support.hub import CHECKOUT, IMPATIENT, PATIENT, PYTHON, Hub, Result, snapshot
from tests.support.interrupt import Template, count_changes, kill_at_changes
from tests.support.locks import lock_directory, unlock, wait_for_lock_waiter
from tests.support.stores import (
    NEXT,
    create_agenthub_session,
    create_session,
    run_at_once,
)

S1 = parse_session_id("s1")


# Concurrency


def update_command(state: str, *options: str, sid: str = "s1") -> list[str]:
    return ["update", sid, "--state", state, *options]


def test_one_of_64_writers_makes_each_transition(hub: Hub) -> None:
    """64 writers try each transition of a session. One of them succeeds and is in the history."""
    create_session(hub, "init")
    for source, target in NEXT.items():
        results = run_at_once(
            hub,
            [update_command(target, "--reason", str(number)) for number in range(64)],
            locked=hub.directory(),
        )
        winners = [number for number, result in enumerate(results) if result.code == 0]
        assert [results[number] for number in winners] == [
            Result(0, f"Session s1: {source} → {target}\n")
        ]
        assert {result.code for result in results} == {0, 1}
        entry = hub.state()["history"][-1]
        assert (entry["from"], entry["to"], entry["reason"]) == (source, target, str(winners[0]))
    assert [entry["to"] for entry in hub.state()["history"]] == ["running", "evaluating", "merged"]


def test_one_of_two_final_states_is_reached(hub: Hub) -> None:
    """32 writers set `merged` and 32 set `archived`. Only one succeeds, and its state is recorded."""
    create_session(hub, "evaluating")
    states = ["merged", "archived"] * 32
    results = run_at_once(
        hub,
        [update_command(state, "--if-state", "evaluating") for state in states],
        locked=hub.directory(),
    )
    winner = states[[result.code for result in results].index(0)]
    failure = Result(1, "", f"error: session 's1' is '{winner}', not 'evaluating'\n")
    success = Result(0, f"Session s1: evaluating → {winner}\n")
    assert sorted(results) == sorted([success, *[failure] * 63])
    assert hub.state()["state"] == winner
    assert len(hub.state()["history"]) == 1


def test_writers_of_different_sessions_do_not_block_each_other(hub: Hub) -> None:
    sids = [f"s{number}" for number in range(24)]
    for sid in sids:
        create_session(hub, "init", sid)
    results = run_at_once(hub, [update_command("running", sid=sid) for sid in sids])
    assert results == [Result(0, f"Session {sid}: init → running\n") for sid in sids]


def test_readers_always_see_complete_files(hub: Hub) -> None:
    create_session(hub, "init")
    readers = [["list", "--format=porcelain"]] * 32
    results = run_at_once(
        hub,
        [call for reader in readers for call in (reader, update_command("running"))],
        locked=hub.directory(),
    )
    outcomes = {(result.code, result.out.splitlines()[1], result.err) for result in results[::2]}
    assert outcomes <= {(0, "state init", ""), (0, "state running", "")}


# Killed processes


def test_init_after_a_killed_first_init(hub: Hub) -> None:
    """The killed command leaves an incomplete hub. The next `init` completes it."""
    arguments = ["init", "-q", "--id", "s1", "--task", "Make it fast"]
    store = hub.top / ".agenthub"
    index, ignore = store / "board" / "_index.json", store / ".gitignore"
    hub.worktrees.mkdir()
    template = Template(hub)
    count = count_changes(hub, *arguments)
    assert count > 10
    for _ in kill_at_changes(hub, template, arguments, count, short=10):
        assert ignore.read_bytes().endswith(b"\n*\n") if ignore.exists() else True
        assert json.loads(index.read_text())["counters"] if index.exists() else True
        assert hub.run("init", "-q", "--id", "s2", "--task", "x") == Result(0, "s2\n")
        assert ignore.read_bytes().endswith(b"\n*\n")
        assert sorted(json.loads(index.read_text())) == ["channels", "counters"]


_KILLED_AT_EVENT = """
import os, signal, sys
sys.path.insert(0, sys.argv.pop(1))
remaining = int(sys.argv.pop(1))
from git_hub_session.main import run_and_exit
def on_audit_event(event, args):
    global remaining
    remaining -= 1
    if remaining == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if event == "git_hub_session.exit":
        os.write(2, str(remaining).encode())
sys.addaudithook(on_audit_event)
run_and_exit()
"""


def test_updates_killed_after_random_times(hub: Hub) -> None:
    """After each kill, the session is complete, and a new state has an entry in the history.

    The update is killed at a random audit event, such as a call that opens a file.
    """
    create_session(hub, "init")
    script = [PYTHON, "-I", "-c", _KILLED_AT_EVENT, os.fspath(CHECKOUT)]
    complete = hub.call(*script, "0", "update", "-q", "s1", "--state", "running")
    count = -int(complete.err)
    assert (complete.code, count > 20) == (0, True)
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    outcomes = set()
    for number in [1, count, *(chance.randint(2, count - 1) for _ in range(22))]:
        before = hub.state()
        if before["state"] == "merged":
            shutil.rmtree(hub.directory())
            create_session(hub, "init")
            before = hub.state()
        target = NEXT[before["state"]]
        killed = hub.call(*script, str(number), "update", "-q", "s1", "--state", target)
        after = hub.state()
        context = f"event {number} of {count}, seed {seed}: {killed}"
        assert killed.code == -signal.SIGKILL, context
        assert after["state"] in (before["state"], target), context
        is_new = after["state"] != before["state"]
        assert len(after.get("history", [])) - len(before.get("history", [])) == is_new, context
        outcomes.add(is_new)
    assert outcomes == {False, True}
    assert hub.run("list", "--format=porcelain").out.count("session_id s1\n") == 1


# The lock


def process_name(holder: subprocess.Popen[str]) -> str:
    """Return the process id and the program, as in the error message."""
    command = Path(f"/proc/{holder.pid}/comm").read_text().strip()
    return f"process {holder.pid} ({command})"


def test_the_message_names_the_holder_of_a_lock(hub: Hub) -> None:
    """A command that changes the session waits for the lock. A read-only command does not."""
    before = create_session(hub, "init")
    with lock_directory(hub.directory()) as holder:
        assert hub.run("update", "s1", "--state", "running", environ=IMPATIENT) == Result(
            128,
            "",
            f"fatal: session 's1' is locked by {process_name(holder)}\n"
            "hint: try again when it has finished\n",
        )
        assert hub.run("list").code == 0
        assert hub.run("log", "s1").code == 0
    assert (hub.directory() / "state.json").read_bytes() == before


def test_an_update_waits_for_the_lock(hub: Hub) -> None:
    create_session(hub, "init")
    store = Store(str(hub.top / ".agenthub"))
    with lock_directory(hub.directory()) as holder:
        with pytest.raises(LockHeld) as caught, store.lock_session(S1, wait=0.05):
            pass
        assert caught.value.message == f"session 's1' is locked by {process_name(holder)}"
        with subprocess.Popen(
            ["git-hub-session", "update", "s1", "--state", "running"],
            cwd=hub.top,
            env={**hub.environ, **PATIENT},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert wait_for_lock_waiter(hub.directory()) == process.pid
            assert hub.state()["state"] == "init"
            unlock(holder)
            assert process.communicate()[0] == "Session s1: init → running\n"
    assert hub.state()["state"] == "running"


def test_a_killed_process_holds_no_lock(hub: Hub) -> None:
    create_session(hub, "init")
    with lock_directory(hub.directory()) as holder:
        holder.kill()
        holder.wait()
        assert hub.run("update", "s1", "--state", "running").code == 0


def test_the_lock_of_one_session_does_not_lock_another(hub: Hub) -> None:
    create_session(hub, "init", "s1")
    create_session(hub, "init", "s2")
    with lock_directory(hub.directory("s1")):
        assert hub.run("update", "s2", "--state", "running").code == 0


# Modes, unknown keys and invalid values


def test_the_mode_of_the_file_is_kept(hub: Hub) -> None:
    """The umask has no effect on an existing file."""
    create_session(hub, "init")
    file = hub.directory() / "state.json"
    for mode, state in ((0o640, "running"), (0o600, "evaluating"), (0o664, "merged")):
        file.chmod(mode)
        result = hub.call("sh", "-c", f"umask 077; git hub-session update s1 --state {state}")
        assert result.code == 0
        assert file.stat().st_mode & 0o7777 == mode


def test_unknown_keys_are_kept(hub: Hub) -> None:
    create_session(hub, "init")
    file = hub.directory() / "state.json"
    extra = {
        "nested": {"list": [1, [2, {"deep": None}], True], "": "empty key"},
        "big": 2**200,
        "small": -(10**40),
        "float": 0.1,
        "text": "é 漢字 \U0001f600 \u202e \ud800 \x00 \x7f",
        "agents": {"agent-1": {"metric": 1.5, "unknown": [{}]}},
        "history": [{"at": "long ago", "kind": "of another program"}, 3],
    }
    document = json.loads(file.read_text()) | extra
    file.write_text(json.dumps(document))
    assert hub.run("update", "s1", "--state", "running").code == 0
    after = hub.state()
    assert list(after) == list(document)
    entry = after["history"].pop()
    assert (entry["from"], entry["to"]) == ("init", "running")
    assert after == document | {"state": "running", "updated": after["updated"]}


def test_an_invalid_history_is_not_overwritten(hub: Hub) -> None:
    create_session(hub, "init")
    file = hub.directory() / "state.json"
    file.write_text('{"state": "init", "history": {"of": "somebody"}}')
    before = file.read_bytes()
    assert hub.run("update", "s1", "--state", "running") == Result(
        128, "", "fatal: state.json: 'history' is not a list\n"
    )
    assert file.read_bytes() == before


# Links


@pytest.mark.parametrize("name", [".agenthub", "sessions", "s1", "state.json", "config.yaml"])
def test_no_link_is_followed(hub: Hub, tmp_path: Path, name: str) -> None:
    """The target of a link is neither read nor written."""
    create_session(hub, "init")
    create_session(hub, "init", "s2")
    path = {
        ".agenthub": hub.top / ".agenthub",
        "sessions": hub.top / ".agenthub" / "sessions",
        "s1": hub.directory(),
        "state.json": hub.directory() / "state.json",
        "config.yaml": hub.directory() / "config.yaml",
    }[name]
    target = tmp_path / "elsewhere"
    path.rename(target)
    path.symlink_to(target)
    before = snapshot(tmp_path)

    if name in (".agenthub", "sessions"):
        link = f"'{path}' is a symbolic link: links in the hub are not followed"
        refused = Result(128, "", f"fatal: {link}\n")
        assert hub.run("list") == refused
        assert hub.run("init", "--task", "x") == refused
    else:
        displayed_path = path if name == "s1" else name
        link = f"'{displayed_path}' is a symbolic link: links in the hub are not followed"
        prefix = "" if name == "s1" else "session 's1': "
        repair = "git hub-session doctor --fix s1"
        if name == "config.yaml":
            repair = f"fix the file in '{hub.directory()}'"
        hint = f"hint: {repair}\nhint: git hub-session cleanup s1\n"
        refused = Result(128, "", f"fatal: {prefix}{link}\n{hint if prefix else ''}")
        listing = hub.run("list")
        assert (listing.code, listing.err) == (1, f"error: session 's1': {link}\n")
        assert [line.split()[:2] for line in listing.out.splitlines()[1:]] == [
            ["s1", "broken"],
            ["s2", "init"],
        ]
        assert hub.run("init", "--id", "s1", "--task", "x").code == 1
    assert hub.run("log", "s1") == refused
    assert hub.run("update", "s1", "--state", "running") == refused
    assert hub.run("status", "s1") == refused
    assert snapshot(tmp_path) == before


def test_the_target_of_a_dangling_link_is_not_created(hub: Hub, tmp_path: Path) -> None:
    (hub.top / ".agenthub").symlink_to(tmp_path / "target")
    assert hub.run("init", "--task", "x").code == 128
    (hub.top / ".agenthub").unlink()
    hub.session("s0")
    for name in ("s1", "board/dispatch"):
        path = hub.top / ".agenthub" / ("sessions/s1" if name == "s1" else name)
        if path.is_dir():
            path.rmdir()
        path.symlink_to(tmp_path / "target")
        assert hub.run("init", "--id", "s1", "--task", "x").code != 0
        path.unlink()
    assert not (tmp_path / "target").exists()


def test_the_other_path_of_a_hard_link_is_unchanged(hub: Hub, tmp_path: Path) -> None:
    before = create_session(hub, "init")
    other = tmp_path / "other"
    other.hardlink_to(hub.directory() / "state.json")
    assert hub.run("update", "s1", "--state", "running").code == 0
    assert other.read_bytes() == before
    assert hub.state()["state"] == "running"


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(
    hub: Hub, tmp_path: Path
) -> None:
    create_session(hub, "init")
    target = tmp_path / "precious"
    target.write_text("precious\n")
    (hub.directory() / ".state.json.tmp").symlink_to(target)
    result = hub.run("update", "s1", "--state", "running")
    assert result == Result(0, "Session s1: init → running\n")
    assert target.read_text() == "precious\n"
    assert sorted(path.name for path in hub.directory().iterdir()) == ["config.yaml", "state.json"]


# Full and read-only disks

_LIMIT_FILE_SIZE = (
    "import os, resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))\n"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
_REMOUNT_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


def run_with_size_limit(hub: Hub, *arguments: str, size: int = 0) -> Result:
    """Run a command that cannot write more than `size` bytes into any file."""
    return hub.call(
        PYTHON, "-I", "-c", _LIMIT_FILE_SIZE.format(size), "git", "hub-session", *arguments
    )


def run_on_read_only_mount(hub: Hub, directory: Path, *command: str) -> Result:
    """Run a command that sees `directory` on a read-only file system."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    mount_and_run = [*unshare, "sh", "-c", _REMOUNT_READ_ONLY, str(directory)]
    if not shutil.which("unshare") or hub.call(*mount_and_run, "true").code != 0:
        pytest.skip("no read-only mount can be made here")
    return hub.call(*mount_and_run, "sh", "-c", 'cd "$0" && exec "$@"', hub.top, *command)


def test_a_full_disk_leaves_the_old_file(hub: Hub, tmp_path: Path) -> None:
    create_session(hub, "init")
    before = snapshot(tmp_path)
    state = hub.directory() / "state.json"
    for size in (0, 100):
        assert run_with_size_limit(hub, "update", "s1", "--state", "running", size=size) == Result(
            128,
            "",
            f"fatal: cannot write '{state}': File too large\nhint: nothing was changed\n",
        )
        assert snapshot(tmp_path) == before


def test_a_full_disk_leaves_no_partial_session(hub: Hub) -> None:
    hub.session("s0")
    before = snapshot(hub.top)
    result = run_with_size_limit(hub, "init", "--id", "s1", "--task", "x", size=150)
    assert result == Result(
        128,
        "",
        f"fatal: cannot write '{hub.top}/.agenthub': File too large\nhint: nothing was changed\n",
    )
    assert snapshot(hub.top) == before
    assert sorted(path.name for path in hub.directory().parent.iterdir()) == ["s0"]


def test_a_hub_that_a_full_disk_left_incomplete_is_completed(hub: Hub) -> None:
    assert run_with_size_limit(hub, "init", "--id", "s1", "--task", "x").code == 128
    assert not (hub.top / ".agenthub" / "board" / "_index.json").exists()
    assert not (hub.top / ".agenthub" / ".gitignore").exists()
    assert hub.session().run("list", "-q").code == 0
    assert hub.git("status", "--porcelain") == ""


def test_a_read_only_store_can_be_read(hub: Hub, tmp_path: Path) -> None:
    create_session(hub, "init")
    before = snapshot(tmp_path)
    command = ("git", "hub-session")
    listing = run_on_read_only_mount(hub, hub.top, *command, "list", "--format=porcelain")
    assert (listing.code, listing.out.splitlines()[:2]) == (0, ["session_id s1", "state init"])
    state = hub.directory() / "state.json"
    assert run_on_read_only_mount(
        hub, hub.top, *command, "update", "s1", "--state", "running"
    ) == Result(
        128,
        "",
        f"fatal: cannot write '{state}': Read-only file system\nhint: nothing was changed\n",
    )
    assert run_on_read_only_mount(hub, hub.top, *command, "init", "--task", "x") == Result(
        128,
        "",
        f"fatal: cannot write '{hub.top}/.agenthub': Read-only file system\n"
        "hint: nothing was changed\n",
    )
    assert snapshot(tmp_path) == before


def test_an_output_error_does_not_undo_a_change(hub: Hub) -> None:
    create_session(hub, "init")
    for state, redirection in (("running", ">/dev/full"), ("evaluating", ">&-"), ("merged", "| :")):
        command = f"git hub-session update s1 --state {state} {redirection}"
        result = hub.call("bash", "-o", "pipefail", "-c", command)
        assert result == Result(0)
        assert hub.state()["state"] == state


# Invalid hubs


@pytest.mark.parametrize("name", [".agenthub", ".agenthub/sessions"])
def test_a_file_in_the_place_of_a_directory(hub: Hub, name: str) -> None:
    path = hub.top / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("not a directory\n")
    for arguments in (["list"], ["init", "--task", "x"], ["update", "s1", "--state", "running"]):
        result = hub.run(*arguments)
        assert (result.code, result.out) == (128, "")
        assert result.err.startswith("fatal: ")
        assert "Not a directory" in result.err
    assert path.read_text() == "not a directory\n"


# Functions of the store


def test_create_does_not_replace_a_session(hub: Hub) -> None:
    store = Store(str(hub.top / ".agenthub"))
    store.create(S1, Config({"session_id": "s1", "task": "first"}), at="2026")
    before = snapshot(hub.top)
    with pytest.raises(SessionExists):
        store.create(S1, Config({"session_id": "s1", "task": "second"}), at="2026")
    assert snapshot(hub.top) == before
    assert store.read(S1).config.task == "first"


def test_a_configuration_over_the_size_limit_is_not_written(hub: Hub) -> None:
    store = Store(str(hub.top / ".agenthub"))
    with pytest.raises(HubError, match="config.yaml would be larger than 1048576 bytes"):
        store.create(S1, Config({"session_id": "s1", "task": "\0" * 300_000}), at="2026")
    assert store.ids() == []


def test_an_exception_during_a_change_leaves_the_file(hub: Hub) -> None:
    before = create_session(hub, "init")
    store = Store(str(hub.top / ".agenthub"))
    with pytest.raises(ZeroDivisionError):
        store.update(S1, lambda session: session._replace(id=parse_session_id(str(1 // 0))))
    assert (hub.directory() / "state.json").read_bytes() == before
    with store.lock_session(S1, wait=0):
        pass  # the lock is free again


def test_a_session_that_is_removed_under_its_lock(hub: Hub) -> None:
    create_session(hub, "init")
    store = Store(str(hub.top / ".agenthub"))
    with store.lock_session(S1) as locked:
        shutil.rmtree(hub.directory())
        with pytest.raises(Damaged, match="missing"):
            locked.read()


def test_a_lock_also_excludes_its_own_process(tmp_path: Path) -> None:
    with SafeDirectory(str(tmp_path)) as first, SafeDirectory(str(tmp_path)) as second:
        first.lock(wait=0)
        with pytest.raises(LockHeld):
            second.lock(wait=0)


def test_replace_writes_large_content_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with SafeDirectory(str(tmp_path)) as directory:
        directory.replace_atomically("file", b"new" * 100_000)
    assert snapshot(tmp_path) == {"file": b"new" * 100_000}


def test_an_update_keeps_the_keys_of_agenthub(hub: Hub) -> None:
    directory = create_agenthub_session(hub, "20260317-143022", 'say "hi": C:\\new')
    config = (directory / "config.yaml").read_bytes()
    assert hub.run("update", "20260317-143022", "--state", "running").code == 0
    assert (directory / "config.yaml").read_bytes() == config
    keys: Sequence[str] = list(hub.state("20260317-143022"))
    assert keys == ["session_id", "state", "created", "updated", "agents", "history"]
