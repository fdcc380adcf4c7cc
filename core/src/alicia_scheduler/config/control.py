"""``[control]``: how the host may be reached, beyond the Unix socket that is always there."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.convert import convert_all
from alicia_scheduler.config.wording import quote

__all__ = ["Address", "ControlSettings", "ControlTable", "read_control", "tls_context"]

Port = Annotated[int, Meta(ge=1, le=65_535)]
ORIGIN = re.compile(r"https?://[^/?#\s]+")
LOOPBACK = "127.0.0.1"
EXAMPLE = 'write 8123, "127.0.0.1:8123" or "[::1]:8123"; "0.0.0.0:8123" is every interface'


class ControlTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[control]``.

    Attributes:
        listen: where the TCP door listens: a port, which is on this machine alone, an address with
            a port, or several. Without it there is no TCP door.
        certificate: certificate chain in PEM, relative to the configuration file's folder; with it
            the TCP door speaks TLS only.
        key: its private key, without a passphrase; by default in the same file.
        insecure: lets the door listen beyond this machine without TLS. Whoever is on the network
            can then read along, tokens included.
        origins: web pages that browsers may connect from, as ``https://home.example``. Programs
            that are no browser are not concerned.
        hosts: names that this machine is called by in URLs, besides its addresses, its host
            name and ``localhost``.
        replay: so many notifications are kept in memory for those who subscribe later.
        rate: messages a second that one connection may send, in the long run; faster ones wait.
        max_message: bytes of the largest message that is taken.
        max_connections: connections that may be open at once through the TCP door.
        max_subscriptions: subscriptions that one connection may have.
    """

    listen: Port | str | tuple[Port | str, ...] = ()
    certificate: str | None = None
    key: str | None = None
    insecure: bool = False
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    replay: Annotated[int, Meta(ge=0, le=100_000)] = 2000
    rate: Annotated[float, Meta(ge=1, le=1_000_000)] = 100.0
    max_message: Annotated[int, Meta(ge=4096, le=64 * 1024 * 1024)] = 1024 * 1024
    max_connections: Annotated[int, Meta(ge=1, le=10_000)] = 64
    max_subscriptions: Annotated[int, Meta(ge=1, le=1000)] = 32


@dataclass(frozen=True)
class Address:
    """Where to listen: an IP address, or ``localhost``, and a port."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """True when only this machine can reach it."""
        return self.host == "localhost" or ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class ControlSettings:
    """``[control]`` as the doors need it; see :class:`ControlTable`."""

    addresses: tuple[Address, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    origins: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    replay: int = 2000
    rate: float = 100.0
    max_message: int = 1024 * 1024
    max_connections: int = 64
    max_subscriptions: int = 32


def read_control(raw: object, folder: Path, issues: list[ConfigError]) -> ControlSettings:
    """The settings of the doors; mistakes are added to ``issues``.

    Args:
        folder: where relative paths begin.
    """
    before = len(issues)
    table = convert_all(raw, ControlTable, issues, path=("control",))
    if table is None:
        return ControlSettings()
    addresses = _addresses(table.listen, issues)
    for number, origin in enumerate(table.origins):
        if ORIGIN.fullmatch(origin) is None:
            hint = "write scheme and host as the browser does: https://home.example:8443"
            place = ("control", "origins", number)
            issues.append(ConfigError(f"{quote(origin)} is no origin", path=place, hint=hint))
    certificate, key = _files(table, folder, issues)
    open_ones = [address for address in addresses if not address.loopback]
    if open_ones and certificate is None and not table.insecure and len(issues) == before:
        message = f"{open_ones[0]} can be reached from the network, where others can read along"
        hint = "give certificate and key for TLS, listen on 127.0.0.1, or write insecure = true"
        issues.append(ConfigError(message, path=("control", "listen"), hint=hint))
    if len(issues) > before:
        return ControlSettings()
    return ControlSettings(
        addresses=tuple(dict.fromkeys(addresses)),
        certificate=certificate,
        key=key,
        origins=frozenset(origin.lower() for origin in table.origins),
        hosts=frozenset(host.lower() for host in table.hosts),
        replay=table.replay,
        rate=table.rate,
        max_message=table.max_message,
        max_connections=table.max_connections,
        max_subscriptions=table.max_subscriptions,
    )


def tls_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """What the TCP door encrypts with.

    Raises:
        ConfigError: one of the files cannot be read, or they do not belong together; its path is
            ``certificate`` or ``key``.
    """
    for name, file in (("certificate", certificate), ("key", key)):
        if file is None:
            continue
        try:
            file.read_bytes()
        except OSError as error:
            problem = error.strerror or str(error)
            hint = "check the path and its rights; the user who runs alicia must read it"
            raise ConfigError(
                f"{file} cannot be read: {problem}", path=(name,), hint=hint
            ) from error
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except _EncryptedError:
        message, place = f"the key in {key or certificate} has a passphrase", "key"
        hint = "store it without one, with rights for the user who runs alicia alone"
        raise ConfigError(message, path=(place,), hint=hint) from None
    except ssl.SSLError as error:
        message = f"certificate and key cannot be used: {error.reason or error}"
        hint = "both are PEM files, and the key is the certificate's own"
        raise ConfigError(message, path=("certificate",), hint=hint) from error
    return context


class _EncryptedError(ValueError):
    """OpenSSL asked for a passphrase."""


def _no_passphrase() -> NoReturn:
    # Without it, OpenSSL would ask on the terminal.
    raise _EncryptedError


def _addresses(listen: Any, issues: list[ConfigError]) -> list[Address]:
    several = isinstance(listen, tuple)
    addresses: list[Address] = []
    for number, item in enumerate(listen if several else (listen,)):
        place: tuple[str | int, ...] = ("control", "listen", number)
        try:
            addresses.append(_address(item))
        except ValueError:
            message = f"{quote(str(item))} is no address to listen on"
            path = place if several else place[:-1]
            issues.append(ConfigError(message, path=path, hint=EXAMPLE))
    return addresses


def _address(item: int | str) -> Address:
    if isinstance(item, int) or item.isdecimal():
        host, port = LOOPBACK, int(item)
    else:
        host, _, digits = item.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if not (digits.isascii() and digits.isdecimal()) or (":" in host) != bracketed:
            raise ValueError(item)
        host, port = host.strip("[]").lower(), int(digits)
    if host != "localhost":
        host = str(ip_address(host))
    if not 0 < port < 65_536:
        raise ValueError(item)
    return Address(host, port)


def _files(
    table: ControlTable, folder: Path, issues: list[ConfigError]
) -> tuple[Path | None, Path | None]:
    certificate = folder / table.certificate if table.certificate is not None else None
    key = folder / table.key if table.key is not None else None
    if certificate is None:
        if key is not None:
            hint = "give certificate, the file with the certificate chain"
            issues.append(
                ConfigError("a key needs its certificate", path=("control", "key"), hint=hint)
            )
        return None, None
    try:
        tls_context(certificate, key)
    except (ConfigError, ValueError) as error:
        known = error if isinstance(error, ConfigError) else ConfigError(str(error))
        issues.append(known.under("control"))
    return certificate, key
