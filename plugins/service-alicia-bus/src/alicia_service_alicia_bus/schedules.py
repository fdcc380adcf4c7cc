"""The schedules that clients of the original write, in words of the schedule types here.

There are two vocabularies, that of the original's code and that of its book (§1.7 of the bus's
conventions). The schedule types understand most of both; what is left to do is said below. What
neither vocabulary defines is not guessed.
"""

from __future__ import annotations

from typing import Any

from alicia_scheduler.api import CommandError

__all__ = ["translated"]

FREQUENCIES = ("hourly", "daily", "weekly", "monthly")

KEYS = {
    "once": frozenset({"timestamp", "run_at"}),
    "interval": frozenset({"interval", "type", "value"}),
    "recurring": frozenset(
        {"frequency", "time_of_day", "days_of_week", "days_of_month", "short_month"}
    ),
    "cron": frozenset({"cron", "expression", "seconds"}),
}
"""The original's types, and the keys of both vocabularies and of ours."""


def translated(schedule_type: str, config: Any) -> tuple[dict[str, Any], str | None]:
    """A schedule's configuration as the type here takes it, and the time zone that was in it.

    Raises:
        CommandError: neither vocabulary says what it means.
    """
    if not isinstance(config, dict):
        raise _undefined("schedule_config must be an object", ())
    known = KEYS.get(schedule_type)
    if known is None:  # a type that the original never had: its own class judges it
        return config, None
    config = {key: value for key, value in config.items() if value is not None}
    timezone = config.pop("timezone", None)
    if timezone is not None and not isinstance(timezone, str):
        raise _undefined("a time zone is the name of one", ("timezone",), "e.g. Europe/Berlin")
    for key in config:
        if key not in known:
            names = ", ".join(sorted(known))
            message = f"{key[:100]!r} means nothing in a schedule of the type {schedule_type!r}"
            raise _undefined(message, (key[:100],), f"it knows {names} and timezone")
    return TRANSLATIONS[schedule_type](config), timezone


def _once(config: dict[str, Any]) -> dict[str, Any]:
    if not config:
        raise _undefined(
            "when it is to run is missing", (), "write timestamp in epoch seconds, or in ISO 8601"
        )
    return config


def _interval(config: dict[str, Any]) -> dict[str, Any]:
    """The book says what is left out: 60, and seconds. With nothing at all the two vocabularies
    say different things: an hour and a minute."""
    if not config:
        raise _undefined(
            "how long the interval is, is missing",
            (),
            "write interval in seconds, or type and value",
        )
    if "interval" in config:
        return config
    return {"type": "seconds", "value": 60} | config


def _recurring(config: dict[str, Any]) -> dict[str, Any]:
    """The book leaves out a daily frequency; the code took whatever it did not know for daily."""
    frequency = config.get("frequency", "daily")
    if frequency not in FREQUENCIES:
        raise _undefined(
            f"{str(frequency)[:100]!r} is no frequency",
            ("frequency",),
            f"one of {', '.join(FREQUENCIES)}",
        )
    return config | {"frequency": frequency}


def _cron(config: dict[str, Any]) -> dict[str, Any]:
    if not config.keys() & {"cron", "expression"}:
        raise _undefined("the expression is missing", (), 'write cron = "30 6 * * mon-fri"')
    return config


TRANSLATIONS = {"once": _once, "interval": _interval, "recurring": _recurring, "cron": _cron}


def _undefined(message: str, path: tuple[str, ...], hint: str | None = None) -> CommandError:
    return CommandError(
        "invalid_format", message, hint=hint, path=("event", "schedule_config", *path)
    )
