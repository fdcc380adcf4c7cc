"""The frame of the benchmarks: what is measured is judged, and what is broken is seen."""

import pytest
from benchmarks.bounds import Bound, bounds_of, judge
from benchmarks.measurement import BENCHMARKS, measurements_of


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_bound_is_about_what_is_measured(benchmark):
    measured = measurements_of(benchmark)
    for bound in bounds_of(benchmark):
        for term in (bound.terms[0], bound.terms[2]):
            assert term.split(".")[0] in measured or float(term)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_bound_insists_on_something(benchmark):
    for bound in bounds_of(benchmark):
        assert (bound.at_least is None) != (bound.at_most is None)


def test_a_ratio_is_the_median_of_the_ratios_of_each_round():
    runs = {"a.per_s": [10, 200, 30], "b.per_s": [10, 100, 10]}
    assert judge(Bound(ratio="a.per_s / b.per_s", at_least=1), runs).value == 2


def test_what_was_measured_once_is_compared_with_every_round_of_the_other():
    runs = {"a.ms": [3, 5, 8], "b.ms": [2]}
    assert judge(Bound(ratio="a.ms - b.ms", at_most=1), runs).value == 3


@pytest.mark.parametrize(
    ("bound", "failed"),
    [
        (Bound(ratio="a.ms / 1", at_most=4), True),
        (Bound(ratio="a.ms / 1", at_most=5), False),
        (Bound(ratio="a.ms / 1", at_least=5), False),
        (Bound(ratio="a.ms / 1", at_least=6), True),
    ],
)
def test_a_figure_beyond_its_bound_fails(bound, failed):
    assert judge(bound, {"a.ms": [5]}).failed is failed


def test_a_peer_that_is_absent_fails_nothing():
    verdict = judge(Bound(ratio="a.ms / peer.ms", at_least=1), {"a.ms": [5]})
    assert verdict.value is None
    assert not verdict.failed
