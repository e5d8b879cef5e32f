"""The modules that a command loads."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.hub import CHECKOUT, PYTHON, UNMEASURED, Hub

# The imports take these times in milliseconds: pygit2 70, PyYAML 17, subprocess 12, argparse 9.
HEAVY = ("pygit2", "yaml", "subprocess", "argparse", "difflib")

PROBE = """\
import sys
sys.path.insert(0, sys.argv.pop(1))
from git_hub_session.main import main
code = main()
import json
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def loaded(hub: Hub, *words: str, cwd: Path | None = None) -> set[str]:
    """Return the modules in the process of a command at its end. The command has to succeed."""
    probe = (PYTHON, "-I", "-c", PROBE, CHECKOUT)
    result = hub.call(*probe, *words, cwd=cwd, environ=UNMEASURED)
    code, modules = json.loads(result.err.splitlines()[-1])
    assert (code, result.code) == (0, 0), result
    assert "git_hub_session.main" in modules
    return set(modules)


def heavy(modules: set[str]) -> list[str]:
    """Return the modules whose import takes long."""
    return [name for name in HEAVY if name in modules]
