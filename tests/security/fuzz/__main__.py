"""`make fuzz`: atheris on one of the harnesses; the words after its name are libFuzzer's.

    python -m tests.security.fuzz session -max_total_time=600 tests/fuzz/corpus/session

What is found lies in crash-* where it was called.
"""

from __future__ import annotations

import sys
from importlib import import_module

import atheris

HARNESSES = ("configfile", "session")


def main(words: list[str]) -> None:
    """Fuzz until something fails, or libFuzzer's limits are reached."""
    if words[:1] not in ([name] for name in HARNESSES):
        sys.exit(
            f"usage: python -m tests.security.fuzz ({' | '.join(HARNESSES)}) [<libFuzzer's options>]"
        )
    with atheris.instrument_imports(include=["git_hub_session"]):
        harness = import_module(f"tests.security.fuzz.{words[0]}")
    atheris.Setup([sys.argv[0], *words[1:]], harness.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
