"""Importing one plugin and asking its hooks, in a thread that is not waited for beyond a time."""

from __future__ import annotations

import ctypes
import dataclasses
import logging
import re
import select
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from alicia_scheduler.api.descriptors import HostInfo, ServiceCall
from alicia_scheduler.config.convert import json_schema
from alicia_scheduler.config.shapes import is_object
from alicia_scheduler.host.discovery import Candidate, missing_requirements
from alicia_scheduler.host.hooks import HookFault, PluginHooks
from alicia_scheduler.host.known import KNOWN, is_first_party
from alicia_scheduler.host.record import Contributions, PluginError, PluginRecord, PluginStatus

__all__ = ["PATIENCE", "load"]

logger = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds that a plugin's import and hooks may take. Large libraries on a slow card take ten."""

TYPE_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")


class TooLong(BaseException):
    """Raised in the thread of a plugin that takes too long, so that it ends if it can."""


def load(
    candidate: Candidate,
    record: PluginRecord,
    info: HostInfo,
    *,
    patience: float,
    now: Callable[[], datetime],
) -> None:
    """Fill in a record: what the plugin contributes, or why it is broken. Never raises for what
    the plugin does, not even when it never comes back."""
    attempt = _Attempt(candidate, info)
    ours, theirs = socket.socketpair()
    thread = threading.Thread(
        target=attempt.run_with, args=(theirs,), name=f"plugin {candidate.name}", daemon=True
    )
    thread.start()
    with ours:
        # A relative wait on a socket: a clock that is set from 1970 to today meanwhile cannot end
        # it early, as it ends waits for a thread where the C library waits by that clock.
        select.select([ours], [], [], patience)
    # From here on, what the thread still does concerns nobody.
    outcome = attempt.outcome
    record.import_time = attempt.import_time
    if outcome is None:
        _interrupt(thread)
        doing, kind = attempt.doing, attempt.kind
        outcome = PluginProblem(kind, f"{doing} took more than {patience:g} s, so it was given up")
    if isinstance(outcome, PluginProblem):
        record.stand(PluginStatus.BROKEN, outcome.sentence)
        record.note(PluginError(now(), outcome.kind, record.reason or outcome.sentence))
        return
    record.contributions = outcome
    record.warnings = attempt.warnings


@dataclasses.dataclass(frozen=True)
class PluginProblem:
    """Why a plugin cannot be used: a stable word and a sentence."""

    kind: str
    sentence: str


class _Attempt:
    """One attempt to load a plugin, in a thread of its own."""

    def __init__(self, candidate: Candidate, info: HostInfo) -> None:
        self._candidate = candidate
        self._info = info
        self.doing = f"importing {candidate.entry_point.value}"
        self.kind = "import"
        self.import_time: float | None = None
        self.warnings: list[str] = []
        self.outcome: Contributions | PluginProblem | None = None

    def run_with(self, finished: socket.socket) -> None:
        """Make the attempt, then close ``finished``."""
        with finished:
            self._run()

    def _run(self) -> None:
        try:
            self.outcome = self._contributions()
        except TooLong:
            logger.warning("%s has ended after it was given up", self.doing)
        except HookFault as fault:
            self.outcome = PluginProblem("hook", str(fault))
        except BaseException as error:  # noqa: BLE001 - a plugin may raise anything
            self.outcome = PluginProblem(self.kind, self._sentence(error))

    def _contributions(self) -> Contributions:
        candidate, info = self._candidate, self._info
        started = time.perf_counter()
        try:
            plugin = candidate.entry_point.load()
        finally:
            self.import_time = time.perf_counter() - started
        self.doing, self.kind = "asking its hooks", "hook"
        hooks = PluginHooks(candidate.name, plugin)
        self.warnings = hooks.warnings
        contributions = Contributions(
            schedule_types=hooks.schedule_types(info),
            action_types=hooks.action_types(info),
            sinks=hooks.sinks(info),
            services=hooks.services(info),
            service_calls=hooks.service_calls(info),
            stores=hooks.stores(info),
            settings=hooks.settings(info),
            commands=hooks.commands(info),
        )
        _check(candidate, contributions)
        self.warnings += _deprecated_fields(contributions)
        return contributions

    def _sentence(self, error: BaseException) -> str:
        if self.kind == "hook":
            return f"a hook failed: {_said(error)}"
        sentence = f"{self.doing} failed: {_said(error)}"
        if not isinstance(error, ModuleNotFoundError):
            return sentence
        missing = missing_requirements(self._candidate.distribution)
        if missing:
            return f"{sentence}; it requires {', '.join(missing)}: pip install {' '.join(missing)}"
        return f"{sentence}; {self._candidate.distribution} does not say what brings that module"


def _interrupt(thread: threading.Thread) -> None:
    """Let a thread that runs Python code end by an exception; one that waits in C stays."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(TooLong)
        )


def _check(candidate: Candidate, contributions: Contributions) -> None:
    for kind, items in contributions.by_kind().items():
        seen: set[str] = set()
        for item in items:
            name = item.name
            if not isinstance(name, str) or not TYPE_NAME.fullmatch(name):
                raise HookFault(
                    f"the {kind} name {name!r} is not allowed: "
                    "lower-case letters, digits and _, beginning with a letter"
                )
            if name in seen:
                raise HookFault(f"it offers the {kind} {name!r} twice")
            seen.add(name)
            _check_namespace(candidate, kind, name)
            _check_config(candidate, kind, item)


def _check_config(candidate: Candidate, kind: str, item: Any) -> None:
    what = "data" if isinstance(item, ServiceCall) else "config"
    cls = getattr(item, what)
    if not is_object(cls):
        shown = cls.__name__ if isinstance(cls, type) else repr(cls)
        raise HookFault(
            f"the {kind} {item.name!r} has a {what} that is not a class of options ({shown}); "
            "give a msgspec Struct, a dataclass or an attrs class"
        )
    if is_first_party(candidate.distribution):
        return  # their own tests hold this, and a start need not pay for it
    try:
        json_schema(cls)
    except Exception as error:
        raise HookFault(
            f"the {kind} {item.name!r} has a {what} without a JSON Schema, as {cls.__name__} holds "
            f"a type that no configuration can: {_said(error)}"
        ) from error


def _check_namespace(candidate: Candidate, kind: str, name: str) -> None:
    owner = KNOWN[kind].get(name)
    if owner == candidate.distribution:
        return
    domain = name.split(".", 1)[0]
    namespace = candidate.name.replace("-", "_")
    if "." not in name:
        taken = f"belongs to {owner}" if owner else "is kept for first-party plugins"
        raise HookFault(f"the {kind} name {name!r} {taken}: call it '{namespace}.{name}'")
    if any(known.startswith(f"{domain}.") for known in KNOWN[kind]):
        raise HookFault(f"the {kind} name {name!r} has a domain that is kept for the scheduler")
    if domain != namespace:
        raise HookFault(
            f"the {kind} name {name!r} is outside its namespace: it must begin with '{namespace}.'"
        )


def _deprecated_fields(contributions: Contributions) -> list[str]:
    """A sentence for each field of a descriptor that is used and will go away."""
    return [
        f"the {kind} {item.name!r} sets {each.name!r}: {each.metadata['deprecated']}"
        for kind, items in contributions.by_kind().items()
        for item in items
        for each in dataclasses.fields(item)
        if "deprecated" in each.metadata and getattr(item, each.name) != each.default
    ]


def _said(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - a plugin's __str__ may raise anything
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
