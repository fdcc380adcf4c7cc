"""After a power cut at any instant the store opens clean and holds all that was promised (R18)."""

import pytest
from tests.powercut.cuts import boot, cut_often, recorded_run


def test_a_cut_leaves_a_clean_store_with_all_that_was_promised(tmp_path):
    recorded = recorded_run(tmp_path)
    verdicts = cut_often(recorded, tmp_path, instants=20, seed=1)
    print(verdicts)
    assert verdicts.broken == {}, verdicts


@pytest.mark.slow
def test_hundreds_of_cuts_leave_a_clean_store_with_all_that_was_promised(tmp_path):
    recorded = recorded_run(tmp_path)
    verdicts = cut_often(recorded, tmp_path, instants=300, seed=2)
    print(verdicts)
    assert verdicts.broken == {}, verdicts
    assert verdicts.images.total() == 900
    for number in range(10):
        assert boot(recorded, tmp_path / f"boot-{number}", seed=number) == (0, [])


@pytest.mark.parametrize("defect", ["forgets_to_sync", "acknowledged_before_it_is_durable"])
@pytest.mark.slow
def test_the_cuts_find_a_planted_defect(tmp_path, defect):
    verdicts = cut_often(recorded_run(tmp_path, defect=defect), tmp_path, instants=40, seed=3)
    print(verdicts)
    assert "effect without a row" in verdicts.broken
    assert "told and forgotten" in verdicts.broken
