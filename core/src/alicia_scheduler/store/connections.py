"""How connections are opened, and with which settings; the only place with SQLite's pragmas."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

__all__ = [
    "Synchronous",
    "attach",
    "close_writing",
    "open_memory",
    "open_reading",
    "open_writing",
    "roll_back",
]

Synchronous = Literal["FULL", "NORMAL"]
"""FULL: what was acknowledged survives a power cut. NORMAL: only the end of the process."""

_BUSY_SECONDS = 5.0
_WRITE_CACHE = 8 * 1024  # KiB
_READ_CACHE = 4 * 1024  # KiB
_WAL_KEPT = 16 * 1024 * 1024  # bytes


def open_memory() -> sqlite3.Connection:
    """An empty database in memory, all of it: where the disk is full, nothing may spill over."""
    return _connected("file::memory:", ("temp_store = MEMORY",))


def attach(
    memory: sqlite3.Connection, path: Path, mode: str, synchronous: Synchronous = "FULL"
) -> None:
    """Let a connection to memory see the file at ``path`` as well, as the schema ``place``.

    Args:
        mode: the parameters of SQLite's URI, e.g. ``mode=rw``.
    """
    memory.execute("ATTACH ? AS place", (f"{path.absolute().as_uri()}?{mode}",))
    try:
        memory.execute(f"PRAGMA place.synchronous = {synchronous}")
    except BaseException:
        memory.execute("DETACH place")
        raise


def open_writing(path: Path, synchronous: Synchronous) -> sqlite3.Connection:
    """The writing connection. The file is created, readable by its owner only, when missing."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    settings = (
        # Only a file without tables takes this one: later it gives space back in small steps.
        "auto_vacuum = INCREMENTAL",
        "journal_mode = WAL",
        f"synchronous = {synchronous}",
        "foreign_keys = OFF",
        "temp_store = MEMORY",
        f"cache_size = -{_WRITE_CACHE}",
        f"journal_size_limit = {_WAL_KEPT}",
    )
    return _connected(f"{path.absolute().as_uri()}?mode=rw", settings)


def open_reading(path: Path, *, immutable: bool = False) -> sqlite3.Connection:
    """A connection that cannot write or checkpoint.

    Args:
        path: the store, which must exist.
        immutable: promise that nobody writes: no lock, no ``-wal``, no ``-shm``.
    """
    mode = "mode=ro&immutable=1" if immutable else "mode=ro"
    settings = ("query_only = ON", "temp_store = MEMORY", f"cache_size = -{_READ_CACHE}")
    return _connected(f"{path.absolute().as_uri()}?{mode}", settings)


def roll_back(path: Path) -> None:
    """Undo what the rollback journal beside the store says was not finished."""
    connection = _connected(f"{path.absolute().as_uri()}?mode=rw")
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    finally:
        connection.close()


def close_writing(connection: sqlite3.Connection) -> None:
    """Close with everything merged into the main file, as far as readers let it."""
    try:
        connection.execute("PRAGMA analysis_limit = 400")
        connection.execute("PRAGMA optimize")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def _connected(database: str, settings: Iterable[str] = ()) -> sqlite3.Connection:
    connection = sqlite3.connect(
        database,
        uri=database.startswith("file:"),
        timeout=_BUSY_SECONDS,
        # Transactions are begun by name, never by Python.
        isolation_level=None,
        # Worker threads take turns; the store sees to it that no two use one at once.
        check_same_thread=False,
    )
    connection.text_factory = bytes
    try:
        for pragma in settings:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection
