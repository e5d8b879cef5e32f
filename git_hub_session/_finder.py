"""Find the modules of this package with fewer steps than Python's own finder.

Python lists each directory of the package, and computes the names of a module and of its compiled
file in many small steps. That takes longer than the reading of the compiled file. The finder here
calls `stat` once for a module. It leaves each unusual case to Python: a compiled file that is
missing, out of date or checked by its hash, and a package in a zip file.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader
from _imp import _fix_co_filename  # type: ignore[attr-defined]
from marshal import loads

from git_hub_session._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

_PREFIX = "git_hub_session."
# A compiled file begins with the version of its format and with flags, which are 0 if the time and
# the size of the source follow.
_FORMAT = MAGIC_NUMBER + bytes(4)
_HEADER = 16  # bytes
_MAX_SIZE = 100_000  # bytes; the system would map a larger buffer into memory for each call


class _Loader(SourceFileLoader):
    """A loader that has the path of the compiled file, and knows how an up-to-date one begins."""

    def __init__(self, name: str, path: str, compiled: str, header: bytes) -> None:
        super().__init__(name, path)
        self._compiled = compiled
        self._header = header

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the code of the module."""
        data = _read(self._compiled)
        if data[:_HEADER] != self._header or len(data) == _MAX_SIZE:
            return super().get_code(fullname)
        code: CodeType = loads(memoryview(data)[_HEADER:])
        _fix_co_filename(code, self.path)  # the file was compiled in another directory
        return code


class _Finder:
    """The finder of this package."""

    def __init__(self) -> None:
        self._suffix = f".{sys.implementation.cache_tag}.pyc"

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the specification of a module of the package, or None."""
        if not path or not fullname.startswith(_PREFIX):
            return None
        directory, name = path[0], fullname.rpartition(".")[2]
        file = f"{directory}/{name}.py"
        is_package = False
        try:
            status = os.stat(file)
        except OSError:
            directory, name, is_package = f"{directory}/{name}", "__init__", True
            file = f"{directory}/__init__.py"
            try:
                status = os.stat(file)
            except OSError:
                return None
        compiled = f"{directory}/__pycache__/{name}{self._suffix}"
        header = _FORMAT + _pack(int(status.st_mtime)) + _pack(status.st_size)
        loader = _Loader(fullname, file, compiled, header)
        spec = ModuleSpec(fullname, loader, origin=file, is_package=is_package)
        if is_package:
            spec.submodule_search_locations = [directory]
        spec.has_location = True
        spec.cached = compiled
        return spec


def install_finder() -> None:
    """Use the finder in this process, unless Python keeps compiled files under other names."""
    if not sys.flags.optimize and sys.pycache_prefix is None:
        sys.meta_path.insert(0, _Finder())


def _pack(number: int) -> bytes:
    return (number & 0xFFFFFFFF).to_bytes(4, "little")


def _read(path: str) -> bytes:
    """Return the beginning of a file, or b'' if it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, _MAX_SIZE)
    finally:
        os.close(fd)
