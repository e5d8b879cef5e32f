"""Worktrees of agents with a detached HEAD or an empty HEAD file.

Every command reports the worktree, and the command in its hint repairs it.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.cleanup import repair_commands, shown_path
from tests.support.doctor import list_findings
from tests.support.hints import hints
from tests.support.hub import Hub, Result, process_in, snapshot

MEASURE = ("--eval", "cat file | wc -c | sed 's/^/n: /'", "--metric", "n", "--direction", "higher")
FIRST, SECOND = (f"hub/s1/agent-1/attempt-{number}" for number in (1, 2))


@pytest.fixture
def worktree(hub: Hub) -> Path:
    """Create a session of two agents with one commit each. Return the worktree of agent-1."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2").code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)
    for agent in (1, 2):
        hub.commit(worktree_path(hub, agent), "file", "x\n" * 10 * agent)
    return worktree_path(hub, 1)


def worktree_path(hub: Hub, agent: int) -> Path:
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


def detach(hub: Hub, worktree: Path, *commit: str) -> None:
    """Detach HEAD at its commit, or at the given commit."""
    hub.git("checkout", "-q", "--detach", *commit, cwd=worktree)


def git_dir(hub: Hub, worktree: Path) -> Path:
    return hub.top / ".git" / "worktrees" / worktree.name


def read_head(hub: Hub, worktree: Path) -> str:
    return hub.git("symbolic-ref", "HEAD", cwd=worktree)


def hint(result: Result) -> str:
    """Return the only hint of a refused command, without the alternative `cleanup --force`."""
    assert result.code == 1, result
    found = re.findall("hint: (.*)", result.out + result.err)
    [text] = [line for line in found if line != "git hub-session cleanup --force s1"]
    return str(text)


def repair_command(hub: Hub, result: Result) -> str:
    """Return the command in the hint, or the repair command of the doctor if the hint names it."""
    command = hint(result)
    if command == "git hub-session doctor s1":
        [command] = repair_commands(hub)
        command = command.removesuffix(" && git hub-session cleanup s1")
    return command


def follow_hint(hub: Hub, *arguments: str) -> None:
    """Run a command that fails, then the command in its hint, then the first command again."""
    command = repair_command(hub, hub.run(*arguments))
    assert hub.call("sh", "-c", command).code == 0, command
    result = hub.run(*arguments)
    assert result.code == 0, result


@pytest.mark.parametrize(
    "command",
    ["exec s1 -- true", "exec --only=1 s1 -- true", "restore s1", "cleanup s1", "doctor"],
)
def test_worktree_detached_at_the_tip_of_its_branch(hub: Hub, worktree: Path, command: str) -> None:
    """The repair keeps the staged file and the untracked file."""
    (worktree / "staged").write_text("staged\n")
    hub.git("add", "staged", cwd=worktree)
    (worktree / "new").write_text("new\n")
    tip = hub.git("rev-parse", FIRST)
    detach(hub, worktree)
    if command == "doctor":
        [finding] = hub.json("doctor", code=1)["findings"]
        assert finding["evidence"] == f"its HEAD is detached from '{FIRST}'"
        repair = finding["advice"]
    else:
        result = hub.run(*command.split())
        assert f"its HEAD is detached from '{FIRST}'" in result.out + result.err
        repair = repair_command(hub, result)
    assert repair == f"git -C {worktree} symbolic-ref HEAD refs/heads/{FIRST}"
    assert worktree.exists()
    assert hub.call("sh", "-c", repair) == Result(0)
    assert (read_head(hub, worktree), hub.git("rev-parse", FIRST)) == (f"refs/heads/{FIRST}", tip)
    assert hub.git("status", "--short", cwd=worktree) == "A  staged\n?? new"
    assert hub.run(*command.split()).code == 0


