"""The random steps: what people, time and power cuts do to a scheduler."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace
from tests.machine.accounts import (
    Known,
    Span,
    check_effects,
    check_event,
    check_notifications,
)
from tests.machine.world import World

from alicia_scheduler.api import Misfire, Mode, OnInterrupted, Status, to_epoch
from alicia_scheduler.kernel.definitions import SCHEDULE_FIELDS, save_event
from alicia_scheduler.kernel.steering import pause, resume, skip_next, unskip
from alicia_scheduler.testing.kernel import make_event

__all__ = ["Steps"]

LONG = 200_000.0
"""Seconds in which whatever is open comes to its end."""

PERIODS = st.sampled_from([7.0, 61.0, 600.0, 3600.0])
SECONDS = st.sampled_from([0.3, 4.0, 33.3, 700.1, 5000.7])
OUTAGES = st.sampled_from([0.2, 8.0, 300.0, 9000.5])

ACTIONS = st.one_of(
    st.just({"type": "note"}),
    st.builds(lambda s: {"type": "slow", "seconds": s}, st.sampled_from([1.0, 20.0, 500.0])),
    st.builds(lambda n: {"type": "flaky", "failing": n}, st.integers(1, 4)),
)
POLICIES = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(Mode),
        "max_executions": st.integers(1, 3),
        "misfire": st.sampled_from(Misfire),
        "misfire_grace": st.sampled_from([None, 5.0, 1e6]),
        "on_interrupted": st.sampled_from(OnInterrupted),
        "max_retries": st.integers(0, 2),
        "retry_delay": st.sampled_from([0.5, 10.0, 100.0]),
        "timeout": st.sampled_from([15.0, 300.0]),
        "max_runs": st.sampled_from([None, None, 3]),
        "jitter": st.sampled_from([0.0, 0.0, 5.0]),
        "action": ACTIONS,
    }
)


class Steps(RuleBasedStateMachine):
    """One life of a scheduler. After each step all accounts must be whole."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World.start()
        self.known: dict[str, Known] = {}
        self.ended: dict[str, object] = {}

    def teardown(self) -> None:
        try:
            if self.world.machine is not None:
                self.everything_ends()
        finally:
            self.world.end()

    # -- definitions ---------------------------------------------------------------------

    @initialize(policy=POLICIES, period=PERIODS)
    def begins_with_an_event(self, policy, period):
        self.make_a_repeating_event(policy, "every", period)

    @rule(policy=POLICIES, kind=st.sampled_from(["every", "clock"]), period=PERIODS)
    def make_a_repeating_event(self, policy, kind, period):
        if len(self.known) < 4:
            self._save(self._new_id(), schedule_type=kind, period=period, policy=policy)

    @rule(policy=POLICIES, offsets=st.lists(st.integers(1, 5000), min_size=1, max_size=4))
    def make_an_event_with_fixed_slots(self, policy, offsets):
        if len(self.known) < 4:
            now = to_epoch(self.world.clock_now())
            epochs = sorted({now + offset for offset in offsets})
            self._save(self._new_id(), schedule_type="at", epochs=epochs, policy=policy)

    @rule(which=st.integers(0), period=PERIODS)
    def edit_the_schedule(self, which, period):
        known = self._chosen(which)
        config = {"seconds": period}
        self._save_event(replace(known.event, schedule_type="every", schedule_config=config))

    @rule(which=st.integers(0), policy=POLICIES)
    def edit_the_policy(self, which, policy):
        known = self._chosen(which)
        kept = {name: getattr(known.event, name) for name in ("mode", "max_executions", "max_runs")}
        kept["on_interrupted"] = known.event.on_interrupted
        self._save_event(make_like(known.event, policy | kept))

    @rule(which=st.integers(0))
    def enable_or_disable(self, which):
        known = self._chosen(which)
        self._save_event(replace(known.event, enabled=not known.event.enabled))

    # -- steering ------------------------------------------------------------------------

    @rule(which=st.integers(0))
    def trigger(self, which):
        self.world.do(self._kernel.trigger, self._chosen(which).event.event_id)

    @rule(which=st.integers(0), seconds=SECONDS)
    def pause_for_a_while(self, which, seconds):
        until = self.world.clock_now() + timedelta(seconds=seconds)
        self.world.do(pause, self._kernel, self._chosen(which).event.event_id, until)

    @rule(which=st.integers(0))
    def resume(self, which):
        self.world.do(resume, self._kernel, self._chosen(which).event.event_id)

    @rule(which=st.integers(0))
    def skip_the_next_slot(self, which):
        self.world.do(skip_next, self._kernel, self._chosen(which).event.event_id)

    @rule(which=st.integers(0))
    def take_a_skip_back(self, which):
        self.world.do(unskip, self._kernel, self._chosen(which).event.event_id)

    @precondition(lambda self: self._open())
    @rule(which=st.integers(0))
    def cancel(self, which):
        executions = self._open()
        execution = executions[which % len(executions)]
        self.world.do(self._kernel.cancel, execution.execution_id, "asked")

    # -- time and power ------------------------------------------------------------------

    @rule(seconds=SECONDS)
    def time_passes(self, seconds):
        self.world.do(self.world.pass_time, seconds)

    @rule(seconds=OUTAGES)
    def the_machine_sleeps(self, seconds):
        async def sleep():
            self.world.clock.suspend(seconds)

        self.world.do(sleep)

    @rule(seconds=OUTAGES)
    def the_power_is_cut(self, seconds):
        self.world.do(self.world.power_off, seconds)

    @rule(number=st.integers(1, 6), applied=st.booleans(), within=SECONDS, seconds=OUTAGES)
    def the_power_is_cut_at_a_commit(self, number, applied, within, seconds):
        self.world.do(self.world.power_off_at_commit, number, applied, within, seconds)

    # -- what must hold ------------------------------------------------------------------

    @invariant()
    def the_accounts_are_whole(self):
        history = self._history()
        now = self.world.clock_now()
        events = {event_id: known.event for event_id, known in self.known.items()}
        check_effects(events, self.world.effects, history, self.world.together)
        for known in self.known.values():
            event_id = known.event.event_id
            own = [run for run in history if run.event_id == event_id]
            check_event(known, self._state(event_id), own, now)
        check_notifications(self.world.told, history)
        for run in history:
            before = self.ended.setdefault(run.execution_id, run) if run.status.final else None
            assert before in (None, run), f"two ends: {before} and {run}"

    def everything_ends(self):
        """With all events disabled and enough time, nothing is left open."""
        for known in list(self.known.values()):
            if known.event.enabled:
                self._save_event(replace(known.event, enabled=False))
        self.world.do(self.world.pass_time, LONG)
        assert not self._open(), f"left open: {self._open()[:3]}"

    # -- the rest ------------------------------------------------------------------------

    @property
    def _kernel(self):
        return self.world.machine.kernel

    def _new_id(self):
        return f"event-{len(self.known)}"

    def _chosen(self, which):
        return list(self.known.values())[which % len(self.known)]

    def _save(self, event_id, *, schedule_type, policy, period=None, epochs=None):
        config = {"epochs": epochs} if epochs else {"seconds": period}
        self._save_event(
            make_event(event_id, schedule_type=schedule_type, schedule_config=config, **policy)
        )

    def _save_event(self, event):
        now = self.world.clock_now()
        known = self.known.setdefault(event.event_id, Known(event))
        self.world.do(save_event, self._kernel, event)
        old, known.event = known.event, event
        same = all(getattr(old, name) == getattr(event, name) for name in SCHEDULE_FIELDS)
        if known.spans and same:
            known.spans[-1].event = event
            return
        if known.spans:
            known.spans[-1].until = now
        known.spans.append(Span(event, now))

    def _history(self):
        return self.world.do(self.world.history)

    def _open(self):
        return [run for run in self._history() if run.status in (Status.PENDING, Status.RUNNING)]

    def _state(self, event_id):
        return self.world.do(self.world.state, event_id)


def make_like(event, fields):
    """The event with other fields, converted as a configuration converts them."""
    return replace(
        make_event(**fields),
        **{
            name: getattr(event, name)
            for name in ("event_id", "name", "schedule_type", "schedule_config", "enabled")
        },
    )
