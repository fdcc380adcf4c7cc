"""The embedded store: events and executions in one SQLite file, or in memory.

Nothing outside this package knows SQLite. The host takes the :class:`StateLock`, then opens a
:class:`SqliteStore`; a command that only looks opens a :func:`reading <open_reader>` view, with or
without a host beside it, and need not wait for trio to be imported.
"""

from typing import TYPE_CHECKING, Any

from alicia_scheduler.store.lock import StateLock
from alicia_scheduler.store.queries import Queries
from alicia_scheduler.store.reader import open_reader
from alicia_scheduler.store.schema import STORE_FILE

if TYPE_CHECKING:
    from alicia_scheduler.store.sqlite import SqliteStore

__all__ = ["STORE_FILE", "Queries", "SqliteStore", "StateLock", "open_reader"]


def __getattr__(name: str) -> Any:
    # It brings trio along, and the completion of a shell, which only looks, should not wait for it.
    if name == "SqliteStore":
        from alicia_scheduler.store.sqlite import SqliteStore

        return SqliteStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
