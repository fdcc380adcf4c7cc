"""Alicia Scheduler wakes machines on the local network."""

from __future__ import annotations

from collections.abc import Iterator

from alicia_scheduler.api import ActionType, hookimpl

from alicia_wake_on_lan.action import WakeOptions, open_waker


@hookimpl
def alicia_action_types() -> Iterator[ActionType]:
    """Offer what events can do."""
    yield ActionType(
        name="wol.wake",
        config=WakeOptions,
        open=open_waker,
        default_timeout=120.0,
        summary="wakes a machine by a magic packet, and can wait until it is up",
    )
