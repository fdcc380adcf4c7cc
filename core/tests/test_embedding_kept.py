"""What an embedded host is configured with, and what it keeps in a state directory. In real time,
as a store in a file works in threads, which virtual time does not wait for."""

import subprocess
import sys

import pytest
import trio
from msgspec import Struct

import alicia_scheduler
from alicia_scheduler import ConfigError, Host
from alicia_scheduler.api import ScheduleType, Status, StoreError, hookimpl
from alicia_scheduler.config.settings import Settings
from alicia_scheduler.testing.kernel import Every

HOURLY = {"schedule_type": "test.every", "schedule_config": {"seconds": 3600}}


class EveryConfig(Struct, forbid_unknown_fields=True):
    seconds: float


class Plugin:
    """Brings the schedule type ``test.every``."""

    @hookimpl
    def alicia_schedule_types(self):
        yield ScheduleType(
            name="test.every",
            config=EveryConfig,
            build=lambda config, context: Every(context.anchor, config.seconds),
            elapsed=True,
            summary="every so many seconds",
        )


def host(config=None, **options):
    return Host(config, plugins=(), extra_plugins={"test": Plugin()}, **options)


async def done():
    return "done"


async def test_a_cancelled_program_ends_the_host_in_order(tmp_path):
    with trio.CancelScope() as scope:
        async with host(state_dir=tmp_path) as running:
            await running.add_event("lamp", action=trio.sleep_forever, **HOURLY)
            started = await running.trigger("lamp")
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    async with host(state_dir=tmp_path) as running:
        assert not running.kernel.records.unclean
        left = await running.kernel.store.execution(started.execution_id)
    assert left.status in (Status.CANCELLED, Status.INTERRUPTED)


async def test_a_program_that_is_cancelled_while_it_enters_the_block_goes_on_at_once(tmp_path):
    for seconds in (0, 0.01, 0.05, 0.1, 0.2):
        with trio.move_on_after(seconds):
            async with host(state_dir=tmp_path):
                await trio.sleep_forever()
    async with host(state_dir=tmp_path) as running:
        assert running.kernel.store.durable


# -- what is kept ----------------------------------------------------------------------------


async def test_a_stored_event_whose_function_is_not_given_again_is_unresolved(tmp_path):
    async with host(state_dir=tmp_path) as running:
        await running.add_event("lamp", action=done, **HOURLY)
    async with host(state_dir=tmp_path) as running:
        assert (await running.event("lamp")).event.action == {"type": "function", "name": "lamp"}
        with pytest.raises(ValueError, match="the program has given no function 'lamp'"):
            await running.trigger("lamp")


async def test_a_stored_event_comes_alive_when_it_is_added_again(tmp_path):
    async with host(state_dir=tmp_path) as running:
        before = await running.add_event("lamp", action=done, **HOURLY)
    async with host(state_dir=tmp_path) as running:
        record = await running.add_event("lamp", action=done, **HOURLY)
        assert (record.event, record.state.next_run) == (before.event, before.state.next_run)
        ended = await running.wait((await running.trigger("lamp")).execution_id)
    assert ended.result == {"value": "done"}


async def test_a_function_given_before_the_block_is_there_for_stored_events(tmp_path):
    async with host(state_dir=tmp_path) as running:
        await running.add_event("lamp", action=done, **HOURLY)
    again = host(state_dir=tmp_path)

    @again.action("lamp")
    async def lamp():
        return "alive"

    async with again:
        ended = await again.wait((await again.trigger("lamp")).execution_id)
    assert ended.result == {"value": "alive"}


async def test_two_hosts_on_one_state_directory_are_refused(tmp_path):
    async with host(state_dir=tmp_path):
        with pytest.raises(StoreError):
            async with host(state_dir=tmp_path):
                pass


# -- configuration ---------------------------------------------------------------------------


async def test_a_file_is_a_configuration(tmp_path):
    file = tmp_path / "home.toml"
    file.write_text(
        '[scheduler]\nstate_dir = "kept"\ninstance = "hut"\n'
        '[events.lamp]\nschedule_type = "test.every"\nschedule_config = { seconds = 60 }\n'
        'action = { type = "function", name = "lamp" }\n'
    )
    hut = host(file)
    hut.action("lamp")(done)
    async with hut as running:
        assert (await running.event("lamp")).state.next_run is not None
    assert list((tmp_path / "kept").glob("*.db*"))


async def test_a_settings_object_is_a_configuration_and_keeps_everything_in_memory(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    async with Host(Settings(instance="hut", max_concurrent=3), plugins=()) as running:
        assert running.kernel.settings.max_concurrent == 3
        assert not running.kernel.store.durable
    assert list(tmp_path.iterdir()) == []


async def test_mistakes_are_all_told_with_their_places():
    config = {"scheduler": {"instanc": "x"}, "events": {"a": {"actoin": 1}}}
    with pytest.raises(ConfigError) as caught:
        async with Host(config, plugins=()):
            pass
    assert "scheduler.instanc" in str(caught.value)
    assert "events.a" in str(caught.value)


async def test_a_plugin_that_is_named_and_not_installed_is_told():
    with pytest.raises(ConfigError, match="'no-such-plugin'"):
        async with Host(plugins=["no-such-plugin"]):
            pass


async def test_a_brought_plugin_that_is_broken_is_told():
    class Broken:
        @hookimpl
        def alicia_schedule_types(self):
            raise OSError("no tide")

    with pytest.raises(ConfigError, match="no tide"):
        async with Host(plugins=(), extra_plugins={"tide": Broken()}):
            pass


async def test_installed_plugins_are_found_by_default():
    async with Host() as running:
        record = await running.add_event(
            "lamp", schedule_type="interval", schedule_config={"interval": 60}, action=done
        )
        assert record.state.next_run is not None


def test_importing_the_package_loads_no_host():
    program = "import alicia_scheduler, sys; sys.exit('trio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    assert alicia_scheduler.Host is Host
