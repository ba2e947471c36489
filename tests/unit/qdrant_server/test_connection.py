"""Deadlines, restarts, silent connections, and what becomes of the calls of other threads."""

import multiprocessing
import os
import threading
import time

import pytest

from pipelines_persistence.adapters.qdrant_server import QdrantServerStore
from pipelines_persistence.errors import StoreError, StoreUnavailable
from tests.unit.qdrant_server.conftest import SPEC, some_points
from tests.wire_double import Fault, Proxy, WireDouble


def test_the_version_is_that_of_the_server(store):
    assert store.version() == "1.16.0-double"


@pytest.mark.usefixtures("filled")
def test_a_deadline_is_applied_to_each_call(double):
    hurried = QdrantServerStore(double.url, timeout=0.3)
    assert hurried.count("docs") == 3
    double.faults.plan(Fault("Points/", hangs=True))
    for call in (lambda: hurried.count("docs"), lambda: hurried.upsert("docs", some_points(1))):
        start = time.monotonic()
        with pytest.raises(StoreUnavailable, match="in time"):
            call()
        assert 0.25 < time.monotonic() - start < 5
    double.faults.lift()
    assert hurried.count("docs") == 3


def test_a_restart_of_the_server_is_not_noticed(double, filled):
    for _ in range(3):
        double.stop()
        double.start()
        assert filled.count("docs") == 3


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("attempts", [1, 2])
def test_a_connection_that_breaks_as_it_is_made_is_made_once_more(double, attempts):
    with Proxy(double.port) as proxy:
        store = QdrantServerStore(f"http://127.0.0.1:{proxy.port}", timeout=5)
        proxy.hang_up(attempts)
        if attempts > 1:
            with pytest.raises(StoreUnavailable, match="does not answer"):
                store.count("docs")
        assert store.count("docs") == 3
        store.close()


def test_a_server_that_was_down_is_found_again_at_once(double, filled):
    double.stop()
    for _ in range(5):  # as often as it takes for a channel to begin to back off
        with pytest.raises(StoreUnavailable, match="does not answer"):
            filled.count("docs")
    double.start()
    assert filled.count("docs") == 3


def test_a_server_that_is_down_is_told_at_once(double, filled):
    double.stop()
    start = time.monotonic()
    with pytest.raises(StoreUnavailable):
        filled.count("docs")
    assert time.monotonic() - start < 3


@pytest.mark.usefixtures("filled")
def test_a_connection_that_fell_silent_is_left_after_one_deadline(double):
    with Proxy(double.port) as proxy:
        store = QdrantServerStore(f"http://127.0.0.1:{proxy.port}", timeout=0.5)
        assert store.count("docs") == 3
        proxy.freeze(accepts=True)
        with pytest.raises(StoreUnavailable, match="in time"):
            store.count("docs")
        assert store.count("docs") == 3
        store.close()


@pytest.mark.usefixtures("filled")
def test_a_port_that_accepts_and_never_answers_costs_no_more_than_the_deadline(double):
    with Proxy(double.port) as proxy:
        proxy.freeze()
        store = QdrantServerStore(f"http://127.0.0.1:{proxy.port}", timeout=0.5)
        start = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.count("docs")
        assert time.monotonic() - start < 5
        proxy.thaw()
        assert store.count("docs") == 3
        store.close()


def test_a_call_that_runs_out_of_time_does_not_cancel_the_calls_of_others(double, filled):
    double.faults.plan(Fault("Points/Scroll", delay=1.0), Fault("Points/Count", hangs=True))
    found = []
    thread = threading.Thread(target=lambda: found.extend(filled.scroll("docs")))
    thread.start()
    while "Points/Scroll" not in double.faults.calls:
        time.sleep(0.01)
    # The slow call is on the same channel when this one gives up and retires it.
    filled._connection._timeout = 0.2
    with pytest.raises(StoreUnavailable, match="in time"):
        filled.count("docs")
    thread.join()
    assert len(found) == 3


def test_a_store_is_usable_by_many_threads(filled):
    errors, barrier = [], threading.Barrier(8)

    def work():
        barrier.wait()
        try:
            for _ in range(10):
                filled.upsert("docs", some_points(3))
                assert filled.count("docs") == 3
        except Exception as error:  # noqa: BLE001 - is shown by the assertion
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def in_fork(store, answers):
    try:
        store.count("docs")
    except StoreError as error:
        answers.put(str(error))
    store.close()
    answers.close()
    answers.join_thread()
    os._exit(0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_is_told_instead_of_hanging(filled):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=in_fork, args=(filled, answers))
    child.start()
    assert "spawn" in answers.get(timeout=20)
    child.join(20)
    assert filled.count("docs") == 3


def test_points_survive_the_program(tmp_path):
    with WireDouble(tmp_path) as first:
        store = QdrantServerStore(first.url)
        store.create("docs-1", SPEC)
        store.point_alias("docs", "docs-1")
        store.upsert("docs", some_points(3))
    with WireDouble(tmp_path) as second:
        store = QdrantServerStore(second.url)
        assert store.count("docs") == 3
        assert store.info("docs").payload_indexes == {"word": "keyword"}
