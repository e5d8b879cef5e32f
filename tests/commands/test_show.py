"""Show one attempt on one page."""

from __future__ import annotations

import json
import os

import pytest

from tests.support.evaluated_sessions import create_evaluated_session
from tests.support.hub import Hub, Result

AGENT = (
    'echo "try\\rdone \\033[31m$HUB_AGENT\\033[m"; printf %s end; '
    'git commit -q --allow-empty -m "idea of $HUB_AGENT"; echo $HUB_AGENT >file; '
    'git commit -qam "write"; git hub-session board post -q results -m "it works"; echo x >new'
)
PAGE = """\
agent-1/attempt-1 of session s1
  Task: Make it fast
  Strategy: be bold
  Branch: hub/s1/agent-1/attempt-1 ({tip})
  Worktree: ../project.hub/s1/agent-1
  State: done
  Rank: 1
  Metric: ms: 9 → 7 (−22.2 %)
  Changes: 1 file, +1/-1
  Remarks: 1 file uncommitted, not measured

  Commits:
    {tip}  30 minutes ago: write
    {idea}  30 minutes ago: idea of agent-1

  Uncommitted:
    new

  Posts:
    results/001-agent-1-20260317T143022Z  0 seconds ago: it works

  Log: .agenthub/sessions/s1/output/exec-1/agent-1.log
    done agent-1
    end
"""


@pytest.fixture
def evaluated(hub: Hub) -> Hub:
    """Return an evaluated session with one agent."""
    words = ("--task", "Make it fast", "--agents", "1", "--strategy", "be bold")
    hub.run("init", "-q", "--id", "s1", *words)
    hub.run("spawn", "-q", "s1")
    assert hub.run("exec", "-q", "s1", "--", "sh", "-c", AGENT).code == 0
    metric = ("--metric", "ms", "--direction", "lower", "--baseline", "9")
    assert hub.run("eval", "-q", "s1", "--eval", "echo ms: 7", *metric).code == 0
    return hub


def ids(hub: Hub) -> list[str]:
    return hub.git("rev-list", "main..hub/s1/agent-1/attempt-1").splitlines()


def test_the_page_of_an_attempt(evaluated: Hub) -> None:
    tip, idea = ids(evaluated)
    page = PAGE.format(tip=tip[:12], idea=idea[:12])
    for words in (("s1", "agent-1"), ("s1", "1/attempt-1")):
        assert evaluated.run("show", *words) == Result(0, page)
    worktree = evaluated.top.parent / "project.hub" / "s1" / "agent-1"
    result = evaluated.run("show", "1", cwd=worktree)
    assert (result.code, result.err) == (0, "")
    assert "  Worktree: .\n" in result.out


def test_json_and_porcelain(evaluated: Hub) -> None:
    tip, idea = ids(evaluated)
    document = evaluated.json("show", "s1", "1")
    assert document["commits"] == [
        {"oid": tip, "time": 1773756000, "subject": "write"},
        {"oid": idea, "time": 1773756000, "subject": "idea of agent-1"},
    ]
    [post] = document.pop("posts")
    assert (post["author"], post["text"].strip()) == ("agent-1", "it works")
    expected = {
        "session_id": "s1",
        "oid": tip,
        "agent": 1,
        "attempt": 1,
        "status": "done",
        "branch": "hub/s1/agent-1/attempt-1",
        "ref": "refs/heads/hub/s1/agent-1/attempt-1",
        "start": evaluated.git("rev-parse", "main"),
        "strategy": "be bold",
        "rank": 1,
        "files": 1,
        "insertions": 1,
        "deletions": 1,
        "metric": "ms",
        "value": 7.0,
        "commit_count": 2,
        "uncommitted_files": ["new"],
        "uncommitted": 1,
    }
    assert {key: document[key] for key in expected} == expected
    records = evaluated.run("show", "s1", "1", "--format=porcelain").out.split("\n\n")
    assert [record.partition("\n")[0] for record in records] == [
        "session_id s1",
        f"oid {tip}",
        f"oid {idea}",
        "post 001-agent-1-20260317T143022Z",
        "",
    ]


