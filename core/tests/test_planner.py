"""The planner: what becomes of a due slot."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alicia_scheduler.api import EventState, Misfire, Mode, Status, Trigger
from alicia_scheduler.kernel.ledger import new_execution, rerun, started, waiting
from alicia_scheduler.kernel.planner import CATCHUP_LIMIT, Occupancy, plan_slot, plan_trigger
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.kernel import At, Every, make_event


def at(seconds):
    return START + timedelta(seconds=seconds)


def plan(event=None, *, slot=10, now=10, schedule=None, occupancy=None, state=None):
    return plan_slot(
        event or make_event(),
        state or EventState(),
        schedule or Every(START, 10),
        at(slot),
        at(now),
        occupancy or Occupancy(),
    )


def running(event, since=0):
    return started(new_execution(event, at(since)), at(since))


def test_a_slot_on_time_is_admitted_and_the_next_follows_from_it():
    decided = plan(now=10.4)
    assert [run.scheduled_time for run in decided.admitted] == [at(10)]
    assert decided.admitted[0].trigger is Trigger.SCHEDULE
    assert decided.next_run == at(20)
    assert decided.slot_count == 1


def test_under_latest_the_last_missed_slot_runs_and_one_record_stands_for_the_others():
    decided = plan(slot=10, now=44)
    assert [run.scheduled_time for run in decided.admitted] == [at(40)]
    (summary,) = decided.closed
    assert (summary.status, summary.reason) == (Status.MISSED, "coalesced")
    assert summary.result["count"] == 3
    assert decided.next_run == at(50)


def test_under_all_every_missed_slot_runs_oldest_first_as_catch_up():
    event = make_event(misfire=Misfire.ALL, misfire_grace=1000.0)
    decided = plan(event, slot=10, now=44)
    assert [run.scheduled_time for run in decided.admitted] == [at(10), at(20), at(30), at(40)]
    triggers = [run.trigger for run in decided.admitted]
    assert triggers == [Trigger.CATCHUP] * 3 + [Trigger.SCHEDULE]


def test_catching_up_is_bounded_and_the_rest_is_summed_up():
    event = make_event(misfire=Misfire.ALL, misfire_grace=1e9)
    decided = plan(event, slot=10, now=1_000_000)
    assert len(decided.admitted) == CATCHUP_LIMIT
    assert decided.admitted[-1].scheduled_time == at(1_000_000)
    assert [record.reason for record in decided.closed] == ["coalesced"]


def test_under_skip_late_slots_are_recorded_as_missed():
    event = make_event(misfire=Misfire.SKIP)
    decided = plan(event, slot=10, now=17)
    assert decided.admitted == []
    assert [(record.status, record.reason) for record in decided.closed] == [
        (Status.MISSED, "misfire")
    ]


def test_a_slot_later_than_its_grace_is_missed():
    schedule = Every(START, 3600)
    decided = plan(schedule=schedule, slot=3600, now=3600 + 1801)
    assert [(record.status, record.reason) for record in decided.closed] == [
        (Status.MISSED, "grace")
    ]
    assert decided.next_run == at(7200)


def test_a_one_shot_runs_up_to_a_day_late():
    schedule = At((at(10),))
    assert plan(schedule=schedule, slot=10, now=86_000).admitted
    assert plan(schedule=schedule, slot=10, now=87_000).closed[0].reason == "grace"


def test_an_execution_is_useful_for_as_long_as_its_slot_might_start_late():
    assert plan(schedule=Every(START, 3600), slot=3600, now=3600).admitted[0].useful_until == at(
        5400
    )
    assert plan(schedule=At((at(10),))).admitted[0].useful_until == at(10 + 86_400)
    event = make_event(misfire_grace=60)
    assert plan(event).admitted[0].useful_until == at(70)


def test_an_execution_is_useful_for_five_seconds_at_least():
    assert plan(make_event(misfire_grace=0)).admitted[0].useful_until == at(15)
    assert plan(schedule=Every(START, 1), slot=10, now=10).admitted[0].useful_until == at(15)


def test_lateness_uses_the_window_up():
    decided = plan(schedule=Every(START, 3600), slot=3600, now=3700)
    assert decided.admitted[0].useful_until == at(5400)


def test_a_manual_trigger_is_useful_for_an_hour_or_the_grace():
    [run] = plan_trigger(make_event(), at(3), Occupancy()).admitted
    assert run.useful_until == at(3603)
    [run] = plan_trigger(make_event(misfire_grace=30), at(3), Occupancy()).admitted
    assert run.useful_until == at(33)


def test_what_is_run_again_after_a_crash_keeps_its_window():
    [first] = plan().admitted
    assert rerun(make_event(), first).useful_until == first.useful_until


def test_single_skips_and_names_what_blocks():
    event = make_event()
    blocker = running(event)
    decided = plan(event, occupancy=Occupancy([blocker]))
    (record,) = decided.closed
    assert (record.status, record.reason) == (Status.SKIPPED, "overlap")
    assert record.result == {"blocked_by": blocker.execution_id, "blocked_for": 10.0}
    assert decided.slot_count == 0


def test_restart_cancels_what_is_under_way():
    event = make_event(mode=Mode.RESTART)
    blocker = running(event)
    decided = plan(event, occupancy=Occupancy([blocker]))
    assert decided.cancelled == [blocker.execution_id]
    assert len(decided.admitted) == 1


@pytest.mark.parametrize("mode", [Mode.QUEUED, Mode.PARALLEL])
def test_max_executions_counts_running_and_waiting_ones(mode):
    event = make_event(mode=mode, max_executions=2)
    assert plan(event, occupancy=Occupancy([running(event)])).admitted
    full = plan(event, occupancy=Occupancy([running(event), running(event)]))
    assert full.closed[0].reason == "max_executions"


def test_a_waiting_retry_yields_to_an_admitted_slot():
    event = make_event()
    retry = waiting(running(event), at(60), "error", "no")
    assert plan(event, occupancy=Occupancy((), [retry])).yielded == [retry]


def test_a_waiting_retry_stays_when_the_slot_is_not_admitted():
    event = make_event()
    retry = waiting(running(event), at(60), "error", "no")
    assert plan(event, occupancy=Occupancy([running(event)], [retry])).yielded == []


def test_a_manual_trigger_uses_up_no_slot():
    decided = plan_trigger(make_event(max_runs=1), at(3), Occupancy())
    assert decided.admitted[0].trigger is Trigger.MANUAL
    assert decided.slot_count == 0


@given(
    misfire=st.sampled_from(Misfire),
    mode=st.sampled_from(Mode),
    busy=st.integers(0, 3),
    late=st.integers(0, 3_000_000).map(lambda milliseconds: milliseconds / 1000),
    grace=st.none() | st.floats(0, 3000),
    max_runs=st.none() | st.integers(1, 5),
)
def test_every_due_slot_has_exactly_one_disposition(misfire, mode, busy, late, grace, max_runs):
    event = make_event(
        misfire=misfire, mode=mode, misfire_grace=grace, max_runs=max_runs, max_executions=2
    )
    occupancy = Occupancy([running(event) for _ in range(busy)])
    decided = plan(event, slot=10, now=10 + late, occupancy=occupancy)
    due = {at(10 + 10 * k) for k in range(int(late // 10) + 1)}
    single = [run.scheduled_time for run in decided.admitted]
    for record in decided.closed:
        if record.reason == "coalesced":
            first, before = record.result["first"], record.result["before"]
            single += [slot for slot in due if first <= slot.timestamp() < before]
        else:
            single.append(record.scheduled_time)
    assert sorted(single) == sorted(due)
    assert decided.next_run is None or decided.next_run > at(10 + late)