def test_commit_on_a_detached_head_becomes_a_new_attempt(hub: Hub, worktree: Path) -> None:
    """The command in the hint creates a branch for the commit. The new attempt can be merged."""
    detach(hub, worktree)
    tip = hub.commit(worktree, "file", "x\n" * 90)
    follow_hint(hub, "exec", "s1", "--", "true")
    assert (read_head(hub, worktree), hub.git("rev-parse", SECOND)) == (f"refs/heads/{SECOND}", tip)
    assert hub.run("doctor").code == 0
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    assert hub.run("merge", "-q", "--yes", "s1").code == 0
    assert hub.git("rev-parse", "main^2") == tip
    archived = "refs/hub/archive/s1/agent-1/attempt-1/1"  # no tag: main contains the commit
    assert hub.refs("refs/hub/archive")[archived] == hub.git("rev-parse", f"{tip}~")


def test_worktree_detached_at_an_older_commit(hub: Hub, worktree: Path) -> None:
    detach(hub, worktree, "HEAD~")
    assert hint(hub.run("restore", "s1", "--agent=1")) == f"git -C {worktree} checkout {FIRST}"
    follow_hint(hub, "restore", "s1", "--agent=1")
    assert read_head(hub, worktree) == f"refs/heads/{FIRST}"


def test_unfinished_merge_survives_the_repair(hub: Hub, worktree: Path) -> None:
    detach(hub, worktree)
    hub.commit(hub.top, "file", "of main\n")
    assert hub.call("git", "merge", "-q", "main", cwd=worktree).code == 1
    follow_hint(hub, "restore", "s1", "--agent=1")
    assert hub.git("status", "--short", cwd=worktree) == "UU file"
    second_detach = hub.call("git", "checkout", "-q", "--detach", cwd=worktree)
    assert second_detach.code == 1  # git refuses to detach HEAD during a conflict


@pytest.mark.parametrize(
    "command", ["restore s1 --agent=1", "exec s1 -- true", "cleanup s1", "cleanup --force s1"]
)
def test_empty_head_file(hub: Hub, worktree: Path, command: str) -> None:
    (worktree / "new").write_text("new\n")
    head = git_dir(hub, worktree) / "HEAD"
    head.write_text("")
    result = hub.run(*command.split())
    assert f"'{worktree}'" in result.out + result.err or "agent-1: kept ../" in result.out
    assert "its HEAD cannot be read" in result.out + result.err
    repair = repair_command(hub, result)
    assert repair == f"printf 'ref: %s\\n' refs/heads/{FIRST} >{head}"
    assert hub.call("sh", "-c", repair) == Result(0)
    if not command.startswith("cleanup --force"):
        assert hub.git("status", "--short", cwd=worktree) == "?? new"
    assert hub.run(*command.split()).code == 0


@pytest.mark.parametrize(
    "content",
    [
        "any text\n",
        f"ref: refs/heads/{SECOND}\n",
        "no ref: a relative path",
        "outside of refs",
        "refs/../refs/heads/main",
    ],
)
def test_head_that_is_a_link_to_another_file(hub: Hub, worktree: Path, content: str) -> None:
    """git accepts only a link to a ref. No command follows another one, and no work is lost."""
    (worktree / "new").write_text("new\n")
    other = hub.top.parent / "other"
    head = git_dir(hub, worktree) / "HEAD"
    if content.endswith("\n"):
        other.write_text(content)
        head.unlink()
        head.symlink_to(other)
    elif content.startswith("refs/"):
        head.unlink()
        head.symlink_to(content)
    else:
        head.write_text(f"ref: {content}\n")
    before = (hub.refs(), snapshot(worktree), other.exists() and other.read_text())
    for command in (
        *("status s1", "show s1 agent-1", "doctor", "doctor --fix", "exec --only 1 s1 -- true"),
        *("cleanup s1", "cleanup --force s1", "cleanup --discard s1"),
        *("restore s1 --agent=1", "archive -n s1"),
    ):
        result = hub.run(*command.split())
        assert re.search("its HEAD cannot be read|, no HEAD", result.out + result.err), command
        assert (hub.refs(), snapshot(worktree), other.exists() and other.read_text()) == before
    assert [code for code, *_ in list_findings(hub, code=1)] == ["worktree-damaged"]
    [repair] = repair_commands(hub)
    assert hub.call("sh", "-c", repair) == Result(0)
    assert (hub.refs(), read_head(hub, worktree)) == (before[0], f"refs/heads/{FIRST}")
    assert (head.is_symlink(), other.exists() and other.read_text()) == (False, before[2])
    assert hub.git("status", "--short", cwd=worktree) == "?? new"
    assert hub.run("cleanup", "-q", "s1").code == 0


