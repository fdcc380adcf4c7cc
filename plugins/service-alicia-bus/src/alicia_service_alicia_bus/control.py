"""What the bus's orchestrator, health monitor and configuration manager tell a service to do."""

from __future__ import annotations

import signal
from functools import partial
from typing import Any

import trio

from alicia_scheduler.api import CommandError, MqttMessage
from alicia_service_alicia_bus.config import AliciaBusConfig
from alicia_service_alicia_bus.desk import Seat
from alicia_service_alicia_bus.envelope import Incoming
from alicia_service_alicia_bus.orders import META, Order
from alicia_service_alicia_bus.presence import Presence

__all__ = ["Control"]

EXIT_AFTER = 0.5
"""Seconds in which the answer to ``restart`` can still be sent."""


class Control:
    """Reads and obeys them.

    Args:
        nursery: where the end of the process is waited for.
    """

    def __init__(self, config: AliciaBusConfig, presence: Presence, nursery: trio.Nursery) -> None:
        self._config = config
        self._presence = presence
        self._nursery = nursery

    def read_control(self, message: MqttMessage, incoming: Incoming) -> Order | None:
        """A command of the orchestrator: ``start``, ``stop``, ``maintenance``, ``scale``."""
        name = incoming.find("command")
        if not isinstance(name, str):
            return None
        mode = incoming.find("mode")
        match name:
            case "maintenance" if mode in ("on", "off"):
                state = "maintenance" if mode == "on" else "running"
            case "maintenance":
                raise CommandError("invalid_format", "mode is on or off", path=("mode",))
            case "stop":
                state = "stopped"
            case "start":
                state = "running"
            case "scale":
                raise CommandError("not_supported", "one host has one schedule: it cannot scale")
            case _:
                raise CommandError("unknown_command", f"there is no command {name[:100]!r}")
        return _order(name, incoming, partial(self._turn, state))

    def read_restart(self, message: MqttMessage, incoming: Incoming) -> Order | None:
        """The command ``restart`` of the health monitor."""
        if incoming.find("command") != "restart":
            return None
        return _order("restart", incoming, self._restart)

    def read_config(self, message: MqttMessage, incoming: Incoming) -> Order | None:
        """The command ``reload_config`` of the configuration manager. The configuration that it
        carries is not looked at: this host's is its file."""
        if incoming.find("command") != "reload_config":
            return None
        return _order("reload_config", incoming, self._reload)

    async def _turn(self, state: str, seat: Seat) -> dict[str, Any]:
        """Let the schedule run or not. A stopped host stays there to be started: nothing new
        begins, and what runs comes to its end."""
        await seat.do("scheduler/resume" if state == "running" else "scheduler/pause")
        await self._presence.turn(state)
        return {"state": state}

    async def _restart(self, seat: Seat) -> dict[str, Any]:
        match self._config.restart:
            case "reload":
                await self._reload(seat)
            case "exit":
                seat.check("scheduler/restart")
                self._nursery.start_soon(_exit)
            case "ignore":
                message = "this host does not restart on command"
                seat.refuse("scheduler/restart", CommandError("not_allowed", message))
        return {"restart": self._config.restart}

    async def _reload(self, seat: Seat) -> Any:
        return await seat.do("scheduler/reload")


def _order(name: str, incoming: Incoming, perform: Any) -> Order:
    arguments = {key: item for key, item in incoming.fields.items() if key not in META}
    return Order(name=name, perform=perform, arguments=arguments)


async def _exit() -> None:
    """End as on SIGTERM; whoever started the process starts it again."""
    await trio.sleep(EXIT_AFTER)
    signal.raise_signal(signal.SIGTERM)
