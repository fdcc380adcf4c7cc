"""Opening a store that may be damaged, gone, or on a disk that takes nothing.

A damaged store is never repaired and never deleted: it is moved aside as it is, and a new one is
begun. A store that cannot be written at all is stood in for by memory, with what could be read of
it. Each of these is an *incident*: a plain sentence for the person who must know.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.store import connections
from alicia_scheduler.store.connections import Synchronous
from alicia_scheduler.store.copies import sync_directory
from alicia_scheduler.store.faults import cannot_write, explained
from alicia_scheduler.store.makeshift import stand_in
from alicia_scheduler.store.schema import check_version, prepare

__all__ = ["SENTINEL_SUFFIX", "Opened", "open_anew", "open_file", "open_store"]

SENTINEL_SUFFIX = ".exists"
"""A file of the store's name with this suffix says that there was a store."""

_BESIDE = ("-journal", "-wal", "-shm")
"""What SQLite keeps beside a store, by suffix."""

CHECKED_BYTES = 8 * 1024 * 1024
"""A store up to this size is checked page by page when it is opened. For a larger one that takes
too long; damage inside it is found when it is read."""


@dataclass(frozen=True)
class Opened:
    """The connections of a store. ``durable`` is False, and both are one, when it is memory."""

    writing: sqlite3.Connection
    reading: sqlite3.Connection
    durable: bool


def open_store(path: Path, synchronous: Synchronous, tell: Callable[[str], None]) -> Opened:
    """The store at ``path``, a new one in its place, or memory; ``tell`` is given each incident.

    Raises:
        StoreError: the store is of a newer version, another program's or locked, or its directory
            is missing. It was left untouched.
    """
    try:
        return open_file(path, synchronous, tell)
    except StoreError as error:
        if not cannot_write(error):
            raise
        memory, loaded = stand_in(path)
        tell(
            f"{error}. Nothing can be kept there: events and history live in memory until it can "
            f"be written; {loaded}"
        )
    return Opened(memory, memory, durable=False)


def open_anew(path: Path, synchronous: Synchronous) -> tuple[Opened, str]:
    """Move aside what is at ``path`` and begin a new store; the string says so.

    Raises:
        StoreError: the directory cannot be written.
    """
    with explained(str(path)):
        where = _move_aside(path)
        return _connected(path, synchronous), where


def open_file(path: Path, synchronous: Synchronous, tell: Callable[[str], None]) -> Opened:
    """As :func:`open_store`, but never memory.

    Raises:
        StoreError: as :func:`open_store`, or the store cannot be written.
    """
    with explained(str(path)):
        _look_for(path, tell)
        try:
            opened = _open(path, synchronous)
        except StoreError as error:
            if not error.damaged:
                raise
            tell(f"{error}. {_move_aside(path)}")
            opened = _open(path, synchronous)
        try:
            _leave_sentinel(path)
        except BaseException:
            opened.writing.close()
            opened.reading.close()
            raise
        return opened


def _move_aside(path: Path) -> str:
    """Rename a store, its logs and its index, and say where it is now.

    The logs go first: a new store beside the log of an old one would be given its pages.

    Raises:
        OSError: the directory cannot be written.
    """
    # The one use of the system's clock in the store: it names a file and decides nothing.
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while any(Path(f"{aside}{part}").exists() for part in ("", *_BESIDE)):
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for part in (*_BESIDE, ""):
        old = Path(f"{path}{part}")
        if old.exists():
            old.rename(f"{aside}{part}")
    sync_directory(path.parent)
    return f"It was moved to {aside.name} and a new store was begun"


def _look_for(path: Path, tell: Callable[[str], None]) -> None:
    """Tell when a store that was there is gone or empty. A log without its store is kept aside."""
    if path.exists() and (path.is_dir() or path.stat().st_size):
        return
    what = "is empty now" if path.exists() else "is gone"
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size:
        tell(f"store {path}: {what}, but for its latest changes. {_move_aside(path)}")
    elif Path(f"{path}{SENTINEL_SUFFIX}").exists():
        tell(f"store {path}: there was one, and it {what}; a new store was begun")


def _leave_sentinel(path: Path) -> None:
    sentinel = Path(f"{path}{SENTINEL_SUFFIX}")
    if not sentinel.exists():
        sentinel.write_text(f"{path.name} was begun here; this file tells when it gets lost.\n")
        sentinel.chmod(0o600)
        sync_directory(path.parent)


def _open(path: Path, synchronous: Synchronous) -> Opened:
    with explained(str(path)):
        if path.is_dir():
            raise StoreError(f"store {path}: there is a directory in its place", damaged=True)
        if not path.exists():
            return _connected(path, synchronous)
        if Path(f"{path}-journal").exists():
            # The cut came while the store was made, before it had its write-ahead log. What can
            # only read may not undo that.
            connections.roll_back(path)
        # This connection can only read and is closed last, so whatever fails in between, nothing
        # is merged into the file: it stays as it was found.
        with closing(connections.open_reading(path)) as looking:
            _check(looking, path)
            return _connected(path, synchronous)


def _connected(path: Path, synchronous: Synchronous) -> Opened:
    writing = connections.open_writing(path, synchronous)
    try:
        prepare(writing, path)
        sync_directory(path.parent)
        return Opened(writing, connections.open_reading(path), durable=True)
    except BaseException:
        writing.close()
        raise


def _check(looking: sqlite3.Connection, path: Path) -> None:
    """Find what is wrong with a store before anything is written to it."""
    check_version(looking, str(path))
    size = path.stat().st_size
    pages, page_size = (
        looking.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
    )
    log = Path(f"{path}-wal")
    if size < pages * page_size and not (log.exists() and log.stat().st_size):
        raise StoreError(f"store {path}: the file is damaged: its end is missing", damaged=True)
    if size > CHECKED_BYTES:
        return
    problem = looking.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != b"ok":
        words = problem.decode(errors="replace").replace("\n", " ")
        raise StoreError(f"store {path}: the file is damaged ({words})", damaged=True)
