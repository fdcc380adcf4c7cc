"""Slot arithmetic."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alicia_scheduler.kernel.slots import due_at, first_slot, grace_of, missed_between, slots_after
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.kernel import At, Every, make_event


def at(seconds):
    return START + timedelta(seconds=seconds)


class Counting:
    """A schedule that counts how often it is asked."""

    def __init__(self, inner):
        self.inner = inner
        self.asked = 0

    def next_after(self, instant):
        self.asked += 1
        return self.inner.next_after(instant)

    def describe(self):
        return self.inner.describe()


@given(st.floats(0.01, 1000), st.floats(0, 100_000), st.integers(0, 12))
def test_the_latest_missed_slots_are_those_a_full_walk_finds(period, span, keep):
    schedule, event = Every(START, period), make_event()
    first = schedule.next_after(START)
    until = first + timedelta(seconds=span if span / period < 3000 else 3000 * period)
    walked = [first]
    for slot in slots_after(schedule, event, first):
        if slot > until:
            break
        walked.append(slot)
    missed = missed_between(schedule, event, first, until, keep)
    assert missed.latest == walked[len(walked) - min(keep, len(walked)) :]
    if missed.skipped_count is not None:
        assert missed.skipped_count == len(walked) - len(missed.latest)


def test_ten_years_of_seconds_cost_a_bounded_number_of_questions():
    schedule = Counting(Every(START, 1))
    until = START + timedelta(days=3653)
    missed = missed_between(schedule, make_event(), at(1), until, 1)
    assert missed.latest == [until]
    assert missed.first_skipped == at(1)
    assert missed.skipped_count is None
    assert schedule.asked < 1000


def test_a_hundred_slots_of_ten_years_cost_little_more_than_one():
    schedule = Counting(Every(START, 86_400))
    until = START + timedelta(days=3653)
    missed = missed_between(schedule, make_event(), at(86_400), until, 100)
    assert missed.latest == [until - timedelta(days=day) for day in range(99, -1, -1)]
    assert schedule.asked < 1000


def test_slots_that_come_in_bursts_are_found_with_a_bounded_number_of_questions():
    bursts = At(tuple(at(day * 86_400 + second) for day in range(30) for second in range(50)))
    schedule = Counting(bursts)
    missed = missed_between(schedule, make_event(), at(0), at(30 * 86_400), 3)
    assert missed.latest == [at(29 * 86_400 + second) for second in (47, 48, 49)]
    assert schedule.asked < 1000


def test_a_schedule_that_does_not_move_on_is_refused_instead_of_looping():
    class Stuck:
        def next_after(self, instant):
            return instant

        def describe(self):
            return "stuck"

    with pytest.raises(ValueError, match="strictly later"):
        next(slots_after(Stuck(), make_event(), START))


def test_no_slot_lies_outside_the_bounds():
    event = make_event(starts_at=at(20), ends_at=at(40))
    assert list(slots_after(Every(START, 10), event, START)) == [at(20), at(30), at(40)]


def test_there_is_no_slot_once_max_runs_is_used_up():
    event = make_event(max_runs=3)
    assert first_slot(Every(START, 10), event, START, slot_count=2) == at(10)
    assert first_slot(Every(START, 10), event, START, slot_count=3) is None


@given(st.floats(0, 1000), st.integers(1, 10_000))
def test_jitter_never_reaches_the_next_slot(jitter, number):
    schedule, event = Every(START, 10), make_event(jitter=jitter)
    slot = at(10 * number)
    assert slot <= due_at(schedule, event, slot) < slot + timedelta(seconds=10)


def test_jitter_is_drawn_once_per_slot():
    schedule, event = Every(START, 10), make_event(jitter=5)
    draws = {due_at(schedule, event, at(10)) for _ in range(5)}
    assert len(draws) == 1
    assert due_at(schedule, event, at(20)) - at(20) != draws.pop() - at(10)


@pytest.mark.parametrize(
    ("schedule", "fields", "grace"),
    [
        (Every(START, 10), {}, 5),
        (Every(START, 86_400), {}, 3600),
        (At((at(10),)), {}, 86_400),
        (Every(START, 10), {"misfire_grace": 123.0}, 123),
    ],
    ids=["half the period", "an hour at the most", "a day for one-shots", "what the event says"],
)
def test_the_grace_of_a_late_slot(schedule, fields, grace):
    assert grace_of(schedule, make_event(**fields), at(10)) == grace
