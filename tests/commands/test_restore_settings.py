"""Settings of git that changed between the save and the restore do not change the restored bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.hub import Hub, Result

RESTORE = ("restore", "-q", "s1", "--path", "../worktrees/{id}/agent-{n}")
RESCUE = "refs/hub/rescue/s1/agent-1/attempt-1/1"


def set_config(hub: Hub, settings: dict[str, str]) -> None:
    """Set the settings in the shared configuration. An empty value removes a setting."""
    for name, value in settings.items():
        hub.git("config", name, value) if value else hub.git("config", "--unset-all", name)


def read_files(worktree: Path) -> dict[str, tuple[bytes | str, bool]]:
    """Return the bytes of each file or the target of each link, and True if it is executable.

    Leave out the unchanged files: git checks them out by its present settings.
    """
    files: dict[str, tuple[bytes | str, bool]] = {}
    for path in sorted(worktree.iterdir()):
        if path.is_symlink():
            files[path.name] = f"-> {path.readlink()}", False
        elif path.is_file() and path.name not in (".git", ".gitattributes"):
            files[path.name] = path.read_bytes(), bool(path.stat().st_mode & 0o100)
    return files


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"core.autocrlf": "true"}, {"core.autocrlf": ""}),
        ({"core.autocrlf": "true"}, {"core.autocrlf": "input"}),
        ({"core.autocrlf": "input"}, {"core.autocrlf": "true"}),
        ({"core.autocrlf": "false"}, {"core.autocrlf": "true"}),
        ({"core.eol": "crlf"}, {"core.eol": "lf"}),
        ({"core.eol": "crlf"}, {"core.autocrlf": "input", "core.eol": ""}),
        ({"core.symlinks": "false"}, {"core.symlinks": "true"}),
        ({"core.symlinks": "true"}, {"core.symlinks": "false"}),
        ({"core.fileMode": "false"}, {"core.fileMode": "true"}),
        ({"core.fileMode": "true"}, {"core.fileMode": "false"}),
    ],
)
def test_setting_that_changed(hub: Hub, before: dict[str, str], after: dict[str, str]) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "tracked-link").symlink_to("file")
    (worktree / ".gitattributes").write_text("*.auto text=auto\n*.crlf text eol=crlf\n")
    (worktree / "committed.auto").write_bytes(b"1\n")
    hub.git("add", ".", cwd=worktree)
    hub.git("commit", "-qm", "files", cwd=worktree)
    set_config(hub, before)
    (worktree / "tracked-link").unlink()
    hub.git("checkout", "-f", "--", "tracked-link", cwd=worktree)
    # Other line endings cannot be saved, and keep the worktree.
    is_windows = before in ({"core.autocrlf": "true"}, {"core.eol": "crlf"})
    text = b"1\r\n2\r\n" if is_windows else b"1\n2\n"
    for name in ("new.auto", "new.txt", "staged.auto", "committed.auto"):
        (worktree / name).write_bytes(text)
    (worktree / "new.crlf").write_bytes(b"1\r\n2\r\n")
    hub.git("add", "staged.auto", "committed.auto", cwd=worktree)
    (worktree / "file").chmod(0o755)
    (worktree / "link").symlink_to("file")
    if before == {"core.symlinks": "false"}:
        (worktree / "tracked-link").write_text("edited")
    files = read_files(worktree)
    cleaned = hub.run("cleanup", "-q", "s1")
    assert cleaned == Result(0)
    set_config(hub, after)
    assert hub.run(*RESTORE) == Result(0)
    if before.get("core.symlinks") == "true":
        files["tracked-link"] = b"file", False  # an unchanged file
    assert read_files(worktree) == files


def create_filtered_work(hub: Hub) -> Path:
    """Save a file that the filter `shout` writes in upper case, and return its worktree."""
    hub.git("config", "filter.shout.clean", "tr A-Z a-z")
    hub.git("config", "filter.shout.smudge", "tr a-z A-Z")
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.commit(worktree, ".gitattributes", "*.loud filter=shout\n")
    (worktree / "a.loud").write_text("TEXT\n")
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    return worktree


def test_filter_that_changed(hub: Hub) -> None:
    """The original bytes are unknown, so a warning names the file."""
    worktree = create_filtered_work(hub)
    hub.git("config", "filter.shout.smudge", "cat")
    warning = (
        "warning: agent-1 has other bytes than before in 'a.loud': git's filters have changed\n"
    )
    assert hub.run(*RESTORE) == Result(0, "", warning)
    assert (worktree / "a.loud").read_text() == "text\n"


def test_filter_that_did_not_change(hub: Hub) -> None:
    worktree = create_filtered_work(hub)
    assert hub.run(*RESTORE) == Result(0)
    assert (worktree / "a.loud").read_text() == "TEXT\n"


def test_list_of_an_older_version(hub: Hub) -> None:
    """The list has no blob ids: the output of the filter is accepted."""
    worktree = create_filtered_work(hub)
    message = hub.git("log", "-1", "--format=%B", RESCUE)
    subject, filtered = message.split("Filtered: ")
    message = f"{subject}Filtered: {json.dumps(list(json.loads(filtered)))}"
    parents = hub.git("rev-parse", f"{RESCUE}^@").split()
    options = [word for parent in parents for word in ("-p", parent)]
    commit = hub.git("commit-tree", f"{RESCUE}^{{tree}}", *options, "-m", message)
    hub.git("update-ref", RESCUE, commit)
    hub.git("config", "filter.shout.smudge", "cat")
    assert hub.run(*RESTORE) == Result(0)
    assert (worktree / "a.loud").read_text() == "text\n"
