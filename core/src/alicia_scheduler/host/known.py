"""The bare type names and the first-party distributions that bring them.

Used to say what to install when a type is missing, and to keep bare names for first-party
plugins: everybody else's types are called ``<plugin>.<type>``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = ["CONTRACTS", "KINDS", "KNOWN", "is_first_party", "missing_type"]

KNOWN: dict[str, dict[str, str]] = {
    "schedule type": {
        "once": "alicia-schedule-once",
        "interval": "alicia-schedule-interval",
        "recurring": "alicia-schedule-recurring",
        "cron": "alicia-schedule-cron",
        "solar": "alicia-schedule-solar",
        "rrule": "alicia-schedule-rrule",
    },
    "action type": {
        "mqtt_publish": "alicia-action-mqtt",
        "http_request": "alicia-action-http",
        "script_execution": "alicia-action-script",
        "service_call": "alicia-action-service",
    },
    "sink": {"mqtt": "alicia-sink-mqtt", "log": "alicia-sink-log"},
    "service": {
        "mqtt": "alicia-mqtt",
        "mqtt_native": "alicia-mqtt-native",
        "broker": "alicia-broker",
        "home_assistant": "alicia-action-service",
        "alicia_bus": "alicia-service-alicia-bus",
    },
    "service call": {
        f"scheduler.{service}": "alicia-scheduler"
        for service in (
            *("trigger", "cancel", "enable", "disable"),
            *("pause", "resume", "skip", "unskip"),
        )
    },
    "store": {},
}

KINDS = tuple(KNOWN)

_FIRST_PARTY = frozenset(owner for names in KNOWN.values() for owner in names.values())


def is_first_party(distribution: str) -> bool:
    """True for Alicia's own distributions."""
    return re.sub(r"[-_.]+", "-", distribution).lower() in _FIRST_PARTY


CONTRACTS = {
    "MqttConnection": "alicia-mqtt",
    "CompletionReports": "alicia-service-alicia-bus",
}
"""The contracts of services, by name, and the first-party distributions that provide them."""


def missing_type(kind: str, name: str, installed: Iterable[str]) -> tuple[str, str | None, bool]:
    """What to say about a type that is not installed.

    Returns:
        the sentence; a hint what to do; and whether the name is a possible one, so that
        installing something would bring it (False: it can only be a mistake).
    """
    distribution = KNOWN[kind].get(name)
    if distribution is not None:
        return (
            f"the {kind} {name!r} is not installed",
            f"pip install {distribution}",
            True,
        )
    sentence = f"there is no {kind} {name!r}"
    names = sorted({*installed, *KNOWN[kind]})
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    domain = name.split(".", 1)[0]
    foreign = "." in name and not any(each.startswith(f"{domain}.") for each in KNOWN[kind])
    # A plugin that is not here may well bring a type with a name like one that is.
    if foreign and not any(each.startswith(f"{domain}.") for each in near):
        hint = f"install the plugin {domain!r} that brings it"
        if near:
            hint += f", or did you mean {near[0]!r}?"
        return f"the {kind} {name!r} is not installed", hint, True
    if near:
        hint = "did you mean " + " or ".join(repr(other) for other in near) + "?"
        first = KNOWN[kind].get(near[0])
        if first is not None and near[0] not in set(installed):
            hint += f" (pip install {first})"
        return sentence, hint, False
    return sentence, "known ones: " + ", ".join(names) if names else None, False
