"""`doctor`: each inconsistency alone, and all of them together."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

import pytest

from git_hub_session.git.worktrees import REMOVAL_LOCK
from tests.support.clones import write_claim
from tests.support.doctor import (
    FINDING_CODES,
    edit_state,
    list_findings,
    truncate_branch,
    worktree_git_dir,
)
from tests.support.hints import follow_hint, types
from tests.support.hub import (
    NOW,
    PYTHON,
    Hub,
    Result,
    new_hub,
    process_in,
    sealed_environment,
    snapshot,
    wait_for,
)
from tests.support.interrupt import Template, count_changes, kill_at_changes


class Inconsistency(NamedTuple):
    """An inconsistency that a test creates, and the finding that it causes."""

    code: str
    create: Callable[[Hub, str], str | Path]
    """Damage a session with two agents, and return the subject of the finding."""
    fixed: bool
    """True if --fix fixes it."""


INCONSISTENCIES: dict[str, Inconsistency] = {}


Subject = TypeVar("Subject", str, Path)


COPIES = ("refs/hub/incoming/", "refs/hub/claims/", "refs/hub/own-claims/")
"""The refs that only copy those of a remote. The doctor may delete them."""


def register(
    code: str, *, fixed: bool = False
) -> Callable[[Callable[[Hub, str], Subject]], Callable[[Hub, str], Subject]]:
    """Return a decorator that adds a function to INCONSISTENCIES under its name."""

    def add(create: Callable[[Hub, str], Subject]) -> Callable[[Hub, str], Subject]:
        INCONSISTENCIES[create.__name__] = Inconsistency(code, create, fixed)
        return create

    return add


def set_mtime(path: Path, seconds: float) -> Path:
    """Set the modification time, in seconds since the epoch, and return the path."""
    os.utime(path, (seconds, seconds), follow_symlinks=False)
    return path


@register("ids-fold")
def create_id_in_another_case(hub: Hub, sid: str) -> str:
    hub.session(sid.upper())
    return sid.upper()


@register("hub-copied")
def track_hub(hub: Hub, sid: str) -> Path:
    hub.git("add", "-f", f".agenthub/sessions/{sid}/config.yaml")
    return hub.top / ".agenthub"


@register("hub-copied")
def track_copy_of_hub(hub: Hub, sid: str) -> Path:
    copy = hub.worktree(1, sid) / ".agenthub"
    hub.commit(hub.worktree(1, sid), f".agenthub/sessions/{sid}/config.yaml", "task: theirs\n")
    return copy


@register("hub-elsewhere")
def create_hub_in_a_subdirectory(hub: Hub, _sid: str) -> Path:
    session = hub.top / "deep" / "er" / ".agenthub" / "sessions" / "s9"
    session.mkdir(parents=True)
    (session / "config.yaml").write_text("task: theirs\n")
    return session.parent.parent


@register("hub-not-ignored", fixed=True)
def delete_gitignore_of_hub(hub: Hub, _sid: str) -> Path:
    (hub.top / ".agenthub" / ".gitignore").unlink()
    return hub.top / ".agenthub"


@register("hub-damaged")
def link_channel(hub: Hub, _sid: str) -> Path:
    channel = hub.top / ".agenthub" / "board" / "progress"
    channel.rmdir()
    channel.symlink_to("/etc")
    return channel


@register("board-damaged", fixed=True)
def truncate_board_index(hub: Hub, _sid: str) -> Path:
    (hub.top / ".agenthub" / "board" / "_index.json").write_text('{"channels": [')
    return hub.top / ".agenthub" / "board"


@register("not-a-session")
def create_invalid_id(hub: Hub, sid: str) -> Path:
    path = hub.directory(f"{sid} copy")
    path.mkdir()
    return path


@register("not-a-session")
def create_empty_session(hub: Hub, sid: str) -> Path:
    path = hub.directory(f"{sid}-empty")
    path.mkdir()
    return path


@register("half-made-session", fixed=True)
def interrupt_init(hub: Hub, sid: str) -> Path:
    path = hub.top / ".agenthub" / "sessions" / f".{sid}.0123456789ab.tmp"
    path.mkdir()
    (path / "config.yaml").write_text("task: ")
    return path


@register("config-damaged")
def truncate_config(hub: Hub, sid: str) -> str:
    (hub.directory(sid) / "config.yaml").write_text('task: "x')
    return sid


@register("state-damaged", fixed=True)
def truncate_state(hub: Hub, sid: str) -> str:
    (hub.directory(sid) / "state.json").write_text('{"session_id": ')
    return sid


@register("state-damaged", fixed=True)
def delete_state(hub: Hub, sid: str) -> str:
    (hub.directory(sid) / "state.json").unlink()
    return sid


@register("state-damaged", fixed=True)
def link_state(hub: Hub, sid: str) -> str:
    state = hub.directory(sid) / "state.json"
    state.rename(state.with_name("elsewhere"))
    state.symlink_to("elsewhere")
    return sid


@register("state-unknown", fixed=True)
def set_unknown_state(hub: Hub, sid: str) -> str:
    return edit_state(hub, sid, state="reviewing")


@register("history-contradicts", fixed=True)
def change_state_without_history(hub: Hub, sid: str) -> str:
    hub.run("update", sid, "--state", "running")
    return edit_state(hub, sid, state="init")


@register("history-contradicts", fixed=True)
def replace_history_list(hub: Hub, sid: str) -> str:
    return edit_state(hub, sid, history="init, running")


@register("history-contradicts", fixed=True)
def create_gap_in_history(hub: Hub, sid: str) -> str:
    steps = [("init", "running"), ("evaluating", "merged")]
    history = [{"from": a, "to": b, "verb": "update", "by": "x", "at": "y"} for a, b in steps]
    return edit_state(hub, sid, state="merged", history=history)


@register("leftover-file", fixed=True)
def create_temporary_state(hub: Hub, sid: str) -> Path:
    path = hub.directory(sid) / ".state.json.4711.tmp"
    path.write_text("{")
    return path


@register("leftover-file", fixed=True)
def create_temporary_index(hub: Hub, sid: str) -> Path:
    path = worktree_git_dir(hub, sid) / "hub-session-index.4711.tmp"
    path.write_text("DIRC")
    return path


def set_nine_agents(hub: Hub, sid: str) -> None:
    """Set the number of agents to nine. Only two exist."""
    file = hub.directory(sid) / "config.yaml"
    file.write_text(file.read_text().replace("agent_count: 2", "agent_count: 9"))


@register("agent-cut-off")
def interrupt_spawn(hub: Hub, sid: str) -> str:
    set_nine_agents(hub, sid)
    edit_state(hub, sid, agents={"agent-9": {"status": "spawning", "attempt": 1}})
    return f"{sid} agent-9"


@register("agent-cut-off", fixed=True)
def interrupt_restore_at_its_end(hub: Hub, sid: str) -> str:
    edit_state(hub, sid, agents={"agent-1": {"status": "restoring", "attempt": 1}})
    return f"{sid} agent-1"


@register("agent-cut-off")
def interrupt_restore(hub: Hub, sid: str) -> str:
    hub.git("worktree", "remove", hub.worktree(1, sid))
    edit_state(hub, sid, agents={"agent-1": {"status": "restoring", "attempt": 1}})
    return f"{sid} agent-1"


@register("agent-cut-off", fixed=True)
def interrupt_spawn_in_an_earlier_state(hub: Hub, sid: str) -> str:
    edit_state(
        hub, sid, state="evaluating", agents={"agent-9": {"status": "spawning", "attempt": 1}}
    )
    return f"{sid} agent-9"


@register("agent-cut-off", fixed=True)
def interrupt_exec(hub: Hub, sid: str) -> str:
    run = {"run": "exec-1"}
    edit_state(hub, sid, agents={"agent-2": {"status": "running", "attempt": 1, "exec": run}})
    return f"{sid} agent-2"


@register("agent-cut-off", fixed=True)
def interrupt_exec_of_an_earlier_attempt(hub: Hub, sid: str) -> str:
    hub.git("branch", f"hub/{sid}/agent-2/attempt-2")
    attempts = {"attempt-1": {"status": "waiting", "exec": {"run": "exec-1"}}}
    edit_state(hub, sid, agents={"agent-2": {"status": "done", "attempt": 2, "attempts": attempts}})
    return f"{sid} agent-2/attempt-1"


@register("agent-cut-off", fixed=True)
def mark_agent_as_running(hub: Hub, sid: str) -> str:
    edit_state(hub, sid, agents={"agent-2": {"status": "running"}})
    return f"{sid} agent-2"


@register("merge-cut-off")
def interrupt_merge_at_its_end(hub: Hub, sid: str) -> str:
    tip = hub.git("rev-parse", "main")
    merge = {"agent": 1, "attempt": 1, "tip": tip, "into": "main", "commit": tip}
    return edit_state(hub, sid, state="evaluating", merge=merge)


@register("merge-cut-off")
def interrupt_merge_before_its_end(hub: Hub, sid: str) -> str:
    commit = hub.git("commit-tree", "-p", "main", "-m", "merge", "main^{tree}")
    tip = hub.git("rev-parse", "main")
    merge = {"agent": 1, "attempt": 1, "tip": tip, "into": "main", "commit": commit}
    return edit_state(hub, sid, state="evaluating", merge=merge)


@register("session-forgotten")
def make_session_idle(hub: Hub, sid: str) -> str:
    # The commits of the branches are as recent as NOW, so the branches must be deleted.
    """Make the last update of the session more than two days old."""
    for agent in (1, 2):
        hub.git("worktree", "remove", hub.worktree(agent, sid))
        hub.git("branch", "-q", "-D", f"hub/{sid}/agent-{agent}/attempt-1")
    return edit_state(hub, sid, state="running", updated="2026-03-14T12:00:00+00:00")


@register("base-gone")
def remove_base_branch(hub: Hub, sid: str) -> str:
    config = hub.directory(sid) / "config.yaml"
    config.write_text(config.read_text().replace("base_branch: main", "base_branch: gone"))
    return sid


@register("base-gone")
def remove_base_commit(hub: Hub, sid: str) -> str:
    return edit_state(hub, sid, base_commit="1" * 40)


@register("worktree-of-no-session")
def delete_session(hub: Hub, sid: str) -> Path:
    shutil.rmtree(hub.directory(sid))
    for agent in (1, 2):
        hub.git("worktree", "lock", "--reason", "mine", hub.worktree(agent, sid))
    return hub.worktree(1, sid)


@register("worktree-of-finished")
def finish_session(hub: Hub, sid: str) -> Path:
    edit_state(hub, sid, state="archived")
    return hub.worktree(2, sid)


@register("worktree-half-added", fixed=True)
def interrupt_worktree_add(hub: Hub, sid: str) -> Path:
    (worktree_git_dir(hub, sid) / "locked").write_text("initializing")
    record = {"status": "ready", "attempt": 1, "worktree": str(hub.worktree(1, sid))}
    edit_state(hub, sid, agents={"agent-1": record})
    return hub.worktree(1, sid)


@register("worktree-half-added", fixed=True)
def interrupt_worktree_add_before_head(hub: Hub, sid: str) -> Path:
    worktree = hub.worktrees / sid / "agent-3"
    git_dir = hub.top / ".git" / "worktrees" / f"{sid}-agent-3"
    git_dir.mkdir()
    worktree.mkdir()
    (git_dir / "locked").write_text("initializing")
    (git_dir / "gitdir").write_text(f"{worktree}/.git\n")
    (git_dir / "commondir").write_text("../..\n")
    set_nine_agents(hub, sid)
    edit_state(hub, sid, agents={"agent-3": {"status": "spawning", "worktree": str(worktree)}})
    return worktree


@register("removal-cut-off", fixed=True)
def interrupt_removal_before_second_inspection(hub: Hub, sid: str) -> Path:
    return interrupt_removal(hub, sid, "aside")


@register("removal-cut-off", fixed=True)
def interrupt_removal_during_deletion(hub: Hub, sid: str) -> Path:
    return interrupt_removal(hub, sid, "delete")


@register("removal-cut-off", fixed=True)
def lock_for_removal_without_journal(hub: Hub, sid: str) -> Path:
    (worktree_git_dir(hub, sid) / "locked").write_text(REMOVAL_LOCK)
    return hub.worktree(1, sid)


def interrupt_removal(hub: Hub, sid: str, step: str) -> Path:
    """Leave the trash and the journal of a removal that was killed after `step`.

    Return the path.
    """
    worktree = hub.worktree(1, sid)
    git_dir = worktree_git_dir(hub, sid)
    trash = worktree.parent / f".{git_dir.name}.hub-trash"
    (git_dir / "hub-session-removal").write_text(f"{REMOVAL_LOCK}\0{trash}\0{step}")
    worktree.rename(trash)
    return worktree


@register("worktree-off-branch")
def detach_worktree(hub: Hub, sid: str) -> Path:
    hub.git("checkout", "-q", "--detach", cwd=hub.worktree(1, sid))
    edit_state(
        hub, sid, agents={"agent-1": {"status": "ready", "worktree": str(hub.worktree(1, sid))}}
    )
    return hub.worktree(1, sid)


@register("worktree-missing", fixed=True)
def delete_worktree(hub: Hub, sid: str) -> Path:
    shutil.rmtree(hub.worktree(1, sid))
    return hub.worktree(1, sid)


@register("worktree-moved", fixed=True)
def rename_worktree(hub: Hub, sid: str) -> Path:
    hub.worktree(1, sid).rename(hub.worktrees / sid / "the best one")
    return hub.worktree(1, sid)


@register("worktree-damaged")
def delete_git_file(hub: Hub, sid: str) -> Path:
    (hub.worktree(1, sid) / ".git").unlink()
    return hub.worktree(1, sid)


@register("worktree-damaged")
def copy_git_file_of_another_worktree(hub: Hub, sid: str) -> Path:
    shutil.copy(hub.worktree(2, sid) / ".git", hub.worktree(1, sid) / ".git")
    return hub.worktree(1, sid)


@register("worktree-damaged")
def delete_path_of_repository(hub: Hub, sid: str) -> Path:
    (worktree_git_dir(hub, sid) / "commondir").unlink()
    return hub.worktree(1, sid)


@register("index-damaged")
def truncate_index(hub: Hub, sid: str) -> Path:
    index = worktree_git_dir(hub, sid) / "index"
    index.write_bytes(index.read_bytes()[:70])
    return hub.worktree(1, sid)


@register("lock-of-dead-process")
def lock_for_ended_process(hub: Hub, sid: str) -> Path:
    process = subprocess.Popen(["true"])
    process.wait()
    reason = f"agent is at work (pid {process.pid})"
    hub.git("worktree", "lock", "--reason", reason, hub.worktree(1, sid))
    return hub.worktree(1, sid)


@register("git-lock-left")
def lock_index_of_worktree(hub: Hub, sid: str) -> Path:
    path = worktree_git_dir(hub, sid) / "index.lock"
    path.touch()
    return set_mtime(path, NOW - 3600)


@register("git-lock-left")
def lock_ref(hub: Hub, sid: str) -> Path:
    path = hub.top / ".git" / "refs" / "heads" / "hub" / sid / "agent-1" / "attempt-1.lock"
    path.touch()
    return set_mtime(path, NOW - 3600)


@register("git-lock-left")
def lock_packed_refs(hub: Hub, _sid: str) -> Path:
    path = hub.top / ".git" / "packed-refs.new"
    path.touch()
    return set_mtime(path, NOW - 3600)


@register("git-lock-left")
def lock_original_head(hub: Hub, _sid: str) -> Path:
    path = hub.top / ".git" / "ORIG_HEAD.lock"
    path.touch()
    return set_mtime(path, NOW - 3600)


@register("fetch-cut-off", fixed=True)
def leave_refs_of_a_killed_fetch(hub: Hub, _sid: str) -> str:
    process = subprocess.Popen(["true"])
    process.wait()
    host = crc32(os.uname().nodename.encode())
    name = f"refs/hub/incoming/{host:08x}-{process.pid}/"
    for ref in ("hub/sessions/s1", "heads/hub/s1/agent-1/attempt-1"):
        hub.git("update-ref", name + ref, "main")
    return name


@register("fetch-cut-off", fixed=True)
def leave_refs_of_a_fetch_on_another_host(hub: Hub, _sid: str) -> str:
    name = "refs/hub/incoming/00000000-1/"
    hub.git("update-ref", f"{name}hub/sessions/s1", "main")
    set_mtime(hub.top / ".git" / f"{name}hub/sessions/s1", NOW - 90_000)
    return name


@register("claim-left", fixed=True)
def leave_a_claim_of_no_session(hub: Hub, _sid: str) -> str:
    ref = "refs/hub/claims/no-session/agent-1"
    write_claim(hub, ref)
    return ref


@register("claim-left", fixed=True)
def leave_a_claim_that_was_taken_over(hub: Hub, sid: str) -> str:
    write_claim(hub, f"refs/hub/claims/{sid}/agent-2", generation=2)
    write_claim(hub, f"refs/hub/own-claims/{sid}/agent-2")
    return f"refs/hub/own-claims/{sid}/agent-2"


@register("trash-left")
def create_trash_without_git_dir(hub: Hub, sid: str) -> Path:
    path = hub.worktrees / sid / ".agent-7.hub-trash"
    path.mkdir()
    (path / "work").write_text("an agent's")
    return path


@register("trash-left", fixed=True)
def create_trash_of_git_dirs(hub: Hub, sid: str) -> Path:
    path = hub.top / ".git" / "hub-session-trash"
    (path / f"{sid}.4711").mkdir(parents=True)
    (path / f"{sid}.4711" / "HEAD").write_text("ref: refs/heads/gone\n")
    return path


@register("branches-of-no-session")
def create_branch_without_session(hub: Hub, sid: str) -> str:
    hub.git("branch", f"hub/{sid}-gone/agent-1/attempt-1")
    return f"hub/{sid}-gone/"


@register("ref-broken")
def create_branch_without_commit(hub: Hub, sid: str) -> str:
    name = f"hub/{sid}/agent-8/attempt-1"
    path = hub.top / ".git" / "refs" / "heads" / name
    path.parent.mkdir(parents=True)
    path.write_text("1" * 40 + "\n")
    return name


register("ref-broken")(truncate_branch)


@register("ref-broken")
def truncate_tag(hub: Hub, sid: str) -> str:
    hub.git("tag", f"hub/archive/{sid}/agent-7", "main")
    (hub.top / ".git" / "refs" / "tags" / "hub" / "archive" / sid / "agent-7").write_text("1f")
    return f"hub/archive/{sid}/agent-7"


@register("ref-broken")
def truncate_rescue_ref(hub: Hub, sid: str) -> str:
    ref = create_unrecorded_rescue_ref(hub, sid)
    (hub.top / ".git" / ref).write_text("1f")
    return ref


@register("agent-without-branch")
def record_agent_without_branch(hub: Hub, sid: str) -> str:
    edit_state(hub, sid, state="running", agents={"agent-5": {"status": "ready", "attempt": 1}})
    return f"{sid} agent-5"


@register("agent-without-branch")
def delete_branch_of_finished_agent(hub: Hub, sid: str) -> str:
    edit_state(hub, sid, state="running", agents={"agent-2": {"status": "done", "attempt": 1}})
    hub.git("update-ref", "-d", f"refs/heads/hub/{sid}/agent-2/attempt-1")
    return f"{sid} agent-2"


@register("worktree-doubled")
def copy_git_dir(hub: Hub, sid: str) -> Path:
    git_dir = worktree_git_dir(hub, sid)
    copy = git_dir.with_name(f"a-copy-{sid}")
    shutil.copytree(git_dir, copy)
    return copy


@register("worktree-unregistered", fixed=True)
def delete_git_dir(hub: Hub, sid: str) -> Path:
    edit_state(hub, sid, agents={"agent-1": {"worktree": str(hub.worktree(1, sid))}})
    shutil.rmtree(worktree_git_dir(hub, sid))
    return hub.worktree(1, sid)


@register("worktree-moved", fixed=True)
def delete_path_of_worktree(hub: Hub, sid: str) -> Path:
    edit_state(hub, sid, agents={"agent-1": {"worktree": str(hub.worktree(1, sid))}})
    git_dir = worktree_git_dir(hub, sid)
    (git_dir / "gitdir").unlink()
    return git_dir


@register("tag-elsewhere")
def create_tag_on_another_commit(hub: Hub, sid: str) -> str:
    commit = hub.git("commit-tree", "-m", "elsewhere", "main^{tree}")
    hub.git("tag", f"hub/archive/{sid}/agent-1", commit)
    return f"hub/archive/{sid}/agent-1"


@register("archive-ref-missing", fixed=True)
def archive_only_with_a_tag(hub: Hub, sid: str) -> str:
    commit = hub.git("commit-tree", "-m", "by hand", "main^{tree}")
    hub.git("tag", f"hub/archive/{sid}/agent-7", commit)
    return f"hub/archive/{sid}/agent-7"


@register("archive-tag-missing", fixed=True)
def delete_archive_tag(hub: Hub, sid: str) -> str:
    commit = hub.git("commit-tree", "-m", "an attempt", "main^{tree}")
    hub.git("update-ref", f"refs/hub/archive/{sid}/agent-7/attempt-1/1", commit)
    return f"refs/hub/archive/{sid}/agent-7/attempt-1/1"


@register("ref-broken")
def truncate_archive_ref(hub: Hub, sid: str) -> str:
    ref = f"refs/hub/archive/{sid}/agent-7/attempt-1/1"
    hub.git("update-ref", ref, "main")
    (hub.top / ".git" / ref).write_text("1f")
    return ref


@register("rescue-of-no-session")
def create_rescue_ref_of_missing_session(hub: Hub, sid: str) -> str:
    ref = f"refs/hub/rescue/{sid}-gone/agent-1/attempt-1/1"
    hub.git("update-ref", ref, "main")
    return ref


@register("rescue-of-no-session")
def create_rescue_ref_without_session(hub: Hub, _sid: str) -> str:
    hub.git("update-ref", "refs/hub/rescue/saved", "main")
    return "refs/hub/rescue/saved"


@register("rescue-unrecorded", fixed=True)
def create_unrecorded_rescue_ref(hub: Hub, sid: str) -> str:
    ref = f"refs/hub/rescue/{sid}/agent-2/attempt-1/1"
    hub.git("update-ref", ref, "main")
    return ref


# The codes that one inconsistency causes together.
RELATED_CODES = {
    "delete_session": {"worktree-of-no-session", "branches-of-no-session"},
    "interrupt_worktree_add_before_head": {"worktree-half-added"},  # `spawn` must finish the agent
    "create_gap_in_history": {"history-contradicts", "worktree-of-finished"},
}


@pytest.fixture(scope="module")
def hub_and_template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Hub, Template]:
    """Return a repository with the session `a` of two agents, and a copy to restore it from."""
    top = tmp_path_factory.mktemp("doctor")
    environ = sealed_environment(top)
    hub = new_hub(top / "project", environ).session("a", agents=2)
    return hub, Template(hub)


@pytest.mark.parametrize("name", INCONSISTENCIES)
def test_inconsistency_is_reported_and_fixed_or_explained(
    hub_and_template: tuple[Hub, Template], name: str
) -> None:
    code, create, is_fixable = INCONSISTENCIES[name]
    hub, template = hub_and_template
    template.restore()
    # The doctor recognizes a moved worktree by the inodes in its index.
    hub.git("update-index", "-q", "--refresh", cwd=hub.worktree(1, "a"))
    subject = str(create(hub, "a"))
    before, refs = snapshot(hub.top), hub.refs()

    findings = hub.json("doctor", "--fix", "--dry-run", code=1)["findings"]
    matching = [item for item in findings if (item["code"], item["subject"]) == (code, subject)]
    assert [bool(item["fix"]) for item in matching] == [is_fixable], findings
    assert {item["code"] for item in findings} == RELATED_CODES.get(name, {code})
    assert all(item["evidence"] and bool(item["fix"]) != bool(item["advice"]) for item in findings)
    assert (snapshot(hub.top), hub.refs()) == (before, refs)  # the check has changed nothing

    fixed = list_findings(hub, "--fix", code=0 if is_fixable and name not in RELATED_CODES else 1)
    assert (code, subject, is_fixable) in fixed
    remaining = [finding for finding in fixed if not finding[2]]
    assert (
        list_findings(hub, "--fix", code=1 if remaining else 0) == remaining
    )  # the second fix has changed nothing
    kept = {ref: oid for ref, oid in refs.items() if not ref.startswith(COPIES)}
    assert {ref: oid for ref, oid in hub.refs().items() if ref in kept} == kept


@pytest.mark.slow
def test_all_inconsistencies_together(hub: Hub) -> None:
    expected = set()
    sids = [f"s{number}" for number in range(len(INCONSISTENCIES))]
    for sid in sids:
        hub.session(sid, agents=2)
    for sid, inconsistency in zip(sids, INCONSISTENCIES.values(), strict=True):
        expected.add((inconsistency.code, str(inconsistency.create(hub, sid))))
    reported = list_findings(hub, code=1)
    assert list_findings(hub, "--fix", "-n", code=1) == reported
    # While git tracks the hub, the missing .gitignore is not reported.
    missing_codes = {
        code for code, _ in expected - {(code, subject) for code, subject, _ in reported}
    }
    assert missing_codes == {"hub-not-ignored"}
    fixed = list_findings(hub, "--fix", code=1)
    # `git worktree repair` repairs all links at once. Here some links must stay as they are.
    fixable = {item.code for item in INCONSISTENCIES.values() if item.fixed} - {
        "worktree-moved",
        *missing_codes,
    }
    assert {code for code, _, is_fixed in fixed if is_fixed} == fixable
    remaining = [finding for finding in fixed if not finding[2]]
    assert list_findings(hub, "--fix", code=1) == remaining


def test_every_code_has_a_test() -> None:
    tested_below = {"git-missing", "git-too-old", "cannot-open", "lock-orphaned"}
    # In tests/integration: test_git_settings.py, test_replaced_objects.py, test_hub_files.py and
    # test_hidden_hub.py.
    # In test_eval_killed.py, and in tests/integration/test_remotes.py.
    tested_elsewhere = {
        *("config-changed", "objects-replaced", "posts-in-worktree", "hub-hidden"),
        "temporary-worktree",
        "refs-exposed",
        "archives-many",  # in test_prune.py
    }
    tested = {item.code for item in INCONSISTENCIES.values()} | tested_below | tested_elsewhere
    assert tested == FINDING_CODES


@pytest.mark.slow
def test_healthy_session_has_no_findings(hub: Hub) -> None:
    work = "echo $HUB_AGENT >mine && git add mine && git commit -qm mine && git commit -q --amend -m mine"
    commands = [
        ["init", "--id", "a", "--task", "x", "--agents", "2", "--eval", "x"],
        ["spawn", "a"],
        ["exec", "a", "--", "sh", "-c", f"{work}; echo draft >draft"],
        [
            "eval",
            "a",
            "--eval",
            "echo n: ${HUB_AGENT#agent-}",
            "--metric",
            "n",
            "--direction",
            "lower",
        ],
        ["merge", "a", "--yes"],
        ["init", "--id", "b", "--task", "x", "--agents", "2"],
        ["spawn", "b"],
        ["exec", "b", "--", "sh", "-c", f"{work}; echo draft >draft"],
        ["cleanup", "b"],
        ["restore", "b"],
        ["archive", "b"],
    ]
    for arguments in commands:
        assert hub.run(*arguments, now=None).code == 0, arguments
        assert hub.run("doctor", now=None).out.endswith(": no problems found\n"), arguments


def test_many_healthy_worktrees(hub: Hub) -> None:
    assert hub.run("init", "--id", "a", "--task", "x", "--agents", "40").code == 0
    assert hub.run("spawn", "a", "--jobs", "4").code == 0
    assert hub.run("doctor") == Result(0, "1 session, 40 worktrees: no problems found\n")


def test_without_hub_or_session(hub: Hub) -> None:
    assert hub.run("doctor") == Result(0, "0 sessions, 0 worktrees: no problems found\n")
    assert hub.run("doctor", "--fix") == Result(0, "0 sessions, 0 worktrees: no problems found\n")
    assert hub.run("doctor", "gone").code == 128


def test_formats(hub: Hub) -> None:
    hub.session("a", agents=2)
    delete_worktree(hub, "a")
    interrupt_spawn(hub, "a")
    text = """\
