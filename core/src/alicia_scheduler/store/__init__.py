"""The embedded store: events and executions in one SQLite file, or in memory.

Nothing outside this package knows SQLite. The host takes the :class:`StateLock`, then opens a
:class:`SqliteStore`; a command that only looks opens a :func:`reading <open_reader>` view, with or
without a host beside it, and need not wait for trio to be imported.
"""

from typing import TYPE_CHECKING

from alicia_scheduler.store.lock import StateLock
from alicia_scheduler.store.queries import Queries
from alicia_scheduler.store.reader import open_reader
from alicia_scheduler.store.schema import STORE_FILE

if TYPE_CHECKING:
    from alicia_scheduler.store.sqlite import SqliteStore

__all__ = ["STORE_FILE", "Queries", "SqliteStore", "StateLock", "open_reader"]


def __getattr__(name: str) -> object:
    if name != "SqliteStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from alicia_scheduler.store.sqlite import SqliteStore

    return SqliteStore
