"""What the documentation shows is run."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


def python_blocks():
    for page in sorted(DOCS.rglob("*.md")):
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.S)):
            yield pytest.param(block, id=f"{page.relative_to(DOCS)}:{number}")


@pytest.mark.parametrize("block", python_blocks())
async def test_a_python_block_of_the_documentation_runs(block, autojump_clock):
    names = {}
    exec(compile(block, "docs", "exec"), names)
    for name, function in names.items():
        if name.startswith("test_"):
            await function(autojump_clock)
