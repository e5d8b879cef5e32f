"""Keep new objects until a ref reaches them.

`git gc --prune=now` and `git prune` delete an object that no ref reaches, also if it is a moment
old. So git writes new objects into a temporary directory first, as `git receive-pack` does. Then
they become a pack of the repository. No garbage collection deletes a pack with a .keep file. When a
ref reaches the objects, the .keep file is deleted.

git names a pack after its content. A running `git gc` deletes the packs that it has found at its
start, by their names. So each pack gets a new name, also if an equal pack exists.

The process id in a .keep file shows if a killed process left it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Self
from git_hub_session.git.environment import object_variables
from git_hub_session.git.ref_names import is_object_id
from git_hub_session.git.safe_open import read_text
from git_hub_session.system.directory import write_error
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.util.numbers import MAX_COUNT, parse_int

if TYPE_CHECKING:
    from git_hub_session.git.command import Git

_TRIES = 100
_BLOCK = 1 << 20  # bytes
# The order in which `git receive-pack` moves the files of a pack: git reads a pack that has .idx.
_SUFFIXES = (".pack", ".rev", ".idx")
_KEEP = "git hub-session "
_OBJECTS = "GIT_OBJECT_DIRECTORY"


class NewObjects:
    """A directory for new objects, and the packs that keep them."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._packs = os.path.join(git.common_dir, "objects", "pack")
        self._temporary = temporary_directory()
        self._keep_text = ""
        self._has_kept = False
        self._has_alternates_file = "\n" not in git.common_dir  # git reads one path from each line
        self.directory = ""
        """The directory. It exists in the `with` block."""

    @property
    def environ(self) -> dict[str, str]:
        """The variables with which git writes its objects into the directory.

        gpg and other programs of the user see them, so the file info/alternates replaces one.
        """
        variables = object_variables(self.directory, self._git.common_dir)
        return {_OBJECTS: variables[_OBJECTS]} if self._has_alternates_file else variables

    def __enter__(self) -> Self:
        scratch = self._temporary.__enter__()
        self._keep_text = f"{_KEEP}{os.getpid()} {os.path.basename(scratch)}"
        self.directory = os.path.join(scratch, "objects")
        os.makedirs(os.path.join(self.directory, "info"))
        if self._has_alternates_file:
            self._write_alternates()
        return self

    def _write_alternates(self) -> None:
        path = os.path.join(self.directory, "info", "alternates")
        try:
            with open(path, "wb") as file:
                file.write(os.fsencode(f"{self._git.common_dir}/objects\n"))
        except OSError as error:
            self._temporary.__exit__(None, None, None)
            raise write_error(path, error) from None

    def __exit__(self, *error: object) -> None:
        try:
            if self._has_kept:
                self._delete_keep_files()
        finally:
            self._temporary.__exit__(None, None, None)

    def keep(self, tips: Sequence[str], reached: Sequence[str]) -> None:
        """Write a pack of all objects that `tips` reach, except those that `reached` reach.

        git cannot delete these objects before the end of the `with` block. The pack also has each
        object in the directory: git writes there what the repository does not have, and an object
        that `reached` should reach can be missing.

        Args:
            tips: the ids of new commits or trees.
            reached: the ids of commits that refs reach.

        Raises:
            GitFailed: an object is missing.
            CannotWrite: the pack cannot be written.
        """
        self._has_kept = True
        revisions = "".join(f"{oid}\n" for oid in [*tips, *(f"^{oid}" for oid in reached)])
        git = self._git.at(self._git.common_dir, objects=self.directory)
        base = os.path.join(self.directory, "pack", "pack")
        # git need not flush these files to the disk: their copies in the repository are flushed.
        settings = {"core.fsync": "none"}
        listed = git.run(["rev-list", "--objects", "--stdin"], stdin=revisions.encode())
        stdin = listed + "".join(f"{oid}\n" for oid in self._loose_objects()).encode()
        command = ["pack-objects", "--quiet", "--delta-base-offset", base]
        output = git.run(command, stdin=stdin, settings=settings)
        for pack_hash in output.decode().split():
            try:
                self._install_pack(pack_hash)
            except OSError as error:
                raise write_error(self._packs, error, hint="") from None

    def _loose_objects(self) -> list[str]:
        """Return the ids of the objects in the directory that are not packed."""
        names = filter(re.compile("[0-9a-f]{2}").fullmatch, os.listdir(self.directory))
        return [
            f"{name}{rest}"
            for name in names
            for rest in os.listdir(os.path.join(self.directory, name))
            if is_object_id(f"{name}{rest}")  # not the temporary file of a killed git
        ]

    def _install_pack(self, pack_hash: str) -> None:
        """Copy a pack from the directory to the repository under a new name, with a .keep file."""
        os.makedirs(self._packs, exist_ok=True)
        new_hash = os.urandom(len(pack_hash) // 2).hex()
        target = os.path.join(self._packs, f"pack-{new_hash}")
        with open(f"{target}.keep", "x", encoding="utf-8") as file:
            file.write(self._keep_text)
        for suffix in _SUFFIXES:
            source = os.path.join(self.directory, "pack", f"pack-{pack_hash}{suffix}")
            if suffix != ".rev" or os.path.exists(source):
                _install_file(source, f"{target}{suffix}")

    def _delete_keep_files(self) -> None:
        """Delete the .keep files of this object, and those that killed processes left."""
        try:
            names = os.listdir(self._packs)
        except FileNotFoundError:
            return
        for name in names:
            path = os.path.join(self._packs, name)
            if not name.endswith(".keep"):
                continue
            text = read_text(path, limit=200).strip()
            if text == self._keep_text or _is_stale(text):
                _delete_file(path)


def _install_file(source: str, target: str) -> None:
    """Copy a file. Its new name appears when the copy is complete and on the disk.

    The temporary name is one of git's: if this process is killed, `git gc` deletes the file. A
    `git prune` can delete it too early. The file is then copied again.
    """
    for attempt in range(1, _TRIES + 1):
        temporary = os.path.join(os.path.dirname(target), f"tmp_pack_{os.urandom(8).hex()}")
        try:
            _copy(source, temporary)
            os.replace(temporary, target)
            return
        except FileNotFoundError:
            if attempt == _TRIES:
                raise
        except OSError:
            _delete_file(temporary)
            raise


def _copy(source: str, target: str) -> None:
    with open(source, "rb") as reader, open(target, "xb") as writer:
        while block := reader.read(_BLOCK):
            writer.write(block)
        writer.flush()
        os.fchmod(writer.fileno(), os.fstat(reader.fileno()).st_mode & 0o777)
        os.fsync(writer.fileno())


def _is_stale(text: str) -> bool:
    """Return True if a process of this program wrote the text, and has ended."""
    pid = parse_int(text.removeprefix(_KEEP).partition(" ")[0], MAX_COUNT)
    if not text.startswith(_KEEP) or not pid:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _delete_file(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
