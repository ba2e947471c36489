"""Several writes under way at once."""

import threading

import pytest

from pipelines_persistence.adapters.qdrant_server.uploading import in_streams
from pipelines_persistence.errors import StoreUnavailable


@pytest.mark.parametrize("streams", [1, 2, 3, 50])
def test_each_item_is_worked_on_once(streams):
    seen, lock = [], threading.Lock()

    def work(item):
        with lock:
            seen.append(item)

    in_streams(work, range(40), streams)
    assert sorted(seen) == list(range(40))


def test_as_many_as_asked_for_are_under_way_and_no_more():
    together = threading.Barrier(3, timeout=10)
    running, most, lock = 0, 0, threading.Lock()

    def work(_):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1

    in_streams(work, range(9), 3)
    assert most == 3


def test_after_a_failure_nothing_is_begun_and_what_is_under_way_is_waited_for():
    begun, ended, failed = [], [], threading.Event()

    def work(item):
        begun.append(item)
        if item == 1:
            failed.set()
            raise StoreUnavailable("gone")
        failed.wait(10)
        ended.append(item)

    with pytest.raises(StoreUnavailable, match="gone"):
        in_streams(work, range(100), 2)
    assert sorted(begun) == sorted([*ended, 1])
    assert len(begun) < 6


def test_the_first_failure_is_the_one_that_is_told():
    later = threading.Event()

    def work(item):
        if item == 0:
            later.wait(0.5)  # is under way when the other one fails, and fails after it
            raise StoreUnavailable("second")
        raise StoreUnavailable("first")

    with pytest.raises(StoreUnavailable, match="first"):
        in_streams(work, range(2), 2)


def test_items_are_made_when_they_are_needed():
    made, gate = [], threading.Event()

    def items():
        for item in range(20):
            made.append(item)
            yield item

    def work(_):
        assert gate.wait(10)

    thread = threading.Thread(target=in_streams, args=(work, items(), 3))
    thread.start()
    while len(made) < 4:
        threading.Event().wait(0.01)
    threading.Event().wait(0.1)
    assert made == [0, 1, 2, 3]
    gate.set()
    thread.join()
    assert made == list(range(20))


def test_nothing_to_do_is_done():
    in_streams(print, [], 3)
