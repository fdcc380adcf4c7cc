"""``[secrets]``: where the values come from that a configuration must not hold itself."""

from __future__ import annotations

import re

import msgspec

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.convert import convert_all
from alicia_scheduler.config.wording import found, quote

__all__ = ["SECRET_NAME", "SecretSource", "secret_sources"]

SECRET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")

EXAMPLE = 'write { env = "VARIABLE" }, { file = "path" } or { credential = "name" }'


class SecretSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one secret comes from: exactly one of the three.

    Attributes:
        env: the name of an environment variable.
        file: a file that holds the value, relative to the configuration file's folder; one line
            end at its end does not count.
        credential: the name of a credential that systemd passes (``LoadCredential=``).
    """

    env: str | None = None
    file: str | None = None
    credential: str | None = None

    def __post_init__(self) -> None:
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name))}
        if len(given) != 1:
            raise ConfigError("must name one place that the secret comes from", hint=EXAMPLE)
        if self.credential is not None and not SECRET_NAME.fullmatch(self.credential):
            raise ConfigError(
                f"{quote(self.credential)} cannot be the name of a credential",
                path=("credential",),
                hint="it is a file name: A-Z a-z 0-9 _ . -",
            )
        for name, value in given.items():
            if "\0" in value or (name == "env" and "=" in value):
                raise ConfigError("cannot be found: the name holds NUL or =", path=(name,))


def secret_sources(raw: object, issues: list[ConfigError]) -> dict[str, SecretSource]:
    """The sources of ``[secrets]`` by name; mistakes are added to ``issues``, never a value."""
    if not isinstance(raw, dict):
        message = f"must be a table, not {found(raw, ('secrets',))}"
        issues.append(ConfigError(message, path=("secrets",), hint=f"[secrets], then {EXAMPLE}"))
        return {}
    sources: dict[str, SecretSource] = {}
    for name, value in raw.items():
        path = ("secrets", name)
        if SECRET_NAME.fullmatch(name) is None:
            message = f"{quote(name)} cannot be the name of a secret"
            hint = "1 to 128 of A-Z a-z 0-9 _ . - beginning with a letter or digit"
            issues.append(ConfigError(message, path=path, hint=hint))
        elif not isinstance(value, dict):
            issues.append(
                ConfigError(
                    "the value of a secret must not stand in the configuration",
                    path=path,
                    hint=f"move it to secrets.toml beside this file (chmod 600), or {EXAMPLE}",
                )
            )
        else:
            source = convert_all(value, SecretSource, issues, path=path)
            if source is not None:
                sources[name] = source
    return sources
