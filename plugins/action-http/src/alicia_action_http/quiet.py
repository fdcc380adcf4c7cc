"""What the libraries below must not log."""

from __future__ import annotations

import logging

__all__ = ["keep_quiet"]

TALKATIVE = ("httpcore", "httpcore.connection", "httpcore.http11", "httpx")
"""Loggers that, at DEBUG, write down whole heads of answers (Set-Cookie) and refused headers."""


def keep_quiet() -> None:
    """Let these loggers say nothing below WARNING, also where everything else is at DEBUG."""
    for name in TALKATIVE:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))
