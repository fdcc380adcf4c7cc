"""An MQTT broker for the demo and for tests: service type ``broker``."""

from __future__ import annotations

from collections.abc import Iterator

from alicia_broker.broker import open_broker
from alicia_broker.config import BrokerConfig
from alicia_scheduler.api import ServiceType, hookimpl

__all__ = ["BrokerConfig"]


@hookimpl
def alicia_services() -> Iterator[ServiceType]:
    """Offer the service."""
    yield ServiceType(
        name="broker",
        config=BrokerConfig,
        open=open_broker,
        summary="an MQTT broker of its own, for demos and tests",
    )
