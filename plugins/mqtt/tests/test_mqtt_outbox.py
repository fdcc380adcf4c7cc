"""Messages that wait for a real Mosquitto to come back."""

import logging
import sqlite3
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from alicia_mqtt.outbox_file import OUTBOX_FILE, OutboxFile, StoredRow
from alicia_scheduler.api import MqttOutgoing, Permanent, Retryable
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.mosquitto import Recorder, free_port, until_connected
from alicia_scheduler.testing.relay import Relay

SLOT = TestContext("x").instant


def message(payload=b"x", topic="t", **fields):
    return MqttOutgoing(topic=topic, payload=payload, qos=fields.pop("qos", 1), **fields)


def deliver(connection, number=0, *, lane="event", sent=None, **options):
    """Hand message ``number`` of a lane to the outbox."""
    return connection.outbox.deliver(
        sent or message(b"%d" % number),
        key=f"{lane}/{number}",
        lane=lane,
        slot=SLOT + timedelta(seconds=number),
        **options,
    )


def on_disk(state_dir):
    with closing(sqlite3.connect(state_dir / OUTBOX_FILE)) as file:
        return [key for (key,) in file.execute("SELECT key FROM waiting ORDER BY number")]


async def until(condition):
    with trio.fail_after(60):
        while not condition():
            await trio.sleep(0.01)


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "alicia_scheduler.plugin.mqtt")
    return lambda text: [line for line in caplog.messages if text in line]


@asynccontextmanager
async def waiting(connection, numbers, **options):
    """Deliveries that wait while the block is open and are done at its end."""
    async with trio.open_nursery() as nursery:
        for number in numbers:
            nursery.start_soon(partial(deliver, connection, number, **options))
        await trio.testing.wait_all_tasks_blocked()
        yield nursery


# -- with the broker there, and away ---------------------------------------------------------------


@pytest.mark.parametrize("qos", [1, 2])
async def test_with_the_broker_there_a_message_goes_at_once_and_leaves_the_disk_alone(
    mosquitto, connect, tmp_path, qos
):
    with Recorder(mosquitto.port, "t") as recorder:
        async with connect(mosquitto.port, state_dir=tmp_path) as connection:
            await until_connected(connection)
            delivered = await deliver(connection, sent=message(b"now", qos=qos))
            [arrived] = await recorder.wait_for("t")
            assert on_disk(tmp_path) == []
    assert (arrived.payload, arrived.qos) == (b"now", qos)
    assert (delivered.sends, delivered.outage, delivered.payload) == (1, False, None)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_with_the_broker_away_messages_wait_on_disk_and_go_in_order_when_it_is_back(
    mosquitto, connect, tmp_path, protocol, lines
):
    with Relay(mosquitto.port, joined=False) as relay, Recorder(mosquitto.port, "t") as recorder:
        async with (
            connect(relay.port, state_dir=tmp_path, protocol=protocol) as connection,
            waiting(connection, range(50)),
        ):
            await until(lambda: len(on_disk(tmp_path)) == 50)
            assert recorder.of("t") == []
            relay.join()
        arrived = await recorder.wait_for("t", 50)
        assert on_disk(tmp_path) == []
    assert [int(one.payload) for one in arrived] == list(range(50))
    assert len(lines("wait in the outbox until the broker is back")) == 1
    assert len(lines("the outbox is empty again: 50 messages were delivered late")) == 1


async def test_it_is_not_done_before_the_broker_has_acknowledged(mosquitto, connect, tmp_path):
    async with connect(mosquitto.port, state_dir=tmp_path) as connection:
        await until_connected(connection)
        mosquitto.freeze()
        with trio.move_on_after(0.3) as patience:
            await deliver(connection)
        assert patience.cancelled_caught
        mosquitto.thaw()


async def test_without_a_directory_messages_wait_in_memory(mosquitto, connect):
    with Relay(mosquitto.port, joined=False) as relay, Recorder(mosquitto.port, "t") as recorder:
        async with connect(relay.port) as connection, waiting(connection, range(5)):
            relay.join()
        await recorder.wait_for("t", 5)


