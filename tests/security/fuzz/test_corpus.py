"""Run the harnesses on all inputs of the corpus, without atheris."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

CORPUS = Path(__file__).parent / "corpus"
INPUTS = sorted(
    file for directory in CORPUS.iterdir() if directory.is_dir() for file in directory.iterdir()
)


@pytest.mark.parametrize("harness", ["configfile", "session"])
def test_harness_accepts_the_corpus(harness: str) -> None:
    """The harness accepts each input. An error names the file of the input."""
    check_input = import_module(f"tests.security.fuzz.{harness}").check_input
    inputs = [file for file in INPUTS if file.parent.name == harness]
    assert len(inputs) > 30
    for file in inputs:
        try:
            check_input(file.read_bytes())
        except Exception as error:
            raise AssertionError(f"{harness}: {file.name}") from error
