"""Several writes under way at once, while the next one is made."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")


def in_streams(send: Callable[[T], object], items: Iterable[T], streams: int) -> None:
    """Call a function for each item, in up to `streams` threads; the items are made by this one, none before it is needed.

    After one has failed none is begun; those that are under way are waited for, so that nothing is written any more when
    this raises.

    Raises:
        Exception: what the first one that failed raised.
    """
    under_way: set[Future[object]] = set()
    with ThreadPoolExecutor(streams, "qdrant-upsert") as pool:
        for item in items:
            if len(under_way) == streams:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                _raise_failure(done)  # on the way out the pool waits for the others
            under_way.add(pool.submit(send, item))
        while under_way:
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            _raise_failure(done)


def _raise_failure(done: Iterable[Future[object]]) -> None:
    for future in done:
        future.result()
