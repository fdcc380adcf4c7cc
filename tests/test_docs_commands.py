"""The commands that the documentation shows, played page by page as a reader would."""

import pytest
from tests.manual.fences import ROOT, fences, pages
from tests.manual.stage import Stage

PLAYED = ("sh", "console")

ELSEWHERE = {
    "docs/howto/migrate-from-cron.md": "tests/test_migrate_from_cron.py",
    "docs/howto/write-a-plugin.md": "tests/test_write_a_plugin.py",
}
"""Pages whose commands a test of their own plays."""


def played_pages():
    """Pages with commands, and the blocks to play."""
    for page in pages():
        found = [fence for fence in fences(page) if fence.reason is None]
        name = str(page.relative_to(ROOT))
        if name not in ELSEWHERE and any(fence.language in PLAYED for fence in found):
            yield pytest.param(found, id=name.removeprefix("docs/"))


@pytest.mark.parametrize("found", list(played_pages()))
def test_the_commands_of_a_page_work_one_after_the_other(found, tmp_path):
    stage = Stage(tmp_path)
    try:
        for fence in found:
            stage.play(fence)
    finally:
        stage.close()


@pytest.mark.parametrize("page", sorted(ELSEWHERE))
def test_a_page_that_is_played_elsewhere_is(page):
    if (ROOT / page).exists():
        assert page.rpartition("/")[2] in (ROOT / ELSEWHERE[page]).read_text()
