"""Checks of an installed plugin against numbered rules: ``alicia plugins check DISTRIBUTION``."""

from __future__ import annotations

from alicia_scheduler.pluginchecks.rules import RULES, Finding, Rule, address_of
from alicia_scheduler.pluginchecks.run import Report, check_distribution
from alicia_scheduler.pluginchecks.subject import NotAPlugin

__all__ = [
    "RULES",
    "Finding",
    "NotAPlugin",
    "Report",
    "Rule",
    "address_of",
    "check_distribution",
]
