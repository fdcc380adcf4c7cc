"""rrule against dateutil's own walk from DTSTART, on naive readings, where that one is right."""

from __future__ import annotations

import datetime as datetime_module
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import SimpleNamespace
from unittest import mock

import pytest
from dateutil.rrule import rrulestr
from hypothesis import event, given, settings
from hypothesis import strategies as st

from alicia_scheduler import ConfigError, preview

CASES = 100
SLOW_CASES = 3_000
HORIZON = timedelta(days=4 * 366)
"""How far dateutil is compared."""

SPANS = {
    "SECONDLY": timedelta(hours=1),
    "MINUTELY": timedelta(days=2),
    "HOURLY": timedelta(days=30),
}
"""The same for its slow frequencies."""


def numbers(low, high, *, signed=False, most=3):
    values = st.integers(low, high)
    if signed:
        values |= values.map(lambda number: -number)
    return st.lists(values, min_size=1, max_size=most, unique=True).map(
        lambda items: ",".join(map(str, items))
    )


WEEKDAYS = st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"])
PLAIN_DAYS = st.lists(WEEKDAYS, min_size=1, max_size=4, unique=True).map(",".join)
NUMBERED_DAYS = st.lists(
    st.tuples(st.sampled_from(["1", "2", "-1", "-2", "5"]), WEEKDAYS).map("".join),
    min_size=1,
    max_size=3,
    unique=True,
).map(",".join)


@st.composite
def rules(draw):
    frequency = draw(
        st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"])
    )
    parts = [f"FREQ={frequency}"]

    def perhaps(name, values, *, chance=3):
        if draw(st.integers(0, chance)) == 0:
            parts.append(f"{name}={draw(values)}")
            return True
        return False

    perhaps("INTERVAL", st.integers(1, 9), chance=1)
    perhaps("WKST", WEEKDAYS)
    perhaps("BYMONTH", numbers(1, 12, most=5))
    weeks = frequency == "YEARLY" and perhaps("BYWEEKNO", numbers(2, 51, signed=True))
    if frequency != "WEEKLY":
        perhaps("BYMONTHDAY", numbers(1, 31, signed=True))
    if frequency not in {"MONTHLY", "WEEKLY", "DAILY"}:
        perhaps("BYYEARDAY", numbers(1, 366, signed=True))
    numbered = frequency in {"YEARLY", "MONTHLY"} and not weeks
    # dateutil takes a week number without a day for all days of that week.
    perhaps(
        "BYDAY", PLAIN_DAYS | NUMBERED_DAYS if numbered else PLAIN_DAYS, chance=0 if weeks else 1
    )
    perhaps("BYHOUR", numbers(0, 23, most=8))
    perhaps("BYMINUTE", numbers(0, 59, most=8))
    perhaps("BYSECOND", numbers(0, 59))
    if any(part.startswith("BY") for part in parts):
        perhaps("BYSETPOS", numbers(1, 4, signed=True, most=2))
    return ";".join(parts)


def dateutil_runs(rule, dtstart, after, end):
    """The same by dateutil. It looks for what never comes until the end of the calendar, whatever
    UNTIL says; so that end is brought near."""
    calendar = SimpleNamespace(**{**vars(datetime_module), "MAXYEAR": end.year})
    with mock.patch("dateutil.rrule.datetime", calendar):
        try:
            walk = rrulestr(f"{rule};UNTIL={end:%Y%m%dT%H%M%S}", dtstart=dtstart)
            return list(islice(walk.xafter(after), 5))
        except ValueError:
            return []  # it sees that nothing ever occurs


def compare(rule, dtstart, share):
    span = next((span for name, span in SPANS.items() if name in rule), HORIZON)
    end = dtstart + span
    after = dtstart + share * span - timedelta(seconds=1)
    if "WEEKLY" in rule and "BYSETPOS" in rule:
        # dateutil counts positions in the first week from dtstart on; RFC 5545 (3.3.10) counts
        # them in the whole week, and so do we.
        after = max(after, dtstart + timedelta(days=7))
    expected = dateutil_runs(rule, dtstart, after, end)
    try:
        spec = {"rrule": rule, "dtstart": dtstart.isoformat()}
        found = preview("rrule", spec, timezone="UTC", after=after.replace(tzinfo=UTC))
    except ConfigError as error:
        found = []
        never = "nothing ever occurs" in str(error)
        event(f"refused, rightly: {never}")
        if not never:
            raise
    event("some" if expected else "none")
    naive = [run.replace(tzinfo=None) for run in found]
    assert [run for run in naive if run <= end] == expected


DTSTARTS = st.datetimes(datetime(1995, 1, 1), datetime(2040, 1, 1)).map(
    lambda reading: reading.replace(microsecond=0)
)


@settings(max_examples=CASES, deadline=None)
@given(rules(), DTSTARTS, st.floats(0, 0.9))
def test_rrule_gives_what_dateutil_gives_without_a_zone(rule, dtstart, share):
    compare(rule, dtstart, share)


@pytest.mark.slow
@settings(max_examples=SLOW_CASES, deadline=None)
@given(rules(), DTSTARTS, st.floats(0, 0.9))
def test_rrule_gives_what_dateutil_gives_in_many_more_cases(rule, dtstart, share):
    compare(rule, dtstart, share)