async def test_a_lane_goes_by_slot_however_its_messages_came(mosquitto, connect):
    with Relay(mosquitto.port, joined=False) as relay, Recorder(mosquitto.port, "t") as recorder:
        async with connect(relay.port) as connection, waiting(connection, [3, 1, 4, 0, 2]):
            relay.join()
        arrived = await recorder.wait_for("t", 5)
    assert [int(one.payload) for one in arrived] == [0, 1, 2, 3, 4]


async def test_a_refused_message_fails_alone(mosquitto, connect, tmp_path):
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite t\ntopic readwrite test/#\n")
    mosquitto.configure(f"acl_file {rules}")
    mosquitto.restart()
    async with connect(mosquitto.port, state_dir=tmp_path) as connection:
        await until_connected(connection)
        with pytest.raises(Permanent, match="not authorised") as refusal:
            await deliver(connection, 1, sent=message(topic="secret"))
        await deliver(connection, 2)
    assert refusal.value.error_class == "refused"


# -- cancelling and repeating ----------------------------------------------------------------------


async def test_a_cancelled_delivery_that_was_not_sent_never_is(mosquitto, connect, tmp_path):
    with Relay(mosquitto.port, joined=False) as relay, Recorder(mosquitto.port, "t") as recorder:
        async with connect(relay.port, state_dir=tmp_path) as connection:
            async with waiting(connection, [1]) as nursery:
                nursery.cancel_scope.cancel()
            relay.join()
            await until_connected(connection)
            await deliver(connection, 2)
            arrived = await recorder.wait_for("t")
    assert [one.payload for one in arrived] == [b"2"]


async def test_the_next_attempt_takes_up_what_waits_instead_of_sending_another(
    mosquitto, connect, tmp_path
):
    with Relay(mosquitto.port, joined=False) as relay, Recorder(mosquitto.port, "t") as recorder:
        async with connect(relay.port, state_dir=tmp_path) as connection:
            async with waiting(connection, [1], sent=message(b"first")) as nursery:
                nursery.cancel_scope.cancel()
            relay.join()
            again = await deliver(connection, 1, sent=message(b"second"), repeat=True)
            await deliver(connection, 2, sent=message(b"end"))
            arrived = await recorder.wait_for("t", 2)
    assert [one.payload for one in arrived] == [b"first", b"end"]
    assert (again.payload, again.outage) == (b"first", True)


async def test_a_repetition_of_what_was_acknowledged_is_done_at_once(mosquitto, connect):
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        with Recorder(mosquitto.port, "t") as recorder:
            await deliver(connection, 1)
            again = await deliver(connection, 1, repeat=True)
            await deliver(connection, 2)
            arrived = await recorder.wait_for("t", 2)
    assert again.sends == 0
    assert [one.payload for one in arrived] == [b"1", b"2"]


async def test_a_first_attempt_is_new_whatever_had_its_key(mosquitto, connect):
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        with Recorder(mosquitto.port, "t") as recorder:
            await deliver(connection, 1)
            await deliver(connection, 1)
            await recorder.wait_for("t", 2)


# -- over the end of the process -------------------------------------------------------------------


async def leave_behind(connect, state_dir, numbers, **options):
    """A run of the host that ends while messages wait."""
    async with (
        connect(free_port(), state_dir=state_dir) as connection,
        waiting(connection, numbers, **options) as nursery,
    ):
        await until(lambda: len(on_disk(state_dir)) == len(list(numbers)))
        nursery.cancel_scope.cancel()


async def test_what_waited_is_there_after_a_restart_and_is_sent_once(mosquitto, connect, tmp_path):
    await leave_behind(connect, tmp_path, range(20))
    with Recorder(mosquitto.port, "t") as recorder:
        async with connect(mosquitto.port, state_dir=tmp_path) as connection:
            # In any order, as executions are run again.
            async with waiting(connection, [*range(19, -1, -1)], repeat=True):
                pass
            await deliver(connection, 20)
            arrived = await recorder.wait_for("t", 21)
        assert on_disk(tmp_path) == []
    assert [int(one.payload) for one in arrived] == list(range(21))