def test_error_names_the_branch_of_the_user(hub: Hub, worktree: Path) -> None:
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    hub.git("worktree", "add", "-q", "-b", "theirs", worktree)
    hub.git("checkout", "-q", "-b", "mine", cwd=worktree)
    assert (
        hub.run("restore", "s1", "--agent=1")
        .err.splitlines()[0]
        .endswith(f"'{worktree}' exists already, with 'mine' checked out")
    )
    assert hub.run("doctor").code == 0  # the worktree is the user's


def test_detached_worktree_of_an_earlier_attempt(hub: Hub, worktree: Path) -> None:
    """`exec` runs only in the worktree of the last attempt. `cleanup` reports the detached one."""
    assert hub.run("spawn", "-q", "--retry", "1", "s1") == Result(0)
    detach(hub, worktree)
    tip = hub.commit(worktree, "more", "on no branch\n")
    assert [finding[:2] for finding in list_findings(hub, code=1)] == [
        ("worktree-off-branch", str(worktree))
    ]
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0)
    follow_hint(hub, "cleanup", "s1")
    assert hub.git("rev-parse", "hub/s1/agent-1/attempt-3") == tip


def test_forced_cleanup_saves_the_commits_of_a_detached_head(hub: Hub, worktree: Path) -> None:
    detach(hub, worktree)
    tip = hub.commit(worktree, "more", "on no branch\n")
    (worktree / "new").write_text("new\n")
    lines = hub.run("cleanup", "s1").out.splitlines()
    assert lines[:2] == [
        f"agent-1: kept {shown_path(worktree)}",
        f"  its HEAD is detached from '{FIRST}'",
    ]
    force = "git hub-session cleanup --force s1"
    assert lines[2:4] == ["  hint: git hub-session doctor s1", f"  hint: {force}"]
    [command] = repair_commands(hub)
    assert command.startswith(f"git -C {worktree} branch {SECOND} && ")
    assert hub.run("cleanup", "-q", "--force", "s1") == Result(0)
    assert not worktree.exists()
    saved = hub.refs("refs/hub/rescue/s1/agent-1/attempt-1")
    assert tip in saved.values()
    assert "new" in [hub.call("git", "show", f"{ref}^3:new").out.strip() for ref in saved]
    assert hub.git("rev-parse", FIRST) == hub.git("rev-parse", f"{tip}~")


def test_missing_detached_worktree_is_kept_without_force(hub: Hub, worktree: Path) -> None:
    detach(hub, worktree)
    tip = hub.commit(worktree, "more", "on no branch\n")
    shutil.rmtree(worktree)
    command = repair_command(hub, hub.run("cleanup", "s1"))
    [finding] = hub.json("doctor", code=1)["findings"]
    assert (finding["code"], finding["advice"]) == ("worktree-missing", command)
    assert hub.call("sh", "-c", command).code == 0
    assert (worktree / "more").read_text() == "on no branch\n"
    shutil.rmtree(worktree)
    assert hub.run("cleanup", "-q", "--force", "s1") == Result(0)
    assert tip in hub.refs("refs/hub/rescue/s1").values()


def test_detached_worktree_in_use_is_not_reported(hub: Hub, worktree: Path) -> None:
    detach(hub, worktree)
    with process_in(worktree):
        assert hub.run("doctor").code == 0
    assert hub.run("doctor").code == 1


def test_path_and_status_show_a_detached_worktree(hub: Hub, worktree: Path) -> None:
    detach(hub, worktree)
    assert hub.run("path", "s1", "1") == Result(0, f"{worktree}\n")
    relative_path = os.path.relpath(worktree, hub.top)
    assert f"{relative_path} (detached)" in hub.run("status", "s1").out
    worktrees = hub.json("status", "s1")["worktrees"]
    assert [row["detached"] for row in worktrees] == [True, False]
    assert hub.run("spawn", "s1").code == 0  # no worktree is missing


