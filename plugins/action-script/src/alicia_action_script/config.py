"""What an event's ``action = { type = "script_execution", … }`` may say, and what the host may."""

from __future__ import annotations

import posixpath
import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alicia_scheduler.api import ConfigError

__all__ = ["Limits", "ScriptConfig", "ScriptSettings", "check_script", "cleanup_of", "stdin_bytes"]

KIB, GIB = 1024, 1024**3

LARGEST_ARGUMENT = 128 * KIB - 1
"""Bytes: the most that Linux takes as one argument or variable (MAX_ARG_STRLEN, execve(2))."""

DEFAULT_GRACE, LONGEST_GRACE = 5.0, 60.0
"""Seconds between asking a run to end and ending it."""

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

OURS = "ALICIA_"
"""What the names of the variables that the host sets begin with."""

Text = Annotated[str, Meta(pattern=r"^[^\0]*\Z", description="text without NUL characters")]
Variable = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z",
        description="the name of a variable: letters, digits and _, such as 'MY_VARIABLE'",
    ),
]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the program and each process it starts may use. None leaves the host's own limit.

    Attributes:
        cpu_seconds: CPU time of a process: SIGXCPU then, SIGKILL a second later.
        memory: bytes of address space of a process; beyond, its allocations fail.
        file_size: bytes of any file it writes; beyond, SIGXFSZ.
        processes: how many processes the user may have, those outside of this run included.
            The kernel does not hold root to it.
        open_files: descriptors of a process.
        nice: added to the host's own niceness; below 0 only for root.
    """

    cpu_seconds: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    memory: Annotated[int, Meta(ge=1024 * KIB, le=2**62)] | None = None
    file_size: Annotated[int, Meta(ge=0, le=2**62)] | None = None
    processes: Annotated[int, Meta(ge=1, le=10**6)] | None = None
    open_files: Annotated[int, Meta(ge=3, le=10**6)] | None = None
    nice: Annotated[int, Meta(ge=-20, le=19)] | None = None


class ScriptConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The program, and all that it is given.

    Attributes:
        command: the program and its arguments, each as it is; with ``shell`` one string.
        shell: run ``command`` as ``/bin/sh -c command``. Only where the host allows it.
        cwd: absolute path of the working directory.
        user: name of the user to become; only when the host runs as root.
        env: variables to set.
        pass_env: names of variables of the host to pass on, if it has them.
        stdin: what the program reads: a string as its UTF-8 bytes, any other value as JSON; None
            is an empty standard input.
        grace: seconds between SIGTERM and SIGKILL when the run is ended.
        success_codes: the exit codes that mean success.
        parse_json: the standard output is JSON; its value becomes ``output`` in the result.
        output_limit: bytes of standard output and error together that are kept.
        live_output: tell the lines of the output as notifications while it runs.
        limits: see :class:`Limits`.
        no_new_privs: no program may gain privileges by setuid, sudo included (prctl(2)).

    Raises:
        ConfigError: the fields make no sense, alone or together.
    """

    command: Annotated[tuple[Text, ...], Meta(min_length=1)] | Text
    shell: bool = False
    cwd: Text = "/"
    user: Annotated[str, Meta(pattern=r"^[^\0/:\s]+\Z", description="a user name")] | None = None
    env: dict[Variable, Text] = {}
    pass_env: tuple[Variable, ...] = ()
    stdin: Any = None
    grace: Annotated[float, Meta(ge=0, le=LONGEST_GRACE)] = DEFAULT_GRACE
    success_codes: Annotated[tuple[Annotated[int, Meta(ge=0, le=255)], ...], Meta(min_length=1)] = (
        0,
    )
    parse_json: bool = False
    output_limit: Annotated[int, Meta(ge=KIB, le=1024 * KIB)] = 64 * KIB
    live_output: bool = True
    limits: Limits = Limits()
    no_new_privs: bool = True

    def __post_init__(self) -> None:
        self._check_command()
        if not self.cwd.startswith("/"):
            raise ConfigError(
                f"cwd {self.cwd!r} is no absolute path", path=("cwd",), hint="begin it with /"
            )
        for name in self.env:
            if not VARIABLE.fullmatch(name):
                raise ConfigError(
                    f"env has {name!r}, which is no name of a variable",
                    path=("env",),
                    hint="use letters, digits and _",
                )
        for field, names in (("env", tuple(self.env)), ("pass_env", self.pass_env)):
            if ours := [name for name in names if name.startswith(OURS)]:
                raise ConfigError(
                    f"{ours[0]} is set by the host",
                    path=(field,),
                    hint=f"choose a name that does not begin with {OURS}",
                )
        try:
            stdin_bytes(self.stdin)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"stdin cannot be written: {error}",
                path=("stdin",),
                hint="write a string, an object, a list, a number, true or false",
            ) from error

    def _check_command(self) -> None:
        if isinstance(self.command, str):
            if not self.shell:
                raise ConfigError(
                    "command is a string, which only a shell can take apart",
                    path=("command",),
                    hint='write a list: command = ["/usr/bin/program", "argument"]',
                )
            if not self.command.strip():
                raise ConfigError("command is empty", path=("command",), hint="write a command")
        elif self.shell:
            raise ConfigError(
                "with shell = true the command is one string, not a list",
                path=("command",),
                hint="write a string, or leave shell out",
            )
        elif not self.command[0].strip():
            raise ConfigError(
                "the program's name is empty", path=("command", 0), hint="write its path or name"
            )
        elif "/" in self.command[0] and not self.command[0].startswith("/") and self.cwd == "/":
            raise ConfigError(
                f"the program {self.command[0]!r} is relative to cwd, which is not set",
                path=("command", 0),
                hint=f"write its absolute path, such as {self._absolute()!r}, or set cwd",
            )
        for index, argument in enumerate(self.argv):
            if len(argument.encode(errors="surrogatepass")) > LARGEST_ARGUMENT:
                raise ConfigError(
                    f"argument {index} has more than {LARGEST_ARGUMENT} bytes, the most there is",
                    path=("command",),
                    hint="give it in stdin",
                )

    def _absolute(self) -> str:
        return posixpath.normpath(posixpath.join("/opt", self.command[0]))

    @property
    def argv(self) -> list[str]:
        """The argument list that is executed."""
        if isinstance(self.command, str):
            return ["/bin/sh", "-c", self.command]
        return list(self.command)


class ScriptSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.action-script]``: what whoever runs the host allows.

    Attributes:
        shell: events may use ``shell = true``.
    """

    shell: bool = False


def check_script(config: ScriptConfig, settings: ScriptSettings | None) -> None:
    """Hold an event's action against what the host allows.

    Raises:
        ConfigError: a shell is not allowed.
    """
    if config.shell and settings is not None and not settings.shell:
        raise ConfigError(
            "this host runs no shell",
            path=("shell",),
            hint="write command as a list, or set shell = true below [plugins.action-script]",
        )


def stdin_bytes(value: Any) -> bytes:
    """What the program reads: a string as it is, None as nothing, everything else as JSON.

    Raises:
        TypeError, ValueError, RecursionError: the value has no such form.
    """
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)


def cleanup_of(options: dict[str, Any]) -> float:
    """Seconds that ending a run may take, by its options as they are written: the grace, and what
    it takes to see that nothing is left."""
    grace = options.get("grace", DEFAULT_GRACE)
    return float(grace) + 1.0 if isinstance(grace, (int, float)) else LONGEST_GRACE
