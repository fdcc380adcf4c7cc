"""What can go wrong, as exceptions with a sentence for the person who must mend it."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AliciaError",
    "CalledOff",
    "ConfigError",
    "Permanent",
    "Retryable",
    "ServiceUnavailable",
    "StoreError",
]


class AliciaError(Exception):
    """Base of every error that Alicia Scheduler raises on purpose."""


class ConfigError(AliciaError, ValueError):
    """A configuration is wrong. The only thing a bad configuration raises.

    Args:
        message: one plain sentence: what is wrong, with the value that is wrong.
        path: where, from the outermost key inwards, e.g. ``("events", "lights", "timezone")``.
        hint: what to write instead, e.g. ``"did you mean 'expression'?"``.
        file: the configuration file, if the mistake came from one.
        line: the line in that file, counted from 1.

    ``str(error)`` joins what is known: ``home.toml:12: events.lights: unknown key 'expresion'
    (did you mean 'expression'?)``.
    """

    def __init__(
        self,
        message: str,
        *,
        path: Sequence[str | int] = (),
        hint: str | None = None,
        file: str | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path: tuple[str | int, ...] = tuple(path)
        self.hint = hint
        self.file = file
        self.line = line

    def under(self, *prefix: str | int) -> ConfigError:
        """The same mistake seen from outside: its path begins with ``prefix``."""
        return ConfigError(
            self.message,
            path=(*prefix, *self.path),
            hint=self.hint,
            file=self.file,
            line=self.line,
        )

    def located(self, file: str | None, line: int | None) -> ConfigError:
        """The same mistake with the place in a file it came from."""
        return ConfigError(self.message, path=self.path, hint=self.hint, file=file, line=line)

    def __str__(self) -> str:
        parts = []
        if self.file is not None:
            parts.append(f"{self.file}:{self.line}" if self.line is not None else self.file)
        if self.path:
            parts.append(".".join(str(step) for step in self.path))
        parts.append(self.message)
        text = ": ".join(parts)
        return f"{text} ({self.hint})" if self.hint else text


class Retryable(AliciaError):
    """An action failed in a way that may pass: the kernel tries again by the event's retry policy.

    Args:
        message: what happened, for the history.
        after: a delay in seconds that the far side asked for (``Retry-After``), which then
            stands in for the event's own back-off.
        error_class: a stable word for the kind of failure (``connection``, ``http_503``), which
            the history shows and an event can list in ``no_retry_on``.
        result: what is worth keeping in the history although it failed (JSON-ready), when it was
            the last attempt.
    """

    default_class: str = "retryable"

    def __init__(
        self,
        message: str,
        *,
        after: float | None = None,
        error_class: str | None = None,
        result: object | None = None,
    ) -> None:
        super().__init__(message)
        self.after = after
        self.result = result
        self.error_class: str = error_class or self.default_class


class Permanent(AliciaError):
    """An action failed and trying again cannot help: the execution ends as failed at once.

    Args:
        message: what happened, for the history.
        error_class, result: as for :class:`Retryable`.
    """

    def __init__(
        self, message: str, *, error_class: str = "permanent", result: object | None = None
    ) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.result = result


class CalledOff(AliciaError):
    """The far side called off what an action had asked of it: the execution ends as cancelled,
    and is not tried again.

    Args:
        message: who called it off, and why, for the history.
        result: as for :class:`Retryable`.
    """

    def __init__(self, message: str, *, result: object | None = None) -> None:
        super().__init__(message)
        self.result = result


class ServiceUnavailable(Retryable):
    """A service that an action or a sink needs is not running at the moment."""

    default_class = "service_unavailable"


class StoreError(AliciaError):
    """The store cannot do what was asked; the message says why and what to do.

    Attributes:
        transient: nothing is wrong with the store itself (a full disk, a mount that may not be
            written, a lock); the same call can work later.
        damaged: what is stored is damaged; :meth:`Store.recover` begins a new store.
    """

    def __init__(self, message: str, *, transient: bool = False, damaged: bool = False) -> None:
        super().__init__(message)
        self.transient = transient
        self.damaged = damaged
