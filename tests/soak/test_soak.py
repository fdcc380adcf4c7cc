"""Memory stays flat over a million executions, and nothing is left open (R76)."""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]

PER = 10_000
"""Executions that growth is given for."""


def measured(executions, every, *options):
    """What a process of its own took on the way."""
    command = [sys.executable, "-m", "tests.soak.life", str(executions), str(every), *options]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    print(done.stdout)
    return [json.loads(line) for line in done.stdout.splitlines()]


def growth(taken, warm_up):
    """Bytes of memory for each 10,000 executions after so many: from the middle of the first
    third of the measurements to the middle of the last, so that a single one decides nothing."""
    after = [line for line in taken if line["executions"] > warm_up]
    third = len(after) // 3
    first, last = after[:third], after[-third:]
    grown = median(line["rss"] for line in last) - median(line["rss"] for line in first)
    over = median(line["executions"] for line in last) - median(
        line["executions"] for line in first
    )
    return grown / over * PER


def left_open(taken):
    """By how many descriptors or threads the last measurement is above the first."""
    first, last = taken[0], taken[-1]
    return max(last[kind] - first[kind] for kind in ("descriptors", "threads"))


def test_memory_stays_flat_over_some_thousand_executions():
    taken = measured(8_000, 400)
    assert growth(taken, warm_up=4_500) < 1024 * 1024
    assert left_open(taken) <= 2


@pytest.mark.slow
def test_memory_stays_flat_over_a_hundred_thousand_executions_in_a_file(tmp_path):
    taken = measured(100_000, 5_000, "--file", str(tmp_path / "alicia.db"))
    assert growth(taken, warm_up=40_000) < 128 * 1024
    assert left_open(taken) <= 2


@pytest.mark.slow
def test_memory_stays_flat_over_a_million_executions():
    taken = measured(1_000_000, 20_000)
    assert taken[-1]["executions"] >= 1_000_000
    assert growth(taken, warm_up=200_000) < 32 * 1024
    assert left_open(taken) <= 2


@pytest.mark.slow
def test_the_measurement_finds_a_leak_of_an_execution_each():
    assert growth(measured(12_000, 500, "--defect", "leak"), warm_up=6_000) > 2 * 1024 * 1024


@pytest.mark.slow
def test_the_measurement_finds_a_leak_of_a_descriptor_now_and_then():
    assert left_open(measured(6_000, 1_000, "--defect", "descriptors")) > 2
