"""What an error of SQLite means to a person: one sentence with the fix, as a StoreError."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from alicia_scheduler.api.errors import StoreError

__all__ = ["cannot_write", "concerns_everybody", "explained", "store_error"]

# By error code, never by class or text: OperationalError stands for a full disk as well as for a
# damaged file.
_SENTENCES = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_READONLY: "it may not be written; check the rights of the file and the mount",
    sqlite3.SQLITE_IOERR: "the disk reports an error; check it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check the rights of its directory",
    sqlite3.SQLITE_PERM: "access is denied; check the rights of the file",
    sqlite3.SQLITE_AUTH: "access is denied; check the rights of the file",
    sqlite3.SQLITE_BUSY: "another program keeps it locked; close that program",
    sqlite3.SQLITE_LOCKED: "another program keeps it locked; close that program",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
    sqlite3.SQLITE_CORRUPT: "the file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is damaged, or is no store",
    sqlite3.SQLITE_PROTOCOL: "another program keeps it locked; close that program",
}

_DAMAGE = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
_UNWRITABLE = frozenset(
    (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
    )
)
_UNWRITABLE_FILES = frozenset(
    (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EIO)
)


def _code(error: BaseException) -> int:
    """The primary result code; extended codes carry it in their low byte."""
    return int(getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def concerns_everybody(error: BaseException) -> bool:
    """True when the fault lies with the file or the disk, and not with the data of one caller."""
    return _code(error) in _SENTENCES


def store_error(error: BaseException, place: str) -> StoreError:
    """The sentence for ``error``; ``place`` names the store."""
    sentence = _SENTENCES.get(_code(error))
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_SHMSIZE:
        # The index of the log, for which there is no room.
        sentence = _SENTENCES[sqlite3.SQLITE_FULL]
    cause = error.strerror if isinstance(error, OSError) else error
    code = _code(error)
    # A damaged schema makes SQLite quote bytes in its message which Python cannot decode.
    damaged = code in _DAMAGE or isinstance(error, UnicodeDecodeError)
    if damaged and sentence is None:
        sentence = _SENTENCES[sqlite3.SQLITE_CORRUPT]
    detail = f"{sentence} ({cause})" if sentence else str(cause)
    transient = not damaged and (code in _SENTENCES or isinstance(error, OSError))
    return StoreError(f"store {place}: {detail}", transient=transient, damaged=damaged)


def cannot_write(error: StoreError) -> bool:
    """True when the disk or the rights are why the store could not be opened."""
    cause = error.__cause__
    if isinstance(cause, OSError):
        return cause.errno in _UNWRITABLE_FILES
    return cause is not None and _code(cause) in _UNWRITABLE


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Turn what SQLite raises inside into a :class:`StoreError` that names ``place``.

    ``UnicodeError`` is among it: Python raises it when SQLite's own message quotes bytes of a
    damaged schema, and for text that is no text (a lone surrogate). So is what the system says
    about files that are made without SQLite.
    """
    try:
        yield
    except (sqlite3.Error, UnicodeError, OSError) as error:
        raise store_error(error, place) from error
