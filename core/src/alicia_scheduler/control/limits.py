"""What one connection, one peer and all of them together may take from the host."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address

import trio

__all__ = ["Bucket", "Doorkeeper", "peer_of"]

UNKNOWN_PER_PEER = 8
"""Connections of one peer that have not authenticated yet."""

REFUSED_PER_PEER = 8
"""Connections of one peer whose refusal is held back; a further one is closed without a word."""

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
"""Seconds that the answer to a wrong token is held back: doubled from the first to the longest."""

FORGET_AFTER = 900.0
"""Seconds after which a peer's failures are forgotten."""

FAILING_PEERS = 1024
"""Peers whose failures are remembered; beyond it, those that failed longest ago are forgotten."""


class Bucket:
    """A token bucket: on average ``rate`` a second, up to ``burst`` at once.

    Args:
        rate: a second.
        burst: how many may be taken at once after a pause.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = trio.current_time()

    async def take(self, count: float = 1) -> None:
        """Take ``count`` out; waits until they are there."""
        now = trio.current_time()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - count
        self._at = now
        if self._left < 0:
            await trio.sleep(-self._left / self._rate)


class Doorkeeper:
    """Counts who is at a door, and holds up who guesses tokens.

    Args:
        limit: connections that may be open at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = 0
        self._unknown: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def full_for(self, peer: str) -> str | None:
        """Why another connection of ``peer`` is one too many, or None."""
        if self._open >= self._limit:
            return f"{self._limit} connections are open"
        if self._unknown[peer] >= UNKNOWN_PER_PEER:
            return f"{UNKNOWN_PER_PEER} connections of {peer} have not authenticated"
        return None

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Count a connection while the block runs."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    @contextmanager
    def unknown(self, peer: str) -> Iterator[None]:
        """Count a connection of ``peer`` as one that has not authenticated yet."""
        with _counted(self._unknown, peer):
            yield

    @contextmanager
    def refusal(self, peer: str) -> Iterator[bool]:
        """Count a connection of ``peer`` as one that was refused; False when there are too many
        already to hold this answer back. They do not count as unknown: who guesses does not keep
        others at the same address out."""
        with _counted(self._refused, peer):
            yield self._refused[peer] <= REFUSED_PER_PEER

    def failed(self, peer: str) -> tuple[int, float]:
        """Note a wrong token of ``peer``.

        Returns:
            how many it were so far, and how many seconds to hold the answer back.
        """
        now = trio.current_time()
        count, last = self._failures.pop(peer, (0, now))
        if now - last > FORGET_AFTER:
            count = 0
        self._failures[peer] = (count + 1, now)
        while len(self._failures) > FAILING_PEERS:
            self._failures.popitem(last=False)
        return count + 1, min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(count, 20))


@contextmanager
def _counted(counter: Counter[str], peer: str) -> Iterator[None]:
    counter[peer] += 1
    try:
        yield
    finally:
        counter[peer] -= 1
        if not counter[peer]:
            del counter[peer]


def peer_of(address: str) -> str:
    """Who an IP address stands for: itself, or the network of 64 bits that it is in, of which one
    machine has every address."""
    parsed = ip_address(address.partition("%")[0])
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    network = int(parsed) >> 64 << 64
    return f"{IPv6Address(network)}/64"
