"""A crontab as events: what each line means to cron, in the words of an event.

The syntax is that of crontab(5) as Debian's cron and cronie read it: variables, comments, five
fields or a nickname, in system crontabs a user, then the command, in which an unescaped ``%`` ends
the line of the shell and begins its standard input.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.zones import load_timezone

__all__ = ["Crontab", "Entry", "Problem", "read_crontab"]

VARIABLE = re.compile(
    r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z_][A-Za-z0-9_]*))\s*=\s*(.*?)\s*""", re.DOTALL
)
PIECES = re.compile(r"\\.|[^\\%]+|%|\\", re.DOTALL)
"""What a command is made of: escaped characters, text, the % that ends a line."""

NICKNAMES = {
    "@every_minute": "* * * * *",
    **{
        name: name
        for name in (
            "@yearly",
            "@annually",
            "@monthly",
            "@weekly",
            "@daily",
            "@midnight",
            "@hourly",
        )
    },
}
ELSEWHERE = {
    "@reboot": "no schedule begins with the host; start it from your service manager, for "
    "example with a systemd unit",
}
MAIL = ("MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING")
KEPT_BY_CRON = ("LOGNAME", "USER")
"""Variables that a crontab cannot set: cron puts the user's own there."""

SHELL = "/bin/sh"
NEEDS_SHELL = re.compile(r"[$`|&;<>(){}*?\[\]~#!\\\n\r]")
BUILTINS = frozenset(
    """
    . : alias bg break case cd command continue eval exec exit export fg for getopts hash if jobs
    local read readonly return set shift source times trap type ulimit umask unalias unset until
    wait while
    """.split()  # noqa: SIM905 - as a list it is a page long
)
"""First words that only a shell understands: there are no programs of these names."""

DAY = 86_400.0


@dataclass(frozen=True)
class Problem:
    """A line that became no event, or not wholly.

    Attributes:
        line: its number, from 1.
        text: the line.
        why: a sentence for people.
    """

    line: int
    text: str
    why: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.why}: {self.text.strip()}"


@dataclass(frozen=True)
class Entry:
    """A line that became an event.

    Attributes:
        line: its number, from 1.
        text: the line.
        event: the fields of the event, ``event_id`` among them.
    """

    line: int
    text: str
    event: dict[str, Any]


