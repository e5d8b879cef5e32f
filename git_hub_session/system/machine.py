"""Read the facts of this machine that explain a measurement."""

from __future__ import annotations

import os
import re

from git_hub_session.util.machine import MAX_TEXT, Machine

_CPU_FILE = "/proc/cpuinfo"
_MODEL = r"(?m)^(?:model name|Model|cpu model|cpu)\s*:\s*(\S.*)$"
_MAX_BYTES = 1 << 16


def read_machine() -> Machine:
    """Return this machine with its present load."""
    system = os.uname()
    try:
        load = round(os.getloadavg()[0], 2)
    except OSError:
        load = None
    processor = _read_model() or system.machine
    return Machine(system.nodename[:MAX_TEXT], processor[:MAX_TEXT], os.cpu_count(), load)


def _read_model() -> str:
    """Return the model of the processor, or '' if the system does not tell it."""
    try:
        with open(_CPU_FILE, encoding="utf-8", errors="replace") as file:
            match = re.search(_MODEL, file.read(_MAX_BYTES))
    except OSError:
        return ""
    return match[1].strip() if match else ""
