"""A session on one page, as HTML and as Markdown."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.hostile_session import HOSTILE, SHOWN, create_hostile_session
from tests.support.hub import Hub, Result
from tests.support.pages import Page, rows, section
from tests.support.terminal import run_in_terminal

AGENT = (
    'n=${HUB_AGENT#agent-}; seq 1 "$n" >new; git add new; git commit -qm "idea $n" -m "more"; '
    'git hub-session board post -q results -m "agent $n is done"; echo "end $n"; '
    "[ $n != 3 ] || { echo left >left; exit 3; }"
)
EVAL = ("--eval", "n=$(wc -l <new); echo ms: 1$n", "--metric", "ms", "--direction", "lower")

MARKDOWN = """\
## Session `s1`

```text
Make it fast
```

- State: `merged`
- Winner: `agent-1`
- Result: `ms: 20 → 11 (−45.0 %)`
- Merged into: `main ({merge})`
- Base branch: `main`
- Agents: `3`
- Evaluation: `n=$(wc -l <new); echo ms: 1$n`
- Metric: `ms (lower is better)`
- Baseline: `20`
- Created: `2026-03-17 14:30:22Z`
- Updated: `2026-03-17 14:30:22Z`

### Ranking

| Rank | Agent | `ms` | Change | Lines | Remarks |
| --: | --- | --: | --: | --- | --- |
| 1 | agent-1 | 11 | −45.0 % | +1 −0 |  |
| 2 | agent-2 | 12 | −40.0 % | +2 −0 |  |
| – | agent-3 |  |  | +3 −0 | `failed with exit code 3` |

### Failures and uncommitted files

| Agent | State | Failure |
| --- | --- | --- |
| agent-3 | failed | `failed with exit code 3` |

### Commits of agent-1

- `{tip}` `idea 1`

