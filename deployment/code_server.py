"""Runs the code server: settles what the one before left behind, and ends when the server no longer serves.

`dagster code-server start` is two processes: one listens, one holds the code and is replaced by "Reload definitions". If the
second is killed (memory is short), the first goes on listening for nobody. Then this process ends, and the container is
started anew.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import health

EVERY = 15.0
"""Seconds from one look to the next."""

PATIENCE = 4
"""Looks in a row that may fail: a machine may be busy."""

LEFT_RUNS = [sys.executable, str(Path(__file__).with_name("left_runs.py"))]


def main() -> int:
    """Run the server until it ends; return its exit status."""
    listed = subprocess.run([*LEFT_RUNS, "list"], check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
    with subprocess.Popen(_command()) as server:  # noqa: S603 - our own program
        # It lets its runs end before it goes, and answers till then; after `stop_grace_period` it is killed.
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        if left := listed.stdout.split():
            _say(f"left behind by the server before: {', '.join(left)}")
            subprocess.Popen([*LEFT_RUNS, "settle", *left])  # noqa: S603 - our own program
        return watch(server, health.code_serves)


def _command() -> list[str]:
    """Return the command of Dagster's server; the location has the name that workspace.yaml gives it."""
    return [
        *(sys.executable, "-m", "dagster", "code-server", "start"),
        *("--host", os.environ["CODE_SERVER_BIND"], "--port", os.environ["CODE_SERVER_PORT"]),
        *("--module-name", "pipelines_persistence.definitions", "--location-name", "pipelines_persistence"),
    ]


def watch(server: subprocess.Popen[bytes], serves: Callable[[], bool], every: float = EVERY) -> int:
    """Wait for the end of a server, and end it when it has stopped to serve; return its exit status."""
    has_served, failures = False, 0
    while True:
        try:
            return server.wait(every)
        except subprocess.TimeoutExpired:
            is_serving = serves()
        has_served |= is_serving  # until then it loads the code
        failures = 0 if is_serving else failures + has_served
        if failures >= PATIENCE:
            _say(f"the server did not answer {failures} times; it is ended, and started anew")
            server.kill()
            return server.wait()


def _say(what: str) -> None:
    print(f"code_server.py: {what}", flush=True)  # noqa: T201 - the container's log


if __name__ == "__main__":
    sys.exit(main())
