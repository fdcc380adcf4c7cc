"""Which hosts may be asked: by the name that a URL has, and by the address that it leads to."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from alicia_action_http.addresses import Address, canonical, forms, parse_address
from alicia_scheduler.api import ConfigError

__all__ = ["HostList", "Lists", "Policy", "ascii_name", "check_entries"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PATTERN = re.compile(r"[a-z0-9_.*?!\[\]-]+")
PARTLY_NUMBERS = re.compile(r"(?=.*[0-9])[0-9.*?]+")

METADATA_NAMES = frozenset(
    {
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.azure.internal",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.tencentyun.com",
    }
)
"""Names under which machines in a cloud reach the service that hands out their credentials."""

METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"),
    )
)
"""Addresses of such services that are not link-local."""


class HostList(NamedTuple):
    """Entries of ``allow_hosts`` or ``deny_hosts``: patterns of names, and ranges of addresses."""

    patterns: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    def names(self, name: str) -> bool:
        """True when one of the patterns fits a name."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.patterns)

    def holds(self, address: Address) -> bool:
        """True when an address is in one of the ranges."""
        return any(address in network for network in self.networks)

    def __bool__(self) -> bool:
        return bool(self.patterns or self.networks)


class Lists(NamedTuple):
    """What may be asked, as one place says it.

    Attributes:
        owner: who says so, for messages.
    """

    owner: str
    allow: HostList
    deny: HostList

    @classmethod
    def of(cls, owner: str, allow: tuple[str, ...], deny: tuple[str, ...]) -> Lists:
        """The lists as they are written; they were checked before."""
        return cls(owner, _parsed(allow), _parsed(deny))

    def refuses_name(self, name: str) -> str | None:
        """Why no address of ``name`` may be asked, or None when its addresses decide."""
        if self.deny.names(name):
            return f"{name} is denied by {self.owner} deny_hosts"
        if self.allow and not self.allow.networks and not self.allow.names(name):
            return f"{name} is not among {self.owner} allow_hosts"
        return None

    def refuses_address(self, name: str, address: Address) -> str | None:
        """Why an address of ``name`` may not be asked, or None."""
        if any(self.deny.holds(form) for form in forms(address)):
            return f"{_lead(name, address)} is denied by {self.owner} deny_hosts"
        if self.allow and not (self.allow.names(name) or self.allow.holds(canonical(address))):
            return f"{_lead(name, address)} is not among {self.owner} allow_hosts"
        return None


class Policy(NamedTuple):
    """What may be asked, as the host and the event together have it: each list must agree.

    Attributes:
        allow_link_local: whether link-local addresses and metadata services may be asked.
    """

    lists: tuple[Lists, ...] = ()
    allow_link_local: bool = False

    def refuses(self, host: str) -> str | None:
        """Why the host of a URL may not be asked, as far as the name says it; or None."""
        name = ascii_name(host)
        if not self.allow_link_local and name in METADATA_NAMES:
            return f"{name} is a metadata service, which this host does not ask"
        for lists in self.lists:
            if refused := lists.refuses_name(name):
                return refused
        address = parse_address(name)
        return None if address is None else self.refuses_address(name, address)

    def refuses_address(self, host: str, address: Address) -> str | None:
        """Why an address that the name leads to may not be connected to; or None."""
        found = forms(address)
        if any(form.is_unspecified or form.is_multicast for form in found) or BROADCAST in found:
            return f"{_lead(host, address)} is no address of a host"
        if not self.allow_link_local and any(
            form.is_link_local or form in METADATA for form in found
        ):
            return f"{_lead(host, address)} is a link-local address or metadata service"
        for lists in self.lists:
            if refused := lists.refuses_address(ascii_name(host), address):
                return refused
        return None


def _lead(host: str, address: Address) -> str:
    return host if parse_address(host) == address else f"{host} leads to {address}, which"


BROADCAST = ipaddress.ip_address("255.255.255.255")


def check_entries(entries: Iterable[str], key: str) -> None:
    """Refuse what is neither a pattern nor a range of addresses.

    Raises:
        ConfigError: with the place below ``key``.
    """
    for index, entry in enumerate(entries):
        _entry(entry, (key, index))


@lru_cache(maxsize=256)
def _parsed(entries: tuple[str, ...]) -> HostList:
    parsed = [_entry(entry) for entry in entries]
    return HostList(
        tuple(entry for entry in parsed if isinstance(entry, str)),
        tuple(entry for entry in parsed if not isinstance(entry, str)),
    )


def _entry(entry: str, path: tuple[str | int, ...] = ()) -> str | Network:
    text = entry.lower().rstrip(".")
    if "/" in text or ":" in text or parse_address(text) is not None:
        try:
            return ipaddress.ip_network(text)
        except ValueError as error:
            raise ConfigError(
                f"{entry!r} is no range of addresses: {error}", path=path, hint=_range_hint(text)
            ) from None
    if PARTLY_NUMBERS.fullmatch(text) and text.strip("*?."):
        raise ConfigError(
            f"{entry!r} is a pattern of addresses, but patterns are for names",
            path=path,
            hint="write a range: 192.168.1.0/24",
        )
    try:
        pattern = ascii_name(text)
    except ValueError:
        pattern = ""
    if PATTERN.fullmatch(pattern) is None:
        raise ConfigError(
            f"{entry!r} is no pattern of host names",
            path=path,
            hint="*.example.org, or a range as 10.0.0.0/8; without scheme, port and path",
        )
    return pattern


def _range_hint(text: str) -> str:
    try:
        return f"did you mean {ipaddress.ip_network(text, strict=False)}?"
    except ValueError:
        return "10.0.0.0/8, fd00::/8, or one address; without scheme and port"


def ascii_name(host: str) -> str:
    """A host's name as it is looked up: lower case, no dot at the end, labels in ASCII (RFC 5891).

    Raises:
        ValueError: no host can have this name.
    """
    name = host.lower().removesuffix(".")
    if name.isascii() and "xn--" not in name:
        return name
    import idna

    labels = [
        label if label.isascii() else idna.encode(label).decode("ascii")
        for label in name.split(".")
    ]
    for label in labels:
        if label.startswith("xn--"):
            idna.decode(label)
    return ".".join(labels)
