"""The plugins in examples/plugins are what the template makes, changed by hand, and stay small."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples/plugins"
PROJECTS = sorted(path.parent for path in FOLDER.glob("*/pyproject.toml"))

LINE_LIMIT = 120
"""Lines below which each stays without its tests, blank ones included."""

CHECK = """
import json, sys
from pathlib import Path
from alicia_scheduler.pluginchecks import check_distribution
from tests.source_metadata import write_metadata

project, folder = map(Path, sys.argv[1:])
write_metadata(project, folder)
sys.path[:0] = [str(folder), str(project / "src")]
print(json.dumps(check_distribution(f"alicia-{project.name}").to_wire()))
"""

pytestmark = pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)


def test_it_is_small(project):
    lines = [line for file in project.glob("src/**/*.py") for line in file.read_text().splitlines()]
    assert len(lines) < LINE_LIMIT


def test_it_keeps_all_rules_for_plugins(project, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(project), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=FOLDER.parent.parent,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["findings"], report["unseen"]) == ([], [])


def test_it_remembers_the_template_that_it_began_with(project):
    answers = (project / ".copier-answers.yml").read_text()
    assert f'distribution: "alicia-{project.name}"' in answers
