"""Which event a command is about: one of the file, one of the state directory, or a bare spec."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.api.errors import AliciaError, ConfigError, StoreError
from alicia_scheduler.api.model import EventExecution, EventRecord, EventState, ScheduledEvent
from alicia_scheduler.api.store import ExecutionPlace
from alicia_scheduler.cli.configured import load_checked
from alicia_scheduler.cli.output import complain, fail, refuse
from alicia_scheduler.config.plain import plain
from alicia_scheduler.config.settings import Settings
from alicia_scheduler.foresight.subject import Subject, paused_with_all, subject_of, unsaved_event
from alicia_scheduler.host.discovery import find_candidates
from alicia_scheduler.host.loader import load_plugins
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.store.queries import Queries
from alicia_scheduler.store.reader import open_reader

__all__ = ["History", "Surroundings", "written_config"]

MAIN_KEYS = {"cron": "expression", "interval": "interval", "once": "run_at"}
"""The key that a specification of nothing but text or a number means, by schedule type."""

DEFINED = ("schedule_type", "schedule_config", "timezone", "starts_at")


class History:
    """What the store has about one event; nothing when there is no store.

    Attributes:
        record: definition and state, if the event was ever saved.
        facts: what the host knows about itself.
    """

    def __init__(self, store: Queries | None, event_id: str) -> None:
        self._store = store
        self._event_id = event_id
        self.record: EventRecord | None = None
        self.facts: dict[str, Any] = {}
        if store is not None:
            self.record = store.records([event_id]).get(event_id)
            self.facts = store.facts()

    def executions(self, limit: int, *, until: datetime | None = None) -> list[EventExecution]:
        """The newest executions first; with ``until``, of the slots up to and with that one."""
        if self._store is None:
            return []
        after = ExecutionPlace(until, "") if until is not None else None
        return self._store.list_executions(event_id=self._event_id, after=after, limit=limit)


@dataclass(frozen=True)
class Surroundings:
    """What events are looked at in: the installed types and what the configuration says.

    Attributes:
        guessed_zone: True when no configuration says in which zone events are that have none.
    """

    registry: Registry
    settings: Settings
    calendars: dict[str, frozenset[date]]
    events: dict[str, ScheduledEvent]
    state_dir: Path

    guessed_zone: bool = False

    @classmethod
    def of(cls, config: str | None, state_dir: str | None) -> Surroundings:
        """Those of a configuration file, or the defaults without one; exits 1 when it is wrong."""
        if config is None:
            registry = Registry(load_plugins(find_candidates()))
            folder = Path(state_dir or "state")
            return cls(registry, Settings(), {}, {}, folder, guessed_zone=True)
        configuration, registry, checked = load_checked(config)
        return cls(
            registry,
            configuration.settings,
            checked.calendars,
            {event.event_id: event for event in checked.events},
            Path(state_dir) if state_dir is not None else configuration.state_dir,
        )

    @contextmanager
    def saved(self, event_id: str) -> Iterator[tuple[Subject, History]]:
        """An event of the file or of the store, with what the store has about it; exits 1 when
        there is no such event, or what it needs is not here."""
        with ExitStack() as stack:
            store, problem = None, None
            try:
                store = stack.enter_context(open_reader(self.state_dir))
            except StoreError as error:
                problem = str(error)
            try:
                history = History(store, event_id)
                yield self._subject(event_id, history, problem), history
            except StoreError as error:
                fail(str(error))

    def unsaved(
        self,
        schedule_type: str,
        schedule_config: dict[str, Any],
        *,
        timezone: str | None,
        exclude: tuple[str, ...],
        jitter: float,
        now: datetime,
    ) -> Subject:
        """A specification that is no event yet; exits 1 when it is refused."""
        event = unsaved_event(
            schedule_type, schedule_config, timezone=timezone, exclude=exclude, jitter=jitter
        )
        return self._built(event, None, now)

    def _subject(self, event_id: str, history: History, problem: str | None) -> Subject:
        record = history.record
        event = self.events.get(event_id) or (record.event if record else None)
        if event is None:
            why = f"; {problem}" if problem else ""
            refuse(
                CommandError("not_found", f"there is no {event_id!r}"),
                f"there is no event {event_id!r}{_known(self.events)}{why}",
            )
        if self.guessed_zone and event.timezone is None:
            complain(
                f"{event_id} has no time zone of its own, and no configuration says the host's; "
                f"{self.settings.timezone} is this machine's. Give --config to be sure"
            )
        state = record.state if record and _same_schedule(record.event, event) else None
        if state is not None:
            state = paused_with_all(state, history.facts)
        return self._built(event, state, datetime.now(UTC))

    def _built(self, event: ScheduledEvent, state: EventState | None, now: datetime) -> Subject:
        try:
            return subject_of(
                event, self.registry, self.settings, self.calendars, now=now, state=state
            )
        except ConfigError as error:
            refusal = CommandError(
                "invalid_format", error.message, hint=error.hint, path=error.path
            )
            refuse(refusal, str(error))
        except AliciaError as error:
            refuse(CommandError("not_supported", str(error)))


def written_config(schedule_type: str, text: str) -> dict[str, Any]:
    """The ``schedule_config`` that a person wrote as JSON, as TOML (``{ a = 1 }`` or ``a = 1``),
    or as the one value that matters (``30 2 * * *`` for cron).

    Raises:
        click.UsageError: it is none of these.
    """
    text = text.strip()
    for read in (_json, _inline_toml, tomllib.loads):
        try:
            found = read(text)
        except ValueError:
            continue
        if isinstance(found, dict) and found:
            try:
                return dict(plain(found))
            except ConfigError as error:
                raise click.UsageError(str(error)) from error
    key = MAIN_KEYS.get(schedule_type)
    if key is None or text.startswith("{"):
        raise click.UsageError(
            f"{text!r} is neither JSON nor TOML; for example "
            '\'{"frequency": "daily", "time_of_day": "07:30"}\''
        )
    try:
        return {key: float(text)}
    except ValueError:
        return {key: text}


def _json(text: str) -> object:
    return json.loads(text)


def _inline_toml(text: str) -> object:
    return tomllib.loads(f"config = {text}")["config"]


def _same_schedule(saved: ScheduledEvent, event: ScheduledEvent) -> bool:
    return all(getattr(saved, name) == getattr(event, name) for name in DEFINED)


def _known(event_ids: Iterable[str]) -> str:
    names = ", ".join(sorted(event_ids)[:10])
    return f"; the file has {names}" if names else ""
