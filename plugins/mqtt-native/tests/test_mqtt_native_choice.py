"""Which of the two connections runs: one line of the configuration says so."""

from datetime import UTC, datetime

import pytest

import alicia_mqtt
import alicia_mqtt_native
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.load import configuration
from alicia_scheduler.host.check import check_configuration
from alicia_scheduler.host.loader import Contributions, PluginRecord
from alicia_scheduler.host.registry import Registry
from alicia_sink_mqtt import alicia_sinks

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def plugin(name, **contributions):
    return PluginRecord(name, f"alicia-{name}", "1", contributions=Contributions(**contributions))


def checked(text):
    plugins = [
        # In this order, as if the faster one were found first.
        plugin("mqtt-native", services=list(alicia_mqtt_native.alicia_services())),
        plugin("mqtt", services=list(alicia_mqtt.alicia_services())),
        plugin("sink-mqtt", sinks=list(alicia_sinks())),
    ]
    loaded = configuration(Document.parse(text, "home.toml"))
    found = check_configuration(loaded, Registry(plugins), now=NOW)
    return [service.offer.type.name for service in found.services], found.issues


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("[sinks.mqtt]", "mqtt"),
        ("[sinks.mqtt]\n[services.mqtt]", "mqtt"),
        ("[sinks.mqtt]\n[services.mqtt_native]", "mqtt_native"),
    ],
)
def test_the_faster_one_runs_where_it_is_configured_and_nowhere_else(text, service):
    assert checked(text) == ([service], [])


def test_both_at_the_same_time_are_a_mistake_that_says_what_to_do():
    _, [issue] = checked("[services.mqtt]\n[services.mqtt_native]")
    assert issue.path[0] == "services"
    assert "only one can run" in str(issue)
    assert "remove [services.mqtt" in str(issue)
