"""What the template asks, as ``plugin_template/questions.yml`` has it for copier."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from alicia_scheduler.api import ConfigError

__all__ = ["KINDS", "LICENCES", "Answers"]

KINDS = ("action", "schedule", "sink", "service")
LICENCES = ("MIT", "BSD-3-Clause", "ISC", "Private")

DESCRIPTION = "A plugin for Alicia Scheduler."

LONGEST_PLUGIN = 20
LONGEST_DISTRIBUTION = 40
"""Characters of a name; with longer ones, lines of the project would become too long."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The answers to all questions; what is left out has the template's default.

    Attributes:
        plugin: name of the plugin: its entry point, and the first half of its types' names.
        kinds: what it brings, of :data:`KINDS`.
        distribution: what pip installs; ``alicia-<plugin>`` by default.
        description: what it does, in a line.
        author: who writes it.
        licence: one of :data:`LICENCES`; ``Private`` means that it is never published.

    Raises:
        ConfigError: an answer cannot be taken; its path is the name of the question.
    """

    plugin: str
    kinds: tuple[str, ...] = ("action",)
    distribution: str = ""
    description: str = DESCRIPTION
    author: str = ""
    licence: str = "MIT"

    def __post_init__(self) -> None:
        distribution = self.distribution or f"alicia-{self.plugin.replace('_', '-')}"
        object.__setattr__(self, "distribution", distribution)
        object.__setattr__(self, "author", self.author or f"The authors of {distribution}")
        for question in ("plugin", "kinds", "distribution", "description", "author", "licence"):
            problem = self._problem(question)
            if problem is not None:
                raise ConfigError(problem, path=(question,))

    @property
    def package(self) -> str:
        """What Python imports."""
        return self.distribution.replace("-", "_")

    def asked(self) -> dict[str, Any]:
        """The answers by question, as the project remembers them."""
        return {**asdict(self), "kinds": list(self.kinds)}

    def _problem(self, question: str) -> str | None:
        value = getattr(self, question)
        match question:
            case "plugin":
                if not _is_name(value, "_", LONGEST_PLUGIN):
                    return (
                        f"{value!r} is no name of at most {LONGEST_PLUGIN} lower-case letters, "
                        "digits and _, such as lamp"
                    )
            case "distribution":
                if not _is_name(value, "-", LONGEST_DISTRIBUTION) or value == "alicia-scheduler":
                    return (
                        f"{value!r} is no name of at most {LONGEST_DISTRIBUTION} lower-case "
                        "letters, digits and -, such as alicia-lamp"
                    )
            case "kinds":
                unknown = [kind for kind in value if kind not in KINDS]
                if unknown or not value:
                    return f"choose one or more of {', '.join(KINDS)}"
            case "licence":
                if value not in LICENCES:
                    return f"choose one of {', '.join(LICENCES)}"
            case _:
                if not re.fullmatch(r'[^"\\\x00-\x1f]{1,80}', value):
                    return 'write one line of at most 80 characters without " and \\'
        return None


def _is_name(value: str, separator: str, longest: int) -> bool:
    pattern = rf"[a-z][a-z0-9]*({separator}[a-z0-9]+)*"
    return len(value) <= longest and re.fullmatch(pattern, value) is not None
