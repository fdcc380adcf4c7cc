"""The host as a library in a trio program: ``async with alicia_scheduler.Host(config)``."""

from __future__ import annotations

from alicia_scheduler.embedding.host import Host, HostClosed
from alicia_scheduler.embedding.streams import Stream

__all__ = ["Host", "HostClosed", "Stream"]
