"""A TOML document knows the line of every key, and its errors say how to mend them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.document import MAX_BYTES, MAX_DEPTH, Document

SAMPLE = """\
# a comment with = and [brackets]
title = 'it''s' # no key here
[scheduler]
timezone = "Europe/Berlin"

[events."morning lights"]
schedule_config = { expression = "30 6 * * *", "a.b" = [1, { c = 2 }] }
text = \"\"\"
[not.a.table]
key = "no"
\"\"\"
literal = '''
also = "no"
'''
tags = [ # the first
    "one",

    "two", # the last
]
action.type = "mqtt_publish"
action."topic" = "a/b"

[[rooms]]
name = "kitchen"
[[rooms.lamps]]
name = "left"
[[rooms.lamps]]
name = "right"
[rooms.lamps.bulb]
watts = 5
[[rooms]]
name = "hall"
""".replace("'it''s'", '"it\\"s"')


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("scheduler",), 3),
        (("scheduler", "timezone"), 4),
        (("events",), 6),
        (("events", "morning lights"), 6),
        (("events", "morning lights", "schedule_config", "expression"), 7),
        (("events", "morning lights", "schedule_config", "a.b", 1, "c"), 7),
        (("events", "morning lights", "literal"), 12),
        (("events", "morning lights", "tags"), 15),
        (("events", "morning lights", "tags", 0), 16),
        (("events", "morning lights", "tags", 1), 18),
        (("events", "morning lights", "action", "type"), 20),
        (("events", "morning lights", "action", "topic"), 21),
        (("rooms", 0, "name"), 24),
        (("rooms", 0, "lamps", 0, "name"), 26),
        (("rooms", 0, "lamps", 1, "name"), 28),
        (("rooms", 0, "lamps", 1, "bulb", "watts"), 30),
        (("rooms", 1), 31),
        (("rooms", 1, "name"), 32),
    ],
)
def test_the_line_of_a_key_is_where_it_is_written(path: tuple[Any, ...], line: int) -> None:
    assert Document.parse(SAMPLE).line_of(path) == line


def test_text_that_looks_like_keys_has_no_line() -> None:
    paths = Document.parse(SAMPLE).paths()
    assert not any("also" in path or "not" in path for path in paths)


def test_a_missing_key_has_the_line_of_the_table_around_it() -> None:
    document = Document.parse(SAMPLE)
    assert document.line_of(("scheduler", "instance")) == 3
    assert document.line_of(("rooms", 1, "lamps", 7, "name")) == 31


def test_an_unknown_outermost_key_has_no_line() -> None:
    assert Document.parse(SAMPLE).line_of(("nowhere", "at", "all")) is None
    assert Document.parse(SAMPLE).line_of(()) is None


def test_a_table_that_is_opened_late_has_the_line_where_it_is_first_named() -> None:
    document = Document.parse("[a.b]\nx = 1\n[a]\ny = 2\n")
    assert document.line_of(("a",)) == 1
    assert document.line_of(("a", "y")) == 4


@pytest.mark.parametrize(
    "value",
    [
        '""', "''", '""""""', "''''''", '"""a""""', '"""a"""""', "'''a''''", "'''a'''''",
        r'"a\"b"', r'"\\"', r"'\'", '"""\\\n   a"""', r'"""\""""', r'"""\"""\""""', '"#"', "'='",
        "[]", "{}", "[[], [{}]]", "1979-05-27 07:32:00Z", "-inf", "+1_000.5e+3", "[\n#,]\n1\n,\n]",
        '[ """]""", "]", \'}\' ]', "{ a.b = 1, 'c' = { d = [2] } }", '"\\u00e9\\U0001F600"',
    ],
)  # fmt: skip
def test_what_follows_any_kind_of_value_is_still_found(value: str) -> None:
    text = f"before = 1\nvalue = {value}\nafter = 2\n"
    last = text.count("\n")
    assert Document.parse(text).line_of(("after",)) == last


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("a-1_B", "a-1_B"),
        ('"a b"', "a b"),
        (r'"say \"a\" \u00e9\t"', 'say "a" é\t'),
        (r"'C:\dir'", r"C:\dir"),
        ('""', ""),
        ("'#'", "#"),
    ],
)
def test_a_key_is_found_in_any_of_its_spellings(written: str, key: str) -> None:
    document = Document.parse(f"\n{written} = 1\n[x. {written} .y]\n")
    assert document.paths() == {(key,): 2, ("x",): 3, ("x", key): 3, ("x", key, "y"): 3}


