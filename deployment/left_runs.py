"""The runs that a code server leaves behind when it is killed.

Runs are processes of the code server, in the same container: with it they are gone, and Dagster's own launcher cannot tell.
They would stay "started" for as long as a run may take, and hold their places in the pools. So whoever starts the next
server calls `python deployment/left_runs.py list` before, and `… settle RUN_ID…` after.
"""

import json
import os
import sys
import time
from collections.abc import Callable

import health
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.storage.tags import GRPC_INFO_TAG

UNFINISHED = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
START_UP = 600.0
"""Seconds that the new server is waited for, at most."""

SETTLING = 12.0
"""Seconds more: the daemon looks every 10 whether a server that it lost is back, and gives up a retry before that."""

MESSAGE = (
    "The code server was stopped while it ran this run. Nothing is lost: the next run goes on where it ended."
)


def left_behind(instance: DagsterInstance, host: str, port: int) -> list[str]:
    """Return the ids of the runs that were launched at an address and have not ended.

    While nobody serves there, nothing of them can be running.
    """

    def was_there(run: DagsterRun) -> bool:
        address = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
        return (address.get("host"), address.get("port")) == (host, port)

    return [run.run_id for run in instance.get_runs(RunsFilter(statuses=UNFINISHED)) if was_there(run)]


def settle(instance: DagsterInstance, run_ids: list[str]) -> None:
    """Report the end of those that have not ended: as cancelled if that was asked for, else as failed.

    Why they failed is told such that `run_retries` launches them once more.
    """
    for run in instance.get_runs(RunsFilter(run_ids=run_ids, statuses=UNFINISHED)):
        if run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, MESSAGE)
        else:
            reason = JobFailureData(error=None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION)
            instance.report_run_failed(run, MESSAGE, reason)


def await_server(serves: Callable[[], bool], sleep: Callable[[float], object] = time.sleep) -> None:
    """Wait until the daemon can launch a run at the new server; not for ever, for the old ones have ended anyway."""
    deadline = time.monotonic() + START_UP
    while not serves() and time.monotonic() < deadline:
        sleep(1)
    sleep(SETTLING)


def main(what: str, run_ids: list[str]) -> None:
    """Print the ids of what was left behind, or report its end."""
    with DagsterInstance.get() as instance:
        if what == "list":
            address = os.environ["CODE_SERVER_HOST"], int(os.environ["CODE_SERVER_PORT"])
            print(*left_behind(instance, *address))  # noqa: T201 - the answer to who called
        else:
            await_server(health.code_serves)
            settle(instance, run_ids)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
