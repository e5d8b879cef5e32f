"""The machine on which a measurement was made, as a value.

A record of a remote can have it, so it is hostile input.
"""

from __future__ import annotations

from collections.abc import Mapping

from git_hub_session._typing import Any, NamedTuple
from git_hub_session.util.numbers import MAX_COUNT, format_number

MAX_TEXT = 200  # characters


class Machine(NamedTuple):
    """A machine, and its load before a measurement. The names of the fields are keys of JSON."""

    host: str
    processor: str = ""
    """The model of the processor, or ''."""
    cpus: int | None = None
    """The number of CPUs, or None."""
    load: float | None = None
    """The load average of the last minute before the measurement, or None."""

    @property
    def text(self) -> str:
        """The machine in one line, which is not escaped."""
        facts = (
            self.processor,
            f"{self.cpus} CPUs" if self.cpus else "",
            "" if self.load is None else f"load {format_number(self.load)}",
        )
        known = ", ".join(filter(None, facts))
        return f"{self.host} ({known})" if known else self.host


def parse_machine(value: object) -> Machine | None:
    """Return the machine in a value of a JSON file, or None. A wrong value counts as missing."""
    if not isinstance(value, dict):
        return None
    host, processor, cpus, load = (value.get(key) for key in Machine._fields)
    if not isinstance(host, str) or not host:
        return None
    is_count = type(cpus) is int and 0 < cpus <= MAX_COUNT
    if not isinstance(load, int | float) or not 0 <= load <= MAX_COUNT:
        load = None
    return Machine(
        host[:MAX_TEXT],
        processor[:MAX_TEXT] if isinstance(processor, str) else "",
        cpus if is_count else None,
        None if load is None else float(load),
    )


def machine_fields(machine: Machine | None) -> Mapping[str, Any] | None:
    """Return the JSON of a machine, or None."""
    return machine._asdict() if machine else None
