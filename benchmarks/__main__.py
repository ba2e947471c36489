"""`make bench`: runs the suites, prints a table of each and writes it to `benchmarks-<suite>.json`.

`make bench ARGS="events projections"` runs those alone. It fails where a figure is below its floor.
"""

import importlib
import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.measure import Figure

SUITES = ("store", "upsert", "ingestion", "embedding", "events", "projections", "breaker", "caching")


def main() -> None:
    """Run the suites that are named on the command line, or all; a few minutes each."""
    if unknown := set(sys.argv[1:]) - set(SUITES):
        sys.exit(f"no suite is called {', '.join(sorted(unknown))}: there are {', '.join(SUITES)}")
    print(
        f"{platform.platform()}, Python {platform.python_version()}; ratio = ours : theirs, above 1 is faster"
    )
    figures = [figure for suite in sys.argv[1:] or SUITES for figure in run(suite)]
    if below := [figure for figure in figures if figure.median < figure.floor]:
        sys.exit("below the floor: " + "; ".join(figure.name for figure in below))


def run(name: str) -> list[Figure]:
    """Run one suite, show it, and write it down."""
    suite = importlib.import_module(f"benchmarks.{name}")
    settings = suite.settings() if hasattr(suite, "settings") else []
    print(*(f"  {line}" for line in settings), sep="\n")
    figures = []
    for figure in suite.figures():
        figures.append(figure)
        spread = f"{figure.median:6.2f}  ({figure.low:.2f} - {figure.high:.2f})"
        floor = f"floor {figure.floor}" if figure.floor else ""
        print(f"{figure.name:74} {spread:24} {floor:10} {figure.rate:8.0f} {figure.unit}/s", flush=True)
    found = {"settings": settings, "figures": [asdict(figure) for figure in figures]}
    Path(f"benchmarks-{name}.json").write_text(json.dumps(found, indent=2) + "\n")
    return figures


if __name__ == "__main__":
    main()
