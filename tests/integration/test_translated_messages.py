"""git speaks the language of the user. The program understands its messages all the same."""

from __future__ import annotations

import os
import struct

import pytest

from tests.support.evaluated_sessions import (
    create_evaluated_session,
    git_status,
    write_hook,
)
from tests.support.hub import Hub, Result

GERMAN = {
    "": "Content-Type: text/plain; charset=UTF-8\n",
    "error: ": "Fehler: ",
    "fatal: ": "Schwerwiegend: ",
    "ref updates aborted by hook": "Aktualisierungen durch Hook abgebrochen",
}


@pytest.fixture
def german(hub: Hub) -> dict[str, str]:
    """Return variables with which git speaks German. Skip the test if this git cannot."""
    directory = hub.top.parent / "locale"
    catalog = directory / "de" / "LC_MESSAGES" / "git.mo"
    catalog.parent.mkdir(parents=True)
    catalog.write_bytes(message_catalog(GERMAN))
    variables = {"GIT_TEXTDOMAINDIR": str(directory), "LANGUAGE": "de", "LC_ALL": "C.UTF-8"}
    if "Fehler: " not in hub.call("git", "branch", "-d", "none", environ=variables).err:
        pytest.skip("this git does not translate messages")
    return variables


def message_catalog(texts: dict[str, str]) -> bytes:
    """Return a catalog in the format of gettext: two tables of lengths and offsets, and the texts."""
    keys = sorted(texts)
    strings = [text.encode() for text in [*keys, *(texts[key] for key in keys)]]
    offset = 28 + 8 * len(strings)
    table = data = b""
    for string in strings:
        table += struct.pack("<2I", len(string), offset + len(data))
        data += string + b"\0"
    header = struct.pack("<7I", 0x950412DE, 0, len(keys), 28, 28 + 8 * len(keys), 0, 0)
    return header + table + data


def test_merge_into_files_with_new_times(hub: Hub, german: dict[str, str]) -> None:
    """git refuses at first: "Entry 'file' not uptodate". The content is the same."""
    create_evaluated_session(hub)
    os.utime(hub.top / "file", (0, 0))
    assert hub.run("merge", "-q", "--yes", "s1", environ=german) == Result(0)
    assert (git_status(hub), (hub.top / "new").read_text()) == ("## main", "2\n")


@pytest.mark.parametrize("option", ["-n", "--yes"])
def test_merge_into_changed_files(hub: Hub, german: dict[str, str], option: str) -> None:
    """git's message names the file. This program says what to do."""
    create_evaluated_session(hub)
    (hub.top / "file").write_text("mine\n")
    result = hub.run("merge", "-q", option, "s1", environ=german)
    message = f"git cannot update '{hub.top}', where 'main' is checked out"
    hint = f"commit the changes there\nhint: git -C {hub.top} stash"
    assert result == Result(1, "", f"error: {message}: 'file' has local changes\nhint: {hint}\n")


@pytest.mark.parametrize("command", [("merge", "-q", "--yes"), ("archive", "-q")])
def test_reference_transaction_hook(
    hub: Hub, german: dict[str, str], command: tuple[str, ...]
) -> None:
    """The refusal of the hook is recognized, and nothing changes. The hook speaks German."""
    create_evaluated_session(hub)
    write_hook(hub, "reference-transaction", "echo $LANGUAGE $LC_ALL >&2; exit 1")
    refs = hub.refs()
    result = hub.run(*command, "s1", environ=german)
    lines = result.err.splitlines()
    error = f"error: the reference-transaction hook rejected the {command[0]}; nothing was changed"
    assert (result.code, lines[-1], set(lines[:-1])) == (1, error, {"de C.UTF-8"})
    assert (hub.refs(), hub.state()["state"]) == (refs, "evaluating")
