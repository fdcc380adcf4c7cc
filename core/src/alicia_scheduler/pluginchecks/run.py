"""All rules, held against one distribution."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Any

from alicia_scheduler.pluginchecks import code, documents, offers, packaging
from alicia_scheduler.pluginchecks.rules import RULES, Finding, address_of
from alicia_scheduler.pluginchecks.subject import Subject

__all__ = ["Report", "check_distribution"]

ROOMS = (packaging, offers, code, documents)
"""The modules that hold the rules."""


@dataclass(frozen=True)
class Report:
    """What was found.

    Attributes:
        unseen: what could not be looked at, and why.
    """

    distribution: str
    version: str
    findings: tuple[Finding, ...]
    unseen: tuple[str, ...]

    def to_wire(self) -> dict[str, Any]:
        """The report as ``--json`` shows it."""
        return {
            "distribution": self.distribution,
            "version": self.version,
            "findings": [
                {
                    "code": finding.code,
                    "rule": RULES[finding.code].summary,
                    "message": finding.message,
                    "documentation": address_of(finding.code),
                }
                for finding in self.findings
            ],
            "unseen": list(self.unseen),
        }


def check_distribution(name: str, distribution: metadata.Distribution | None = None) -> Report:
    """Hold an installed distribution against all rules.

    Raises:
        NotAPlugin: it is not installed, or has no entry point of ours.
    """
    subject = Subject(name, distribution)
    findings = [
        Finding(rule.code, message)
        for rule in sorted(RULES.values(), key=lambda rule: rule.code)
        for message in rule.check(subject)
    ]
    unseen = []
    if subject.tests is None:
        unseen.append(
            "its tests, which do not come with it: check it where it is installed with -e"
        )
    return Report(subject.name, str(subject.distribution.version), tuple(findings), tuple(unseen))
