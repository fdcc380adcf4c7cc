"""The rules: each has a number for life, a sentence, and a heading in the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alicia_scheduler.pluginchecks.subject import Subject

__all__ = ["RULES", "Check", "Finding", "Rule", "address_of", "rule"]

PAGE = "docs/reference/plugin-rules.md"

Check = Callable[["Subject"], Iterable[str]]
"""Yields a sentence for each place where a rule is broken: what is wrong, and what to do."""


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        code: ``ALP`` and three digits; never used again for anything else.
        summary: the rule, as an imperative.
        check: looks whether a plugin keeps it.
    """

    code: str
    summary: str
    check: Check


@dataclass(frozen=True)
class Finding:
    """One place where a plugin breaks a rule."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code} {self.message}"


RULES: dict[str, Rule] = {}
"""All rules by code, in order."""


def rule(code: str, summary: str) -> Callable[[Check], Check]:
    """Make a function the check of a rule."""

    def register(check: Check) -> Check:
        if code in RULES:
            raise ValueError(f"{code} is taken")
        RULES[code] = Rule(code, summary, check)
        return check

    return register


def address_of(code: str) -> str:
    """Where the documentation tells about a rule."""
    return f"{PAGE}#{code.lower()}"
