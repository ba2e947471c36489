"""The `EmbeddingCache` port on SQLAlchemy Core: float32 rows as bytes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pipelines_persistence.adapters.sql.database import reading, writing
from pipelines_persistence.adapters.sql.schema import embeddings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipelines_persistence.records import Matrix

_PAGE = 500


class SqlEmbeddingCache:
    """Vectors by model fingerprint and text hash."""

    def __init__(self, engine: sa.Engine) -> None:
        """Take the engine; its owner closes it."""
        self._engine = engine

    def get(self, model: str, text_hashes: Sequence[str]) -> "dict[str, NDArray[np.float32]]":
        """See `EmbeddingCache`."""
        import numpy as np

        found: dict[str, NDArray[np.float32]] = {}
        columns = sa.select(embeddings.c.text_hash, embeddings.c.vector).where(embeddings.c.model == model)
        with reading(self._engine) as connection:
            for start in range(0, len(text_hashes), _PAGE):
                page = embeddings.c.text_hash.in_(text_hashes[start : start + _PAGE])
                for text_hash, vector in connection.execute(columns.where(page)):
                    found[text_hash] = np.frombuffer(vector, dtype=np.float32)
        return found

    def known(self, model: str, text_hashes: Sequence[str]) -> set[str]:
        """See `EmbeddingCache`."""
        found: set[str] = set()
        columns = sa.select(embeddings.c.text_hash).where(embeddings.c.model == model)
        with reading(self._engine) as connection:
            for start in range(0, len(text_hashes), _PAGE):
                page = embeddings.c.text_hash.in_(text_hashes[start : start + _PAGE])
                found.update(connection.execute(columns.where(page)).scalars())
        return found

    def put(self, model: str, text_hashes: Sequence[str], vectors: "Matrix") -> None:
        """See `EmbeddingCache`."""
        if not text_hashes:
            return
        rows = [
            {"model": model, "text_hash": text_hash, "vector": vector.tobytes()}
            for text_hash, vector in zip(text_hashes, vectors, strict=True)
        ]
        known = self.known(model, text_hashes)
        new = [row for row in rows if row["text_hash"] not in known]
        if new:
            with writing(self._engine) as connection:
                connection.execute(embeddings.insert(), new)
