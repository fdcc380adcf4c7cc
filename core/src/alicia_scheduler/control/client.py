"""Speaking to a running host: one command and its answer, or a session that also listens.

Where the host is, is either its state directory (its Unix socket, as the same user) or a
:class:`Remote` (its TCP door, with a token). Everything below works with both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection
from wsproto.utilities import ProtocolError

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.control.dial import (
    EndedEarly,
    NoHost,
    Remote,
    Whereabouts,
    dial,
    rejection,
    shown,
)

__all__ = ["HostSession", "NoHost", "Remote", "Subscription", "Whereabouts", "call", "connected"]

TIMEOUT = 30.0
"""Seconds that a command may take, unless it is known to take longer."""

AHEAD_LIMIT = 10_000
"""Notifications of a subscription that wait here for whoever iterates over it."""


def call(where: Whereabouts, name: str, /, *, timeout: float = TIMEOUT, **arguments: Any) -> Any:
    """Send one command to a host and return its answer. Blocking.

    Args:
        where: the host's state directory, or a :class:`Remote`.
        name: ``<noun>/<verb>``.
        timeout: seconds that the host has to answer.
        arguments: the command's arguments, JSON-ready.

    Raises:
        NoHost: none runs there, or it does not answer.
        CommandError: the host refused the command; ``unauthorized`` when it refused the token.
    """
    return trio.run(_call, where, name, timeout, arguments)


async def _call(where: Whereabouts, name: str, timeout: float, arguments: dict[str, Any]) -> Any:
    try:
        with trio.fail_after(timeout):
            async with connected(where, timeout=timeout) as session:
                return await session.request(name, **arguments)
    except trio.TooSlowError:
        raise NoHost(f"the host at {shown(where)} has not answered for {timeout:g} s") from None


class Subscription:
    """Notifications as they come; iterate over it. Made by :meth:`HostSession.subscribe`.

    Attributes:
        number: the id of the subscription in its session.
        next: the sequence number it goes on with: nothing from there on is left out.
        lost: True when notifications between ``after`` and ``next`` are no longer kept.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.next = 0
        self.lost = False
        self._ended: Exception | None = None
        self._put, self._taken = trio.open_memory_channel[dict[str, Any]](AHEAD_LIMIT)

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self

    async def __anext__(self) -> dict[str, Any]:
        """The next notification in its wire form.

        Raises:
            NoHost: the connection ended.
            CommandError: ``too_slow``: more came than were taken.
        """
        try:
            return await self._taken.receive()
        except trio.EndOfChannel:
            if self._ended is None:
                raise StopAsyncIteration from None
            raise self._ended from None

    def _deliver(self, notification: dict[str, Any]) -> None:
        if self._ended is not None:
            return
        try:
            self._put.send_nowait(notification)
        except trio.WouldBlock:
            self._end(CommandError("too_slow", "notifications came faster than they were taken"))

    def _end(self, why: Exception | None) -> None:
        self._ended = self._ended or why
        self._put.close()


class _Answer:
    """A command's answer that has not come yet."""

    def __init__(self) -> None:
        self.arrived = trio.Event()
        self.message: dict[str, Any] = {}


