"""``alicia events test``: what an event's action would be given now, without a run in history."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alicia_scheduler.api.errors import AliciaError, StoreError
from alicia_scheduler.api.model import EventExecution, EventRecord, EventState, Status, from_epoch
from alicia_scheduler.cli.completion import complete_events
from alicia_scheduler.cli.door import Door, door_options
from alicia_scheduler.cli.output import (
    EXIT_NO,
    fail,
    json_option,
    local_time,
    print_json,
    printable,
)

if TYPE_CHECKING:
    from alicia_scheduler.store.queries import Queries

__all__ = ["test"]


@click.command("test")
@click.argument("event", shell_complete=complete_events)
@click.option("--live", is_flag=True, help="Then run the action once, outside history.")
@door_options
@json_option
def test(event: str, live: bool, door: Door, as_json: bool) -> None:
    """Show what the action of EVENT would be given at its next slot, and send nothing.

    Templates are rendered, secrets fetched and the result checked; secrets show as ***. With
    --config the event is taken as the file says, and no host is needed; else, and for --live, the
    running host is asked. --live runs the action once: no execution is recorded, nothing is
    counted or retried. Exits 1 when the attempt would fail, or has failed.
    """
    if door.config is not None and not live:
        answer = _by_file(event, door.config, door.state_dir)
    else:
        patience = {"timeout": math.inf} if live else {}
        answer = door.ask("events/test", event_id=event, live=live, **patience)
    if as_json:
        print_json(answer)
    else:
        _print(answer)
    ended = answer.get("live") or {"status": "completed"}
    if answer["problem"] is not None or ended["status"] != Status.COMPLETED:
        sys.exit(EXIT_NO)


test.__test__ = False  # type: ignore[attr-defined]  # it is a command, for pytest too


def _by_file(event_id: str, config: str, state_dir: str | None) -> dict[str, Any]:
    """The answer for an event as a file says it; what came before is read from the store."""
    import trio

    from alicia_scheduler.cli.configured import load_checked
    from alicia_scheduler.host.finishing import Finishing
    from alicia_scheduler.host.resolver import Resolver
    from alicia_scheduler.host.trial import trial_execution, trial_run

    configuration, registry, checked = load_checked(config)
    now = datetime.now(UTC)
    folder = Path(state_dir) if state_dir is not None else configuration.state_dir
    with _store(folder) as store:
        saved = store.records([event_id]).get(event_id) if store is not None else None
        event = next((item for item in checked.events if item.event_id == event_id), None)
        event = event or (saved.event if saved else None)
        if event is None:
            fail(f"there is no event {event_id!r} in {config}")
        history = _History(store) if store is not None else None
        finishing = Finishing(checked.secrets, history, lambda: datetime.now(UTC))
        resolver = Resolver(
            registry,
            configuration.settings,
            checked.calendars,
            limits=checked.limits,
            finishing=finishing,
        )
        record = EventRecord(event, saved.state if saved else EventState())
        try:
            prepared = resolver.prepare(event, record.state.anchor or now)
            if record.state.next_run is None:
                first = prepared.schedule.next_after(now)
                record = EventRecord(event, EventState(next_run=first))
            execution = trial_execution(record, now)
            answer = trio.run(trial_run, resolver, record, prepared, execution)
        except AliciaError as error:
            fail(str(error))
    return answer


class _History:
    """A store's reader as finishing wants it."""

    def __init__(self, store: Queries) -> None:
        self._store = store

    async def list_executions(
        self, *, event_id: str, statuses: list[Status], limit: int
    ) -> list[EventExecution]:
        return self._store.list_executions(event_id=event_id, statuses=statuses, limit=limit)

    async def execution(self, execution_id: str) -> EventExecution | None:
        return self._store.execution(execution_id)


@contextmanager
def _store(folder: Path) -> Iterator[Queries | None]:
    """The store of a state directory for reading, or None before the first run."""
    from alicia_scheduler.store.reader import open_reader

    try:
        reader = open_reader(folder)
        queries = reader.__enter__()
    except StoreError:
        yield None
        return
    try:
        yield queries
    finally:
        reader.__exit__(None, None, None)


def _print(answer: dict[str, Any]) -> None:
    slot = local_time(from_epoch(answer["slot"]))
    click.echo(f"{answer['event_id']}: {answer['action_type']} for the slot {slot}")
    if answer["problem"] is not None:
        click.echo(f"would fail ({answer['error_class']}): {printable(answer['problem'])}")
        return
    click.echo("the action would be given:")
    print_json(answer["options"])
    if answer["preview"] is not None:
        click.echo("and would do:")
        print_json(answer["preview"])
    live = answer.get("live")
    if live is None:
        click.echo("nothing was sent; --live runs it once")
        return
    click.echo(f"ran once, outside history: {live['status']}")
    if live["error_message"]:
        click.echo("\n".join(map(printable, live["error_message"].splitlines())))
    if live["result"] is not None:
        print_json(live["result"])
