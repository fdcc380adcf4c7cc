"""What the documentation shows is run."""

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from alicia_scheduler.config.document import Document
from alicia_scheduler.config.load import configuration
from alicia_scheduler.host.check import check_configuration
from alicia_scheduler.host.discovery import find_candidates
from alicia_scheduler.host.loader import load_plugins
from alicia_scheduler.host.registry import Registry

HOLIDAYS = """BEGIN:VCALENDAR
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20261221
DTEND;VALUE=DATE:20270103
END:VEVENT
END:VCALENDAR
"""

DOCS = Path(__file__).parent.parent / "docs"


def blocks(language):
    """Every block of a language of every page, named by its page."""
    block = re.compile(rf"```{language}\n(.*?)```", re.DOTALL)
    return [
        pytest.param(text, id=f"{page.relative_to(DOCS)}:{number}")
        for page in sorted(DOCS.rglob("*.md"))
        for number, text in enumerate(block.findall(page.read_text()))
    ]


@pytest.mark.parametrize("block", blocks("python"))
async def test_a_python_block_of_the_documentation_runs(block, autojump_clock):
    names = {}
    # In a thread, where a block may have a trio.run of its own.
    await trio.to_thread.run_sync(exec, compile(block, "docs", "exec"), names)
    for name, function in names.items():
        if name.startswith("test_"):
            await function(autojump_clock)


@pytest.fixture(scope="module")
def registry():
    """What is installed here."""
    return Registry(load_plugins(find_candidates()))


def provide(block, folder, monkeypatch):
    """Put a value wherever the block says that its secrets come from, and a calendar."""
    folder.joinpath("holidays.ics").write_text(HOLIDAYS)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    for source in tomllib.loads(block).get("secrets", {}).values():
        if "env" in source:
            monkeypatch.setenv(source["env"], "a value")
        else:
            file = folder / (source.get("file") or source["credential"])
            file.parent.mkdir(exist_ok=True)
            file.write_text("a value")


@pytest.mark.parametrize("block", blocks("toml"))
def test_a_toml_block_of_the_documentation_is_a_right_configuration(
    block, registry, tmp_path, monkeypatch
):
    provide(block, tmp_path, monkeypatch)
    loaded = configuration(Document.parse(block, str(tmp_path / "home.toml")))
    checked = check_configuration(loaded, registry, now=datetime.now(UTC))
    assert [str(issue) for issue in checked.issues] == []
    absent = [said for said in checked.unresolved if "there is no event" not in said]
    assert absent == []  # other events may be on another page
