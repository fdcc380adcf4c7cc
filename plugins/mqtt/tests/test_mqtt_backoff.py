"""The delays between attempts to connect."""

import random

from alicia_mqtt.backoff import Backoff


class Highest(random.Random):
    """Draws the upper end of each range."""

    def uniform(self, a, b):
        return b


def test_the_ceiling_doubles_from_one_second_to_a_minute():
    backoff = Backoff(Highest())
    assert [backoff.delay() for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_delays_are_spread_from_zero_to_the_ceiling():
    delays = [Backoff(random.Random(seed)).delay() for seed in range(1000)]
    assert min(delays) < 0.01
    assert max(delays) > 0.99
    assert 0.45 < sum(delays) / 1000 < 0.55


def test_a_connection_that_held_a_minute_forgets_the_failures():
    backoff = Backoff(Highest())
    backoff.delay(), backoff.delay()
    backoff.held(60.0)
    assert backoff.delay() == 1


def test_a_connection_that_fell_at_once_does_not():
    backoff = Backoff(Highest())
    backoff.delay(), backoff.delay()
    backoff.held(59.9)
    assert backoff.delay() == 4


def test_ten_years_of_failures_do_not_overflow():
    backoff = Backoff(Highest())
    for _ in range(5_000):
        backoff.delay()
    assert backoff.delay() == 60
