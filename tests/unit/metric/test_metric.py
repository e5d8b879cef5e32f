"""Metrics are read from the output of programs."""

from __future__ import annotations

import pytest

from git_hub_session.metric.metric import MetricNotFound, read_metric


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
    assert read_metric(text, name).value == value


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("ms: 1,234,567", 1234567, ""),
        ("ms: 1.2 s", 1.2, "s"),
        ("\x1b[32mms:\x1b[0m \x1b[1m12.5\x1b[0m", 12.5, ""),
        ("\x1b]0;title\x07ms\x1b(B: 3\x1b[K", 3, ""),
        ("ms: 1\r\nms: 2\r\n", 2, ""),
        ("ms: 1\rms: 2\r", 2, ""),
        ("ms 12.5", 12.5, ""),
        ("  ms\t0m1.234s\n", 1.234, "s"),
        ("ms 1:30.5\n", 90.5, "s"),
        ("ms := 4", 4, ""),
        ("ms => 4", 4, ""),
        ('ms: "4 s"', 4, "s"),
        # JSON among other lines, several documents, and lines of JSON
        ('{\n  "ms": 3,\n  "n": {"ms": 9}\n}\n', 3, ""),
        ('start\n{\n  "ms": 3,\n  "n": {"ms": 9}\n}\nend ms\n', 3, ""),
        ('{"ms": 1, "n": {"ms": 9}}\n{"ms": 2, "n": {"ms": 9}}\n{"done": true}\n', 2, ""),
        ('[info] result {"ms": 3, "n": {"ms": 9}} ok', 3, ""),
        ('{"ms": "1.5 s"}', 1.5, "s"),
        ('{"ms": "4"}', 4, ""),
        ("{broken\n[1,\n" + '{"ms": 3}', 3, ""),
        ('{"ms": 3}\nms: 4\n', 4, ""),
        ('ms: 4\n{"ms": 3}\n', 3, ""),
        # Text that is not a value of the metric
        ("ms: 4\nms 3: ok\nms passed\nin ms 7", 4, ""),
    ],
)
def test_last_value_counts(text: str, value: float, unit: str) -> None:
    assert read_metric(text, "ms") == (value, unit)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no 'm' in the output"),
        ("n: 4", "no 'm' in the output"),
        ("m: fast", "'m' is not a number: 'm: fast'"),
        ("m: 50\nm: failed\n", "'m' is not a number: 'm: failed'"),
        ("m: 50\nm:\n7", "'m' is not a number: 'm:'"),
        ("m 50\nm 5x5\n", "'m' is not a number: 'm 5x5'"),
        ("m: 1.2.3", "'m' is not a number: 'm: 1.2.3'"),
        ("it is m: 3/4 " + "x" * 60, "'m' is not a number: 'it is m: 3/4 " + "x" * 44 + "...'"),
        ("y" * 60 + " m: 3/4", "'m' is not a number: 'm: 3/4'"),
        ('{"m": "fast"}', "'m' is not a number: '\"fast\"'"),
        ('{"m": 5}\n{"m": true}', "'m' is not a number: 'true'"),
        ("m: " + "9" * 400, "'m' is not a number: 'm: " + "9" * 54 + "...'"),
        ('{"m": null}', "'m' is not a number: 'null'"),
        ('{"m": [4]}', "'m' is not a number: '[4.0]'"),
        ("4", "no 'm' in the output"),
        ("[4]", "no 'm' in the output"),
        ("m: 4\nm: nan", "'m' is nan"),
        ("m: -inf", "'m' is -inf"),
        ("m: Infinity", "'m' is inf"),
        ("m: 1e999", "'m' is inf"),
        ("m: -1e-400", "'m' is not a number: 'm: -1e-400'"),
        ('{"m": 1e-400}', "'m' is not a number: '\"1e-400\"'"),
        ('{"m": NaN}', "'m' is nan"),
        ('{"m": 1e999}', "'m' is inf"),
        ('{"m": ' + "9" * 400 + "}", "'m' is inf"),
        ("[" * 100_000 + '"m"', "no 'm' in the output"),
    ],
)
def test_output_without_the_metric(text: str, message: str) -> None:
    with pytest.raises(MetricNotFound) as error:
        read_metric(text, "m")
    assert str(error.value) == message


def test_the_name_of_the_metric_is_not_a_pattern() -> None:
    with pytest.raises(MetricNotFound):
        read_metric("abc: 4", "a.c")
    assert read_metric("p(50: 4", "p(50") == (4.0, "")
