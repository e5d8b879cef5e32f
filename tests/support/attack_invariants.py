"""What holds of every call, whatever was planted."""

from __future__ import annotations

import json
import re

from tests.support.attack_repository import SECRET, Stamps, World
from tests.support.command_lines import Call
from tests.support.forked import Answer

# Controls but line feed and tab; bidirectional marks, embeddings, overrides and isolates; the
# separators of lines; bytes that are no text.
NEVER = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_COLOR = re.compile("\x1b\\[[0-9;]*m")
_LINE = re.compile(r'[a-z_]+( ([^"\\]*|"([^"\\]|\\.)*"))?|')
_FIELD = re.compile(rb"[a-z_]+( .+)?", re.DOTALL)


def faults(
    world: World, call: Call, answer: Answer, before: Stamps, after: Stamps, codes: set[int]
) -> list[str]:
    """Every promise that the call has broken; `codes` are how it may end."""
    found = []
    if answer.code not in codes:
        found.append(f"exit code {answer.code}")
    if b"Traceback" in answer.err or b"bug in git hub-session" in answer.err:
        found.append("a traceback")
    if world.ran.exists():
        found.append("a command of the repository has run")
    if SECRET.encode() in answer.out + answer.err:
        found.append("what lies outside was shown")
    touched = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    found += [f"touched {path!r}" for path in touched if not _may_touch(world, call, path)]
    return found + _of_output(call, answer)


def _may_touch(world: World, call: Call, path: str) -> bool:
    """The hub, what git keeps of the repository, the agents' worktrees, and the list of allowed commands."""
    own = [world.store, world.project / ".git", world.base / "project.hub"]
    own.append(world.base / "home" / ".local")
    if call.moves_files:
        own.append(world.project)
    return any(path == str(top) or path.startswith(f"{top}/") for top in own)


def _of_output(call: Call, answer: Answer) -> list[str]:
    out = answer.out.decode("utf-8", "surrogateescape")
    err = answer.err.decode("utf-8", "surrogateescape")
    found = []
    if NEVER.search(err):
        found.append("standard error drives the terminal")
    if "-z" in call.words:
        return found + _of_fields(answer.out)
    if "--color=always" in call.words:
        out = _COLOR.sub("", out)
    # The path is for `cd "$(git hub-session path …)"`: a terminal alone is shielded from it.
    if NEVER.search(out) and call.words[0] != "path":
        found.append("standard output drives the terminal")
    if "--format=json" in call.words:
        found += _of_json(out, err, answer.code)
    if "--format=porcelain" in call.words:
        found += [f"porcelain: {line}" for line in out.split("\n") if not _LINE.fullmatch(line)]
        if out and not out.endswith("\n"):
            found.append("porcelain: the last line has no end")
    return found


def _of_fields(out: bytes) -> list[str]:
    *fields, last = out.split(b"\0")
    return [f"-z: {one!r}" for one in fields if one and not _FIELD.fullmatch(one)] + [
        "-z: the last field has no end"
    ] * bool(last)


def _of_json(out: str, err: str, code: int | None) -> list[str]:
    """An answer is one document; where there is none the error is one, on standard error.

    What is told besides is for people, and may be in any letters.
    """
    told = ("warning: ", "error: ", "the newest")
    said = out or "".join(one for one in err.splitlines(True) if not one.startswith(told))
    try:
        document = json.loads(said)
        assert out or (set(document["error"]) == {"code", "message", "hint"} and code != 0)
    except (ValueError, AssertionError):
        return [f"no JSON: {out[:200]!r} {err[:200]!r}"]
    return [] if said.isascii() else ["JSON that is not ASCII"]