async def test_what_nobody_takes_up_after_a_restart_is_not_sent(mosquitto, connect, tmp_path):
    await leave_behind(connect, tmp_path, [1])
    with Recorder(mosquitto.port, "t") as recorder:
        async with connect(mosquitto.port, state_dir=tmp_path) as connection:
            await until_connected(connection)
            await deliver(connection, 2, lane="another")
            arrived = await recorder.wait_for("t")
    assert [one.payload for one in arrived] == [b"2"]


async def test_it_holds_up_later_ones_of_its_lane_for_a_while_only(
    mosquitto, connect, tmp_path, monkeypatch
):
    monkeypatch.setattr("alicia_mqtt.outbox.SETTLING", 0.5)
    await leave_behind(connect, tmp_path, [1])
    async with connect(mosquitto.port, state_dir=tmp_path) as connection:
        await until_connected(connection)
        with trio.fail_after(60):
            await deliver(connection, 2)


async def test_an_acknowledgement_is_remembered_over_a_restart(mosquitto, connect, tmp_path):
    await leave_behind(connect, tmp_path, [1])
    async with connect(mosquitto.port, state_dir=tmp_path) as connection:
        await deliver(connection, 1, repeat=True)
    async with connect(free_port(), state_dir=tmp_path) as connection:
        again = await deliver(connection, 1, repeat=True)
    assert again.sends == 0


async def test_who_waits_is_told_of_the_first_of_two_sends(mosquitto, connect):
    times = []
    with Relay(mosquitto.port) as relay:
        async with connect(relay.port) as connection:
            await until_connected(connection)
            mosquitto.freeze()
            async with trio.open_nursery() as nursery:
                done = partial(deliver, connection, sending=lambda: times.append(1))
                nursery.start_soon(done)
                await until(lambda: times)
                relay.cut()
                await until_connected(connection, False)
                mosquitto.thaw()
                relay.join()
    assert times == [1]


# -- bounds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [{"outbox_limit": 3}, {"outbox_bytes": 1024}])
async def test_beyond_its_bounds_new_messages_are_refused_and_counted(
    mosquitto, connect, bound, lines
):
    sent = message(b"x" * 100)  # counts for 301 bytes
    with Relay(mosquitto.port, joined=False) as relay:
        async with connect(relay.port, **bound) as connection:
            async with waiting(connection, range(3), sent=sent):
                for number in (7, 8):
                    with pytest.raises(Retryable, match="wait for the broker already") as full:
                        await deliver(connection, number, sent=sent)
                    assert full.value.error_class == "outbox_full"
                relay.join()
            await deliver(connection, 9)
    assert len(lines("the outbox is full")) == 1
    assert len(lines("the outbox has room again; 2 messages were refused")) == 1


async def test_a_message_larger_than_the_outbox_fails_for_good_and_drives_nothing_out(
    connect, tmp_path
):
    await leave_behind(connect, tmp_path, range(3))
    async with connect(free_port(), state_dir=tmp_path, outbox_bytes=1024) as connection:
        with pytest.raises(Permanent, match="more than the outbox may hold") as refusal:
            await deliver(connection, 7, sent=message(b"x" * 1000))
    assert refusal.value.error_class == "payload"
    assert sorted(on_disk(tmp_path)) == ["event/0", "event/1", "event/2"]


async def test_user_properties_count_for_the_bytes_of_a_message(connect):
    async with connect(free_port(), outbox_bytes=1024) as connection:
        with pytest.raises(Permanent, match="more than the outbox may hold"):
            await deliver(connection, sent=message(user_properties=(("k", "x" * 1000),)))


async def test_what_nobody_waits_for_makes_room(connect, tmp_path):
    await leave_behind(connect, tmp_path, range(3))
    async with (
        connect(free_port(), state_dir=tmp_path, outbox_limit=3) as connection,
        waiting(connection, [4]) as first,
        waiting(connection, [5]) as second,
    ):
        await until(lambda: on_disk(tmp_path)[1:] == ["event/4", "event/5"])
        first.cancel_scope.cancel()
        second.cancel_scope.cancel()
    assert on_disk(tmp_path)[1:] == ["event/4", "event/5"]


