"""What the documentation shows is run."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def python_blocks():
    """Every Python block of every page, named by its page."""
    return [
        pytest.param(block, id=f"{page.relative_to(DOCS)}:{number}")
        for page in sorted(DOCS.rglob("*.md"))
        for number, block in enumerate(BLOCK.findall(page.read_text()))
    ]


@pytest.mark.parametrize("block", python_blocks())
async def test_a_python_block_of_the_documentation_runs(block, autojump_clock):
    names = {}
    exec(compile(block, "docs", "exec"), names)
    for name, function in names.items():
        if name.startswith("test_"):
            await function(autojump_clock)
