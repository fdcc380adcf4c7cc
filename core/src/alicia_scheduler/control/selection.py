"""Which events a command means: by id, by pattern, by tag; and doing one thing to each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Annotated, Generic, TypeVar

import trio
from msgspec import Meta

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import EventRecord
from alicia_scheduler.control.command import Answer, Arguments, Request
from alicia_scheduler.control.refusals import refusals
from alicia_scheduler.kernel.kernel import Kernel
from alicia_scheduler.kernel.listing import known_events, page_of_events, page_of_tagged

__all__ = [
    "Failure",
    "Outcome",
    "Pattern",
    "Selection",
    "Tag",
    "as_tuple",
    "is_glob",
    "matches",
    "on_each",
    "selected_ids",
    "selected_page",
]

T = TypeVar("T")

SELECTION_LIMIT = 10_000
"""Events that a command does something to at once."""

AT_ONCE = 100
"""Events that a command does something to at a time."""

READ_AT_ONCE = 500
"""Events that are brought in hand together before something is done to them."""

Pattern = Annotated[str, Meta(min_length=1, max_length=256)]
Tag = Annotated[str, Meta(min_length=1, max_length=256)]
Patterns = Annotated[tuple[Pattern, ...], Meta(min_length=1, max_length=1000)]
Tags = Annotated[tuple[Tag, ...], Meta(min_length=1, max_length=100)]

_BEHIND = "\x7f"
"""Sorts behind everything that an id is made of."""


class Selection(Arguments, frozen=True):
    """The events that are meant.

    Attributes:
        event_id: an id, a pattern (`*` any characters, `?` any one, `[ab]` one of these), or a
            list of ids and patterns.
        tag: only events with this tag, or with one of a list of tags.
    """

    event_id: Pattern | Patterns | None = None
    tag: Tag | Tags | None = None


class Failure(Answer, frozen=True):
    """One event that the command could not be done to.

    Attributes:
        event_id: the event.
        code: the stable word of a refusal.
        message: one plain sentence for people.
        hint: what to do instead, if there is anything.
    """

    event_id: str
    code: str
    message: str
    hint: str | None = None


class Outcome(Answer, Generic[T], frozen=True):
    """What became of each event that was meant, in order of id.

    Attributes:
        done: those that the command was done to.
        failed: those that it could not be done to, with the reason.
    """

    done: tuple[T, ...]
    failed: tuple[Failure, ...] = ()


def as_tuple(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """One, several or none as a tuple."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def is_glob(pattern: str) -> bool:
    """Whether it is a pattern and no id: ids have none of these characters."""
    return any(character in pattern for character in "*?[")


@dataclass(frozen=True)
class _Wanted:
    """A selection, taken apart."""

    ids: frozenset[str]
    globs: tuple[str, ...]
    tags: frozenset[str]

    @classmethod
    def of(cls, selection: Selection) -> _Wanted:
        patterns = as_tuple(selection.event_id)
        return cls(
            frozenset(pattern for pattern in patterns if not is_glob(pattern)),
            tuple(pattern for pattern in patterns if is_glob(pattern)),
            frozenset(as_tuple(selection.tag)),
        )

    def has_id(self, event_id: str) -> bool:
        if not self.ids and not self.globs:
            return True
        return event_id in self.ids or any(fnmatchcase(event_id, glob) for glob in self.globs)

    def has(self, record: EventRecord) -> bool:
        if self.tags and self.tags.isdisjoint(record.event.tags):
            return False
        return self.has_id(record.event.event_id)

    @property
    def prefix(self) -> str:
        """What every id that is meant begins with."""
        if self.ids or len(self.globs) != 1:
            return ""
        glob = self.globs[0]
        return glob[: next(at for at, character in enumerate(glob) if character in "*?[")]


def matches(selection: Selection, event_id: str) -> bool:
    """Whether an id is one that is meant, tags left aside."""
    return _Wanted.of(selection).has_id(event_id)


