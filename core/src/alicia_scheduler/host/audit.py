"""The audit log: who told this host to do what, through which door, and what became of it.

Lines of JSON in ``audit.log`` in the state directory, readable by its owner only and bounded in
size. A command never waits for it and never fails because of it; what could not be written is
counted, and the log itself says how much is missing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio

from alicia_scheduler.api.control import Caller, Permission
from alicia_scheduler.api.model import to_epoch, to_wire
from alicia_scheduler.kernel.clock import Clock, SystemClock

__all__ = ["AUDIT_FILE", "AuditLog", "is_audited", "note_at_once"]

logger = logging.getLogger(__name__)

AUDIT_FILE = "audit.log"
"""Name of the file in the state directory. The one before it has ``.1`` behind its name, and so
on."""

FILE_BYTES = 1_000_000
"""Size at which a file is full."""

FILES = 5
"""Files that are kept, the one that is written included."""

WAITING = 1000
"""Lines that wait to be written at the most."""

LAST_WORDS = 5.0
"""Seconds that a stopping host gives the last lines."""

TEXT = 200
ITEMS = 20
LEVELS = 6
LINE_BYTES = 8000
"""What of the arguments is written: characters of a text, items of a list or an object, levels,
and bytes in all."""


def is_audited(permission: Permission) -> bool:
    """Whether a command that needs this is written to the log."""
    return permission is not Permission.READ


class AuditLog:
    """Takes notes of commands, and writes them while :meth:`running`.

    Args:
        state_dir: where the file is; None writes none.
        redact: takes out what must not be told.

    Attributes:
        written: lines written so far.
        lost: lines that were given up so far.
        problem: why the file cannot be written at present; None while it can.
    """

    def __init__(
        self,
        state_dir: Path | None,
        clock: Clock,
        redact: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        self.written = 0
        self.lost = 0
        self.problem: str | None = None
        self._path = state_dir / AUDIT_FILE if state_dir is not None else None
        self._clock = clock
        self._redact = redact
        self._untold = 0
        self._lines: list[bytes] = []
        self._news = trio.Event()
        self._limiter = trio.CapacityLimiter(1)

    def note(
        self, caller: Caller, command: str, arguments: Mapping[str, Any], outcome: str
    ) -> None:
        """Take a note of a command. Never waits, never raises.

        Args:
            outcome: ``ok``, or the code of the refusal.
        """
        if self._path is None:
            return
        if len(self._lines) >= WAITING:
            self._lose(1)
            return
        self._lines.append(self._line(caller, command, arguments, outcome))
        self._news.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write notes until the block ends, and then those that are left."""
        if self._path is None:
            yield
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_on, self._path, name="audit log")
            try:
                yield
            finally:
                nursery.cancel_scope.cancel()
        with trio.move_on_after(LAST_WORDS, shield=True):
            await self._write_waiting(self._path)

    async def _write_on(self, path: Path) -> None:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            await self._write_waiting(path)

    async def _write_waiting(self, path: Path) -> None:
        while self._lines:
            lines, self._lines = self._lines, []
            untold, self._untold = self._untold, 0
            if untold:
                lines.insert(0, self._gap(untold))
            # A write that was begun ends; what it wrote is known only then.
            with trio.CancelScope(shield=True):
                try:
                    await trio.to_thread.run_sync(_append, path, lines, limiter=self._limiter)
                except OSError as error:
                    self._untold += untold
                    self._lose(len(lines) - bool(untold), str(error))
                else:
                    self.written += len(lines)
                    self.problem = None

    def _lose(self, count: int, problem: str = "too many lines wait to be written") -> None:
        self.lost += count
        self._untold += count
        if self.problem is None:
            logger.error("the audit log cannot be written: %s", problem)
        self.problem = problem

    def _gap(self, count: int) -> bytes:
        found = {"time": to_epoch(self._clock.now()), "lost": count}
        return msgspec.json.encode(found) + b"\n"

    def _line(
        self, caller: Caller, command: str, arguments: Mapping[str, Any], outcome: str
    ) -> bytes:
        found: dict[str, Any] = {
            "time": to_epoch(self._clock.now()),
            "door": caller.door,
            "caller": caller.name,
            "command": command,
            "outcome": outcome,
        }
        try:
            # Of what is cut in the middle, a secret may not be recognised any more.
            told = self._redact({"arguments": _pruned(arguments), "caller": caller.name})
            found["caller"] = _shortened(told["caller"])
            found["arguments"] = _shortened(told["arguments"])
            if caller.execution is not None:
                found["execution_id"] = caller.execution.execution_id
            line = msgspec.json.encode(found)
        except Exception as error:  # noqa: BLE001 - whatever somebody sent, it is noted that they did
            found["arguments"] = f"cannot be written: {type(error).__name__}"
            line = msgspec.json.encode(found)
        if len(line) > LINE_BYTES:
            found["arguments"] = f"cut: {len(line)} bytes"
            line = msgspec.json.encode(found)
        return line + b"\n"


def note_at_once(
    state_dir: Path, caller: Caller, command: str, arguments: Mapping[str, Any], outcome: str
) -> None:
    """Take a note of what was done to a state directory without a host, or beside it. Blocking.

    Raises:
        OSError: it cannot be written.
    """
    log = AuditLog(state_dir, SystemClock(), lambda data: data)
    _append(state_dir / AUDIT_FILE, [log._line(caller, command, arguments, outcome)])


def _append(path: Path, lines: list[bytes]) -> None:
    """Add lines, in a file that is the owner's alone; a full one is put aside before."""
    data = b"".join(lines)
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        size = 0
    if size and size + len(data) > FILE_BYTES:
        _rotate(path)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "a+b") as file:
        os.fchmod(file.fileno(), 0o600)
        if file.tell() and os.pread(handle, 1, file.tell() - 1) != b"\n":
            # A line that a full disk or a crash has cut off stays alone.
            data = b"\n" + data
        file.write(data)


def _rotate(path: Path) -> None:
    for number in range(FILES - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        newer = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
        if newer.exists():
            newer.replace(older)


def _pruned(value: Any, levels: int = LEVELS) -> Any:
    """``value`` with few levels and few items, its texts as they are."""
    if isinstance(value, Mapping):
        if levels == 0:
            return "…"
        items = list(value.items())
        kept = {str(key): _pruned(item, levels - 1) for key, item in items[:ITEMS]}
        return kept | ({"…": len(items) - ITEMS} if len(items) > ITEMS else {})
    if isinstance(value, (list, tuple, set, frozenset)):
        if levels == 0:
            return "…"
        kept_items = [_pruned(item, levels - 1) for item in list(value)[:ITEMS]]
        return kept_items + ([f"… {len(value) - ITEMS} more"] if len(value) > ITEMS else [])
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    plain = to_wire(value)
    return plain if isinstance(plain, (bool, int, float, str)) else repr(value)


def _shortened(value: Any) -> Any:
    """``value`` with short texts."""
    if isinstance(value, str):
        return value if len(value) <= TEXT else f"{value[:TEXT]}…"
    if isinstance(value, dict):
        return {_shortened(key): _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    return value
