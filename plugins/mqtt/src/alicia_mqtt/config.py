"""What ``[services.mqtt]`` may say."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal

import msgspec

from alicia_scheduler.api import ConfigError, check_topic

__all__ = ["MqttConfig", "Protocol"]

Protocol = Literal["5", "3.1.1"]
"""A version of MQTT that this connection can speak."""

LONGEST_TEXT = 65_535
"""Bytes of a string in an MQTT packet (MQTT 5 section 1.5.4)."""

NOT_IN_HOSTS = {*map(chr, range(0x21)), *"/:@[]?#\x7f"}
"""Characters that no name of a machine has; an address may have colons."""


class MqttConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker, and how to speak to it.

    Attributes:
        host: name or address of the broker.
        port: its TCP port; with ``tls`` usually 8883.
        username, password: credentials, if it asks for any. The password is never shown.
        client_id: name of this client at the broker; None means ``alicia-<instance>``, which
            stays the same across restarts, so that a half-open old connection is replaced by the
            new one instead of outliving it.
        keepalive: seconds; a broker that fell silent is noticed within 1.5 times this.
        prefix: the topic that this host publishes below, without a slash at the end.
        protocol: version of MQTT; ``auto`` tries 5 and falls back to 3.1.1.
        connect_timeout: seconds until an attempt to connect is given up.
        tls: encrypt the connection, and check the broker's name against its certificate.
        ca_file: PEM file of the authorities to trust; None means the system's.
        cert_file, key_file: PEM files of this client's own certificate and its key.
        session_expiry: seconds that the broker keeps what comes in for us while the connection is
            lost (MQTT 5).
        will_delay: seconds that the broker waits for our return before it says ``offline``
            (MQTT 5).
        outbox_limit: most messages that wait for the broker.
        outbox_bytes: most bytes of them.

    Raises:
        ConfigError: a value that can never work.
    """

    host: str = "localhost"
    port: int = 1883
    username: str | None = None
    password: str | None = None
    client_id: str | None = None
    keepalive: int = 30
    prefix: str = "alicia/scheduler"
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    connect_timeout: float = 10.0
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    session_expiry: int = 300
    will_delay: int = 10
    outbox_limit: int = 10_000
    outbox_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_host()
        self._check_texts()
        if self.client_id == "":
            raise ConfigError(
                "client_id is empty", path=("client_id",), hint="leave it out for a stable one"
            )
        if problem := check_topic(self.prefix):
            raise ConfigError(f"prefix {problem}", path=("prefix",))
        if self.prefix.startswith("/") or self.prefix.endswith("/"):
            raise ConfigError(
                f"prefix {self.prefix!r} begins or ends with a slash",
                path=("prefix",),
                hint=f"write {self.prefix.strip('/')!r}",
            )
        if self.password is not None and self.username is None:
            raise ConfigError(
                "password without username",
                path=("password",),
                hint="MQTT 3.1.1 allows no password alone; set username too",
            )
        self._check_tls()

    def _check_numbers(self) -> None:
        if not 1 <= self.port <= 65535:
            raise ConfigError(f"port {self.port} is not within 1 to 65535", path=("port",))
        if not 1 <= self.keepalive <= 65535:
            raise ConfigError(
                f"keepalive {self.keepalive} is not within 1 to 65535 seconds",
                path=("keepalive",),
            )
        if not 0 < self.connect_timeout <= 300:
            raise ConfigError(
                f"connect_timeout {self.connect_timeout} is not within 0 to 300 seconds",
                path=("connect_timeout",),
            )
        for name, least, most in (
            ("session_expiry", 0, 86_400),
            ("will_delay", 0, 86_400),
            ("outbox_limit", 1, 1_000_000),
            ("outbox_bytes", 1024, 2**30),
        ):
            if not least <= getattr(self, name) <= most:
                raise ConfigError(
                    f"{name} {getattr(self, name)} is not within {least} to {most}", path=(name,)
                )
        if self.will_delay > self.session_expiry:
            raise ConfigError(
                f"will_delay {self.will_delay} is longer than session_expiry "
                f"{self.session_expiry}: the will is said when the session ends",
                path=("will_delay",),
                hint="make session_expiry as long at least",
            )

    def _check_host(self) -> None:
        if not self.host:
            raise ConfigError("host is empty", path=("host",), hint='e.g. host = "localhost"')
        name = self.host.partition("://")[2] or self.host
        bare = name.strip("[]/ ")
        if _is_address(self.host) or (bare == self.host and not set(bare) & NOT_IN_HOSTS):
            return
        hint = 'e.g. host = "localhost"'
        if "://" in self.host:
            hint = "write the name alone; what the URL says more has options: port, tls, username"
        elif _is_address(bare):
            hint = f'write host = "{bare}"'
        elif bare.count(":") == 1 and bare.partition(":")[2].isdecimal():
            hint = f'write host = "{bare.partition(":")[0]}", port = {bare.partition(":")[2]}'
        raise ConfigError(
            f"host {self.host[:100]!r} is no name and no address", path=("host",), hint=hint
        )

    def _check_texts(self) -> None:
        """What goes into the first packet; the password is not to be quoted."""
        for name in ("username", "password", "client_id"):
            text = getattr(self, name) or ""
            try:
                long = len(text.encode()) > LONGEST_TEXT
            except UnicodeEncodeError:
                long = True
            if long or any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
                raise ConfigError(
                    f"{name} holds what MQTT cannot carry",
                    path=(name,),
                    hint=f"at most {LONGEST_TEXT} bytes of text without control characters",
                )

    def _check_tls(self) -> None:
        for name in ("ca_file", "cert_file", "key_file"):
            file = getattr(self, name)
            if file is not None and not self.tls:
                raise ConfigError(
                    f"{name} has no meaning without tls", path=(name,), hint="set tls = true"
                )
            if file is not None and ("\0" in file or not Path(file).is_file()):
                raise ConfigError(
                    f"there is no file {file!r}", path=(name,), hint="the path of a PEM file"
                )
        if self.key_file is not None and self.cert_file is None:
            raise ConfigError(
                "key_file without cert_file", path=("key_file",), hint="set cert_file too"
            )

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """The fields as they may be shown; msgspec's own would tell the password."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        if self.password is not None:
            shown["password"] = "***"  # noqa: S105  # this is what hides one
        return list(shown.items())

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={shown!r}" for name, shown in self.__rich_repr__())
        return f"MqttConfig({fields})"

    @property
    def address(self) -> str:
        """The broker for people: ``host:port``."""
        return f"{self.host}:{self.port}"

    @property
    def availability_topic(self) -> str:
        """Where ``online`` and ``offline`` are kept, retained."""
        return f"{self.prefix}/availability"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
