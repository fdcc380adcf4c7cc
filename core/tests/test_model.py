"""The data model and its wire form."""

import uuid
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from alicia_scheduler.api import (
    EventExecution,
    EventRecord,
    EventState,
    Status,
    from_epoch,
    to_epoch,
    to_wire,
)
from alicia_scheduler.kernel.ledger import finished, new_execution, started, waiting
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.kernel import make_event


def test_the_idempotency_key_names_event_slot_and_attempt():
    execution = started(new_execution(make_event("lamp"), START), START)
    again = started(waiting(execution, START + timedelta(seconds=60), "error", "no"), START)
    assert execution.idempotency_key == "lamp/1767225600.000000/1"
    assert again.idempotency_key == "lamp/1767225600.000000/2"


def test_a_rerun_of_a_slot_has_the_same_key():
    event = make_event("lamp")
    keys = {started(new_execution(event, START), START).idempotency_key for _ in range(2)}
    assert len(keys) == 1


def test_lateness_and_duration_are_seconds():
    execution = started(new_execution(make_event(), START), START + timedelta(seconds=2))
    assert execution.lateness == 2
    ended = finished(execution, Status.COMPLETED, START + timedelta(seconds=5))
    assert ended.duration == 3


def test_an_event_on_the_wire_is_one_flat_object_with_epoch_seconds():
    record = EventRecord(make_event("lamp", tags=("a",)), EventState(next_run=START))
    wire = to_wire(record)
    assert wire["event_id"] == "lamp"
    assert wire["next_run"] == 1767225600.0
    assert wire["mode"] == "single"
    assert wire["tags"] == ["a"]


def test_an_execution_on_the_wire_has_every_field_of_the_model_in_its_order():
    execution = finished(
        started(new_execution(make_event(), START, due=START, useful_until=START), START),
        Status.FAILED,
        START,
        result={"at": START, "more": [START]},
        error="no",
    )
    wire = to_wire(execution)
    epoch = START.timestamp()
    assert list(wire) == list(EventExecution.__struct_fields__)
    assert wire["result"] == {"at": epoch, "more": [epoch]}
    assert wire["steps"] == [{"name": name, "offset": 0.0} for name in ("due", "started", "ended")]
    for name in EventExecution.__struct_fields__:
        value = getattr(execution, name)
        if name not in ("result", "steps"):
            assert wire[name] == (epoch if value == START else value)
            assert type(wire[name]) in (str, int, float, type(None))


def test_ids_are_in_the_order_of_slots_and_then_of_their_making():
    slots = [START, START, START + timedelta(milliseconds=1), START + timedelta(days=9)]
    ids = [new_execution(make_event(), slot).execution_id for slot in slots]
    assert len(set(ids)) == 4
    assert sorted(ids[:1] + ids[2:]) == ids[:1] + ids[2:]
    for text in ids:
        made = uuid.UUID(text)
        assert (made.version, made.variant, str(made)) == (7, uuid.RFC_4122, text)


@given(st.datetimes(timezones=st.just(START.tzinfo)).filter(lambda d: 1970 <= d.year < 2240))
def test_epoch_seconds_keep_every_microsecond(instant):
    assert from_epoch(to_epoch(instant)) == instant
