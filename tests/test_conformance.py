"""The time rules, as data: every vector in tests/conformance, through the public ``preview``.

One test a file, so that a failure lists the ids of the vectors that failed. The README beside the
vectors has the rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alicia_scheduler import ConfigError, preview

VECTORS = Path(__file__).parent / "conformance"

CASES_BY_FILE = {
    "cron-ext": 36,
    "cron5": 367,
    "cron5-dst": 498,
    "cron5-regress": 28,
    "cron6-first": 144,
    "cron6-last": 144,
    "interval": 76,
    "invalid": 253,
    "invalid-nonjson": 5,
    "once": 91,
    "recurring": 252,
    "rrule": 204,
    "solar": 121,
}


@pytest.mark.parametrize("name", CASES_BY_FILE)
def test_every_vector_gives_the_expected_runs_or_is_refused(name: str) -> None:
    verdicts = {case["id"]: verdict(case, name) for case in cases(name)}
    failed = {case_id: why for case_id, why in verdicts.items() if why is not None}
    assert not failed, f"{len(failed)} of {len(verdicts)} failed: {failed}"
    assert len(verdicts) == CASES_BY_FILE[name]


def test_no_file_of_vectors_is_left_out() -> None:
    files = {path.stem for path in VECTORS.glob("*.jsonl")}
    assert files == CASES_BY_FILE.keys()


def cases(name: str) -> Iterator[dict[str, Any]]:
    with (VECTORS / f"{name}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def verdict(case: dict[str, Any], name: str) -> str | None:
    """What is wrong with our answer to a case, or None when it is right."""
    spec = case["spec"]
    if name == "cron6-last":
        spec = {**spec, "seconds": "last"}
    anchor = instant(case["anchor"]) if "anchor" in case else None
    try:
        runs = preview(
            case["kind"], spec, timezone=case["tz"], after=instant(case["after"]), anchor=anchor
        )
    except ConfigError as error:
        return None if "error" in case else f"refused: {error}"
    if "error" in case:
        return "accepted"
    expected = [instant(text) for text in case["expect"]]
    tolerance = timedelta(seconds=case.get("tolerance_s", 0))
    if len(runs) == len(expected) and all(
        abs(run - wanted) <= tolerance for run, wanted in zip(runs, expected, strict=True)
    ):
        return None
    return f"gave {[run.isoformat() for run in runs]}"


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
