"""push publishes a session, and fetch brings it into another clone."""

from __future__ import annotations

import json
import os
import subprocess
import zlib
from pathlib import Path

import pytest

from tests.support.clones import add_clone, add_session, connect, shared_files
from tests.support.hints import find_hint, follow_hint, type_hint, types
from tests.support.hub import Hub, Result
from tests.support.remotes import KINDS, serve

BRANCH = "refs/heads/hub/s1/agent-{}/attempt-1"


@pytest.fixture
def first(hub: Hub, remote: Path) -> Hub:
    """Return a clone with a session of two agents, connected to a bare repository."""
    add_session(hub)
    return hub


@pytest.fixture
def second(first: Hub, remote: Path) -> Hub:
    return add_clone(first, "second", str(remote))


def worktree(hub: Hub, agent: int) -> Path:
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_travels_to_another_clone(hub: Hub, kind: str, tmp_path: Path) -> None:
    with serve(kind, tmp_path / "served") as served:
        first = connect(hub, served.url, served.environ)
        first.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
        first.run("spawn", "-q", "s1")
        tip = first.commit(worktree(first, 1), "file", "faster\n")
        assert first.run("push") == Result(
            0,
            "Pushed session s1 to origin\n  created refs/hub/sessions/s1\n"
            "  created hub/s1/agent-1/attempt-1\n  created hub/s1/agent-2/attempt-1\n",
        )
        second = add_clone(first, "second", served.url, served.environ)
        result = second.run("fetch")
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith("Fetched new session s1 from origin (running)\n")
        assert second.refs("refs/heads/hub")[BRANCH.format(1)] == tip
        assert shared_files(second) == shared_files(first)
        assert second.run("push").out == "Session s1 is up to date on origin\n"
        assert second.run("fetch").out == "origin: no changes\n"


def test_the_record_has_no_value_of_one_machine(first: Hub) -> None:
    first.git("config", "hubsession.holdout", str(first.top.parent))
    first.run("exec", "s1", "--", "/bin/echo", "secret-word")
    first.run("push")
    files = "".join(shared_files(first).values())
    assert str(first.top.parent) not in files
    assert "secret-word" not in files
    shared = json.loads(shared_files(first)["state.json"])["agents"]["agent-1"]
    own = first.state()["agents"]["agent-1"]
    run = {key: value for key, value in own["exec"].items() if key != "command"}
    assert shared == {"attempt": 1, "status": "done", "exec": run}


def test_nothing_is_written_if_nothing_changed(first: Hub) -> None:
    first.run("push")
    refs = first.refs()
    assert first.run("push") == Result(0, "Session s1 is up to date on origin\n")
    assert first.refs() == refs


def test_changes_of_both_clones_are_united(first: Hub, second: Hub) -> None:
    first.run("push")
    second.run("fetch")
    first.commit(worktree(first, 1), "file", "one\n")
    first.run("board", "post", "results", "--session", "s1", "--author", "ada", "-m", "first")
    second.run("board", "post", "results", "--session", "s1", "--author", "bob", "-m", "second")
    second.run("update", "s1", "--state", "evaluating")
    assert first.run("push").code == 0
    # The record on the remote has moved: push fetches, merges and tries again.
    pushed = second.run("push")
    assert (pushed.code, pushed.err) == (0, "")
    assert first.run("fetch").out.splitlines()[0] == "Fetched session s1 from origin (evaluating)"
    assert first.state()["state"] == "evaluating"
    assert shared_files(first) == shared_files(second)
    posts = sorted(path.name for path in (first.top / ".agenthub/board/results").glob("*.md"))
    assert [name.split("-")[1] for name in posts] == ["ada", "bob"]
    assert first.refs("refs/heads/hub") == second.refs("refs/heads/hub")
    assert first.state()["agents"]["agent-1"]["worktree"] == str(worktree(first, 1))


