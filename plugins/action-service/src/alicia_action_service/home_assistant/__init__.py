"""A connection to Home Assistant over its WebSocket API."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["HomeAssistant"]


class HomeAssistant(Protocol):
    """One supervised connection to Home Assistant: it reconnects by itself, with back-off."""

    @property
    def connected(self) -> bool:
        """True while Home Assistant takes commands."""
        ...

    async def command(self, message: dict[str, Any], *, until: float) -> dict[str, Any]:
        """Send a command, once, and return the whole answer to it: a ``result``, of success or
        not, or a ``pong``.

        Args:
            message: the command without its ``id``.
            until: the instant on trio's clock until which the answer is waited for.

        Raises:
            Retryable: it was not sent; of the class ``connection``.
            Permanent: it may have been sent and nobody knows what became of it
                (``unknown_outcome``), or the token is refused (``auth_invalid``).
        """
        ...