async def selected_page(
    kernel: Kernel,
    selection: Selection,
    *,
    after_id: str | None = None,
    origin: str | None = None,
) -> tuple[list[EventRecord], str | None]:
    """The next events that are meant, in order of id, and the id behind which to look on; None
    when there are no more. A page can be empty though others follow."""
    wanted = _Wanted.of(selection)
    if wanted.ids and not wanted.globs:
        known = await known_events(kernel, wanted.ids)
        found = [
            known[event_id]
            for event_id in sorted(known)
            if (after_id is None or event_id > after_id)
            and (origin is None or known[event_id].event.origin == origin)
        ]
        return [record for record in found if wanted.has(record)], None
    prefix = wanted.prefix
    if prefix:
        # The last place before everything that begins so.
        after_id = max(after_id or "", prefix[:-1] + chr(ord(prefix[-1]) - 1) + _BEHIND)
    read = (
        partial(page_of_tagged, kernel, wanted.tags)
        if wanted.tags
        else partial(page_of_events, kernel)
    )
    page, up_to = await read(after_id=after_id, origin=origin)
    if prefix and up_to is not None and up_to > prefix and not up_to.startswith(prefix):
        up_to = None
    return [record for record in page if wanted.has(record)], up_to


async def selected_ids(kernel: Kernel, selection: Selection) -> tuple[list[str], list[str]]:
    """The ids of the events that are meant, in order, and those of a list that do not exist.

    Raises:
        ConfigError: nothing is said about which are meant.
        KeyError: a pattern or a tag selects nothing.
        ValueError: they are too many.
    """
    wanted = _Wanted.of(selection)
    if not wanted.ids and not wanted.globs and not wanted.tags:
        raise ConfigError(
            "which events are meant is not said",
            path=("event_id",),
            hint='give event_id or tag; event_id = "*" means all',
        )
    found: list[str] = []
    after_id: str | None = None
    while True:
        page, after_id = await selected_page(kernel, selection, after_id=after_id)
        found += [record.event.event_id for record in page]
        if len(found) > SELECTION_LIMIT:
            raise ValueError(
                f"more than {SELECTION_LIMIT} events are selected; select fewer at a time"
            )
        if after_id is None:
            break
    missing = wanted.ids.difference(found)
    if missing and wanted.tags:
        # An event without the tag is not meant; one that does not exist is a mistake.
        missing -= set(await known_events(kernel, missing))
    if not found and not missing:
        raise KeyError(_described(selection))
    return found, sorted(missing)


async def on_each(
    request: Request,
    selection: Selection,
    verb: Callable[[str], Awaitable[T]],
    *,
    at_once: int = AT_ONCE,
) -> Outcome[T]:
    """Do something to every event that is meant; what became of each is in order of id.

    Args:
        at_once: to so many events at a time, so that they share transactions; 1 for one after the
            other, in order of id.

    Raises:
        CommandError: it cannot be done to the one event that was named by its id; or as for
            :func:`selected_ids`.
    """
    single = isinstance(selection.event_id, str) and not is_glob(selection.event_id)
    if single and selection.tag is None:
        return Outcome(done=(await verb(str(selection.event_id)),))
    ids, missing = await selected_ids(request.kernel, selection)
    ids = sorted((*ids, *missing))
    done: dict[str, T] = {}
    refused: dict[str, CommandError] = {}
    pending: Iterator[str] = iter(())

    async def work_off() -> None:
        for event_id in pending:
            try:
                with refusals():
                    done[event_id] = await verb(event_id)
            except CommandError as error:
                refused[event_id] = error

    for begin in range(0, len(ids), READ_AT_ONCE):
        together = ids[begin : begin + READ_AT_ONCE]
        pending = iter(together)
        # One look into the store in place of one for each.
        await request.kernel.catalog.load(together)
        async with trio.open_nursery() as nursery:
            for _ in range(min(at_once, len(together))):
                nursery.start_soon(work_off)
    if single and refused:
        raise next(iter(refused.values()))
    return Outcome(
        done=tuple(done[event_id] for event_id in ids if event_id in done),
        failed=tuple(_failure(event_id, refused[event_id]) for event_id in sorted(refused)),
    )


def _failure(event_id: str, error: CommandError) -> Failure:
    return Failure(event_id=event_id, code=error.code, message=error.message, hint=error.hint)


def _described(selection: Selection) -> str:
    parts: Collection[str] = (
        *as_tuple(selection.event_id),
        *(f"tag {tag}" for tag in as_tuple(selection.tag)),
    )
    return ", ".join(parts)
