"""Our search for clock changes, held against the changes that the installed zone data list.

The search probes a year every other day. These tests read the data files themselves (TZif, RFC
9636) and show that no listed change escapes it.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from importlib import resources
from io import BytesIO
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from alicia_scheduler.api import clock_changes

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SINCE, UNTIL = datetime(1890, 1, 1, tzinfo=UTC), datetime(2037, 12, 31, tzinfo=UTC)

EVENTFUL = [
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Gaza",
    "Europe/Dublin",
    "Pacific/Apia",
]


def data_of(zone: str) -> bytes:
    return resources.files("tzdata").joinpath("zoneinfo", *zone.split("/")).read_bytes()


def listed_changes(data: bytes) -> set[tuple[datetime, timedelta, timedelta]]:
    """Instant, offset before and offset after of the changes in a file's 64-bit block."""
    utc_marks, std_marks, leaps, times, types, letters = struct.unpack_from(">6l", data, 20)
    second = 44 + times * 5 + types * 6 + letters + leaps * 8 + std_marks + utc_marks
    times, types = struct.unpack_from(">2l", data, second + 32)
    block = second + 44
    instants = struct.unpack_from(f">{times}q", data, block)
    kinds = struct.unpack_from(f">{times}B", data, block + times * 8)
    seconds = [struct.unpack_from(">l", data, block + times * 9 + n * 6)[0] for n in range(types)]
    offsets = [timedelta(seconds=seconds[kind]) for kind in (0, *kinds)]
    return {
        (EPOCH + timedelta(seconds=at), before, after)
        for at, (before, after) in zip(instants, pairwise(offsets), strict=True)
        if before != after and SINCE < EPOCH + timedelta(seconds=at) <= UNTIL
    }


def found_changes(data: bytes) -> set[tuple[datetime, timedelta, timedelta]]:
    changes = clock_changes(SINCE, UNTIL, ZoneInfo.from_file(BytesIO(data)))
    return {(change.at, change.offset_before, change.offset_after) for change in changes}


@pytest.mark.parametrize("zone", EVENTFUL)
def test_every_listed_change_of_an_eventful_zone_is_found(zone):
    data = data_of(zone)
    listed = listed_changes(data)
    assert len(listed) > 2
    assert listed - found_changes(data) == set()


@pytest.mark.slow
def test_every_listed_change_of_every_zone_is_found():
    names = resources.files("tzdata").joinpath("zones").read_text().split()
    distinct = {data_of(name): name for name in names}
    missed = {
        name: escaped
        for data, name in distinct.items()
        if (escaped := listed_changes(data) - found_changes(data))
    }
    assert missed == {}
    assert len(distinct) > 300