def test_another_worktree_on_the_branch_of_the_agent(hub: Hub, worktree: Path) -> None:
    """The worktree on the branch belongs to the agent. The detached worktree gets a new branch."""
    detach(hub, worktree)
    other = hub.top.parent / "other"
    hub.git("worktree", "add", "-q", other, FIRST)
    assert hub.run("path", "s1", "1") == Result(0, f"{other}\n")
    assert hub.run("exec", "-q", "s1", "--", "sh", "-c", "pwd >here") == Result(0)
    assert (other / "here").exists()
    assert not (worktree / "here").exists()
    # The branch is checked out in the other worktree, so the doctor proposes a new branch.
    [finding] = hub.json("doctor", code=1)["findings"]
    assert finding["advice"].startswith(f"git -C {worktree} branch {SECOND} && ")
    (git_dir(hub, worktree) / "HEAD").write_text("")
    tip = hub.git("rev-parse", FIRST)
    [finding] = hub.json("doctor", code=1)["findings"]
    assert finding["advice"] == f"printf '%s\\n' {tip} >{git_dir(hub, worktree)}/HEAD"
    assert hub.call("sh", "-c", finding["advice"]) == Result(0)
    follow_hint(hub, "cleanup", "s1")
    assert not other.exists()
    assert not worktree.exists()


def test_detached_worktrees_of_the_user_are_not_reported(hub: Hub, worktree: Path) -> None:
    """The first was created for the user's branch, the second for a session that does not exist."""
    user_worktree = hub.top.parent / "mine"
    hub.git("worktree", "add", "-q", "-b", "mine", user_worktree)
    detach(hub, user_worktree, FIRST)
    detach(hub, user_worktree)
    other_worktree = hub.top.parent / "gone"
    hub.git("worktree", "add", "-q", "-b", "hub/gone/agent-1/attempt-1", other_worktree)
    detach(hub, other_worktree)
    hub.git("branch", "-q", "-D", "hub/gone/agent-1/attempt-1")
    assert hub.run("doctor") == Result(0, "1 session, 2 worktrees: no problems found\n")
    assert hub.run("cleanup", "-q", "s1").code == 0
    assert user_worktree.exists()
    assert other_worktree.exists()
    assert not worktree.exists()


def test_new_attempt_gets_an_unused_number(hub: Hub, worktree: Path) -> None:
    """Attempt 2 has a branch, attempt 3 a damaged ref, and attempt 4 an archive tag."""
    hub.git("branch", SECOND, "main")
    (hub.top / ".git" / "refs" / "heads" / f"{FIRST[:-1]}3").write_text("")
    hub.git("tag", "hub/archive/s1/agent-1-attempt-4", "main")
    detach(hub, worktree)
    hub.commit(worktree, "more", "on no branch\n")
    # A restore would turn the tag into a branch.
    commands = [text for text in repair_commands(hub) if f" branch {FIRST[:-1]}" in text]
    assert [f" branch {FIRST[:-1]}5 && " in text for text in commands] == [True]


def test_detached_worktree_without_a_reflog_belongs_to_no_agent(hub: Hub, worktree: Path) -> None:
    """A worktree without a reflog may be the user's, so it is neither reported nor removed."""
    hub.git("config", "core.logAllRefUpdates", "false")
    shutil.rmtree(git_dir(hub, worktree) / "logs")
    detach(hub, worktree)
    before = snapshot(worktree)
    assert hub.run("doctor").code == 0
    assert hint(hub.run("restore", "s1", "--agent=1")) == "choose another --path"
    assert hub.run("cleanup", "-q", "--force", "s1") == Result(0)
    assert snapshot(worktree) == before


def create_review_worktree(hub: Hub, worktree: Path) -> Path:
    """Replace the agent's worktree with a detached worktree in which the user reviews a branch."""
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    (hub.top / ".git" / "info" / "exclude").write_text("*.log\n")
    hub.git("tag", "v1", "main")
    user_worktree = worktree.parent.parent / "review"
    hub.git("worktree", "add", "-q", user_worktree, FIRST)
    detach(hub, user_worktree, "v1")
    (user_worktree / "build.log").write_text("ignored\n")
    return user_worktree


