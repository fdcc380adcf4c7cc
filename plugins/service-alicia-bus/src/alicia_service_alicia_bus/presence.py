"""Telling the bus that this service is there, how it is, and that it goes (§1.10)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import trio

from alicia_scheduler.api import MqttConnection, Permanent, Retryable, ServiceContext
from alicia_service_alicia_bus.config import AliciaBusConfig
from alicia_service_alicia_bus.desk import Desk
from alicia_service_alicia_bus.envelope import wrap
from alicia_service_alicia_bus.tally import Tally

__all__ = ["CAPABILITIES", "Presence"]

CAPABILITIES = (
    "event_scheduling",
    "cron_scheduling",
    "recurring_tasks",
    "execution_tracking",
    "time_based_triggers",
)
"""What the original says that it can."""

FAREWELL_WITHIN = 2.0
"""Seconds that saying goodbye may take."""

CHECKED = 1.0
"""Seconds in which several questions for the health get one answer."""

EXPIRY = 300
"""Seconds after which the bus takes a silent service for gone."""


class Presence:
    """Registration, health and state of this service."""

    def __init__(
        self,
        config: AliciaBusConfig,
        context: ServiceContext,
        connection: MqttConnection,
        desk: Desk,
        tally: Tally,
    ) -> None:
        self._config = config
        self._context = context
        self._connection = connection
        self._desk = desk
        self._tally = tally
        self._name = config.service_name
        self._instance = config.instance_id or context.instance
        self._version = version("alicia-scheduler")
        self._began = context.now()
        self._since = trio.current_time()
        self._state = "running"
        self._asked = trio.Event()

    async def run(self) -> None:
        """Register at every connection: the broker keeps nothing of it, and discovery may be new.

        Raises:
            Retryable: the connection's service ends.
        """
        number = 0
        while True:
            number = await self._connection.wait_connection(number)
            if self._config.registration:
                await self._register()
            await self._report_state()
            await self.report_health()

    async def answer_checks(self) -> None:
        """Report the health when somebody asks; many questions at once get one answer."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            await self.report_health()
            await trio.sleep(CHECKED)

    async def beat(self) -> None:
        """Report the health every ``health_interval`` seconds."""
        while True:
            await trio.sleep(self._config.health_interval)
            await self.report_health()

    def ask(self) -> None:
        """Somebody wants to know the health."""
        self._asked.set()

    async def turn(self, state: str) -> None:
        """The schedule was stopped or started by the orchestrator."""
        self._state = state
        await self._report_state()
        await self.report_health()

    async def farewell(self) -> None:
        """Say that the service goes; bounded, and not to be cancelled."""
        with trio.move_on_after(FAREWELL_WITHIN, shield=True):
            self._state = "stopped"
            await self._report_state()
            if self._config.registration:
                await self._say(
                    "system/discovery/unregister",
                    {
                        "service_name": self._name,
                        "status": "offline",
                        "timestamp": self._context.now().timestamp(),
                        "instance_id": self._instance,
                    },
                )

    async def report_health(self) -> None:
        """Tell the health monitor, and the orchestrator."""
        now = self._context.now().timestamp()
        health = await self._desk.health()
        # The bus knows two words; what works in part works.
        status = "unhealthy" if health.get("status") == "unhealthy" else "healthy"
        await self._say(
            f"system/health/{self._name}",
            {
                "service_name": self._name,
                "status": status,
                "problems": [problem["message"] for problem in health.get("problems", ())],
                "uptime": round(trio.current_time() - self._since, 3),
                "messages_processed": self._tally.handled,
                "errors": self._tally.errors,
                "mqtt_connected": self._connection.connected,
                "instance_id": self._instance,
                "timestamp": now,
            },
        )
        await self._say(
            f"services/{self._name}/health",
            {"health_status": status, "instance_id": self._instance, "timestamp": now},
        )

    async def _register(self) -> None:
        await self._say(
            "system/discovery/register",
            {
                "service_name": self._name,
                "status": "online",
                "timestamp": self._began.timestamp(),
                "capabilities": list(CAPABILITIES),
                "version": self._version,
                "instance_id": self._instance,
            },
        )

    async def _report_state(self) -> None:
        state = self._state
        if state == "running" and (await self._desk.health()).get("paused_until") is not None:
            state = "maintenance"
        await self._say(
            f"services/{self._name}/status",
            {
                "service_name": self._name,
                "state": state,
                "instance_id": self._instance,
                "version": self._version,
                "timestamp": self._context.now().timestamp(),
            },
        )

    async def _say(self, topic: str, message: dict[str, Any]) -> None:
        payload = wrap(message, self._config.envelope, now=self._context.now(), source=self._name)
        try:
            await self._connection.publish(
                f"{self._config.bus}/{topic}",
                payload,
                qos=1,
                content_type="application/json",
                message_expiry=EXPIRY,
            )
        except Retryable:
            pass  # the next connection says it all again
        except Permanent as refusal:
            self._tally.note("refused by the broker", f"cannot publish on {topic}: {refusal}")
