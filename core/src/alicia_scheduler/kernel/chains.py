"""What follows an execution: the events that its event names are triggered by its end.

They are let in by the transaction that holds the end, so a crash neither loses nor doubles one. A
chained execution names the one it follows in ``parent_id``, and can have its result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from alicia_scheduler.api.errors import ConfigError, StoreError
from alicia_scheduler.api.model import EventExecution, ScheduledEvent, Status, Trigger
from alicia_scheduler.kernel.decision import Decision
from alicia_scheduler.kernel.halting import halted
from alicia_scheduler.kernel.ledger import new_execution, refused
from alicia_scheduler.kernel.notifications import about_error
from alicia_scheduler.kernel.planner import plan_trigger

if TYPE_CHECKING:
    from alicia_scheduler.kernel.kernel import Kernel

__all__ = [
    "ancestors_of",
    "prepare_chain",
    "chain",
    "cycle_error",
    "find_cycle",
    "follow_ups",
    "refuse_cycles",
    "targets_of",
]


DEPTH = 1000
"""Ancestors that are looked at."""


def targets_of(event: ScheduledEvent) -> tuple[str, ...]:
    """The ids of all events that an event may trigger."""
    return (*event.on_success, *event.on_failure, *event.on_complete)


def follow_ups(event: ScheduledEvent, ended: EventExecution) -> tuple[str, ...]:
    """The ids of the events to trigger now that an execution has ended, each once.

    Only what ran to an end of its own has followers: what was skipped, missed, cancelled,
    interrupted or superseded by the next slot has none.
    """
    if ended.status is Status.COMPLETED:
        wanted = (*event.on_success, *event.on_complete)
    elif ended.status is Status.FAILED and ended.reason != "superseded":
        wanted = (*event.on_failure, *event.on_complete)
    else:
        return ()
    return tuple(dict.fromkeys(wanted))


async def prepare_chain(
    kernel: Kernel, ended: EventExecution, wanted: Iterable[str]
) -> frozenset[str]:
    """Take in hand what an ended execution triggers; the events that led to it, for
    :func:`chain`. All that must be waited for is waited for here, before anything is decided."""
    ancestors = {ended.event_id}
    try:
        ancestors = await ancestors_of(kernel, ended)
        # Last, so that the catalog cannot let go of them again.
        await kernel.catalog.load(wanted)
    except StoreError as error:
        kernel.records.failed("read from", error)
    return frozenset(ancestors)


def chain(
    kernel: Kernel,
    ended: EventExecution,
    wanted: Iterable[str],
    ancestors: frozenset[str],
    decision: Decision,
) -> None:
    """Add to ``decision`` what becomes of the events that an ended execution triggers."""
    now = kernel.clock.now()
    readable = kernel.records.degraded is None
    unknown = "there is no such event" if readable else "the store cannot be read"
    for event_id in wanted:
        entry = kernel.catalog.get(event_id)
        problem = entry.problem if entry is not None else unknown
        if event_id in ancestors:
            problem, entry = "it has triggered this one in the first place", None
        if entry is None or entry.prepared is None:
            message = f"event {ended.event_id!r} cannot trigger {event_id!r}: {problem}"
            decision.also.append(about_error(message, event_id=ended.event_id, kind="chain"))
            continue
        execution = replace(
            new_execution(entry.event, now, Trigger.CHAIN, now), parent_id=ended.execution_id
        )
        if not entry.event.enabled:
            why = "the event is disabled"
            decision.close(entry, refused(execution, "disabled", now, why))
        elif (state := halted(entry.state, kernel.paused_until)).paused_until and (
            now <= state.paused_until
        ):
            why = state.paused_reason or "the event is paused"
            decision.close(entry, refused(execution, "paused", now, why))
        else:
            occupancy = kernel.runner.occupancy(entry.event)
            plan = plan_trigger(entry.event, now, occupancy, execution)
            kernel.take_over(entry, plan, now, decision)
            kernel.rates.triggered(entry.event)


async def ancestors_of(kernel: Kernel, execution: EventExecution) -> set[str]:
    """The events whose executions led to this one, itself included. Circles are refused when an
    event is written, but a file and the API can close one together."""
    found = {execution.event_id}
    while execution.parent_id is not None and len(found) < DEPTH:
        parent = await kernel.store.execution(execution.parent_id)
        if parent is None:
            break
        found.add(parent.event_id)
        execution = parent
    return found


def find_cycle(events: Mapping[str, ScheduledEvent], begin: str) -> list[str] | None:
    """The ids of a circle of triggers that an event is in, beginning and ending with it, or None.

    Args:
        events: the events that are known, by id; others trigger nothing.
    """
    trail = [(begin, iter(targets_of(events[begin])))]
    seen: set[str] = set()
    while trail:
        following = next(trail[-1][1], None)
        if following is None:
            trail.pop()
        elif following == begin:
            return [*(event_id for event_id, _ in trail), begin]
        elif following not in seen and following in events:
            seen.add(following)
            trail.append((following, iter(targets_of(events[following]))))
    return None


async def refuse_cycles(kernel: Kernel, event: ScheduledEvent) -> None:
    """Refuse an event that would trigger itself in the end, together with what is stored.

    Raises:
        ConfigError: it would; the message shows the way round.
    """
    known = {event.event_id: event}
    unknown = set(targets_of(event))
    while unknown:
        found = await kernel.store.records(unknown)
        known = {event_id: record.event for event_id, record in found.items()} | known
        ahead = {target for record in found.values() for target in targets_of(record.event)}
        unknown = ahead - known.keys()
    circle = find_cycle(known, event.event_id)
    if circle is not None:
        raise cycle_error(circle)


def cycle_error(circle: list[str]) -> ConfigError:
    """The mistake of a circle of triggers."""
    return ConfigError(
        f"the event would trigger itself: {' -> '.join(circle)}",
        hint="take one of these out of on_success, on_failure or on_complete",
    )
