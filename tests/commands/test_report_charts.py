"""The charts of a report, and the page in a browser."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.support.browser import CHROMIUM, run_browser
from tests.support.hostile_session import create_hostile_session
from tests.support.hub import Hub
from tests.support.pages import Page, rows, section

SVG = "{http://www.w3.org/2000/svg}"
EVAL = ("--metric", "ms", "--direction", "lower", "--repeat", "3", "--no-guard")
AGENT = (
    'git commit -q --allow-empty -m "idea $HUB_AGENT"; git hub-session board post -q results -m x'
)


def create_measured_session(hub: Hub) -> None:
    """Create a session with two agents, two evaluations and a merge."""
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    hub.run("spawn", "-q", "s1", now=1773757900)
    for number in (1, 2):
        worktree = hub.top.parent / "project.hub" / "s1" / f"agent-{number}"
        hub.commit(worktree, "file", "1\n" * number)
    hub.run("exec", "-q", "s1", "--", "sh", "-c", AGENT, now=1773758000)
    for step, baseline in enumerate(("30", "31")):
        command = f"echo ms: $((1{step} + $(wc -l <file)))"
        words = ("eval", "-q", "s1", "--eval", command, "--baseline", baseline, *EVAL)
        assert hub.run(*words, now=1773759000 + 1000 * step).code == 0
    assert hub.run("merge", "-q", "s1", "--yes", now=1773762000).code == 0


def charts(page: str) -> dict[str, ElementTree.Element]:
    """Return the drawings by their titles. Each one is beside a table, and has a description."""
    found = {}
    for part in re.findall("<section>.*?</section>", page, re.DOTALL):
        for text in re.findall("<svg.*?</svg>", part, re.DOTALL):
            drawing = ElementTree.fromstring(text)
            title, description = drawing[0], drawing[1]
            assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
            assert drawing.attrib["aria-label"] == title.text
            assert description.text
            assert rows(part)
            found[title.text or ""] = drawing
    return found


def marks(drawing: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """Return the elements that have a class."""
    return [each for each in drawing.iter() if name in each.attrib.get("class", "").split()]


def texts(drawing: ElementTree.Element) -> list[str]:
    """Return the labels of a chart."""
    return [each.text or "" for each in drawing.iter(f"{SVG}text")]


@pytest.fixture
def measured(hub: Hub) -> dict[str, ElementTree.Element]:
    """Return the charts of a merged session."""
    create_measured_session(hub)
    return charts(hub.run("report", "s1").out)


def test_all_charts(measured: dict[str, ElementTree.Element]) -> None:
    assert [*measured] == [
        "Ranking",
        "ms over the evaluations",
        "Lines changed",
        "Time line",
        "Commits",
    ]


def test_ranking(measured: dict[str, ElementTree.Element]) -> None:
    drawing = measured["Ranking"]
    assert len(marks(drawing, "measured")) == 6
    assert len(marks(drawing, "interval")) == 2
    best, other = marks(drawing, "median")
    assert "first" in best.attrib["class"]
    assert float(best.attrib["cx"]) < float(other.attrib["cx"])
    [baseline] = marks(drawing, "baseline")
    assert float(baseline.attrib["x1"]) > float(other.attrib["cx"])
    shown = texts(drawing)
    assert {"1. agent-1", "2. agent-2", "12", "13", "baseline 31", "ms, lower is better"} <= {
        *shown
    }


def test_evaluations(measured: dict[str, ElementTree.Element]) -> None:
    drawing = measured["ms over the evaluations"]
    assert len(marks(drawing, "series")) == 2
    assert len(marks(drawing, "strong")) == 1
    assert len(list(drawing.iter(f"{SVG}circle"))) == 4
    assert {"eval-1", "eval-2", "agent-1", "agent-2"} <= {*texts(drawing)}


def test_sizes(measured: dict[str, ElementTree.Element]) -> None:
    drawing = measured["Lines changed"]
    widths = [float(mark.attrib["width"]) for mark in marks(drawing, "added")]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.01)
    assert len(marks(drawing, "deleted")) == 2
    assert {"+1", "+2", "−1"} <= {*texts(drawing)}


def test_time_line(measured: dict[str, ElementTree.Element]) -> None:
    drawing = measured["Time line"]
    assert [text for text in texts(drawing) if text in ("running", "evaluating")] == [
        "running",
        "evaluating",
    ]
    assert len(marks(drawing, "band")) == 4
    assert len([mark for mark in marks(drawing, "run") if len(mark)]) == 2
    assert len([mark for mark in marks(drawing, "commit") if len(mark)]) == 4
    assert len([mark for mark in marks(drawing, "post") if len(mark)]) == 2
    assert {"eval-1", "eval-2"} <= {*texts(drawing)}


def test_commit_graph(measured: dict[str, ElementTree.Element]) -> None:
    drawing = measured["Commits"]
    shown = texts(drawing)
    assert shown[1] == "hub: merge agent-1 from session s1"
    assert shown[-1] == "base"
    assert {"agent-1", "agent-2", "idea agent-1", "idea agent-2"} <= {*shown}
    assert len(marks(drawing, "dot")) >= 6
    # Each commit has a line to its parent, the merge two, and the first commit none.
    assert len(marks(drawing, "edge")) == 6


def test_chart_of_all_sessions(hub: Hub) -> None:
    create_measured_session(hub)
    hub.run("init", "-q", "--id", "s2", "--task", "t")
    [drawing] = charts(hub.run("report", "--all").out).values()
    assert {"s1", "\N{MINUS SIGN}61.3 %"} <= {*texts(drawing)}
    assert "s2" not in texts(drawing)


def test_many_commits(hub: Hub) -> None:
    """The graph has the newest commits, and names the command that shows all."""
    hub.session(agents=1)
    script = "for n in $(seq 160); do git commit -q --allow-empty -m $n; done"
    hub.call("sh", "-c", script, cwd=hub.worktree(1))
    page = hub.run("report", "s1").out
    assert len(marks(charts(page)["Commits"], "id")) == 150
    note = (
        "The graph leaves out 10 older commits. Show all with: <code>git hub-session log --graph s1"
    )
    assert note in section(page, "Commits")


def test_hostile_texts_in_charts(hub: Hub) -> None:
    create_hostile_session(hub)
    page = hub.run("report", "s1").out
    assert any(text.startswith("</title>") for text in texts(charts(page)["Commits"]))


# --- In a browser ---------------------------------------------------------------------------------


# The smallest contrast of a text with its background, as the accessibility guidelines (WCAG) define it.
CONTRAST = """\
const luminance = color => {
  const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map(value => value / 255).map(
    value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const background = element => {
  for (; element; element = element.parentElement) {
    const color = getComputedStyle(element).backgroundColor;
    if (color !== "rgba(0, 0, 0, 0)") return color;
  }
};
const contrasts = [...document.querySelectorAll("body *")].filter(
  element => !["title", "desc", "script"].includes(element.tagName)
    && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())
).map(element => {
  const style = getComputedStyle(element);
  const pair = [element instanceof SVGElement ? style.fill : style.color, background(element)];
  const [dark, light] = pair.map(luminance).sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
});
const page = getComputedStyle(document.body);
document.title = JSON.stringify(
  [page.backgroundColor, page.color, contrasts.length, Math.min(...contrasts)]);
"""
DARK = "--blink-settings=preferredColorScheme=0"
LIGHT = "--blink-settings=preferredColorScheme=1"


def run_script(page: str, script: str, directory: Path, *options: str) -> list[Any]:
    """Open a page in the browser, with a script that writes a JSON list into the title."""
    page = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    file = directory / "page.html"
    file.write_text(page.replace("</body>", f"<script>{script}</script></body>"))
    done = run_browser(directory / "profile", *options, "--dump-dom", file.as_uri())
    [title] = re.findall(r"<title>(\[.*?\])</title>", done.stdout)
    return list(json.loads(html.unescape(title)))


@pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")
def test_page_in_a_browser(hub: Hub, tmp_path: Path) -> None:
    """The browser finds the elements that we have written, and blocks nothing of the page."""
    create_hostile_session(hub)
    file = hub.top / "page.html"
    assert hub.run("report", "s1", "-o", file).code == 0
    done = run_browser(tmp_path / "profile", "--dump-dom", file.as_uri())
    assert "CONSOLE" not in done.stderr
    written, loaded = Page(file.read_text()), Page(done.stdout)
    names = [[each for each in page.elements if each.name != "tbody"] for page in (written, loaded)]
    assert names[0] == names[1]
    assert "".join(written.text.split()) == "".join(loaded.text.split())


@pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")
def test_rows_of_evaluations_are_low(hub: Hub, tmp_path: Path) -> None:
    """Twelve measured values take three lines, also if the table is wider than the window."""
    hub.session("s1", agents=2)
    for number in (1, 2):
        hub.commit(hub.worktree(number), "file", "1\n" * number)
    hub.run("update", "-q", "s1", "--state", "running")
    command = "echo ms: 12.3$(wc -l <file)"
    words = ("eval", "-q", "s1", "--eval", command, "--baseline", "30", *EVAL, "--repeat", "12")
    for _ in range(2):
        assert hub.run(*words).code == 0
    script = (
        "document.title = JSON.stringify([...document.querySelectorAll('tbody tr')]"
        ".map(row => row.getBoundingClientRect().height / 16))"
    )
    heights = run_script(hub.run("report", "s1").out, script, tmp_path, "--window-size=820,900")
    assert max(heights) < 5  # in the height of the text


@pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")
def test_light_dark_and_print(hub: Hub, tmp_path: Path) -> None:
    """Each text can be read, and a page on paper is light also if the screen is dark."""
    create_measured_session(hub)
    page = hub.run("report", "s1").out
    printed = page.replace("@media screen", "@media not all").replace("@media print", "@media all")
    assert page.count("@media print") == 1
    white, black = "rgb(255, 255, 255)", "rgb(0, 0, 0)"
    for text, option, expected in (
        (page, LIGHT, (white, "rgb(27, 31, 38)")),
        (page, DARK, ("rgb(20, 23, 28)", "rgb(230, 233, 238)")),
        (printed, DARK, (white, black)),
    ):
        *colors, count, contrast = run_script(text, CONTRAST, tmp_path, option)
        assert tuple(colors) == expected
        assert count > 100
        assert contrast >= 4.5, option


@pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")
def test_events_are_visible_beside_a_long_name(hub: Hub, tmp_path: Path) -> None:
    """The author of a step wraps, so that the text of the event starts inside the window."""
    hub.session("s1")
    name = "Ada Augusta King, Countess of Lovelace and of many other places"
    author = {"GIT_COMMITTER_NAME": name, "GIT_AUTHOR_NAME": name}
    assert hub.run("update", "-q", "s1", "--state", "running", environ=author).code == 0
    page = hub.run("report", "s1").out
    assert name in page
    script = (
        "document.title = JSON.stringify([...document.querySelectorAll('td:nth-child(4)')]"
        ".map(cell => cell.getBoundingClientRect().left))"
    )
    lefts = run_script(page, script, tmp_path, "--window-size=820,900")
    assert 0 < max(lefts) < 600
