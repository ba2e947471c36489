"""Runs the engine inside a Dagster step: progress in the log, cancellation between batches, typed failures."""

import time
from collections.abc import Callable

import dagster as dg

from pipelines_persistence.errors import PipelinesError, RunCancelled, TransientError
from pipelines_persistence.ingestion.engine import Notify
from pipelines_persistence.ingestion.report import Report
from pipelines_persistence.interrupts import deferred_interrupts

_LOG_EVERY = 10.0  # seconds: an event in the log costs a database write


def supervised(context: dg.AssetExecutionContext, work: Callable[[Notify], Report]) -> Report:
    """Do the work of a step.

    A cancellation from the UI waits until the batch at hand is written and recorded, and is then handed back
    to Dagster, which marks the run as cancelled.

    Raises:
        dagster.Failure: with the message of the error; retries are allowed only where they can help.
    """
    last = time.monotonic()
    with deferred_interrupts(hand_back=True) as pending:

        def notify(report: Report) -> None:
            nonlocal last
            pending.check()
            if time.monotonic() - last >= _LOG_EVERY:
                last = time.monotonic()
                context.log.info(
                    f"{report.examined}/{report.total} documents, {report.embedded} chunks embedded"
                )

        try:
            return work(notify)
        except RunCancelled as cancelled:
            context.log.warning(str(cancelled))
            raise
        except PipelinesError as error:
            raise dg.Failure(
                description=str(error),
                metadata={"error": type(error).__name__},
                allow_retries=isinstance(error, TransientError),
            ) from error
