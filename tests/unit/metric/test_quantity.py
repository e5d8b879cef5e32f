"""Numbers and units are parsed whole, and converted exactly."""

from __future__ import annotations

import pytest

from git_hub_session.metric.quantity import (
    Quantity,
    convert_quantity,
    parse_finite_quantity,
    parse_leading_quantity,
    parse_quantity,
)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("12", 12, ""),
        ("5.", 5, ""),
        (".5", 0.5, ""),
        ("+.5", 0.5, ""),
        ("-1.5e-3", -0.0015, ""),
        ("\u22122", -2, ""),
        ("1E3", 1000, ""),
        ("1,234,567", 1234567, ""),
        ("1_234", 1234, ""),
        ("1'234.5", 1234.5, ""),
        ("-1,000", -1000, ""),
        ("85%", 85, "%"),
        ("85 percent", 85, "%"),
        ("1.5x", 1.5, "x"),
        ("900 ms", 900, "ms"),
        ("900ms", 900, "ms"),
        ("3 \u00b5s", 3, "us"),
        ("3\u03bcs", 3, "us"),
        ("2 seconds", 2, "s"),
        ("8.1 [ms]", 8.1, "ms"),
        ("8.1 (ms)", 8.1, "ms"),
        ("1m02s", 62, "s"),
        ("0m1.234s", 1.234, "s"),
        ("1h2m3.5s", 3723.5, "s"),
        ("1m 30s", 90, "s"),
        ("-1m30s", -90, "s"),
        ("1s500ms", 1.5, "s"),
        ("1:30.5", 90.5, "s"),
        ("-1:30", -90, "s"),
        ("1:02:03", 3723, "s"),
        ("512 KiB", 512, "KiB"),
        ("3KB", 3, "kB"),
        ("3.5MB/s", 3.5, "MB/s"),
        ("120 req/s", 120, "req/s"),
        ("120 req/sec", 120, "req/s"),
        ("120/s", 120, "/s"),
        ("35 ns/op", 35, "ns/op"),
        ("5.1 \u00b1 0.2 ms", 5.1, "ms"),
        ("5.1\u00b10.2ms", 5.1, "ms"),
        ("5.1 +- 0.2", 5.1, ""),
        ("2.4 GHz", 2.4, "GHz"),
        ("inf", float("inf"), ""),
    ],
)
def test_whole_texts(text: str, value: float, unit: str) -> None:
    assert parse_quantity(f" {text} ") == Quantity(value, unit)
    assert parse_leading_quantity(text) == Quantity(value, unit)
    assert parse_leading_quantity(f"{text}, and more: 4") == Quantity(value, unit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".",
        "fast",
        "failed",
        "12abc",
        "1,5",
        "1,2345",
        "12,34,567",
        "1_2",
        "1'23",
        "1.2.3",
        "3/10",
        "5-7",
        "0x10",
        "5e",
        "1.5M",
        "2024-01-01",
        "~5",
        "<5",
        "$5",
        "[1",
        "1m02",
        "1h2m3",
        "5Mb",
        "1:75",
        "٣",
        "5 ±",
        "5/x",
        "5foo/bar",
        "5**",
        "5 ms/",
        "1m30",
    ],
)
def test_other_texts(text: str) -> None:
    assert parse_quantity(text) is None
    assert parse_leading_quantity(text) in (None, Quantity(5))
    assert parse_leading_quantity(text) is None or text.startswith("5 ")


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("3, really", 3, ""),
        ('3,"x": 4}', 3, ""),
        ("8} more", 8, ""),
        ("8.", 8, ""),
        ("8: done", 8, ""),
        ("50 of 60", 50, ""),
        ("12 min: 3 max: 20", 12, ""),
        ("5(avg)", 5, ""),
        ("1.1 s 900 ms", 1.1, "s"),
        ("123.45 [#/sec] (mean)", 123.45, ""),
        ("8 (ms", 8, ""),
        ("101.2 ms \u00b1 0.8 ms", 101.2, "ms"),
        ("2 msx", 2, ""),
    ],
)
def test_beginning_of_a_text(text: str, value: float, unit: str) -> None:
    assert parse_leading_quantity(text) == Quantity(value, unit)


@pytest.mark.parametrize(
    ("quantity", "unit", "value"),
    [
        (Quantity(1.2, "s"), "ms", 1200),
        (Quantity(0.29, "s"), "ms", 290),
        (Quantity(900, "ms"), "s", 0.9),
        (Quantity(3, "us"), "ns", 3000),
        (Quantity(2, "h"), "m", 120),
        (Quantity(1, "d"), "h", 24),
        (Quantity(1, "MiB"), "KiB", 1024),
        (Quantity(1, "MB"), "kB", 1000),
        (Quantity(8, "Mbit"), "MB", 1),
        (Quantity(3.5, "MB/s"), "kB/s", 3500),
        (Quantity(120, "req/m"), "req/s", 2),
        (Quantity(1, "us/op"), "ns/op", 1000),
        (Quantity(60, "/m"), "/s", 1),
        (Quantity(5), "", 5),
        (Quantity(5), "ms", None),
        (Quantity(5, "ms"), "", None),
        (Quantity(5, "ms"), "MB", None),
        (Quantity(5, "req/s"), "ops/s", None),
        (Quantity(5, "req/s"), "req/op", None),
        (Quantity(1e299, "GB"), "B", None),
    ],
)
def test_conversion(quantity: Quantity, unit: str, value: float | None) -> None:
    assert convert_quantity(quantity, unit) == value


def test_finite_quantities() -> None:
    assert parse_finite_quantity("5 ms") == Quantity(5, "ms")
    for text in ("nan", "-inf", "1e301", "five"):
        assert parse_finite_quantity(text) is None
