"""What the README shows is a right configuration, and all that there is is in it."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alicia_action_service import HomeAssistantConfig, ServiceCallConfig
from alicia_action_service.presets import PRESETS
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.load import configuration
from alicia_scheduler.host.check import check_configuration
from alicia_scheduler.host.discovery import find_candidates
from alicia_scheduler.host.loader import load_plugins
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.host.schedulercalls import SCHEDULER_CALLS

README = Path(__file__).parent.parent.joinpath("README.md").read_text()
BLOCKS = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_a_right_configuration(block):
    loaded = configuration(Document.parse(block.replace('"…"', '"token"'), "home.toml"))
    checked = check_configuration(
        loaded, Registry(load_plugins(find_candidates())), now=datetime.now(UTC)
    )
    assert [str(issue) for issue in checked.issues] == []
    assert checked.unresolved == []


@pytest.mark.parametrize("name", [call.name for call in SCHEDULER_CALLS])
def test_every_service_of_the_scheduler_is_in_it(name):
    assert f"`{name}`" in README


@pytest.mark.parametrize(
    "name",
    [*ServiceCallConfig.__struct_fields__, *HomeAssistantConfig.__struct_fields__, *PRESETS],
)
def test_every_option_and_preset_is_in_it(name):
    assert f"`{name}`" in README