# -- windows ---------------------------------------------------------------------------------------


async def test_a_message_is_not_delivered_later_than_it_is_useful(mosquitto, connect, tmp_path):
    context = TestContext("mqtt", state_dir=tmp_path)
    with Relay(mosquitto.port, joined=False) as relay, Recorder(mosquitto.port, "t") as recorder:
        async with connect(relay.port, context=context) as connection:
            useful_until = context.now() + timedelta(seconds=0.5)
            async with trio.open_nursery() as nursery:

                async def give_up():
                    with pytest.raises(Permanent, match="while it was useful") as late:
                        await deliver(connection, 1, useful_until=useful_until)
                    assert late.value.error_class == "expired"

                nursery.start_soon(give_up)
                await trio.testing.wait_all_tasks_blocked()
                context.instant += timedelta(seconds=1)
            relay.join()
            await until_connected(connection)
            await deliver(connection, 2)
            arrived = await recorder.wait_for("t")
    assert [one.payload for one in arrived] == [b"2"]


async def test_a_window_that_is_over_already_is_told_at_once(connect):
    async with connect(free_port()) as connection:
        with pytest.raises(Permanent) as late:
            await deliver(connection, useful_until=SLOT - timedelta(seconds=1))
    assert late.value.error_class == "expired"


@pytest.mark.parametrize(
    ("fields", "expiry"),
    [({}, 90), ({"message_expiry": 60}, 60), ({"retain": True}, None)],
)
async def test_the_broker_is_told_what_is_left_of_the_window(mosquitto, connect, fields, expiry):
    with Recorder(mosquitto.port, "t") as recorder:
        async with connect(mosquitto.port) as connection:
            await until_connected(connection)
            until = SLOT + timedelta(seconds=90)
            await deliver(connection, sent=message(**fields), useful_until=until)
            [arrived] = await recorder.wait_for("t")
    assert arrived.message_expiry == expiry


async def test_a_message_expiry_counts_from_when_it_was_handed_over(mosquitto, connect):
    context = TestContext("mqtt")
    with Relay(mosquitto.port, joined=False) as relay, Recorder(mosquitto.port, "t") as recorder:
        async with connect(relay.port, context=context) as connection:
            async with waiting(connection, [1], sent=message(message_expiry=60)):
                context.instant += timedelta(seconds=20)
                relay.join()
            [arrived] = await recorder.wait_for("t")
    assert arrived.message_expiry == 40


# -- poison ----------------------------------------------------------------------------------------

CONNACK, PUBACK = b"\x20\x02\x00\x00", b"\x40\x02"


class TouchyBroker:
    """Speaks just enough MQTT 3.1.1, and hangs up on a payload that holds ``poison``."""

    def __init__(self):
        self.took = []
        self.connections = 0

    async def __call__(self, stream):
        self.connections += 1
        data = b""
        async for chunk in stream:
            data += chunk
            while len(data) > 1 and len(data) >= 2 + data[1]:
                packet, data = data[: 2 + data[1]], data[2 + data[1] :]
                if b"poison" in packet:
                    return
                await self.answer(stream, packet)

    async def answer(self, stream, packet):
        if packet[0] == 0x10:
            await stream.send_all(CONNACK)
        elif packet[0] & 0xF6 == 0x32:
            size = int.from_bytes(packet[2:4], "big")
            self.took.append(packet[6 + size :])
            await stream.send_all(PUBACK + packet[4 + size : 6 + size])


@asynccontextmanager
async def touchy_broker():
    broker = TouchyBroker()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, broker, 0, host="127.0.0.1"))
        broker.port = listeners[0].socket.getsockname()[1]
        yield broker
        nursery.cancel_scope.cancel()


