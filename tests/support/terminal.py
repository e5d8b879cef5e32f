"""Run the command in a pseudo-terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pexpect

from tests.support.hub import NOW, Hub


def run_in_terminal(
    hub: Hub,
    *arguments: str,
    program: str = "git hub-session",
    columns: int = 80,
    rows: int = 200,
    cwd: Path | None = None,
    code: int = 0,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Return the output of `<program> <arguments>` in a terminal of this size.

    Args:
        rows: the height. No tested answer is as long as the default, so none is in a pager.
        code: the expected exit status.
        environ: more environment variables.
    """
    terminal = {"TERM": "xterm", "GIT_TEST_DATE_NOW": str(NOW)}
    output, status = pexpect.run(  # type: ignore[str-unpack]
        " ".join([program, *arguments]),
        cwd=str(cwd or hub.top),
        env={**hub.environ, **terminal, **(environ or {})},
        encoding="utf-8",
        withexitstatus=True,
        dimensions=(rows, columns),
        timeout=120,
    )
    assert status == code, output
    return str(output)
