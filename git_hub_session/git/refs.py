"""Refs in git's own files: read without libgit2, by commands that do not need it, and watched while it reads them.

Source: gitrepository-layout(5). A loose ref is read before packed-refs, or a ref that is
being packed at the moment would be missed.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.safe_open import open_regular

if TYPE_CHECKING:
    from typing import TypeVar

    Seen = TypeVar("Seen")

_TRIES = 20  # in a loop of `git pack-refs` two or three


def ref_exists(common_dir: str, ref: str) -> bool:
    """Whether the full ref `ref` exists, in its own file or packed."""
    try:
        with open(os.path.join(common_dir, ref), "rb", opener=open_regular) as file:
            if file.read(5).strip():
                return True
    except OSError:
        pass
    return is_packed_ref(common_dir, ref)


def is_packed_ref(common_dir: str, ref: str) -> bool:
    """Whether the full ref `ref` is in packed-refs, where a file of its own hides it."""
    wanted = b" " + os.fsencode(ref) + b"\n"
    try:
        with open(os.path.join(common_dir, "packed-refs"), "rb", opener=open_regular) as file:
            return any(line.endswith(wanted) for line in file)
    except OSError:
        return False


def read_consistently(common_dir: str, look: Callable[[], Seen]) -> Seen:
    """What `look` sees of all refs, seen again if they were packed meanwhile.

    libgit2 (refdb_fs.c) lists the files, reads what is packed, and opens the files then: what git
    packed in between is in neither.
    """
    for _ in range(_TRIES):
        before = _packed_refs_stat(common_dir)
        seen = look()
        if _packed_refs_stat(common_dir) == before:
            break
    return seen


def _packed_refs_stat(common_dir: str) -> tuple[int, ...]:
    """What of packed-refs changes with each packing: git puts another file in its place."""
    try:
        found = os.stat(os.path.join(common_dir, "packed-refs"))
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def uses_files_backend(common_dir: str) -> bool:
    """Whether refs are files at all: in a reftable repository HEAD only says so."""
    return not os.path.isdir(os.path.join(common_dir, "reftable"))


def resolve_symbolic_ref(common_dir: str, ref: str) -> str:
    """The full ref that `ref` leads to where it is a symbolic one, which is always a file of its own."""
    for _ in range(5):  # as many steps as git takes
        try:
            with open(os.path.join(common_dir, ref), "rb", opener=open_regular) as file:
                text = os.fsdecode(file.read(4096))
        except OSError:
            break
        if not text.startswith("ref:"):
            break
        ref = text[4:].strip()
    return ref
