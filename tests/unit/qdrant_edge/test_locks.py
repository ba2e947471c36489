"""Locks of the embedded store, within one process."""

import json
import threading

import pytest

from pipelines_persistence.adapters.qdrant_edge.locks import ProcessLock, ThreadLock
from pipelines_persistence.errors import StorageError, StoreUnavailable


def test_a_thread_lock_lets_the_same_thread_in_again():
    lock = ThreadLock()
    assert lock.acquire(1)
    assert lock.acquire(1)
    lock.release()
    lock.release()
    assert lock.depth == 0


def test_a_thread_lock_gives_up_after_its_time_out():
    lock, outcome = ThreadLock(), []
    lock.acquire(1)
    thread = threading.Thread(target=lambda: outcome.append(lock.acquire(0.01)))
    thread.start()
    thread.join()
    assert outcome == [False]


def test_a_waiting_thread_is_next_even_if_the_other_one_never_pauses():
    lock, turns, stop = ThreadLock(), {"a": 0, "b": 0}, threading.Event()

    def work(name):
        while not stop.is_set():
            lock.acquire(10)
            turns[name] += 1
            lock.release()
            if min(turns.values()) > 200 or max(turns.values()) > 100_000:
                stop.set()

    threads = [threading.Thread(target=work, args=name) for name in turns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(turns.values()) > 200


def test_a_process_lock_that_is_held_names_its_holder_and_says_what_to_do(tmp_path):
    told = []
    holder = ProcessLock(tmp_path / "docs", 1, None)
    holder.acquire()
    since = json.loads((tmp_path / "docs.holder").read_text())["since"]
    with pytest.raises(StoreUnavailable, match=f"'docs'.*{since.replace('+', '.')}.*try again"):
        ProcessLock(tmp_path / "docs", 0.6, told.append).acquire()
    assert len(told) == 1
    holder.release()
    ProcessLock(tmp_path / "docs", 0.1, None).acquire()


def test_a_holder_file_that_a_crash_tore_is_only_a_poorer_message(tmp_path):
    holder = ProcessLock(tmp_path / "docs", 1, None)
    holder.acquire()
    (tmp_path / "docs.holder").write_text("{")
    with pytest.raises(StoreUnavailable, match="another process"):
        ProcessLock(tmp_path / "docs", 0.05, None).acquire()


def test_the_holder_of_a_process_lock_sees_that_somebody_waits(tmp_path):
    holder, waiter = (ProcessLock(tmp_path / "docs", 10, None) for _ in range(2))
    holder.acquire()
    assert not holder.contended()
    thread = threading.Thread(target=waiter.acquire)
    thread.start()
    while not holder.contended():
        pass
    holder.release()
    thread.join()
    assert not waiter.contended()


def test_a_lock_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "locks").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="locks"):
        ProcessLock(tmp_path / "locks" / "docs", 1, None).acquire()
