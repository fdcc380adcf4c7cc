"""Whatever people, time and power cuts do: every due slot has exactly one record."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.machine.steps import Steps

COMMON = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": True,
}


def test_every_slot_has_one_record():
    few = settings(max_examples=15, stateful_step_count=20, derandomize=True, **COMMON)
    run_state_machine_as_test(Steps, settings=few)


@pytest.mark.slow
def test_every_slot_has_one_record_in_many_lives():
    many = settings(max_examples=500, stateful_step_count=50, **COMMON)
    run_state_machine_as_test(Steps, settings=many)
