"""IP addresses, and the other addresses that are written into some of them."""

from __future__ import annotations

import ipaddress

__all__ = ["Address", "canonical", "forms", "parse_address"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LOW_BITS = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "::/96",  # IPv4-compatible (RFC 4291 section 2.5.5.1)
            "::ffff:0:0/96",  # IPv4-mapped (RFC 4291 section 2.5.5.2)
            "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
            "64:ff9b::/96",  # NAT64 (RFC 6052)
            "64:ff9b:1::/48",  # NAT64 of a network's own (RFC 8215)
        ),
    )
)
"""Where the last 32 bits are an IPv4 address."""

LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
ISATAP = (0x00005EFE, 0x02005EFE)
"""Bits 64 to 95 of an address that holds an IPv4 address in its last 32 (RFC 5214)."""


def parse_address(text: str) -> Address | None:
    """The address that a text is, without brackets and zone; None when it is a name."""
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


def canonical(address: Address) -> Address:
    """The address that the operating system connects to."""
    return getattr(address, "ipv4_mapped", None) or address


def forms(address: Address) -> frozenset[Address]:
    """An address, and those that a translator or a tunnel may make of it: who asks
    ``64:ff9b::a9fe:a9fe`` through a NAT64 asks ``169.254.169.254``."""
    if isinstance(address, ipaddress.IPv4Address):
        return frozenset({address})
    bits = int(address)
    low = bits & 0xFFFFFFFF
    inner: set[Address] = {address}
    if bits > 1 and any(address in network for network in LOW_BITS):
        # :: and ::1 are what they are.
        inner.add(ipaddress.IPv4Address(low))
    if bits >> 32 & 0xFFFFFFFF in ISATAP:
        inner.add(ipaddress.IPv4Address(low))
    if address in LOCAL_NAT64:
        # RFC 6052 section 2.2: with a prefix of 48 or 64 bits, around the byte from bit 64.
        inner.add(ipaddress.IPv4Address((bits >> 64 & 0xFFFF) << 16 | bits >> 40 & 0xFFFF))
        inner.add(ipaddress.IPv4Address(bits >> 24 & 0xFFFFFFFF))
    if address.sixtofour is not None:
        inner.add(address.sixtofour)
    if address.teredo is not None:
        inner.update(address.teredo)
    return frozenset(inner)
