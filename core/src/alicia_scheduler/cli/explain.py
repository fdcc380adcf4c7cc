"""``alicia explain``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from alicia_scheduler.cli.moments import moment, zoned_time
from alicia_scheduler.cli.output import fail, print_json, print_table
from alicia_scheduler.cli.state import state_options
from alicia_scheduler.cli.subjects import History, Surroundings
from alicia_scheduler.foresight.explanation import Explanation, explain, slot_near
from alicia_scheduler.foresight.subject import Subject

__all__ = ["explain_command"]

HISTORY_LIMIT = 1000
"""Executions of the event, up to a slot, that are looked through for what tells of it."""


@click.command("explain")
@click.argument("event")
@click.argument("time", required=False)
@state_options
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def explain_command(
    event: str, time: str | None, config: str | None, state_dir: str | None, as_json: bool
) -> None:
    """Say why EVENT runs, or does not, at TIME: each filter in order with its verdict.

    A time that is past is answered from the history, one to come by what the planner will look
    at. Without TIME: the last slot that has a record, and the next one. A TIME without an offset
    is one of the event's zone. Needs no running host.
    """
    now = datetime.now(UTC)
    with Surroundings.of(config, state_dir).saved(event) as (subject, history):
        if time is not None:
            slots = [slot_near(subject, moment(time, subject.zone))]
        else:
            slots = _last_and_next(subject, history, now)
        answers = [
            explain(subject, slot, now, history.executions(HISTORY_LIMIT, until=slot))
            for slot in slots
        ]
    if as_json:
        print_json(
            {
                "event_id": event,
                "timezone": subject.zone.key,
                "slots": [answer.to_wire() for answer in answers],
            }
        )
        return
    if not answers:
        fail(f"{event} has no slot from now on, and the history none before")
    for number, answer in enumerate(answers):
        if number:
            click.echo("")
        _print(subject, answer)


def _last_and_next(subject: Subject, history: History, now: datetime) -> list[datetime]:
    last = history.executions(1)
    following = subject.state.next_run or subject.schedule.next_after(now)
    found = {last[0].scheduled_time} if last else set()
    if following is not None:
        found.add(following)
    return sorted(found)


def _print(subject: Subject, answer: Explanation) -> None:
    when = zoned_time(answer.slot, subject.zone)
    click.echo(f"{subject.event.event_id} at {when}: {answer.outcome}")
    print_table(
        ["FILTER", "VERDICT", "WHY"],
        [[item.filter, "passes" if item.passed else "stops", item.why] for item in answer.verdicts],
    )
