"""Which state directory a command looks into that speaks to no host, or only to one on this
machine; and the note in its audit log of what is done there without a host."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from alicia_scheduler.cli.door import DOOR_OPTIONS, Door
from alicia_scheduler.cli.output import complain

__all__ = ["audit", "directory", "state_options", "told_host"]

F = TypeVar("F", bound=Callable[..., Any])


def state_options(command: F) -> F:
    """Give a command ``--config`` and ``--state-dir``, the two ways to say where the state is."""
    for option in reversed(DOOR_OPTIONS[:2]):
        command = option(command)
    return command


def directory(config: str | None, state_dir: str | None) -> Path:
    """The state directory that the two options mean; exits 1 when the configuration is wrong."""
    return Door(config, state_dir).folder


def told_host(config: str | None, state_dir: str | None, command: str, **arguments: Any) -> Any:
    """What the running host answers to a command; exits 3 when none runs, 1 when it refuses."""
    return Door(config, state_dir).ask(command, **arguments)


def audit(folder: Path, command: str, outcome: str = "ok", **arguments: Any) -> None:
    """Write to the audit log of a state directory what was done there without its host.

    Args:
        outcome: ``ok`` or ``refused``.
    """
    from alicia_scheduler.api.control import Caller, Permission
    from alicia_scheduler.host.audit import note_at_once

    caller = Caller(door="cli", name=f"uid {os.getuid()}", permission=Permission.ADMIN)
    try:
        note_at_once(folder, caller, command, arguments, outcome)
    except OSError as error:
        complain(f"the audit log cannot be written: {error}")