def test_a_branch_that_a_worktree_uses_is_not_moved(first: Hub, second: Hub) -> None:
    first.run("push")
    second.run("fetch")
    second.git("switch", "-q", "hub/s1/agent-2/attempt-1")
    tip = second.commit(second.top, "file", "two\n")
    second.run("push")
    before = first.refs("refs/heads")
    warning = f"'hub/s1/agent-2/attempt-1' was not moved to {tip[:12]}: a worktree has it"
    assert first.run("fetch") == Result(1, "", f"warning: {warning} checked out\n")
    assert first.refs("refs/heads") == before
    # The remote has more commits than this clone. They are not pushed back.
    assert first.run("push").out == "Session s1 is up to date on origin\n"


@types("git -C {} merge {}")
def test_two_clones_with_different_commits_of_a_branch(first: Hub, second: Hub) -> None:
    first.run("push")
    second.run("fetch")
    second.git("switch", "-q", "hub/s1/agent-2/attempt-1")
    theirs = second.commit(second.top, "other", "two\n")
    second.git("switch", "-q", "main")
    second.run("push")
    first.commit(worktree(first, 2), "file", "one\n")
    before = second.refs()
    pushed = first.run("push", "s1")
    assert (pushed.code, pushed.out) == (1, "")
    assert pushed.err == (
        f"error: 'hub/s1/agent-2/attempt-1' has other commits on the remote: {theirs[:12]}\n"
        f"hint: git -C {worktree(first, 2)} merge {theirs[:12]}\n"
    )
    assert second.git("ls-remote", "origin", BRANCH.format(2)).split()[0] == theirs
    assert second.refs() == before
    type_hint(first, find_hint(pushed, "git -C {} merge {}"))
    assert first.run("push", "s1").code == 0
    second.run("fetch", "s1")
    assert second.refs("refs/heads/hub") == first.refs("refs/heads/hub")


@types("git checkout {} && git merge {}")
def test_different_commits_of_a_branch_without_a_worktree(first: Hub, second: Hub) -> None:
    first.run("push")
    second.run("fetch")
    second.git("switch", "-q", "hub/s1/agent-1/attempt-1")
    second.commit(second.top, "other", "two\n")
    second.git("switch", "-q", "main")
    theirs = first.commit(worktree(first, 1), "file", "one\n")
    first.run("push")
    pushed = second.run("push", "s1")
    hint = f"git checkout hub/s1/agent-1/attempt-1 && git merge {theirs[:12]}"
    assert (pushed.code, pushed.err.splitlines()[1]) == (1, f"hint: {hint}")
    type_hint(second, find_hint(pushed, "git checkout {} && git merge {}"))
    assert second.run("push", "s1").code == 0


def test_a_session_that_is_only_in_this_clone(first: Hub) -> None:
    hint = "git hub-session push origin s1"
    result = first.run("fetch", "s1")
    assert result == Result(1, "", f"error: 'origin' has no session 's1'\nhint: {hint}\n")
    type_hint(first, hint)
    assert first.run("fetch", "s1").code == 0


def test_a_dry_run_changes_nothing(first: Hub, second: Hub) -> None:
    before = first.refs()
    assert first.run("push", "-n").out.startswith("Would push session s1 to origin\n")
    assert first.refs() == before
    assert first.git("ls-remote", "origin", "refs/hub/*") == ""
    first.run("push")
    assert second.run("fetch", "-n").out.startswith("Would fetch new session s1 from origin")
    assert second.refs("refs/hub") == {}
    assert not (second.top / ".agenthub").exists()


def test_only_named_sessions_are_shared(first: Hub, second: Hub) -> None:
    first.run("init", "-q", "--id", "s2", "--task", "x")
    assert [each["session_id"] for each in first.json("push", "s2")["sessions"]] == ["s2"]
    first.run("push", "origin")
    assert [each["session_id"] for each in second.json("fetch", "origin", "s2")["sessions"]] == [
        "s2"
    ]
    assert second.run("fetch", "s1", "s9") == Result(
        1,
        second_fetch_lines(first),
        "error: 'origin' has no session 's9'\n",
    )


