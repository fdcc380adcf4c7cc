"""Editable installs that come while the process runs."""

import sys

import pytest

from alicia_scheduler.host import pathfiles
from alicia_scheduler.host.discovery import find_candidates
from alicia_scheduler.host.pathfiles import follow_path_files


@pytest.fixture
def site_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def follow(folder, text):
    folder.joinpath("x.pth").write_text(text)
    before = list(sys.path)
    follow_path_files([str(folder)])
    assert sys.path[: len(before)] == before
    return sys.path[len(before) :]


def test_a_folder_of_an_editable_install_comes_onto_the_path_once(site_folder, tmp_path):
    lamp = tmp_path / "lamp"
    lamp.mkdir()
    assert follow(site_folder, f"# hatchling\n{lamp}\n") == [str(lamp)]
    assert follow(site_folder, f"{lamp}\n../lamp\n") == []


def test_a_folder_that_is_not_there_is_passed_over(site_folder):
    assert follow(site_folder, "nowhere\n\n\0\n") == []


def test_a_line_that_imports_runs_unless_it_has(site_folder, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    tmp_path.joinpath("zoo_finder.py").write_text("calls = []")
    line = "import zoo_finder; zoo_finder.calls.append(1)\n"
    follow(site_folder, line)
    follow(site_folder, line)
    assert sys.modules.pop("zoo_finder").calls == [1]


def test_a_line_that_fails_fails_alone(site_folder, tmp_path, caplog):
    lamp = tmp_path / "lamp"
    lamp.mkdir()
    assert follow(site_folder, f"import no_such_finder_at_all\n{lamp}\n") == [str(lamp)]
    assert "no_such_finder_at_all" in caplog.text


def test_what_is_no_text_is_passed_over(site_folder):
    site_folder.joinpath("y.pth").write_bytes(b"\xff\xfe\0")
    assert follow(site_folder, "") == []


def test_an_editable_install_beside_the_process_is_found_and_can_be_imported(
    site_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "path", [*sys.path, str(site_folder)])
    monkeypatch.setattr(pathfiles, "_site_folders", lambda: [str(site_folder)])
    before = {candidate.name for candidate in find_candidates()}
    project = tmp_path / "project/src/zoo_editable"
    project.mkdir(parents=True)
    project.joinpath("__init__.py").touch()
    site_folder.joinpath("_zoo_editable.pth").write_text(str(project.parent))
    info = site_folder / "zoo_editable-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: zoo-editable\nVersion: 1\n")
    info.joinpath("entry_points.txt").write_text(
        "[alicia_scheduler.plugins]\nzoo_editable = zoo_editable\n"
    )
    (found,) = (each for each in find_candidates() if each.name not in before)
    assert found.entry_point.load() is sys.modules.pop("zoo_editable")
