"""Search by meaning, by words, and by both, over a real store."""

import uuid
from dataclasses import dataclass, replace

import pytest

from pipelines_persistence.adapters.embedding.bm25 import Bm25Embedder
from pipelines_persistence.adapters.embedding.hashing import HashEmbedder
from pipelines_persistence.adapters.qdrant_edge import EdgeVectorStore
from pipelines_persistence.configuration import CollectionConfig, IndexConfig, SourceConfig
from pipelines_persistence.errors import ConfigurationError, IndexNotFound
from pipelines_persistence.filters import Filter, IsEmpty, Match, Range
from pipelines_persistence.records import Generation, GenerationState, Points, SearchMode
from pipelines_persistence.retrieval.search import Searcher

TEXTS = [
    "Install the package with pip",
    "Tune the deadline E4711 of the client",
    "The client waits and waits",
]


@dataclass
class Ledger:
    """Knows one generation."""

    configuration: str

    def by_collection(self, collection):
        return Generation(1, "docs", collection, "f", GenerationState.LIVE, self.configuration)

    def live_generations(self):
        return []


def searcher_of(root, collection):
    config = IndexConfig(sources=(SourceConfig(name="docs", uri="docs"),), collection=collection)
    store, dense, words = EdgeVectorStore(root), HashEmbedder(), Bm25Embedder()
    store.create("docs-1", config.collection.spec(dense.dimension))
    store.point_alias("docs", "docs-1")
    has_words = collection.sparse == "bm25"
    points = Points(
        [str(uuid.UUID(int=number)) for number in range(len(TEXTS))],
        dense.embed_documents(TEXTS),
        [
            {"ordinal": number, "text": text, "metadata": {"team": "ab"[number % 2]}}
            for number, text in enumerate(TEXTS)
        ],
        words.embed_documents(TEXTS) if has_words else None,
    )
    store.upsert("docs", points)
    return Searcher(
        store,
        Ledger(config.model_dump_json()),
        lambda _: dense,
        lambda config: words if config.collection.sparse == "bm25" else None,
    )


@pytest.fixture
def hybrid(tmp_path):
    return searcher_of(tmp_path / "store", CollectionConfig(sparse="bm25"))


@pytest.fixture
def dense(tmp_path):
    return searcher_of(tmp_path / "store", CollectionConfig())


def ordinals(hits):
    return [hit.payload["ordinal"] for hit in hits]


def test_words_find_only_what_has_them(hybrid):
    assert ordinals(hybrid.search("E4711", "docs", mode=SearchMode.SPARSE)) == [1]
    assert len(hybrid.search("E4711", "docs", mode=SearchMode.DENSE)) == 3


def test_an_index_with_words_is_searched_by_both_unless_told_otherwise(hybrid):
    hits = hybrid.search("deadline of a client", "docs")
    assert hits == hybrid.search("deadline of a client", "docs", mode=SearchMode.HYBRID)
    assert hits[0].score == pytest.approx(2 / 61), "first by both: reciprocal ranks, not a similarity"


def test_an_index_without_words_is_searched_by_meaning(dense):
    assert dense.search("waits", "docs") == dense.search("waits", "docs", mode=SearchMode.DENSE)


@pytest.mark.parametrize("mode", [SearchMode.SPARSE, SearchMode.HYBRID])
def test_words_that_an_index_does_not_have_name_the_key_to_set(dense, mode):
    with pytest.raises(
        ConfigurationError, match=r"docs.*sparse: bm25.*pipelines.yaml.*pipelines ingest docs"
    ):
        dense.search("waits", "docs", mode=mode)


def test_a_question_of_stop_words_only_goes_by_meaning(hybrid):
    by_meaning = hybrid.search("and the of", "docs", mode=SearchMode.DENSE)
    assert hybrid.search("and the of", "docs") == by_meaning
    assert hybrid.search("and the of", "docs", mode=SearchMode.SPARSE) == []


@pytest.mark.parametrize("mode", SearchMode)
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"team": "b"}, [1]),
        (Filter(must=(Match("team", "a"), Range("ordinal", gt=0))), [2]),
        (Filter(must_not=(Match("metadata.team", "a"),)), [1]),
        (Filter(must=(IsEmpty("team"),)), []),
    ],
)
def test_a_filter_names_fields_or_keys_of_the_metadata(hybrid, mode, where, expected):
    assert ordinals(hybrid.search("client deadline waits", "docs", where=where, mode=mode)) == expected


def test_more_hits_than_candidates_can_be_asked_for(hybrid):
    store = hybrid.store
    seen = []
    spy = replace(hybrid, store=Listening(store, seen))
    spy.search("client", "docs", limit=500)
    assert (seen[0].limit, seen[0].candidates) == (500, 500)


@dataclass
class Listening:
    """A store that writes down what it is asked."""

    store: EdgeVectorStore
    seen: list

    def aliases(self):
        return self.store.aliases()

    def search(self, name, query):
        self.seen.append(query)
        return self.store.search(name, query)


def test_an_index_that_is_not_there_says_so(hybrid):
    with pytest.raises(IndexNotFound, match="pipelines ingest other"):
        hybrid.search("client", "other")
