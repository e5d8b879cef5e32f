"""The log of all evaluations, and a ranking by a person after a measurement."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub import NOW, Hub, Result, snapshot
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
    recorded_ranks,
)

NOW_TEXT = "2026-03-17T14:30:22.000000+00:00"
LATER_TEXT = "2026-03-17T15:30:22.000000+00:00"


def log_file(hub: Hub) -> Path:
    return hub.directory() / "evaluations.jsonl"


def entries(hub: Hub) -> list[dict[str, Any]]:
    """Return the entries of the log, oldest first, read without the package."""
    return [json.loads(line) for line in log_file(hub).read_text().splitlines()]


def tree(hub: Hub, agent: int) -> str:
    return hub.git("rev-parse", f"hub/s1/agent-{agent}/attempt-1^{{tree}}")


def test_each_evaluation_is_kept(hub: Hub) -> None:
    """A second measurement and a ranking replace the results, and the log has all three."""
    create_measurable_session(hub, "ms: 7 ms\n", "ms: 5 ms\n", "no metric\n")
    first = [hub.git("rev-parse", f"hub/s1/agent-{agent}/attempt-1") for agent in (1, 2, 3)]
    trees = [tree(hub, agent) for agent in (1, 2, 3)]
    base = hub.git("rev-parse", "main")
    assert hub.run("eval", "-q", *MEASURE, "--baseline", "9", "s1") == Result(0)
    hub.commit(agent_worktree(hub, 1), "ms", "ms: 4 ms\n")
    assert hub.run("eval", "-q", *MEASURE, "--baseline", "9", "s1", now=NOW + 3600) == Result(0)
    arguments = ("--ranking", "2,1", "-m", "agent-2 is\nsimpler")
    assert hub.run("eval", "-q", *arguments, "s1", now=NOW + 3600) == Result(0)
    log = entries(hub)
    assert [(entry["run"], entry["agent"], entry["rank"], entry["value"]) for entry in log] == [
        ("eval-1", 2, 1, 5),
        ("eval-1", 1, 2, 7),
        ("eval-1", 3, 3, None),
        ("eval-2", 1, 1, 4),
        ("eval-2", 2, 2, 5),
        ("eval-2", 3, 3, None),
        ("", 2, 1, 5),
        ("", 1, 2, 4),
    ]
    common: dict[str, Any] = {
        "at": NOW_TEXT,
        "by": "Ada <ada@example.com>",
        "run": "eval-1",
        "base": base,
    }
    common |= {"attempt": 1, "metric": "ms", "unit": "ms", "baseline": 9, "verdict": ""}
    common |= {"passed": None, "judge": "", "improves": None}
    assert log[1:3] == [
        common
        | {"agent": 1, "commit": first[0], "tree": trees[0], "value": 7, "values": [7]}
        | {"delta": -2, "rank": 2, "tie": False, "reason": ""},
        common
        | {"agent": 3, "commit": first[2], "tree": trees[2], "value": None, "values": []}
        | {"delta": None, "rank": 3, "tie": False, "reason": "no 'ms' in the output"},
    ]
    assert [entry["verdict"] for entry in log[6:]] == ["agent-2 is\nsimpler"] * 2


def test_log_as_text_and_json(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 7\n", "ms: 5\n", "no metric\n")
    tips = [hub.git("rev-parse", f"hub/s1/agent-{agent}/attempt-1") for agent in (1, 2, 3)]
    assert hub.run("log", "--evaluations", "s1") == Result(
        0, "", "no evaluation is recorded for session 's1'\n"
    )
    assert hub.run("log", "--evaluations", "-q", "s1") == Result(0)
    hub.run("eval", "-q", *MEASURE, "--repeat", "3", "s1")
    hub.run("eval", "-q", "--ranking", "1,2", "-m", "so \x1b[1m it\nis", "s1", now=NOW + 3600)
    assert hub.run("log", "--evaluations", "s1", now=NOW + 7200) == Result(
        0,
        f"{LATER_TEXT}  ranking  (60 minutes ago)\n"
        "    by Ada <ada@example.com>\n"
        "    so \\x1b[1m it\n"
        "    is\n"
        f"       1  agent-1  {tips[0][:12]}  ms: 7 (median of 3)\n"
        f"       2  agent-2  {tips[1][:12]}  ms: 5 (median of 3)\n"
        f"{NOW_TEXT}  eval-1  (2 hours ago)\n"
        "    by Ada <ada@example.com>\n"
        f"       1  agent-2  {tips[1][:12]}  ms: 5 (median of 3)\n"
        f"       2  agent-1  {tips[0][:12]}  ms: 7 (median of 3)\n"
        f"       3  agent-3  {tips[2][:12]}  no 'ms' in the output\n",
    )
    document = hub.json("log", "--evaluations", "s1")
    assert document["session_id"] == "s1"
    empty = {"run": None, "verdict": None, "unit": None, "reason": None}
    assert [entry["run"] for entry in document["evaluations"]] == [None] * 2 + ["eval-1"] * 3
    for entry, shown in zip(entries(hub)[::-1], document["evaluations"], strict=True):
        assert shown == {
            "ratio": None,
            "base_values": [],
            "machine": None,
            **{key: empty.get(key) if value == "" else value for key, value in entry.items()},
        }
    record = hub.run("log", "--evaluations", "s1", "--format=porcelain").out.split("\n\n")[-2]
    assert record.splitlines() == [
        f"at {NOW_TEXT}",
        "by Ada <ada@example.com>",
        "run eval-1",
        "agent 2",
        "attempt 1",
        f"commit {tips[1]}",
        f"tree {tree(hub, 2)}",
        f"base {hub.git('rev-parse', 'main')}",
        "metric ms",
        "value 5.0",
        "values 5.0",
        "values 5.0",
        "values 5.0",
        "rank 1",
    ]


def test_ranking_keeps_the_metrics(hub: Hub) -> None:
    """The table and state.json have the values of the measurement and the ranks of the person."""
    create_measurable_session(hub, "ms: 7\n", "ms: 5\n", "ms: 6\n")
    hub.run("eval", "-q", *MEASURE, "--baseline", "9", "s1")
    before = hub.state()
    result = hub.run("eval", "--ranking", "1,2", "-m", "clean code", "s1", now=NOW + 3600)
    assert result == Result(
        0,
        "RANK  AGENT    METRIC  DELTA  SPREAD  FILES  +/-\n"
        "   1  agent-1       7     -2       -      1  +1/-0\n"
        "   2  agent-2       5     -4       -      1  +1/-0\n"
        "Verdict: clean code\n",
    )
    after = hub.state()
    assert recorded_ranks(hub) == {
        "agent-1": (1, 7, ""),
        "agent-2": (2, 5, ""),
        "agent-3": (None, 6, ""),
    }
    for agent in ("agent-1", "agent-2", "agent-3"):
        ranks = {"rank": after["agents"][agent]["result"]["rank"]}
        assert after["agents"][agent]["result"] == before["agents"][agent]["result"] | ranks
    verdict = {
        "at": LATER_TEXT,
        "by": "Ada <ada@example.com>",
        "ranking": ["agent-1", "agent-2"],
        "text": "clean code",
    }
    assert after["evaluation"] == before["evaluation"] | {"verdict": verdict}
    assert "\n    Verdict: clean code\n" in hub.run("status", "s1").out
    assert "  ms: 9 → 7 (−22.2 %)\n  Verdict: clean code\n" in hub.run("merge", "-n", "s1").out
    hub.run("eval", "-q", *MEASURE, "s1")
    assert "verdict" not in hub.state()["evaluation"]
    assert recorded_ranks(hub)["agent-3"] == (2, 6, "")


def test_ranking_of_another_commit_has_no_metric(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 7\n", "ms: 5\n")
    hub.run("eval", "-q", *MEASURE, "s1")
    hub.commit(agent_worktree(hub, 1), "ms", "ms: 1\n")
    assert hub.run("eval", "-q", "--ranking", "1,2", "s1") == Result(0)
    assert recorded_ranks(hub) == {"agent-1": (1, None, ""), "agent-2": (2, 5, "")}
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    trailer = hub.git("show", "-s", "--format=%(trailers:key=Hub-Metric)", "main")
    assert (trailer, (hub.top / "ms").read_text()) == ("", "ms: 1\n")


def test_ranking_of_an_agent_that_could_not_be_measured(hub: Hub) -> None:
    create_measurable_session(hub, "no metric\n", "ms: 5\n")
    hub.run("eval", "-q", *MEASURE, "s1")
    assert hub.run("eval", "-q", "--ranking", "1", "s1") == Result(0)
    assert recorded_ranks(hub) == {"agent-1": (1, None, ""), "agent-2": (None, 5, "")}
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert (hub.top / "ms").read_text() == "no metric\n"


def test_first_agent_of_a_person_is_not_replaced(hub: Hub) -> None:
    """The person prefers agent-1, which is worse than the baseline. agent-2 is not merged instead."""
    create_measurable_session(hub, "ms: 7\n", "ms: 4\n")
    hub.run("eval", "-q", *MEASURE, "--baseline", "5", "s1")
    hub.run("eval", "-q", "--ranking", "1,2", "s1")
    assert hub.run("merge", "--yes", "s1") == Result(
        1,
        "",
        "error: agent-1 does not improve on the baseline: its 'ms' is 7, the baseline is 5\n"
        "hint: git hub-session archive s1\nhint: git hub-session merge --allow-regression --yes s1\n",
    )
    assert hub.run("merge", "-q", "--yes", "--allow-regression", "s1").code == 0
    assert (hub.top / "ms").read_text() == "ms: 7\n"


def test_agent_without_a_rank_is_merged_on_request(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 7\n", "ms: 4\n")
    hub.run("eval", "-q", *MEASURE, "s1")
    hub.run("eval", "-q", "--ranking", "1", "s1")
    assert hub.run("merge", "-n", "--agent", "2", "s1").out.splitlines()[:2] == [
        "Merging hub/s1/agent-2/attempt-1 into main",
        "  ms: 4",
    ]


def test_message_without_a_ranking(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 7\n")
    result = hub.run("eval", *MEASURE, "-m", "text", "s1")
    assert (result.code, result.err.splitlines()[0]) == (129, "error: --message requires --ranking")
    assert not log_file(hub).exists()


def test_partial_last_line(hub: Hub) -> None:
    """A killed writer leaves a part of a line. The next evaluation ends it and keeps it."""
    create_measurable_session(hub, "ms: 7\n")
    hub.run("eval", "-q", *MEASURE, "s1")
    complete = log_file(hub).read_text()
    log_file(hub).write_text(complete + complete[:40])
    assert len(hub.json("log", "--evaluations", "s1")["evaluations"]) == 1
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    text = log_file(hub).read_text()
    assert text.startswith(f"{complete}{complete[:40]}\n{{")
    assert text.endswith("}\n")
    runs = [entry["run"] for entry in hub.json("log", "--evaluations", "s1")["evaluations"]]
    assert runs == ["eval-2", "eval-1"]


def test_lines_with_unknown_content(hub: Hub) -> None:
    """Lines that are not entries are skipped, and values of the wrong type count as missing."""
    create_measurable_session(hub, "ms: 7\n")
    lines = [
        b"{",
        b"\xff\xfe",
        b"[1]",
        b"",
        b'{"agent": "agent-1"}',
        b'{"agent": 0}',
        b'{"agent": true}',
        b'{"agent": 1' + b"0" * 30 + b"}",
        b'{"agent": 2, "value": NaN}',
        b"[" * 100_000,
        b'{"agent": 3, "rank": "first", "values": [1, "x", null, true], "value": [1], "tie": 1}',
        b'{"agent": 4, "at": "\\u001b[2J", "run": "\\u202e", "commit": "\\u001b[1m", "by": 7, "value": 1}',
        b'{"agent": 5, "metric": "a\\nb", "unit": "\\u0007", "value": 1, "verdict": "\\u001b]0;x\\u0007"}',
    ]
    log_file(hub).write_bytes(b"\n".join(lines) + b"\n")
    document = hub.json("log", "--evaluations", "s1")
    assert [entry["agent"] for entry in document["evaluations"]] == [5, 4, 3]
    assert document["evaluations"][2] == {
        **dict.fromkeys(document["evaluations"][0], None),
        "agent": 3,
        "attempt": 0,
        "values": [1.0],
        "base_values": [],
        "tie": False,
    }
    result = hub.run("log", "--evaluations", "s1")
    assert (result.code, result.err) == (0, "")
    assert all(char == "\n" or char.isprintable() for char in result.out)


@pytest.mark.slow
def test_log_that_is_too_long_to_read(hub: Hub) -> None:
    """The newest entries are shown, with a warning."""
    create_measurable_session(hub, "ms: 7\n")
    lines = "".join(
        f'{{"agent": {number}, "reason": "{"x" * 500}"}}\n' for number in range(1, 10_000)
    )
    log_file(hub).write_text(lines)
    warning = "warning: the oldest entries of evaluations.jsonl are not shown\n"
    result = hub.run("log", "--evaluations", "s1", "--format=json")
    shown = [entry["agent"] for entry in json.loads(result.out)["evaluations"]]
    assert (result.code, result.err, shown[0]) == (0, warning, 9_999)
    assert 4 << 20 >= sum(
        len(f'{{"agent": {agent}, "reason": "{"x" * 500}"}}\n') for agent in shown
    )
    log_file(hub).write_text('{"agent": 1}\n' * 10_001)
    result = hub.run("log", "--evaluations", "s1", "--format=json")
    assert (len(json.loads(result.out)["evaluations"]), result.err) == (10_000, warning)


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_log_that_is_not_a_regular_file(hub: Hub, kind: str) -> None:
    """No command follows a link, waits for a pipe, or measures what it could not record."""
    create_measurable_session(hub, "ms: 7\n")
    outside = hub.top.parent / "outside"
    outside.write_text("mine\n")
    match kind:
        case "link":
            log_file(hub).symlink_to(outside)
        case "pipe":
            os.mkfifo(log_file(hub))
        case "directory":
            log_file(hub).mkdir()
    before = snapshot(hub.directory())
    error = f"fatal: '{log_file(hub)}' is not a regular file\nhint: mv {log_file(hub)} {log_file(hub)}.old\n"
    assert hub.run("log", "--evaluations", "s1") == Result(128, "", error)
    for arguments in (MEASURE, ("--ranking", "1")):
        assert hub.run("eval", *arguments, "s1") == Result(128, "", error)
    assert (snapshot(hub.directory()), outside.read_text()) == (before, "mine\n")
    log_file(hub).rename(log_file(hub).with_name("old"))
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert len(entries(hub)) == 1
