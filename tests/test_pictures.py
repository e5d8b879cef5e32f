"""The pictures of the documents: whole files without traces of a machine, and as the program prints."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.pictures import (
    PICTURES,
    REPORT,
    SESSION,
    WATCH,
    draw_live_view,
    draw_report,
    draw_session,
    play_session,
    tutorial_project,
)
from tests.support.browser import CHROMIUM
from tests.support.hub import CHECKOUT

SVG = "{http://www.w3.org/2000/svg}"
DRAWINGS = (SESSION, WATCH)
GROWTH = "growth.svg"
COMMANDS = ("init", "spawn", "exec", "eval", "diff", "merge")
MACHINE = re.compile(rb"/(?:tmp|home|root|work|var|Users)\b|https?://(?!www\.(?:w3|textualize))")


def text_lines(svg: str) -> list[str]:
    """Return the text of a drawing from top to bottom, without empty lines."""
    lines: dict[float, str] = {}
    for each in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        y = float(each.attrib["y"])
        lines[y] = lines.get(y, "") + (each.text or "").replace("\xa0", " ")
    return [text for _, text in sorted(lines.items()) if text.strip()]


def compare(name: str, drawn: str) -> None:
    """Compare the texts of a picture with those of a new one. The writers of SVG drop spaces."""
    known, new = (
        [line.replace(" ", "") for line in text_lines(svg)]
        for svg in ((PICTURES / name).read_text(), drawn)
    )
    assert known == new, "the program prints another text: make pictures"


def shown_pictures() -> set[Path]:
    """Return the pictures that the documents show. Each one has an alternative text."""
    found = set()
    for document in (*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").glob("*.md")):
        for text, target in re.findall(r"!\[(.*?)\]\((.*?)\)", document.read_text(), re.DOTALL):
            assert len(text) > 20, f"{document.name}: {target}"
            found.add(document.parent / target)
    return found


def test_the_documents_show_all_pictures() -> None:
    assert shown_pictures() == {PICTURES / name for name in (*DRAWINGS, REPORT, GROWTH)}
    assert shown_pictures() == {*PICTURES.iterdir()}


@pytest.mark.parametrize("name", [*DRAWINGS, REPORT])
def test_a_picture_is_small_and_has_no_trace_of_a_machine(name: str) -> None:
    content = (PICTURES / name).read_bytes()
    assert MACHINE.findall(content) == []
    assert len(content) < 150_000


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_a_picture_of_its_own(name: str) -> None:
    """It has a background and a size, no program, and no part of another file."""
    text = (PICTURES / name).read_text()
    drawing = ElementTree.fromstring(text)
    assert drawing.tag == f"{SVG}svg"
    assert re.fullmatch(r"0 0 [\d.]+ [\d.]+", drawing.attrib["viewBox"])
    assert {each.tag for each in drawing.iter()} == {
        f"{SVG}{tag}" for tag in ("svg", "style", "defs", "clipPath", "rect", "text", "g", "circle")
    }
    assert not re.search(r"@import|url\((?!#)|href|\bon\w+=", text)


def test_the_commands_of_the_session() -> None:
    commands = [
        line.split()[3]
        for line in text_lines((PICTURES / SESSION).read_text())
        if line.startswith("$ git hub-session ")
    ]
    assert commands == [*COMMANDS]


def test_the_report_is_a_whole_png() -> None:
    content = (PICTURES / REPORT).read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    at, kinds = 8, []
    while at < len(content):
        size = int.from_bytes(content[at : at + 4])
        chunk, checksum = content[at + 4 : at + 8 + size], content[at + 8 + size : at + 12 + size]
        assert zlib.crc32(chunk) == int.from_bytes(checksum)
        kinds.append(chunk[:4])
        at += 12 + size
    assert (kinds[0], kinds[-1]) == (b"IHDR", b"IEND")


# --- Drawn again ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_session_is_as_the_program_prints() -> None:
    with tutorial_project() as hub:
        compare(SESSION, draw_session(play_session(hub)))


@pytest.mark.slow
def test_the_live_view_is_as_the_program_shows() -> None:
    with tutorial_project(committed=True) as hub:
        compare(WATCH, draw_live_view(hub))


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")
def test_the_report_is_drawn(tmp_path: Path) -> None:
    """The fonts of the machine change the pixels, but not the size."""
    with tutorial_project() as hub:
        play_session(hub)
        draw_report(hub, tmp_path / REPORT)
    sizes = [(top / REPORT).read_bytes()[16:24] for top in (PICTURES, tmp_path)]
    assert sizes[0] == sizes[1]
