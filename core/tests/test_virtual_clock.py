"""The verbs of the virtual clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from alicia_scheduler.testing.clock import START, VirtualClock


async def test_crossing_a_clock_change_ends_as_long_after_it_as_it_began_before(autojump_clock):
    clock = VirtualClock()
    change = await clock.cross_dst(ZoneInfo("Europe/Berlin"), margin=60)
    assert change.at == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert clock.now() == change.at + timedelta(seconds=60)
    assert clock.elapsed() == 120


async def test_a_zone_without_clock_changes_cannot_be_crossed(autojump_clock):
    clock = VirtualClock()
    with pytest.raises(ValueError, match="the clocks of Asia/Tokyo are not changed"):
        await clock.cross_dst(ZoneInfo("Asia/Tokyo"))
    assert clock.now() == START


async def test_a_power_cut_ends_what_is_powered_and_time_goes_on(autojump_clock):
    clock = VirtualClock()
    went_on = False
    with clock.powered():
        clock.lose_power(600)
        await clock.advance(1)
        went_on = True
    assert not went_on
    assert clock.now() == START + timedelta(seconds=600)


async def test_what_failed_under_power_is_not_cut_later(autojump_clock):
    clock = VirtualClock()
    with pytest.raises(ZeroDivisionError), clock.powered():
        _ = 1 / 0
    clock.lose_power(600)
    assert clock._powered == []


async def test_a_machine_without_a_battery_boots_at_the_time_that_is_told(autojump_clock):
    clock = VirtualClock()
    boot = datetime(1970, 1, 1, tzinfo=UTC)
    clock.lose_power(600, boots_at=boot)
    assert clock.now() == boot
    assert clock.elapsed() == 600


async def test_a_step_moves_the_wall_clock_and_a_suspend_both(autojump_clock):
    clock = VirtualClock()
    clock.step(-60)
    assert (clock.now(), clock.elapsed()) == (START - timedelta(seconds=60), 0)
    clock.suspend(90)
    assert (clock.now(), clock.elapsed()) == (START + timedelta(seconds=30), 90)
