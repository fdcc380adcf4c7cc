"""The rules of the house: which room may look into which, and how large a room may be."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "core/src/alicia_scheduler"

MAY_IMPORT = {
    "api": {"api"},
    "config": {"api", "config"},
    "store": {"api", "store"},
    "kernel": {"api", "kernel"},
    "host": {"api", "config", "store", "kernel", "host"},
    "control": {"api", "config", "kernel", "host", "foresight", "control"},
    "embedding": {"api", "config", "kernel", "host", "embedding"},
    "pluginchecks": {"api", "config", "host", "pluginchecks"},
    "plugintemplate": {"api", "plugintemplate"},
    "foresight": {"api", "config", "store", "kernel", "host", "foresight"},
    "cli": {
        "api",
        "config",
        "store",
        "host",
        "control",
        "foresight",
        "pluginchecks",
        "plugintemplate",
        "cli",
    },
    "testing": {"api", "config", "store", "kernel", "host", "embedding", "testing"},
}
"""Arrows point one way: cli → control → host → kernel → api; store → api; config → api."""

LINE_LIMIT = 500


def imported(module):
    """Every module that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            yield node.module


def modules(folder):
    return sorted(folder.rglob("*.py"))


def plugin_packages():
    return sorted(ROOT.glob("plugins/*/src/*"))


@pytest.mark.parametrize("room", sorted(path.name for path in CORE.iterdir() if path.is_dir()))
def test_a_room_of_the_core_imports_only_rooms_below_it(room):
    if room == "__pycache__":
        return
    wrong = []
    for module in modules(CORE / room):
        for name in imported(module):
            parts = name.split(".")
            inside = parts[0] == "alicia_scheduler" and len(parts) > 1
            if inside and parts[1] not in MAY_IMPORT[room]:
                wrong.append(f"{module.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_the_kernel_and_the_host_know_no_sqlite():
    wrong = [
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules(CORE)
        if module.parent.name != "store"
        for name in imported(module)
        if name.split(".")[0] == "sqlite3"
    ]
    assert not wrong


def test_only_the_clock_asks_what_time_it_is():
    wrong = []
    for module in modules(CORE / "kernel"):
        if module.name == "clock.py":
            continue
        for node in ast.walk(ast.parse(module.read_text())):
            asks = isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}
            if asks and isinstance(node.value, ast.Name) and node.value.id in {"datetime", "time"}:
                wrong.append(f"{module.name}:{node.lineno}")
        wrong += [f"{module.name} imports time" for name in imported(module) if name == "time"]
    assert not wrong


@pytest.mark.parametrize("package", plugin_packages(), ids=lambda path: path.name)
def test_a_plugin_imports_nothing_of_ours_but_the_api_and_what_it_is_built_on(package):
    project = tomllib.loads((package.parent.parent / "pyproject.toml").read_text())["project"]
    required = [re.split(r"[^\w-]", each)[0] for each in project["dependencies"]]
    built_on = {name.replace("-", "_") for name in required} - {"alicia_scheduler"}
    wrong = [
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules(package)
        for name in imported(module)
        if name.startswith("alicia_")
        and name.split(".")[0] not in {package.name, *built_on}
        and not name.startswith("alicia_scheduler.api")
    ]
    assert not wrong


@pytest.mark.parametrize("folder", ["core", "plugins"])
def test_no_module_is_larger_than_a_room(folder):
    large = {
        str(module.relative_to(ROOT)): lines
        for module in modules(ROOT / folder)
        if "/tests/" not in str(module)
        and (lines := len(module.read_text().splitlines())) > LINE_LIMIT
    }
    assert not large


def test_no_room_is_called_after_nothing():
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    found = [str(module) for module in modules(CORE) if module.stem in vague]
    for package in plugin_packages():
        found += [str(module) for module in modules(package) if module.stem in vague]
    assert not found


def test_the_api_does_not_pull_trio_in():
    import subprocess
    import sys

    program = "import alicia_scheduler.api, sys; sys.exit('trio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
