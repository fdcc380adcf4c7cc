"""What ``[sinks.mqtt]`` may say."""

from __future__ import annotations

from typing import Literal

import msgspec

from alicia_scheduler.api import ConfigError, check_topic

__all__ = ["MqttSinkConfig"]


class MqttSinkConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where notifications go.

    Attributes:
        prefix: topic below which all are published, without a slash at the end; None means the
            connection's.
        qos: 0, 1 or 2. Below 1 a notification may be lost with the connection.

    Raises:
        ConfigError: the prefix cannot be published to.
    """

    prefix: str | None = None
    qos: Literal[0, 1, 2] = 1

    def __post_init__(self) -> None:
        if self.prefix is None:
            return
        if problem := check_topic(self.prefix):
            raise ConfigError(f"prefix {self.prefix[:100]!r} {problem}", path=("prefix",))
        if self.prefix.startswith("/") or self.prefix.endswith("/"):
            raise ConfigError(
                f"prefix {self.prefix[:100]!r} begins or ends with a slash",
                path=("prefix",),
                hint=f"write {self.prefix.strip('/')!r}",
            )
