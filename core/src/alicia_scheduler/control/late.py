"""What a host may not be able to do: asked for by name, and refused in words where it is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.host.host import Host

__all__ = ["of_host"]


def of_host(host: Host, name: str) -> Callable[..., Awaitable[Any]]:
    """A function of the host.

    Raises:
        CommandError: this host does not have it.
    """
    function: Callable[..., Awaitable[Any]] | None = getattr(host, name, None)
    if function is None:
        raise CommandError("not_supported", f"this host cannot {name.replace('_', ' ')}")
    return function
