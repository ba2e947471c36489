"""The embedded store among processes: turns, crashes, forks."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from pipelines_persistence.adapters.qdrant_edge import EdgeVectorStore
from pipelines_persistence.errors import StoreUnavailable
from pipelines_persistence.records import CollectionSpec

SPEC = CollectionSpec(dimension=16, payload_indexes={"batch": "integer"})

PREAMBLE = """
import os, sys, time, uuid
from pathlib import Path
import numpy as np
from pipelines_persistence.adapters.qdrant_edge import EdgeVectorStore
from pipelines_persistence.errors import StoreError
from pipelines_persistence.ports import Query
from pipelines_persistence.records import CollectionSpec, Points

def batch(number, size=50):
    ids = [str(uuid.UUID(int=number * 1000 + row)) for row in range(size)]
    vectors = np.random.default_rng(number).standard_normal((size, 16)).astype(np.float32)
    return Points(ids, vectors, [{"batch": number}] * size)

store = EdgeVectorStore(Path(sys.argv[1]), lock_timeout=30)
"""


@pytest.fixture
def root(tmp_path):
    EdgeVectorStore(tmp_path).create("docs", SPEC)
    return tmp_path


def start(root, code) -> subprocess.Popen[str]:
    program = PREAMBLE + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", program, str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process) -> tuple[str, str]:
    output = process.communicate(timeout=60)
    assert process.returncode == 0, output[1]
    return output


def test_a_reader_and_a_writer_take_turns_and_none_starves(root):
    writer = """
        print("ready", flush=True)
        turns = []
        for number in range(40):
            store.upsert("docs", batch(number))
            turns.append(time.time())
        print(*turns)
    """
    reader = """
        print("ready", flush=True)
        turns, last = [], 0
        while last < 40 * 50:
            found = store.count("docs")
            store.search("docs", Query(batch(1).vectors[0], limit=3))
            assert found >= last and found % 50 == 0, (found, last)
            last = found
            turns.append(time.time())
        print(*turns)
    """
    processes = [start(root, writer), start(root, reader)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    written, read = ([float(turn) for turn in finish(process)[0].split()] for process in processes)
    assert len(written) == 40
    # With two calls a turn, the reader ends a turn at about every second write.
    between = sum(written[0] < turn < written[-1] for turn in read)
    assert between >= 10
    assert EdgeVectorStore(root).count("docs") == 2000


def test_every_acknowledged_batch_survives_kill_9_in_the_middle_of_upserts(root):
    writer = """
        for number in range(100_000):
            store.upsert("docs", batch(number))
            print(number, flush=True)
    """
    acknowledged = -1
    for acks in (3, 5, 8):
        process = start(root, writer)
        for _ in range(acks):
            process.stdout.readline()
        process.kill()
        rest = process.communicate()[0].split()
        acknowledged = max(acknowledged, acks - 1, *map(int, rest), -1)
        store = EdgeVectorStore(root, lock_timeout=5)
        assert [store.count("docs", {"batch": number}) for number in range(acknowledged + 1)] == [50] * (
            acknowledged + 1
        )
        assert sum(1 for _ in store.scroll("docs")) == store.count("docs")


def test_kill_9_while_collections_come_and_go_leaves_a_store_that_works(root):
    code = """
        spec = CollectionSpec(dimension=16, payload_indexes={"batch": "integer"})
        print("ready", flush=True)
        number = 0
        while True:
            name, number = f"docs-{number % 3}", number + 1
            store.create(name, spec)
            store.upsert(name, batch(1))
            store.point_alias("alias", name)
            for other in store.collections():
                if other not in {name, "docs"}:
                    store.drop(other)
    """
    for number in range(4):
        process = start(root, code)
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.15 + 0.13 * number)
        process.kill()
        process.communicate()
        store = EdgeVectorStore(root, lock_timeout=5)
        for name in store.collections():
            assert store.count(name) in {0, 50}
        assert all(target in store.collections() for target in store.aliases().values())
        for name in ("docs-0", "docs-1", "docs-2"):
            store.create(name, SPEC)
            assert store.count(name) in {0, 50}


def test_a_lock_held_by_another_process_times_out_with_its_number_and_dies_with_it(root):
    holder = start(
        root,
        """
        with store._access.using("docs"):
            print("held", flush=True)
            time.sleep(60)
        """,
    )
    assert holder.stdout.readline() == "held\n"
    told = []
    with pytest.raises(StoreUnavailable, match=f"process {holder.pid} since .* try again"):
        EdgeVectorStore(root, lock_timeout=0.7, on_wait=told.append).count("docs")
    assert str(holder.pid) in told[0]
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert EdgeVectorStore(root, lock_timeout=5).count("docs") == 0


def test_use_after_a_fork_is_refused_instead_of_hanging_and_the_parent_goes_on(root):
    code = """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        with store.session("docs"):
            store.upsert("docs", batch(1))
            child = os.fork()
            if child == 0:
                for call in (lambda: store.count("docs"), lambda: store.upsert("docs", batch(2)), store.aliases):
                    try:
                        call()
                    except StoreError as error:
                        print(error, flush=True)
                EdgeVectorStore(Path(sys.argv[1])).close()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            store.upsert("docs", batch(3))
        print(store.count("docs"))
    """
    lines = finish(start(root, code))[0].splitlines()
    assert len(lines) == 4
    assert all("spawn" in line for line in lines[:3])
    assert lines[3] == "100"


def test_a_forked_child_that_just_ends_neither_hangs_nor_disturbs_a_session(root):
    code = """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        with store.session("docs"):
            store.upsert("docs", batch(1))
            child = os.fork()
            if child:
                assert os.waitpid(child, 0)[1] == 0
                store.upsert("docs", batch(2))
                print(store.count("docs"))
    """
    assert finish(start(root, code))[0].splitlines() == ["100"]
    assert EdgeVectorStore(root, lock_timeout=5).count("docs") == 100


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
@pytest.mark.parametrize("mebibytes", [24, 80])
def test_a_full_disk_is_a_clear_error_and_after_freeing_space_nothing_is_missing(tmp_path, mebibytes):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(tmp_path)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("no small disk can be mounted here")
    fill = """
        from pipelines_persistence.errors import StorageError
        store.create("docs", CollectionSpec(dimension=16))
        try:
            for number in range(100_000):
                store.upsert("docs", batch(number, 900))
                print(number, flush=True)
        except StorageError as error:
            print("refused", error)
        ballast = os.open(os.path.join(sys.argv[1], "ballast"), os.O_WRONLY | os.O_CREAT)
        try:
            while os.write(ballast, b"x" * 4096):
                pass
        except OSError:
            os.close(ballast)
        try:
            store.count("docs")
        except StorageError as error:
            print("refused", error)
    """
    try:
        lines = finish(start(tmp_path, fill))[0].splitlines()
        acknowledged = [int(line) for line in lines if line.isdigit()]
        assert acknowledged == list(range(len(acknowledged)))
        assert acknowledged
        assert [line.split()[0] for line in lines[len(acknowledged) :]] == ["refused", "refused"]
        assert "free space" in lines[-1]
        (tmp_path / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=256m", str(tmp_path)], check=True)
        store = EdgeVectorStore(tmp_path)
        assert store.count("docs") == 900 * len(acknowledged)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