More: `git hub-session show s1 agent-1/attempt-1`, `git hub-session diff s1 agent-1/attempt-1`
"""


@pytest.fixture
def evaluated(hub: Hub) -> Hub:
    """Return an evaluated session with three agents, of which one has failed."""
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "3")
    hub.run("spawn", "-q", "s1")
    hub.run("exec", "-q", "-j1", "s1", "--", "sh", "-c", AGENT)
    assert hub.run("eval", "-q", "s1", *EVAL, "--baseline", "20").code == 0
    return hub


def read_page(hub: Hub, *words: str) -> str:
    """Return the HTML of a report, which contains nothing active."""
    result = hub.run("report", *words)
    assert (result.code, result.err) == (0, "")
    assert Page(result.out).active_parts == []
    return result.out


def test_markdown_of_a_merged_session(evaluated: Hub) -> None:
    tip = evaluated.git("rev-parse", "hub/s1/agent-1/attempt-1")
    assert evaluated.run("merge", "-q", "s1", "--yes", "--force").code == 0
    merge = evaluated.git("rev-parse", "main")
    expected = MARKDOWN.format(merge=merge[:12], tip=tip[:12])
    assert evaluated.run("report", "s1", "--format=md") == Result(0, expected)


def test_tables_of_the_page(evaluated: Hub) -> None:
    page = read_page(evaluated, "s1")
    tips = [evaluated.git("rev-parse", f"hub/s1/agent-{n}/attempt-1")[:12] for n in (1, 2, 3)]
    remarks = "failed with exit code 3, 1 file uncommitted, not measured"
    assert rows(section(page, "Ranking")) == [
        ["Rank", "Agent", "ms", "Change", "Lines", "Remarks"],
        ["1", "agent-1", "11", "−45.0 %", "+1 −0", ""],
        ["2", "agent-2", "12", "−40.0 %", "+2 −0", ""],
        ["–", "agent-3", "", "", "+3 −0", remarks],
    ]
    at = "2026-03-17 14:30:22Z"
    assert rows(section(page, "Evaluations")) == [
        ["Evaluation", "Time", "Agent", "Commit", "Rank", "Value", "Baseline", "Remarks"],
        ["eval-1", at, "agent-1", tips[0], "1", "11", "20", ""],
        ["eval-1", at, "agent-2", tips[1], "2", "12", "20", ""],
        ["eval-1", at, "agent-3", tips[2], "", "", "20", "failed with exit code 3"],
    ]
    assert rows(section(page, "Lines changed")) == [
        ["Agent", "Commits", "Files", "Lines added", "Lines deleted"],
        *[[f"agent-{n}", "1", "1", str(n), "0"] for n in (1, 2, 3)],
    ]
    assert rows(section(page, "Commits"))[1] == [
        "agent-1",
        tips[0],
        "2026-03-17 14:00:00Z",
        "idea 1",
    ]
    assert rows(section(page, "Failures and uncommitted files")) == [
        ["Agent", "State", "Failure", "Uncommitted"],
        ["agent-3", "failed", "failed with exit code 3", "1 file uncommitted, not measured"],
    ]
    assert ">end 3</pre>" in section(page, "Failures and uncommitted files")
    assert section(page, "Guarded paths") == ""


def test_time_line(evaluated: Hub) -> None:
    table = rows(section(read_page(evaluated, "s1"), "Time line"))
    assert table[0] == ["Time", "By", "Kind", "Event"]
    events = [re.sub(r"after [0-9:]+|^\w{12} |Z$", "", row[3]) for row in table[1:]]
    assert [row[2] for row in table[1:]] == [
        *["commit"] * 3,
        *["state"] * 3,
        *["run"] * 3,
        *["post"] * 3,
        "evaluation",
    ]
    assert [events[index] for index in (0, 3, 4, 8, 12)] == [
        "idea 1",
        "created",
        "init → running (spawn)",
        "exec-1: failed with exit code 3 ",
        "eval-1: 3 results",
    ]
    assert (table[5][1], table[9][1], table[10][1]) == (
        "Ada <ada@example.com>",
        "agent-3",
        "agent-1",
    )


def test_board_and_diff_of_the_winner(evaluated: Hub) -> None:
    page = read_page(evaluated, "s1")
    board = section(page, "Message board")
    assert re.findall("<h3>(.*?)</h3>", board) == [f"agent-{n} in results" for n in (1, 2, 3)]
    assert "agent 1 is done</pre>" in board
    diff = section(page, "Diff of the winner")
    assert "".join(re.findall('<span class="add">(.*?)</span>', diff)) == "+1"
    assert "<code>git hub-session diff s1 agent-1/attempt-1</code>" in diff
    assert "The same diff: " in diff


def test_a_long_diff_is_shortened(hub: Hub) -> None:
    hub.session(agents=1)
    text = "".join(f"line {number}\n" for number in range(5000))
    hub.commit(hub.worktree(1), "long", text)
    hub.run("update", "-q", "s1", "--state", "running")
    assert hub.run("eval", "-q", "--ranking", "1", "s1").code == 0
    diff = section(read_page(hub, "s1"), "Diff of the winner")
    assert diff.count("\n") == 2999
    assert "The diff is longer. Show all of it with: <code>git hub-session diff s1" in diff


def test_a_new_session(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast")
    page = read_page(hub, "s1")
    assert re.findall("<h2>(.*?)</h2>", page) == ["Task", "Time line"]
    assert hub.run("report", "s1", "--format=md").out.endswith(
        "More: `git hub-session status s1`\n"
    )


def test_an_archived_session(evaluated: Hub) -> None:
    """The attempts are found in the archive."""
    before = read_page(evaluated, "s1")
    evaluated.run("archive", "-q", "s1")
    after = read_page(evaluated, "s1")
    for heading in ("Evaluations", "Lines changed", "Commits", "Diff of the winner"):
        assert section(after, heading) == section(before, heading) != ""


# --- The page is safe -----------------------------------------------------------------------------


def test_policy_allows_only_the_style_sheet(evaluated: Hub) -> None:
    page = read_page(evaluated, "s1")
    [css] = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policies = [
        element.attributes["content"]
        for element in Page(page).elements
        if element.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == [
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    ]
    assert not re.search("url|@import|expression", css)
    assert page.isascii()


def test_hostile_texts_stay_text(hub: Hub) -> None:
    create_hostile_session(hub)
    page = read_page(hub, "s1")
    assert "<b>" not in page
    text = Page(page).text
    assert text.count(SHOWN) >= 7
    assert "\x1b" not in text
    assert "\u202e" not in text
    words = re.findall("<[a-z]+", page)
    assert {"<script", "<img"} & set(words) == set()


def test_hostile_texts_are_code_in_markdown(hub: Hub) -> None:
    create_hostile_session(hub)
    lines = hub.run("report", "s1", "--format=md").out.splitlines()
    assert lines[2:6] == ["```text", SHOWN, SHOWN, "```"]
    assert f"- Verdict: `` {SHOWN} ``" in lines
    spans = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
    assert not any("alert" in spans.sub("", line) for line in lines[6:])


# --- All sessions ---------------------------------------------------------------------------------


def test_all_sessions(evaluated: Hub) -> None:
    next_session = ("init", "-q", "--id", "s2", "--after", "s1")
    assert evaluated.run(*next_session, now=1773757900) == Result(0, "s2\n")
    assert evaluated.run("merge", "-q", "s1", "--yes", "--force").code == 0
    hostile = ("init", "-q", "--id", "s0", "-F", "-")
    assert evaluated.run(*hostile, stdin=HOSTILE, now=1773757800) == Result(0, "s0\n")
    page = read_page(evaluated, "--all")
    result, at = "ms: 20 → 11 (−45.0 %)", "2026-03-17 14:30:22Z"
    before, after = "2026-03-17 14:30:00Z", "2026-03-17 14:31:40Z"
    task = "Make it fast"
    expected = [
        ["Session", "State", "Task", "Agents", "Winner", "Result", "After", "Updated"],
        ["s2", "init", task, "3", "", "", "agent-1 of session s1", after],
        ["s1", "merged", task, "3", "agent-1", result, "", at],
        ["s0", "init", SHOWN, "3", "", "", "", before],
    ]
    assert rows(page) == expected
    assert "<p>3 sessions: 2 init, 1 merged</p>" in page
    assert page.count("<svg") == 1
    assert "&#8722;45.0 %" in page
    lines = evaluated.run("report", "--all", "--format=md").out.splitlines()
    assert lines[2] == "3 sessions: 2 init, 1 merged"
    assert lines[7] == f"| `s1` | merged | `{task}` | 3 | agent-1 | `{result}` |  | {at} |"


def test_all_sessions_with_an_unreadable_one(hub: Hub) -> None:
    hub.session()
    hub.session("s2")
    (hub.directory("s2") / "state.json").write_text("{")
    result = hub.run("report", "--all")
    assert result.code == 1
    assert result.err.startswith("error: session 's2': state.json")
    assert [row[:2] for row in rows(result.out)[1:]] == [["s1", "init"], ["s2", "broken"]]


def test_all_sessions_of_an_empty_hub(hub: Hub) -> None:
    assert "The hub has no sessions." in read_page(hub, "--all")
    expected = Result(129, "", "error: --all takes no id\n")
    assert hub.run("report", "--all", "s1") == expected


# --- The file -------------------------------------------------------------------------------------


def test_output_to_a_file(evaluated: Hub) -> None:
    page = evaluated.run("report", "s1").out
    target = evaluated.top / "page.html"
    target.write_text("old")
    target.chmod(0o600)
    assert evaluated.run("report", "s1", "-o", "page.html") == Result(0)
    assert target.read_text() == page
    assert target.stat().st_mode & 0o777 == 0o600
    assert evaluated.run("report", "s1", "-o", "-") == Result(0, page)
    text = evaluated.run("report", "s1", "--format=md").out
    assert evaluated.run("report", "s1", "--format=md", "-o", target) == Result(0)
    assert target.read_text() == text
    assert [name for name in os.listdir(evaluated.top) if name.endswith(".tmp")] == []


def _make_link(path: Path) -> None:
    path.symlink_to("target")


@pytest.mark.parametrize(
    ("create", "kind"),
    [
        (Path.mkdir, "a directory"),
        (_make_link, "a symbolic link"),
        (os.mkfifo, "not a regular file"),
    ],
)
def test_only_a_regular_file_is_replaced(evaluated: Hub, create: object, kind: str) -> None:
    assert callable(create)
    target = evaluated.top / "page.html"
    create(target)
    assert evaluated.run("report", "s1", "-o", target) == Result(
        128,
        "",
        f"fatal: cannot write '{target}': it is {kind}\nhint: name a regular file with -o <file>\n",
    )
    assert not (evaluated.top / "target").exists()


def test_a_missing_directory(evaluated: Hub) -> None:
    result = evaluated.run("report", "s1", "-o", "missing/page.html")
    path = evaluated.top / "missing" / "page.html"
    message = (
        f"fatal: cannot write '{path}': No such file or directory\nhint: nothing was changed\n"
    )
    assert result == Result(128, "", message)
    result = evaluated.run("report", "s1", "-o", "missing/")
    assert result.err.startswith(f"fatal: cannot write '{path.parent}/': it is a directory\n")


def test_on_a_terminal(evaluated: Hub) -> None:
    """The page goes to a file, and its name is printed. Markdown is shown."""
    assert run_in_terminal(evaluated, "report", "s1") == "hub-report-s1.html\r\n"
    page = (evaluated.top / "hub-report-s1.html").read_text()
    assert section(page, "Ranking") == section(evaluated.run("report", "s1").out, "Ranking") != ""
    assert run_in_terminal(evaluated, "report", "--all") == "hub-report.html\r\n"
    assert run_in_terminal(evaluated, "report", "-q", "s1") == ""
    assert run_in_terminal(evaluated, "report", "s1", "-o", "other.html") == ""
    assert run_in_terminal(evaluated, "report", "s1", "--format=md").startswith("## Session `s1`")


def test_reports_to_one_file_at_the_same_time(hub: Hub) -> None:
    """Each report succeeds, and the file is one of them."""
    hub.session("s1", agents=1)
    command = ["git-hub-session", "report", "-o", "report.html", "s1"]
    processes = [
        subprocess.Popen(command, cwd=hub.top, env=hub.environ, stderr=subprocess.PIPE)
        for _ in range(8)
    ]
    assert [(process.communicate()[1], process.returncode) for process in processes] == [
        (b"", 0)
    ] * len(processes)
    assert (hub.top / "report.html").read_text().rstrip().endswith("</html>")
    assert [path.name for path in hub.top.iterdir() if path.name.endswith(".tmp")] == []
