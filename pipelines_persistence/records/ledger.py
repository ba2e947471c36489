"""What the ledger knows: generations, documents, chunks, runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """What became of a document; every document that a source lists has one."""

    PENDING = "pending"
    INDEXED = "indexed"
    SKIPPED = "skipped"
    FAILED = "failed"


class GenerationState(StrEnum):
    """The life of a generation."""

    BUILDING = "building"
    LIVE = "live"
    RETIRED = "retired"


class RunState(StrEnum):
    """How a run ended, or that it did not."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Generation:
    """One physical collection built under one fingerprint.

    Attributes:
        configuration: the index configuration it was built under, as JSON.
    """

    id: int
    index: str
    collection: str
    fingerprint: str
    state: GenerationState
    configuration: str


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """What the ledger knows of a document in one generation.

    Attributes:
        content_hash: of the bytes last examined; None until they were.
        signature: see `SourceEntry`; None makes the next run hash the content.
        metadata_hash: of what the configuration said of the document when it was last examined.
        chunks: how many of its chunks are in the index, of its last good version.
        detail: the reason and its sentence, for what was skipped or failed.
        attempts: failures in a row.
    """

    source: str
    path: str
    outcome: Outcome
    content_hash: str | None = None
    signature: str | None = None
    metadata_hash: str = ""
    size: int = 0
    title: str = ""
    media_type: str = ""
    chunks: int = 0
    detail: str = ""
    attempts: int = 0
    id: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the document within its index."""
        return self.source, self.path


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """What the ledger knows of a chunk: the point that the vector store holds for it.

    Attributes:
        is_live: False from before the point is written until the document is finished.
    """

    point_id: str
    text_hash: str
    payload_hash: str
    tokens: int
    is_live: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A document as it should stand in the index once it is written.

    Attributes:
        chunks: all of them, new and kept.
        stale: ids of the points that it leaves behind.
    """

    document: DocumentRecord
    chunks: Sequence[ChunkRecord]
    stale: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One ingestion run; `report` is its JSON, "" while it runs."""

    id: int
    index: str
    state: RunState
    started_at: datetime
    finished_at: datetime | None
    report: str
