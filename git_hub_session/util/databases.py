"""Find the files that belong to a database.

SQLite writes committed changes to `<name>-wal` first. It needs `<name>-journal` to undo a change that
was interrupted. DuckDB writes them to `<name>.wal`. Without these files, the database has lost rows or
is damaged.
Sources: https://www.sqlite.org/tempfiles.html,
https://duckdb.org/docs/stable/operations_manual/footprint_of_duckdb/files_created_by_duckdb
"""

from __future__ import annotations

_SUFFIXES = (b"-wal", b"-journal", b"-shm", b".wal")


def database_of(path: bytes) -> bytes:
    """Return the path of the database that the file at `path` belongs to, or b''."""
    for suffix in _SUFFIXES:
        if path.endswith(suffix):
            return path.removesuffix(suffix)
    return b""


def companions_of(path: bytes) -> list[bytes]:
    """Return the paths of the files that belong to `path` if it is a database."""
    return [path + suffix for suffix in _SUFFIXES]
