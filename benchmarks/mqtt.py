"""MQTT: what publishing costs, against the same broker in the same run.

Each measurement has a Mosquitto of its own on the loopback. The limits are aiomqtt alone on plain
asyncio, and the fastest raw client there is in Python: mqtt5's packets on a bare socket of trio,
without deadlines, reconnection, topic checks or limits. Ours are the whole connection, as actions
and sinks use it.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from alicia_scheduler.api import MqttConnection, Notification
from benchmarks.measurement import Figures, measurement

if TYPE_CHECKING:
    import aiomqtt

TOPIC = "alicia/scheduler/execution_results"
PAYLOAD = b'{"execution_id": "6f7c2a", "status": "completed", "result": null}' * 4
COUNTS = {0: 8_000, 1: 4_000}
"""Messages at each QoS."""

TASKS = 20
TRIPS = 1_000
WARM_UP = 200

Publish = Callable[[int], Awaitable[object]]
"""Publishes the message at a QoS, and returns when that is done."""


@contextmanager
def a_broker() -> Iterator[int]:
    """The port of a Mosquitto that lives while the block is open."""
    from alicia_scheduler.testing.mosquitto import Mosquitto

    with tempfile.TemporaryDirectory() as folder:
        broker = Mosquitto(Path(folder))
        broker.start()
        try:
            yield broker.port
        finally:
            broker.kill()


async def _timed(
    figures: Figures, name: str, count: int, work: Callable[[], Awaitable[None]]
) -> None:
    """Note the rate of ``work``, and the processor's time for each of its messages."""
    wall, processor = time.perf_counter(), time.process_time()
    await work()
    figures[f"{name}_per_s"] = count / (time.perf_counter() - wall)
    figures[f"{name}_cpu_us"] = (time.process_time() - processor) / count * 1e6


