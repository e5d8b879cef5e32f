"""A cleanup passes its data through few files. A profiler hook counts the files."""

from __future__ import annotations

import json
import sys

import pytest

from tests.support.hub import CHECKOUT, Hub

# Runs the command. For each class below, prints the files with a function that gets such a value.
# The general methods of a NamedTuple (`_typing.py`), such as `_replace`, do not count.
_PROFILED_COMMAND = """
import json, os, sys
package = os.path.join({checkout!r}, "git_hub_session", "")
sys.path.insert(0, {checkout!r})
from git_hub_session.main import main
files = {{"Project": set(), "Worktree": set()}}

def note_arguments(frame, event, _):
    code = frame.f_code
    path = code.co_filename.removeprefix(package)
    if event != "call" or path in (code.co_filename, "_typing.py"):
        return
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        value = frame.f_locals.get(name)
        if isinstance(value, list) and value:
            value = value[0]
        kind = type(value).__name__
        kind = "Worktree" if kind.startswith("Worktree") else kind
        if kind in files:
            files[kind].add(path)

sys.setprofile(note_arguments)
exit_code = main()
sys.setprofile(None)
print(json.dumps({{kind: sorted(paths) for kind, paths in files.items()}}), file=sys.stderr)
sys.exit(exit_code)
"""


@pytest.mark.parametrize(("kind", "limit"), [("Project", 16), ("Worktree", 15)])
def test_number_of_files_that_a_cleanup_passes_through(hub: Hub, kind: str, limit: int) -> None:
    """The worktree has something to save, so that all steps of a cleanup run."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "new").write_text("new\n")
    program = _PROFILED_COMMAND.format(checkout=str(CHECKOUT))
    result = hub.call(sys.executable, "-c", program, "cleanup", "s1")
    assert (result.code, worktree.exists()) == (0, False)
    files = json.loads(result.err.splitlines()[-1])[kind]
    assert "cleanup/plan.py" in files
    assert len(files) <= limit, " ".join(files)
