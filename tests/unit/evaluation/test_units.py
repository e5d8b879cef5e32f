"""Values of different units are converted. A value that cannot be converted is a named error."""

from __future__ import annotations

from git_hub_session.evaluation.units import Measurement, convert_to_one_unit
from git_hub_session.metric.quantity import Quantity


def measured(*texts: str) -> dict[str, Measurement]:
    """Return a measurement for each agent, such as "900 ms". An empty text is a failure."""
    measurements = {}
    for number, text in enumerate(texts, start=1):
        value, _, unit = text.partition(" ")
        measurement = Measurement((float(value),), "", unit) if text else Measurement((), "failed")
        measurements[f"agent-{number}"] = measurement
    return measurements


def test_values_are_converted_to_the_first_unit() -> None:
    compared = convert_to_one_unit(measured("900 ms", "1.2 s", "", "3 us"), None)
    assert compared == (
        {
            "agent-1": Measurement((900,), "", "ms"),
            "agent-2": Measurement((1200,), "", "ms"),
            "agent-3": Measurement((), "failed"),
            "agent-4": Measurement((0.003,), "", "ms"),
        },
        "ms",
        True,
    )


def test_values_without_a_unit() -> None:
    measurements = measured("900", "1.2", "")
    assert convert_to_one_unit(measurements, None) == (measurements, "", False)
    assert convert_to_one_unit(measured(""), None) == (measured(""), "", False)
    assert convert_to_one_unit({}, None) == ({}, "", False)


def test_unit_of_most_agents_counts() -> None:
    compared = convert_to_one_unit(measured("900", "1.2 s", "800 ms"), None)
    assert compared == (
        {
            "agent-1": Measurement(
                (), "its values are without a unit, those of most agents are in 's'"
            ),
            "agent-2": Measurement((1.2,), "", "s"),
            "agent-3": Measurement((0.8,), "", "s"),
        },
        "s",
        True,
    )


def test_without_a_majority_no_agent_has_values() -> None:
    compared = convert_to_one_unit(measured("900", "1.2 s", ""), None)
    reason = "the units differ: agent-1 without a unit, agent-2 in 's'"
    assert compared == (
        {
            "agent-1": Measurement((), reason),
            "agent-2": Measurement((), reason),
            "agent-3": Measurement((), "failed"),
        },
        "",
        False,
    )


def test_unit_of_the_baseline_counts() -> None:
    reason = "its values are without a unit, those of the baseline are in 's'"
    expected = ({"agent-1": Measurement((), reason), "agent-2": Measurement((), reason)}, "s")
    assert convert_to_one_unit(measured("900", "5"), Quantity(1, "s"))[:2] == expected
    baseline = {"baseline": Measurement((2.0,), "", "s")}
    compared = convert_to_one_unit({**measured("900", "5"), **baseline}, None)
    assert compared.measurements == {**expected[0], **baseline}
    failed = {"baseline": Measurement((), "failed")}
    compared = convert_to_one_unit({**measured("5 MB"), **failed}, None)
    assert (compared.unit, compared.measurements["agent-1"].values) == ("MB", (5,))


def test_repetitions_in_different_units() -> None:
    measurement = Measurement().add(Quantity(900, "ms")).add(Quantity(1.1, "s"))
    assert measurement == Measurement((900, 1100), "", "ms")
    assert measurement.add(Quantity(5)) == Measurement(
        (), "its values have different units: 'ms' and 'none'"
    )
