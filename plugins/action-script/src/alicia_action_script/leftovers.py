"""What a run left behind when the launcher, which else sees to it, was lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["end_marked"]

TICK = 0.02
"""Seconds between two looks."""


def end_marked(mark: str, within: float) -> bool:
    """Kill every process that bears a mark in its environment, again and again until none is left.

    A launcher that is killed takes the programs along, but not what they had started. Without
    ``/proc`` nothing is found. Blocks: to be called in a thread.

    Args:
        mark: ``NAME=value``, as the launcher was given it.
        within: seconds after which what still lives cannot be killed.

    Returns:
        whether none is left.
    """
    until = time.monotonic() + within
    while True:
        found = False
        for pid in _bearers(mark.encode()):
            found = True
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not found or time.monotonic() >= until:
            return not found
        time.sleep(TICK)


def _bearers(mark: bytes) -> Iterator[int]:
    """The processes with the mark; a zombie has no environment any more."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environ = (process / "environ").read_bytes()
        except OSError:  # it ended, or is another user's
            continue
        if mark in environ.split(b"\0"):
            yield int(process.name)