@dataclass
class Crontab:
    """What was found in a crontab."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_crontab(
    text: str,
    *,
    system: bool = False,
    home: str | None = None,
    home_of: Callable[[str], str | None] = lambda user: None,
) -> Crontab:
    """Read a whole crontab; nothing in it stops the reading.

    Args:
        text: what the file holds; bytes that are no UTF-8 as lone surrogates.
        system: whether each line names its user before the command, as in ``/etc/crontab``.
        home: home directory of the user whose crontab it is: where the commands run.
        home_of: home directory of a user of a system crontab, None when there is no such user.
    """
    reader = _Reader(system, home, home_of)
    for number, line in enumerate(text.split("\n"), 1):
        reader.read(number, line.removesuffix("\r"))
    return reader.found


class _Reader:
    """Goes down a crontab: a variable holds for the lines below it."""

    def __init__(
        self, system: bool, home: str | None, home_of: Callable[[str], str | None]
    ) -> None:
        self.found = Crontab()
        self._system = system
        self._home = home
        self._home_of = home_of
        self._variables: dict[str, str] = {}
        self._zone: str | None = None
        self._unknown_zone = False
        self._jitter = 0.0
        self._comments: list[str] = []
        self._ids: set[str] = set()

    def read(self, number: int, line: str) -> None:
        text = line.strip(" \t")
        try:
            if not text:
                self._comments = []
            elif text.startswith("#"):
                self._comment(text)
            elif _is_broken(line):
                raise _Impossible("it is not UTF-8 text without NUL characters")
            elif (variable := _variable(text)) is not None:
                self._comments = []
                self._set(*variable)
            else:
                event = self._event(text)
                self.found.entries.append(Entry(number, line, event))
                self._comments = []
        except _Impossible as why:
            self.found.problems.append(Problem(number, line, str(why)))
            self._comments = []

    def _comment(self, text: str) -> None:
        words = text.lstrip("#").strip()
        if words and not _is_broken(words) and not _is_switched_off(words):
            self._comments.append(words)

    def _set(self, name: str, value: str) -> None:
        if name == "CRON_TZ":
            self._set_zone(value)
        elif name == "RANDOM_DELAY":
            if not value.isdecimal():
                raise _Impossible(f"RANDOM_DELAY is a number of minutes, not {value!r}")
            self._jitter = float(value) * 60
        elif name == "MAILTO" and value:
            raise _Impossible(
                "no mail is sent; what a run printed is in `alicia executions show`, and an event "
                "named in on_failure can tell of a failure"
            )
        elif name in KEPT_BY_CRON:
            raise _Impossible(f"{name} is the user's own, which no crontab can set")
        elif name not in MAIL:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise _Impossible(f"{name!r} is no name of a variable")
            self._variables[name] = value

    def _set_zone(self, value: str) -> None:
        self._unknown_zone = False
        try:
            load_timezone(value)
        except ConfigError as error:
            self._unknown_zone = True
            raise _Impossible(f"{error}; the lines below it are left out") from error
        self._zone = value

    def _event(self, text: str) -> dict[str, Any]:
        expression, rest = _schedule(text)
        if self._unknown_zone:
            raise _Impossible("the CRON_TZ above it is no time zone")
        user = None
        if self._system:
            user, _, rest = _split(rest)
        if not rest:
            missing = "a user and a command" if self._system else "a command"
            raise _Impossible(f"{missing} must follow the schedule")
        action = self._action(rest, user)
        name = self._comments[-1] if self._comments else _shortened(rest)
        return {
            "event_id": self._event_id(self._comments[-1] if self._comments else _program(rest)),
            "name": _shortened(name),
            **({"description": "\n".join(self._comments)} if len(self._comments) > 1 else {}),
            "tags": ["crontab"],
            "schedule_type": "cron",
            "schedule_config": {"expression": expression},
            **({"timezone": self._zone} if self._zone else {}),
            **({"jitter": self._jitter} if self._jitter else {}),
            "action": action,
            # As cron has it: overlapping, unbounded runs, once each, and none caught up later.
            "mode": "parallel",
            "misfire": "skip",
            "max_retries": 0,
            "timeout": DAY,
        }

    def _action(self, rest: str, user: str | None) -> dict[str, Any]:
        command, stdin = _command(rest)
        if not command.strip():
            raise _Impossible("the command is empty")
        variables = dict(self._variables)
        shell = variables.get("SHELL", SHELL)
        home = variables.get("HOME") or (self._home if user is None else self._home_of(user))
        if user is not None and home is None:
            raise _Impossible(
                f"there is no user {user!r} on this machine, whose home it would run in; set HOME "
                "in the crontab, or check that the fields before the command are right"
            )
        plain = _words(command)
        action: dict[str, Any] = {"type": "script_execution"}
        if plain is not None and (shell == SHELL or shell.endswith("sh")):
            action["command"] = plain
        elif shell == SHELL:
            action |= {"command": command.strip(), "shell": True}
        else:
            action["command"] = [shell, "-c", command.strip()]
        if home:
            action["cwd"] = home
        if user is not None:
            action["user"] = user
        if variables:
            action["env"] = variables
        if stdin is not None:
            action["stdin"] = stdin
        action = {key: _untemplated(value) for key, value in action.items()}
        # cron lets programs gain rights, and sudo or sendmail in its commands count on that.
        action["no_new_privs"] = False
        return action

    def _event_id(self, words: str) -> str:
        base = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:60].strip("-") or "job"
        event_id, number = base, 1
        while event_id in self._ids:
            number += 1
            event_id = f"{base}-{number}"
        self._ids.add(event_id)
        return event_id


class _Impossible(Exception):
    """A line cannot be taken over; says why."""


def _schedule(text: str) -> tuple[str, str]:
    """The cron expression that a line begins with, and what follows it."""
    text = text.removeprefix("-")  # cronie: do not log it
    if text.startswith("@"):
        nickname, _, rest = _split(text)
        nickname = nickname.lower()
        if nickname in ELSEWHERE:
            raise _Impossible(ELSEWHERE[nickname])
        if nickname not in NICKNAMES:
            raise _Impossible(f"{nickname} is no nickname of crontab(5)")
        return NICKNAMES[nickname], rest
    fields = []
    for _ in range(5):
        item, _, text = _split(text)
        fields.append(item)
    if not fields[-1]:
        raise _Impossible("a line has five fields, or a nickname such as @daily, and a command")
    for item in fields:
        _check_dialect(item)
    return " ".join(fields), text


def _check_dialect(item: str) -> None:
    """What other crons than Debian's read in a field, and ours reads differently or not at all."""
    if "~" in item:
        raise _Impossible(
            f"{item!r} is a random value (cronie, OpenBSD); write a fixed one, and "
            "`jitter` in the event to spread it"
        )
    if re.search(r"(^|,)H", item):
        raise _Impossible(f"{item!r} is a hashed value (Jenkins); write a fixed one")
    if re.search(r"[LW#?]", re.sub(r"(?i)jul|wed", "", item)):
        raise _Impossible(
            f"{item!r} means nothing to cron; as a schedule of type cron it is explained in its "
            "README"
        )


