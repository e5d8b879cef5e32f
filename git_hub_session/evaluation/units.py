"""The measured values of a target, and their conversion to one unit for all targets.

This module has no side effects.
"""

from __future__ import annotations

from collections.abc import Mapping

from git_hub_session._typing import NamedTuple
from git_hub_session.metric.quantity import Quantity, convert_quantity

BASELINE = "baseline"
"""The name of the target that measures the base branch, in place of an agent's name."""


class Measurement(NamedTuple):
    """The measured values of one target."""

    values: tuple[float, ...] = ()
    reason: str = ""
    """The reason that the target has no values, or ''."""
    unit: str = ""
    """The unit of the values, or ''."""
    missing: str = ""
    """The thing that the command did not find in its worktree, or ''."""

    def add(self, quantity: Quantity | None) -> Measurement:
        """Return the measurement with one more value, in the unit of the first.

        Return it unchanged for None: the run passed, and there is no metric.
        """
        if quantity is None:
            return self
        if not self.values:
            return Measurement((quantity.value,), "", quantity.unit)
        value = convert_quantity(quantity, self.unit)
        if value is None:
            units = f"'{self.unit or 'none'}' and '{quantity.unit or 'none'}'"
            return Measurement((), f"its values have different units: {units}")
        return self._replace(values=(*self.values, value))


class ComparedMeasurements(NamedTuple):
    """Measurements in one unit."""

    measurements: Mapping[str, Measurement]
    """The measurements by the name of their target. Those in another unit have only a reason."""
    unit: str
    is_converted: bool
    """True if a value was measured in another unit and converted."""


def convert_to_one_unit(
    measurements: Mapping[str, Measurement], baseline: Quantity | None
) -> ComparedMeasurements:
    """Convert all values to the unit of the baseline, or else to the unit of most agents.

    A target has no values if its unit cannot be converted. If there is no unit of most agents, no
    agent has values.

    Args:
        baseline: a known baseline, or None. If it has no unit, it is in the agents' unit.
    """
    units = {name: each.unit for name, each in measurements.items() if each.values}
    measured_baseline = measurements.get(BASELINE, Measurement())
    owner = "the baseline"
    unit: str | None = baseline.unit if baseline else ""
    if measured_baseline.values:
        unit = measured_baseline.unit
    elif not unit:
        owner = "most agents"
        unit = _find_common_unit(units)
    if unit is None:
        listed = ", ".join(f"{name} {_describe_unit(each)}" for name, each in units.items())
        return ComparedMeasurements(
            {
                name: Measurement((), f"the units differ: {listed}") if each.values else each
                for name, each in measurements.items()
            },
            "",
            False,
        )
    converted = {name: _convert(each, unit, owner) for name, each in measurements.items()}
    return ComparedMeasurements(converted, unit, any(each != unit for each in units.values()))


def _find_common_unit(units: Mapping[str, str]) -> str | None:
    """Return the unit to which most targets can be converted, or None if two units tie."""
    counts = {
        unit: sum(
            convert_quantity(Quantity(0, other), unit) is not None for other in units.values()
        )
        for unit in dict.fromkeys(units.values())
    }
    most = max(counts.values(), default=0)
    best = [unit for unit, count in counts.items() if count == most]
    if any(convert_quantity(Quantity(0, unit), best[0]) is None for unit in best):
        return None
    return best[0] if best else ""


def _convert(measurement: Measurement, unit: str, owner: str) -> Measurement:
    values = [
        convert_quantity(Quantity(value, measurement.unit), unit) for value in measurement.values
    ]
    if None in values:
        return Measurement(
            (),
            f"its values are {_describe_unit(measurement.unit)},"
            f" those of {owner} are {_describe_unit(unit)}",
        )
    converted = tuple(value for value in values if value is not None)
    return Measurement(converted, measurement.reason, unit if converted else "")


def _describe_unit(unit: str) -> str:
    return f"in '{unit}'" if unit else "without a unit"
