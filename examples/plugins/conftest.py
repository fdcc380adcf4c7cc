"""The plugins of this folder are not installed with the others. While a test of one of them runs,
its distribution is on the path as pip install -e would put it there, and gone again after it."""

import sys
from pathlib import Path

import pytest
from tests.source_metadata import write_metadata

HERE = Path(__file__).parent
PROJECTS = {path.parent.name: path.parent for path in sorted(HERE.glob("*/pyproject.toml"))}

# Sources alone are nothing that a host would find; tests import them when they are collected.
sys.path[:0] = [str(project / "src") for project in PROJECTS.values()]


@pytest.fixture(scope="session")
def metadata_folders(tmp_path_factory):
    """For each project, a folder with the metadata of its distribution."""
    folders = {name: tmp_path_factory.mktemp(name) for name in PROJECTS}
    for name, folder in folders.items():
        write_metadata(PROJECTS[name], folder)
    return folders


@pytest.fixture(autouse=True)
def _installed(request, metadata_folders, monkeypatch):
    name = request.path.relative_to(HERE).parts[0]
    if name in metadata_folders:
        monkeypatch.syspath_prepend(metadata_folders[name])
