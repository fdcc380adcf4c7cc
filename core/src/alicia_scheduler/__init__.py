"""Alicia Scheduler: decides *when*; installed plugins decide *what*.

``Host``, ``preview`` and the errors are loaded on first use, so that importing this package costs
nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alicia_scheduler.api.errors import ConfigError
    from alicia_scheduler.embedding.host import Host, HostClosed
    from alicia_scheduler.host.preview import preview

__all__ = ["ConfigError", "Host", "HostClosed", "preview"]

_HOME = {
    "ConfigError": "alicia_scheduler.api.errors",
    "Host": "alicia_scheduler.embedding.host",
    "HostClosed": "alicia_scheduler.embedding.host",
    "preview": "alicia_scheduler.host.preview",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)
