"""One connection to Home Assistant, from its first message to its end.

Rules of the WebSocket API: first the token, then commands, each with an id that is higher than the
one before on this connection; answers come in any order, alone or several in one frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from alicia_scheduler.api import Permanent, Retryable

__all__ = ["Refused", "Session", "SessionLost", "authenticate"]

QUEUE = 1000
"""Commands that wait to be sent at the most."""

PONG_WITHIN = 10.0


class SessionLost(Exception):
    """The connection cannot be used, or not any more; the message says why."""


class Refused(Exception):
    """Home Assistant does not take the token. It bans whoever tries again and again."""


@dataclass(eq=False)
class _Command:
    """A command on its way.

    Attributes:
        sent: it was begun to be sent: from now on only an answer tells what became of it.
        withdrawn: nobody waits for it any more.
    """

    message: dict[str, Any]
    number: int = 0
    sent: bool = False
    withdrawn: bool = False
    answer: dict[str, Any] | None = None
    over: trio.Event = field(default_factory=trio.Event)


async def authenticate(websocket: WebSocketConnection, token: str) -> str:
    """Get in, and return the version of Home Assistant.

    Raises:
        Refused: the token is not taken.
        SessionLost: the connection ended, or what answers is not Home Assistant.
    """
    hello = await _receive_object(websocket)
    if hello.get("type") != "auth_required":
        raise SessionLost("it does not ask for a token as Home Assistant does")
    await _send(websocket, {"type": "auth", "access_token": token})
    answer = await _receive_object(websocket)
    if answer.get("type") == "auth_invalid":
        raise Refused(str(answer.get("message", "the token is not valid"))[:200])
    if answer.get("type") != "auth_ok":
        raise SessionLost("it answers the token as Home Assistant does not")
    return str(answer.get("ha_version", "unknown"))[:50]


class Session:
    """Commands and answers over an authenticated connection.

    Args:
        keepalive: seconds between pings.
    """

    def __init__(self, websocket: WebSocketConnection, keepalive: float) -> None:
        self._websocket = websocket
        self._keepalive = keepalive
        self._why: str | None = None
        self._scope = trio.CancelScope()
        self._put, self._take = trio.open_memory_channel[_Command](QUEUE)
        self._under_way: set[_Command] = set()
        self._by_number: dict[int, _Command] = {}

    @property
    def alive(self) -> bool:
        """True until it is known to be lost."""
        return self._why is None

    async def run(self) -> str:
        """Carry commands and answers until the connection is lost, and return why it was."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._receive)
                    nursery.start_soon(self._send_in_turn)
                    nursery.start_soon(self._stay_awake)
        finally:
            self._end("this host ends the connection")
        return str(self._why)

    async def command(self, message: dict[str, Any], *, until: float) -> dict[str, Any]:
        """See :meth:`alicia_action_service.HomeAssistant.command`."""
        command = _Command(message)
        if self._why is None:
            try:
                self._put.send_nowait(command)
            except trio.WouldBlock:
                message_ = f"{QUEUE} commands wait for Home Assistant already"
                raise Retryable(message_, error_class="connection") from None
            self._under_way.add(command)
            try:
                with trio.move_on_at(until):
                    await command.over.wait()
            finally:
                command.withdrawn = True
                self._under_way.discard(command)
                self._by_number.pop(command.number, None)
        if command.answer is not None:
            return command.answer
        why = self._why or "it did not answer in time"
        if command.sent:
            raise Permanent(
                f"nobody knows what became of the command to Home Assistant: {why}",
                error_class="unknown_outcome",
            )
        raise Retryable(
            f"the command was not sent to Home Assistant: {why}", error_class="connection"
        )

    def _end(self, why: str) -> None:
        """Let nobody wait any longer for an answer that cannot come."""
        if self._why is None:
            self._why = why
            self._scope.cancel()
            for command in self._under_way:
                command.over.set()

    async def _send_in_turn(self) -> None:
        # One task sends: ids grow in the order in which they reach the socket, and whoever is
        # cancelled leaves no half a frame behind.
        number = 0
        async for command in self._take:
            if command.withdrawn:
                continue
            if self._websocket.closed is not None:
                return  # the reader tells why
            number += 1
            command.number = number
            self._by_number[number] = command
            command.sent = True
            try:
                await _send(self._websocket, {"id": number, **command.message})
            except SessionLost as lost:
                self._end(str(lost))
                return

    async def _receive(self) -> None:
        while True:
            try:
                received = await _receive(self._websocket)
            except SessionLost as lost:
                self._end(str(lost))
                return
            for message in received if isinstance(received, list) else [received]:
                if isinstance(message, dict) and message.get("type") in ("result", "pong"):
                    self._answered(message)

    def _answered(self, message: dict[str, Any]) -> None:
        number = message.get("id")
        command = self._by_number.pop(number, None) if isinstance(number, int) else None
        if command is not None:
            command.answer = message
            command.over.set()

    async def _stay_awake(self) -> None:
        while True:
            await trio.sleep(self._keepalive)
            try:
                await self.command({"type": "ping"}, until=trio.current_time() + PONG_WITHIN)
            except (Retryable, Permanent):
                self._end("it fell silent")
                return


async def _send(websocket: WebSocketConnection, message: dict[str, Any]) -> None:
    try:
        await websocket.send_message(msgspec.json.encode(message).decode())
    except (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise SessionLost(_words(error)) from error


async def _receive(websocket: WebSocketConnection) -> Any:
    try:
        text = await websocket.get_message()
    except (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise SessionLost(_words(error)) from error
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        raise SessionLost("it sent what is no JSON") from error


async def _receive_object(websocket: WebSocketConnection) -> dict[str, Any]:
    message = await _receive(websocket)
    return message if isinstance(message, dict) else {}


def _words(error: Exception) -> str:
    if isinstance(error, ConnectionClosed) and error.reason is not None:
        said = f", {error.reason.reason[:100]}" if error.reason.reason else ""
        return f"it closed the connection ({error.reason.name}{said})"
    return "the connection broke"
