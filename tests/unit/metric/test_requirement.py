"""A requirement compares a metric with a number, in the unit of the number."""

from __future__ import annotations

import pytest

from git_hub_session.errors import UsageError
from git_hub_session.metric.quantity import Quantity
from git_hub_session.metric.requirement import parse_requirements


@pytest.mark.parametrize(
    ("text", "good", "bad", "failure"),
    [
        ("errors==0", "0", "3", "'errors' is 3 (required: errors==0)"),
        (" errors != 0 ", "3", "0", "'errors' is 0 (required: errors != 0)"),
        ("p99<250ms", "0.2 s", "0.25 s", "'p99' is 0.25 s (required: p99<250ms)"),
        ("p99<=250", "250 ms", "250.0000001 ms", "'p99' is 250.0000001 ms (required: p99<=250)"),
        ("runs[0].ok>1", "2", "1", "'runs[0].ok' is 1 (required: runs[0].ok>1)"),
        (
            "coverage>=80%",
            "80 %",
            "80",
            "'coverage' is 80, without a unit (required: coverage>=80%)",
        ),
        ("p99<1s", "1 ms", "1 kB", "'p99' is 1 kB, in another unit (required: p99<1s)"),
    ],
)
def test_condition(text: str, good: str, bad: str, failure: str) -> None:
    [requirement] = parse_requirements([text])
    quantities = [Quantity(float(value), unit) for value, _, unit in map(split, (good, bad))]
    assert [requirement.describe_failure(quantity) for quantity in quantities] == ["", failure]


def split(text: str) -> tuple[str, str, str]:
    return text.partition(" ")


@pytest.mark.parametrize("text", ["", "errors", "errors=0", "==0", "errors==", "a<b<3", "a==nan"])
def test_invalid_condition(text: str) -> None:
    with pytest.raises(UsageError, match="not a requirement"):
        parse_requirements([text])


def test_number_of_conditions() -> None:
    assert len(parse_requirements(["a>0"] * 30)) == 1
    with pytest.raises(UsageError, match="more than 20 requirements"):
        parse_requirements([f"a>{number}" for number in range(21)])
