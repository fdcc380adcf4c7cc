"""The embedded stores: events and executions in one SQLite file, or in memory.

Nothing outside this package knows SQLite. The host takes the :class:`StateLock`, then opens a
:class:`SqliteStore`; a command that only looks opens a :func:`reading <open_reader>` view, with or
without a host beside it. A host that keeps nothing opens a :class:`MemoryStore`.
"""

from typing import TYPE_CHECKING, Any

from alicia_scheduler.store.lock import StateLock
from alicia_scheduler.store.queries import Queries
from alicia_scheduler.store.reader import open_reader
from alicia_scheduler.store.schema import STORE_FILE

if TYPE_CHECKING:
    from alicia_scheduler.store.memory import MemoryStore
    from alicia_scheduler.store.sqlite import SqliteStore

__all__ = ["STORE_FILE", "MemoryStore", "Queries", "SqliteStore", "StateLock", "open_reader"]


def __getattr__(name: str) -> Any:
    # They bring trio along, for which the completion of a shell should not wait.
    if name == "SqliteStore":
        from alicia_scheduler.store.sqlite import SqliteStore

        return SqliteStore
    if name == "MemoryStore":
        from alicia_scheduler.store.memory import MemoryStore

        return MemoryStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
