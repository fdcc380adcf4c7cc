"""The metadata that ``pip install -e`` would put beside a project, without installing it."""

import json
import os
import tomllib
from pathlib import Path


def write_metadata(project: Path, folder: Path) -> Path:
    """Make the ``.dist-info`` of a project in a folder. Whoever has ``folder`` and
    ``project / "src"`` on the path sees the project as installed."""
    from hatchling.build import prepare_metadata_for_build_editable

    before = Path.cwd()
    try:
        os.chdir(project)
        made = folder / prepare_metadata_for_build_editable(str(folder))
    finally:
        os.chdir(before)
    groups = tomllib.loads((project / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = []
    for group, entries in groups.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (made / "entry_points.txt").write_text("\n".join(lines))
    address = {"url": project.as_uri(), "dir_info": {"editable": True}}
    (made / "direct_url.json").write_text(json.dumps(address))
    return made
