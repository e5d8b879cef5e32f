"""The tutorial: its commands are typed in a project with the same files.

The real benchmark runs and checks the results. A small program replaces the time that it prints,
because a busy machine can make the winner slow. All text must be as on the page, except times, figures and object ids.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.transcripts import output_pattern
from tests.support.tutorial import create_tutorial_project, tutorial_steps

pytestmark = pytest.mark.slow


def without_figures(text: str) -> str:
    """Replace times, metrics and object ids, and the spaces that align them."""
    text = re.sub(r"\d{4}-\d\d-\d\dT\S+", "TIME", text)
    text = re.sub(r"\b\d+ (?:second|minute)s? ago", "AGE", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "ID", text)
    text = re.sub(r"\b\d+\.\d+(?=s\b)|\bms: \S+|\bms \d+\S+", "N", re.sub(" +", " ", text))
    return re.sub(r"^( \d agent-\d) .* \(5\) \S+ \S+", r"\1 VALUES", text, flags=re.MULTILINE)


def test_the_tutorial_is_true(tmp_path: Path, environ: Mapping[str, str]) -> None:
    hub = create_tutorial_project(tmp_path / "words", environ)
    codes = []
    for command, expected in tutorial_steps():
        result = hub.call("sh", "-c", f"exec 2>&1; {command}")
        shown = without_figures(result.out.replace(str(tmp_path), "/home/ada"))
        pattern = output_pattern(without_figures(expected))
        assert re.fullmatch(pattern, shown), f"{command}\n{shown}\n{without_figures(expected)}"
        codes.append(result.code)
    assert codes == [0] * 14 + [1, 0]
