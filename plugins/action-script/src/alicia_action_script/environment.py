"""The environment of a program: an allow-list, and what the host says about the run."""

from __future__ import annotations

from collections.abc import Mapping

from alicia_action_script.config import ScriptConfig
from alicia_scheduler.api import EventExecution, to_epoch

__all__ = ["MARK", "environment", "kept_names"]

PASSED = ("PATH", "LANG", "TZ", "HOME")
"""Variables of the host that every program gets, if the host has them (reliability.md S21)."""

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"

MARK = "ALICIA_RUN"
"""Unique to each start. What runs with it belongs to the run, wherever it has gone."""


def environment(
    config: ScriptConfig, execution: EventExecution, host: Mapping[str, str], run: str
) -> dict[str, str]:
    """The whole environment.

    Args:
        host: the host's own environment.
        run: the value of :data:`MARK`.
    """
    env = {"PATH": DEFAULT_PATH}
    env |= {name: host[name] for name in (*PASSED, *config.pass_env) if name in host}
    env |= config.env
    env |= {
        "ALICIA_EVENT_ID": execution.event_id,
        "ALICIA_EXECUTION_ID": execution.execution_id,
        "ALICIA_SLOT": execution.scheduled_time.isoformat().replace("+00:00", "Z"),
        "ALICIA_SLOT_EPOCH": f"{to_epoch(execution.scheduled_time):.6f}",
        "ALICIA_ATTEMPT": str(execution.attempt),
        "ALICIA_TRIGGER": execution.trigger.value,
        "ALICIA_IDEMPOTENCY_KEY": execution.idempotency_key,
        MARK: run,
    }
    return env


def kept_names(config: ScriptConfig) -> list[str]:
    """The variables that the event chose itself, so that another user's HOME does not replace
    them."""
    return [*config.env, *config.pass_env]