def second_fetch_lines(first: Hub) -> str:
    tips = first.refs("refs/heads/hub")
    lines = [f"  created {ref.removeprefix('refs/heads/')} {tip[:12]}" for ref, tip in tips.items()]
    return "\n".join(["Fetched new session s1 from origin (running)", *lines, ""])


def test_another_prefix_of_the_shared_refs(first: Hub, second: Hub) -> None:
    for clone in (first, second):
        clone.git("config", "hubsession.sharedRefs", "refs/heads/hub-meta")
    assert first.run("push").code == 0
    names = [line.split()[1] for line in first.git("ls-remote", "origin").splitlines()]
    assert not [name for name in names if name.startswith("refs/hub/")]
    assert "refs/heads/hub-meta/sessions/s1" in names
    assert second.run("fetch").code == 0
    assert shared_files(second) == shared_files(first)


@types("git config {} {}")
def test_an_invalid_prefix_of_the_shared_refs(first: Hub) -> None:
    for value in ("hub", "refs/../x", "refs/-x:y", "refs/x.lock", "refs//x", "refs/", ""):
        first.git("config", "hubsession.sharedRefs", value)
        result = first.run("push")
        message = f"error: hubsession.sharedRefs is not a prefix of refs: '{value.rstrip('/')}'"
        assert (result.code, result.err.splitlines()[0]) == (129, message)
    type_hint(first, find_hint(result, "git config {} {}"))
    assert first.run("push").code == 0


@types("try '{}'")
def test_a_mistyped_remote_pushes_nothing(first: Hub) -> None:
    before = first.git("ls-remote", "origin")
    result = first.run("push", "orign", "s1")
    assert result == Result(128, "", "fatal: no such session: 'orign'\nhint: try 'origin'\n")
    assert first.git("ls-remote", "origin") == before
    follow_hint(find_hint(result, "try '{}'"))
    assert first.run("push", "origin", "s1").out.startswith("Pushed session s1 to origin\n")


@pytest.mark.parametrize("words", [("s1", "orign"), ("origin", "s1", "orign"), ("x9", "s1")])
def test_a_missing_session_pushes_nothing(first: Hub, words: tuple[str, ...]) -> None:
    before = first.git("ls-remote", "origin")
    missing = "orign" if "orign" in words else "x9"
    assert first.run("push", *words) == Result(
        128, "", f"fatal: no such session: '{missing}'\nhint: git hub-session list\n"
    )
    assert first.git("ls-remote", "origin") == before


