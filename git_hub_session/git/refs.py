"""Read refs from git's own files, without libgit2, also while git packs them.

Source: gitrepository-layout(5). Read the file of a loose ref before packed-refs. In the other
order, a reader would miss a ref that git packs between the two reads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.safe_open import open_regular, raise_if_unreadable, read_bytes, read_text

if TYPE_CHECKING:
    from typing import TypeVar

    Result = TypeVar("Result")

_TRIES = 20  # two or three were enough while `git pack-refs` ran in a loop
_MAX_SYMBOLIC_STEPS = 5  # git's limit
_INVALID_NAME = r"/\.|\.\.|\.lock(?:/|$)|@\{|[\x00-\x20\x7f~^:?*\[\\]|[./]$"
"""A part that git allows in no name of a ref, see git-check-ref-format(1)."""


def ref_exists(common_dir: str, ref: str) -> bool:
    """Return True if the full ref `ref` exists, loose or packed."""
    if read_bytes(os.path.join(common_dir, ref), limit=5).strip():
        return True
    return is_packed_ref(common_dir, ref)


def read_ref(common_dir: str, ref: str) -> str:
    """Return the text of the full ref `ref`, loose or packed, or ''.

    The text is an object id, or begins with "ref:". A damaged file can have any other text.
    """
    loose = read_bytes(os.path.join(common_dir, ref), limit=4096).strip()
    return os.fsdecode(loose or _packed_line(common_dir, ref).partition(b" ")[0])


def is_packed_ref(common_dir: str, ref: str) -> bool:
    """Return True if packed-refs contains the full ref `ref`. A loose ref may override it."""
    return bool(_packed_line(common_dir, ref))


def _packed_line(common_dir: str, ref: str) -> bytes:
    """Return the line of packed-refs with the full ref `ref`, or b''."""
    wanted = b" " + os.fsencode(ref) + b"\n"
    try:
        with open(os.path.join(common_dir, "packed-refs"), "rb", opener=open_regular) as file:
            return next((line for line in file if line.endswith(wanted)), b"")
    except OSError:
        return b""


def refs_below(common_dir: str, *prefixes: str) -> set[str]:
    """Return the full refs that begin with a prefix, a directory such as "refs/heads/hub/".

    A ref with a truncated file is one of them. A lock file of git is not a ref.
    """
    directories = [prefix.rstrip("/") for prefix in prefixes]
    files = (path for directory in directories for path in list_files_below(common_dir, directory))
    refs = {path for path in files if not path.endswith(".lock")}
    wanted = tuple(map(os.fsencode, prefixes))
    try:
        with open(os.path.join(common_dir, "packed-refs"), "rb", opener=open_regular) as file:
            names = (line.rstrip().partition(b" ")[2] for line in file)
            refs.update(os.fsdecode(name) for name in names if name.startswith(wanted))
    except OSError:
        pass
    return refs


def list_files_below(top: str, name: str, *, strict: bool = False) -> list[str]:
    """Return the files below the directory `name` in `top`, as paths relative to `top`.

    With `strict`, raise OSError for a directory that cannot be read.
    """
    files: list[str] = []
    directories = [name]
    for directory in directories:
        try:
            with os.scandir(f"{top}/{directory}") as entries:
                for entry in entries:
                    path = f"{directory}/{entry.name}"
                    (directories if entry.is_dir(follow_symlinks=False) else files).append(path)
        except OSError:
            # The directory does not exist, or was removed in the meantime.
            if strict:
                raise_if_unreadable(f"{top}/{directory}")
    return files


def read_consistently(common_dir: str, read_refs: Callable[[], Result]) -> Result:
    """Return the result of `read_refs`. Repeat the call if git packed refs in the meantime.

    libgit2 (refdb_fs.c) lists the loose refs, then reads packed-refs, then opens the loose refs. It
    misses a ref that git packs in between.
    """
    for _ in range(_TRIES):
        before = _packed_refs_stat(common_dir)
        result = read_refs()
        if _packed_refs_stat(common_dir) == before:
            break
    return result


def all_refs(
    common_dir: str, list_refs: Callable[[], Iterable[bytes]], prefixes: Iterable[str]
) -> set[str]:
    """Return the refs that begin with a prefix, also those that libgit2 does not list.

    libgit2 (iterator.c) stops at a loose ref with about 100 components, without an error. It then
    lists no loose ref behind it.

    Args:
        list_refs: list all refs with libgit2.
    """
    wanted = tuple(prefixes)
    encoded = tuple(map(os.fsencode, wanted))
    directories = {prefix.rpartition("/")[0] for prefix in wanted}

    def read_refs() -> set[str]:
        listed = {os.fsdecode(name) for name in list_refs() if name.startswith(encoded)}
        files = {path for name in directories for path in list_files_below(common_dir, name)}
        missed = (path for path in files - listed if path.startswith(wanted))
        return listed | {ref for ref in missed if _is_ref(common_dir, ref)}

    return read_consistently(common_dir, read_refs)


def _is_ref(common_dir: str, path: str) -> bool:
    """Return True if the file has a valid name and contains an object id or the name of a ref."""
    if re.search(_INVALID_NAME, path):
        return False
    text = read_ref(common_dir, path)
    is_id = len(text) in (40, 64) and not text.strip("0123456789abcdef")
    return is_id or text.startswith("ref: ")


def _packed_refs_stat(common_dir: str) -> tuple[int, ...]:
    """Return a value that changes whenever git packs refs: git replaces the file packed-refs."""
    try:
        status = os.stat(os.path.join(common_dir, "packed-refs"))
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_size


def uses_files_backend(common_dir: str) -> bool:
    """Return True if refs are stored in files, and not in a reftable."""
    return not os.path.isdir(os.path.join(common_dir, "reftable"))


def resolve_symbolic_ref(common_dir: str, ref: str) -> str:
    """Return the full ref that `ref` points to, or `ref` itself if it is not symbolic.

    git never packs a symbolic ref.
    """
    for _ in range(_MAX_SYMBOLIC_STEPS):
        text = read_text(os.path.join(common_dir, ref), limit=4096)
        if not text.startswith("ref:"):
            break
        ref = text[4:].strip()
    return ref