def test_an_archived_attempt(evaluated: Hub) -> None:
    evaluated.run("archive", "-q", "s1")
    tip = evaluated.git("rev-parse", "hub/archive/s1/agent-1")[:12]
    lines = evaluated.run("show", "s1", "1").out.splitlines()
    assert f"  Archive: hub/archive/s1/agent-1 ({tip})" in lines
    assert not any(line.startswith(("  Worktree", "  Uncommitted")) for line in lines)


def test_many_commits_and_files(hub: Hub) -> None:
    hub.session(agents=1)
    tree = hub.git("rev-parse", "main^{tree}")
    tip = hub.git("rev-parse", "main")
    for number in range(23):
        tip = hub.git("commit-tree", tree, "-p", tip, "-m", f"commit {number}")
    hub.git("reset", "-q", "--hard", tip, cwd=hub.worktree(1))
    for number in range(12):
        (hub.worktree(1) / f"new{number:02}").write_text("x")
    lines = hub.run("show", "s1", "1").out.splitlines()
    commits = lines[lines.index("  Commits:") + 1 : lines.index("  Uncommitted:") - 1]
    assert len(commits) == 21
    assert commits[0].endswith(": commit 22")
    assert commits[-1] == "    and 3 earlier commits"
    assert lines[-1] == "    and 2 more files"
    assert hub.json("show", "s1", "1")["commit_count"] == 23


def test_an_agent_without_a_run(hub: Hub) -> None:
    hub.session(agents=1)
    assert hub.run("show", "s1", "1").out.splitlines()[2:] == [
        f"  Branch: hub/s1/agent-1/attempt-1 ({hub.git('rev-parse', 'main')[:12]})",
        "  Worktree: ../worktrees/s1/agent-1",
        "  State: waiting",
        "  Changes: 0 files, +0/-0",
        "  Remarks: no commit of its own",
    ]


def test_hostile_texts_and_files(evaluated: Hub) -> None:
    """Control characters are escaped, a link in the place of a log is not followed."""
    worktree = evaluated.top.parent / "project.hub" / "s1" / "agent-1"
    data = "tree {}\nauthor x <x> 1 +0000\ncommitter x <x> 9999999999 +0000\n"
    data = data.format(evaluated.git("rev-parse", "HEAD^{tree}", cwd=worktree))
    data += "encoding \x1b\n\nsubject \x1b[2J"
    words = ("hash-object", "-t", "commit", "-w", "--stdin", "--literally")
    evaluated.git("reset", "-q", "--soft", evaluated.git(*words, stdin=data), cwd=worktree)
    (worktree / "\x1b[2J").write_text("x")
    log = evaluated.directory() / "output" / "exec-1" / "agent-1.log"
    log.unlink()
    log.symlink_to("/etc/passwd")
    result = evaluated.run("show", "s1", "1")
    assert (result.code, "\x1b" in result.out, "root:" in result.out) == (0, False, False)
    assert ": subject \\x1b[2J\n" in result.out
    assert "    \\x1b[2J\n" in result.out
    log.unlink()
    os.mkfifo(log)
    assert evaluated.run("show", "s1", "1").code == 0
    state = evaluated.state()
    state["agents"]["agent-1"]["exec"]["run"] = "../../../../x"
    (evaluated.directory() / "state.json").write_text(json.dumps(state))
    assert "Log:" not in evaluated.run("show", "s1", "1").out


@pytest.mark.parametrize("kind", [[], ["--squash"], ["--rebase"]])
def test_a_winner_whose_branch_was_deleted(hub: Hub, kind: list[str]) -> None:
    """`merge` has recorded its last commit. `show`, `diff` and `report` still find it."""
    create_evaluated_session(hub)
    assert hub.run("merge", "-q", "--yes", *kind, "s1") == Result(0)
    tip = hub.git("rev-parse", "hub/s1/agent-2/attempt-1")
    diff = hub.run("diff", "s1", "2").out
    assert "+by agent 2\n" in diff
    hub.git("branch", "-q", "-D", "hub/s1/agent-2/attempt-1")
    shown = hub.run("show", "s1", "2")
    assert (shown.code, shown.err) == (0, "")
    assert f"  Merged into: main ({tip[:12]})\n" in shown.out
    assert hub.run("diff", "s1", "2") == Result(0, diff)
    assert "+by agent 2" in hub.run("report", "s1").out