agent-cut-off: a agent-9
  the status of agent-9 is 'spawning', but no spawn is running
  manual fix: git hub-session spawn a --only agent-9
"""
    missing = "worktree-missing: ../worktrees/a/agent-1\n"
    fix = "save the staged changes and remove its administrative files\n"
    assert hub.run("doctor") == Result(
        1,
        f"{text}{missing}  its directory is missing\n  --fix: {fix}"
        "1 session, 2 worktrees: 2 found, --fix can fix 1\n",
    )
    assert hub.run("doctor", "--fix", "a") == Result(
        1,
        f"{missing}  its directory is missing\n  done: {fix}{text}"
        "1 session, 1 worktree: 2 found, 1 fixed\n",
    )
    assert hub.run("doctor", "-q") == Result(1, "agent-cut-off: a agent-9\n")
    assert hub.run("doctor", "--format=porcelain") == Result(
        1,
        "code agent-cut-off\nsubject a agent-9\n"
        "evidence the status of agent-9 is 'spawning', but no spawn is running\n"
        "session a\nfix\nadvice git hub-session spawn a --only agent-9\n\n",
    )


def test_only_the_given_session_is_checked(hub: Hub) -> None:
    for sid in ("abc", "xyz"):
        hub.session(sid, agents=2)
        delete_worktree(hub, sid)
    assert [finding[1] for finding in list_findings(hub, "ab", code=1)] == [
        str(hub.worktree(1, "abc"))
    ]
    assert hub.run("doctor", "--fix", "ab").err.startswith("fatal: no such session: 'ab'\n")
    assert list_findings(hub, "--fix", "abc", code=0) == [
        ("worktree-missing", str(hub.worktree(1, "abc")), True)
    ]
    assert [finding[1] for finding in list_findings(hub, code=1)] == [str(hub.worktree(1, "xyz"))]


def test_staged_changes_of_a_deleted_worktree_are_saved(hub: Hub) -> None:
    hub.session("a", agents=2)
    worktree = hub.worktree(1, "a")
    (worktree / "staged").write_text("an agent's\n")
    hub.git("add", "staged", cwd=worktree)
    shutil.rmtree(worktree)
    [finding] = hub.json("doctor", "--fix", code=0)["findings"]
    ref = "refs/hub/rescue/a/agent-1/attempt-1/1"
    assert finding["notes"] == [f"staged changes were saved in {ref}"]
    assert hub.git("show", f"{ref}:staged") == "an agent's"
    assert hub.state("a")["agents"]["agent-1"]["rescue"] == [ref]
    assert hub.git("worktree", "list", "--porcelain").count("worktree ") == 2
    assert list_findings(hub, code=0) == []


def test_damaged_state_is_renamed_and_rewritten(hub: Hub) -> None:
    hub.session("a", agents=2)
    hub.run("update", "a", "--state", "running")
    rescue = create_unrecorded_rescue_ref(hub, "a")
    (hub.directory("a") / "state.json").write_bytes(b"\0\0\0")
    assert [finding[0] for finding in list_findings(hub, "--fix", code=0)] == [
        "state-damaged",
        "rescue-unrecorded",
    ]
    assert (hub.directory("a") / "state.json.damaged-1").read_bytes() == b"\0\0\0"
    state = hub.state("a")
    assert (state["state"], state["agents"]["agent-2"]["rescue"]) == ("running", [rescue])
    assert [(step["from"], step["to"], step["verb"]) for step in state["history"]] == [
        ("unknown", "running", "doctor")
    ]
    assert hub.run("update", "a", "--state", "evaluating").code == 0
    assert list_findings(hub, code=0) == []


def test_unknown_state_becomes_the_last_state_of_the_history(hub: Hub) -> None:
    hub.session("a", agents=2)
    for state in ("running", "evaluating"):
        hub.run("update", "a", "--state", state)
    set_unknown_state(hub, "a")
    assert [finding[0] for finding in list_findings(hub, "--fix", code=0)] == ["state-unknown"]
    assert hub.state("a")["state"] == "evaluating"


def test_files_of_the_user_in_a_partial_worktree_are_kept(hub: Hub) -> None:
    hub.session("a", agents=2)
    interrupt_worktree_add(hub, "a")
    worktree = hub.worktree(1, "a")
    (worktree / "note").write_text("mine")
    [finding] = hub.json("doctor", "--fix", code=0)["findings"]
    kept = f"{worktree}.cut-off-1"
    assert finding["notes"] == [
        f"a spawn or a restore that was interrupted left files in '{worktree}': they are in '{kept}'"
    ]
    assert (Path(kept) / "note").read_text() == "mine"
    assert hub.run("spawn", "a").code == 0


def test_moved_worktree_is_found_again(hub: Hub) -> None:
    hub.session("a", agents=2)
    rename_worktree(hub, "a")
    (hub.worktrees / "a" / "the best one" / "draft").write_text("mine")
    assert [finding[0] for finding in list_findings(hub, "--fix", code=0)] == ["worktree-moved"]
    assert hub.run("path", "a", "1").out == f"{hub.worktrees}/a/the best one\n"
    assert (hub.worktrees / "a" / "the best one" / "draft").read_text() == "mine"


def test_interrupted_removal_is_finished_or_undone(hub: Hub) -> None:
    hub.session("a", agents=2).session("b", agents=2)
    (hub.worktree(1, "a") / "draft").write_text("mine")
    interrupt_removal_before_second_inspection(hub, "a")
    interrupt_removal_during_deletion(hub, "b")
    assert {finding[0] for finding in list_findings(hub, "--fix", code=0)} == {"removal-cut-off"}
    assert (hub.worktree(1, "a") / "draft").read_text() == "mine"
    assert not hub.worktree(1, "b").exists()
    assert sorted(os.listdir(hub.worktrees / "b")) == ["agent-2"]
    assert list_findings(hub, code=0) == []


def test_locked_session_is_not_checked(hub: Hub) -> None:
    hub.session("a", agents=2)
    interrupt_spawn(hub, "a")
    lock = os.open(hub.directory("a"), os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert hub.run("doctor", "--fix") == Result(
            0,
            "1 session, 2 worktrees: no problems found\n",
            "session 'a' was not checked: another process is changing it\n",
        )
    finally:
        os.close(lock)
    assert [finding[0] for finding in list_findings(hub, code=1)] == ["agent-cut-off"]


_INHERIT_LOCK = """
import fcntl, os, signal, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(fd, fcntl.LOCK_EX)
child = os.fork()
if child:
    print(os.getpid(), child, flush=True)
    os._exit(0)