class HostSession:
    """An open, authenticated connection to a host. Made by :func:`connected`.

    Commands may be given concurrently. They begin in the order in which they are given, but a
    quick one is answered before a slow one that came earlier.
    """

    def __init__(self, connection: WebSocketConnection, shown: str) -> None:
        self._connection = connection
        self._shown = shown
        self._last_id = 0
        self._sending = trio.Lock()
        self._waiting: dict[int, _Answer] = {}
        self._subscriptions: dict[int, Subscription] = {}
        self._gone: NoHost | None = None

    async def request(self, name: str, /, **arguments: Any) -> Any:
        """Give a command and wait for its answer, for as long as it takes.

        Raises:
            NoHost: the connection ended; the command may have been carried out.
            CommandError: the host refused it.
        """
        _, answer = await self._ask(name, arguments)
        return answer

    async def subscribe(
        self,
        *,
        event_type: Iterable[str] | None = None,
        event_id: Iterable[str] | None = None,
        tag: Iterable[str] | None = None,
        after: int | None = None,
    ) -> Subscription:
        """Have the host's notifications sent.

        Args:
            event_type: only notifications of these types.
            event_id: only those about events whose id is, or matches, one of these
                (``*``, ``?`` and ``[…]`` as in a shell).
            tag: only those about events with one of these tags.
            after: first those that are kept with a greater sequence number; 0 is all that are
                kept, None only what comes from now on.
        """
        arguments: dict[str, Any] = {
            key: list(value)
            for key, value in (("event_type", event_type), ("event_id", event_id), ("tag", tag))
            if value is not None
        }
        if after is not None:
            arguments["after"] = after
        number, answer = await self._ask("subscribe", arguments)
        subscription = self._subscriptions[number]
        subscription.next, subscription.lost = answer["next"], answer["lost"]
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; iterating over it ends when all that came is taken."""
        self._subscriptions.pop(subscription.number, None)
        subscription._end(None)
        await self.request("unsubscribe", subscription=subscription.number)

    async def _ask(self, name: str, arguments: dict[str, Any]) -> tuple[int, Any]:
        answer = _Answer()
        async with self._sending:
            # Numbers must reach the host in their order.
            if self._gone is not None:
                raise self._gone
            self._last_id = number = self._last_id + 1
            self._waiting[number] = answer
            if name == "subscribe":
                self._subscriptions[number] = Subscription(number)
            await self._send({"id": number, "type": name, **arguments})
        try:
            await answer.arrived.wait()
        finally:
            self._waiting.pop(number, None)
        if not answer.message:
            raise self._gone or NoHost("the connection ended")
        if answer.message.get("type") == "pong":
            return number, None
        if not answer.message["success"]:
            self._subscriptions.pop(number, None)
            raise _refusal(answer.message["error"])
        return number, answer.message["result"]

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await self._connection.send_message(msgspec.json.encode(message).decode())
        except ConnectionClosed as error:
            raise self._ended(error) from error

    async def _receive(self) -> Any:
        try:
            return msgspec.json.decode(await self._connection.get_message())
        except ConnectionClosed as error:
            raise self._ended(error) from error
        except ValueError as error:
            raise NoHost(f"what answers at {self._shown} is no Alicia host") from error

    def _ended(self, error: ConnectionClosed) -> NoHost:
        reason = error.reason.reason if error.reason is not None else None
        return NoHost(f"the host at {self._shown} ended the connection: {reason or 'it went away'}")

    async def _authenticate(self, token: str | None) -> None:
        message = await self._receive()
        if message.get("type") == "auth_required":
            if token is None:
                hint = "make one with alicia tokens create, where the host runs"
                raise CommandError("unauthorized", f"{self._shown} asks for a token", hint=hint)
            await self._send({"type": "auth", "access_token": token})
            message = await self._receive()
        if message.get("type") == "auth_invalid":
            raise CommandError("unauthorized", str(message.get("message")))
        if message.get("type") != "auth_ok":
            raise NoHost(f"what answers at {self._shown} is no Alicia host")

    async def _listen(self) -> None:
        """Hand out whatever comes, until the connection ends."""
        try:
            while True:
                received = await self._receive()
                for message in received if isinstance(received, list) else [received]:
                    self._hand_out(message)
        except NoHost as error:
            self._gone = error
        for answer in self._waiting.values():
            answer.arrived.set()
        for subscription in self._subscriptions.values():
            subscription._end(self._gone)

    def _hand_out(self, message: dict[str, Any]) -> None:
        number = message.get("id")
        if message.get("type") == "event" and number in self._subscriptions:
            self._subscriptions[number]._deliver(message["event"])
        elif message.get("type") in ("result", "pong") and number in self._waiting:
            self._waiting[number].message = message
            self._waiting[number].arrived.set()


@asynccontextmanager
async def connected(
    where: Whereabouts, /, *, timeout: float = TIMEOUT
) -> AsyncIterator[HostSession]:
    """A session with a host while the block is open.

    Args:
        timeout: seconds that connecting and authenticating may take.

    Raises:
        NoHost: none answers there.
        CommandError: ``unauthorized``: it refused the token.
    """
    failure: BaseException | None = None
    streams: list[trio.abc.Stream] = []
    try:
        async with trio.open_nursery() as nursery:
            try:
                with trio.fail_after(timeout):
                    session = HostSession(await dial(where, nursery, streams), shown(where))
                    await session._authenticate(where.token if isinstance(where, Remote) else None)
                nursery.start_soon(session._listen)
                yield session
                with trio.move_on_after(1):
                    await session._connection.aclose()
            except trio.Cancelled:
                raise
            except BaseException as error:  # noqa: BLE001 - raised again, outside the nursery
                failure = error
            nursery.cancel_scope.cancel()
    except* EndedEarly as group:
        failure = NoHost(f"{shown(where)} ended the connection before it was open")
        failure.__cause__ = group
    except* ConnectionRejected as group:
        failure = NoHost(f"{shown(where)} refuses the connection: {rejection(group)}")
        failure.__cause__ = group
    except* (ProtocolError, ValueError) as group:
        failure = NoHost(f"what answers at {shown(where)} is no Alicia host")
        failure.__cause__ = group
    finally:
        for stream in streams:
            await trio.aclose_forcefully(stream)
    if isinstance(failure, trio.TooSlowError):
        raise NoHost(f"no host answers at {shown(where)} for {timeout:g} s") from failure
    if failure is not None:
        raise failure


def _refusal(error: dict[str, Any]) -> CommandError:
    return CommandError(
        error["code"],
        error["message"],
        hint=error.get("hint"),
        path=tuple(error.get("path", ())),
        details=error.get("details"),
    )
