"""Halting the whole schedule: while it is paused no slot of any event runs.

It is for the host what a pause is for an event: each slot that comes due is recorded as skipped
with the reason ``paused``, what is under way goes on with its retries, and whoever triggers an
event by hand still does. The store remembers it, so that a restart does not end it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from alicia_scheduler.api.model import EventState, from_epoch, to_epoch
from alicia_scheduler.api.store import SaveFact
from alicia_scheduler.kernel.ledger import FOR_EVER
from alicia_scheduler.kernel.notifications import Told

if TYPE_CHECKING:
    from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["HALTED", "halt", "halted", "kept", "proceed", "recall"]

HALTED = "paused_until"
"""The fact that the store keeps: epoch seconds, or None."""

REASON = "the whole schedule is paused"


async def halt(kernel: Kernel, until: datetime = FOR_EVER) -> None:
    """Let no slot of any event up to ``until`` (aware) run."""
    kernel.paused_until = until
    fact = SaveFact(HALTED, to_epoch(until))
    told = Told("scheduler_paused", {"paused_until": to_epoch(until)})
    await kernel.records.keep([fact], [told])


async def proceed(kernel: Kernel) -> None:
    """End :func:`halt`; slots that passed meanwhile are not run."""
    kernel.paused_until = None
    told = Told("scheduler_resumed", {"paused_until": None})
    await kernel.records.keep([SaveFact(HALTED, None)], [told])


async def recall(kernel: Kernel) -> None:
    """Take over from the store what an earlier run of the host was told."""
    until = kept(await kernel.store.facts())
    if until is not None:
        kernel.paused_until = until


def kept(facts: Mapping[str, Any]) -> datetime | None:
    """Up to when the facts of a store say that everything is paused."""
    known = facts.get(HALTED)
    return min(from_epoch(known), FOR_EVER) if isinstance(known, (int, float)) else None


def halted(state: EventState, until: datetime | None) -> EventState:
    """The state of an event as the planner must see it while everything is paused."""
    if until is None or (state.paused_until is not None and state.paused_until >= until):
        return state
    return replace(state, paused_until=until, paused_reason=REASON)
