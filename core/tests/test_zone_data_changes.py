"""The rules of time zones change while a host is off or runs."""

import zoneinfo
from datetime import timedelta

import trio

from alicia_scheduler.api import StoreError, to_epoch
from alicia_scheduler.host import zonedata
from alicia_scheduler.host.zonedata import follow_zone_data, zone_data_version
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.kernel import At, make_event, running_kernel


def at(seconds):
    return START + timedelta(seconds=seconds)


def moving(under_test, slots):
    """Let every schedule of the calendar have these slots, as new rules would."""
    prepare = under_test.types.prepare

    def prepared(event, anchor):
        from dataclasses import replace

        plain = prepare(event, anchor)
        if event.schedule_type != "at":
            return plain
        return replace(plain, schedule=At(tuple(map(at, slots))))

    under_test.types.prepare = prepared


async def test_new_rules_move_the_next_slot_of_calendars_and_leave_intervals(
    autojump_clock, monkeypatch
):
    version = "2026a"

    async def run_sync(function):
        return version

    monkeypatch.setattr(zonedata.trio.to_thread, "run_sync", run_sync)
    event = make_event(schedule_type="at", schedule_config={"epochs": [to_epoch(at(500_000))]})
    async with running_kernel() as under_test, trio.open_nursery() as nursery:
        await save_event(under_test.kernel, event)
        await save_event(
            under_test.kernel, make_event("interval", schedule_config={"seconds": 1e6})
        )
        nursery.start_soon(follow_zone_data, under_test.kernel)
        await trio.sleep(10)
        assert under_test.told("calendars_replanned") == []
        moving(under_test, [400_000])
        version = "2026b"
        await trio.sleep(2 * 86_400)
        records = await under_test.store.records(["event", "interval"])
        assert records["event"].state.next_run == at(400_000)
        assert records["interval"].state.next_run == at(1_000_000)
        assert under_test.told("calendars_replanned")[0]["moved"] == 1
        nursery.cancel_scope.cancel()


def test_the_version_of_the_systems_data_is_its_release(tmp_path, monkeypatch):
    tmp_path.joinpath("tzdata.zi").write_text("# version 2026b\nR ...")
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path),))
    assert zone_data_version() == "version 2026b"


def test_without_system_data_the_package_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path),))
    assert zone_data_version().startswith("package 20")


async def test_a_store_that_cannot_be_read_when_the_rules_are_compared_ends_nothing(
    autojump_clock, monkeypatch
):
    async def run_sync(function):
        return "2026a"

    monkeypatch.setattr(zonedata.trio.to_thread, "run_sync", run_sync)
    async with running_kernel() as under_test, trio.open_nursery() as nursery:
        facts = under_test.store.facts
        broken = True

        async def some_facts():
            if broken:
                raise StoreError("no")
            return await facts()

        monkeypatch.setattr(under_test.store, "facts", some_facts)
        nursery.start_soon(follow_zone_data, under_test.kernel)
        await trio.sleep(1)
        broken = False
        await trio.sleep(2 * 86_400)
        assert (await facts())["zone_data"] == "2026a"
        nursery.cancel_scope.cancel()
