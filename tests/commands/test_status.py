"""`status`: its formats, and its values compared with those of git."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.support.hints import type_hint, types
from tests.support.hub import NOW, Hub, Result, process_in, snapshot
from tests.support.stores import create_session

HEAD = """\
Session: s1
  State: init
  Task: Make it fast
  Agents: {agents}
  Base branch: main
  Created: 2026-03-17T14:30:22.000000+00:00 (0 seconds ago)
  Updated: 2026-03-17T14:30:22.000000+00:00 (0 seconds ago)
"""


def create_worktrees_of_every_kind(hub: Hub) -> None:
    """Create ten agents. Each worktree is in another condition."""
    hub.session(agents=10)
    path = hub.worktree
    hub.commit(path(1), "file", "first\nmore\n", "Add a line")
    (path(2) / "new").write_text("new\n")
    (path(2) / "file").write_text("changed\n")
    (path(2) / "sub" / "other").write_text("staged\n")
    hub.git("add", "sub", cwd=path(2))
    hub.git("worktree", "lock", "--reason", "on a stick", path(3))
    shutil.rmtree(path(4))
    hub.commit(hub.top, "file", "main\n", "main moves")
    hub.commit(path(5), "file", "five\n", "Rewrite")
    assert hub.call("git", "rebase", "main", cwd=path(5)).code == 1
    hub.commit(path(6), "file", "six\n", "Rewrite too")
    assert hub.call("git", "merge", "main", cwd=path(6)).code == 1
    hub.commit(path(7), "a", "1\n", "One")
    hub.commit(path(7), "a", "2\n", "Two")
    hub.commit(path(7), "b", "3\n", "Three")
    hub.git("bisect", "start", "HEAD", "HEAD~3", cwd=path(7))
    (path(9) / ".git").write_text("gitdir: /nowhere\n")
    hub.git("checkout", "-q", "--detach", cwd=path(10))


def test_each_kind_of_worktree(hub: Hub) -> None:
    create_worktrees_of_every_kind(hub)
    with process_in(hub.worktree(8)) as pid:
        result = hub.run("status", "s1")
    rows = (
        "    BRANCH                     AHEAD  BEHIND  FILES  +/-    WORKTREE                                                              LAST COMMIT",
        "  * hub/s1/agent-1/attempt-1       1       1      1  +1/-0  ../worktrees/s1/agent-1                                               30 minutes ago: Add a line",
        "    hub/s1/agent-2/attempt-1       0       1      0  +0/-0  ../worktrees/s1/agent-2 (3 files uncommitted, not measured)           30 minutes ago: base",
        "    hub/s1/agent-3/attempt-1       0       1      0  +0/-0  ../worktrees/s1/agent-3 (locked: on a stick)                          30 minutes ago: base",
        "    hub/s1/agent-4/attempt-1       0       1      0  +0/-0  ../worktrees/s1/agent-4 (missing)                                     30 minutes ago: base",
        "  * hub/s1/agent-5/attempt-1       1       1      1  +1/-1  ../worktrees/s1/agent-5 (1 file uncommitted, not measured, rebasing)  30 minutes ago: Rewrite",
        "  * hub/s1/agent-6/attempt-1       1       1      1  +1/-1  ../worktrees/s1/agent-6 (1 file uncommitted, not measured, merging)   30 minutes ago: Rewrite too",
        "  * hub/s1/agent-7/attempt-1       3       1      2  +2/-0  ../worktrees/s1/agent-7 (bisecting)                                   30 minutes ago: Three",
        "    hub/s1/agent-8/attempt-1       0       1      0  +0/-0  ../worktrees/s1/agent-8 (in use by process PID)                       30 minutes ago: base",
        "    hub/s1/agent-9/attempt-1       0       1      0  +0/-0  ../worktrees/s1/agent-9 (its .git file names another git dir)         30 minutes ago: base",
        "    hub/s1/agent-10/attempt-1      0       1      0  +0/-0  -                                                                     30 minutes ago: base",
    )
    head, _, rest = result.out.partition("\n  Agents:\n")
    agents, _, branches = rest.partition("\n\n")
    assert (head, agents.count("\n")) == (HEAD.format(agents=10), 10)
    expected = "  Branches:\n" + "".join(f"{row}\n" for row in rows)
    out = branches.replace(f"process {pid})", "process PID)" + " " * (len(str(pid)) - 3))
    assert Result(result.code, out, result.err) == Result(0, expected)


def test_status_changes_nothing(hub: Hub) -> None:
    """No file, ref or index is written, although git would refresh one index."""
    create_worktrees_of_every_kind(hub)
    before = snapshot(hub.top.parent)
    refs = hub.refs()
    os.utime(hub.worktree(1) / "file")  # git would refresh the index
    assert hub.run("status", "s1").code == 0
    assert (snapshot(hub.top.parent), hub.refs()) == (before, refs)


def branch_fields(name: str, **fields: Any) -> dict[str, Any]:
    """Return the JSON fields of a branch at main, such as "agent-1/attempt-1"."""
    agent, attempt = name.removeprefix("agent-").split("/attempt-")
    default = {
        "branch": f"hub/s1/{name}",
        "agent": int(agent),
        "attempt": int(attempt),
        "ahead": 0,
        "behind": 0,
        "files": 0,
        "insertions": 0,
        "deletions": 0,
        "time": 1773756000,
        "subject": "base",
        "frontier": False,
        "guarded": [],
    }
    return {**default, **fields}


def worktree_fields(path: Path, ref: str, **fields: Any) -> dict[str, Any]:
    """Return the JSON fields of a clean worktree."""
    default = {
        "worktree": str(path),
        "branch": f"hub/s1/{ref}",
        "changed": 0,
        "untracked": 0,
        "locked": None,
        "missing": False,
        "detached": False,
        "fault": None,
        "operation": None,
        "processes": [],
        "off_branch": None,
        "hint": None,
    }
    return {**default, **fields}


def test_json_format(hub: Hub) -> None:
    hub.session(agents=2)
    hub.spawn("s1", 2, attempt=2)
    tip = hub.commit(hub.worktree(2), "new", "1\n2\n3\n", "Say <hello>")
    base = hub.git("rev-parse", "main")
    (hub.worktree(1) / "x").write_text("x")
    hub.git("worktree", "lock", hub.worktree(1))
    second = hub.worktrees / "s1" / "agent-2-2"
    with process_in(second / "sub") as pid:
        document = hub.json("status", "s1")
    assert document == {
        "config": {
            "session_id": "s1",
            "task": "Make it fast",
            "agent_count": "2",
            "base_branch": "main",
            "created": "2026-03-17T14:30:22.000000+00:00",
        },
        "state": hub.state(),
        "branches": [
            branch_fields("agent-1/attempt-1", oid=base),
            branch_fields(
                "agent-2/attempt-1",
                oid=tip,
                ahead=1,
                files=1,
                insertions=3,
                subject="Say <hello>",
                frontier=True,
            ),
            branch_fields("agent-2/attempt-2", oid=base),
        ],
        "worktrees": [
            worktree_fields(hub.worktree(1), "agent-1/attempt-1", untracked=1, locked=""),
            worktree_fields(hub.worktree(2), "agent-2/attempt-1"),
            worktree_fields(second, "agent-2/attempt-2", processes=[pid]),
        ],
        "posts": [],
        "conflict": False,
        "unpushed": [],
        "merges": [],
        "claims": [],
        "jobs": [],
        "jobs_error": None,
        "agents": [
            agent_fields(1, uncommitted=1, own_commit=False),
            agent_fields(2, attempt=2, own_commit=False),
        ],
    }


def agent_fields(number: int, **fields: Any) -> dict[str, Any]:
    """Return the JSON fields of an agent for which no command has run."""
    unknown = ("failure", "running_for", "log", "rank", "metric", "value", "unit", "baseline")
    default: dict[str, Any] = {
        "agent": number,
        "attempt": 1,
        "status": "ready",
        **dict.fromkeys((*unknown, "delta", "passed", "reason", "off_branch", "ranked_attempt")),
        **dict.fromkeys(("machine", "ratio")),
        "uncommitted_attempts": [],
        "tie": False,
        "outdated": False,
        "own_commit": True,
        "uncommitted": 0,
        "conflicts": False,
        "command": None,
    }
    return {**default, **fields}


def test_porcelain_format(hub: Hub) -> None:
    hub.session(agents=1, task="Say “hi”")
    base = hub.git("rev-parse", "main")
    hub.git("worktree", "lock", "--reason", "two\nlines", hub.worktree(1))
    lines = [
        "session s1",
        "state init",
        'task "Say \\342\\200\\234hi\\342\\200\\235"',
        "agent_count 1",
        "base_branch main",
        "created 2026-03-17T14:30:22.000000+00:00",
        "updated 2026-03-17T14:30:22.000000+00:00",
        "",
        "branch hub/s1/agent-1/attempt-1",
        "agent 1",
        "attempt 1",
        f"oid {base}",
        "ahead 0",
        "behind 0",
        "files 0",
        "insertions 0",
        "deletions 0",
        "time 1773756000",
        "subject base",
        "frontier",
        "",
        f"worktree {hub.worktree(1)}",
        "branch hub/s1/agent-1/attempt-1",
        "changed 0",
        "untracked 0",
        'locked "two\\nlines"',
        "",
        "agent 1",
        "attempt 1",
        "status ready",
        "uncommitted 0",
        "",
    ]
    assert hub.run("status", "s1", "--format=porcelain") == Result(
        0, "".join(f"{line}\n" for line in lines)
    )
    lines[2] = "task Say “hi”"
    lines[25] = "locked two\nlines"
    assert hub.run("status", "s1", "-z") == Result(0, "".join(f"{line}\0" for line in lines))


def test_session_without_branches(hub: Hub) -> None:
    hub.session()
    assert hub.run("status", "s1") == Result(0, HEAD.format(agents=1))
    document = hub.json("status", "s1")
    assert (document["branches"], document["worktrees"]) == ([], [])


def test_session_with_an_eval_command(hub: Hub) -> None:
    """The labels are those of AgentHub."""
    eval_options = (
        "--eval",
        "make bench",
        "--metric",
        "ms",
        "--direction",
        "lower",
        "--baseline",
        "18",
    )
    hub.run("init", "--id", "s1", "--task", "First line\nsecond line", *eval_options)
    assert hub.run("status", "s1").out == (
        "Session: s1\n"
        "  State: init\n"
        "  Task: First line\n"
        "        second line\n"
        "  Agents: 3\n"
        "  Base branch: main\n"
        "  Eval: make bench\n"
        "  Metric: ms (lower)\n"
        "  Baseline: 18\n"
        "  Created: 2026-03-17T14:30:22.000000+00:00 (0 seconds ago)\n"
        "  Updated: 2026-03-17T14:30:22.000000+00:00 (0 seconds ago)\n"
    )


def test_missing_base_branch(hub: Hub) -> None:
    """The values that need the base branch are unknown. The other values are shown."""
    hub.git("branch", "dev")
    hub.run("init", "-q", "--id", "s1", "--task", "x", "--base-branch", "dev")
    hub.spawn("s1", 1)
    hub.git("branch", "-q", "-D", "dev")
    assert hub.run("status", "s1").out.splitlines()[-1] == (
        "  * hub/s1/agent-1/attempt-1      ?       ?      ?  ?    ../worktrees/s1/agent-1  30 minutes ago: base"
    )
    branch = hub.json("status", "s1")["branches"][0]
    assert [branch[key] for key in ("ahead", "behind", "files")] == [None, None, None]


def test_branches_of_no_agent(hub: Hub) -> None:
    """Another branch of the session, a symbolic ref and a broken ref are listed too."""
    hub.session(agents=1)
    tip = hub.commit(hub.worktree(1), "file", "better\n", "Better")
    hub.git("branch", "hub/s1/scratch", "main")
    hub.git("branch", "hub/s10/agent-1/attempt-1", "main")
    hub.git("branch", "feature/hub/s1/agent-1/attempt-1", "main")
    hub.git("symbolic-ref", "refs/heads/hub/s1/best", "refs/heads/hub/s1/agent-1/attempt-1")
    (hub.top / ".git" / "refs" / "heads" / "hub" / "s1" / "zero").write_text("1" * 40 + "\n")
    result = hub.run("status", "s1")
    assert Result(result.code, result.out.partition("Branches:\n")[2], result.err) == Result(
        0,
        "    BRANCH                    AHEAD  BEHIND  FILES  +/-    WORKTREE                 LAST COMMIT\n"
        "  * hub/s1/agent-1/attempt-1      1       0      1  +1/-1  ../worktrees/s1/agent-1  30 minutes ago: Better\n"
        "  * hub/s1/best                   1       0      1  +1/-1  -                        30 minutes ago: Better\n"
        "    hub/s1/scratch                0       0      0  +0/-0  -                        30 minutes ago: base\n"
        "    hub/s1/zero                   ?       ?      ?  ?      -                        broken ref\n",
    )
    branches = {branch["branch"]: branch for branch in hub.json("status", "s1")["branches"]}
    assert branches["hub/s1/best"]["oid"] == tip
    assert branches["hub/s1/zero"]["oid"] is None
    assert branches["hub/s1/scratch"]["agent"] is None


def test_worktree_of_a_deleted_branch(hub: Hub) -> None:
    hub.session(agents=1)
    hub.git("update-ref", "-d", "refs/heads/hub/s1/agent-1/attempt-1")
    assert hub.run("status", "s1").out.splitlines()[-1] == (
        "    hub/s1/agent-1/attempt-1      ?       ?      ?  ?    ../worktrees/s1/agent-1 (2 files uncommitted, not measured, its branch does not exist)  no commit"
    )


def test_process_in_a_worktree_behind_a_symbolic_link(hub: Hub) -> None:
    """/proc has only real paths.

    `status` lists the process for which `cleanup` keeps the worktree.
    """
    hub.session(agents=2)
    hub.link_worktrees()
    with process_in(hub.worktree(1) / "sub") as pid:
        document = hub.json("status", "s1")
        report = hub.json("cleanup", "-n", "s1", code=1)
    assert [fields["processes"] for fields in document["worktrees"]] == [[pid], []]
    assert [kept["code"] for kept in report["sessions"][0]["kept"]] == ["in-use"]


def test_many_worktrees_are_read_in_parallel(hub: Hub) -> None:
    """Each row belongs to its worktree, and the order is unchanged."""
    agents = range(1, 14)
    hub.session(agents=len(agents))
    for agent in agents:
        for number in range(agent % 4):
            (hub.worktree(agent) / f"new-{number}").touch()
        if agent % 3 == 0:
            (hub.worktree(agent) / "file").write_text("changed\n")
    assert hub.json("status", "s1")["worktrees"] == [
        worktree_fields(
            hub.worktree(agent),
            f"agent-{agent}/attempt-1",
            changed=int(agent % 3 == 0),
            untracked=agent % 4,
        )
        for agent in agents
    ]


def test_paths_are_relative_to_the_current_directory(hub: Hub) -> None:
    hub.session(agents=2)
    lines = hub.run("status", "s1", cwd=hub.worktree(1) / "sub").out.splitlines()
    # git runs the command in this worktree. It is not listed as a process that uses it.
    assert lines[-2].split("  +0/-0  ")[1].startswith("..  ")
    assert "  ../../agent-2  " in lines[-1]


def test_control_characters_are_escaped(hub: Hub) -> None:
    """The subject of a commit, a lock reason and a path can contain anything."""
    hub.session()
    path = hub.worktrees / "evil\x1b[2J\nline"
    hub.git("worktree", "add", "-q", "-b", "hub/s1/agent-1/attempt-1", path)
    hub.git("commit", "-q", "--allow-empty", "-m", "wipe \x1b[2J \u202eback", cwd=path)
    (hub.top / ".git" / "worktrees").joinpath(*os.listdir(hub.top / ".git" / "worktrees")).joinpath(
        "locked"
    ).write_bytes(b"bell \x07 \xff")
    out = hub.run("status", "s1").out
    assert out.splitlines()[-1].endswith(
        "../worktrees/evil\\x1b[2J\\nline (locked: bell \\x07 \\xff)  "
        "30 minutes ago: wipe \\x1b[2J \\u202eback"
    )


@pytest.mark.parametrize("seed", range(3))
def test_changed_lines_are_counted_as_git_does(hub: Hub, seed: int) -> None:
    """Count since the merge base. Later commits of the base branch have no effect."""
    generator = random.Random(seed)
    lines = [f"line {number}" for number in range(100)]
    hub.commit(hub.top, "long", "\n".join(lines) + "\n")
    hub.session(agents=1)
    for number in range(5):
        for _ in range(generator.randrange(1, 20)):
            lines[generator.randrange(100)] = f"changed {number}"
        hub.commit(hub.worktree(1), "long", "\n".join(lines))
        hub.commit(
            hub.worktree(1), f"new-{number % 3}", "x\n" * generator.randrange(9) + f"{number}"
        )
    hub.git("rm", "-q", "sub/other", cwd=hub.worktree(1))
    (hub.worktree(1) / "picture").write_bytes(bytes(range(256)))
    hub.git("add", "picture", cwd=hub.worktree(1))
    hub.git("commit", "-q", "-m", "remove and add", cwd=hub.worktree(1))
    hub.commit(hub.top, "other", "the base moves\n")
    stat = hub.git("diff", "--numstat", "--no-renames", "main...hub/s1/agent-1/attempt-1")
    numbers = [line.split("\t")[:2] for line in stat.splitlines()]
    [branch] = hub.json("status", "s1")["branches"]
    assert (branch["files"], branch["insertions"], branch["deletions"]) == (
        len(numbers),
        sum(int(added) for added, _ in numbers if added != "-"),
        sum(int(deleted) for _, deleted in numbers if deleted != "-"),
    )


def branch_counts(hub: Hub) -> list[tuple[int, ...]]:
    """Return ahead, behind, files, insertions and deletions of each branch of s1."""
    keys = ("ahead", "behind", "files", "insertions", "deletions")
    return [tuple(branch[key] for key in keys) for branch in hub.json("status", "s1")["branches"]]


def test_branches_are_compared_with_the_current_base_branch(hub: Hub) -> None:
    """`status` does not compare with the base commit that `spawn` recorded."""
    hub.run("init", "-q", "--id", "s1", "--task", "x", "--agents", "2")
    assert hub.run("spawn", "-q", "s1").code == 0
    worktrees = [hub.top.parent / "project.hub" / "s1" / f"agent-{number}" for number in (1, 2)]
    for number, worktree in enumerate(worktrees, start=1):
        hub.commit(worktree, f"new-{number}", "1\n2\n")
    hub.commit(hub.top, "other", "the base\nmoves\non\n")
    hub.commit(hub.top, "another", "and on\n")
    assert branch_counts(hub) == [(1, 2, 1, 2, 0), (1, 2, 1, 2, 0)]
    hub.git("rebase", "-q", "main", cwd=worktrees[1])
    assert branch_counts(hub) == [(1, 2, 1, 2, 0), (1, 0, 1, 2, 0)]
    for number, (ahead, behind, *_) in enumerate(branch_counts(hub), start=1):
        range_ = f"main...hub/s1/agent-{number}/attempt-1"
        counts = hub.git("rev-list", "--left-right", "--count", range_)
        assert counts == f"{behind}\t{ahead}"
    # Without the branch, only the recorded commit is left to compare with.
    hub.git("checkout", "-q", "--detach")
    hub.git("branch", "-q", "-D", "main")
    assert branch_counts(hub) == [(1, 0, 1, 2, 0), (3, 0, 3, 6, 0)]


def test_branch_without_a_merge_base(hub: Hub) -> None:
    hub.session()
    tree = hub.git("rev-parse", "main^{tree}")
    unrelated = hub.git("commit-tree", "-m", "alone", tree)
    hub.git("update-ref", "refs/heads/hub/s1/agent-1/attempt-1", unrelated)
    [branch] = hub.json("status", "s1")["branches"]
    keys = ("ahead", "behind", "files", "insertions", "deletions")
    assert [branch[key] for key in keys] == [1, 1, 2, 2, 0]


def test_abbreviated_id(hub: Hub) -> None:
    for sid in ("fast", "fast-2", "slow"):
        hub.session(sid)
    assert hub.run("status", "sl").out.startswith("Session: slow\n")
    assert hub.run("status", "fast").out.startswith("Session: fast\n")
    assert hub.run("status", "fa") == Result(
        128,
        err="fatal: 'fa' is the start of 2 session ids\n"
        "hint: the candidates are\nhint:   fast\nhint:   fast-2\n",
    )
    assert hub.run("status", "FAST") == Result(
        128, err="fatal: no such session: 'FAST'\nhint: git hub-session list\n"
    )


def test_without_an_id_on_a_branch_of_a_session(hub: Hub) -> None:
    hub.session("s1", agents=1).session("s2", agents=1)
    for sid in ("s1", "s2"):
        result = hub.run("status", cwd=hub.worktree(1, sid) / "sub")
        assert (result.out.splitlines()[0], result.err) == (f"Session: {sid}", "")
    hub.git("checkout", "-q", "-b", "hub/s1/agent-9/attempt-1")
    result = hub.run("status")
    assert (result.out.splitlines()[0], result.err) == ("Session: s1", "")


def test_without_an_id_during_a_rebase(hub: Hub) -> None:
    """HEAD is detached, but the files of the rebase name the branch."""
    create_worktrees_of_every_kind(hub)
    hub.run("init", "-q", "--id", "s2", "--task", "newer", now=NOW + 9)
    result = hub.run("status", cwd=hub.worktree(5))
    assert (result.out.splitlines()[0], result.err) == ("Session: s1", "")


def test_without_an_id_outside_of_a_session(hub: Hub) -> None:
    """The newest unfinished session is shown."""
    for number, sid in enumerate(("b", "a", "c")):
        hub.run("init", "-q", "--id", sid, "--task", sid, now=NOW + number)
    for state in ("running", "evaluating", "merged"):
        hub.run("update", "c", "--state", state)
    note = "the newest unfinished session is 'a'\n"
    result = hub.run("status")
    assert (result.code, result.out.splitlines()[0], result.err) == (0, "Session: a", note)
    assert hub.run("status", "-q") == result._replace(err="")


def test_newest_session_with_several_time_zones(hub: Hub) -> None:
    for sid, created in (("x1", "2026-03-17T23:00:00+09:00"), ("x2", "2026-03-17T15:00:00+00:00")):
        hub.session(sid)
        state = hub.state(sid) | {"created": created}
        (hub.directory(sid) / "state.json").write_text(json.dumps(state))
    assert hub.run("status").out.startswith("Session: x2\n")


def test_all_candidates_are_listed(hub: Hub) -> None:
    for number in range(25):
        create_session(hub, "init", f"p{number:02}")
    result = hub.run("status", "p")
    assert result.err.splitlines() == [
        "fatal: 'p' is the start of 25 session ids",
        "hint: the candidates are",
        *(f"hint:   p{number:02}" for number in range(25)),
    ]


@types("git hub-session doctor")
def test_no_unfinished_session(hub: Hub) -> None:
    empty = "fatal: no sessions\nhint: git hub-session init --task <text>\n"
    assert hub.run("status") == Result(128, "", empty)
    hub.session()
    for state in ("running", "evaluating", "archived"):
        hub.run("update", "s1", "--state", state)
    status = hub.run("status", "s1")
    assert status.out.startswith("Session: s1\n  State: archived\n")
    assert hub.run("status") == status._replace(err="the newest session is 's1'\n")
    (hub.directory() / "state.json").write_text("{")
    broken = hub.run("status")
    hint = "git hub-session doctor"
    assert broken == Result(128, "", f"fatal: no session can be read\nhint: {hint}\n")
    assert "state-damaged" in type_hint(hub, hint, code=1).out


def test_session_that_cannot_be_read(hub: Hub) -> None:
    hub.session()
    (hub.directory() / "state.json").write_text("{")
    result = hub.run("status", "s1")
    assert (result.code, result.out) == (128, "")
    assert result.err.startswith("fatal: session 's1': state.json: not valid JSON")


def terminal_lines(hub: Hub, columns: int, *arguments: str) -> list[str]:
    """Return the output lines of a command on a terminal with this width."""
    child = pexpect.spawn(
        "git",
        ["hub-session", *arguments],
        cwd=str(hub.top),
        env={**hub.environ, "GIT_TEST_DATE_NOW": str(NOW)},
        dimensions=(50, columns),
        encoding="utf-8",
        timeout=120,
    )
    output = child.read()
    child.close()
    assert child.exitstatus == 0
    return str(output).splitlines()


def test_width_of_the_terminal(hub: Hub) -> None:
    """Columns that do not fit move to their own line. Branch names are never truncated."""
    hub.session(agents=2)
    subject = "A subject that takes a lot of room " * 2
    hub.commit(hub.worktree(1), "file", "better\n", subject)
    hub.git("worktree", "lock", hub.worktree(2))
    hub.git("branch", "hub/s1/scratch", "main")
    assert terminal_lines(hub, 132, "status", "s1")[14:16] == [
        "    BRANCH                    AHEAD  BEHIND  FILES  +/-    WORKTREE                          LAST COMMIT",
        "  * hub/s1/agent-1/attempt-1      1       0      1  +1/-1  ../worktrees/s1/agent-1           30 minutes ago: A subject that takes a…",
    ]
    assert terminal_lines(hub, 100, "status", "s1")[14:] == [
        "    BRANCH                    AHEAD  BEHIND  FILES  +/-    LAST COMMIT",
        "  * hub/s1/agent-1/attempt-1      1       0      1  +1/-1  30 minutes ago: A subject that takes a l…",
        "      ../worktrees/s1/agent-1",
        "    hub/s1/agent-2/attempt-1      0       0      0  +0/-0  30 minutes ago: base",
        "      ../worktrees/s1/agent-2 (locked)",
        "    hub/s1/scratch                0       0      0  +0/-0  30 minutes ago: base",
    ]
    assert terminal_lines(hub, 80, "status", "s1")[14:] == [
        "    BRANCH                    AHEAD  BEHIND  FILES  +/-",
        "  * hub/s1/agent-1/attempt-1      1       0      1  +1/-1",
        "      ../worktrees/s1/agent-1",
        "      30 minutes ago: A subject that takes a lot of room A subject that takes a…",
        "    hub/s1/agent-2/attempt-1      0       0      0  +0/-0",
        "      ../worktrees/s1/agent-2 (locked)",
        "      30 minutes ago: base",
        "    hub/s1/scratch                0       0      0  +0/-0",
        "      30 minutes ago: base",
    ]
    assert terminal_lines(hub, 40, "status", "s1")[19:] == [
        "    BRANCH",
        "      AHEAD  BEHIND  FILES  +/-",
        "  * hub/s1/agent-1/attempt-1",
        "          1       0      1  +1/-1",
        "      ../worktrees/s1/agent-1",
        "      30 minutes ago: A subject that ta…",
        "    hub/s1/agent-2/attempt-1",
        "          0       0      0  +0/-0",
        "      ../worktrees/s1/agent-2 (locked)",
        "      30 minutes ago: base",
        "    hub/s1/scratch",
        "          0       0      0  +0/-0",
        "      30 minutes ago: base",
    ]
