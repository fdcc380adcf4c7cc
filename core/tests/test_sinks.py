"""Sinks: fed behind a bounded queue, opened again after a fault; durable ones miss nothing."""

from __future__ import annotations

from contextlib import asynccontextmanager

import msgspec
import pytest
import trio

from alicia_scheduler.api import Notification, SinkType, StoreError
from alicia_scheduler.api.store import SaveFact
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.load import configuration
from alicia_scheduler.host import queues
from alicia_scheduler.host.check import check_configuration
from alicia_scheduler.host.context import Surroundings
from alicia_scheduler.host.loader import PluginRecord
from alicia_scheduler.host.registry import Offer, Registry
from alicia_scheduler.host.sinks import ConfiguredSink, SinkOptions, sinks_running
from alicia_scheduler.kernel.backlog import Backlog
from alicia_scheduler.kernel.notifications import Notifier, Told
from alicia_scheduler.kernel.records import Records
from alicia_scheduler.store import SqliteStore
from alicia_scheduler.testing.clock import START, VirtualClock

PLUGIN = PluginRecord("witness", "witness", "1")


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to configure."""


class Witness:
    """A sink that keeps what it is given; ``away`` makes it wait, ``fault`` makes it raise."""

    def __init__(self):
        self.got = []
        self.away = False
        self.fault = None
        self.opened = 0

    @asynccontextmanager
    async def open(self, _config, _context):
        self.opened += 1
        yield self

    async def write(self, notifications):
        while self.away:
            await trio.sleep(0.1)
        if self.fault is not None:
            raise self.fault
        self.got.extend(notifications)

    def types(self):
        return [notification.event_type for notification in self.got]

    def configured(self, name="witness", accepts=None, **options):
        kind = SinkType(name=name, config=Config, open=self.open, accepts=accepts)
        return ConfiguredSink(Offer(kind, PLUGIN), Config(), SinkOptions(**options))


class Running:
    def __init__(self, records, notifier):
        self.records = records
        self.notifier = notifier

    async def tell(self, *event_types):
        await self.records.keep([], [Told(event_type, {}) for event_type in event_types])


@asynccontextmanager
async def running(store, *sinks):
    clock = VirtualClock()
    notifier = Notifier(clock)
    journal = any(sink.options.durable for sink in sinks)
    surroundings = Surroundings("test", clock, notifier)
    async with (
        Records.running(store, notifier, clock, journal=journal) as records,
        sinks_running(sinks, surroundings, records),
    ):
        yield Running(records, notifier)


@pytest.fixture
async def store():
    async with SqliteStore.open(None) as opened:
        yield opened


@pytest.mark.parametrize("durable", [False, True])
async def test_a_sink_is_given_everything_in_order(store, autojump_clock, durable):
    witness = Witness()
    async with running(store, witness.configured(durable=durable)) as host:
        for number in range(300):
            await host.tell(f"type{number}")
        await trio.sleep(1)
    assert witness.types() == [f"type{number}" for number in range(300)]


@pytest.mark.parametrize("durable", [False, True])
async def test_a_sink_is_given_only_what_it_accepts(store, autojump_clock, durable):
    witness = Witness()
    wanted = frozenset({"b", "d"})
    async with running(store, witness.configured(accepts=wanted, durable=durable)) as host:
        await host.tell("a", "b", "c")
        await host.tell("a", "a")
        await host.tell("d")
        await trio.sleep(1)
    assert witness.types() == ["b", "d"]


@pytest.mark.parametrize("durable", [False, True])
async def test_a_sink_that_fails_is_opened_again_and_given_the_same_batch(
    store, autojump_clock, durable
):
    witness = Witness()
    witness.fault = OSError("no route")
    async with running(store, witness.configured(durable=durable)) as host:
        await host.tell("a")
        await trio.sleep(100)
        assert witness.opened > 2
        witness.fault = None
        await trio.sleep(100)
    assert witness.types() == ["a", "error", "sink_recovered"]


async def test_trouble_with_a_sink_is_told_once_to_the_others(store, autojump_clock):
    broken, witness = Witness(), Witness()
    broken.fault = OSError("no route")
    async with running(store, broken.configured("broken"), witness.configured()) as host:
        await host.tell("a")
        await trio.sleep(100)
    assert witness.types() == ["a", "error"]
    assert witness.got[1].event_data == {
        "message": "sink broken failed: OSError: no route",
        "event_id": None,
        "class": "sink",
    }


async def test_a_sink_that_stands_still_holds_up_neither_kernel_nor_others(store, autojump_clock):
    stuck, witness = Witness(), Witness()
    stuck.away = True
    async with running(store, stuck.configured("stuck"), witness.configured()) as host:
        await host.tell("a")
        await trio.sleep(1)
        assert witness.types() == ["a"]


async def test_a_sink_that_is_not_durable_loses_the_oldest_beyond_its_limit(store, autojump_clock):
    witness = Witness()
    witness.away = True
    async with running(store, witness.configured()) as host:
        await host.tell("first")
        await trio.sleep(1)
        for number in range(10_007):
            host.notifier.emit(f"type{number}", {})
        await trio.sleep(1)
        witness.away = False
        await trio.sleep(10)
    assert witness.types()[:2] == ["first", "type7"]
    recovered = [item for item in witness.got if item.event_type == "sink_recovered"]
    assert recovered[0].event_data["lost"] == 7


# -- durable ---------------------------------------------------------------------------------


async def test_a_sink_that_stands_still_costs_a_bounded_number_of_bytes():
    queue = queues.MemoryQueue(None)
    result = {"body": "x" * 60_000}
    for number in range(1000):
        queue.put(
            Notification(
                event_type="big",
                event_data={"result": result},
                timestamp=START,
                source="test",
                sequence=number,
            )
        )
    assert (queue._size, queue.dropped) == (len(queue._waiting) * 60_011, 1000 - 279)
    got = []
    while len(got) < 279:
        got += await queue.batch()
    assert got[-1].sequence == 999
    assert queue._size == 0


async def test_what_a_durable_sink_has_not_written_outlives_the_process(store, autojump_clock):
    witness = Witness()
    witness.away = True
    async with running(store, witness.configured(durable=True)) as host:
        await host.tell("a", "b")
        await host.tell("c")
        await trio.sleep(1)
    assert witness.types() == []
    witness.away = False
    async with running(store, witness.configured(durable=True)) as host:
        await host.tell("d")
        await trio.sleep(1)
    assert witness.types() == ["a", "b", "c", "d"]
    assert [item.sequence for item in witness.got] == [1, 2, 3, 4]


async def test_a_durable_sink_is_given_nothing_twice_after_a_stop(store, autojump_clock):
    witness = Witness()
    for number in range(3):
        async with running(store, witness.configured(durable=True)) as host:
            await host.tell(f"type{number}")
            await trio.sleep(1)
    assert witness.types() == ["type0", "type1", "type2"]


async def test_the_journal_keeps_what_the_slowest_durable_sink_needs(store, autojump_clock):
    quick, slow = Witness(), Witness()
    slow.away = True
    sinks = [quick.configured("quick", durable=True), slow.configured("slow", durable=True)]
    async with running(store, *sinks) as host:
        await host.tell("a", "b")
        await trio.sleep(1)
        assert quick.types() == ["a", "b"]
        assert len(await store.notifications(after=0, limit=10)) == 2
        slow.away = False
        await trio.sleep(1)
        assert await store.notifications(after=0, limit=10) == []
    assert slow.types() == ["a", "b"]


async def test_a_durable_sink_that_is_away_too_long_loses_the_oldest_counted(store, autojump_clock):
    witness = Witness()
    witness.away = True
    async with running(store, witness.configured(durable=True, durable_limit=1000)) as host:
        for number in range(30):
            await host.tell(*(f"type{number}.{part}" for part in range(100)))
            await trio.sleep(0.01)
        kept = await store.notifications(after=0, limit=5000)
        assert len(kept) <= 1000 + 500
        witness.away = False
        await trio.sleep(10)
    lost = [item for item in witness.got if item.event_type == "sink_recovered"]
    told = [item for item in witness.got if item.event_type.startswith("type")]
    assert told[-1].event_type == "type29.99"
    assert sum(item.event_data["lost"] for item in lost) >= 1500
    numbers = [item.sequence for item in told]
    assert numbers == sorted(set(numbers))


async def test_the_journal_is_bounded_in_bytes_too(store):
    notifier = Notifier(VirtualClock())
    async with Records.running(store, notifier, VirtualClock(), journal=True) as records:
        await records.keep([], [Told("large", {"text": "x" * 1000}) for _ in range(10)])
        assert await store.excess_notifications(count=100, size=5500) == 6
        assert await store.excess_notifications(count=3, size=10**6) == 7
        assert await store.excess_notifications(count=100, size=10**6) == 0


async def test_a_durable_sink_is_fed_from_memory_while_the_store_cannot_be_written(
    store, autojump_clock, monkeypatch
):
    witness = Witness()
    async with running(store, witness.configured(durable=True)) as host:
        await host.tell("a")
        await trio.sleep(1)
        commit = store.commit

        async def full(_changes):
            raise StoreError("the disk is full", transient=True)

        monkeypatch.setattr(store, "commit", full)
        await host.tell("b")
        await host.tell("c")
        await trio.sleep(1)
        assert witness.types() == ["a", "b", "error", "c"]
        monkeypatch.setattr(store, "commit", commit)
        await trio.sleep(10)
        await host.tell("d")
        await trio.sleep(1)
    assert witness.types() == ["a", "b", "error", "c", "store_recovered", "d"]


async def outage_without_room(host, witness, store, monkeypatch):
    """Twenty notifications while the disk is full, the backlog takes five and the sink waits; then
    all is well again."""
    host.records.mending.backlog = Backlog(history_limit=5)
    witness.away = True
    await host.tell("before")
    commit = store.commit

    async def full(_changes):
        raise StoreError("the disk is full", transient=True)

    monkeypatch.setattr(store, "commit", full)
    for number in range(20):
        await host.tell(str(number))
    monkeypatch.setattr(store, "commit", commit)
    await trio.sleep(10)
    witness.away = False
    await trio.sleep(1)


async def test_a_durable_sink_is_given_what_the_store_had_no_room_to_keep(
    store, autojump_clock, monkeypatch
):
    witness = Witness()
    async with running(store, witness.configured(durable=True)) as host:
        await outage_without_room(host, witness, store, monkeypatch)
    assert [word for word in witness.types() if word.isdigit()] == [*map(str, range(20))]


async def test_a_durable_sink_that_memory_has_no_room_for_counts_what_it_loses(
    store, autojump_clock, monkeypatch
):
    monkeypatch.setattr(queues, "MEMORY_LIMIT", 5)
    witness = Witness()
    async with running(store, witness.configured(durable=True)) as host:
        await outage_without_room(host, witness, store, monkeypatch)
    got = [word for word in witness.types() if word.isdigit()]
    (recovered,) = [item for item in witness.got if item.event_type == "sink_recovered"]
    numbers = {item.sequence for item in witness.got}
    assert got == [*map(str, range(15, 20))]
    assert recovered.event_data["lost"] == max(numbers) - len(numbers)


async def test_what_was_kept_for_sinks_that_are_durable_no_more_goes(store, autojump_clock):
    witness = Witness()
    witness.away = True
    async with running(store, witness.configured(durable=True)) as host:
        await host.tell("a")
        await trio.sleep(1)
    assert await store.notifications(after=0, limit=10)
    async with running(store, witness.configured()):
        assert await store.notifications(after=0, limit=10) == []


async def test_a_durable_sink_that_is_new_begins_with_what_comes_now(store, autojump_clock):
    await store.commit([SaveFact("sequence", 41)])
    witness = Witness()
    async with running(store, witness.configured(durable=True)) as host:
        await host.tell("a")
        await trio.sleep(1)
    assert [item.sequence for item in witness.got] == [42]


# -- configuration -----------------------------------------------------------------------------


def checked(text):
    registry = Registry([])
    kind = SinkType(name="witness", config=Config, open=Witness().open)
    registry.sinks.add(PLUGIN, [kind])
    document = Document.parse(text, "home.toml")
    return check_configuration(configuration(document), registry, now=START)


def test_any_sink_can_be_durable():
    (sink,) = checked("[sinks.witness]\ndurable = true\ndurable_limit = 5000\n").sinks
    assert sink.options == SinkOptions(durable=True, durable_limit=5000)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("durable = 1", "sinks.witness.durable: must be true or false"),
        ("durable_limit = 10", "sinks.witness.durable_limit: must be at least 1000"),
        ("durabel = true", "sinks.witness.durabel: unknown key 'durabel'"),
    ],
)
def test_a_wrong_option_of_a_sink_is_named_with_its_line(line, complaint):
    (issue,) = checked(f"[sinks.witness]\n{line}\n").issues
    assert f"home.toml:2: {complaint}" in str(issue)
