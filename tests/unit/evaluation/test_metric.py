"""Metrics are read from the output of programs."""

from __future__ import annotations

import pytest

from git_hub_session.evaluation.metric import MetricNotFound, read_metric


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ('{"p50": 12.5}', "p50", 12.5),
        ('{"latency": {"p50": 3}}', "latency.p50", 3.0),
        ('{"runs": [{"p50": 1}, {"p50": 2}]}', "runs[1].p50", 2.0),
        ('{"runs": [{"p50": 1}]}', "runs.0.p50", 1.0),
        ('{"a.b": 4}', "a.b", 4.0),
        ('[{"p50": 5}]', "[0].p50", 5.0),
        ('{"p50": -1e3}', "p50", -1000.0),
        ('warming up\n{"latency": {"p50": 7}}\n', "latency.p50", 7.0),
        ("p50: 12.5", "p50", 12.5),
        ("p50=12.5ms", "p50", 12.5),
        ("P50 = +.5", "p50", 0.5),
        ("p50: 1\nother: 9\np50: 2", "p50", 2.0),
        ("p50: -1.5e-3 s", "p50", -0.0015),
        ("p50: 5.", "p50", 5.0),
        ("score: 85%", "score", 85.0),
        ("it is p50: 3, really", "p50", 3.0),
        ('log {"p50": 8} more', "p50", 8.0),
        ("{'p50': 8}", "p50", 8.0),
        ("time (s): 4", "time (s)", 4.0),
        ("a.b: 4", "a.b", 4.0),
        ("p50: 1\nmax_p50: 2\np50x: 3\np50-old: 4", "p50", 1.0),
        # A JSON document has no metric if it is a number, or has a number at a parent of the path.
        ("p50: 12\n0\n", "p50", 12.0),
        ('latency.p50: 12\n{"latency": 5}', "latency.p50", 12.0),
        # A document without the key is searched like other text.
        ('{"results": [{"p50": 6}]}', "p50", 6.0),
    ],
)
def test_read_metric(text: str, name: str, value: float) -> None:
    assert read_metric(text, name) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no 'm' in the output"),
        ("n: 4", "no 'm' in the output"),
        ("m 4", "no 'm' in the output"),
        ("m: fast", "no 'm' in the output"),
        ("m: 1.2.3", "no 'm' in the output"),
        ('{"m": "4"}', "no 'm' in the output"),
        ('{"m": true}', "no 'm' in the output"),
        ('{"m": null}', "no 'm' in the output"),
        ('{"m": [4]}', "no 'm' in the output"),
        ("4", "no 'm' in the output"),
        ("[4]", "no 'm' in the output"),
        ("m: 4\nm: nan", "'m' is nan"),
        ("m: -inf", "'m' is -inf"),
        ("m: Infinity", "'m' is inf"),
        ("m: 1e999", "'m' is inf"),
        ('{"m": NaN}', "'m' is nan"),
        ('{"m": 1e999}', "'m' is inf"),
        ('{"m": ' + "9" * 400 + "}", "'m' is inf"),
        ("[" * 100_000 + '"m"', "no 'm' in the output"),
    ],
)
def test_output_without_the_metric(text: str, message: str) -> None:
    with pytest.raises(MetricNotFound, match=f"^{message}$"):
        read_metric(text, "m")


def test_the_name_of_the_metric_is_not_a_pattern() -> None:
    with pytest.raises(MetricNotFound):
        read_metric("abc: 4", "a.c")
    assert read_metric("p(50: 4", "p(50") == 4.0
