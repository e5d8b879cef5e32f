"""The text of a metric and its change."""

from __future__ import annotations

import pytest

from git_hub_session.cli.view import TerminalStyle, metric_text

UNICODE = TerminalStyle(None, False, "→", "…", "−")
ASCII = TerminalStyle(None, False, "->", "...", "-")


@pytest.mark.parametrize(
    ("baseline", "value", "text"),
    [
        (180, 142, "ms: 180 → 142 (−21.1 %)"),
        (5, 7, "ms: 5 → 7 (+40.0 %)"),
        (5, 5, "ms: 5 → 5 (+0.0 %)"),
        (100_000, 99_999, "ms: 100000 → 99999 (−0.001 %)"),
        (-4, -5, "ms: -4 → -5 (−25.0 %)"),
        (0, 3, "ms: 0 → 3"),
        (1e-300, 1e300, "ms: 1e-300 → 1e+300"),
        (None, 142, "ms: 142"),
    ],
)
def test_metric_text(baseline: float | None, value: float, text: str) -> None:
    assert metric_text("ms", value, baseline, UNICODE) == text


def test_metric_text_in_ascii() -> None:
    assert metric_text("m\ns", 142, 180, ASCII) == "m\\ns: 180 -> 142 (-21.1 %)"
