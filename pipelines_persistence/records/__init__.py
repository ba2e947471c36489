"""The values that cross a seam: small, frozen, and free of any driver's types."""

from typing import TYPE_CHECKING

from pipelines_persistence.records.documents import (
    Chunk,
    Json,
    Markup,
    ParsedDocument,
    Payload,
    Scalar,
    SourceEntry,
)
from pipelines_persistence.records.keys import field_path, payload_key
from pipelines_persistence.records.ledger import (
    ChunkRecord,
    DocumentRecord,
    Draft,
    Generation,
    GenerationState,
    Outcome,
    RunRecord,
    RunState,
)
from pipelines_persistence.records.vectors import (
    CollectionInfo,
    CollectionSpec,
    Distance,
    FacetValue,
    Hit,
    HnswSpec,
    IndexedType,
    Points,
    SearchMode,
    SnapshotInfo,
    SparseVector,
    StoredPoint,
)

if TYPE_CHECKING:
    from pipelines_persistence.records.vectors import Matrix

__all__ = [
    "Chunk",
    "ChunkRecord",
    "CollectionInfo",
    "CollectionSpec",
    "Distance",
    "DocumentRecord",
    "Draft",
    "FacetValue",
    "Generation",
    "GenerationState",
    "Hit",
    "HnswSpec",
    "IndexedType",
    "Json",
    "Markup",
    "Matrix",
    "Outcome",
    "ParsedDocument",
    "Payload",
    "Points",
    "RunRecord",
    "RunState",
    "Scalar",
    "SearchMode",
    "SnapshotInfo",
    "SourceEntry",
    "SparseVector",
    "StoredPoint",
    "field_path",
    "payload_key",
]
