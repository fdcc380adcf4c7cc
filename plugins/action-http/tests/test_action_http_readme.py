"""What the README shows is right, and nothing is left out of it."""

import re
import tomllib
from pathlib import Path

import pytest

from alicia_action_http import HttpRequestConfig, HttpSettings
from alicia_action_http.settings import check_request
from alicia_scheduler.config.convert import convert

README = Path(__file__).parent.parent.joinpath("README.md").read_text()
BLOCKS = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", README, re.DOTALL)]
(SETTINGS,) = [block["plugins"]["action-http"] for block in BLOCKS if "plugins" in block]


@pytest.mark.parametrize("block", [block for block in BLOCKS if "events" in block])
def test_its_events_are_right_and_allowed_by_its_settings(block):
    action = block["events"]["report"]["action"]
    assert action.pop("type") == "http_request"
    for name, value in action["headers"].items():
        if isinstance(value, dict):
            assert value["secret"] in block["secrets"]
            action["headers"][name] = "Basic geheim"
    config = convert(action, HttpRequestConfig)
    check_request(config, convert(SETTINGS | {"allow_hosts": ["example.org"]}, HttpSettings))


def test_its_settings_are_right():
    assert convert(SETTINGS, HttpSettings).deny_hosts == ("192.168.1.1",)


@pytest.mark.parametrize(
    "option", [*HttpRequestConfig.__struct_fields__, *HttpSettings.__struct_fields__]
)
def test_each_option_is_in_a_table(option):
    assert re.search(rf"^\|[^|]*`{option}`[^|]*\|", README, re.MULTILINE)
