"""``make bench``: run the benchmarks, print what they measured, exit 1 when a bound is broken."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.bounds import Verdict, bounds_of, judge
from benchmarks.measurement import BENCHMARKS, Measurement, measurements_of

ROOT = Path(__file__).parent.parent
PEERS = Path(sys.prefix) / "peers"
LIMIT = 900.0
"""Seconds that one measurement may take."""

Taken = dict[str, list[float]]


def main() -> int:
    """Run what was asked for; the exit code."""
    options = _options()
    results: dict[str, object] = {"machine": _machine()}
    broken = False
    for benchmark in options.only or BENCHMARKS:
        taken, absent = _measure(benchmark, options.rounds, options.measurement)
        verdicts = [judge(bound, taken) for bound in bounds_of(benchmark)]
        _print(benchmark, taken, absent, verdicts)
        results[benchmark] = {
            "figures": taken,
            "absent": absent,
            "ratios": {each.bound.ratio: each.value for each in verdicts},
        }
        broken |= any(verdict.failed for verdict in verdicts)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2) + "\n")
    else:
        print(json.dumps(results))
    return int(broken)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=", description=__doc__)
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="one benchmark")
    parser.add_argument("--measurement", action="append", help="only these of it")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (default: 3)")
    parser.add_argument("--json", metavar="FILE", help="write JSON there, not to the output")
    return parser.parse_args()


def _machine() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "at": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _measure(benchmark: str, rounds: int, only: list[str] | None) -> tuple[Taken, dict[str, str]]:
    """Every measurement in turn, then all again: what else the machine does hits them alike."""
    taken: Taken = {}
    absent: dict[str, str] = {}
    for number in range(rounds):
        for each in measurements_of(benchmark).values():
            unwanted = only is not None and each.name not in only
            if unwanted or each.name in absent or number >= (each.rounds or rounds):
                continue
            print(f"\r\033[K{benchmark}: {each.name}, round {number + 1}", end="", file=sys.stderr)
            figures = _run(benchmark, each)
            if isinstance(figures, str):
                absent[each.name] = figures
                continue
            for name, value in figures.items():
                taken.setdefault(f"{each.name}.{name}", []).append(value)
    print("\r\033[K", end="", file=sys.stderr)
    return taken, absent


def _run(benchmark: str, each: Measurement) -> dict[str, float] | str:
    """The figures of one run, or why there are none. What is ours must run."""
    environment = dict(os.environ)
    if each.peer is not None:
        folder = PEERS / each.peer
        if not folder.is_dir():
            return f"{each.peer} is not installed"
        environment["PYTHONPATH"] = str(folder)
    command = [sys.executable, "-m", "benchmarks.once", benchmark, each.name]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {LIMIT:g} s"
    if done.returncode == 0:
        figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return figures
    if each.peer is None:
        sys.exit(f"{benchmark}: {each.name} failed:\n{done.stderr}")
    return done.stderr.strip().rpartition("\n")[2]


def _print(benchmark: str, taken: Taken, absent: dict[str, str], verdicts: list[Verdict]) -> None:
    print(f"\n{benchmark}\n")
    for name, values in taken.items():
        median, low, high = statistics.median(values), min(values), max(values)
        print(f"  {name:44} {median:>14,.2f}   ({low:,.2f} to {high:,.2f}, {len(values)} runs)")
    for name, why in absent.items():
        print(f"  {name:44} {'absent':>14}   ({why})")
    print()
    for verdict in verdicts:
        print(f"  {_line(verdict)}")


def _line(verdict: Verdict) -> str:
    bound, value = verdict.bound, verdict.value
    insists = f">= {bound.at_least:g}" if bound.at_least is not None else f"<= {bound.at_most:g}"
    target = "" if bound.target is None else f", target {bound.target:g}"
    if value is None:
        return f"{bound.ratio:60} {'-':>9}   absent ({insists}{target})"
    word = "BROKEN" if verdict.failed else "ok" if bound.reaches_target(value) else "holds"
    return f"{bound.ratio:60} {value:>9.3f}   {word} ({insists}{target})"


if __name__ == "__main__":
    sys.exit(main())