def test_windows_line_ends_count_once() -> None:
    text = 'a = 1\r\nb = """x\r\ny"""\r\nc = 3\r\n'
    assert Document.parse(text).line_of(("c",)) == 4


# Random documents: written with every syntax for keys and tables, read by tomllib and by us.

bare_keys = st.text("abcXYZ019_-", min_size=1, max_size=4)
any_keys = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('"\\.= #[]{}\t'), max_size=4
)
strings = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\"'\\\n#=[]{},"), max_size=8
)


def basic(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\x7f": "\\u007f"}
    return '"' + "".join(escapes.get(character, character) for character in text) + '"'


@st.composite
def keys(draw: st.DrawFn) -> str:
    """One part of a dotted key, in any of its spellings."""
    if draw(st.booleans()):
        return draw(bare_keys)
    text = draw(any_keys)
    if draw(st.booleans()) and "'" not in text:
        return f"'{text}'"
    return basic(text)


@st.composite
def string_values(draw: st.DrawFn) -> str:
    text = draw(strings)
    form = draw(st.sampled_from(["basic", "literal", "multi", "multi-literal"]))
    if form == "multi":
        return f'"""{basic(text)[1:-1]}{draw(st.sampled_from(["", chr(10)]))}"""'
    if form == "literal" and not {"'", "\n"} & set(text):
        return f"'{text}'"
    if form == "multi-literal" and "'" not in text:
        return f"'''{text}'''"
    return basic(text)


blanks = st.sampled_from(["", " ", "\n", ' # ] } , "\n', "\t"])
scalars = string_values() | st.sampled_from(
    ["1", "-0.5e3", "true", "nan", "07:30:00", "2026-03-29", "2026-03-29 07:30:00+02:00", "0xff"]
)


def arrays(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    item = st.tuples(blanks, values, blanks).map("".join)
    return st.lists(item, max_size=3).map(lambda items: f"[{','.join(items)}]")


def inline_tables(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(keys(), values).map(" = ".join)
    return st.lists(pair, max_size=3).map(lambda pairs: f"{{ {', '.join(pairs)} }}")


values = st.recursive(scalars, lambda inner: arrays(inner) | inline_tables(inner), max_leaves=6)
dotted = st.lists(keys(), min_size=1, max_size=3).map(" . ".join)
lines = (
    st.tuples(dotted, values).map(" = ".join)
    | dotted.map("[{}]".format)
    | dotted.map("[[{}]]".format)
    | st.sampled_from(["", "# a = 1", "   "])
)
documents = st.lists(lines, max_size=8).map("\n".join)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> set[tuple[Any, ...]]:
    found = {path} if path else set()
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for step, child in items:
        inner = (*path, step)
        found |= paths_of(child, inner) if isinstance(child, (dict, list)) else {inner}
    return found


def accepted(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


@settings(deadline=None, max_examples=300)
@given(documents.filter(accepted))
def test_the_keys_found_are_those_that_tomllib_finds(text: str) -> None:
    assert set(Document.parse(text).paths()) == paths_of(tomllib.loads(text))


@settings(deadline=None, max_examples=300)
@given(documents.filter(accepted))
def test_each_line_holds_its_key(text: str) -> None:
    lines_of_text = text.split("\n")
    for path, line in Document.parse(text).paths().items():
        if isinstance(path[-1], str):
            written = lines_of_text[line - 1]
            assert path[-1] in written or basic(path[-1])[1:-1] in written


# Errors


def problem(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Document.parse(text, "home.toml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("x = 1\ntimezone = Europe/Berlin", 2, "quotes"),
        ("a = 1\n\na = 2", 3, "remove one of the two"),
        ("[a]\n[b]\n[a]", 3, "put its keys together"),
        ("on = True", 1, "lower case"),
        ("on = yes", 1, "true or false"),
        ("run = 07:30", 1, '"07:30"'),
        ("cron = */5 * * * *", 1, "quotes"),
        ("cron = 30 6 * * mon", 1, "quotes"),
        ("name: 'x'", 1, "equals sign"),
        ("a =", 1, "missing"),
        ("a = null", 1, "leave the key out"),
        ('a = "x\nb = 1', 1, "closing quote"),
        ('a = """x\n\n', 1, "closing quote"),
        ("a = [1,\n2", 2, "]"),
        ("a = [1 2]", 1, "commas"),
        (r'path = "C:\dir"', 1, "single quotes"),
        ("[events.my lamp]\n", 1, "needs quotes"),
        ("a = { b = 1,\n c = 2 }", 1, "one line"),
        ("a = { b = 1 }\na.c = 2", 2, "inside"),
        ("just words", 1, "key = value"),
    ],
)
def test_a_syntax_error_has_its_line_and_a_way_out(text: str, line: int, hint: str) -> None:
    error = problem(text)
    assert (error.file, error.line) == ("home.toml", line)
    assert error.hint is not None
    assert hint in error.hint


@settings(deadline=None)
@given(st.text(max_size=40) | st.text("ab=[]{}\"'.,#\n 1", max_size=40))
def test_whatever_is_read_there_is_a_document_or_one_config_error(text: str) -> None:
    try:
        document = Document.parse(text)
    except ConfigError as error:
        assert error.line is None or 1 <= error.line <= text.count("\n") + 1  # noqa: PT017
    else:
        assert set(document.paths()) == paths_of(document.data)


def test_a_line_that_may_hold_a_secret_is_not_quoted() -> None:
    assert "hunter2" not in str(problem("password = hunter2"))


@pytest.mark.parametrize(
    "text",
    [f"a = {'[' * 2000}{']' * 2000}", f"{'a.' * 2000}b = 1", f"[{'a.' * 100}b]\nx = 1"],
)
def test_bottomless_nesting_is_refused(text: str) -> None:
    assert f"deeper than {MAX_DEPTH}" in problem(text).message


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    assert "digits" in problem(f"a = {'1' * 5000}").message


# Files


def load_problem(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Document.load(path)
    assert caught.value.file == str(path)
    return caught.value


def test_a_file_is_read_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "home.toml"
    path.write_text("a = 'é'\n", "utf-8")
    document = Document.load(path)
    assert (document.name, document.data) == (str(path), {"a": "é"})


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "home.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert Document.load(path).data == {"a": 1}


def test_a_missing_file_is_said_plainly(tmp_path: Path) -> None:
    assert "no such file" in load_problem(tmp_path / "home.toml").message


def test_a_directory_is_said_plainly(tmp_path: Path) -> None:
    assert "directory" in load_problem(tmp_path).message


def test_a_path_that_no_file_can_have_is_a_config_error() -> None:
    assert "cannot be read" in load_problem(Path("a\0b")).message


def test_a_file_that_is_not_utf_8_names_byte_and_line(tmp_path: Path) -> None:
    path = tmp_path / "home.toml"
    path.write_bytes(b"a = 1\nname = 'K\xfcche'\n")
    error = load_problem(path)
    assert (error.line, "0xfc" in error.message) == (2, True)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "home.toml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert "larger than 4 MiB" in load_problem(path).message


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "home.toml"
    path.write_bytes(b"a = 1\n".ljust(MAX_BYTES, b"#"))
    assert Document.load(path).data == {"a": 1}
