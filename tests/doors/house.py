"""Both doors of a house without a kernel: scripted commands, notifications that a test tells."""

import json
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from trio_websocket import wrap_client_stream

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.config.control import Address, ControlSettings
from alicia_scheduler.control.messages import SOCKET_FILE
from alicia_scheduler.control.replay import ReplayLog
from alicia_scheduler.control.shared import Surroundings
from alicia_scheduler.control.tcp import TcpDoor
from alicia_scheduler.control.unix import serve_unix
from alicia_scheduler.kernel.clock import SystemClock
from alicia_scheduler.kernel.notifications import Notifier

PATIENCE = 60
"""Seconds after which a test on a slow machine has waited long enough."""


class Scripted:
    """Commands that do what a test needs to see.

    Attributes:
        begun: the arguments of each ``wait`` and ``echo``, as they began.
        go: lets ``wait`` end.
        answering: set when the first door is open.
    """

    def __init__(self):
        self.begun = []
        self.go = trio.Event()
        self.answering = trio.Event()

    async def execute(self, caller, name, arguments):
        if name == "echo":
            self.begun.append(arguments)
            return {"arguments": arguments, "caller": caller.name, "door": caller.door}
        if name == "wait":
            self.begun.append(arguments)
            await self.go.wait()
            return "waited"
        if name == "large":
            return "x" * arguments["size"]
        if name == "break":
            raise RuntimeError("a defect")
        if name == "permission":
            return str(caller.permission)
        raise CommandError("unknown_command", f"there is no command {name!r}")


@dataclass
class House:
    """Open doors.

    Attributes:
        tags: the tags of events, by id.
    """

    folder: object
    port: int
    commands: Scripted
    notifier: Notifier
    log: ReplayLog
    tcp: TcpDoor
    tags: dict = field(default_factory=dict)

    @property
    def socket(self):
        return self.folder / SOCKET_FILE

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}"

    def tell(self, event_type="execution_started", event_id="lamp", **data):
        self.notifier.emit(event_type, {"event_id": event_id, **data})


class Client:
    """A client that writes down what it sends and gets."""

    def __init__(self, connection, stream):
        self.connection = connection
        self.stream = stream

    async def send(self, *messages):
        for message in messages:
            text = message if isinstance(message, (str, bytes)) else json.dumps(message)
            await self.connection.send_message(text)

    async def next(self):
        with trio.fail_after(PATIENCE):
            return json.loads(await self.connection.get_message())

    async def ask(self, *messages):
        await self.send(*messages)
        return await self.next()

    async def closed(self):
        """Why the connection ends, when it does."""
        from trio_websocket import ConnectionClosed

        with trio.fail_after(PATIENCE):
            while True:
                try:
                    await self.connection.get_message()
                except ConnectionClosed as error:
                    return error.reason


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def open_house(folder, *, last=0, **settings):
    """Both doors open while the block is."""
    port = free_port()
    settings = ControlSettings(addresses=(Address("127.0.0.1", port),), **settings)
    commands, notifier, tags = Scripted(), Notifier(SystemClock()), {}
    notifier.resume(last)
    log = ReplayLog(settings.replay, lambda event: frozenset(tags.get(event, ())), last)
    notifier.listen(log.append)
    surroundings = Surroundings(commands, log, settings)
    tcp = TcpDoor(surroundings, folder, SystemClock())
    house = House(folder, port, commands, notifier, log, tcp, tags)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_unix, surroundings, house.socket)
        nursery.start_soon(tcp.serve, settings.addresses[0])
        nursery.start_soon(tcp.end_revoked)
        with trio.fail_after(PATIENCE):
            (await _until(lambda: trio.open_unix_socket(str(house.socket)))).socket.close()
            (await _until(lambda: trio.open_tcp_stream("127.0.0.1", port))).socket.close()
        yield house
        nursery.cancel_scope.cancel()


async def _until(connect):
    while True:
        try:
            return await connect()
        except OSError:
            await trio.sleep(0.01)


@asynccontextmanager
async def client(where, *, headers=None, path="/api/websocket", host="localhost", context=None):
    """A WebSocket to a socket file or a port, before anything is said."""
    if isinstance(where, int):
        stream = await trio.open_tcp_stream("127.0.0.1", where)
        if context is not None:
            stream = trio.SSLStream(stream, context, server_hostname="localhost")
    else:
        stream = await trio.open_unix_socket(str(where))
    try:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(PATIENCE):
                connection = await wrap_client_stream(
                    nursery, stream, host, path, extra_headers=headers or []
                )
            yield Client(connection, stream)
            with trio.move_on_after(5):
                await connection.aclose()
            nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)


@asynccontextmanager
async def friend(house):
    """A client of the Unix door that has been greeted."""
    async with client(house.socket) as opened:
        assert await opened.next() == {"type": "auth_ok"}
        yield opened


@asynccontextmanager
async def stranger(house, secret, **options):
    """A client of the TCP door that has authenticated."""
    async with client(house.port, **options) as opened:
        assert await opened.next() == {"type": "auth_required"}
        assert await opened.ask({"type": "auth", "access_token": secret}) == {"type": "auth_ok"}
        yield opened
