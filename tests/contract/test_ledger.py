"""One suite for the `Ledger` and `EmbeddingCache` ports."""

import multiprocessing
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from pipelines_persistence.adapters.sql.database import HEAD, open_database, reading, writing
from pipelines_persistence.adapters.sql.embedding_cache import SqlEmbeddingCache
from pipelines_persistence.adapters.sql.ledger import SqlLedger
from pipelines_persistence.adapters.sql.schema import UtcDateTime, metadata
from pipelines_persistence.errors import StorageError
from pipelines_persistence.records import (
    ChunkRecord,
    DocumentRecord,
    Draft,
    GenerationState,
    Outcome,
    RunState,
)


@pytest.fixture
def engine(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield engine
    engine.dispose()


@pytest.fixture
def ledger(engine):
    return SqlLedger(engine)


def chunk(name, payload="p"):
    return ChunkRecord(point_id=name, text_hash=f"text {name}", payload_hash=payload, tokens=3)


def write(ledger, generation, path, names, stale=()):
    known = {record.path: record for record in ledger.documents(generation)}
    identity = known[path].id if path in known else 0
    document = DocumentRecord(
        "docs", path, Outcome.INDEXED, content_hash=path, chunks=len(names), id=identity
    )
    drafts = ledger.begin(generation, [Draft(document, [chunk(name) for name in names], stale)])
    ledger.finish(generation, drafts)
    return drafts[0].document.id


def test_a_new_fingerprint_opens_a_generation_to_build(ledger):
    generation = ledger.open("docs", "f1", "{}")
    assert generation.state is GenerationState.BUILDING
    assert ledger.live("docs") is None
    assert ledger.open("docs", "f1", "{}") == generation


def test_a_promoted_generation_is_live_and_the_one_before_retired(ledger):
    first, second = ledger.open("docs", "f1", "{}"), None
    ledger.promote(first)
    second = ledger.open("docs", "f2", "{}")
    ledger.promote(second)
    assert ledger.live("docs").id == second.id
    assert ledger.by_collection(first.collection).state is GenerationState.RETIRED
    assert ledger.superseded("docs") == []


def test_only_the_last_retired_generation_is_kept_for_rollback(ledger):
    built = [ledger.open("docs", f"f{n}", "{}") for n in range(4)]
    for generation in built:
        ledger.promote(generation)
    assert [generation.id for generation in ledger.superseded("docs")] == [built[1].id, built[0].id]


def test_a_changed_configuration_under_the_same_fingerprint_is_kept(ledger):
    ledger.promote(ledger.open("docs", "f1", "{}"))
    ledger.open("docs", "f1", '{"a": 1}')
    assert ledger.live("docs").configuration == '{"a": 1}'


def test_what_has_begun_and_not_finished_is_known_as_pending(ledger):
    generation = ledger.open("docs", "f1", "{}")
    document = DocumentRecord("docs", "a.md", Outcome.INDEXED, content_hash="h", chunks=1)
    [draft] = ledger.begin(generation, [Draft(document, [chunk("p1")])])
    [record] = ledger.documents(generation)
    assert (record.outcome, record.content_hash, record.chunks) == (Outcome.PENDING, None, 0)
    assert [known.is_live for known in ledger.chunks(draft.document.id)] == [False]
    assert ledger.live_points(generation) == 0


def test_a_known_document_keeps_its_record_until_the_new_version_is_finished(ledger):
    generation = ledger.open("docs", "f1", "{}")
    identity = write(ledger, generation, "a.md", ["p1", "p2"])
    [before] = ledger.documents(generation)
    document = DocumentRecord("docs", "a.md", Outcome.INDEXED, content_hash="new", chunks=1, id=identity)
    drafts = ledger.begin(generation, [Draft(document, [chunk("p3")], stale=["p1", "p2"])])
    assert list(ledger.documents(generation)) == [before]
    ledger.finish(generation, drafts)
    assert [record.content_hash for record in ledger.documents(generation)] == ["new"]
    assert [known.point_id for known in ledger.chunks(identity)] == ["p3"]


def test_forgetting_a_document_forgets_its_chunks(ledger):
    generation = ledger.open("docs", "f1", "{}")
    identity = write(ledger, generation, "a.md", ["p1"])
    ledger.forget(generation, [identity])
    assert list(ledger.documents(generation)) == []
    assert ledger.chunks(identity) == []


def test_doubt_lets_everything_be_written_again(ledger):
    generation = ledger.open("docs", "f1", "{}")
    write(ledger, generation, "a.md", ["p1"])
    ledger.doubt(generation)
    assert ledger.live_points(generation) == 0
    assert [record.content_hash for record in ledger.documents(generation)] == [None]


def test_the_content_version_depends_on_what_is_indexed_and_nothing_else(ledger):
    generation = ledger.open("docs", "f1", "{}")
    write(ledger, generation, "a.md", ["p1"])
    before = ledger.content_version(generation)
    ledger.record(generation, [DocumentRecord("docs", "b.bin", Outcome.SKIPPED, detail="binary")])
    assert ledger.content_version(generation) == before
    write(ledger, generation, "c.md", ["p2"])
    assert ledger.content_version(generation) != before
    assert ledger.totals(generation) == {Outcome.INDEXED: 2, Outcome.SKIPPED: 1}


def test_documents_are_walked_in_pages_without_losing_one(ledger):
    generation = ledger.open("docs", "f1", "{}")
    records = [DocumentRecord("docs", f"{n}.md", Outcome.SKIPPED) for n in range(2500)]
    ledger.record(generation, records)
    assert len({record.path for record in ledger.documents(generation)}) == 2500


def test_a_run_left_over_by_a_crash_is_closed_as_failed(ledger):
    ledger.start_run("docs")
    second = ledger.start_run("docs")
    ledger.finish_run(second, RunState.DONE, "{}")
    assert [run.state for run in ledger.runs("docs", 5)] == [RunState.DONE, RunState.FAILED]


def test_a_removed_generation_takes_its_documents_with_it(ledger, engine):
    generation = ledger.open("docs", "f1", "{}")
    write(ledger, generation, "a.md", ["p1"])
    ledger.remove(generation)
    with reading(engine) as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM documents")).scalar() == 0
        assert connection.execute(sa.text("SELECT count(*) FROM chunks")).scalar() == 0


def test_cached_vectors_come_back_bit_for_bit_and_by_model(engine):
    cache = SqlEmbeddingCache(engine)
    vectors = np.random.default_rng(0).normal(size=(600, 8)).astype(np.float32)
    hashes = [f"h{n}" for n in range(600)]
    cache.put("m", hashes, vectors)
    cache.put("m", hashes[:10], vectors[10:20])  # the first one stands
    found = cache.get("m", [*hashes, "unknown"])
    assert np.array_equal(np.stack([found[name] for name in hashes]), vectors)
    assert cache.get("other", hashes) == {}
    assert cache.known("m", ["h1", "unknown"]) == {"h1"}


def test_the_migrations_make_exactly_the_tables_of_the_schema(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD


def test_a_naive_datetime_is_refused():
    column = UtcDateTime()
    with pytest.raises(ValueError, match="naive"):
        column.process_bind_param(datetime(2026, 1, 1), sa.create_engine("sqlite://").dialect)  # noqa: DTZ001 - naive on purpose
    assert column.process_result_value(datetime(2026, 1, 1), None).tzinfo is UTC  # noqa: DTZ001 - naive on purpose


def test_a_read_waits_for_no_writer(engine, ledger):
    with writing(engine) as connection:
        connection.execute(sa.text("DELETE FROM runs"))
        assert ledger.live("docs") is None


def test_an_error_rolls_the_whole_transaction_back(engine, ledger):
    def fail_half_way():
        with writing(engine) as connection:
            connection.execute(sa.text("INSERT INTO runs VALUES (1, 'docs', 'done', '2026-01-01', NULL, '')"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert ledger.runs("docs", 5) == []


def test_a_read_only_database_is_a_storage_error_that_says_what_to_do(tmp_path):
    path = tmp_path / "ledger.sqlite"
    open_database(f"sqlite:///{path}").dispose()
    engine = open_database(f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(StorageError, match="run again"):
        SqlLedger(engine).start_run("docs")
    engine.dispose()


def test_a_file_that_is_no_database_is_a_storage_error(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is no database, and never was one" * 100)
    with pytest.raises(StorageError):
        open_database(f"sqlite:///{path}")


def _bootstrap(path):
    open_database(f"sqlite:///{path}").dispose()


def test_processes_that_start_at_once_migrate_once(tmp_path):
    path = tmp_path / "ledger.sqlite"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_bootstrap, args=(path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
    connection.close()
    assert Path(path).exists()
