"""What the tests of the broker share."""

from __future__ import annotations

from alicia_scheduler.testing.mosquitto import mosquitto

__all__ = ["mosquitto"]
