"""TOML's syntax errors, with the line and what to write instead."""

from __future__ import annotations

import re

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.wording import is_secret, quote

__all__ = ["syntax_error"]

_BY_LINE: tuple[tuple[str, str], ...] = (
    # (what the offending line looks like, what to do about it)
    (r"=\s*(True|False)\b", "write true or false in lower case"),
    (r"=\s*(yes|no|on|off)\s*(#.*)?$", "write true or false"),
    (r"=\s*(None|null|nil)\b", "TOML has no null: leave the key out"),
    (r"=\s*\d{1,2}:\d\d\s*(#.*)?$", 'put the time in quotes: "07:30"'),
    (r"=\s*(#.*)?$", "a value is missing behind the equals sign"),
    (r"=\s*[^\W\d]", 'put text in quotes: name = "Kitchen lights"'),
    (r"=\s*([/*@%$~.]|.*\*)", 'put text in quotes: expression = "*/5 * * * *"'),
    (r"=\s*\d", "put text in quotes; a number has digits only (and one dot)"),
)

_BY_MESSAGE: tuple[tuple[str, str], ...] = (
    ("Cannot overwrite a value", "each key may stand once in a table: remove one of the two"),
    ("twice", "each table may be opened once: put its keys together"),
    (
        "Cannot mutate immutable",
        "a table in { } is complete: put its keys inside, or use [headers]",
    ),
    ("Cannot declare", "the name is taken by a key above: remove one of the two"),
    ("Expected ']'", "a table's header is [name]; a name with blanks needs quotes"),
    ("Unclosed array", "a list ends with ], its items are parted by commas"),
    ("Unclosed inline table", "a table in { } stands on one line, its keys parted by commas"),
    ("Duplicate inline table key", "each key may stand once in a table: remove one of the two"),
    ("Unescaped '\\'", "double the backslash, or use single quotes: '\\d+'"),
    ("Unterminated string", "a closing quote is missing"),
    ("Illegal character '\\n'", "a closing quote is missing on this line"),
    ("Expected '='", "a line is key = value, [table], [[list of tables]] or a # comment"),
    ("Invalid initial character for a key", "a key other than A-Z a-z 0-9 _ - needs quotes"),
    ("Invalid statement", "a line is key = value, [table], [[list of tables]] or a # comment"),
    ("Expected newline", "one key = value a line; put text in quotes"),
    ('Expected "\'"', "a closing quote is missing"),
)


def syntax_error(message: str, text: str, name: str) -> ConfigError:
    """The error for what ``tomllib`` said about ``text``, with its line and a hint.

    Args:
        message: text of the ``TOMLDecodeError``; its end tells the place.
        text: the document.
        name: what to call the document.
    """
    place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    lines = text.replace("\r\n", "\n").split("\n")
    number = int(place[1]) if place and place[1] else len(lines)
    said = message[: place.start()] if place else message
    if place and not place[1]:
        # What the document's end cuts off began earlier; the last line with text is nearest.
        number = next((at for at in range(len(lines), 0, -1) if lines[at - 1].strip()), 1)
    line = lines[number - 1] if number <= len(lines) else ""
    said = said[:1].lower() + said[1:]
    # tomllib names a table by its Python tuple: ('events', 'lamp')
    said = re.sub(r"\((?:'[^']*',? ?)+\)", lambda match: _header(match[0]), said)
    shown = f": {quote(line.strip())}" if line.strip() and not is_secret(line) else ""
    return ConfigError(
        f"this is not TOML: {said}{shown}", hint=_hint(message, line), file=name, line=number
    )


def _header(python_tuple: str) -> str:
    keys = re.findall(r"'([^']*)'", python_tuple)
    return f"[{'.'.join(keys)}]"


def _hint(message: str, line: str) -> str | None:
    if message.startswith(("Invalid value", "Expected newline")):
        for pattern, hint in _BY_LINE:
            if re.search(pattern, line):
                return hint
    if message.startswith("Expected '='") and re.match(r"\s*[\w.-]+\s*:", line):
        return "TOML writes key = value, with an equals sign"
    if message.startswith("Invalid initial character") and re.search(r"\{.*,\s*(#.*)?$", line):
        return "a table in { } stands on one line, its keys parted by commas"
    for said, hint in _BY_MESSAGE:
        if said in message:
            return hint
    return None
