"""Real text that every machine has: the documentation of the installed Python packages."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from pipelines_persistence.adapters.embedding import create_embedder
from pipelines_persistence.adapters.sources import open_source
from pipelines_persistence.configuration import EmbeddingConfig, LimitsConfig, SourceConfig
from pipelines_persistence.errors import DocumentError
from pipelines_persistence.ingestion.chunking import Chunker
from pipelines_persistence.ingestion.parsing import Parser
from pipelines_persistence.records import Chunk, ParsedDocument


def documents() -> Iterator[ParsedDocument]:
    """Parse the documents, leaving out what has no text."""
    source = open_source(SourceConfig(name="packages", uri="python-packages://"), Path())
    parser = Parser(LimitsConfig())
    try:
        for entry in source.entries():
            try:
                yield parser.parse(source.read(entry, 2**24), entry.path)
            except DocumentError:
                continue
    finally:
        parser.close()


def chunks(count: int) -> list[Chunk]:
    """Return the first chunks as the default model wants them."""
    embedder = create_embedder(EmbeddingConfig())
    chunker = Chunker(embedder.tokenizer, embedder.max_tokens, embedder.special_tokens)
    found = (chunk for document in documents() for chunk in chunker.split(document))
    return list(itertools.islice(found, count))
