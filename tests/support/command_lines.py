"""The command lines that run on each planted attack: all commands, in all output formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Call(NamedTuple):
    """A command line, which may change the hub, .git and the agents' worktrees."""

    arguments: tuple[str, ...]
    changes_main_worktree: bool = False
    """True if the command may also change the main worktree, into which it merges."""


def _calls(*lines: str) -> list[Call]:
    return [Call(tuple(line.split())) for line in lines]


CHANGE_REMOTE = (("push",), ("work", "s5", "--", "true"))
"""The command lines that may change the remote."""

_READ_ONLY = (
    "list",
    "status s1",
    "status",
    "status --short",
    "log s1",
    "log --frontier",
    "board",
    "board read results",
    "board read results --max-count 1",
    "path s1 1",
    "show s1 1",
    "guide",
    "config",
    "config agentCmd",
    "hooks status",
    "completion bash",
    "completion --words -- path s1 a",
    "completion --words -- board reply r",
    "completion --words -- merge --into m",
    "doctor",
    "doctor s1",
)
# The output of these commands is that of another program.
_WITHOUT_FORMAT = (
    "watch",
    "watch s1",
    "log --graph s1",
    "report s1",
    "report s1 --format=md",
    "report --all",
    "diff s1 1",
    "diff --uncommitted s1 1 2",
    "open s1 1",
    "shell-init bash",
    "schema",
    "schema status",
)
_DRY_RUNS = (
    "update s1 --state evaluating -n",
    "spawn s1 --retry 1 -n",
    "exec s1 -n -- true",
    "adopt s1 agent-1 main -n",
    "eval s2 --ranking 1 -n",
    "merge s2 -n",
    "cleanup s1 -n",
    "archive s2 -n",
    "prune --older-than 0s -n",
    "delete s4 -n",
    "push -n",
    "fetch -n",
    "restore s3 -n",
    "board post results -m text -n",
    "board create ideas -n",
)
_CHANGING = (
    "init --id s9 --task text",
    "init --after s2",
    "update s1 --state evaluating --reason why",
    "spawn s1",
    "spawn s1 --retry 1",
    "exec s1 -- true",
    "shell s1 1",
    "adopt s1 agent-1 main",
    "eval s1",
    "cleanup s1",
    "cleanup s1 --archive --force --discard",
    "cleanup --finished",
    "archive s2",
    "prune --older-than 0s --yes",
    "delete s4",
    "push",
    "fetch",
    "work s5 -- true",
    "restore s3",
    "board post results -m text",
    "board reply results/001 -m text",
    "board create ideas",
    "hooks install",
    "hooks uninstall",
    "doctor --fix",
)
_FORMATS = ("--format=json", "--format=porcelain", "-z", "--color=always")


def _with_format(call: Call, format_option: str) -> Call:
    """Return the call with an output option, or unchanged for an empty option."""
    return call._replace(
        arguments=(call.arguments[0], *[format_option] * bool(format_option), *call.arguments[1:])
    )


_IN_ALL_FORMATS = [
    _with_format(call, format_option)
    for call in _calls(*_READ_ONLY, *_DRY_RUNS)
    for format_option in ("", *_FORMATS)
]
READ_ONLY = [*_IN_ALL_FORMATS, *_calls(*_WITHOUT_FORMAT)]
"""The read-only commands and the dry runs, each in all formats."""
CHANGING = [
    *_calls(*_CHANGING),
    Call(("eval", "s1", "--eval", "echo p50: 1", "--metric", "p50", "--direction", "lower")),
    Call(("merge", "s2", "--yes"), changes_main_worktree=True),
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
            *(
                "--eval",
                "echo p50: 1",
                "--metric",
                "p50",
                "--direction",
                "lower",
                "--yes",
                "--allow-regression",
            ),
        ),
        changes_main_worktree=True,
    ),
]
CALLS = [*READ_ONLY, *CHANGING]

EXCLUDED = {"demo"}
"""The commands that are not tested: `demo` works in a new repository."""


def select_calls(turn: int, changing: Sequence[Call] = CHANGING) -> list[Call]:
    """Return the changing commands, and each read-only command in one format.

    Five consecutive turns use all formats.
    """
    formats = 1 + len(_FORMATS)
    return [
        *(
            _IN_ALL_FORMATS[start + (turn + start // formats) % formats]
            for start in range(0, len(_IN_ALL_FORMATS), formats)
        ),
        *_calls(*_WITHOUT_FORMAT),
        *changing,
    ]
