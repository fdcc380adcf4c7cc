"""Which names a machine may be called by: against web pages that call it by theirs."""

from __future__ import annotations

import socket
from collections.abc import Collection
from ipaddress import ip_address

__all__ = ["allowed_host"]


def allowed_host(header: str, listed: Collection[str]) -> bool:
    """True when a ``Host`` header names this machine.

    A page can make its own name resolve to any address (DNS rebinding), and then its origin
    is this machine's in the eyes of the browser. It cannot do so with an address, nor with a name
    that is not its own: ``localhost`` and the machine's.

    Args:
        header: name or address, with or without a port.
        listed: further names, in lower case.
    """
    name = header.lower()
    if name.startswith("["):
        name, bracket, port = name[1:].partition("]")
        if not bracket or (port and not _port(port)):
            return False
        return _address(name)
    name, colon, port = name.partition(":")
    if colon and not _port(f":{port}"):
        return False
    name = name.rstrip(".")
    own = socket.gethostname().lower()
    return _address(name) or name in {"localhost", own, f"{own.split('.')[0]}.local", *listed}


def _address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and text[1:].isdecimal()
