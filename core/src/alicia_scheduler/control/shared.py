"""What the sessions of all doors share."""

from __future__ import annotations

from dataclasses import dataclass

from alicia_scheduler.api.control import Commands
from alicia_scheduler.config.control import ControlSettings
from alicia_scheduler.control.replay import ReplayLog

__all__ = ["Surroundings"]


@dataclass(frozen=True)
class Surroundings:
    """What the sessions of all doors share.

    Attributes:
        commands: who carries commands out.
        log: the notifications.
        settings: the limits.
    """

    commands: Commands
    log: ReplayLog
    settings: ControlSettings
