"""After kill -9 at any instant: nothing is lost, nothing is doubled, and everything has one end."""

import pytest
from tests.crash.loop import killed_in_a_loop


def accounted(outcome):
    print(outcome)
    assert not outcome.audit.findings, f"{outcome}\n{outcome.audit.findings}"
    assert outcome.exit_code == 0
    return outcome


def test_a_few_kills_lose_and_double_nothing(tmp_path):
    outcome = accounted(killed_in_a_loop(tmp_path, rounds=4, one_shots=40, seed=1))
    assert outcome.audit.slots > 80
    assert outcome.effects > 50


@pytest.mark.slow
def test_two_hundred_kills_lose_and_double_nothing(tmp_path):
    outcome = accounted(killed_in_a_loop(tmp_path, rounds=200, one_shots=600, seed=2))
    assert outcome.kills.total() >= 200
    assert set(outcome.kills) == {"at start", "at an effect", "at random"}
    assert outcome.audit.reruns > 0


DEFECTS = {
    "acknowledged_before_it_is_durable": {
        "effect without a row",
        "told and not kept",
        "number told twice",
    },
    "no_recovery": {"broken off"},
    "interrupted_runs_are_always_run_again": {"doubled effect"},
    "completed_before_the_action": {"completed without an effect"},
    "slots_are_dropped": {"lost slot"},
}
"""Each with the promises that it breaks."""


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS)
def test_the_loop_finds_a_planted_defect(tmp_path, defect):
    outcome = killed_in_a_loop(
        tmp_path, rounds=10, one_shots=200, seed=3, defect=defect, patience=20
    )
    print(outcome)
    assert set(outcome.audit.findings.broken) & DEFECTS[defect], outcome.audit.findings