async def _rates(
    publish: Publish, together: Callable[[Callable[[], Awaitable[None]], int], Awaitable[None]]
) -> Figures:
    """Rates of one task and of twenty, at QoS 0 and 1.

    A message at QoS 1 behind those at QoS 0 shows that the broker has read them all.
    """
    figures: Figures = {}

    async def one_after_the_other(qos: int, count: int) -> None:
        for _ in range(count):
            await publish(qos)

    await one_after_the_other(1, WARM_UP)
    for qos, count in COUNTS.items():

        async def alone(qos: int = qos, count: int = count) -> None:
            await one_after_the_other(qos, count)
            await publish(1)

        async def crowd(qos: int = qos, count: int = count) -> None:
            await together(lambda: one_after_the_other(qos, count // TASKS), TASKS)
            await publish(1)

        await _timed(figures, f"qos{qos}_one", count, alone)
        await _timed(figures, f"qos{qos}_twenty", count, crowd)
    return figures


async def _trips(publish: Publish, arrived: Callable[[], Awaitable[object]]) -> Figures:
    """Times from a publish at QoS 1 to the arrival of the same message."""
    trips = []
    for _ in range(TRIPS):
        began = time.perf_counter()
        await publish(1)
        await arrived()
        trips.append((time.perf_counter() - began) * 1e3)
    cuts = statistics.quantiles(trips, n=100)
    return {"trip_p50_ms": statistics.median(trips), "trip_p99_ms": cuts[98]}


async def _crowd_of_trio(work: Callable[[], Awaitable[None]], tasks: int) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(work)


# -- limits ------------------------------------------------------------------------------


@measurement()
def aiomqtt_alone() -> Figures:
    """aiomqtt on plain asyncio."""

    async def crowd(work: Callable[[], Awaitable[None]], tasks: int) -> None:
        await asyncio.gather(*(work() for _ in range(tasks)))

    async def main(port: int) -> Figures:
        async with _aiomqtt_client(port) as client:

            async def publish(qos: int) -> None:
                await client.publish(TOPIC, PAYLOAD, qos=qos)

            figures = await _rates(publish, crowd)
            await client.subscribe(TOPIC, qos=1)
            messages = aiter(client.messages)
            return figures | await _trips(publish, lambda: anext(messages))

    with a_broker() as port:
        return asyncio.run(main(port))


def _aiomqtt_client(port: int) -> aiomqtt.Client:
    import socket

    import aiomqtt

    return aiomqtt.Client(
        "127.0.0.1",
        port,
        protocol=aiomqtt.ProtocolVersion.V5,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )


@measurement()
def raw_client() -> Figures:
    """mqtt5's packets on a bare socket of trio."""

    async def main(port: int) -> Figures:
        async with trio.open_nursery() as nursery:
            client = await RawClient.connect(port)
            nursery.start_soon(client.read)
            figures = await _rates(client.publish, _crowd_of_trio)
            await client.subscribe(TOPIC)
            figures |= await _trips(client.publish, client.messages.receive)
            nursery.cancel_scope.cancel()
        return figures

    with a_broker() as port:
        return trio.run(main, port)


class RawClient:
    """Nothing but packets, numbers and who waits for them."""

    def __init__(self, socket: trio.socket.SocketType) -> None:
        import mqtt5

        self._mqtt5 = mqtt5
        self._socket = socket
        self._number = 0
        self._waiting: dict[int, trio.Event] = {}
        self._window = trio.Semaphore(20)
        self._arrive, self.messages = trio.open_memory_channel[bytes](1000)

    @classmethod
    async def connect(cls, port: int) -> RawClient:
        socket = trio.socket.socket()
        socket.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        await socket.connect(("127.0.0.1", port))
        client = cls(socket)
        await socket.send(client._mqtt5.ConnectPacket("raw", clean_start=True).write())
        await socket.recv(1000)
        return client

    async def read(self) -> None:
        mqtt5 = self._mqtt5
        rest = b""
        while True:
            data = memoryview(rest + await self._socket.recv(65536))
            at = 0
            while at < len(data):
                try:
                    packet, size = mqtt5.read(data[at:])
                except IndexError:
                    break
                at += size
                if isinstance(packet, mqtt5.PublishPacket):
                    if packet.packet_id is not None:
                        await self._send(mqtt5.PubAckPacket(packet.packet_id).write())
                    self._arrive.send_nowait(packet.payload)
                elif isinstance(packet, mqtt5.PubAckPacket | mqtt5.SubAckPacket):
                    self._waiting.pop(packet.packet_id).set()
            rest = bytes(data[at:])

    async def publish(self, qos: int) -> None:
        mqtt5 = self._mqtt5
        if not qos:
            await self._send(mqtt5.PublishPacket(TOPIC, PAYLOAD).write())
            return
        async with self._window:
            number, done = self._next()
            packet = mqtt5.PublishPacket(
                TOPIC, PAYLOAD, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=number
            )
            await self._send(packet.write())
            await done.wait()

    async def subscribe(self, pattern: str) -> None:
        number, done = self._next()
        await self._send(
            self._mqtt5.SubscribePacket(number, [self._mqtt5.TopicFilter(pattern)]).write()
        )
        await done.wait()

    def _next(self) -> tuple[int, trio.Event]:
        self._number = self._number % 65535 + 1
        done = self._waiting[self._number] = trio.Event()
        return self._number, done

    async def _send(self, data: bytes) -> None:
        sent = await self._socket.send(data)
        assert sent == len(data), "the socket is full"


# -- ours --------------------------------------------------------------------------------


@asynccontextmanager
async def connection_of(engine: str, port: int) -> AsyncIterator[MqttConnection]:
    """The connection of one of our services, when the broker has accepted it."""
    from alicia_mqtt import MqttConfig
    from alicia_scheduler.testing.context import TestContext
    from alicia_scheduler.testing.mosquitto import until_connected

    opened: AbstractAsyncContextManager[MqttConnection]
    config, context = MqttConfig(host="127.0.0.1", port=port), TestContext(engine, instance=engine)
    if engine == "mqtt":
        from alicia_mqtt import open_mqtt

        opened = open_mqtt(config, context)
    else:
        from alicia_mqtt_native import open_mqtt_native

        opened = open_mqtt_native(config, context)
    async with opened as connection:
        await until_connected(connection)
        yield connection


def _ours(engine: str) -> Figures:
    async def main(port: int) -> Figures:
        async with connection_of(engine, port) as connection:
            publish = _publish_by(connection)
            figures = await _rates(publish, _crowd_of_trio)
            async with connection.subscribe(TOPIC, qos=1) as messages:
                return figures | await _trips(publish, messages.__anext__)

    with a_broker() as port:
        return trio.run(main, port)


@measurement()
def default() -> Figures:
    """The connection of alicia-mqtt."""
    return _ours("mqtt")


@measurement()
def native() -> Figures:
    """The connection of alicia-mqtt-native."""
    return _ours("mqtt_native")


# -- side by side ------------------------------------------------------------------------

CHUNK = 240
"""Messages that each of them publishes before it is the next one's turn."""

ROUNDS = 15


@measurement()
def side_by_side() -> Figures:
    """All four in one process, in turn, chunk after chunk: what else the machine does meanwhile
    hits them alike. The figures are ratios: how much faster ours is than its limit, by the clock
    and by the processor's; medians of the chunks' own ratios."""
    with a_broker() as port:
        return trio.run(_side_by_side, port)


async def _side_by_side(port: int) -> Figures:
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        stack.callback(nursery.cancel_scope.cancel)
        asleep = asyncio.new_event_loop()
        stack.callback(asleep.close)
        alone = asleep.run_until_complete(_connected(port))
        raw = await RawClient.connect(port)
        nursery.start_soon(raw.read)
        default = await stack.enter_async_context(connection_of("mqtt", port))
        native = await stack.enter_async_context(connection_of("mqtt_native", port))

        async def by_aiomqtt(qos: int, tasks: int) -> None:
            # Trio stands still meanwhile, and so do the others.
            asleep.run_until_complete(_chunk_of_asyncio(alone, qos, tasks))

        runs = {
            "aiomqtt": by_aiomqtt,
            "raw": _chunk_of_trio(raw.publish),
            "default": _chunk_of_trio(_publish_by(default)),
            "native": _chunk_of_trio(_publish_by(native)),
        }
        times: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for _ in range(ROUNDS):
            for qos, tasks in itertools.product(COUNTS, (1, TASKS)):
                for name, run in runs.items():
                    wall, processor = time.perf_counter(), time.process_time()
                    await run(qos, tasks)
                    taken = time.perf_counter() - wall, time.process_time() - processor
                    kind = f"qos{qos}_{'one' if tasks == 1 else 'twenty'}"
                    times.setdefault((name, kind), []).append(taken)
        asleep.run_until_complete(alone.__aexit__(None, None, None))
    return {
        f"{ours}_{kind}_{clock}": statistics.median(
            limit[at] / our[at]
            for limit, our in zip(times[limiting, kind], times[ours, kind], strict=True)
        )
        for ours, limiting in (("default", "aiomqtt"), ("native", "raw"))
        for (name, kind) in times
        if name == ours
        for at, clock in enumerate(("wall", "cpu"))
    }


async def _connected(port: int) -> aiomqtt.Client:
    return await _aiomqtt_client(port).__aenter__()


def _publish_by(connection: MqttConnection) -> Publish:
    async def publish(qos: int) -> None:
        await connection.publish(TOPIC, PAYLOAD, qos=qos)

    return publish


def _chunk_of_trio(publish: Publish) -> Callable[[int, int], Awaitable[None]]:
    async def chunk(qos: int, tasks: int) -> None:
        async def some() -> None:
            for _ in range(CHUNK // tasks):
                await publish(qos)

        await _crowd_of_trio(some, tasks)
        await publish(1)

    return chunk


async def _chunk_of_asyncio(client: aiomqtt.Client, qos: int, tasks: int) -> None:
    async def some() -> None:
        for _ in range(CHUNK // tasks):
            await client.publish(TOPIC, PAYLOAD, qos=qos)

    await asyncio.gather(*(some() for _ in range(tasks)))
    await client.publish(TOPIC, PAYLOAD, qos=1)


# -- what the sink costs the kernel ------------------------------------------------------

EVENTS = 500
SPREAD = 5.0
"""Seconds over which the events of the lateness measurements are due."""

RESULTS_PER_S = 5_000
BATCH = 50


def _lateness(engine: str | None) -> Figures:
    """How late a kernel starts its events while results go to the sink, or do not."""
    from benchmarks.workload import filled_store, running

    async def main(port: int) -> Figures:
        first = time.time() + 2.0
        async with (
            filled_store(None, EVENTS, first, SPREAD) as store,
            running(store, EVENTS) as host,
            _a_load(engine, port, first) as load,
        ):
            await host.heard.enough.wait()
        late = sorted(host.heard.lateness)
        return load | {
            "p50_ms": late[len(late) // 2] * 1e3,
            "p99_ms": late[len(late) * 99 // 100] * 1e3,
        }

    with a_broker() as port:
        return trio.run(main, port)


@asynccontextmanager
async def _a_load(engine: str | None, port: int, first: float) -> AsyncIterator[Figures]:
    """Results written to the sink from ``first`` on, as many a second as there should be."""
    figures: Figures = {}
    if engine is None:
        yield figures
        return
    from alicia_scheduler.testing.context import TestContext
    from alicia_sink_mqtt import MqttSinkConfig
    from alicia_sink_mqtt.sink import MqttSink, open_sink

    written = 0

    async def load(sink: MqttSink) -> None:
        nonlocal written
        await trio.sleep(first - time.time())
        began = trio.current_time()
        while True:
            await trio.sleep_until(began + written / RESULTS_PER_S)
            await sink.write([_a_result(written + number) for number in range(BATCH)])
            written += BATCH
            figures["results_per_s"] = written / (trio.current_time() - began)

    async with connection_of(engine, port) as connection:
        context = TestContext("sink-mqtt", {MqttConnection: connection})
        async with open_sink(MqttSinkConfig(), context) as sink, trio.open_nursery() as nursery:
            nursery.start_soon(load, sink)
            yield figures
            nursery.cancel_scope.cancel()


def _a_result(number: int) -> Notification:
    execution = {"execution_id": f"{number:032x}", "event_id": "event", "status": "completed"}
    return Notification(
        event_type="execution_completed",
        event_data={**execution, "scheduled_time": 1.0, "start_time": 1.0, "end_time": 2.0},
        timestamp=datetime.now(UTC),
        source="event_scheduler",
        sequence=number,
    )


@measurement()
def lateness_alone() -> Figures:
    """100 events a second and no sink."""
    return _lateness(None)


@measurement()
def lateness_default() -> Figures:
    """The same beside 5,000 results a second to the sink, three messages each, at QoS 1."""
    return _lateness("mqtt")


@measurement()
def lateness_native() -> Figures:
    """The same on the faster engine."""
    return _lateness("mqtt_native")
