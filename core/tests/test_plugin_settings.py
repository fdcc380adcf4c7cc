"""`[plugins.<name>]`: the host's word to a plugin, and actions that it forbids."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from msgspec import Struct

from alicia_scheduler.api import ActionType, ConfigError
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.load import configuration
from alicia_scheduler.host.check import check_configuration, disabled_plugins
from alicia_scheduler.host.context import Surroundings
from alicia_scheduler.host.loader import Contributions, PluginRecord, PluginStatus
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.host.resolver import Resolver
from alicia_scheduler.kernel.clock import SystemClock
from alicia_scheduler.kernel.notifications import Notifier
from alicia_scheduler.testing.kernel import make_event

NOW = datetime(2026, 3, 1, tzinfo=UTC)

EVENT = """
[events.loud]
schedule_type = "cron"
schedule_config = { expression = "0 7 * * *" }
action = { type = "horn.blow", volume = 9 }
"""


class HornConfig(Struct, forbid_unknown_fields=True):
    volume: int = 1


class HornSettings(Struct, forbid_unknown_fields=True):
    loudest: int = 5


@asynccontextmanager
async def open_horn(context):
    yield context


def not_too_loud(config, settings):
    if settings is not None and config.volume > settings.loudest:
        raise ConfigError("too loud", path=("volume",), hint=f"at most {settings.loudest}")


def horn(*, settings=HornSettings, status=PluginStatus.ACTIVE):
    kind = ActionType(name="horn.blow", config=HornConfig, open=open_horn, check=not_too_loud)
    offered = Contributions(action_types=[kind], settings=settings)
    return PluginRecord("horn", "dist-horn", "1", status=status, contributions=offered)


def checked(text, *plugins):
    loaded = configuration(Document.parse(text, "home.toml"))
    disabled_plugins(loaded)
    return [str(issue) for issue in check_configuration(loaded, Registry(plugins), now=NOW).issues]


def test_a_plugins_settings_are_its_table_without_the_hosts_keys():
    plugin = horn()
    assert checked("[plugins.horn]\nenabled = true\nloudest = 7\n", plugin) == []
    assert plugin.settings == HornSettings(loudest=7)


def test_without_a_table_they_are_the_defaults():
    plugin = horn()
    assert checked("", plugin) == []
    assert plugin.settings == HornSettings()


def test_a_mistake_in_them_has_its_line():
    issues = checked("[plugins.horn]\nlouddest = 7\n", horn())
    assert issues == [
        "home.toml:2: plugins.horn.louddest: unknown key 'louddest' (did you mean 'loudest'?)"
    ]


def test_a_plugin_without_settings_takes_the_hosts_keys_alone():
    issues = checked("[plugins.horn]\nenabeld = false\n", horn(settings=None))
    assert len(issues) == 1
    assert "did you mean 'enabled'?" in issues[0]


def test_keys_of_a_plugin_that_is_not_there_wait_for_it():
    assert checked("[plugins.horn]\nloudest = 7\n") == []
    assert checked("[plugins.horn]\nx = 7\n", horn(status=PluginStatus.DISABLED)) == []


def test_a_wrong_enabled_is_told_once():
    issues = checked('[plugins.horn]\nenabled = "no"\n', horn())
    assert len(issues) == 1


def test_an_action_that_the_settings_forbid_is_a_mistake_of_the_event():
    issues = [issue for issue in checked(EVENT, horn()) if "schedule_type" not in issue]
    assert issues == ["home.toml:5: events.loud.action.volume: too loud (at most 5)"]


def test_an_action_that_the_settings_allow_is_none():
    issues = checked(EVENT + "[plugins.horn]\nloudest = 10\n", horn())
    assert [issue for issue in issues if "schedule_type" not in issue] == []


def test_an_event_that_comes_later_is_held_against_them_too(monkeypatch):
    plugin = horn()
    plugin.settings = HornSettings()
    resolver = Resolver(Registry([plugin]), configuration(Document.parse("")).settings, {})
    monkeypatch.setattr("alicia_scheduler.host.resolver.build_schedule", lambda *_: None)
    loud = make_event(action={"type": "horn.blow", "volume": 9})
    with pytest.raises(ConfigError, match=r"action.volume: too loud"):
        resolver.prepare(loud, NOW)


def test_a_plugins_parts_see_them():
    plugin = horn()
    plugin.settings = HornSettings(loudest=7)
    clock = SystemClock()
    context = Surroundings("alicia", clock, Notifier(clock)).context(plugin)
    assert (context.plugin, context.settings) == ("horn", HornSettings(loudest=7))
