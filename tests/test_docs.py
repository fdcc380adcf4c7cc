"""What the documentation shows is run."""

import configparser
import json
import shutil
import subprocess
import tomllib
from datetime import UTC, datetime

import pytest
import trio
from tests.manual.fences import all_fences

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


def blocks(language):
    """Every block of a language of every page that is no file of its page's commands, named by
    its page."""
    return [
        pytest.param(fence.text, id=str(fence))
        for fence in all_fences(language)
        if fence.file is None
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
    block = block.replace('"…"', '"token"')
    provide(block, tmp_path, monkeypatch)
    loaded = configuration(Document.parse(block, str(tmp_path / "home.toml")))
    checked = check_configuration(loaded, registry, now=datetime.now(UTC))
    assert [str(issue) for issue in checked.issues] == []
    absent = [said for said in checked.unresolved if "there is no event" not in said]
    assert absent == []  # other events may be on another page


@pytest.mark.parametrize("block", blocks("json"))
def test_a_json_block_of_the_documentation_is_json(block):
    json.loads(block)


@pytest.mark.parametrize(
    "flow", [pytest.param(f.text, id=str(f)) for f in all_fences("json") if f.words == "flow"]
)
def test_a_flow_for_node_red_is_wired_to_nodes_that_are_there(flow):
    nodes = {node["id"]: node for node in json.loads(flow)}
    for node in nodes.values():
        ends = {end for wire in node.get("wires", []) for end in wire}
        if node["type"] in {"mqtt in", "mqtt out"}:
            ends.add(node["broker"])
        assert ends <= set(nodes)


@pytest.mark.parametrize("block", blocks("yaml"))
def test_a_yaml_block_of_the_documentation_is_yaml(block):
    assert pytest.importorskip("yaml").safe_load(block)


@pytest.mark.parametrize("block", blocks("ini"))
def test_a_drop_in_of_the_documentation_is_one_that_systemd_takes(block, tmp_path):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(block)
    assert set(parser.sections()) <= {"Unit", "Service", "Install"}
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "shown.service"
    unit.write_text(f"[Service]\nExecStart=/bin/true\n{block}")
    done = subprocess.run(
        [program, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if str(unit) in line]
    assert said == []
