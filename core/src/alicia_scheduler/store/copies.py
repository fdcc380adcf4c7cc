"""Copies of a store beside it or elsewhere: whole or absent, and readable by their owner only."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alicia_scheduler.api.errors import StoreError

__all__ = ["back_up", "keep_copy", "sync_directory"]

_PAGES_IN_A_STEP = 256


def keep_copy(connection: sqlite3.Connection, to: Path) -> None:
    """Copy a store that nobody else uses, and replace what is at ``to``."""
    with _appearing_whole(to) as unfinished:
        # VACUUM INTO fills an empty file, which is how the copy gets its rights.
        connection.execute("VACUUM INTO ?", (str(unfinished),))


def back_up(reading: sqlite3.Connection, to: Path, go_on: Callable[[], None]) -> None:
    """Copy a store that is written meanwhile; the copy shows one moment of it.

    Args:
        reading: a connection of its own.
        to: the copy, which must not exist.
        go_on: called after each step; what it raises ends the copying and leaves nothing behind.

    Raises:
        StoreError: there is something at ``to``.
        OSError: the copy could not be written.
    """
    if to.exists():
        raise StoreError(f"{to} exists already; name another file for the backup, or remove it")
    # Reading in one transaction keeps the moment: without it, every commit of the host would make
    # SQLite begin the copy anew.
    reading.execute("BEGIN")
    try:
        reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
        with _appearing_whole(to) as unfinished:
            copy = sqlite3.connect(unfinished, isolation_level=None)
            try:
                reading.backup(copy, pages=_PAGES_IN_A_STEP, progress=lambda *_: go_on())
            finally:
                copy.close()
    finally:
        reading.execute("COMMIT")


def sync_directory(directory: Path) -> None:
    """Make the names in ``directory`` durable: a new file's name lives in its directory."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _appearing_whole(path: Path) -> Iterator[Path]:
    """Give an empty file under another name, which becomes ``path`` when all went well."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.unlink(missing_ok=True)
    handle = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        yield unfinished
        os.fsync(handle)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    unfinished.replace(path)
    sync_directory(path.parent)
