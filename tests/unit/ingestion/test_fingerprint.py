"""What decides whether an index has to be built anew."""

from contextlib import nullcontext
from dataclasses import dataclass, replace

from pipelines_persistence.adapters.embedding.bm25 import Bm25Embedder
from pipelines_persistence.adapters.embedding.hashing import HashEmbedder
from pipelines_persistence.configuration import IndexConfig, SourceConfig
from pipelines_persistence.ingestion.engine import IndexEngine


@dataclass
class Parser:
    """Has a version that no release changes."""

    version: str = "1"


def engine(**change):
    config = IndexConfig(sources=(SourceConfig(name="docs", uri="docs"),))
    nothing = dict.fromkeys(("cache", "store", "ledger"))
    whole = IndexEngine(
        name="docs",
        config=config,
        sources=(),
        parser=Parser(),
        embedder=HashEmbedder(),
        lock=nullcontext(),
        **nothing,
    )
    return replace(whole, **change)


def test_an_index_without_words_keeps_the_fingerprint_it_was_built_under():
    # Of the releases before there were sparse vectors; if it changes, every index there is gets built anew.
    assert engine().fingerprint == "ee00cbcee86f64a24902dd3456e46ca0"


def test_words_and_their_parameters_are_part_of_the_fingerprint():
    sparse = [
        None,
        Bm25Embedder(),
        Bm25Embedder(average_length=80),
        Bm25Embedder(language="german"),
        Bm25Embedder(k=1.5),
    ]
    assert len({engine(sparse=words).fingerprint for words in sparse}) == len(sparse)
    assert engine(sparse=Bm25Embedder()).fingerprint == engine(sparse=Bm25Embedder()).fingerprint
