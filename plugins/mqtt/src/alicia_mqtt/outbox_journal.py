"""Between the outbox in memory and its file: changes gathered, written in one go by a thread."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio

from alicia_mqtt.outbox_file import Loaded, OutboxFile, StoredOutcome
from alicia_mqtt.outbox_rows import Row

__all__ = ["Journal"]

WRITE_WITHIN = 4.0
"""Seconds after which a write counts as hung: the file is left alone from then on."""


class Journal:
    """Writes down what has changed, whenever something has: as many changes as there are make one
    transaction. What cannot be written stays in memory, is told once, and is tried again with the
    next change; nothing is lost by it, as the executions themselves are in the host's store.
    """

    def __init__(
        self,
        file: OutboxFile,
        run_sync: Callable[..., Awaitable[Any]],
        logger: logging.Logger,
    ) -> None:
        self._file = file
        self._run_sync = run_sync
        self._logger = logger
        self._rows: Mapping[str, Row] = {}
        self._changed: dict[str, None] = {}
        self._ended: list[tuple[Row, str | None]] = []
        self._work = trio.Event()
        self._usable = False
        self._trouble_told = False

    async def open(self) -> Loaded:
        """Open the file; what it held. Without one the outbox lives in memory, and that is told."""
        try:
            loaded: Loaded = await self._run_sync(self._file.open)
        except (OSError, sqlite3.Error) as error:
            self._tell_trouble(error)
            return Loaded([], [])
        self._usable = True
        if loaded.note is not None:
            self._logger.error("%s; what waited there is published again", loaded.note)
        return loaded

    def bind(self, rows: Mapping[str, Row]) -> None:
        """Keep these rows: what the file has of them is what is there when it is written."""
        self._rows = rows

    def touch(self, key: str) -> None:
        """The row of this key is new, has changed or is gone."""
        if self._usable:
            self._changed[key] = None
            self._work.set()

    def end(self, row: Row, outcome: str | None) -> None:
        """The row is over; who waits for it is told when that is on disk."""
        if not self._usable:
            row.settled.set()
            return
        self._ended.append((row, outcome))
        self._work.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._work.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write what has changed until now."""
        self._work = trio.Event()
        changed, self._changed = self._changed, {}
        ended, self._ended = self._ended, []
        kept = [row for key in changed if (row := self._rows.get(key)) is not None]
        removed = [key for key in changed if key not in self._rows]
        removed += [row.key for row, _ in ended]
        for row in kept:
            row.on_disk = True  # from now on it may be, so its end has to be written too
        outcomes = [StoredOutcome(row.key, outcome) for row, outcome in ended if outcome]
        stored = [row.stored() for row in kept]
        if not await self._write(stored, removed, outcomes):
            self._changed = dict.fromkeys([*changed, *removed, *self._changed])
        for row, _ in ended:
            row.settled.set()

    async def close(self) -> None:
        """Write the rest and close the file, within seconds and not to be cancelled."""
        if self._usable:
            await self.flush()
        if self._usable:
            with trio.move_on_after(WRITE_WITHIN, shield=True):
                await self._run_sync(self._file.close)

    async def _write(self, *changes: Any) -> bool:
        """True when it is on disk. Not to be cancelled: a thread that is left alone with the
        connection could meet the next one there."""
        if not self._usable:
            return False
        try:
            with trio.move_on_after(WRITE_WITHIN, shield=True) as hung:
                await self._run_sync(self._file.write, *changes)
        except sqlite3.Error as error:
            self._tell_trouble(error)
            return False
        if hung.cancelled_caught:
            self._usable = False
            self._tell_trouble(TimeoutError(f"the disk did not answer within {WRITE_WITHIN:g} s"))
            return False
        if self._trouble_told:
            self._trouble_told = False
            self._logger.info("the outbox can write to %s again", self._file.path)
        return True

    def _tell_trouble(self, error: Exception) -> None:
        if not self._trouble_told:
            self._trouble_told = True
            self._logger.error(
                "the outbox cannot use %s, and goes on in memory: %s", self._file.path, error
            )
