"""Whose code runs: every task that works for a plugin knows which one, and so do its children."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

import trio

from alicia_scheduler.host.record import PluginRecord

__all__ = ["plugin_in", "plugin_of", "working_for"]

_PLUGIN: ContextVar[PluginRecord | None] = ContextVar("alicia_plugin", default=None)


@contextmanager
def working_for(plugin: PluginRecord) -> Iterator[None]:
    """While the block is open, this task works for ``plugin``; so do, as long as they live, the
    tasks that are started in it."""
    before = _PLUGIN.set(plugin)
    try:
        yield
    finally:
        _PLUGIN.reset(before)


def plugin_of(task: trio.lowlevel.Task | None) -> PluginRecord | None:
    """The plugin that a task works for."""
    return None if task is None else task.context.get(_PLUGIN)


def plugin_in(
    frame: FrameType | None, packages: dict[str, PluginRecord]
) -> tuple[PluginRecord, str] | None:
    """The plugin whose code is innermost in a stack, and the line it is at.

    Args:
        packages: the plugins by the outermost package of their code.
    """
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        plugin = packages.get(package)
        if plugin is not None:
            code = frame.f_code
            return plugin, f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"
        frame = frame.f_back
    return None