os.closerange(0, 3)
signal.pause()
"""


@types("wait for it; if it hangs: kill {}")
def test_lock_inherited_by_a_child_process(hub: Hub) -> None:
    hub.session("a", agents=2)
    arguments = [PYTHON, "-c", _INHERIT_LOCK, str(hub.directory("a"))]
    pids = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()
    holder, child = map(int, pids)
    try:
        [finding] = hub.json("doctor", code=1)["findings"]
        assert (finding["code"], finding["advice"]) == (
            "lock-orphaned",
            f"wait for it; if it hangs: kill {child}",
        )
        assert finding["evidence"].startswith(f"process {holder} locked it and has ended; ")
    finally:
        os.kill(child, signal.SIGKILL)
    follow_hint(finding["advice"])
    wait_for(lambda: hub.run("doctor").code == 0)


@types("put git on PATH")
def test_without_git(hub: Hub) -> None:
    hub.session("a", agents=2)
    programs = hub.environ["PATH"].partition(":")[0]
    result = hub.call(f"{programs}/git-hub-session", "doctor", environ={"PATH": programs})
    assert result == Result(
        1,
        "git-missing: git\n  cannot find 'git'\n  manual fix: put git on PATH\n"
        "1 session, 2 worktrees: 1 found, --fix can fix 0\n",
    )
    follow_hint("put git on PATH")
    assert hub.run("doctor").code == 0


def test_with_an_old_git(hub: Hub) -> None:
    hub.session("a", agents=2)
    programs = Path(hub.environ["PATH"].partition(":")[0])
    git = shutil.which("git")
    script = (
        f'#!/bin/sh\n[ "$1" != version ] || {{ echo git version 2.34.1; exit; }}\nexec {git} "$@"\n'
    )
    (programs / "git").write_text(script)
    (programs / "git").chmod(0o755)
    assert hub.call("git-hub-session", "doctor") == Result(
        1,
        "git-too-old: git\n  git 2.34.1 does not have 'git hook' (since 2.36), "
        "'git merge-tree' (since 2.38)\n  manual fix: put a newer git on PATH\n"
        "1 session, 2 worktrees: 1 found, --fix can fix 0\n",
    )


def test_repository_that_libgit2_cannot_open(hub: Hub) -> None:
    hub.session("a")
    hub.git("config", "core.repositoryFormatVersion", "1")
    hub.git("config", "extensions.objectFormat", "sha256")
    result = hub.run("doctor")
    assert (result.code, result.out.splitlines()[0]) == (1, "cannot-open: the repository")
    assert "use 'list', 'update', 'log' and 'board', which need no libgit2" in result.out


def test_hub_that_is_a_symbolic_link(hub: Hub) -> None:
    hub.session("a")
    (hub.top / ".agenthub").rename(hub.top.parent / "elsewhere")
    (hub.top / ".agenthub").symlink_to(hub.top.parent / "elsewhere")
    before = snapshot(hub.top.parent / "elsewhere")
    result = hub.run("doctor", "--fix")
    assert (result.code, result.out.splitlines()[0]) == (1, "hub-damaged: .agenthub")
    assert snapshot(hub.top.parent / "elsewhere") == before


@pytest.mark.slow
def test_next_run_finishes_a_killed_run(hub: Hub) -> None:
    inconsistencies = (
        truncate_state,
        delete_worktree,
        interrupt_removal_during_deletion,
        interrupt_worktree_add,
        truncate_board_index,
        delete_gitignore_of_hub,
        interrupt_init,
        create_trash_of_git_dirs,
    )
    for number, create in enumerate(inconsistencies):
        hub.session(f"s{number}", agents=2)
        create(hub, f"s{number}")
    refs = hub.refs()
    template = Template(hub)
    arguments = ("doctor", "--fix")
    count = count_changes(hub, *arguments)
    assert count > 40
    for moment in kill_at_changes(hub, template, arguments, count, short=4):
        assert hub.run("doctor", "--fix").code == 0, moment
        assert hub.run("doctor").out.endswith(": no problems found\n"), moment
        assert hub.refs() == refs


def test_hostile_state_json(hub: Hub) -> None:
    """The output escapes the values of state.json, and no path in it is used."""
    hub.session("a", agents=2)
    outside = hub.top.parent / "outside"
    (outside / ".x.hub-trash").mkdir(parents=True)
    agents: dict[str, Any] = {
        "agent-1": {"status": "spawning", "worktree": "\0"},
        "agent-2": {"status": "ready", "worktree": "\ud800"},
        "agent-3": {
            "status": ["running"],
            "worktree": {},
            "exec": {"run": [1]},
            "rescue": {"a": 1},
        },
        "\x1b[2J\n agent": {"status": "running", "worktree": str(outside / "x"), "exec": 7},
        "agent-4": "ready",
        "agent-٣": {"status": "ready"},
    }
    edit_state(
        hub, "a", state=["\x1b[2J"], agents=agents, history=[{}, {"to": ["x"]}], base_commit=7
    )
    before = snapshot(outside)
    for arguments in ([], ["a"], ["--format=porcelain"], ["--fix"], ["--fix"]):
        result = hub.run("doctor", *arguments)
        assert (result.code, result.err) == (1, ""), result.out
        assert "\x1b" not in result.out
    assert snapshot(outside) == before
    assert (hub.state("a")["state"], hub.run("list").code) == ("running", 0)
    assert hub.state("a")["agents"]["\x1b[2J\n agent"]["status"] == "failed"


def test_worktree_with_a_moved_parent_is_kept(hub: Hub) -> None:
    hub.session("a", agents=2)
    hub.worktrees.rename(hub.top.parent / "elsewhere")
    git_dirs = snapshot(hub.top / ".git" / "worktrees")
    findings = hub.json("doctor", "--fix", code=1)["findings"]
    assert [(finding["code"], finding["fix"]) for finding in findings] == [
        ("worktree-missing", "")
    ] * 2
    assert snapshot(hub.top / ".git" / "worktrees") == git_dirs
    (hub.top.parent / "elsewhere").rename(hub.worktrees)
    assert list_findings(hub, code=0) == []


@pytest.mark.parametrize("victim", ["other", "agent-2"])
def test_git_dir_with_the_path_of_another_worktree_is_not_trusted(hub: Hub, victim: str) -> None:
    hub.session("a", agents=2)
    worktree = {"other": hub.top.parent / "other", "agent-2": hub.worktree(2, "a")}[victim]
    if victim == "other":
        hub.git("init", "-q", worktree)
    forged = hub.top / ".git" / "worktrees" / "evil"
    forged.mkdir()
    (forged / "gitdir").write_text(f"{worktree}/.git\n")
    (forged / "commondir").write_text("../..\n")
    (forged / "HEAD").write_text("ref: refs/heads/hub/a/agent-1/attempt-1\n")
    (forged / "locked").write_text("initializing")
    before = snapshot(worktree), snapshot(forged)
    [finding] = hub.json("doctor", "--fix", code=1)["findings"]
    assert (finding["code"], finding["fix"]) == ("worktree-half-added", "")
    assert (snapshot(worktree), snapshot(forged)) == before


def list_codes(hub: Hub, now: int = NOW) -> list[str]:
    """Return the codes of the findings at the time `now`."""
    result = hub.run("doctor", "--format=json", now=now)
    return [finding["code"] for finding in json.loads(result.out)["findings"]]


def test_process_of_an_agent_behind_a_symbolic_link(hub: Hub) -> None:
    """The run is not reported as interrupted while a process uses the worktree of the agent."""
    hub.session(agents=2)
    interrupt_exec(hub, "s1")
    hub.link_worktrees()
    assert list_codes(hub) == ["agent-cut-off"]
    with process_in(hub.worktree(2)):
        assert list_codes(hub) == []


def test_process_of_a_session_behind_a_symbolic_link(hub: Hub) -> None:
    """The session is not reported as idle while a process uses one of its worktrees."""
    hub.session(agents=1)
    hub.run("update", "s1", "--state", "running")
    hub.link_worktrees()
    later = int(hub.worktree(1).stat().st_mtime) + 2 * 24 * 3600
    assert list_codes(hub, later) == ["session-forgotten"]
    with process_in(hub.worktree(1)):
        assert list_codes(hub, later) == []


def test_process_of_a_session_of_another_repository(hub: Hub) -> None:
    """Only a command of the same session, not one of the same id, keeps the session busy."""
    hub.session(agents=1)
    hub.run("update", "s1", "--state", "running")
    later = int(hub.worktree(1).stat().st_mtime) + 2 * 24 * 3600
    for directory, codes in (
        (hub.directory(), []),
        (hub.top.parent / "elsewhere", ["session-forgotten"]),
    ):
        variables = {"HUB_SESSION_ID": "s1", "HUB_TASK_FILE": f"{directory}/task.txt"}
        with subprocess.Popen(["sleep", "600"], cwd="/", env=variables) as process:
            try:
                assert list_codes(hub, later) == codes
            finally:
                process.kill()


def test_lock_of_a_git_process_behind_a_symbolic_link(hub: Hub) -> None:
    """No lock is reported as stale while a git process uses the worktree."""
    hub.session(agents=1)
    lock_index_of_worktree(hub, "s1")
    hub.link_worktrees()
    assert list_codes(hub) == ["git-lock-left"]
    with process_in(hub.worktree(1), "git", "cat-file", "--batch"):
        assert "git-lock-left" not in list_codes(hub)
