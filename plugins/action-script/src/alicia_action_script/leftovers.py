"""What a run left behind when the launcher, which else sees to it, was lost."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from alicia_action_script.launcher import bearers

__all__ = ["end_marked"]

TICK = 0.02
"""Seconds between two looks."""


def end_marked(mark: str, within: float) -> bool:
    """Kill every process that bears a mark in its environment, again and again until none is left.

    A launcher that is killed takes the programs along, but not what they had started. Without
    ``/proc`` nothing is found. Blocks: to be called in a thread.

    Args:
        mark: ``NAME=value``, as the launcher was given it.
        within: seconds after which what still lives cannot be killed; more when the machine is
            so slow that there were only a few looks in that time.

    Returns:
        whether none is left.
    """
    for _ in range(round(within / TICK)):
        found, sure = bearers(mark.encode(), _processes)
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if sure:
            return True
        time.sleep(TICK)
    return False


def _processes() -> list[int]:
    return [int(process.name) for process in Path("/proc").glob("[0-9]*")]
