"""Run one measurement once, in this process: ``python -m benchmarks.once dispatch bare_loop``.

Prints its figures as one line of JSON. ``make bench`` runs each measurement this way; by hand it
is what a profiler is put around.
"""

from __future__ import annotations

import json
import logging
import sys

from benchmarks.measurement import measurements_of


def main() -> None:
    benchmark, name = sys.argv[1:]
    logging.basicConfig(level=logging.ERROR)
    print(json.dumps(measurements_of(benchmark)[name].function()))


if __name__ == "__main__":
    main()
