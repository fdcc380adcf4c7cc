"""The documentation as a whole is made without a warning. CI makes it with ``make docs``; so does
this test of the slow tier."""

import re
import subprocess

import pytest
from tests.manual.fences import DOCS, ROOT


@pytest.mark.slow
def test_it_is_made_without_a_warning_and_fetches_nothing_from_elsewhere():
    done = subprocess.run(
        ["make", "docs"], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = sorted((DOCS / "_build").rglob("*.html"))
    assert made
    fetched = re.compile(r"<(?:script|link|img)[^>]*(?:src|href)=\"https?:[^\"]*\"")
    assert [found for page in made for found in fetched.findall(page.read_text("utf-8"))] == []
