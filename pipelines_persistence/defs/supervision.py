"""Runs work inside a Dagster step: progress in the log, cancellation between batches, typed failures."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import dagster as dg

from pipelines_persistence.defs.resilience import resilience_in_log
from pipelines_persistence.errors import PipelinesError, RunCancelled, TransientError
from pipelines_persistence.ingestion.engine import Notify
from pipelines_persistence.ingestion.report import Report
from pipelines_persistence.interrupts import PendingInterrupt, deferred_interrupts

LOG_EVERY = 10.0  # seconds: an event in the log costs a database write
RETRIES = 3
FIRST_WAIT = 5.0  # seconds; doubled with each retry. A cancellation waits for the end of it.

Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext
Progress = TypeVar("Progress")


@contextmanager
def supervised(context: dg.AssetExecutionContext) -> Iterator[Notify]:
    """Yield what the ingestion engine tells its progress to; see `supervising`."""
    with supervising(context, _documents_in_words) as notify:
        yield notify


@contextmanager
def supervising(
    context: Context, in_words: Callable[[Progress], str]
) -> Iterator[Callable[[Progress], None]]:
    """Yield what is told of the progress, for the block that does the work of a step.

    A cancellation from the UI waits until the batch at hand is written and recorded, and is then handed back
    to Dagster, which marks the run as cancelled. What guards do meanwhile is in the run's log and in the asset's metadata.

    Args:
        context: of the step.
        in_words: says for the log how far the work is.

    Raises:
        dagster.Failure: with the message of a permanent error.
        dagster.RetryRequested: for a transient error, an open circuit among them. Not by a `RetryPolicy` on the asset: that would retry a step
            that is being cancelled as well.
    """
    with resilience_in_log(context), deferred_interrupts(hand_back=True) as pending:
        try:
            yield _reporter(context, pending, in_words)
        except RunCancelled as cancelled:
            context.log.warning(str(cancelled))
            raise
        except TransientError as error:
            # A server that asks for more time gets it, and so does a circuit that is open.
            wait = max(FIRST_WAIT * 2**context.retry_number, error.retry_after or 0.0)
            raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=wait) from _failure(error)
        except PipelinesError as error:
            raise _failure(error) from error


def _reporter(
    context: Context, pending: PendingInterrupt, in_words: Callable[[Progress], str]
) -> Callable[[Progress], None]:
    last = time.monotonic()

    def notify(progress: Progress) -> None:
        nonlocal last
        pending.check()
        if time.monotonic() - last >= LOG_EVERY:
            last = time.monotonic()
            context.log.info(in_words(progress))

    return notify


def _documents_in_words(report: Report) -> str:
    return f"{report.examined}/{report.total} documents, {report.embedded} chunks embedded"


def _failure(error: PipelinesError) -> dg.Failure:
    # The message says what to do; the stack of the error helps only who maintains this code.
    failure = dg.Failure(
        description=str(error), metadata={"error": type(error).__name__}, allow_retries=False
    )
    failure.__cause__ = error
    return failure
