"""Scales and marks of a chart, also for values that no chart is made for."""

from __future__ import annotations

from math import isfinite
from xml.etree import ElementTree

import pytest

from git_hub_session.report.markup import Markup, element, escape, join, lines_of
from git_hub_session.report.svg import chart, diamond, dot, label, line, make_scale

EXTREMES = [
    [0.0],
    [5e-324, 0.0],
    [1.0, 1.0],
    [1e15, 1e15 + 0.125],
    [-1.7e308, 1.7e308],
    [1.7e308],
    [1e-300, 2e-300],
    [],
]


def test_ticks_are_round_values_in_the_range() -> None:
    scale = make_scale([87.0, 91.0], 100, 700)
    assert (scale.low, scale.high) == (86.8, 91.2)
    assert scale.ticks() == [87, 88, 89, 90, 91]
    assert make_scale([0.02, 0.31], 0, 1, zero=True).ticks() == [0, 0.1, 0.2, pytest.approx(0.3)]


def test_bars_begin_at_zero() -> None:
    scale = make_scale([40.0, -10.0], 0, 100, zero=True)
    assert scale.low < -10
    assert scale.place(0) == pytest.approx(100 * -scale.low / (scale.high - scale.low))
    assert make_scale([40.0], 0, 100, zero=True).place(0) == 0


@pytest.mark.parametrize("values", EXTREMES)
@pytest.mark.parametrize("zero", [False, True])
def test_extreme_values_have_a_place(values: list[float], zero: bool) -> None:
    scale = make_scale(values, 100, 700, zero=zero)
    assert all(isfinite(scale.place(value)) for value in values)
    assert len(scale.ticks()) <= 15
    assert all(isfinite(scale.place(value)) for value in scale.ticks())


def test_a_chart_is_valid_xml() -> None:
    text = "a<b>&\"'\x1b\u202e\ufffe\uffff\udcffé"
    marks = (
        label(1, 2, text),
        label(1, 2, "x" * 30, most=10),
        line(1, 2, 3, 4, "grid"),
        dot(1, 2, 3, "s0", text),
        diamond(1, 2, 3, "post", text),
    )
    figure = chart("Title <1>", "Description", 120, *marks)
    [svg] = ElementTree.fromstring(figure)[0]
    assert svg.attrib["viewBox"] == "0 0 800 120"
    texts = [child.text for child in svg]
    shown = "a<b>&\"'\\x1b\\u202e\\ufffe\\uffff\\xffé"
    assert texts[:4] == ["Title <1>", "Description", shown, "x" * 9 + "…"]
    assert [child[0].text for child in svg[5:]] == [shown, shown]


def test_text_is_escaped_once() -> None:
    assert escape("<&>\n") == "&lt;&amp;&gt;\\n"
    inner = element("b", "<", title='"', class_="")
    assert inner == '<b title="&quot;">&lt;</b>'
    assert element("p", inner, "&") == '<p><b title="&quot;">&lt;</b>&amp;</p>'
    assert join(["<", Markup("<br>")], ", ") == "&lt;, <br>"
    assert lines_of("a\tb\n\r<") == "a       b\n\\r&lt;"
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'
