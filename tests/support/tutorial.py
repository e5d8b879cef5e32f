"""The project of docs/tutorial.md, with a program that prints fixed times for the benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.hub import CHECKOUT, PYTHON, Hub, new_hub
from tests.support.transcripts import code_blocks, transcript_steps

PAGE = (CHECKOUT / "docs" / "tutorial.md").read_text()

# The real benchmark runs and checks the results. The time that it prints is replaced, because a
# busy machine can make the winner slow.
_PYTHON3 = """\
#!/bin/sh
{times}
"{python}" "$@" >/dev/null || exit
echo "ms: $ms"
"""
FIXED_TIMES = """\
case $(cat words.py) in
*Counter*) ms=1.08 ;;
*set*) ms=160.40 ;;
*) ms=536.26 ;;
esac"""


def create_tutorial_project(
    top: Path, environ: Mapping[str, str], *, times: str = FIXED_TIMES
) -> Hub:
    """Create the repository of the tutorial at `top`, without a commit of its files.

    Args:
        times: the shell script that sets `ms`. It replaces the time that the benchmark prints.
    """
    hub = new_hub(top, environ, through_git=True)
    words, bench = code_blocks(PAGE, "python")
    (hub.top / "words.py").write_text(words)
    (hub.top / "bench.py").write_text(bench)
    (top.parent / "agent.sh").write_text(code_blocks(PAGE, "sh")[0])
    program = Path(environ["PATH"].partition(":")[0], "python3")
    program.write_text(_PYTHON3.format(times=times, python=PYTHON))
    program.chmod(0o755)
    return hub


def tutorial_steps() -> list[tuple[str, str]]:
    """Return the commands of the tutorial, each with the output below it."""
    return transcript_steps("".join(code_blocks(PAGE, "console")))
