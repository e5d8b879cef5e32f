"""Import pygit2 without the modules that it imports but does not need here.

Only the modules `repository`, `conflicts`, `diff`, `trees` and `libgit2_config` use this one.
"""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

from git_hub_session._typing import Any
from git_hub_session.util.text import decode_message

__all__ = [
    "constants",
    "message_text",
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
    """Yield the stubs. They save 36 of the 75 ms that an import of pygit2 takes."""
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
    string = _LazyModuleStub("string")  # the real one compiles a pattern
    string.__dict__.update(hexdigits="0123456789abcdefABCDEF")
    yield string
    yield _stub_function("queue", "Queue")
    pathlib = _LazyModuleStub("pathlib")
    pathlib.__dict__.update(Path=_LazyPath)
    yield pathlib
    yield _make_typing_stub()
    # Only functions that are not used here need these modules.
    yield _LazyModuleStub("threading")
    yield _LazyModuleStub("weakref")


def _stub_function(module: str, name: str) -> _LazyModuleStub:
    """Return a stub with one function or class, which imports the real module when it is called."""
    stub = _LazyModuleStub(module)
    stub.__dict__[name] = lambda *args, **options: getattr(_import_real(module), name)(
        *args, **options
    )
    return stub


class _LazyPath:
    """A replacement for `pathlib.Path`, the type of annotations. A call returns a real path."""

    def __new__(cls, *args: str) -> Any:
        """Return a real path."""
        return _import_real("pathlib").Path(*args)


class _AnyType:
    """A replacement for a type in an annotation, with or without parameters."""

    def __class_getitem__(cls, _parameters: object) -> type:
        return cls


class _AnyBase(_AnyType):
    """A replacement for another base class, because no class can have the same base twice."""


def _make_typing_stub() -> _LazyModuleStub:
    """Return a replacement for `typing`. Nothing checks the annotations of pygit2.

    It has only the names for which a replacement is easy. pygit2 gets the real module for others.
    """
    types = (
        "Any Callable Iterable Iterator List Literal NoReturn Optional Protocol Self Sequence Union"
    )
    stub = _LazyModuleStub("typing")
    stub.__dict__.update(dict.fromkeys(types.split(), _AnyType))
    stub.__dict__.update(
        TYPE_CHECKING=False,
        Generic=_AnyBase,
        TypeVar=lambda *args, **options: _AnyType,
        ParamSpec=lambda *args, **options: ...,  # as in Callable[..., Any]
        cast=lambda _type, value: value,
        overload=lambda function: function,
    )
    return stub


class _PlainInteger(int):
    """An integer in place of an enum of pygit2. Nothing here needs the name of a member."""


def _make_enum_stub() -> ModuleType:
    """Return a replacement for `enum` in pygit2.enums, whose 43 classes have 330 members.

    It saves 10 of the 45 ms that the import still takes. `re` needs real enums: it is loaded before.
    """
    stub = ModuleType("enum")
    stub.__dict__.update(enum.__dict__, IntEnum=_PlainInteger, IntFlag=_PlainInteger)
    return stub


_stubs = [stub for stub in _make_stubs() if stub.__name__ not in sys.modules]
sys.modules.update((stub.__name__, stub) for stub in _stubs)
sys.modules["enum"] = _make_enum_stub()
try:
    import pygit2
finally:
    sys.modules["enum"] = enum
    for _stub in _stubs:
        if sys.modules.get(_stub.__name__) is _stub:
            del sys.modules[_stub.__name__]


# The values of libgit2's enums. pygit2 before 1.14 has no `pygit2.enums`.
constants: Any = pygit2


_MAX_TREES = 4


DifferingEntries = tuple[dict[bytes, tuple[bool, bytes]], dict[bytes, tuple[bool, bytes]]]
"""The entries that only the first and only the second of two trees has."""


class RecentTrees:
    """The last trees that were read. libgit2 does not keep a tree with many entries."""

    def __init__(self, repo: pygit2.Repository) -> None:
        self.repo = repo
        self.differing_entries: dict[tuple[bytes, bytes], DifferingEntries] = {}
        """The results of the comparisons of two trees, by their object ids."""
        self._trees: dict[pygit2.Oid, pygit2.Tree] = {}

    def get(self, oid: str) -> pygit2.Tree:
        """Return the tree of a commit, a tag or a tree. Raise KeyError."""
        obj = self.repo[oid]
        if not isinstance(obj, pygit2.Commit):
            return obj.peel(pygit2.Tree)
        tree = self._trees.pop(obj.tree_id, None)
        if tree is None:  # do not use its truth value, which is its length
            tree = obj.tree
        self._trees[obj.tree_id] = tree  # the last one of the dict
        if len(self._trees) > _MAX_TREES:
            del self._trees[next(iter(self._trees))]
        return tree


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
    from git_hub_session.system.temporary import temporary_directory  # rarely needed

    files = {"HEAD": "0" * 40, "commondir": repo.path}
    if repo.workdir:
        files["gitdir"] = os.path.join(repo.workdir, ".git")
    with temporary_directory() as git_dir:
        for name, text in files.items():
            with open(os.path.join(git_dir, name), "wb") as file:
                file.write(os.fsencode(f"{text}\n"))
        opened = pygit2.Repository(git_dir)
        _ = opened.index  # libgit2 keeps the empty index when the directory is gone
        return opened


def message_text(commit: pygit2.Commit) -> str:
    """Return the message of a commit, decoded from the encoding that its header names."""
    try:
        encoding = commit.message_encoding or ""
    except (LookupError, ValueError):
        encoding = ""
    return decode_message(commit.raw_message, encoding)


def peel_to_commit(obj: pygit2.Object | None) -> str:
    """Return the id of a commit, or of the commit that a tag leads to, or ''."""
    try:
        return str(obj.peel(pygit2.Commit).id) if obj is not None else ""
    except (pygit2.GitError, ValueError):
        return ""
