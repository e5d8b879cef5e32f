"""The command that starts this program again, with this Python and these libraries."""

from __future__ import annotations

import os
import sys

_PROGRAM = """\
import sys
sys.path[:] = {path!r}
sys.argv[0] = "git-hub-session"
from git_hub_session.__main__ import command
command()"""


def own_program() -> list[str]:
    """Return the words that start this program, without a command and its arguments.

    Python imports no file of the current directory (-I): that can be another person's repository.
    """
    path = [os.path.abspath(entry) for entry in sys.path if entry]
    return [sys.executable, "-I", "-c", _PROGRAM.format(path=path)]
