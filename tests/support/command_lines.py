"""Every command there is, in its forms: what each attack is tried on."""

from __future__ import annotations

from typing import NamedTuple


class Call(NamedTuple):
    """One call, and what it may touch besides the hub, git's own files and the worktrees."""

    words: tuple[str, ...]
    moves_files: bool = False
    """It merges into the branch that is checked out in the main worktree."""


def _calls(*lines: str) -> list[Call]:
    return [Call(tuple(line.split())) for line in lines]


_LOOKING = (
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
_REHEARSED = (
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


# Every call that changes nothing in every form.
LOOKING = [
    _in_form(call, form) for call in _calls(*_LOOKING, *_REHEARSED) for form in ("", *_FORMS)
]
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
CALLS = [*LOOKING, *CHANGING]

UNTRIED = {"demo"}
"""It works in a directory of its own, and reads no repository."""


def share(turn: int) -> list[Call]:
    """All that changes something, and each that looks in one form: after five turns it was each."""
    forms = 1 + len(_FORMS)
    return [
        *(LOOKING[at + (turn + at // forms) % forms] for at in range(0, len(LOOKING), forms)),
        *CHANGING,
    ]
