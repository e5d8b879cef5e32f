"""Run one fuzzing harness with atheris, as `make fuzz` does.

    python -m tests.security.fuzz session -max_total_time=600 tests/security/fuzz/corpus/session

The arguments after the name of the harness are options of libFuzzer. An input that fails is written
to a file crash-* in the current directory.
"""

from __future__ import annotations

import sys
from importlib import import_module

import atheris

HARNESSES = ("configfile", "session")


def main(arguments: list[str]) -> None:
    """Fuzz until an input fails, or until libFuzzer reaches its limits."""
    if arguments[:1] not in ([name] for name in HARNESSES):
        sys.exit(
            f"usage: python -m tests.security.fuzz ({' | '.join(HARNESSES)}) [<libFuzzer's options>]"
        )
    with atheris.instrument_imports(include=["git_hub_session"]):
        harness = import_module(f"tests.security.fuzz.{arguments[0]}")
    atheris.Setup([sys.argv[0], *arguments[1:]], harness.check_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
