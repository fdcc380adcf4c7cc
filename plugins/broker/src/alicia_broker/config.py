"""What ``[services.broker]`` may say."""

from __future__ import annotations

import ipaddress
from typing import Literal

import msgspec

from alicia_scheduler.api import ConfigError

__all__ = ["BrokerConfig"]


class BrokerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker listens, and which one it is.

    Attributes:
        host: an address of the loopback; the broker asks nobody for a password.
        port: its TCP port.
        only_if_missing: start nothing when something answers there already.
        program: ``mosquitto``, ``amqtt``, or the first of the two that is installed.

    Raises:
        ConfigError: the address is reachable from outside, or the port is none.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    only_if_missing: bool = True
    program: Literal["auto", "mosquitto", "amqtt"] = "auto"

    def __post_init__(self) -> None:
        if not _is_loopback(self.host):
            raise ConfigError(
                f"host {self.host!r} is not an address of the loopback",
                path=("host",),
                hint="this broker asks for no password; for a network run Mosquitto itself",
            )
        if not 1 <= self.port <= 65535:
            raise ConfigError(f"port {self.port} is not within 1 to 65535", path=("port",))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
