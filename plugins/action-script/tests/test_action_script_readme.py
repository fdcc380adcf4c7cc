"""What the README shows is right, and nothing is left out of it."""

import re
import tomllib
from pathlib import Path

import pytest

from alicia_action_script.config import Limits, ScriptConfig, ScriptSettings
from alicia_scheduler.config.convert import convert

README = Path(__file__).parent.parent.joinpath("README.md").read_text()
BLOCKS = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", README, re.DOTALL)]


def test_its_event_is_right():
    action = BLOCKS[0]["events"]["backup"]["action"]
    assert action.pop("type") == "script_execution"
    convert(action, ScriptConfig)


def test_its_settings_are_right():
    settings = convert(BLOCKS[1]["plugins"]["action-script"], ScriptSettings)
    assert settings == ScriptSettings(shell=True)


@pytest.mark.parametrize("option", [*ScriptConfig.__struct_fields__, *Limits.__struct_fields__])
def test_each_option_has_a_row(option):
    assert f"\n| `{option}` |" in README
