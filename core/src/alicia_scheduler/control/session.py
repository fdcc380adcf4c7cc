"""One authenticated connection: commands in, answers and notifications out.

Commands begin in the order of their ids and run beside each other, so a quick one is answered
before a slow one that came earlier. Whoever needs one done before the next waits for its answer.
"""

from __future__ import annotations

import logging
from typing import Any

import trio

from alicia_scheduler.api.control import Caller, CommandError
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import to_wire
from alicia_scheduler.config.convert import convert
from alicia_scheduler.control.limits import Bucket
from alicia_scheduler.control.messages import (
    decode,
    error_result,
    id_of,
    ok_result,
    parse_command,
    pong,
)
from alicia_scheduler.control.shared import Surroundings
from alicia_scheduler.control.subscriptions import (
    SubscribeArguments,
    Subscriptions,
    UnsubscribeArguments,
)
from alicia_scheduler.control.wire import Wire, WireClosed

__all__ = ["HEARTBEAT", "Session"]

logger = logging.getLogger(__name__)

AT_ONCE = 16
"""Commands of one connection that are carried out at the same time; further ones wait."""

HEARTBEAT = 30.0
"""Seconds of silence after which the far side is asked for a sign of life, and again after which
it counts as gone."""

STOPPING = 0.5
"""Seconds that a connection has to take in that the host stops."""


class Session:
    """What happens on a connection once it is known who is at its far side.

    Args:
        wire: the connection, whose handshake is done.
        bucket: the wire's; every command counts as a frame, also when several come in one.
        caller: who it is.
    """

    def __init__(
        self, wire: Wire, bucket: Bucket, caller: Caller, surroundings: Surroundings
    ) -> None:
        self._wire = wire
        self._bucket = bucket
        self._caller = caller
        self._commands = surroundings.commands
        self._settings = surroundings.settings
        self._subscriptions = Subscriptions(
            wire, surroundings.log, surroundings.settings.max_subscriptions
        )
        self._places = trio.Semaphore(AT_ONCE)
        self._last_id = 0
        self._may_authenticate = True
        self._ended: WireClosed | None = None
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Answer until either side ends it, and say why. Raises nothing."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for part in (self._subscriptions.send_all, self._subscriptions.watch):
                        nursery.start_soon(self._guarded, part)
                    nursery.start_soon(self._guarded, self._heartbeat)
                    await self._guarded(self._answer_all, nursery)
        finally:
            self._subscriptions.close()
            if self._ended is None:
                await self._wire.close(1001, "the host stops", patience=STOPPING)
            else:
                logger.debug("connection of %s ended: %s", self._caller.name, self._ended)
                await self._wire.close(self._ended.code, self._ended.reason)

    def end(self, code: int, reason: str) -> None:
        """End the session for a reason of the host's."""
        self._ended = self._ended or WireClosed(code, reason)
        self._scope.cancel()

    async def _guarded(self, part: Any, *arguments: Any) -> None:
        """One part of the session; whatever happens to it ends the session and nothing else."""
        try:
            await part(*arguments)
        except WireClosed as error:
            self.end(error.code, error.reason)
        except Exception:
            logger.exception("a connection of %s failed", self._caller.name)
            self.end(1011, "the host failed at this connection; its log says why")

    async def _answer_all(self, nursery: trio.Nursery) -> None:
        while True:
            text = await self._wire.receive(self._settings.max_message)
            try:
                messages = decode(text)
            except CommandError as error:
                await self._wire.send(error_result(None, error))
                continue
            await self._bucket.take(len(messages) - 1)
            for message in messages:
                await self._begin(message, nursery)

    async def _begin(self, message: Any, nursery: trio.Nursery) -> None:
        if self._authenticates_again(message):
            return
        try:
            number, name, arguments = parse_command(message, self._last_id)
        except CommandError as error:
            await self._wire.send(error_result(id_of(message), error))
            return
        self._last_id = number
        if name in OWN:
            await self._answer_here(number, name, arguments)
            return
        await self._places.acquire()
        # Begun before the next message is looked at, so that commands begin in their order.
        await nursery.start(self._carry_out, number, name, arguments)

    def _authenticates_again(self, message: Any) -> bool:
        """A client that authenticates though it need not, before anything else, does no harm."""
        may, self._may_authenticate = self._may_authenticate, False
        return may and isinstance(message, dict) and message.get("type") == "auth"

    async def _carry_out(
        self,
        number: int,
        name: str,
        arguments: dict[str, Any],
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        task_status.started()
        try:
            await self._guarded(self._answer, number, name, arguments)
        finally:
            self._places.release()

    async def _answer(self, number: int, name: str, arguments: dict[str, Any]) -> None:
        try:
            found = await self._commands.execute(self._caller, name, arguments)
            answer = ok_result(number, found)
        except CommandError as error:
            answer = error_result(number, error)
        except Exception:
            logger.exception("the command %s failed", name)
            message = f"the host failed at {name}; its log says why"
            answer = error_result(number, CommandError("unknown_error", message))
        await self._wire.send(answer)

    async def _answer_here(self, number: int, name: str, arguments: dict[str, Any]) -> None:
        """Answer what is about the connection itself."""
        try:
            if name == "ping":
                await self._wire.send(pong(number))
            elif name == "supported_features":
                # Messages may be coalesced for those who say so. They need not be.
                await self._wire.send(ok_result(number, None))
            elif name == "subscribe":
                wanted = convert(arguments, SubscribeArguments)
                answer = self._subscriptions.add(number, wanted)
                await self._wire.send(ok_result(number, to_wire(answer)))
                self._subscriptions.begin(number)
            else:
                which = convert(arguments, UnsubscribeArguments)
                self._subscriptions.remove(which.subscription)
                await self._wire.send(ok_result(number, None))
        except ConfigError as error:
            refusal = CommandError(
                "invalid_format", error.message, hint=error.hint, path=error.path
            )
            await self._wire.send(error_result(number, refusal))
        except CommandError as error:
            await self._wire.send(error_result(number, error))

    async def _heartbeat(self) -> None:
        """Find out when the far side is gone without a word.

        A wait that is ours (for a place, for the bucket) is no silence of the far side.
        """
        while True:
            await trio.sleep(HEARTBEAT)
            now = trio.current_time()
            sending = self._wire.sending_since
            if sending is not None and now - sending >= HEARTBEAT:
                raise WireClosed(1008, "you take nothing of what is sent")
            silent = now - self._wire.heard if self._wire.reading else 0.0
            if silent >= 2 * HEARTBEAT:
                raise WireClosed(1008, "no answer to a ping")
            if silent >= HEARTBEAT * 0.9 and sending is None:
                await self._wire.ping()


OWN = frozenset(("ping", "supported_features", "subscribe", "unsubscribe"))
"""Commands about the connection itself."""
