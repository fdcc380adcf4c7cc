"""An event runs a program: action type ``script_execution``."""

from __future__ import annotations

from collections.abc import Iterator

from alicia_action_script.config import (
    Limits,
    ScriptConfig,
    ScriptSettings,
    check_script,
    cleanup_of,
)
from alicia_action_script.run import open_script
from alicia_scheduler.api import ActionType, hookimpl

__all__ = ["Limits", "ScriptConfig", "ScriptSettings"]


@hookimpl
def alicia_action_types() -> Iterator[ActionType]:
    """Offer the action."""
    yield ActionType(
        name="script_execution",
        config=ScriptConfig,
        open=open_script,
        check=check_script,
        cleanup=cleanup_of,
        summary="run a program",
    )


@hookimpl
def alicia_settings() -> Iterator[type]:
    """Let the host's configuration say whether events may use a shell."""
    yield ScriptSettings
