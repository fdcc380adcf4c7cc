"""What the configuration refuses."""

import msgspec
import pytest

from alicia_broker import BrokerConfig
from alicia_scheduler.api import ConfigError


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "broker.example", ""])
def test_an_address_that_others_could_reach(host):
    with pytest.raises(ConfigError, match="loopback") as refusal:
        BrokerConfig(host=host)
    assert refusal.value.path == ("host",)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_the_loopback_is_fine(host):
    assert BrokerConfig(host=host).host == host


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none(port):
    with pytest.raises(ConfigError) as refusal:
        BrokerConfig(port=port)
    assert refusal.value.path == ("port",)


def test_an_unknown_key():
    with pytest.raises(msgspec.ValidationError, match="engine"):
        msgspec.convert({"engine": "mosquitto"}, BrokerConfig)