def test_review_worktree_of_the_user_is_unchanged(hub: Hub, worktree: Path) -> None:
    user_worktree = create_review_worktree(hub, worktree)
    hub.commit(user_worktree, "mine", "a person's\n")
    before = snapshot(user_worktree)
    assert hub.run("doctor").code == 0
    assert hub.run("path", "s1", "1").code == 1
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert hub.run("exec", "-q", "s1", "--", "touch", "here") == Result(0)
    assert hub.run("cleanup", "-q", "--force", "s1") == Result(0)
    assert hub.run("archive", "-q", "s1") == Result(0)
    assert snapshot(user_worktree) == before


@pytest.mark.parametrize("command", ["spawn s1", "restore s1 --agent=1"])
def test_worktree_of_the_user_at_the_path_of_an_agent(
    hub: Hub, worktree: Path, command: str
) -> None:
    if command.startswith("spawn"):
        worktree = worktree_path(hub, 3)
        file = hub.directory() / "config.yaml"
        file.write_text(file.read_text().replace("agent_count: 2", "agent_count: 3"))
    else:
        assert hub.run("cleanup", "-q", "s1") == Result(0)
    hub.git("worktree", "add", "-q", "--detach", worktree)
    before = snapshot(worktree)
    result = hub.run(*command.split())
    assert f"'{worktree}' exists already, with a detached HEAD" in result.out + result.err
    assert hint(result) == "choose another --path"
    assert hub.run("cleanup", "--force", "s1").code == 0
    assert snapshot(worktree) == before


def test_session_branch_that_belongs_to_no_agent(hub: Hub, worktree: Path) -> None:
    """A worktree that was detached from hub/s1/mine is neither reported nor removed."""
    user_worktree = hub.top.parent / "mine"
    hub.git("worktree", "add", "-q", "-b", "hub/s1/mine", user_worktree)
    detach(hub, user_worktree)
    before = snapshot(hub.top / ".git" / "worktrees" / "mine")
    assert hub.run("doctor") == Result(0, "1 session, 2 worktrees: no problems found\n")
    assert "mine" not in hub.run("cleanup", "--force", "s1").out
    assert snapshot(hub.top / ".git" / "worktrees" / "mine") == before


@pytest.mark.parametrize("command", ["archive s1", "cleanup --archive s1", "merge --yes s1"])
def test_branch_of_a_detached_worktree_is_not_archived(
    hub: Hub, worktree: Path, command: str
) -> None:
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    detach(hub, worktree)
    preview = hub.run(*command.split(), "-n")
    expected = ["git hub-session doctor s1", "git hub-session cleanup --force s1"]
    # `merge -n` previews the merge, and not the cleanup after it.
    assert hints(preview) == ([] if command.startswith("merge") else expected)
    result = hub.run(*command.split())
    assert hints(result) == expected
    [repair] = repair_commands(hub)
    repair = repair.removesuffix(" && git hub-session cleanup s1")
    assert hub.call("sh", "-c", repair) == Result(0)
    assert hub.git("rev-parse", FIRST) == hub.git("rev-parse", "HEAD", cwd=worktree)
    assert hub.run("cleanup", "-q", "--archive", "s1") == Result(0)
    assert f"refs/heads/{FIRST}" not in hub.refs("refs/heads/hub")
    assert hub.git("rev-parse", "hub/archive/s1/agent-1")


def test_rebase_is_aborted_before_the_repair(hub: Hub, worktree: Path) -> None:
    """If HEAD were reattached first, `git rebase --abort` would move the agent's branch."""
    tip = hub.git("rev-parse", FIRST)
    detach(hub, worktree, "main")
    hub.commit(worktree, "file", "other\n")
    assert hub.call("git", "rebase", "-q", FIRST, cwd=worktree).code == 1
    assert hint(hub.run("restore", "s1", "--agent=1")) == f"git -C {worktree} rebase --abort"
    assert hub.git("-C", worktree, "rebase", "--abort") == ""
    follow_hint(hub, "restore", "s1", "--agent=1")
    assert hub.git("rev-parse", FIRST) == tip
    assert read_head(hub, worktree) == f"refs/heads/{SECOND}"


