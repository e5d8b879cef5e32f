"""The command lines that run on each planted attack: all commands, in all output formats."""

from __future__ import annotations

from typing import NamedTuple


class Call(NamedTuple):
    """A command line. It may change the hub, .git and the agents' worktrees."""

    words: tuple[str, ...]
    moves_files: bool = False
    """True if it may also change the main worktree, because it merges into the branch there."""


def _calls(*lines: str) -> list[Call]:
    return [Call(tuple(line.split())) for line in lines]


_READ_ONLY = (
    "list",
    "status s1",
    "status",
    "log s1",
    "board",
    "board read results",
    "path s1 1",
    "doctor",
    "doctor s1",
)
_DRY_RUNS = (
    "update s1 --state evaluating -n",
    "spawn s1 --retry 1 -n",
    "exec s1 -n -- true",
    "eval s2 --ranking 1 -n",
    "merge s2 -n",
    "cleanup s1 -n",
    "archive s2 -n",
    "restore s3 -n",
    "board post results -m text -n",
)
_CHANGING = (
    "init --id s9 --task text",
    "update s1 --state evaluating --reason why",
    "spawn s1",
    "spawn s1 --retry 1",
    "exec s1 -- true",
    "eval s1",
    "cleanup s1",
    "cleanup s1 --archive --force --discard",
    "cleanup --finished",
    "archive s2",
    "restore s3",
    "board post results -m text",
    "board reply 001 -m text",
    "doctor --fix",
)
_FORMS = ("--format=json", "--format=porcelain", "-z", "--color=always")


def _in_form(call: Call, form: str) -> Call:
    return call._replace(words=(call.words[0], *[form] * bool(form), *call.words[1:]))


READ_ONLY = [
    _in_form(call, form) for call in _calls(*_READ_ONLY, *_DRY_RUNS) for form in ("", *_FORMS)
]
"""The read-only commands and the dry runs, each in every format."""
CHANGING = [
    *_calls(*_CHANGING),
    Call(("eval", "s1", "--eval", "echo p50: 1", "--metric", "p50", "--direction", "lower")),
    Call(("merge", "s2", "--yes"), moves_files=True),
    Call(
        (
            *(
                "run",
                "--id",
                "s9",
                "--task",
                "text",
                "--agents",
                "1",
                "--agent-cmd",
                "echo x >x; git add x; git commit -qm x",
            ),
            *("--eval", "echo p50: 1", "--metric", "p50", "--direction", "lower", "--yes"),
        ),
        moves_files=True,
    ),
]
CALLS = [*READ_ONLY, *CHANGING]

UNTRIED = {"demo"}
"""The commands that read no repository: `demo` works in a new directory."""


def share(turn: int) -> list[Call]:
    """Return the changing commands, and each read-only command in one format.

    Five consecutive turns use all formats.
    """
    forms = 1 + len(_FORMS)
    return [
        *(
            READ_ONLY[first + (turn + first // forms) % forms]
            for first in range(0, len(READ_ONLY), forms)
        ),
        *CHANGING,
    ]
