"""What systemd is told about this process, by the protocol of sd_notify(3): one datagram a state.

A message never waits and never fails: a service manager that does not read must not hold up the
schedule. Without ``NOTIFY_SOCKET`` in the environment nothing is told.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress

import trio

from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["ServiceManager"]

DOOR_TIMEOUT = 10.0
"""Seconds that readiness waits for the control door at the most: the schedule runs without it."""

STATUS_LIMIT = 500
"""Characters of a status line."""


class ServiceManager:
    """The way to the service manager.

    Args:
        address: of its datagram socket; a leading ``@`` means an abstract one. None tells nobody.
        watchdog: seconds within which it wants to hear from the scheduling loop, or None.
    """

    def __init__(self, address: str | None, watchdog: float | None = None) -> None:
        self.watchdog = watchdog
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address

    @classmethod
    def of_environment(cls, environ: MutableMapping[str, str] = os.environ) -> ServiceManager:
        """The service manager that started this process, if one did. Its variables are taken out of
        the environment: what this process starts has nothing to tell in its name."""
        address = environ.pop("NOTIFY_SOCKET", None)
        microseconds = environ.pop("WATCHDOG_USEC", "")
        pid = environ.pop("WATCHDOG_PID", str(os.getpid()))
        ours = microseconds.isdecimal() and pid == str(os.getpid())
        return cls(address, int(microseconds) / 1e6 if ours and int(microseconds) else None)

    def tell(self, *lines: str) -> None:
        """Send assignments such as ``READY=1``, as far as somebody takes them at once."""
        if self._address is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out, suppress(OSError):
            # Nobody may be there, or the receiver's queue be full: a send that blocks would stop
            # the loop.
            out.setblocking(False)
            out.sendto("\n".join(lines).encode(), self._address)

    def ready(self, status: str) -> None:
        """The schedule runs."""
        self.tell("READY=1", _status(status))

    def reloading(self) -> None:
        """The configuration is being read again; :meth:`ready` ends it."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.tell("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """The host stops."""
        self.tell("STOPPING=1", _status("waiting for what runs to end"))

    async def accompany(self, kernel: Kernel, answering: trio.Event, status: str) -> None:
        """Say that the schedule is ready, then feed the watchdog until cancelled.

        It is ready when the scheduling loop has made a pass and commands are ``answering``.
        The watchdog is fed after a pass of the loop that was asked for, and never otherwise: a
        loop that hangs, or a process that is frozen, lets it bark.
        """
        if self._address is None:
            return
        await _pass(kernel)
        with trio.move_on_after(DOOR_TIMEOUT):
            await answering.wait()
        self.ready(status)
        while self.watchdog is not None:
            await _pass(kernel)
            self.tell("WATCHDOG=1")
            await trio.sleep(self.watchdog / 3)


async def _pass(kernel: Kernel) -> None:
    """Wait for the next pass of the scheduling loop, which is woken for it."""
    passed = kernel.passed
    kernel.agenda.changed.set()
    await passed.wait()


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())[:STATUS_LIMIT]}"
