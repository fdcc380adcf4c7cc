"""Whatever people, time and power cuts do: every due slot has exactly one record."""

from datetime import timedelta

import pytest
import trio.testing
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec.structs import replace
from tests.machine.steps import Steps

from alicia_scheduler.api import OnInterrupted
from alicia_scheduler.kernel import accounts, kernel, ledger, loop
from alicia_scheduler.kernel.catalog import Catalog

COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def test_every_slot_has_one_record():
    few = settings(max_examples=15, stateful_step_count=20, derandomize=True, **COMMON)
    run_state_machine_as_test(Steps, settings=few)


@pytest.mark.slow
def test_every_slot_has_one_record_in_many_lives():
    many = settings(max_examples=300, stateful_step_count=40, print_blob=True, **COMMON)
    run_state_machine_as_test(Steps, settings=many)


# -- the check sees what is wrong ----------------------------------------------------------------


def drop_a_slot(monkeypatch):
    """One slot in five is passed over without a word."""
    planned = kernel.plan_slot

    def plan_slot(event, state, schedule, slot, *arguments, **named):
        plan = planned(event, state, schedule, slot, *arguments, **named)
        if int(slot.timestamp()) % 5 == 0:
            plan.admitted.clear()
            plan.closed.clear()
        return plan

    monkeypatch.setattr(kernel, "plan_slot", plan_slot)


def leave_out_the_next_slot(monkeypatch):
    """The next slot is computed from the one after the next."""
    planned = kernel.plan_slot

    def plan_slot(event, state, schedule, slot, *arguments, **named):
        plan = planned(event, state, schedule, slot, *arguments, **named)
        if plan.next_run is not None:
            plan.next_run = schedule.next_after(plan.next_run)
        return plan

    monkeypatch.setattr(kernel, "plan_slot", plan_slot)


def do_not_recover(monkeypatch):
    """What a power cut left is left as it is."""

    async def recover(_kernel):
        pass

    monkeypatch.setattr(loop, "recover", recover)


def run_again_what_must_not(monkeypatch):
    """``on_interrupted = "fail"`` is taken for ``"rerun"``."""
    entry = Catalog.entry

    def mistaken(catalog, event, state):
        return entry(catalog, replace(event, on_interrupted=OnInterrupted.RERUN), state)

    monkeypatch.setattr(Catalog, "entry", mistaken)


def count_twice(monkeypatch):
    """Each execution that ends is counted twice."""
    settled = ledger.settled

    def twice(*arguments):
        state = settled(*arguments)
        return replace(state, run_count=state.run_count + 1)

    monkeypatch.setattr(accounts.ledger, "settled", twice)


def act_before_mark(monkeypatch):
    """Runs are launched, and committed when they have acted."""
    carry_out = kernel.Kernel.carry_out

    async def hasty(self, decision):
        for run in decision.launches:
            self.runner.launch(run)
        decision.queued += decision.launches
        decision.launches = []
        await trio.testing.wait_all_tasks_blocked()
        await carry_out(self, decision)

    monkeypatch.setattr(kernel.Kernel, "carry_out", hasty)


def begin_too_early(monkeypatch):
    """The clock of the planner is ahead."""
    handle = kernel.plan_slot

    def plan_slot(event, state, schedule, slot, now, *arguments, **named):
        ahead = now + timedelta(seconds=30)
        return handle(event, state, schedule, slot, ahead, *arguments, **named)

    monkeypatch.setattr(kernel, "plan_slot", plan_slot)


DEFECTS = {
    drop_a_slot: "number of records",
    leave_out_the_next_slot: "number of records|follows",
    do_not_recover: "left open",
    run_again_what_must_not: "had a second effect",
    count_twice: "counted",
    act_before_mark: "an effect without a record|an end was told twice",
    begin_too_early: "not due",
}
"""Each with what is said when it is found."""


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_the_accounts_find_a_planted_defect(monkeypatch, defect):
    defect(monkeypatch)
    some = settings(
        max_examples=60,
        stateful_step_count=30,
        phases=[Phase.generate],
        derandomize=True,
        report_multiple_bugs=False,
        **COMMON,
    )
    with pytest.raises(AssertionError, match=DEFECTS[defect]):
        run_state_machine_as_test(Steps, settings=some)
