"""The figures of docs/explanation/storage.md are those of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from alicia_scheduler.kernel import backlog, mending
from alicia_scheduler.store import makeshift

PAGE = Path(__file__).parents[2] / "docs/explanation/storage.md"


@pytest.mark.parametrize(
    "sentence",
    [
        f"up to {backlog.HISTORY_LIMIT:,} executions and notifications",
        f"up to {backlog.STATE_LIMIT:,} definitions and states",
        f"Every {mending.TRY_EVERY:g} seconds the host tries to write again",
        f"Every {mending.RETURN_EVERY:g} seconds the host tries to open the file",
        f"beyond {makeshift.MEMORY_BYTES // 2**20} MiB is loaded without its history",
        f"Memory keeps at most {makeshift.MEMORY_BYTES // 2**20} MiB",
    ],
)
def test_a_figure_of_the_page_on_storage_is_the_one_of_the_code(sentence):
    assert sentence in " ".join(PAGE.read_text().split())
