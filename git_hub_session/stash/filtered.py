"""Restore the bytes of files that git's filters or core.symlinks change.

The bytes of a saved file are the bytes of its blob, or the output of git's filters for the blob.
The message of a stash lists the files of the second kind, with the blob id of their bytes, in a
line `Filtered: {"a.bat": "5d308e…"}`. A link of the index that was a file on disk is listed, too.
The settings can be different when the stash is restored.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.system.tree import read_file_or_link

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.git.repository import GitRepo

_FILTERED = "\nFiltered: "

# The settings that decide about line endings: the other combinations have the same result.
_LINE_ENDINGS = (
    {"core.autocrlf": "true"},
    {"core.autocrlf": "false", "core.eol": "crlf"},
    {"core.autocrlf": "false", "core.eol": "lf"},
)

Entries = Mapping[bytes, tuple[int, bytes]]
"""The mode and the object id of each path of a tree."""


def stash_message(subject: str, filtered: Mapping[bytes, str]) -> str:
    """Return the message of a stash with its filtered files and the blob ids of their bytes."""
    files = {os.fsdecode(path): oid for path, oid in sorted(filtered.items())}
    return f"{subject}\n{_FILTERED}{json.dumps(files)}"


def filtered_files(message: str) -> dict[bytes, str] | None:
    """Return the blob ids of filtered files from the message of a stash, or None without them.

    The id is '' in the list of an older version.
    """
    _, marker, text = message.rpartition(_FILTERED)
    if not marker:
        return None
    try:
        files = json.loads(text)
        items = files.items() if isinstance(files, dict) else ((path, "") for path in files)
        return {os.fsencode(path): str(oid) for path, oid in items}
    except (ValueError, TypeError, RecursionError):  # another program wrote the message
        return None


class FilteredFiles:
    """The files of one tree of a stash, after git has written them."""

    def __init__(
        self,
        top: str,
        entries: Entries,
        filtered: Mapping[bytes, str] | None,
        repo: GitRepo,
    ) -> None:
        """Use the files of a worktree.

        Args:
            top: the worktree.
            entries: the saved files.
            filtered: their blob ids if they are filtered, or None if that is unknown.
            repo: the repository.
        """
        self._top = os.fsencode(top)
        self.entries = entries
        self._entries = {} if filtered is None else entries
        self._filtered = filtered or {}
        self._repo = repo
        self.written: list[bytes] = []
        """The files whose bytes are not those that git has written first."""
        self.different: list[bytes] = []
        """The filtered files that differ from the saved ones: other filters have changed."""

    def restore(self, git: Callable[[Mapping[str, str]], GitAt]) -> None:
        """Write the files again that differ from the saved ones.

        Args:
            git: return git with additional settings, and with an index that has the files.
        """
        self._write_unfiltered()
        different = self._different(self._filtered)
        self.written += different
        for settings in (*_LINE_ENDINGS, {}):
            if not different:
                break
            for path in different:
                os.unlink(os.path.join(self._top, path))  # git skips a file that it has written
            checkout_paths(git(settings), different)
            different = self._different(different)
        self.different = different

    def _write_unfiltered(self) -> None:
        """Write the blob of each file or link whose saved bytes are the blob, if they differ."""
        for path, (mode, oid) in self._entries.items():
            is_link = stat.S_ISLNK(mode)
            is_filtered = path in self._filtered
            if not is_link and (is_filtered or not stat.S_ISREG(mode)):
                continue
            as_link = is_link and not is_filtered
            if not self._is_saved(path, oid.hex(), as_link=as_link):
                self._write_blob(path, oid, as_link=as_link)
                self.written.append(path)

    def _different(self, paths: Iterable[bytes]) -> list[bytes]:
        """Return the filtered files that do not have the bytes that were saved."""
        return [
            path
            for path in paths
            if stat.S_ISREG(self._entries.get(path, (0, b""))[0])
            and self._filtered[path]
            and not self._is_saved(path, self._filtered[path], as_link=False)
        ]

    def _is_saved(self, path: bytes, oid: str, *, as_link: bool) -> bool:
        """Return True if the path is a file, or a link, with the bytes of the blob `oid`."""
        mode = os.lstat(os.path.join(self._top, path)).st_mode
        if stat.S_ISLNK(mode) != as_link:
            return False
        data = read_file_or_link(os.fsdecode(self._top), path, mode)
        return self._repo.blob_id(data).hex() == oid

    def _write_blob(self, path: bytes, oid: bytes, *, as_link: bool) -> None:
        full = os.path.join(self._top, path)
        data = self._repo.read_blob(oid)
        if as_link or os.path.islink(full):
            os.unlink(full)
        if as_link:
            os.symlink(data, full)
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with open(os.open(full, flags, 0o666), "wb") as file:
            file.write(data)


def checkout_paths(git: GitAt, paths: Iterable[bytes]) -> None:
    """Write the files at `paths` from the index. Overwrite existing files."""
    listed = b"".join(path + b"\0" for path in paths)
    if listed:
        options = ("--force", "--quiet", "--ignore-skip-worktree-bits", "-z", "--stdin")
        git.run(["checkout-index", *options], stdin=listed)
