"""What ``[services.home_assistant]`` may say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from alicia_scheduler.api import ConfigError

__all__ = ["HomeAssistantConfig"]

DOOR = "/api/websocket"
"""Path of the WebSocket API below the address of Home Assistant."""

SCHEMES = {"http": 80, "ws": 80, "https": 443, "wss": 443}
SECURE = ("https", "wss")


class HomeAssistantConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Home Assistant is, and how to get in.

    Attributes:
        url: its address, as ``http://homeassistant.local:8123``. A path that ends in
            ``/websocket`` is taken as it is; any other is continued by ``/api/websocket``.
        token: a long-lived access token. It is never shown.
        connect_timeout: seconds until an attempt to connect and get in is given up.
        keepalive: seconds between two pings; one that is not answered within 10 ends the
            connection.
        verify: whether the certificate is checked, with ``https`` and ``wss``.
        ca_file: PEM file of the authorities to trust; None means the system's.

    Raises:
        ConfigError: a value that can never work.
    """

    url: str
    token: str
    connect_timeout: Annotated[float, Meta(gt=0, le=300)] = 10.0
    keepalive: Annotated[float, Meta(ge=5, le=3600)] = 30.0
    verify: bool = True
    ca_file: str | None = None

    def __post_init__(self) -> None:
        self._check_url()
        if not self.token or not self.token.isascii() or any(c.isspace() for c in self.token):
            # Never quote it.
            raise ConfigError(
                "the token is none",
                path=("token",),
                hint="a long-lived access token, from your profile page in Home Assistant",
            )
        if not self.secure and (self.ca_file is not None or not self.verify):
            key = "ca_file" if self.ca_file is not None else "verify"
            raise ConfigError("has no meaning without TLS", path=(key,), hint="https:// or wss://")
        if self.ca_file is not None and not self.verify:
            raise ConfigError(
                "has no meaning where nothing is checked", path=("ca_file",), hint="verify = true"
            )
        if self.ca_file is not None and not Path(self.ca_file).is_file():
            raise ConfigError(f"there is no file {self.ca_file!r}", path=("ca_file",))

    def _check_url(self) -> None:
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"no URL: {error}", path=("url",)) from None
        if parts.scheme not in SCHEMES:
            raise ConfigError(
                f"the scheme {parts.scheme!r} is none of Home Assistant's",
                path=("url",),
                hint="http://homeassistant.local:8123",
            )
        if not parts.hostname or port == 0 or any(c.isspace() or c < "!" for c in self.url):
            raise ConfigError("the URL names no host", path=("url",))
        if parts.username is not None or parts.query or parts.fragment:
            raise ConfigError(
                "the URL has more than a host, a port and a path",
                path=("url",),
                hint="what lets us in is token",
            )

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return urlsplit(self.url).scheme in SECURE

    @property
    def host(self) -> str:
        """Name or address of the machine."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Its TCP port."""
        parts = urlsplit(self.url)
        return parts.port or SCHEMES[parts.scheme]

    @property
    def resource(self) -> str:
        """Path of the WebSocket API."""
        path = urlsplit(self.url).path.rstrip("/")
        return path if path.endswith("/websocket") else f"{path}{DOOR}"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """The fields as they may be shown; msgspec's own would tell the token."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        shown["token"] = "***"  # noqa: S105  # this is what hides one
        return list(shown.items())

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={shown!r}" for name, shown in self.__rich_repr__())
        return f"HomeAssistantConfig({fields})"