def _split(text: str) -> tuple[str, str, str]:
    """The first word, the space behind it, and the rest."""
    found = re.match(r"([^ \t]*)([ \t]*)(.*)", text, re.DOTALL)
    assert found is not None  # noqa: S101 - the pattern matches any text
    return found[1], found[2], found[3]


def _variable(text: str) -> tuple[str, str] | None:
    """Name and value of a line that sets a variable: ``NAME = value``, each perhaps in quotes."""
    found = VARIABLE.fullmatch(text)
    if found is None:
        return None
    name = next(group for group in found.groups()[:3] if group is not None)
    value = found[4]
    if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]:
        value = value[1:-1]
    return name, value


def _command(rest: str) -> tuple[str, str | None]:
    """The command and its standard input: an unescaped % is the end of a line, ``\\%`` is %."""
    parts = [""]
    for piece in PIECES.findall(rest):
        if piece == "%":
            parts.append("")
        else:
            parts[-1] += "%" if piece == "\\%" else piece
    if len(parts) == 1:
        return parts[0], None
    stdin = "\n".join(parts[1:])
    return parts[0], stdin if stdin.endswith("\n") or not stdin else f"{stdin}\n"


def _words(command: str) -> list[str] | None:
    """The arguments of a command that needs no shell, or None."""
    if NEEDS_SHELL.search(command):
        return None
    try:
        words = shlex.split(command)
    except ValueError:
        return None  # the shell will say what is wrong with it
    if not words or "=" in words[0] or words[0] in BUILTINS:
        return None
    return words


def _untemplated(value: Any) -> Any:
    """The same words, none of which is taken for a template when the action runs."""
    if isinstance(value, dict):
        return {key: _untemplated(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_untemplated(item) for item in value]
    if not isinstance(value, str) or not re.search(r"\{[{%#]", value):
        return value
    if "endraw" in value:
        raise _Impossible("its braces look like a template's, with `endraw` among them")
    return f"{{% raw %}}{value}{{% endraw %}}"


def _program(rest: str) -> str:
    """The name of what a command runs, for an id."""
    words = rest.split()
    while words and ("=" in words[0] or words[0] in ("cd", "test", "[", "sudo", "nice", "exec")):
        words.pop(0)
    return words[0].rstrip(";").rpartition("/")[2] if words else ""


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"


def _is_broken(text: str) -> bool:
    return "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)


def _is_switched_off(words: str) -> bool:
    """True for a comment that is a job or a variable somebody took out: no words for people."""
    if _variable(words) is not None:
        return True
    fields: Iterable[str] = words.split()[:5]
    pattern = re.compile(r"[-*/,0-9]+|[-A-Za-z,]*(sun|mon|tue|wed|thu|fri|sat|jan|feb)[-A-Za-z,]*")
    return words.startswith("@") or (
        len(words.split()) > 5 and all(pattern.fullmatch(item.lower()) for item in fields)
    )
