"""The events there are, page by page: what the store has, with what the kernel knows better.

Nobody ever holds them all: there may be a million.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING

from alicia_scheduler.api.model import EventRecord

if TYPE_CHECKING:
    from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["known_events", "page_of_events", "page_of_tagged"]

PAGE = 1000
"""Events that are read at once."""


async def known_events(kernel: Kernel, event_ids: Collection[str]) -> dict[str, EventRecord]:
    """Those of the events that there are, as they are: what the kernel has in hand is newer than
    the store while that is being written, or cannot be."""
    known = await kernel.store.records(event_ids)
    for event_id in event_ids:
        entry = kernel.catalog.get(event_id)
        if entry is not None:
            known[event_id] = entry.record
        elif kernel.records.removed(event_id):
            known.pop(event_id, None)
    return known


async def page_of_events(
    kernel: Kernel, *, after_id: str | None = None, origin: str | None = None
) -> tuple[list[EventRecord], str | None]:
    """The next events in order of id, beginning behind ``after_id``, and the id behind which the
    following page begins; None behind the last one.

    Args:
        origin: only those of this origin.
    """
    stored = await kernel.store.list_events(after_id=after_id, limit=PAGE, origin=origin)
    last_id = stored[-1].event.event_id if stored else None
    found: dict[str, EventRecord | None] = {record.event.event_id: record for record in stored}
    # What the store lacks, or has in an older version, because it cannot be written.
    for event_id in kernel.records.unwritten_events():
        behind = after_id is None or event_id > after_id
        if behind and (last_id is None or event_id <= last_id):
            found.setdefault(event_id, None)
    newest = (_newest(kernel, event_id, found[event_id]) for event_id in sorted(found))
    page = [
        record
        for record in newest
        if record is not None and (origin is None or record.event.origin == origin)
    ]
    return page, last_id


async def page_of_tagged(
    kernel: Kernel,
    tags: Collection[str],
    *,
    after_id: str | None = None,
    origin: str | None = None,
) -> tuple[list[EventRecord], str | None]:
    """As :func:`page_of_events`, of those events alone that have one of the tags. A store that can
    tell them apart is not made to read the others."""
    find: Callable[..., Awaitable[tuple[list[str], str | None]]] | None = getattr(
        kernel.store, "tagged", None
    )
    if find is None:
        page, last_id = await page_of_events(kernel, after_id=after_id, origin=origin)
        return [each for each in page if not set(tags).isdisjoint(each.event.tags)], last_id
    ids, last_id = await find(tags, after_id=after_id, limit=PAGE)
    wanted = set(ids)
    for event_id in kernel.records.unwritten_events():
        behind = after_id is None or event_id > after_id
        if behind and (last_id is None or event_id <= last_id):
            wanted.add(event_id)
    known = await known_events(kernel, wanted)
    page = [
        record
        for _, record in sorted(known.items())
        if not set(tags).isdisjoint(record.event.tags) and origin in (None, record.event.origin)
    ]
    return page, last_id


def _newest(kernel: Kernel, event_id: str, stored: EventRecord | None) -> EventRecord | None:
    entry = kernel.catalog.get(event_id)
    if entry is not None:
        return entry.record
    return None if kernel.records.removed(event_id) else stored
