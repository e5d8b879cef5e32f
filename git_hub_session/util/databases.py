"""Find the files that belong to a database.

SQLite writes committed changes to `<name>-wal` first. It needs `<name>-journal` to undo a change that
was interrupted. DuckDB writes them to `<name>.wal`. Without these files, the database has lost rows or
is damaged. A database of LevelDB or RocksDB is a directory: the file CURRENT names its manifest, and
the newest changes are in a log such as 000003.log. RocksDB also has numbered files of large values.
Sources: https://www.sqlite.org/tempfiles.html,
https://duckdb.org/docs/stable/operations_manual/footprint_of_duckdb/files_created_by_duckdb,
https://github.com/google/leveldb/blob/main/doc/impl.md
"""

from __future__ import annotations

import re

_SUFFIXES = (b"-wal", b"-journal", b"-shm", b".wal")

# A string, not a compiled pattern: most commands never use it.
_LEVELDB_FILE = rb"(.*/)?(?:[0-9]{6,}\.(?:log|ldb|sst|blob)|(?:MANIFEST|OPTIONS)-[0-9]{6,})"


def database_of(path: bytes) -> bytes:
    """Return the path of the database that the file at `path` belongs to, or b''.

    For a file of LevelDB, this is the path that CURRENT has if the directory is a database.
    """
    for suffix in _SUFFIXES:
        if path.endswith(suffix):
            return path.removesuffix(suffix)
    match = re.fullmatch(_LEVELDB_FILE, path, re.DOTALL)
    return (match[1] or b"") + b"CURRENT" if match else b""


def companions_of(path: bytes) -> list[bytes]:
    """Return the paths of the files that belong to `path` if it is a database."""
    return [path + suffix for suffix in _SUFFIXES]