def test_bisect_that_started_on_a_detached_head(hub: Hub, worktree: Path) -> None:
    for name in ("a", "b", "c"):
        hub.commit(worktree, name, f"{name}\n")
    detach(hub, worktree)
    hub.git("bisect", "start", "HEAD", "HEAD~3", cwd=worktree)
    [finding] = hub.json("doctor", code=1)["findings"]
    assert finding["advice"] == f"git -C {worktree} bisect reset"
    assert hint(hub.run("exec", "s1", "--", "true")) == f"git -C {worktree} bisect reset"
    assert hub.call("sh", "-c", finding["advice"]).code == 0
    follow_hint(hub, "exec", "s1", "--", "true")


def test_empty_head_file_in_a_worktree_of_the_user(hub: Hub, worktree: Path) -> None:
    user_worktree = create_review_worktree(hub, worktree)
    hub.git("checkout", "-q", "-b", "mine", cwd=user_worktree)
    hub.commit(user_worktree, "mine", "a person's\n")
    (git_dir(hub, user_worktree) / "HEAD").write_text("")
    assert hub.run("doctor").code == 0
    assert hub.run("cleanup", "-q", "--force", "s1") == Result(0)


def test_only_the_end_of_a_long_reflog_is_read(hub: Hub, worktree: Path) -> None:
    log = git_dir(hub, worktree) / "logs" / "HEAD"
    line = log.read_text().splitlines()[-1]
    with log.open("a") as file:
        for _ in range((17 << 20) // len(line)):
            file.write(f"{line}\n")
    detach(hub, worktree)
    assert hint(hub.run("restore", "s1", "--agent=1")).endswith(
        f"symbolic-ref HEAD refs/heads/{FIRST}"
    )


def test_status_in_the_middle_of_git_am(hub: Hub, worktree: Path) -> None:
    patch = hub.git("format-patch", "--stdout", "-1", "hub/s1/agent-2/attempt-1")
    assert hub.call("git", "am", "-q", cwd=worktree, stdin=patch).code == 128
    status = hub.run("status", "s1")
    assert status.code == 0
    assert "agent-1 (applying patches)" in status.out


def test_worktree_path_that_two_sessions_share(hub: Hub, worktree: Path) -> None:
    """The worktree belongs to the session that created it. Its reflog also names another session."""
    hub.git("config", "hubsession.worktreePath", "../shared-{n}")
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert hub.run("init", "-q", "--id", "s2", "--task", "t", "--agents", "1").code == 0
    assert hub.run("spawn", "-q", "s2") == Result(0)
    shared = hub.top.parent / "shared-1"
    hub.git("checkout", "-q", FIRST, cwd=shared)
    detach(hub, shared)
    assert hub.run("cleanup", "--force", "s1") == Result(
        0, "Cleaned up 0 worktrees for session s1\n"
    )
    warning = "warning: agent-1: its HEAD is detached from 'hub/s2/agent-1/attempt-1'\n"
    assert hub.run("path", "s2", "1") == Result(
        0, f"{shared}\n", f"{warning}hint: git hub-session adopt s2 agent-1\n"
    )
    findings = hub.json("doctor", code=1)["findings"]
    assert [(finding["session"], finding["code"]) for finding in findings] == [
        ("s1", "config-changed"),
        ("s2", "worktree-off-branch"),
    ]


def test_worktree_of_the_user_that_once_had_the_branch_of_the_agent(
    hub: Hub, worktree: Path
) -> None:
    """A worktree that was created for the user's branch belongs to no agent."""
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    hub.git("worktree", "add", "-q", "-b", "mine", worktree)
    hub.git("checkout", "-q", FIRST, cwd=worktree)
    detach(hub, worktree, "main")
    before = snapshot(worktree)
    assert hub.run("doctor").code == 0
    assert hub.run("cleanup", "--force", "s1") == Result(
        0, "Cleaned up 0 worktrees for session s1\n"
    )
    assert snapshot(worktree) == before
