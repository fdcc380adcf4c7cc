"""Work, counted: a rendering ends when it has used up its steps, whatever the machine's speed.

Every value that an expression takes or makes is weighed: one step, and more for what is large. An
operation on values costs no more than a fixed multiple of their weight, so the steps bound the
time. Operations whose result can be much larger than what they take (``*``, ``**``, padding,
``replace``, ``join``) are bounded before they begin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = [
    "OUTPUT_LIMIT",
    "STEPS",
    "Meter",
    "OverLimit",
    "check_padding",
    "check_power",
    "check_product",
    "check_text",
]

STEPS = 5_000
"""Steps that rendering all templates of one action may take together."""

OUTPUT_LIMIT = 64 * 1024
"""Bytes of text that all templates of one action may make together, and characters that a text
within them may have."""

CHARACTERS_A_STEP = 256

BITS = 1024
"""Bits of the largest whole number."""

PADDING = re.compile(r"%[^a-zA-Z%]*(\*|\d{4,})")


class OverLimit(Exception):
    """A template wants more than it may have; the text says of what."""


class Meter:
    """The steps and the output that are left to one rendering."""

    def __init__(self, steps: int = STEPS, output: int = OUTPUT_LIMIT) -> None:
        self._steps = steps
        self._output = output

    def weighed(self, value: Any) -> Any:
        """``value``, once its weight is paid; what comes one by one comes as a list.

        Raises:
            OverLimit: the steps are used up, or a text or number is too large.
        """
        if isinstance(value, (Iterator, Mapping)) and not isinstance(value, dict):
            return self._gathered(value)
        if isinstance(value, _VIEWS):
            return self._gathered(value)
        self._pay(value)
        return value

    def written(self, text: str) -> str:
        """``text``, once it is counted as output.

        Raises:
            OverLimit: it is more than is left.
            TypeError: it has no UTF-8 form.
        """
        try:
            self._output -= len(text.encode())
        except UnicodeEncodeError:
            raise TypeError("makes a lone surrogate, which has no UTF-8 form") from None
        if self._output < 0:
            raise OverLimit(f"makes more than {OUTPUT_LIMIT // 1024} KiB of text")
        return text

    def _gathered(self, values: Iterable[Any]) -> list[Any]:
        gathered: list[Any] = []
        for value in values:
            self._pay(value)
            gathered.append(value)
        return gathered

    def _pay(self, value: Any) -> None:
        waiting = [value]
        while waiting:
            item = waiting.pop()
            steps = 1
            if isinstance(item, str):
                check_text(len(item))
                steps += len(item) // CHARACTERS_A_STEP
            elif isinstance(item, dict):
                waiting.extend(item.values())
                steps += len(item)
            elif isinstance(item, (list, tuple)):
                waiting.extend(item)
            elif isinstance(item, range):
                steps += len(item)
            elif isinstance(item, int) and item.bit_length() > BITS:
                raise OverLimit(f"makes a whole number of more than {BITS} bits")
            self._steps -= steps
            if self._steps < 0 or self._steps < len(waiting):
                raise OverLimit(f"takes more than {STEPS} steps")


_VIEWS: tuple[type[Any], ...] = (type({}.keys()), type({}.values()), type({}.items()))


def check_text(length: int) -> None:
    """Refuse a text of this many characters.

    Raises:
        OverLimit: it is too long.
    """
    if length > OUTPUT_LIMIT:
        raise OverLimit(f"makes a text of more than {OUTPUT_LIMIT // 1024} Ki characters")


def check_product(left: Any, right: Any) -> None:
    """Refuse ``left * right`` before it is made.

    Raises:
        OverLimit: it would be too large.
    """
    for many, times in ((left, right), (right, left)):
        if isinstance(many, (str, bytes, list, tuple)) and isinstance(times, int):
            check_text(len(many) * max(times, 0))
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() + right.bit_length())


def check_power(base: Any, exponent: Any) -> None:
    """Refuse ``base ** exponent`` before it is made.

    Raises:
        OverLimit: it would be too large.
    """
    if isinstance(base, int) and isinstance(exponent, int):
        _check_bits(base.bit_length() * abs(exponent))


def check_padding(template: Any) -> None:
    """Refuse a ``%`` format that pads to thousands of characters.

    Raises:
        OverLimit: it does.
    """
    if isinstance(template, str) and PADDING.search(template):
        raise OverLimit("pads a text to a width of more than 999")


def _check_bits(bits: int) -> None:
    if bits > BITS:
        raise OverLimit(f"makes a whole number of more than {BITS} bits")
