"""What the documentation shows is run."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from alicia_scheduler.cli.main import main

DOCS = Path(__file__).parent.parent / "docs"


BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def python_blocks():
    """Every Python block of every page, named by its page."""
    return [
        pytest.param(block, id=f"{page.relative_to(DOCS)}:{number}")
        for page in sorted(DOCS.rglob("*.md"))
        for number, block in enumerate(BLOCK.findall(page.read_text()))
    ]


@pytest.mark.parametrize("block", python_blocks())
async def test_a_python_block_of_the_documentation_runs(block, autojump_clock):
    names = {}
    exec(compile(block, "docs", "exec"), names)
    for name, function in names.items():
        if name.startswith("test_"):
            await function(autojump_clock)


CONFIGURATION = re.compile(r"```toml\n(# home\.toml\n.*?)```", re.DOTALL)
HOLIDAYS = """BEGIN:VCALENDAR
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20261221
DTEND;VALUE=DATE:20270103
END:VEVENT
END:VCALENDAR
"""


def configurations():
    """Every whole configuration of every page: a TOML block that begins with its file's name."""
    return [
        pytest.param(block, id=f"{page.relative_to(DOCS)}:{number}")
        for page in sorted(DOCS.rglob("*.md"))
        for number, block in enumerate(CONFIGURATION.findall(page.read_text()))
    ]


@pytest.mark.parametrize("block", configurations())
def test_a_configuration_of_the_documentation_passes_the_check(block, tmp_path):
    tmp_path.joinpath("holidays.ics").write_text(HOLIDAYS)
    file = tmp_path / "home.toml"
    file.write_text(block)
    result = CliRunner().invoke(main, ["check", str(file)])
    assert result.exit_code == 0, result.stderr
