"""Which state directory a command looks into, and reading it without a host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from alicia_scheduler.api.errors import ConfigError, StoreError
from alicia_scheduler.cli.output import EXIT_NO_HOST, fail

if TYPE_CHECKING:
    from alicia_scheduler.store.queries import Queries

__all__ = ["directory", "host_answer", "opened_store", "state_options", "told_host"]

F = TypeVar("F", bound=Callable[..., Any])


def state_options(command: F) -> F:
    """Give a command ``--config`` and ``--state-dir``, the two ways to say where the state is."""
    command = click.option(
        "--config",
        type=click.Path(),
        envvar="ALICIA_CONFIG",
        help="Configuration file whose state_dir is meant.",
    )(command)
    return click.option(
        "--state-dir",
        type=click.Path(),
        envvar="ALICIA_STATE_DIR",
        help="State directory to read (default: ./state).",
    )(command)


@contextmanager
def opened_store(config: str | None, state_dir: str | None) -> Iterator[Queries]:
    """The store for reading, whether or not a host runs; says why and exits 1 when it cannot."""
    from alicia_scheduler.store.reader import open_reader

    try:
        with open_reader(directory(config, state_dir)) as queries:
            yield queries
    except (ConfigError, StoreError) as error:
        fail(str(error))


def told_host(config: str | None, state_dir: str | None, command: str, **arguments: Any) -> Any:
    """What the running host answers to a command; exits 3 when none runs, 1 when it refuses."""
    from alicia_scheduler.api.control import CommandError

    try:
        return host_answer(config, state_dir, command, **arguments)
    except CommandError as error:
        fail(str(error))


def host_answer(config: str | None, state_dir: str | None, command: str, **arguments: Any) -> Any:
    """As :func:`told_host`, for a command that goes on when the host refuses.

    Raises:
        CommandError: the host refused.
    """
    from alicia_scheduler.control.client import NoHost, call

    try:
        return call(directory(config, state_dir), command, **arguments)
    except NoHost as error:
        fail(f"{error}; start it with: alicia run CONFIG", EXIT_NO_HOST)
    except ConfigError as error:
        fail(str(error))


def directory(config: str | None, state_dir: str | None) -> Path:
    """The state directory that the two options mean; exits 1 when the configuration is wrong."""
    if state_dir is not None:
        return Path(state_dir)
    if config is None:
        return Path("state")
    from alicia_scheduler.config.load import load

    return load(config).state_dir
