"""`make bench`: runs the suite, prints a table, writes `benchmarks.json`."""

import json
import platform
from dataclasses import asdict
from pathlib import Path

from benchmarks import embedding, ingestion, store


def main() -> None:
    """Run everything; a few minutes."""
    print(
        f"{platform.platform()}, Python {platform.python_version()}; ratio = ours : theirs, above 1 is faster"
    )
    found = []
    for suite in (store, ingestion, embedding):
        for figure in suite.figures():
            found.append(figure)
            spread = f"{figure.median:6.2f}  ({figure.low:.2f} - {figure.high:.2f})"
            print(f"{figure.name:62} {spread}   {figure.rate:8.0f} {figure.unit}/s", flush=True)
    Path("benchmarks.json").write_text(json.dumps([asdict(figure) for figure in found], indent=2) + "\n")


if __name__ == "__main__":
    main()
