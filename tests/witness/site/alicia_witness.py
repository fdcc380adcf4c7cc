"""A plugin that leaves a mark outside the scheduler for everything that it does and says.

The action ``witness.act`` appends a line to a ledger and the sink ``witness.hear`` appends what it
is told to a second one. Both files are outside the state directory, appended with one write and
synced, and stamped with the monotonic clock, so a test can lay them beside what a disk held.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from alicia_scheduler.api import (
    ActionContext,
    ActionType,
    EventExecution,
    Notification,
    Retryable,
    SinkContext,
    SinkType,
    hookimpl,
    to_epoch,
)

if "ALICIA_PLANT" in os.environ:
    import planted

    planted.plant(os.environ["ALICIA_PLANT"])


class ActConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the action does.

    Attributes:
        ledger: the file that it appends to.
        seconds: how long it goes on after its effect.
        failing: so many attempts of each execution fail before they have any effect.
    """

    ledger: str
    seconds: float = 0.0
    failing: int = 0


class HearConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file that is appended to."""

    ledger: str


class Ledger:
    """A file that lines are appended to, whole and durable."""

    def __init__(self, path: str) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(self, **line: Any) -> None:
        # In place and not in a thread: a cancelled run must not leave its effect to come later.
        line["stamp"] = time.monotonic_ns()
        os.write(self._handle, json.dumps(line).encode() + b"\n")
        os.fsync(self._handle)

    def close(self) -> None:
        os.close(self._handle)


class Act:
    def __init__(self) -> None:
        self._ledgers: dict[str, Ledger] = {}

    async def run(self, config: ActConfig, execution: EventExecution) -> dict[str, Any]:
        if execution.attempt <= config.failing:
            raise Retryable(f"attempt {execution.attempt} is meant to fail")
        if config.ledger not in self._ledgers:
            self._ledgers[config.ledger] = Ledger(config.ledger)
        self._ledgers[config.ledger].note(
            event_id=execution.event_id,
            execution_id=execution.execution_id,
            slot=to_epoch(execution.scheduled_time),
            attempt=execution.attempt,
            key=execution.idempotency_key,
        )
        if config.seconds:
            await trio.sleep(config.seconds)
        return {"pid": os.getpid()}

    def close(self) -> None:
        for ledger in self._ledgers.values():
            ledger.close()


class Hear:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def write(self, notifications: Sequence[Notification]) -> None:
        for item in notifications:
            data = item.event_data
            kept = ("event_id", "execution_id", "scheduled_time", "status", "reason", "message")
            self._ledger.note(
                event_type=item.event_type,
                sequence=item.sequence,
                pid=os.getpid(),
                **{name: data[name] for name in (*kept, "class") if name in data},
            )


@asynccontextmanager
async def open_act(_context: ActionContext) -> AsyncIterator[Act]:
    act = Act()
    try:
        yield act
    finally:
        act.close()


@asynccontextmanager
async def open_hear(config: HearConfig, _context: SinkContext) -> AsyncIterator[Hear]:
    ledger = Ledger(config.ledger)
    try:
        yield Hear(ledger)
    finally:
        ledger.close()


@hookimpl
def alicia_action_types() -> Iterator[ActionType]:
    yield ActionType(
        name="witness.act", config=ActConfig, open=open_act, summary="leave a mark in a ledger"
    )


@hookimpl
def alicia_sinks() -> Iterator[SinkType]:
    yield SinkType(
        name="witness.hear", config=HearConfig, open=open_hear, summary="note what is told"
    )
