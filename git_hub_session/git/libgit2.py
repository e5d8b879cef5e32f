"""Import pygit2 without the modules that it imports but does not need here.

Only the modules `repository`, `conflicts`, `diff`, `trees` and `libgit2_config` use this one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

__all__ = [
    "ConfigLevel",
    "DiffStatsFormat",
    "SortMode",
    "decode_message",
    "open_for_diffs",
    "pygit2",
]


class _LazyModuleStub(ModuleType):
    """A replacement for a module that pygit2 imports for features that are not used here."""

    def __getattr__(self, name: str) -> object:
        """Return an attribute of the real module, for a pygit2 that needs more than the stub has.

        The real module then takes the place of the stub.
        """
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_import_real(self.__name__), name)


def _import_real(module: str) -> ModuleType:
    if isinstance(sys.modules.get(module), _LazyModuleStub):
        del sys.modules[module]
    __import__(module)
    return sys.modules[module]


def _make_stubs() -> Iterator[_LazyModuleStub]:
    """Yield the stubs. They save 32 of the 75 ms that an import of pygit2 takes."""
    # The import of pygit2 reads every CA certificate, and fails on a system without certificates.
    ssl = _LazyModuleStub("ssl")
    no_certificates = SimpleNamespace(cafile=None, capath=os.path.dirname(__file__))
    ssl.__dict__.update(DefaultVerifyPaths=object, get_default_verify_paths=lambda: no_certificates)
    yield ssl
    tarfile = _LazyModuleStub("tarfile")
    tarfile.__dict__.update(TarFile=object)  # the type of an annotation
    yield tarfile
    dataclasses = _LazyModuleStub("dataclasses")
    dataclasses.__dict__.update(dataclass=lambda cls: cls)  # for a class that is never instantiated
    yield dataclasses
    # pygit2 imports pathlib, which needs this function for Path.as_uri().
    parse = _LazyModuleStub("urllib.parse")
    quote = "quote_from_bytes"
    parse.__dict__[quote] = lambda *args: getattr(_import_real("urllib.parse"), quote)(*args)
    yield parse


_stubs = [stub for stub in _make_stubs() if stub.__name__ not in sys.modules]
sys.modules.update((stub.__name__, stub) for stub in _stubs)
try:
    import pygit2
    from pygit2.enums import ConfigLevel, DiffStatsFormat, SortMode
finally:
    for _stub in _stubs:
        if sys.modules.get(_stub.__name__) is _stub:
            del sys.modules[_stub.__name__]


def open_for_diffs(repo: pygit2.Repository, objects: str = "") -> pygit2.Repository:
    """Return a repository that can compare trees.

    libgit2 reads the attributes of files from the index when it compares trees. It cannot read
    some indexes (split, sparse): then the repository has no index.

    Args:
        objects: a further directory with objects, or ''.
    """
    if objects:
        repo = pygit2.Repository(repo.path)
    try:
        _ = repo.index
    except pygit2.GitError:
        repo = _open_without_index(repo)
    if objects:
        repo.odb.add_disk_alternate(objects)
    return repo


def _open_without_index(repo: pygit2.Repository) -> pygit2.Repository:
    """Open the repository as a temporary linked worktree that has the same files and no index."""
    from tempfile import TemporaryDirectory  # rarely needed

    files = {"HEAD": "0" * 40, "commondir": repo.path}
    if repo.workdir:
        files["gitdir"] = os.path.join(repo.workdir, ".git")
    with TemporaryDirectory(prefix="git-hub-session-") as git_dir:
        for name, text in files.items():
            with open(os.path.join(git_dir, name), "wb") as file:
                file.write(os.fsencode(f"{text}\n"))
        opened = pygit2.Repository(git_dir)
        _ = opened.index  # libgit2 keeps the empty index when the directory is gone
        return opened


_MAX_ENCODED = 10_000  # bytes: some encodings that Python knows, such as punycode, are slow


def decode_message(commit: pygit2.Commit) -> str:
    """Return the message of a commit, decoded from the encoding that its header names.

    The encoding is UTF-8 if there is no header, or if Python does not know the encoding.
    """
    message = commit.raw_message
    try:
        encoding = commit.message_encoding
        if encoding:
            return message[:_MAX_ENCODED].decode(encoding, "replace")
    except (LookupError, ValueError):
        pass
    return message.decode("utf-8", "replace")


def peel_to_commit(obj: pygit2.Object | None) -> str:
    """Return the id of a commit, or of the commit that a tag leads to, or ''."""
    try:
        return str(obj.peel(pygit2.Commit).id) if obj is not None else ""
    except (pygit2.GitError, ValueError):
        return ""
