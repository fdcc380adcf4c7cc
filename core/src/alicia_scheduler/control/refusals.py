"""How what goes wrong in a command is told: one kind of error through every door."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.api.errors import ConfigError, StoreError
from alicia_scheduler.kernel.definitions import OtherRevision

__all__ = ["refusals"]


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what the block raises into a :class:`CommandError`: a ``KeyError`` into ``not_found``,
    a ``ConfigError`` into ``invalid_format`` at its place, any other ``ValueError`` into
    ``not_supported``. Faults of ours pass."""
    try:
        yield
    except ConfigError as error:
        raise CommandError(
            "invalid_format", error.message, hint=error.hint, path=error.path
        ) from error
    except OtherRevision as error:
        hint = "read the event again and decide anew" if error.revision else None
        details = {"revision": error.revision}
        raise CommandError("conflict", str(error), hint=hint, details=details) from error
    except KeyError as error:
        raise CommandError("not_found", f"there is no {error.args[0]!r}") from error
    except ValueError as error:
        raise CommandError("not_supported", str(error)) from error
    except StoreError as error:
        raise CommandError("unavailable", str(error), hint="try again later") from error