async def test_a_message_that_ends_the_connection_each_time_is_parked_and_the_others_flow(
    connect, tmp_path, lines
):
    refused = []

    async def poisonous(connection, repeat=False):
        with pytest.raises(Permanent) as parked:
            await deliver(connection, lane="bad", sent=message(b"poison"), repeat=repeat)
        refused.append(parked.value.error_class)

    async with touchy_broker() as broker:
        async with connect(broker.port, state_dir=tmp_path, protocol="3.1.1") as connection:
            await until_connected(connection)
            with trio.fail_after(30):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(poisonous, connection)
                    for number in range(20):
                        nursery.start_soon(partial(deliver, connection, number, lane=str(number)))
        assert refused == ["poison"]
        assert {int(one) for one in broker.took if one.isdigit()} == set(range(20))
        assert broker.connections <= 4
        assert len(lines("preceded the loss of the connection again and again")) == 1

        before = broker.connections
        async with connect(broker.port, state_dir=tmp_path, protocol="3.1.1") as connection:
            await until_connected(connection)
            await poisonous(connection, repeat=True)
            await deliver(connection, 99)
        assert broker.connections == before + 1


async def test_a_broker_that_restarts_again_and_again_parks_nothing(mosquitto, connect, tmp_path):
    async with (
        connect(mosquitto.port, state_dir=tmp_path) as connection,
        waiting(connection, range(30)),
    ):
        for _ in range(4):
            await trio.sleep(0.05)
            mosquitto.restart()


# -- the disk --------------------------------------------------------------------------------------


async def test_a_damaged_file_is_moved_aside_and_told(mosquitto, connect, tmp_path, lines):
    (tmp_path / OUTBOX_FILE).write_bytes(b"this is no database, and never was" * 100)
    async with connect(mosquitto.port, state_dir=tmp_path) as connection:
        await deliver(connection)
    [line] = lines("was unusable")
    assert f"{OUTBOX_FILE}.damaged-1" in line
    assert (tmp_path / f"{OUTBOX_FILE}.damaged-1").read_bytes().startswith(b"this is no")
    assert on_disk(tmp_path) == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE waiting SET lane = CAST(x'ff' AS TEXT)",
        "UPDATE waiting SET key = x'ff'",
        "UPDATE waiting SET expires = x'00'",
        "UPDATE waiting SET message = 'x'",
        "ALTER TABLE waiting RENAME COLUMN slot TO other",
        "INSERT INTO outcomes (key, outcome) VALUES ('k', NULL)",
    ],
)
def test_a_file_whose_rows_make_no_sense_is_moved_aside_too(tmp_path, damage):
    file = OutboxFile(tmp_path / OUTBOX_FILE)
    file.open()
    file.write([StoredRow("k", 1, "l", 0.0, 0.0, 9e9, 0, 0, message())], [], [])
    file.close()
    with closing(sqlite3.connect(file.path)) as connection, connection:
        connection.execute(damage)
    loaded = file.open()
    file.close()
    assert "was unusable" in loaded.note
    assert loaded.rows == loaded.outcomes == []


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8))
def test_no_damage_to_the_file_keeps_the_outbox_from_being_opened(flips):
    with TemporaryDirectory() as directory:
        file = OutboxFile(Path(directory) / OUTBOX_FILE)
        file.open()
        file.write([StoredRow("k", 1, "l", 0.0, 0.0, 9e9, 0, 0, message())], [], [])
        file.close()
        content = bytearray(file.path.read_bytes())
        for place, byte in flips:
            content[int(place * len(content))] = byte
        file.path.write_bytes(content)
        try:
            file.open()
        except sqlite3.OperationalError:
            return  # it is left to memory, and told
        file.close()


async def test_without_a_disk_it_goes_on_in_memory_and_tells_it(
    mosquitto, connect, tmp_path, lines
):
    with Relay(mosquitto.port, joined=False) as relay:
        async with (
            connect(relay.port, state_dir=tmp_path / "missing") as connection,
            waiting(connection, range(3)),
        ):
            relay.join()
    assert len(lines("and goes on in memory")) == 1


async def test_the_file_is_for_its_owner_alone(connect, tmp_path):
    await leave_behind(connect, tmp_path, [1])
    assert (tmp_path / OUTBOX_FILE).stat().st_mode & 0o077 == 0
