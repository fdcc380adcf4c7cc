"""Configurations that are finished when they are used: with templates to render in them, and
secrets to fetch. What needs neither never comes here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from alicia_scheduler.api.errors import ConfigError, Permanent, Retryable
from alicia_scheduler.config.convert import convert_all
from alicia_scheduler.config.secrets import SECRET_NAME
from alicia_scheduler.config.standins import ROUNDS, Made, Unknown, holds_unknown
from alicia_scheduler.config.wording import quote
from alicia_scheduler.host.secrets.redaction import MASK
from alicia_scheduler.host.secrets.vault import SecretMissing, Secrets

if TYPE_CHECKING:
    from alicia_scheduler.host.templates.template import Template

__all__ = ["Recipe", "is_reference", "made", "read_options"]

Path = tuple[str | int, ...]

SECRET = "secret"  # noqa: S105 - the key of a reference, and the class of an error
TEMPLATE = "template"


@dataclass(frozen=True)
class Recipe:
    """How to make a configuration when it is used.

    Attributes:
        path: where the options stand, for messages.
        options: as they were written.
        config_class: what they become.
        templates: the compiled templates in them, by place.
        references: the names of the secrets in them, by place.
        allow: raises ``ConfigError`` for a configuration that this host does not allow.
    """

    path: Path
    options: dict[str, Any]
    config_class: type[Any]
    templates: Mapping[Path, Template]
    references: Mapping[Path, str]
    allow: Callable[[Any], None]

    @property
    def names(self) -> frozenset[str]:
        """What the templates want to be given."""
        return frozenset().union(*(template.names for template in self.templates.values()))

    @property
    def volatile(self) -> bool:
        """True when the next attempt may see other data."""
        return any(template.volatile for template in self.templates.values())

    def check(self, issues: list[ConfigError], broken: Collection[Path] = ()) -> None:
        """Check what can be known before it is used; mistakes are added to ``issues``. Places
        that are ``broken`` have been told already.

        Each unknown value is tried with several samples. What is wrong with all of them is wrong
        whatever the value; what is said about the value itself is left for when it is known.
        """
        rounds: list[list[ConfigError]] = []
        for number in range(ROUNDS):
            found: list[ConfigError] = []
            unknown = partial(self._unknown, number=number)
            self._read(self._options(unknown, broken), found)
            rounds.append(found)
        first, *others = rounds
        issues.extend(
            issue for issue in first if all(str(issue) in map(str, other) for other in others)
        )

    def check_secrets(self, secrets: Secrets, issues: list[ConfigError]) -> None:
        """Read every secret once, so that what is missing is known before it is needed. Blocks."""
        for place, name in self.references.items():
            try:
                secrets.read(name)
            except SecretMissing as error:
                issues.append(
                    ConfigError(error.message, path=(*self.path, *place), hint=error.hint)
                )

    async def fetched(self, secrets: Secrets) -> dict[str, str]:
        """The values of all secrets by name, as they are now.

        Raises:
            Retryable: one is missing; of the class ``secret``.
        """
        values: dict[str, str] = {}
        for place, name in self.references.items():
            try:
                values[name] = await secrets.get(name)
            except SecretMissing as error:
                raise Retryable(f"{self._spelt(place)}: {error}", error_class=SECRET) from None
        return values

    def rendered(self, names: Mapping[str, Any]) -> dict[Path, Any]:
        """What the templates make of ``names``, by place. They share their bounds.

        Raises:
            Retryable, Permanent: one failed; of the class ``template``. It is worth another
                attempt when the templates use what may have changed by then.
        """
        if not self.templates:
            return {}
        from alicia_scheduler.host.templates.meter import Meter
        from alicia_scheduler.host.templates.template import TemplateFault

        meter = Meter()
        values: dict[Path, Any] = {}
        for place, template in self.templates.items():
            try:
                values[place] = template.render(names, meter)
            except TemplateFault as fault:
                where = self._spelt(place)
                raise self._failure(f"{where}: the template failed: {fault}") from None
        return values

    def shown(self, rendered: Mapping[Path, Any]) -> dict[str, Any]:
        """The finished options with :data:`MASK` in place of each secret."""
        return self._options(lambda place: rendered.get(place, MASK))

    def finished(self, rendered: Mapping[Path, Any], values: Mapping[str, str]) -> Any:
        """The configuration.

        Raises:
            Retryable, Permanent: it is refused now that all is known; the message names the
                place. A value that is a secret is never in it.
        """
        return self._converted(lambda place: _standing_for(rendered[place]), values)

    def masked(self, rendered: Mapping[Path, Any]) -> Any:
        """The configuration with :data:`MASK` in place of each secret, to be shown.

        Raises:
            Retryable, Permanent: it is refused, perhaps because it cannot be without a secret.
        """
        values = dict.fromkeys(self.references.values(), MASK)
        return self._converted(lambda place: _standing_for(rendered[place]), values)

    def _converted(self, made_at: Callable[[Path], Any], values: Mapping[str, str]) -> Any:
        def value_at(place: Path) -> Any:
            return values[self.references[place]] if place in self.references else made_at(place)

        issues: list[ConfigError] = []
        config = self._read(self._options(value_at), issues)
        if config is not None:
            return config
        issue = issues[0]
        name = self.references.get(issue.path[len(self.path) :])
        if name is not None:
            # A message about a value quotes it, perhaps cut.
            issue = ConfigError(f"refuses the value of the secret {quote(name)}", path=issue.path)
        raise self._failure(str(issue))

    def _read(self, options: dict[str, Any], issues: list[ConfigError]) -> Any:
        return _allowed(options, self.config_class, issues, self.path, self.allow)

    def _failure(self, message: str) -> Retryable | Permanent:
        if not self.templates:
            return Retryable(message, error_class=SECRET)
        kind = Retryable if self.volatile else Permanent
        return kind(message, error_class=TEMPLATE)

    def _unknown(self, place: Path, *, number: int) -> Unknown:
        if place in self.references:
            hint = "write it here; only texts can be secrets"
            return Unknown("a secret", text=True, hint=hint, number=number)
        native = place not in self.templates or self.templates[place].native
        hint = "let the template be a single {{ … }}, which makes a value of any type"
        return Unknown("this template", text=not native, hint=hint, number=number)

    def _spelt(self, place: Path) -> str:
        return ".".join(map(str, (*self.path, *place)))

    def _options(
        self, value_at: Callable[[Path], Any], also: Collection[Path] = ()
    ) -> dict[str, Any]:
        """The options with ``value_at(place)`` in the place of each template and reference."""

        def walk(value: Any, place: Path) -> Any:
            if place in self.templates or place in self.references or place in also:
                return value_at(place)
            if isinstance(value, dict):
                return {key: walk(item, (*place, key)) for key, item in value.items()}
            if isinstance(value, list):
                return [walk(item, (*place, index)) for index, item in enumerate(value)]
            return value

        finished: dict[str, Any] = walk(self.options, ())
        return finished


def read_options(
    options: dict[str, Any],
    config_class: type[Any],
    issues: list[ConfigError],
    *,
    path: Path,
    templates: bool,
    allow: Callable[[Any], None] = lambda _config: None,
) -> Any:
    """The configuration that ``options`` are, or the :class:`Recipe` for it when something in
    them is known only when it is used; None when there are mistakes, added to ``issues``.

    Args:
        path: where the options stand, for the errors.
        templates: whether ``{{ … }}`` in a text is a template here; else it is text.
        allow: raises ``ConfigError`` for a configuration that this host does not allow.
    """
    found: list[ConfigError] = []
    broken: list[Path] = []
    compiled_at: dict[Path, Template] = {}
    references: dict[Path, str] = {}
    for place, value in _places(options, ()):
        try:
            if isinstance(value, dict):
                references[place] = _reference(value)
            elif templates and "{" in value:
                from alicia_scheduler.host.templates.template import compiled, is_template

                if is_template(value):
                    compiled_at[place] = compiled(value)
        except ConfigError as error:
            found.append(error.under(*path, *place))
            broken.append(place)
    if not (compiled_at or references or found):
        return _allowed(options, config_class, issues, path, allow)
    recipe = Recipe(path, options, config_class, compiled_at, references, allow)
    recipe.check(found, broken)
    issues.extend(found)
    return None if found else recipe


def _allowed(
    options: dict[str, Any],
    config_class: type[Any],
    issues: list[ConfigError],
    path: Path,
    allow: Callable[[Any], None],
) -> Any:
    """The configuration that options are, if they are right and the host allows it."""
    config = convert_all(options, config_class, issues, path=path)
    if config is None:
        return None
    try:
        allow(config)
    except ConfigError as error:
        if not holds_unknown(options, error.path):
            issues.append(error.under(*path))
            return None
    return config


async def made(config: Any, secrets: Secrets) -> Any:
    """The configuration of a service or a sink, with its secrets as they are now.

    Raises:
        Retryable: one is missing, or refused; the message says which.
    """
    if not isinstance(config, Recipe):
        return config
    return config.finished({}, await config.fetched(secrets))


def _places(value: Any, place: Path) -> Iterator[tuple[Path, Any]]:
    """Every text and every reference to a secret, with its place."""
    if is_reference(value):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _places(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, (*place, index))
    elif isinstance(value, str):
        yield place, value


def is_reference(value: Any) -> bool:
    """True for ``{ secret = "name" }``: exactly this key, with a text."""
    return isinstance(value, dict) and value.keys() == {SECRET} and isinstance(value[SECRET], str)


def _reference(value: dict[str, str]) -> str:
    name = value[SECRET]
    if SECRET_NAME.fullmatch(name) is None:
        # Not quoted: somebody may have written the value instead of the name.
        raise ConfigError(
            "names no secret: this is not the name of one",
            hint='{ secret = "name" } takes a name that is declared under [secrets]',
        )
    return name


def _standing_for(value: Any) -> Any:
    from alicia_scheduler.host.templates.sandbox import text_of

    return value if isinstance(value, str) else Made(value, text_of)
