"""Every slot ends in exactly one disposition: random policies, durations, faults and power cuts,
through planner, runner and store in virtual time."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import trio
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from alicia_scheduler.api import (
    Misfire,
    Mode,
    OnInterrupted,
    Permanent,
    Retryable,
    Status,
    Trigger,
    from_epoch,
)
from alicia_scheduler.kernel import steering
from alicia_scheduler.kernel.definitions import sync_origin
from alicia_scheduler.kernel.kernel import KernelSettings
from alicia_scheduler.store.sqlite import SqliteStore
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.kernel import make_event, running_kernel

LIMITS = {"radio": 1, "disk": 2}
SLOT_TRIGGERS = (Trigger.SCHEDULE, Trigger.CATCHUP)
ENDS = {f"execution_{status}" for status in (*(s.value for s in Status if s.final), "timed_out")}
FOR_GOOD = 5000.0
"""Seconds in which everything that is under way comes to its end."""


@dataclass
class Fates:
    """An action that does what is drawn for it, over and over, and watches the limits."""

    fates: list[tuple[str, float]]
    limit_of: dict[str, str | None]
    places: int
    running: Counter[str | None] = field(default_factory=Counter)
    count: int = 0

    async def __call__(self, config, execution):
        fate, seconds = self.fates[self.count % len(self.fates)]
        self.count += 1
        limit = self.limit_of[execution.event_id]
        self.running[limit] += 1
        if limit is not None:
            assert self.running[limit] <= LIMITS[limit]
        assert sum(self.running.values()) <= self.places
        try:
            await trio.sleep(seconds)
        finally:
            self.running[limit] -= 1
        if fate == "deaf":
            with trio.CancelScope(shield=True):
                await trio.sleep(1.9)
        elif fate == "retryable":
            raise Retryable("later", after=seconds / 2 if seconds > 15 else None)
        elif fate == "permanent":
            raise Permanent("never", error_class="refused")
        elif fate == "bug":
            raise ZeroDivisionError


EVENTS = st.fixed_dictionaries(
    {
        # Clock grids, so that they are the same after each power cut.
        "schedule_type": st.just("clock"),
        "schedule_config": st.fixed_dictionaries({"seconds": st.sampled_from([0.05, 4, 7, 10])}),
        "mode": st.sampled_from(Mode),
        "max_executions": st.integers(1, 3),
        "priority": st.integers(-1, 1),
        "limit": st.sampled_from([None, "radio", "disk"]),
        "max_retries": st.integers(0, 2),
        "retry_delay": st.sampled_from([1.0, 8.0, 30.0]),
        "retry_max_age": st.sampled_from([None, 10.0, 60.0]),
        "retry_yields": st.booleans(),
        "no_retry_on": st.sampled_from([(), ("timeout",), ("ZeroDivisionError",)]),
        "pause_on_failure": st.sampled_from([None, 3]),
        "timeout": st.sampled_from([3.0, 20.0]),
        "misfire": st.sampled_from(Misfire),
        "misfire_grace": st.sampled_from([None, 100.0]),
        "jitter": st.sampled_from([0.0, 2.0]),
        "on_interrupted": st.sampled_from(OnInterrupted),
        "action": st.just({"type": "fate"}),
    }
)
FATES = st.tuples(
    st.sampled_from(["fine", "fine", "retryable", "permanent", "bug", "deaf"]),
    st.sampled_from([0.0, 0.5, 6.0, 25.0]),
)
DISTURBANCES = st.tuples(
    st.sampled_from(["trigger", "cancel", "pause", "skip", "nothing"]), st.integers(0, 2)
)


def slots_covered(history, period):
    """Every slot that a record stands for."""
    for run in history:
        if run.trigger not in SLOT_TRIGGERS:
            continue
        slot = run.scheduled_time
        yield slot
        if run.reason in ("coalesced", "min_interval"):
            before = from_epoch(run.result["before"])
            while (slot := slot + timedelta(seconds=period)) < before:
                yield slot


async def disturb(under_test, names, what, which):
    name = names[which % len(names)]
    if what == "trigger":
        await under_test.kernel.trigger(name)
    elif what == "cancel":
        for execution in (await under_test.store.unfinished())[which:]:
            await under_test.kernel.cancel(execution.execution_id, "cancelled")
    elif what == "pause":
        await steering.pause(under_test.kernel, name, under_test.clock.now() + timedelta(seconds=9))
    elif what == "skip":
        await steering.skip_next(under_test.kernel, name)


async def play(definitions, fates, lives, disturbances, host):
    """Run it all; what the store holds in the end, by event, and all ends that were told."""
    events = [make_event(f"e{n}", **fields) for n, fields in enumerate(definitions)]
    names = [item.event_id for item in events]
    ends = Counter()
    began = trio.current_time()

    def now():
        return START + timedelta(seconds=trio.current_time() - began)

    async def live(store, seconds, disturbed):
        action = Fates(fates, {item.event_id: item.limit for item in events}, host.max_concurrent)
        async with running_kernel(
            store=store, actions={"fate": action}, settings=host, start=now()
        ) as under_test:
            if store_is_new:
                await sync_origin(under_test.kernel, "test", events)
            try:
                for what, which in disturbed:
                    await trio.sleep(seconds / (len(disturbed) + 1))
                    await disturb(under_test, names, what, which)
                await trio.sleep(seconds / (len(disturbed) + 1))
                power.cancel()
            finally:
                told = under_test.notifications
                ends.update(
                    item.event_data["execution_id"] for item in told if item.event_type in ENDS
                )
                errors.extend(item.event_data for item in told if item.event_type == "error")

    errors = []
    async with SqliteStore.open(None) as store:
        store_is_new = True
        for seconds in lives:
            with trio.CancelScope() as power:
                await live(store, seconds, disturbances)
            store_is_new = False
        records = await store.records(names)
        # No more slots; all that is under way ends.
        with trio.CancelScope() as power:
            async with running_kernel(
                store=store,
                actions={"fate": Fates(fates, dict.fromkeys(names), 10_000)},
                settings=host,
                start=now(),
            ) as under_test:
                disabled = [make_event(item.event_id, **_off(item)) for item in events]
                await sync_origin(under_test.kernel, "test", disabled)
                await trio.sleep(FOR_GOOD)
                assert under_test.kernel.runner.waiting == 0
                assert under_test.kernel.runner.running == 0
        assert await store.unfinished() == []
        history = {
            name: await store.list_executions(event_id=name, limit=100_000) for name in names
        }
    return events, records, history, ends, errors


def _off(item):
    fields = {name: getattr(item, name) for name in item.__struct_fields__}
    for name in ("event_id", "created_at", "updated_at", "revision"):
        del fields[name]
    return fields | {"enabled": False, "limit": None, "pause_on_failure": None}


def check(definitions, fates, lives, disturbances, host):
    events, records, history, ends, errors = trio.run(
        play, definitions, fates, lives, disturbances, host, clock=MockClock(autojump_threshold=0)
    )
    assert {data["class"] for data in errors} <= {"rate"}
    for item in events:
        runs = history[item.event_id]
        for run in runs:
            event(f"{run.status} {run.reason}")
        period = item.schedule_config["seconds"]
        assert all(run.status.final for run in runs)
        assert all(run.end_time is not None for run in runs)
        # Each slot up to the next one exactly once.
        covered = Counter(slots_covered(runs, period))
        upcoming = records[item.event_id].state.next_run
        count = round((upcoming - START) / timedelta(seconds=period))
        expected = {START + k * timedelta(seconds=period) for k in range(1, count)}
        assert set(covered) >= expected
        assert all(times == 1 for times in covered.values())
        # No re-run without an interruption, and at the most one for each.
        interrupted = Counter(
            run.scheduled_time for run in runs if run.status is Status.INTERRUPTED
        )
        again = Counter(run.scheduled_time for run in runs if run.trigger is Trigger.RECOVERY)
        assert all(again[slot] <= interrupted[slot] for slot in again)
        assert all(run.retry_count <= item.max_retries for run in runs)
        for run in runs:
            offsets = [step.offset for step in run.steps]
            assert offsets == sorted(offsets)
    # Nothing ended twice.
    assert all(times == 1 for times in ends.values())


GIVEN = {
    "definitions": st.lists(EVENTS, min_size=1, max_size=3),
    "fates": st.lists(FATES, min_size=1, max_size=6),
    "lives": st.lists(st.sampled_from([3.0, 31.7, 62.3]), min_size=1, max_size=3),
    "disturbances": st.lists(DISTURBANCES, max_size=3),
    "host": st.builds(
        KernelSettings,
        max_concurrent=st.integers(1, 4),
        max_waiting=st.sampled_from([1, 3, 10_000]),
        limits=st.just(LIMITS),
        min_interval=st.just(2.0),
        catchup_stagger=st.just(0.2),
    ),
}


@given(**GIVEN)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_slot_ends_in_exactly_one_disposition(definitions, fates, lives, disturbances, host):
    check(definitions, fates, lives, disturbances, host)


@pytest.mark.slow
@given(**GIVEN)
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_slot_ends_in_exactly_one_disposition_at_length(
    definitions, fates, lives, disturbances, host
):
    check(definitions, fates, lives, disturbances, host)
