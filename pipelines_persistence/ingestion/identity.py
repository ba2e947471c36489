"""What makes two things the same: content, texts, points, payloads and whole configurations."""

import hashlib
import json
import uuid
from collections.abc import Mapping

from pipelines_persistence.ports import Embedder
from pipelines_persistence.records import Json

_NAMESPACE = uuid.UUID("9b2ba0c5-5b8e-5d0c-9c55-4f1d8d4f2f2e")


def content_hash(data: bytes) -> str:
    """SHA-256 of a document's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def text_hash(text: str) -> str:
    """SHA-256 of the text that is embedded, in hexadecimal: the key of its vector."""
    return hashlib.sha256(text.encode()).hexdigest()


def value_hash(value: Mapping[str, Json]) -> str:
    """SHA-256 of a JSON value, in hexadecimal; the order of keys does not matter."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def vector_space(embedder: Embedder) -> str:
    """Name what vectors must share to be compared, for the cache: the embedder and the dimension."""
    return value_hash({"embedder": embedder.fingerprint, "dimension": embedder.dimension})


def point_id(index: str, source: str, path: str, text: str, occurrence: int) -> str:
    """UUIDv5 of a chunk: the same text in the same document is the same point, wherever in it it stands.

    Args:
        index: name of the index.
        source: name of the source.
        path: of the document.
        text: the chunk's text hash.
        occurrence: 0 for the first chunk with that text in the document, 1 for the second …
    """
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join((index, source, path, text, str(occurrence)))))
