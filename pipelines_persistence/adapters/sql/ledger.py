"""The `Ledger` port on SQLAlchemy Core."""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.database import reading, writing
from pipelines_persistence.adapters.sql.schema import chunks, documents, generations, runs
from pipelines_persistence.records import (
    ChunkRecord,
    DocumentRecord,
    Draft,
    Generation,
    GenerationState,
    Outcome,
    RunRecord,
    RunState,
)

_PAGE = 1000


class SqlLedger:
    """The ledger in a database that `open_database` opened."""

    def __init__(self, engine: sa.Engine) -> None:
        """Take the engine; `close` disposes of it."""
        self._engine = engine

    # Generations

    def live(self, index: str) -> Generation | None:
        """See `Ledger`."""
        return self._one(generations.c.index_name == index, generations.c.state == GenerationState.LIVE)

    def live_generations(self) -> list[Generation]:
        """See `Ledger`."""
        return self._generations(generations.c.state == GenerationState.LIVE)

    def by_collection(self, collection: str) -> Generation | None:
        """See `Ledger`."""
        return self._one(generations.c.collection == collection)

    def find(self, index: str, fingerprint: str) -> Generation | None:
        """See `Ledger`."""
        live = self.live(index)
        if live and live.fingerprint == fingerprint:
            return live
        return self._one(
            generations.c.index_name == index,
            generations.c.fingerprint == fingerprint,
            generations.c.state == GenerationState.BUILDING,
        )

    def open(self, index: str, fingerprint: str, configuration: str) -> Generation:
        """See `Ledger`."""
        found = self.find(index, fingerprint)
        if found is None:
            return self._create(index, fingerprint, configuration)
        if found.configuration != configuration:
            with writing(self._engine) as connection:
                changed = generations.update().where(generations.c.id == found.id)
                connection.execute(changed.values(configuration=configuration))
        return found

    def _create(self, index: str, fingerprint: str, configuration: str) -> Generation:
        with writing(self._engine) as connection:
            values = {
                "index_name": index,
                "collection": "",
                "fingerprint": fingerprint,
                "state": GenerationState.BUILDING,
                "configuration": configuration,
                "created_at": datetime.now(UTC),
            }
            new_id = _insert(connection, generations, values)
            # Not the number alone: a ledger that was lost and begun anew must not meet the collections of the old one.
            collection = f"{index}-g{new_id}-{secrets.token_hex(3)}"
            named = generations.update().where(generations.c.id == new_id).values(collection=collection)
            connection.execute(named)
        return Generation(new_id, index, collection, fingerprint, GenerationState.BUILDING, configuration)

    def promote(self, generation: Generation) -> None:
        """See `Ledger`."""
        of_index = generations.c.index_name == generation.index
        others = of_index & (generations.c.id != generation.id)
        with writing(self._engine) as connection:
            was_live = others & (generations.c.state == GenerationState.LIVE)
            connection.execute(generations.update().where(was_live).values(state=GenerationState.RETIRED))
            promoted = generations.update().where(generations.c.id == generation.id)
            connection.execute(promoted.values(state=GenerationState.LIVE, promoted_at=datetime.now(UTC)))

    def superseded(self, index: str) -> list[Generation]:
        """See `Ledger`."""
        found = self._generations(
            generations.c.index_name == index, generations.c.state != GenerationState.LIVE, newest_first=True
        )
        retired = [generation for generation in found if generation.state is GenerationState.RETIRED]
        return [generation for generation in found if generation not in retired[:1]]

    def remove(self, generation: Generation) -> None:
        """See `Ledger`."""
        with writing(self._engine) as connection:
            connection.execute(generations.delete().where(generations.c.id == generation.id))

    def _one(self, *criteria: sa.ColumnElement[bool]) -> Generation | None:
        found = self._generations(*criteria, newest_first=True)
        return found[0] if found else None

    def _generations(self, *criteria: sa.ColumnElement[bool], newest_first: bool = False) -> list[Generation]:
        order = [generations.c.id.desc()] if newest_first else [generations.c.index_name]
        with reading(self._engine) as connection:
            rows = connection.execute(generations.select().where(*criteria).order_by(*order)).all()
        return [
            Generation(
                id=row.id,
                index=row.index_name,
                collection=row.collection,
                fingerprint=row.fingerprint,
                state=GenerationState(row.state),
                configuration=row.configuration,
            )
            for row in rows
        ]

    # Documents and chunks

    def documents(self, generation: Generation) -> Iterator[DocumentRecord]:
        """See `Ledger`."""
        last = 0
        while True:
            page = documents.select().where(documents.c.generation_id == generation.id, documents.c.id > last)
            with reading(self._engine) as connection:
                rows = connection.execute(page.order_by(documents.c.id).limit(_PAGE)).all()
            if not rows:
                return
            for row in rows:
                yield _document(row)
            last = rows[-1].id

    def chunks(self, document_id: int) -> list[ChunkRecord]:
        """See `Ledger`."""
        with reading(self._engine) as connection:
            rows = connection.execute(chunks.select().where(chunks.c.document_id == document_id)).all()
        return [ChunkRecord(*row[1:]) for row in rows]

    def begin(self, generation: Generation, drafts: Sequence[Draft]) -> list[Draft]:
        """See `Ledger`."""
        with writing(self._engine) as connection:
            return [_begin(connection, generation, draft) for draft in drafts]

    def finish(self, generation: Generation, drafts: Sequence[Draft]) -> None:
        """See `Ledger`."""
        with writing(self._engine) as connection:
            for draft in drafts:
                _finish(connection, generation, draft)

    def record(self, generation: Generation, documents_: Sequence[DocumentRecord]) -> None:
        """See `Ledger`."""
        with writing(self._engine) as connection:
            for record in documents_:
                values = _values(generation, record)
                known = documents.update().where(documents.c.id == record.id)
                statement = known.values(values) if record.id else documents.insert().values(values)
                connection.execute(statement)

    def forget(self, generation: Generation, document_ids: Sequence[int]) -> None:
        """See `Ledger`."""
        of_generation = documents.c.generation_id == generation.id
        with writing(self._engine) as connection:
            for start in range(0, len(document_ids), _PAGE):
                page = documents.c.id.in_(document_ids[start : start + _PAGE])
                connection.execute(documents.delete().where(of_generation, page))

    def live_points(self, generation: Generation) -> int:
        """See `Ledger`."""
        of_generation = documents.c.generation_id == generation.id
        query = (
            sa.select(sa.func.count())
            .select_from(chunks.join(documents))
            .where(of_generation, chunks.c.is_live)
        )
        with reading(self._engine) as connection:
            return int(connection.execute(query).scalar_one())

    def points(self, generation: Generation) -> Iterator[tuple[str, bool]]:
        """See `Ledger`."""
        of_generation = documents.c.generation_id == generation.id
        query = (
            sa.select(chunks.c.point_id, chunks.c.is_live)
            .select_from(chunks.join(documents))
            .where(of_generation)
        )
        with reading(self._engine) as connection:
            for row in connection.execute(query).yield_per(_PAGE):
                yield row.point_id, row.is_live

    def doubt(self, generation: Generation) -> None:
        """See `Ledger`."""
        of_generation = documents.c.generation_id == generation.id
        mine = sa.select(documents.c.id).where(of_generation)
        with writing(self._engine) as connection:
            connection.execute(chunks.update().where(chunks.c.document_id.in_(mine)).values(is_live=False))
            connection.execute(
                documents.update().where(of_generation).values(signature=None, content_hash=None)
            )

    def totals(self, generation: Generation) -> dict[Outcome, int]:
        """See `Ledger`."""
        of_generation = documents.c.generation_id == generation.id
        query = (
            sa.select(documents.c.outcome, sa.func.count()).where(of_generation).group_by(documents.c.outcome)
        )
        with reading(self._engine) as connection:
            return {Outcome(outcome): count for outcome, count in connection.execute(query).all()}

    def content_version(self, generation: Generation) -> str:
        """See `Ledger`."""
        digest = hashlib.sha256(generation.fingerprint.encode())
        query = (
            sa.select(
                documents.c.source, documents.c.path, documents.c.content_hash, documents.c.metadata_hash
            )
            .where(documents.c.generation_id == generation.id, documents.c.outcome == Outcome.INDEXED)
            .order_by(documents.c.source, documents.c.path)
        )
        with reading(self._engine) as connection:
            for row in connection.execute(query).yield_per(_PAGE):
                digest.update("\0".join(map(str, row)).encode() + b"\n")
        return digest.hexdigest()[:32]

    # Runs

    def start_run(self, index: str) -> int:
        """See `Ledger`."""
        left_over = (runs.c.index_name == index) & (runs.c.state == RunState.RUNNING)
        values = {
            "index_name": index,
            "state": RunState.RUNNING,
            "started_at": datetime.now(UTC),
            "report": "",
        }
        with writing(self._engine) as connection:
            connection.execute(runs.update().where(left_over).values(state=RunState.FAILED, report="{}"))
            return _insert(connection, runs, values)

    def finish_run(self, run_id: int, state: RunState, report: str) -> None:
        """See `Ledger`."""
        values = {"state": state, "report": report, "finished_at": datetime.now(UTC)}
        with writing(self._engine) as connection:
            connection.execute(runs.update().where(runs.c.id == run_id).values(values))

    def runs(self, index: str, limit: int) -> list[RunRecord]:
        """See `Ledger`."""
        query = runs.select().where(runs.c.index_name == index).order_by(runs.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [
            RunRecord(
                row.id, row.index_name, RunState(row.state), row.started_at, row.finished_at, row.report
            )
            for row in rows
        ]

    def close(self) -> None:
        """See `Ledger`."""
        self._engine.dispose()


def _insert(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> int:
    key = connection.execute(table.insert().values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def _begin(connection: sa.Connection, generation: Generation, draft: Draft) -> Draft:
    document = draft.document
    if not document.id:
        pending = replace(document, outcome=Outcome.PENDING, signature=None, content_hash=None, chunks=0)
        document = replace(document, id=_insert(connection, documents, _values(generation, pending)))
    known = set(connection.execute(sa.select(chunks.c.point_id).where(_of(document))).scalars())
    new = [_chunk_values(document.id, chunk) for chunk in draft.chunks if chunk.point_id not in known]
    if new:
        connection.execute(chunks.insert(), new)
    return replace(draft, document=document)


def _finish(connection: sa.Connection, generation: Generation, draft: Draft) -> None:
    mine = _of(draft.document)
    for start in range(0, len(draft.stale), _PAGE):
        page = chunks.c.point_id.in_(draft.stale[start : start + _PAGE])
        connection.execute(chunks.delete().where(mine, page))
    changes = [{"point": c.point_id, "payload": c.payload_hash} for c in draft.chunks if not c.is_live]
    if changes:
        one = chunks.update().where(mine, chunks.c.point_id == sa.bindparam("point"))
        connection.execute(one.values(is_live=True, payload_hash=sa.bindparam("payload")), changes)
    row = documents.update().where(documents.c.id == draft.document.id)
    connection.execute(row.values(_values(generation, draft.document)))


def _of(document: DocumentRecord) -> sa.ColumnElement[bool]:
    return chunks.c.document_id == document.id


def _chunk_values(document_id: int, chunk: ChunkRecord) -> dict[str, Any]:
    return {
        "document_id": document_id,
        "point_id": chunk.point_id,
        "text_hash": chunk.text_hash,
        "payload_hash": chunk.payload_hash,
        "tokens": chunk.tokens,
        "is_live": False,
    }


def _values(generation: Generation, record: DocumentRecord) -> dict[str, Any]:
    return {
        "generation_id": generation.id,
        "source": record.source,
        "path": record.path,
        "outcome": record.outcome,
        "content_hash": record.content_hash,
        "signature": record.signature,
        "metadata_hash": record.metadata_hash,
        "size": record.size,
        "title": record.title,
        "media_type": record.media_type,
        "chunks": record.chunks,
        "detail": record.detail,
        "attempts": record.attempts,
        "updated_at": datetime.now(UTC),
    }


def _document(row: Any) -> DocumentRecord:  # noqa: ANN401 - SQLAlchemy rows are typed by their query only
    return DocumentRecord(
        source=row.source,
        path=row.path,
        outcome=Outcome(row.outcome),
        content_hash=row.content_hash,
        signature=row.signature,
        metadata_hash=row.metadata_hash,
        size=row.size,
        title=row.title,
        media_type=row.media_type,
        chunks=row.chunks,
        detail=row.detail,
        attempts=row.attempts,
        id=row.id,
    )
