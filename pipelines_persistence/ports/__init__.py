"""The seams: what the engine needs of the world, as small protocols.

Adapters implement them without inheriting; `tests/contract/` holds one suite for each port.
"""

from pipelines_persistence.ports.documents import DocumentParser, Source
from pipelines_persistence.ports.embedding import Embedder, EmbeddingCache, SparseEmbedder, Tokenizer
from pipelines_persistence.ports.ledger import Ledger, RunRecorder, RunRecording
from pipelines_persistence.ports.vectors import Query, VectorStore

__all__ = [
    "DocumentParser",
    "Embedder",
    "EmbeddingCache",
    "Ledger",
    "Query",
    "RunRecorder",
    "RunRecording",
    "Source",
    "SparseEmbedder",
    "Tokenizer",
    "VectorStore",
]
