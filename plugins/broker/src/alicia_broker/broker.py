"""The broker's process: started, watched, and gone when the host is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import trio

from alicia_broker.config import BrokerConfig
from alicia_broker.programs import Program, choose_program
from alicia_scheduler.api import AliciaError, ServiceContext

__all__ = ["Broker", "BrokerFailed", "open_broker"]

START_WITHIN = 10.0
"""Seconds until a started broker has to listen."""

STOP_WITHIN = 2.0
"""Seconds between the request to end and the end by force."""

LEASH = str(Path(__file__).with_name("leash.py"))


class BrokerFailed(AliciaError):
    """The broker's process ended, or does not listen; the message holds its last words."""


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    """The broker that answers. ``program`` and ``pid`` are None when it was there already."""

    host: str
    port: int
    program: str | None = None
    pid: int | None = None


@asynccontextmanager
async def open_broker(config: BrokerConfig, context: ServiceContext) -> AsyncIterator[Broker]:
    """A broker that listens on ``config.host`` and ``config.port`` while the block is open.

    Raises:
        BrokerMissing: neither Mosquitto nor amqtt is installed.
        BrokerFailed: it does not start, or ends while the block is open.
    """
    if await _answers(config):
        if not config.only_if_missing:
            raise BrokerFailed(
                f"something answers on {config.host}:{config.port} already; choose another port,"
                " or set only_if_missing = true to use it"
            )
        context.logger.info("using the broker that is at %s:%d", config.host, config.port)
        yield Broker(host=config.host, port=config.port)
        return
    process = BrokerProcess(choose_program(config))
    try:
        await process.wait_listening(config)
        context.logger.info(
            "running %s as the broker at %s:%d", process.name, config.host, config.port
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.watch)
            yield Broker(host=config.host, port=config.port, program=process.name, pid=process.pid)
            nursery.cancel_scope.cancel()
    finally:
        await process.stop()


class BrokerProcess:
    """A program on a leash, in a process group of its own.

    The group keeps a Ctrl-C in the terminal from ending the broker before the host has said its
    last words to it.
    """

    def __init__(self, program: Program) -> None:
        self.name = program.name
        self._last_words: deque[str] = deque(maxlen=10)
        configuration, writing = os.pipe()
        os.write(writing, program.stdin.encode())
        os.close(writing)
        reading, errors = os.pipe()
        # The leash is bound to the thread that starts the process, so it must be this one, and
        # not one of trio's worker threads, which end when they have been idle for a while.
        self._popen = subprocess.Popen(  # noqa: S603  # a fixed program, by its full path
            [sys.executable, "-I", "-S", LEASH, str(os.getpid()), *program.command],
            stdin=configuration,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        self.pid = self._popen.pid
        os.close(configuration)
        os.close(errors)
        self._errors = trio.lowlevel.FdStream(reading)

    async def wait_listening(self, config: BrokerConfig) -> None:
        """Wait until it accepts connections.

        Raises:
            BrokerFailed: it ended, or does not listen within ten seconds.
        """
        with trio.move_on_after(START_WITHIN):
            while not await _answers(config):
                if self._popen.poll() is not None:
                    raise await self._failure()
                await trio.sleep(0.02)
            return
        raise BrokerFailed(f"{self.name} does not listen within {START_WITHIN:g} s")

    async def watch(self) -> None:
        """Wait for its end.

        Raises:
            BrokerFailed: always.
        """
        await self._listen()  # until it closes its end, which it does by ending
        await trio.to_thread.run_sync(self._popen.wait, abandon_on_cancel=True)
        raise await self._failure()

    async def stop(self) -> None:
        """End the group: asked first, by force after two seconds. Not to be cancelled."""
        with trio.CancelScope(shield=True):
            self._signal(signal.SIGTERM)
            with trio.move_on_after(STOP_WITHIN):
                await trio.to_thread.run_sync(self._popen.wait, abandon_on_cancel=True)
            self._signal(signal.SIGKILL)
            await trio.to_thread.run_sync(self._popen.wait)
            await self._errors.aclose()

    async def _failure(self) -> BrokerFailed:
        with trio.move_on_after(0.2):
            await self._listen()
        words = "; ".join(self._last_words) or "it gave no reason"
        return BrokerFailed(f"{self.name} ended with code {self._popen.returncode}: {words}")

    async def _listen(self) -> None:
        """Keep the last lines that it writes, so that no full pipe ever stops it."""
        rest = b""
        async for chunk in self._errors:
            *lines, rest = (rest + chunk)[-10_000:].split(b"\n")
            self._last_words.extend(line.decode(errors="replace") for line in lines)
        if rest:
            self._last_words.append(rest.decode(errors="replace"))

    def _signal(self, how: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, how)


async def _answers(config: BrokerConfig) -> bool:
    with trio.move_on_after(1.0):
        try:
            stream = await trio.open_tcp_stream(config.host, config.port)
        except OSError:
            return False
        await stream.aclose()
        return True
    return False
