"""What the configuration says to the kernel: the same for a running host and for a rehearsal."""

from __future__ import annotations

from collections.abc import Mapping

from alicia_scheduler.config.settings import Settings
from alicia_scheduler.kernel.kernel import KernelSettings

__all__ = ["kernel_settings"]


def kernel_settings(settings: Settings, limits: Mapping[str, int]) -> KernelSettings:
    """The kernel's part of ``[scheduler]``, and the capacities of ``[limits]``."""
    return KernelSettings(
        max_concurrent=settings.max_concurrent,
        max_waiting=settings.max_waiting,
        limits=limits,
        min_interval=settings.min_interval,
        drain_timeout=settings.drain_timeout,
        wait_for_clock=settings.wait_for_clock,
    )
