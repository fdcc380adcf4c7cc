"""What the README shows is right, and nothing is left out of it."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from alicia_scheduler.config.convert import convert
from alicia_service_alicia_bus import AliciaBusConfig
from alicia_service_alicia_bus.completion import _report
from alicia_service_alicia_bus.envelope import unwrap
from alicia_service_alicia_bus.flat import FLAT_COMMANDS

README = Path(__file__).parent.parent.joinpath("README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_its_configuration_is_right():
    for block in blocks("toml"):
        convert(tomllib.loads(block)["services"]["alicia_bus"], AliciaBusConfig)


def test_its_report_is_one():
    (block,) = blocks("json")
    assert _report(unwrap(block.encode())).result == {"rows": 3}


@pytest.mark.parametrize("option", AliciaBusConfig.__struct_fields__)
def test_each_option_is_in_a_table(option):
    assert re.search(rf"^\|[^|]*`{option}`[^|]*\|", README, re.MULTILINE)


@pytest.mark.parametrize("command", FLAT_COMMANDS)
def test_each_flat_command_is_in_a_table(command):
    assert re.search(rf"^\|[^|]*`{command}`[^|]*\|", README, re.MULTILINE)


@pytest.mark.parametrize(
    "option", ["max_payload", "remember_limit", "health_interval", "default_ttl", "clock_skew"]
)
def test_the_defaults_of_bounds_are_told(option):
    default = next(
        field.default for field in msgspec.structs.fields(AliciaBusConfig) if field.name == option
    )
    (row,) = re.findall(rf"^\|[^|]*`{option}`[^|]*\|[^|]*\|", README, re.MULTILINE)
    assert f"`{default:g}`" in row or f"`{default}`" in row
