"""The pages of the documentation lead to each other, and every block of theirs is looked after."""

import re
from collections import Counter

import click
import pytest
from tests.manual.fences import DOCS, ROOT, fences, pages

from alicia_scheduler.cli.main import main

TESTED = {
    "python": "tests/test_docs.py",
    "toml": "tests/test_docs.py",
    "json": "tests/test_docs.py",
    "yaml": "tests/test_docs.py",
    "ini": "tests/test_docs.py",
    "sh": "tests/test_docs_commands.py",
    "console": "tests/test_docs_commands.py",
    "crontab": "tests/test_migrate_from_cron.py",
    "websocket": "tests/doors/test_reference.py",
    "diff": "tests/test_write_a_plugin.py",
    "{toctree}": "make docs",
    "{image}": "make docs",
}
"""Who looks after the blocks of a language. ``text`` is for what is no code."""

UNRUN = Counter(
    {
        "needs the repository's address": 1,
        "needs systemd": 3,
        "needs root": 1,
        "needs root and the package index": 1,
        "needs a container engine and its registry": 3,
        "begins a second host": 1,
        "makes an environment": 1,
        "needs the package index": 2,
        "measures for minutes": 3,
        "needs jq": 1,
        "needs mosquitto-clients": 3,
    }
)
"""All blocks that nothing can run here, by their reason."""


def named(page):
    return str(page.relative_to(ROOT))


ALL = [pytest.param(page, id=named(page)) for page in pages()]


@pytest.mark.parametrize("page", ALL)
def test_every_block_of_a_page_has_a_language_that_a_test_looks_after(page):
    strange = [
        f"{fence}: {fence.language or 'no language'}"
        for fence in fences(page)
        if fence.language not in TESTED and fence.language != "text"
    ]
    assert strange == []


def test_the_tests_that_look_after_the_languages_are_there():
    used = {fence.language for page in pages() for fence in fences(page)} - {"text"}
    files = {TESTED[language] for language in used if "/" in TESTED[language]}
    assert {file for file in files if not (ROOT / file).exists()} == set()


def test_no_other_blocks_are_left_unrun_than_those_that_are_listed():
    reasons = [fence.reason for page in pages() for fence in fences(page) if fence.reason]
    assert Counter(reasons) == UNRUN


@pytest.mark.parametrize("page", ALL)
def test_a_configuration_that_commands_use_is_checked_by_one_of_them(page):
    found = fences(page)
    if any(fence.file == "home.toml" for fence in found):
        assert any("alicia check home.toml" in fence.text for fence in found)


@pytest.mark.parametrize("page", ALL)
def test_every_link_of_a_page_leads_somewhere(page):
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
    lost = []
    for target in re.findall(r"!?\[[^\]]+\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            lost.append(target)
    assert lost == []


def anchors(page):
    """The anchors of a page's headings, as MyST and code hosts make them."""
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
    slugs = set()
    for heading in re.findall(r"(?m)^#+ (.+)$", text):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        slugs.add(plain.replace(" ", "-"))
    return slugs


@pytest.mark.parametrize(
    "folder", sorted(path.name for path in DOCS.iterdir() if (path / "index.md").exists())
)
def test_every_page_of_a_folder_is_in_its_contents(folder):
    index = (DOCS / folder / "index.md").read_text()
    block = re.search(r"(?ms)^```\{toctree\}\n(.*?)^```$", index)
    listed = set(block[1].split())
    lost = [page.stem for page in (DOCS / folder).glob("*.md") if page.stem != "index"]
    if "*" not in listed:
        assert set(lost) <= listed
    assert f"{folder}/index" in (DOCS / "index.md").read_text()


COMMANDS = [
    pytest.param(line, id=f"{named(page)}: {line}")
    for page in pages()
    for line in dict.fromkeys(re.findall(r"`alicia ([a-z][^`\n]*)`", page.read_text()))
    if "reference/cli" not in named(page)
]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_in_the_text_is_one_that_there_is(line):
    command, context = main, click.Context(main)
    words = line.replace("|", " ").replace("…", " ").split()
    while isinstance(command, click.Group) and words and not words[0].startswith(("-", "<")):
        found = command.get_command(context, words[0])
        assert found is not None or words[0].isupper(), f"alicia {line}: no {words[0]}"
        if found is None:
            break
        command = found
        words.pop(0)
    options = {
        option
        for each in command.get_params(context)
        for option in (*each.opts, *each.secondary_opts)
    }
    used = {word.partition("=")[0].rstrip(",.;[]") for word in words if word.startswith("--")}
    assert used <= options | {"--help"}
