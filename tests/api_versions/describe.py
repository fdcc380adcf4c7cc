"""What plugins can rely on: every public name of the API, with its shape. Printed as JSON; each
minor that was released has its own, kept for ever beside this file."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import json
from typing import Any

import msgspec

from alicia_scheduler import api
from alicia_scheduler.api import hookspecs

IMPLEMENTED = ("Action", "Schedule", "Sink", "Store")
"""Protocols that plugins implement and the host calls: the host may not ask for more."""


def describe() -> dict[str, Any]:
    """The API that is installed."""
    return {
        "version": list(api.API_VERSION),
        "names": {name: _shape(getattr(api, name)) for name in sorted(api.__all__)},
        "hooks": {
            name: list(inspect.signature(function).parameters)
            for name, function in sorted(vars(hookspecs).items())
            if name.startswith("alicia_")
        },
    }


def _shape(thing: Any) -> dict[str, Any]:
    if not isinstance(thing, type):
        if inspect.isfunction(thing):
            return {"kind": "function", "parameters": _parameters(thing)}
        return {"kind": "value"}
    if issubclass(thing, enum.Enum):
        return {"kind": "enum", "values": [member.value for member in thing]}
    if issubclass(thing, BaseException):
        return {"kind": "error", "parameters": _parameters(thing.__init__, skip=1)}
    if getattr(thing, "_is_protocol", False):
        return {"kind": "protocol", "members": _members(thing)}
    if dataclasses.is_dataclass(thing):
        missing = dataclasses.MISSING
        fields = {
            each.name: each.default is missing and each.default_factory is missing
            for each in dataclasses.fields(thing)
        }
    elif issubclass(thing, msgspec.Struct):
        fields = {each.name: each.required for each in msgspec.structs.fields(thing)}
    else:
        return {"kind": "class", "members": _members(thing)}
    return {"kind": "data", "fields": fields, "members": _members(thing)}


def _members(cls: type) -> dict[str, Any]:
    return {
        name: _parameters(member, skip=1) if inspect.isfunction(member) else None
        for base in reversed(cls.__mro__)
        if base.__module__.startswith("alicia_scheduler")
        for name, member in sorted(vars(base).items())
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property))
    }


def _parameters(function: Any, *, skip: int = 0) -> dict[str, bool]:
    """The parameters by name, and whether they must be given."""
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    return {each.name: each.default is each.empty for each in parameters}


if __name__ == "__main__":
    print(json.dumps(describe(), indent=1))
