"""The doors of a host that runs: the Unix socket always, TCP where the configuration says."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import trio

from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.config.control import ControlSettings
from alicia_scheduler.control.control import Control
from alicia_scheduler.control.messages import SOCKET_FILE
from alicia_scheduler.control.replay import ReplayLog
from alicia_scheduler.control.shared import Surroundings
from alicia_scheduler.control.unix import serve_unix

__all__ = ["doors_open"]

logger = logging.getLogger(__name__)

DOOR_EVERY = 10.0
"""Seconds between two attempts to open a door where that was not possible."""


async def doors_open(control: Control, settings: ControlSettings, state_dir: Path) -> None:
    """Open every door once the schedule runs, and keep them open until cancelled.

    The schedule does not depend on them: where a door cannot be made, as on a disk that may not be
    written or an address that is not there yet, that is tried again and again.

    Args:
        settings: ``[control]``.
        state_dir: where the Unix socket is made and the tokens are.
    """
    host = control.host

    def tags_of(event_id: str) -> frozenset[str]:
        entry = host.kernel.catalog.get(event_id) if host.kernel is not None else None
        return frozenset(entry.event.tags) if entry is not None else frozenset()

    log = ReplayLog(settings.replay, tags_of, host.notifier.last)
    host.notifier.listen(log.append)
    surroundings = Surroundings(control, log, settings)
    await host.started.wait()
    async with trio.open_nursery() as nursery:
        socket_file = state_dir / SOCKET_FILE
        by_socket = partial(serve_unix, surroundings, socket_file, opened=control.answering.set)
        nursery.start_soon(_kept_open, f"the socket {socket_file}", by_socket)
        if settings.addresses:
            from alicia_scheduler.control.tcp import TcpDoor

            tcp = TcpDoor(surroundings, state_dir, host.clock)
            nursery.start_soon(tcp.end_revoked)
            for address in settings.addresses:
                nursery.start_soon(_kept_open, str(address), partial(tcp.serve, address))


async def _kept_open(name: str, serve: Callable[[], Awaitable[object]]) -> None:
    """Serve a door; when that fails, say so once and try again, whatever it was."""
    told = False
    while True:
        try:
            await serve()
        except* (OSError, ConfigError) as group:
            if not told:
                logger.warning("no commands at %s yet: %s", name, group.exceptions[0])
            told = True
        except* Exception:
            logger.exception("the door at %s failed; it opens again", name)
        await trio.sleep(DOOR_EVERY)
