"""How what goes wrong in a command is told: one kind of error through every door."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.api.errors import ConfigError, StoreError
from alicia_scheduler.host.reload import ReloadRefused
from alicia_scheduler.kernel.definitions import OtherRevision

__all__ = ["issue_json", "refusals"]


def issue_json(issue: ConfigError) -> dict[str, Any]:
    """One mistake of several, as the details of a refusal have it."""
    found: dict[str, Any] = {"path": list(issue.path), "message": issue.message}
    more = {"hint": issue.hint, "file": issue.file, "line": issue.line}
    return found | {key: value for key, value in more.items() if value is not None}


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
    except ReloadRefused as error:
        issues = [issue_json(issue) for issue in error.issues]
        raise CommandError("invalid_format", str(error), details={"issues": issues}) from error
    except OtherRevision as error:
        revision: dict[str, Any] = {"revision": error.revision}
        hint = "read the event again and decide anew" if error.revision else None
        raise CommandError("conflict", str(error), hint=hint, details=revision) from error
    except KeyError as error:
        raise CommandError("not_found", f"there is no {error.args[0]!r}") from error
    except ValueError as error:
        raise CommandError("not_supported", str(error)) from error
    except StoreError as error:
        raise CommandError("unavailable", str(error), hint="try again later") from error
