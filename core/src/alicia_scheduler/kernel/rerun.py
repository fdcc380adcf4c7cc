"""Running an execution again that has ended: the way out of the list of dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from alicia_scheduler.api.model import EventExecution, Trigger
from alicia_scheduler.kernel.decision import Decision
from alicia_scheduler.kernel.ledger import new_execution
from alicia_scheduler.kernel.planner import plan_trigger

if TYPE_CHECKING:
    from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["rerun"]


async def rerun(kernel: Kernel, execution_id: str) -> list[EventExecution]:
    """Run the slot of an execution that has ended once more, by the event's rules of overlap.

    It is a new execution of the event as it is defined now, with the trigger ``retry`` and all the
    attempts the event allows; ``retry_of`` names the one it repeats, which stays as it is.

    Returns:
        what came of it: the new execution, or the record of why there is none.

    Raises:
        KeyError: there is no such execution.
        ValueError: it has not ended yet, its event was removed, or is unresolved.
    """
    original = await kernel.store.execution(execution_id)
    if original is None:
        raise KeyError(execution_id)
    if not original.status.final:
        raise ValueError(
            f"execution {execution_id} is {original.status.value}: only one that has ended can be "
            "run again"
        )
    await kernel.catalog.load([original.event_id])
    entry = kernel.catalog.get(original.event_id)
    if entry is None:
        raise ValueError(f"the event {original.event_id!r} of this execution was removed")
    if entry.prepared is None:
        raise ValueError(f"event {original.event_id!r} is unresolved: {entry.problem}")
    now = kernel.clock.now()
    # Due now: steps and retry_max_age count from when somebody asked for it.
    execution = replace(
        new_execution(entry.event, original.scheduled_time, Trigger.RETRY, now),
        retry_of=execution_id,
    )
    plan = plan_trigger(entry.event, now, kernel.runner.occupancy(entry.event), execution)
    decision = Decision()
    kernel.take_over(entry, plan, now, decision)
    await kernel.carry_out(decision)
    kernel.rates.triggered(entry.event)
    return [*plan.admitted, *plan.closed]
