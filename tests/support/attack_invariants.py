"""The rules that each command must follow in a repository with a planted attack."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from tests.support.answers import find_invalid
from tests.support.attack_repository import SECRET, AttackRepository, Stamps
from tests.support.command_lines import CHANGE_REMOTE, Call
from tests.support.fork_server import Answer

# Control characters except newline and tab, bidirectional control characters, line separators, and
# bytes that are not UTF-8.
CONTROL_CHARACTERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_COLOR = re.compile("\x1b\\[[0-9;]*m")
_LINE = re.compile(r'[a-z_]+( ([^"\\]*|"([^"\\]|\\.)*"))?|')
_FIELD = re.compile(rb"[a-z_]+( .+)?", re.DOTALL)


def broken_rules(
    repository: AttackRepository,
    call: Call,
    answer: Answer,
    before: Stamps,
    after: Stamps,
    codes: set[int],
) -> list[str]:
    """Return the rules that a command has broken. `codes` are the allowed exit codes."""
    broken = []
    if answer.code not in codes:
        broken.append(f"exit code {answer.code}")
    if b"Traceback" in answer.err or b"bug in git hub-session" in answer.err:
        broken.append("a traceback")
    if repository.canary_file.exists():
        broken.append("a command of the repository has run")
    if SECRET.encode() in answer.out + answer.err:
        broken.append("the content of a file outside was printed")
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    broken += [f"touched {path!r}" for path in changed if not _may_change(repository, call, path)]
    return broken + _check_output(call, answer)


def _may_change(repository: AttackRepository, call: Call, path: str) -> bool:
    """Return True if a command may change `path`.

    It may change the hub, .git, the agents' worktrees and the list of approved commands. Only some
    commands may change the remote or the main worktree.
    """
    allowed = [repository.store, repository.project / ".git", repository.base / "project.hub"]
    allowed.append(repository.base / "home" / ".local")
    if call.changes_main_worktree:
        allowed.append(repository.project)
    if call.arguments in CHANGE_REMOTE:
        allowed.append(repository.remote)
    return any(path == str(top) or path.startswith(f"{top}/") for top in allowed)


def _check_output(call: Call, answer: Answer) -> list[str]:
    """Return the broken rules of the output."""
    out = answer.out.decode("utf-8", "surrogateescape")
    err = answer.err.decode("utf-8", "surrogateescape")
    broken = []
    if CONTROL_CHARACTERS.search(err):
        broken.append("standard error has control characters")
    if "-z" in call.arguments:
        return broken + _check_fields(answer.out)
    if "--color=always" in call.arguments:
        out = _COLOR.sub("", out)
    # `cd "$(git hub-session path ...)"` needs the real path. `path` escapes it only on a terminal.
    if CONTROL_CHARACTERS.search(out) and call.arguments[0] != "path":
        broken.append("standard output has control characters")
    if "--format=json" in call.arguments:
        broken += _check_json(call.arguments, out, err, answer.code)
    if "--format=porcelain" in call.arguments:
        broken += [f"porcelain: {line}" for line in out.split("\n") if not _LINE.fullmatch(line)]
        if out and not out.endswith("\n"):
            broken.append("porcelain: the last line has no newline")
    return broken


def _check_fields(out: bytes) -> list[str]:
    """Return the broken rules of porcelain output with -z."""
    *fields, last = out.split(b"\0")
    invalid = [field for field in fields if field and not _FIELD.fullmatch(field)]
    broken = [f"-z: {field!r}" for field in invalid]
    if last:
        broken.append("-z: the last field has no end")
    return broken


def _check_json(words: Sequence[str], out: str, err: str, code: int | None) -> list[str]:
    """Return the broken rules of JSON output.

    A command prints one ASCII document to standard output, or an error document to standard error.
    On standard error, warnings in any characters may precede the error document.
    """
    notes = ("warning: ", "error: ", "the newest")
    text = out or "".join(line for line in err.splitlines(True) if not line.startswith(notes))
    try:
        document = json.loads(text)
        assert out or ("error" in document and code != 0)
    except (ValueError, AssertionError):
        return [f"no JSON: {out[:200]!r} {err[:200]!r}"]
    broken = find_invalid(words, out, "" if out else text)
    return broken if text.isascii() else [*broken, "JSON that is not ASCII"]
