"""Virtual time for tests: :class:`VirtualClock`, which the kernel keeps for simulations as well."""

from __future__ import annotations

from alicia_scheduler.kernel.virtual import START, VirtualClock

__all__ = ["START", "VirtualClock"]
