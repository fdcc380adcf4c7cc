"""Telling about a broker that is away: once when it goes, once when it is back."""

from __future__ import annotations

import logging

import trio

from alicia_mqtt.config import Protocol
from alicia_mqtt.link import LinkRefused, LinkUnavailable, ProtocolUnsupported, Untrusted

__all__ = ["Outage"]


class Outage:
    """The log lines of an outage. A refusal is told even when the broker was away before,
    because somebody has to do something about it.
    """

    def __init__(self, address: str, logger: logging.Logger) -> None:
        self._address = address
        self._logger = logger
        self._since: float | None = None
        self._connected_before = False
        self._refusal_told = False
        self._fallback_told = False

    def begin(self, why: LinkUnavailable) -> None:
        """Note that there is no connection."""
        first = self._since is None
        if first:
            self._since = trio.current_time()
        if isinstance(why, LinkRefused) and not self._refusal_told:
            self._refusal_told = True
            what = "cannot be used" if isinstance(why, Untrusted) else "refuses"
            self._logger.error("the broker at %s %s: %s (%s)", self._address, what, why, _cure(why))
        elif first and self._connected_before:
            self._logger.warning(
                "lost the connection to the broker at %s: %s; trying on", self._address, why
            )
        elif first:
            self._logger.warning("no broker at %s yet: %s; trying on", self._address, why)

    def end(self, protocol: Protocol, wanted: str = "auto") -> None:
        """Note that there is a connection."""
        if self._since is None:
            self._logger.info("connected to the broker at %s (MQTT %s)", self._address, protocol)
        else:
            self._logger.info(
                "connected to the broker at %s (MQTT %s) after %.1f s without",
                self._address,
                protocol,
                trio.current_time() - self._since,
            )
        if wanted == "auto" and protocol == "3.1.1" and not self._fallback_told:
            self._fallback_told = True
            self._logger.warning(
                "the broker at %s does not take MQTT 5: expiry, content type and user properties "
                "of messages are left out, and refusals are not told",
                self._address,
            )
        self._since = None
        self._connected_before = True
        self._refusal_told = False


def _cure(why: LinkRefused) -> str:
    if isinstance(why, Untrusted):
        return "see ca_file and host in [services.mqtt], and this machine's clock"
    if isinstance(why, ProtocolUnsupported):
        return 'set protocol = "auto" in [services.mqtt]'
    return "see username, password and client_id in [services.mqtt], and the broker's own rules"
