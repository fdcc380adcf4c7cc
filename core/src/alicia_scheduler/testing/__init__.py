"""The kit for tests of plugins and of the scheduler itself.

Install it with ``pip install 'alicia-scheduler[testing]'``; pytest then finds its fixtures by
itself (:mod:`alicia_scheduler.testing.plugin`). Each name is imported on first use, so what a test
does not use costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alicia_scheduler.testing.broker import FakeBroker
    from alicia_scheduler.testing.clock import START, VirtualClock
    from alicia_scheduler.testing.context import TestContext
    from alicia_scheduler.testing.contracts import (
        ActionContract,
        ScheduleContract,
        ServiceContract,
        SinkContract,
        StoreContract,
    )
    from alicia_scheduler.testing.contracts.sink import make_notification
    from alicia_scheduler.testing.kernel import make_event
    from alicia_scheduler.testing.mosquitto import Mosquitto, Recorder
    from alicia_scheduler.testing.recording import RecorderSink

__all__ = [
    "START",
    "ActionContract",
    "FakeBroker",
    "Mosquitto",
    "Recorder",
    "RecorderSink",
    "ScheduleContract",
    "ServiceContract",
    "SinkContract",
    "StoreContract",
    "TestContext",
    "VirtualClock",
    "make_event",
    "make_notification",
]

_HOME = {
    "START": "clock",
    "ActionContract": "contracts",
    "FakeBroker": "broker",
    "Mosquitto": "mosquitto",
    "Recorder": "mosquitto",
    "RecorderSink": "recording",
    "ScheduleContract": "contracts",
    "ServiceContract": "contracts",
    "SinkContract": "contracts",
    "StoreContract": "contracts",
    "TestContext": "context",
    "VirtualClock": "clock",
    "make_event": "kernel",
    "make_notification": "contracts.sink",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
