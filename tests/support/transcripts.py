"""Read the code blocks and the transcripts of a document."""

from __future__ import annotations

import re

# A command may continue on the next line with a backslash; its output has no "$ " at the start.
_STEP = re.compile(r"^\$ ((?:.*\\\n)*.*\n)((?:(?!\$ ).*\n)*)", re.MULTILINE)


def code_blocks(document: str, language: str) -> list[str]:
    """Return the code blocks of a Markdown document in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", document, re.DOTALL | re.MULTILINE)


def transcript_steps(transcript: str) -> list[tuple[str, str]]:
    """Return the commands of a transcript, each with the output below it."""
    return _STEP.findall(transcript)


def output_pattern(text: str) -> str:
    """Return the regular expression for an output in a document. `...` stands for any lines."""
    lines = text.splitlines(keepends=True)
    return "".join("(?:.*\n)*?" if line == "...\n" else re.escape(line) for line in lines)
