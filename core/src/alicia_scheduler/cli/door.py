"""By which door a command reaches its host: the socket in a state directory, or a URL."""

from __future__ import annotations

import functools
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.api.errors import ConfigError, StoreError
from alicia_scheduler.cli.output import EXIT_NO_HOST, fail, refuse

if TYPE_CHECKING:
    from alicia_scheduler.control.client import Whereabouts
    from alicia_scheduler.store.queries import Queries

__all__ = ["DOOR_OPTIONS", "Door", "door_and_target_options", "door_options"]

F = TypeVar("F", bound=Callable[..., Any])

TOKEN_BYTES = 4096
"""Most bytes of a file that holds a token."""


@dataclass(frozen=True)
class Door:
    """Which host is meant, and how it is spoken to.

    Attributes:
        config: configuration file whose state directory is meant.
        state_dir: state directory, before that of a configuration.
        url: ``ws://`` or ``wss://`` address of a host, perhaps another machine's.
        token: what the host behind ``url`` knows us by.
        cafile: certificates in PEM that are trusted behind ``wss://``, in place of the system's.
    """

    config: str | None = None
    state_dir: str | None = None
    url: str | None = None
    token: str | None = field(default=None, repr=False)
    cafile: str | None = None

    @property
    def where(self) -> Whereabouts:
        """What the client of :mod:`alicia_scheduler.control` connects to."""
        if self.url is None:
            return self.folder
        from alicia_scheduler.control.client import Remote

        return Remote(self.url, self.token, self.cafile)

    @property
    def remote(self) -> bool:
        """True when the state directory is out of reach, so that everything is asked for."""
        return self.url is not None

    @functools.cached_property
    def asks(self) -> bool:
        """True when a host is asked for what could also be worked out here: it is out of reach, or
        one runs and no configuration file is named in its place. It knows its configuration."""
        if self.remote or self.config is not None:
            return self.remote
        from alicia_scheduler.control.messages import SOCKET_FILE

        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.folder / SOCKET_FILE))
            except OSError:
                return False
        return True

    @functools.cached_property
    def folder(self) -> Path:
        """The state directory; exits 1 when the configuration that names it cannot be read."""
        if self.state_dir is not None:
            return Path(self.state_dir)
        if self.config is None:
            return Path("state")
        from alicia_scheduler.config.load import load

        try:
            return load(self.config).state_dir
        except ConfigError as error:
            fail(str(error))

    @contextmanager
    def store(self) -> Iterator[Queries]:
        """The store for reading, whether or not a host runs; says why and exits 1 when it
        cannot."""
        from alicia_scheduler.store.reader import open_reader

        try:
            with open_reader(self.folder) as queries:
                yield queries
        except StoreError as error:
            fail(str(error))

    def ask(self, command: str, **arguments: Any) -> Any:
        """What the running host answers to a command; exits 3 when none runs, 1 when it refuses.

        Args:
            command: ``<noun>/<verb>``.
            arguments: those of the command, and ``timeout``: seconds it may take.
        """
        try:
            return self.answer(command, **arguments)
        except CommandError as error:
            refuse(error)

    def answer(self, command: str, **arguments: Any) -> Any:
        """As :meth:`ask`, for a command that goes on when the host refuses.

        Raises:
            CommandError: the host refused.
        """
        from alicia_scheduler.control.client import NoHost, call

        try:
            return call(self.where, command, **arguments)
        except NoHost as error:
            self.no_host(error)

    def no_host(self, error: Exception) -> NoReturn:
        """Say that no host answers and what to do, and exit 3."""
        if self.remote:
            fail(f"{error}; is the host there, and has it a [control] table?", EXIT_NO_HOST)
        fail(f"{error}; start it with: alicia run CONFIG", EXIT_NO_HOST)


def door_options(command: F) -> F:
    """Give a command the options that say which host is meant, and ``door`` as its argument."""
    option = click.option("--url", envvar="ALICIA_URL", help="Address of a host: ws://… or wss://…")
    return _with_door(command, option)


def door_and_target_options(command: F) -> F:
    """As :func:`door_options`, for a command whose ``--url`` may also be what an action asks: it
    can be given twice, and an address that is no ``ws://`` one becomes its argument ``target``."""
    option = click.option(
        "--url",
        multiple=True,
        help="http://… or https://…: request this. ws://… or wss://…: the address of the host.",
    )
    return _with_door(command, option)


def _with_door(command: F, url_option: Callable[[Any], Any]) -> F:
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        config: str | None,
        state_dir: str | None,
        url: str | tuple[str, ...] | None,
        token: str | None,
        token_file: str | None,
        cafile: str | None,
        **options: Any,
    ) -> Any:
        if isinstance(url, tuple):
            url, options["target"] = _apart(url)
        if url is None:
            return command(*args, door=Door(config, state_dir), **options)
        if not url.startswith(HOST_SCHEMES):
            raise click.UsageError(f"--url {url!r} must begin with ws:// or wss://")
        if _typed("config") or _typed("state_dir"):
            raise click.UsageError("give --url, or --config or --state-dir, not both")
        if token_file is not None and not _typed("token"):
            token = _read_token(token_file)
        return command(*args, door=Door(url=url, token=token, cafile=cafile), **options)

    for option in reversed((*DOOR_OPTIONS[:2], url_option, *DOOR_OPTIONS[2:])):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def _apart(urls: tuple[str, ...]) -> tuple[str | None, str | None]:
    """The address of the host and what an action asks, each at most once."""
    hosts = [url for url in urls if url.startswith(HOST_SCHEMES)]
    targets = [url for url in urls if not url.startswith(HOST_SCHEMES)]
    if len(hosts) > 1 or len(targets) > 1:
        raise click.UsageError("give --url once for the host and once for the request")
    return next(iter(hosts), os.environ.get("ALICIA_URL")), next(iter(targets), None)


HOST_SCHEMES = ("ws://", "wss://")

DOOR_OPTIONS = (
    click.option(
        "--config",
        type=click.Path(),
        envvar="ALICIA_CONFIG",
        help="Configuration file whose state_dir is meant.",
    ),
    click.option(
        "--state-dir",
        type=click.Path(),
        envvar="ALICIA_STATE_DIR",
        help="State directory of the host (default: ./state).",
    ),
    click.option(
        "--token",
        envvar="ALICIA_TOKEN",
        help="Token for --url. Others can see it in the list of processes: better give it in "
        "the variable ALICIA_TOKEN or in a file.",
    ),
    click.option(
        "--token-file",
        type=click.Path(),
        envvar="ALICIA_TOKEN_FILE",
        help="File that holds the token for --url.",
    ),
    click.option(
        "--cafile",
        type=click.Path(),
        envvar="ALICIA_CAFILE",
        help="Certificates in PEM to trust behind wss://, in place of the system's.",
    ),
)


def _typed(name: str) -> bool:
    """Whether an option stands on the command line itself, and is no variable's."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def _read_token(path: str) -> str:
    try:
        if path == "-":
            return sys.stdin.readline().strip()
        with Path(path).open("rb") as stream:
            raw = stream.read(TOKEN_BYTES + 1)
        text = raw.decode("ascii").strip()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        fail(f"the token cannot be read from {path}: {error}")
    if not text or len(raw) > TOKEN_BYTES:
        fail(f"{path} holds no token; `alicia tokens create` makes one")
    return text
