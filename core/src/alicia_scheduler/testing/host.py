"""A host in memory, with only the plugins that a test names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

from alicia_scheduler.api import hookimpl
from alicia_scheduler.embedding import Host
from alicia_scheduler.kernel.clock import Clock
from alicia_scheduler.testing.clock import VirtualClock
from alicia_scheduler.testing.recording import RecorderSink

__all__ = ["HostUnderTest", "host_in_memory"]


class HostUnderTest(Host):
    """A host with a sink that keeps everything.

    Attributes:
        recorded: what was notified.
        clock: the host's.
    """

    recorded: RecorderSink
    clock: Clock


@asynccontextmanager
async def host_in_memory(
    config: Mapping[str, Any] | None = None,
    *,
    plugins: Collection[str] = (),
    extra_plugins: Mapping[str, object] | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[HostUnderTest]:
    """A running host, and a sink ``recorder.sink`` that keeps what it notifies.

    Time is virtual: under trio's autojumping clock (the fixture ``autojump_clock`` or
    ``virtual_clock``) a month takes milliseconds. A store in a file is for real time:
    ``Host(…, state_dir=…)``.

    Args:
        config: as for :class:`alicia_scheduler.Host`.
        plugins: the installed plugins to load, by name. None of the others is.
        extra_plugins: plugins that are not installed, by name: modules or objects with hooks.
        clock: a clock to go on with; a new one by default.
    """
    recorded = RecorderSink()
    clock = clock or VirtualClock()
    whole = {**(config or {})}
    whole["sinks"] = {**whole.get("sinks", {}), "recorder.sink": {}}
    host = HostUnderTest(
        whole,
        plugins=plugins,
        extra_plugins={**(extra_plugins or {}), "recorder": _Recorder(recorded)},
        clock=clock,
    )
    host.recorded, host.clock = recorded, clock
    async with host:
        yield host


class _Recorder:
    """The plugin that brings the recorder."""

    __name__ = "recorder"

    def __init__(self, recorded: RecorderSink) -> None:
        self._recorded = recorded

    @hookimpl
    def alicia_sinks(self) -> Any:
        yield self._recorded.sink_type()