@types("git hub-session push {} {}")
def test_a_hook_that_refuses_one_session(first: Hub) -> None:
    first.run("init", "-q", "--id", "s2", "--task", "x")
    hook = first.top.parent / "shared.git" / "hooks" / "update"
    hook.write_text('#!/bin/sh\ncase "$1" in *s2*) echo "too many sessions" >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    pushed = first.run("push")
    reason = "hook declined ('refs/hub/sessions/s2'); too many sessions"
    assert pushed == Result(
        1,
        "Pushed session s1 to origin\n  created refs/hub/sessions/s1\n"
        "  created hub/s1/agent-1/attempt-1\n  created hub/s1/agent-2/attempt-1\n",
        f"error: 'origin' refuses session 's2': {reason}\nhint: git hub-session push origin s2\n",
    )
    hook.unlink()
    type_hint(first, find_hint(pushed, "git hub-session push {} {}"))


def test_archives_with_one_name_are_both_kept(first: Hub, second: Hub) -> None:
    first.run("push")
    second.run("fetch")
    for clone, text in ((first, "one\n"), (second, "two\n")):
        clone.git("branch", "-f", "work", "main")
        path = clone.top.parent / "work"
        clone.git("worktree", "add", "-q", path, "work")
        oid = clone.commit(path, "file", text)
        clone.git("update-ref", "refs/hub/archive/s1/agent-1/attempt-1/1", oid)
    assert first.run("push").code == 0
    assert second.run("push").code == 0
    assert first.run("fetch", "s1").code == 0
    archives = [set(clone.refs("refs/hub/archive").values()) for clone in (first, second)]
    assert archives[0] == archives[1]
    assert len(archives[0]) == 2


def test_archived_branches_are_not_created_again(first: Hub, second: Hub) -> None:
    first.run("push")
    tips = set(first.refs("refs/heads/hub").values())
    for step in ("archive", "push"):
        assert first.run(step, "s1").code == 0
    assert first.run("fetch").out == "origin: no changes\n"
    assert second.run("fetch").out.startswith("Fetched new session s1 from origin (archived)\n")
    assert second.refs("refs/heads/hub") == first.refs("refs/heads/hub") == {}
    assert set(second.refs("refs/hub/archive").values()) == tips
    assert second.run("fetch").out == "origin: no changes\n"
    # The agents have no commits of their own, so their archives have no tags.
    assert second.run("doctor").code == 0


@pytest.mark.parametrize("is_known", [False, True])
def test_fetch_creates_the_tags_of_archives(first: Hub, second: Hub, *, is_known: bool) -> None:
    if is_known:
        assert first.run("push", "s1").code == second.run("fetch").code == 0
    tip = first.commit(worktree(first, 1), "file", "one\n")
    first.run("archive", "s1")
    tags = first.refs("refs/tags")
    assert tags == {"refs/tags/hub/archive/s1/agent-1": tip}
    first.run("push", "s1")
    before = second.refs()
    previewed = second.run("fetch", "-n")
    assert second.refs() == before
    fetched = second.run("fetch")
    assert (fetched.code, fetched.err) == (0, "")
    # An attempt that has a branch needs no tag.
    created = fetched.out.endswith(f"  created hub/archive/s1/agent-1 {tip[:12]}\n")
    assert created is not is_known
    assert previewed.out == fetched.out.replace("Fetched", "Would fetch")
    assert second.refs("refs/tags") == ({} if is_known else tags)
    assert second.run("doctor", "s1").code == 0
    assert second.run("fetch", "s1").out == "Session s1 has no changes on origin\n"


@pytest.mark.parametrize("ends", [("", "-attempt-1"), ("/x",)])
def test_fetch_keeps_tags_of_other_archives(first: Hub, second: Hub, ends: tuple[str, ...]) -> None:
    """No name is free for the tag, or git refuses the free name."""
    first.commit(worktree(first, 1), "file", "one\n")
    first.run("archive", "s1")
    first.run("push", "s1")
    for end in ends:
        second.git("update-ref", f"refs/tags/hub/archive/s1/agent-1{end}", "HEAD")
    tags = second.refs("refs/tags")
    fetched = second.run("fetch")
    assert (fetched.code, fetched.err, "created hub/archive" in fetched.out) == (0, "", False)
    assert second.refs("refs/tags") == tags


def test_a_record_changes_no_setting_of_a_session(first: Hub, second: Hub) -> None:
    first.run("push")
    second.run("fetch")
    config = second.top / ".agenthub/sessions/s1/config.yaml"
    config.write_text(config.read_text().replace("base_branch: main", "base_branch: evil"))
    before = config.read_text(), second.refs()
    message = "error: 's1' is another session on the remote: 'base_branch' differs in config.yaml\n"
    assert second.run("fetch", "s1") == Result(1, "", message)
    assert second.run("push", "s1") == Result(1, "", message)
    assert second.run("status", "s1").code == 0
    assert (config.read_text(), second.refs()) == before


@types("git push {} --delete {}")
def test_a_damaged_record_can_be_replaced(first: Hub, second: Hub) -> None:
    first.run("push")
    second.git("push", "-q", "-f", "origin", "main:refs/hub/sessions/s1")
    result = second.run("fetch", "s1")
    assert result.code == 1
    assert result.err.startswith("error: the shared record of 's1' is damaged: state.json: ")
    type_hint(second, find_hint(result, "git push {} --delete {}"))
    assert first.run("push", "s1").code == 0
    assert second.run("fetch", "s1").code == 0


@types("install a newer version of git hub-session")
def test_a_record_of_a_newer_version(first: Hub, second: Hub) -> None:
    first.run("push")
    record = "refs/hub/sessions/s1"
    state = {**json.loads(shared_files(first)["state.json"]), "format": 2}
    blob = first.git("hash-object", "-w", "--stdin", stdin=json.dumps(state))
    files = first.git("ls-tree", record).replace(
        first.git("rev-parse", f"{record}:state.json"), blob
    )
    commit = first.git("commit-tree", "-m", "x", first.git("mktree", stdin=files))
    first.git("push", "-q", "-f", "origin", f"{commit}:{record}")
    result = second.run("fetch", "s1")
    hint = "install a newer version of git hub-session"
    message = "error: the shared record of 's1' has the unknown format 2"
    assert result == Result(1, "", f"{message}\nhint: {hint}\n")
    follow_hint(hint)  # this version reads the record again
    first.git("push", "-q", "-f", "origin", record)
    assert second.run("fetch", "s1").code == 0


def test_refs_of_a_killed_fetch_are_deleted(first: Hub, second: Hub) -> None:
    first.run("push")
    host = zlib.crc32(os.uname().nodename.encode())
    ended = subprocess.Popen(["true"])
    ended.wait()
    for pid in (ended.pid, os.getpid()):
        second.git("update-ref", f"refs/hub/incoming/{host:08x}-{pid}/hub/sessions/s1", "HEAD")
    second.git("update-ref", "refs/hub/incoming/0-1/hub/sessions/s1", "HEAD")
    assert second.run("fetch").code == 0
    assert [ref.split("/")[3] for ref in second.refs("refs/hub/incoming")] == [
        "0-1",
        f"{host:08x}-{os.getpid()}",
    ]


def test_rescue_refs_are_published_only_on_request(first: Hub, second: Hub) -> None:
    (worktree(first, 1) / "file").write_text("uncommitted\n")
    first.run("cleanup", "s1")
    first.run("push")
    second.run("fetch")
    assert second.refs("refs/hub/rescue") == {}
    assert first.run("push", "--rescue").code == 0
    second.run("fetch", "s1")
    assert second.refs("refs/hub/rescue") == first.refs("refs/hub/rescue")
    assert second.run("doctor").code == 0


def test_logs_are_published_on_demand(first: Hub, second: Hub) -> None:
    assert first.run("exec", "s1", "--", "echo", "hello").code == 0
    (first.directory() / "output" / "exec-1" / "other.json").write_text("{}")
    remote = Hub(first.top.parent / "shared.git", first.environ)
    assert first.run("push").code == 0
    assert remote.refs("refs/hub/logs") == first.refs("refs/hub/logs") == {}
    previewed = first.run("push", "-n", "--logs", "s1")
    assert remote.refs("refs/hub/logs") == first.refs("refs/hub/logs") == {}
    pushed = first.run("push", "--logs", "s1")
    clone = (first.top / ".git" / "hub-session-clone").read_text().strip()
    ref = f"refs/hub/logs/s1/{clone}"
    assert pushed == Result(0, f"Pushed session s1 to origin\n  created {ref}\n")
    assert f"  created {ref}\n" in previewed.out
    assert [*remote.refs("refs/hub/logs")] == [ref]
    paths = remote.git("ls-tree", "-r", "--name-only", ref).splitlines()
    assert paths == ["exec-1/agent-1.log", "exec-1/agent-2.log"]
    assert "hello" in remote.git("show", f"{ref}:exec-1/agent-2.log")
    assert first.run("push", "--logs", "s1").out == "Session s1 is up to date on origin\n"
    assert first.run("exec", "s1", "--", "echo", "again").code == 0
    assert f"  updated {ref}\n" in first.run("push", "--logs", "s1").out
    assert "again" in remote.git("show", f"{ref}:exec-2/agent-1.log")
    remote.git("update-ref", "-d", ref)
    assert f"  created {ref}\n" in first.run("push", "--logs", "s1").out
    assert second.run("fetch").code == 0
    assert second.refs("refs/hub/logs") == {}


def test_sessions_are_shared_automatically(first: Hub, second: Hub) -> None:
    for clone in (first, second):
        clone.git("config", "hubsession.autoShare", "true")
    assert first.run("update", "s1", "--state", "evaluating").err == ""
    second.run("fetch")
    assert first.run("archive", "s1").code == 0
    shown = second.run("status", "s1")
    assert (shown.err, "  State: archived\n" in shown.out) == ("", True)
    assert shared_files(second) == shared_files(first)


def test_the_commands_that_push_automatically(first: Hub) -> None:
    """`delete` changes only one clone, and worktrees belong to one clone."""
    first.git("config", "hubsession.autoShare", "true")
    remote = Hub(first.top.parent / "shared.git", first.environ)
    tip = first.git("commit-tree", "-p", "main", "-m", "adopted", "main^{tree}")

    def changes(*words: str) -> set[str]:
        before = remote.refs("refs")
        assert first.run(*words).err == ""
        after = remote.refs("refs")
        return {ref for ref, oid in after.items() if before.get(ref) != oid}

    record = "refs/hub/sessions/s2"
    branch = "refs/heads/hub/s2/agent-1/attempt-"
    init = ("init", "-q", "--id", "s2", "--task", "x", "--agents", "1")
    assert changes(*init, "-n") == set()
    assert changes(*init) == {record}
    assert changes("delete", "s2") == set()
    first.run(*init)
    assert changes("spawn", "-q", "s2") == {record, f"{branch}1"}
    assert changes("adopt", "-n", "s2", "1", tip) == set()
    assert changes("adopt", "s2", "1", tip) == {record, f"{branch}2"}
    assert changes("cleanup", "s2") == set()
    archives = {f"refs/hub/archive/s2/agent-1/attempt-{number}/1" for number in (1, 2)}
    assert changes("cleanup", "--archive", "s2") == archives
    remote.git("update-ref", "-d", f"{branch}2")
    assert f"{branch}2" in changes("restore", "s2")


def test_each_command_works_without_the_remote(first: Hub) -> None:
    first.git("config", "hubsession.autoShare", "true")
    first.run("push")
    (first.top.parent / "shared.git").rename(first.top.parent / "hidden.git")
    result = first.run("update", "s1", "--state", "evaluating")
    assert (result.code, result.out) == (0, "Session s1: running → evaluating\n")
    assert result.err.startswith("warning: cannot push to 'origin': ")
    shown = first.run("status", "s1")
    assert shown.code == 0
    assert shown.err.startswith("warning: cannot fetch from 'origin': ")
    command = "git hub-session push origin s1"
    assert f"  Unpushed: origin does not have all changes ({command})\n" in shown.out


def test_a_branch_never_moves_backwards(first: Hub, second: Hub) -> None:
    """Somebody has moved the branch of the remote back. The next push moves it forward again."""
    tip = first.commit(worktree(first, 1), "file", "one\n")
    first.run("push")
    assert second.run("fetch").code == 0
    remote = Hub(first.top.parent / "shared.git", first.environ)
    remote.git("update-ref", BRANCH.format(1), "main")
    for words in (("fetch",), ("fetch", "s1")):
        for clone in (first, second):
            assert clone.run(*words).code == 0
            assert clone.refs("refs/heads/hub")[BRANCH.format(1)] == tip
    assert second.run("push", "s1").code == 0
    assert remote.refs("refs/heads/hub")[BRANCH.format(1)] == tip


def test_ignored_files_are_not_published(first: Hub) -> None:
    """Also if rescue refs are published: they have untracked files, but no ignored ones."""
    (first.top / ".git" / "info" / "exclude").write_text("*.key\n")
    for name, text in (("secret.key", "ignored-text\n"), ("new", "untracked-text\n")):
        (worktree(first, 1) / name).write_text(text)
    assert first.run("cleanup", "--force", "s1").code == 0
    assert first.run("push", "--rescue", "--logs", "s1").code == 0
    remote = Hub(first.top.parent / "shared.git", first.environ)
    objects = remote.git("cat-file", "--batch-all-objects", "--batch-check").splitlines()
    blobs = [line.split()[0] for line in objects if line.split()[1] == "blob"]
    texts = "".join(remote.git("cat-file", "blob", oid) for oid in blobs)
    assert ("untracked-text" in texts, "ignored-text" in texts) == (True, False)


def test_one_push_without_force_for_branches(first: Hub, tmp_path: Path) -> None:
    first.environ["GIT_TRACE"] = str(tmp_path / "trace")
    assert first.run("push", "s1").code == 0
    lines = (tmp_path / "trace").read_text().splitlines()
    [line] = [each for each in lines if "built-in: git push " in each]
    options, _, refspecs = line.partition(" -- ")
    assert " --atomic " in f"{options} "
    leases = [word for word in options.split() if word.startswith("--force")]
    assert leases == ["--force-with-lease=refs/hub/sessions/s1:"]
    names = [word.partition(":")[2] for word in refspecs.split()[1:]]
    assert names == ["refs/hub/sessions/s1", BRANCH.format(1), BRANCH.format(2)]
    assert "+" not in refspecs


def test_the_record_is_readable_with_git_show(first: Hub) -> None:
    first.commit(worktree(first, 1), "file", "one\n")
    evaluated = first.run("eval", "s1", "--eval", "true", "--metric", "", "--no-guard")
    assert evaluated.code == 0, evaluated
    first.run("board", "post", "results", "--session", "s1", "--author", "ada", "-m", "hello")
    assert first.run("push", "s1").code == 0
    remote = Hub(first.top.parent / "shared.git", first.environ)
    record = "refs/hub/sessions/s1"
    paths = remote.git("ls-tree", "-r", "--name-only", record).splitlines()
    [post] = [path for path in paths if path.startswith("board/results/")]
    assert {"config.yaml", "state.json", "evaluations.jsonl", post} <= {*paths}
    assert 'task: "Make it fast"\n' in remote.git("show", f"{record}:config.yaml")
    assert json.loads(remote.git("show", f"{record}:state.json"))["session_id"] == "s1"
    assert remote.git("show", f"{record}:{post}").endswith("hello")
    lines = remote.git("show", f"{record}:evaluations.jsonl").splitlines()
    assert all(json.loads(line) for line in lines)
    assert lines


def test_each_transition_pushes_automatically(first: Hub) -> None:
    first.git("config", "hubsession.autoShare", "true")
    first.commit(first.top, "ms", "100")
    first.git("push", "-q", "origin", "main")
    remote = Hub(first.top.parent / "shared.git", first.environ)
    metric = ("--eval", "echo ms: $(cat ms)", "--metric", "ms", "--direction", "lower")
    work = "echo 5 >ms && git commit -qam ms"
    first.run("init", "-q", "--id", "s2", "--task", "x", "--agents", "2", *metric)
    first.run("spawn", "-q", "s2")
    new = ("run", "--id", "s3", "--task", "x", "--agents", "1", "--yes", *metric)
    for sid, words in (
        ("s2", ("exec", "s2", "--", "sh", "-c", work)),
        ("s2", ("eval", "s2", "--no-guard")),
        ("s2", ("merge", "--yes", "s2")),
        ("s3", (*new, "--agent-cmd", "echo 4 >ms && git commit -qam ms")),
    ):
        before = remote.refs("refs/hub/sessions").get(f"refs/hub/sessions/{sid}")
        result = first.run(*words)
        assert result.code == 0, result
        after = remote.refs("refs/hub/sessions")[f"refs/hub/sessions/{sid}"]
        assert after != before, words
        assert first.run("push", sid).out == f"Session {sid} is up to date on origin\n"
