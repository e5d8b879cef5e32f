"""pygit2, loaded without what nothing here does; for gitrepo alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

__all__ = ["ConfigLevel", "DiffStatsFormat", "SortMode", "open_without_index", "pygit2"]


class _LazyModuleStub(ModuleType):
    """A module that pygit2 names while it is imported, for what nothing here does."""

    def __getattr__(self, name: str) -> object:
        """Should another pygit2 ask for more: the real module has it, and takes this one's place."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_import_real(self.__name__), name)


def _import_real(module: str) -> ModuleType:
    if isinstance(sys.modules.get(module), _LazyModuleStub):
        del sys.modules[module]
    __import__(module)
    return sys.modules[module]


def _make_stubs() -> Iterator[_LazyModuleStub]:
    """They save a third of the time that pygit2 takes to load (32 of 75 ms)."""
    # Where CA certificates are, each of which it reads; it cannot be imported where there are none.
    tls = _LazyModuleStub("ssl")
    nowhere = SimpleNamespace(cafile=None, capath=os.path.dirname(__file__))
    tls.__dict__.update(DefaultVerifyPaths=object, get_default_verify_paths=lambda: nowhere)
    yield tls
    archives = _LazyModuleStub("tarfile")
    archives.__dict__.update(TarFile=object)  # the type of an annotation
    yield archives
    classes = _LazyModuleStub("dataclasses")
    classes.__dict__.update(dataclass=lambda made: made)  # of a result that is never made
    yield classes
    # What pathlib asks for, which pygit2 loads: for Path.as_uri().
    addresses = _LazyModuleStub("urllib.parse")
    quote = "quote_from_bytes"
    addresses.__dict__[quote] = lambda *given: getattr(_import_real("urllib.parse"), quote)(*given)
    yield addresses


_absent = [one for one in _make_stubs() if one.__name__ not in sys.modules]
sys.modules.update((one.__name__, one) for one in _absent)
try:
    import pygit2
    from pygit2.enums import ConfigLevel, DiffStatsFormat, SortMode
finally:
    for _one in _absent:
        if sys.modules.get(_one.__name__) is _one:
            del sys.modules[_one.__name__]


def open_without_index(repo: pygit2.Repository) -> pygit2.Repository:
    """The repository as it is seen from a linked worktree with the same files, but no index yet."""
    from tempfile import TemporaryDirectory  # hardly anybody needs it

    files = {"HEAD": "0" * 40, "commondir": repo.path}
    if repo.workdir:
        files["gitdir"] = os.path.join(repo.workdir, ".git")
    with TemporaryDirectory(prefix="git-hub-session-") as entry:
        for name, text in files.items():
            with open(os.path.join(entry, name), "wb") as file:
                file.write(os.fsencode(f"{text}\n"))
        made = pygit2.Repository(entry)
        _ = made.index  # from now on it has one
        return made
