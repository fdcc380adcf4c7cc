"""What every sink keeps: what was written has arrived, in order; and it opens again after all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import trio

from alicia_scheduler.api import Notification, Sink, SinkType
from alicia_scheduler.kernel.overdue import GRACE
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.contracts.cancelling import cancel_at_each_await
from alicia_scheduler.testing.contracts.contract import OptionsContract
from alicia_scheduler.testing.contracts.leaks import Held, leaves_nothing

__all__ = ["SinkContract", "make_notification"]

LARGEST_BATCH = 200
"""Notifications that the host writes at a time at the most."""

BATCHES = 25


def make_notification(
    sequence: int, event_type: str = "execution_completed", **data: Any
) -> Notification:
    """A notification as the kernel emits it."""
    told: dict[str, Any] = {
        "event_id": "lamp",
        "execution_id": f"x-{sequence}",
        "name": "Küche 💡",
        "status": "completed",
        "scheduled_time": START.timestamp() + sequence,
        "lateness": 0.004,
        "duration": 0.5,
        "result": {"published": True},
    }
    return Notification(
        event_type=event_type,
        event_data=told | data,
        timestamp=START + timedelta(seconds=sequence),
        source="event_scheduler",
        sequence=sequence,
    )


class SinkContract(OptionsContract):
    """What every sink keeps. Subclass it in a plugin's tests, under a name with ``Test``.

    Attributes:
        kind: the sink type, as its hook yields it.
    """

    kind: SinkType

    def options(self) -> dict[str, Any]:
        """The keys of ``[sinks.<name>]`` that the sink is opened with."""
        self.missing("options", "the keys of [sinks.<name>] to open the sink with")

    async def arrived(self) -> Sequence[int]:
        """The ``sequence`` of each notification that is at the far side, in the order in which
        they arrived, since the test began. Asked after :meth:`Sink.write` has returned, so it
        need not wait for what is on its way."""
        self.missing("arrived", "the sequence numbers of the notifications at the far side")

    def context(self) -> TestContext:
        """The context that the sink is opened with; a subclass adds services to it."""
        return TestContext("sink-under-test")

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Sink]:
        """The sink, opened with whatever it needs around it."""
        async with self.kind.open(self.config(self.options()), self.context()) as sink:
            yield sink

    def some_options(self) -> dict[str, Any]:
        return self.options()

    def batch(self, first: int, last: int) -> list[Notification]:
        """Notifications with the numbers from ``first`` to ``last``, of a kind the sink accepts."""
        accepted = sorted(self.kind.accepts or {"execution_completed"})
        return [make_notification(number, accepted[0]) for number in range(first, last + 1)]

    # -- what arrives --------------------------------------------------------------------

    @pytest.mark.trio
    async def test_a_batch_has_arrived_in_order_when_write_returns(self) -> None:
        async with self.opened() as sink:
            await sink.write(self.batch(1, 3))
            await sink.write(self.batch(4, 4))
            await self._expect(1, 4, "after write() has returned")

    @pytest.mark.trio
    async def test_the_largest_batch_arrives_whole(self) -> None:
        async with self.opened() as sink:
            await sink.write(self.batch(1, LARGEST_BATCH))
            await self._expect(1, LARGEST_BATCH, f"after a batch of {LARGEST_BATCH}")

    @pytest.mark.trio
    async def test_all_is_there_when_the_sink_is_closed(self) -> None:
        async with self.opened() as sink:
            await sink.write(self.batch(1, 20))
        await self._expect(1, 20, "after the sink was closed")

    @pytest.mark.trio
    async def test_it_goes_on_when_it_is_opened_again(self) -> None:
        async with self.opened() as sink:
            await sink.write(self.batch(1, 2))
        try:
            async with self.opened() as sink:
                await sink.write(self.batch(3, 4))
        except Exception as error:
            raise AssertionError(
                f"opened a second time it fails: {type(error).__name__}: {error}. Close all that "
                "was opened: after a fault the host opens it again"
            ) from error
        await self._expect(1, 4, "after it was opened a second time")

    @pytest.mark.trio
    async def test_a_batch_changes_nothing_of_its_notifications(self) -> None:
        batch, same = self.batch(1, 3), self.batch(1, 3)
        async with self.opened() as sink:
            await sink.write(batch)
        assert batch == same, "write() changed a notification; other sinks get the same objects"

    @pytest.mark.trio
    async def test_no_notification_makes_it_fail(self) -> None:
        strange = [
            make_notification(1, "a_type_that_is_newer_than_this_sink"),
            make_notification(2, "error", message="first line\nsecond\x1b[31m\x00", status=None),
            make_notification(3, "execution_output", line="x" * 100_000),
            Notification(
                event_type="host_started",
                event_data={},
                timestamp=START,
                source="event_scheduler",
                sequence=4,
            ),
        ]
        async with self.opened() as sink:
            for notification in strange:
                try:
                    await sink.write([notification])
                except Exception as error:
                    raise AssertionError(
                        f"write() raises {type(error).__name__}: {error} for a notification of "
                        f"the type {notification.event_type!r}, so that the host would write it "
                        "again and again. Leave out what cannot be written"
                    ) from error

    # -- cancelled, and nothing left behind ----------------------------------------------

    @pytest.mark.trio
    async def test_a_write_can_be_cancelled_at_each_await(self) -> None:
        number = 0

        async def write() -> None:
            nonlocal number
            number += 1
            async with self.opened() as sink:
                await sink.write(self.batch(number, number))

        await cancel_at_each_await(write, "opening, writing to and closing a sink", within=GRACE)
        async with self.opened() as sink:
            await sink.write(self.batch(900, 900))
        assert 900 in await self.arrived(), (
            "after a write was cancelled, nothing arrives any more: leave nothing half done, "
            "like a lock that is held"
        )

    @pytest.mark.trio
    async def test_batches_leave_nothing_behind(self) -> None:
        async with self.opened() as sink:
            await sink.write(self.batch(1, 1))
            before = Held.now()
            for number in range(2, BATCHES + 2):
                await sink.write(self.batch(number, number))
            await leaves_nothing(before, f"each of {BATCHES} batches", spare=1)

    @pytest.mark.trio
    async def test_a_closed_sink_leaves_nothing_behind(self) -> None:
        async with self.opened() as sink:
            await sink.write(self.batch(1, 1))
        before = Held.now()
        async with self.opened() as sink:
            await sink.write(self.batch(2, 2))
        await leaves_nothing(before, "a sink that was opened, written to and closed", spare=1)

    # -- its type ------------------------------------------------------------------------

    @pytest.mark.trio
    async def test_it_asks_only_for_the_services_that_it_requires(self) -> None:
        with TestContext.watching() as asked:
            async with self.opened() as sink:
                await sink.write(self.batch(1, 1))
        unknown = {contract.__name__ for contract in asked - set(self.kind.requires)}
        assert not unknown, (
            f"the sink asks for {', '.join(sorted(unknown))}, which the host does not start for "
            "it: add it to requires of the sink type"
        )

    async def _expect(self, first: int, last: int, when: str) -> None:
        with trio.move_on_after(GRACE):
            found = list(await self.arrived())
            wanted = list(range(first, last + 1))
            missing = sorted(set(wanted) - set(found))
            assert not missing, (
                f"{when}, {len(missing)} of {len(wanted)} notifications have not arrived (the "
                f"first is number {missing[0]}): write() returns when they have, as the host then "
                "forgets them"
            )
            seen = list(dict.fromkeys(number for number in found if number in set(wanted)))
            assert seen == wanted, f"{when}, they arrived as {seen}: keep their order"
            return
        raise AssertionError("arrived() of this test does not answer")
