"""What fuzzing has found, and what it needs to get everywhere, runs with every test: without atheris."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

CORPUS = Path(__file__).parent / "corpus"
INPUTS = sorted(
    file for directory in CORPUS.iterdir() if directory.is_dir() for file in directory.iterdir()
)


@pytest.mark.parametrize("harness", ["configfile", "session"])
def test_the_kept_corpus(harness: str) -> None:
    """No input breaks what the harness holds; each names itself if it does."""
    one_input = import_module(f"tests.security.fuzz.{harness}").one_input
    inputs = [file for file in INPUTS if file.parent.name == harness]
    assert len(inputs) > 30
    for file in inputs:
        try:
            one_input(file.read_bytes())
        except Exception as fault:
            raise AssertionError(f"{harness}: {file.name}") from fault
