"""Cron against an independent implementation: cronsim, within the limits in which it is right.

The limits are those of time-semantics.md §7: five fields, no ``a-a/n``, no start inside a repeated
span, and zones whose changes are whole hours, on the hour and away from midnight.
"""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from alicia_scheduler import ConfigError, preview

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Europe/Dublin", "Antarctica/Troll"]

CASES = {"compared": 0}

RANGES = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}


def item(low, high):
    """One item of a field: a star, a value, a range or steps."""
    value = st.integers(low, high)
    pair = st.tuples(value, value).map(sorted).filter(lambda ends: ends[0] < ends[1])
    step = st.integers(1, high)
    return st.one_of(
        st.just("*"),
        step.map(lambda n: f"*/{n}"),
        value.map(str),
        pair.map(lambda ends: f"{ends[0]}-{ends[1]}"),
        st.tuples(pair, step).map(lambda both: f"{both[0][0]}-{both[0][1]}/{both[1]}"),
    )


def expressions():
    fields = [
        st.lists(item(low, high), min_size=1, max_size=2).map(",".join)
        for low, high in RANGES.values()
    ]
    # Days and months mostly free, so that what is compared has slots near the start.
    free = st.just("*")
    minute, hour, day, month, weekday = fields
    return st.tuples(
        minute, hour, st.one_of(free, day), st.one_of(free, month), st.one_of(free, weekday)
    ).map(" ".join)


def near_clock_changes():
    """Instants, most of them within three days of a change in one of the zones."""
    changes = [
        datetime(year, month, day, 1, tzinfo=UTC)
        for year in range(2015, 2026)
        for month, day in ((3, 8), (3, 29), (10, 27), (11, 3))
    ]
    near = st.tuples(st.sampled_from(changes), st.integers(-3 * 86_400, 3 * 86_400)).map(
        lambda both: both[0] + timedelta(seconds=both[1])
    )
    anywhere = st.datetimes(datetime(2010, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))
    return st.one_of(near, near, anywhere)


def in_a_second_pass(instant, zone):
    return instant.astimezone(zone).fold == 1


@settings(max_examples=1500, deadline=None)
@given(expressions(), st.sampled_from(ZONES), near_clock_changes())
def test_cron_gives_what_cronsim_gives(expression, name, after):
    zone = ZoneInfo(name)
    after = after.replace(microsecond=0)
    assume(not in_a_second_pass(after, zone))
    try:
        ours = preview("cron", {"expression": expression}, timezone=name, after=after)
    except ConfigError:
        with pytest.raises(CronSimError):  # no date can ever match: both say so
            CronSim(expression, after.astimezone(zone))
        return
    theirs = islice(CronSim(expression, after.astimezone(zone)), 5)
    CASES["compared"] += 1
    assert ours == [slot.astimezone(UTC) for slot in theirs], (expression, name, after)


def test_enough_was_compared():
    assert CASES["compared"] > 1000
    print(f"cron against cronsim: {CASES['compared']} random cases")
