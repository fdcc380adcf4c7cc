"""The commands of a host: one table, the same behind every door."""

from __future__ import annotations

from alicia_scheduler.control.command import Command
from alicia_scheduler.control.event_definitions import EVENT_DEFINITIONS
from alicia_scheduler.control.event_steering import EVENT_STEERING
from alicia_scheduler.control.executions import EXECUTIONS
from alicia_scheduler.control.foresight_commands import FORESIGHT
from alicia_scheduler.control.insight import INSIGHT
from alicia_scheduler.control.plugin_commands import PLUGINS
from alicia_scheduler.control.scheduler_commands import SCHEDULER

__all__ = ["COMMANDS"]

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        *EVENT_DEFINITIONS,
        *EVENT_STEERING,
        *EXECUTIONS,
        *FORESIGHT,
        *INSIGHT,
        *PLUGINS,
        *SCHEDULER,
    )
}
