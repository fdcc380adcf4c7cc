"""Reading a store from outside: beside a running host, without one, or on a read-only disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.store.connections import open_reading
from alicia_scheduler.store.faults import explained
from alicia_scheduler.store.queries import Queries
from alicia_scheduler.store.schema import MIGRATIONS, STORE_FILE, check_version

__all__ = ["open_reader"]


@contextmanager
def open_reader(state_dir: Path) -> Iterator[Queries]:
    """The reads of the store in ``state_dir``, blocking, for a command that only looks.

    It takes no lock, writes nothing and needs no host.

    Raises:
        StoreError: there is no directory or no store yet, or it cannot be read; says what to do.
    """
    path = state_dir / STORE_FILE
    if not state_dir.is_dir():
        raise StoreError(f"no state directory {state_dir}; `alicia run` creates it")
    if not path.is_file():
        raise StoreError(f"no store in {state_dir} yet; `alicia run` creates it")
    connection = _opened(path)
    with closing(connection):
        yield Queries(connection, str(path))


def _opened(path: Path) -> sqlite3.Connection:
    with explained(str(path)):
        try:
            return _checked(path)
        except sqlite3.OperationalError as error:
            # A store in WAL mode wants its -shm beside it even to be read. Where that cannot be
            # made, the main file alone will do, provided it is the whole truth.
            if not _needs_shm(error):
                raise
            log = path.with_name(path.name + "-wal")
            if log.exists() and log.stat().st_size:
                raise StoreError(
                    f"store {path} cannot be read: its latest changes wait in {log.name}, which "
                    "needs a directory that may be written; copy the whole directory and read "
                    "the copy"
                ) from error
        return _checked(path, immutable=True)


def _needs_shm(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def _checked(path: Path, *, immutable: bool = False) -> sqlite3.Connection:
    connection = open_reading(path, immutable=immutable)
    try:
        version = check_version(connection, str(path))
    except BaseException:
        connection.close()
        raise
    if version < MIGRATIONS[-1].version:
        connection.close()
        raise StoreError(
            f"store {path} is of an older version (schema {version}); `alicia run` brings it up "
            "to date"
        )
    return connection
