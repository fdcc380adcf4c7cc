"""The plugin as a host sees it: found by its entry point, and at work."""

from __future__ import annotations

import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from alicia_scheduler.testing.host import host_in_memory

import alicia_timetable

README = Path(__file__).parent.parent / "README.md"


def test_the_entry_point_leads_to_the_plugin() -> None:
    (found,) = entry_points(group="alicia_scheduler.plugins", name="timetable")
    assert found.load() is alicia_timetable


@pytest.mark.usefixtures("virtual_clock")
async def test_a_host_loads_it_from_where_it_is_installed() -> None:
    async with host_in_memory(plugins=["timetable"]) as host:
        await host.recorded.wait_for("host_started")


def test_the_examples_of_the_readme_are_toml() -> None:
    blocks = README.read_text("utf-8").split("```toml\n")[1:]
    assert blocks
    for block in blocks:
        assert tomllib.loads(block.partition("```")[0])
