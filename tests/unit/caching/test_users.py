# ruff: noqa: ARG002 - the fakes keep to the signatures of the ports
"""What uses the cache: questions' embeddings, answers of read models, searches."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from pipelines_persistence.adapters.caching.local import MemoryLevel
from pipelines_persistence.adapters.embedding.hashing import HashEmbedder
from pipelines_persistence.caching import CachedQueryEmbedder, CachedReads, TieredCache, json_values
from pipelines_persistence.errors import IndexNotFound, StoreUnavailable
from pipelines_persistence.filters import Filter, Match, MatchAny
from pipelines_persistence.records import Generation, GenerationState, Hit, RunRecord, RunState
from pipelines_persistence.retrieval.cached import CachedSearcher


@pytest.fixture
def cache():
    return TieredCache(MemoryLevel(2**20))


class Counting(HashEmbedder):
    calls = 0

    def embed_query(self, text):
        self.calls += 1
        return super().embed_query(text)


def test_a_question_is_embedded_once(cache):
    inner = Counting()
    embedder = CachedQueryEmbedder(inner, cache)
    first, second = embedder.embed_query("what?"), embedder.embed_query("what?")
    assert (inner.calls, first.dtype, first.shape) == (1, np.float32, (inner.dimension,))
    assert np.array_equal(first, HashEmbedder().embed_query("what?"))
    assert np.array_equal(first, second)
    embedder.embed_query("What?")
    assert inner.calls == 2
    assert (embedder.fingerprint, embedder.max_tokens) == (inner.fingerprint, inner.max_tokens)


def test_answers_are_those_of_exactly_the_content_that_was_asked(cache):
    reads = CachedReads(cache, "board", json_values())
    answer = {"at": 1}

    def ask(content, question="a"):
        return reads.get_or_load({"tag": question}, lambda: dict(answer), content=content)

    assert ask("one") == {"at": 1}
    answer["at"] = 2
    assert [ask("one"), ask("two"), ask("one", "b")] == [{"at": 1}, {"at": 2}, {"at": 2}]
    answer["at"] = 3
    assert [ask("one"), ask("two")] == [{"at": 1}, {"at": 2}]  # whichever of them is the later one
    reads.clear()
    assert ask("two") == {"at": 3}


class Searching:
    def __init__(self):
        self.asked = []

    def search(self, query, index, **options):
        if index != "docs":
            raise IndexNotFound("no such index")
        self.asked.append((query, options))
        return [Hit(str(len(self.asked)), 0.5, {"text": query})]


class Aliases:
    def __init__(self):
        self.collection, self.is_down = "docs-g1", False

    def aliases(self):
        if self.is_down:
            raise StoreUnavailable("down")
        return {"docs": self.collection}


class Runs:
    def __init__(self):
        self.newest = None

    def live(self, index):
        return Generation(1, index, "docs-g1", "f", GenerationState.LIVE, "{}")

    def start_anew(self):
        self.begin()
        self.newest = replace(self.newest, id=1, state=RunState.DONE)

    def runs(self, index, limit):
        return [self.newest] if self.newest else []

    def begin(self):
        number = self.newest.id + 1 if self.newest else 1
        self.newest = RunRecord(number, "docs", RunState.RUNNING, datetime.now(UTC), None, "")

    def finish(self, state=RunState.DONE):
        self.newest = replace(self.newest, state=state)


class Desk:
    def __init__(self, cache):
        self.inner, self.store, self.ledger = Searching(), Aliases(), Runs()
        self.searcher = CachedSearcher(self.inner, self.store, self.ledger, cache)

    def ask(self, query="q", **options):
        return self.searcher.search(query, "docs", **options)[0].id


@pytest.fixture
def desk(cache):
    return Desk(cache)


def test_the_same_question_is_searched_once(desk):
    assert [desk.ask(limit=5), desk.ask(limit=5)] == ["1", "1"]
    assert desk.inner.asked == [("q", {"limit": 5, "where": None, "mode": None})]


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 6},
        {"limit": 5, "mode": "hybrid"},
        {"limit": 5, "where": {"source": "a"}},
        {"limit": 5, "where": {"source": 1}},
        {"limit": 5, "where": {"source": True}},
        {"limit": 5, "where": Filter(must=(Match("source", "a"),))},
        {"limit": 5, "where": Filter(must_not=(Match("source", "a"),))},
        {"limit": 5, "where": Filter(must=(MatchAny("source", ("a",)),))},
    ],
)
def test_other_options_are_another_question(desk, options):
    others = [
        {"limit": 5},
        {"limit": 5, "where": {"source": "1"}},
        {"limit": 5, "where": Filter(must=(MatchAny("source", ("b",)),))},
    ]
    ids = [desk.ask(**each) for each in [*others, options]]
    assert len({*ids}) == len(others) + 1
    assert desk.ask(**options) == ids[-1]


def test_a_search_after_a_run_finds_what_it_wrote(desk):
    before = desk.ask()
    desk.ledger.begin()
    during = desk.ask()
    desk.ledger.finish()
    after = desk.ask()
    assert len({before, during, after}) == 3
    assert desk.ask() == after
    desk.ledger.begin()
    desk.ledger.finish(RunState.FAILED)  # it may have written before it failed
    assert desk.ask() not in {before, during, after}


def test_a_run_that_ends_while_a_search_is_under_way_is_not_hidden_by_its_answer(desk):
    desk.ledger.begin()
    searched = desk.inner.search

    def overtaken(query, index, **options):
        found = searched(query, index, **options)
        desk.ledger.finish()
        return found

    desk.inner.search = overtaken
    old = desk.ask()
    desk.inner.search = searched
    assert desk.ask() != old


def test_a_promotion_and_a_rollback_change_the_answers_at_once(desk):
    first = desk.ask()
    desk.store.collection = "docs-g2"
    assert desk.ask() != first
    desk.store.collection = "docs-g1"
    assert desk.ask() == first


def test_an_index_that_is_not_there_says_so_each_time(desk):
    for _ in range(2):
        with pytest.raises(IndexNotFound):
            desk.searcher.search("q", "other")


def test_a_store_that_is_down_leaves_what_was_asked_since_the_last_run(desk):
    first = desk.ask()
    desk.store.is_down = True
    desk.inner.search = lambda *_, **__: desk.store.aliases()  # whatever is asked of the store fails
    assert desk.ask() == first
    desk.ledger.begin()
    desk.ledger.finish()
    with pytest.raises(StoreUnavailable):
        desk.ask()


def test_a_home_that_was_made_anew_is_not_answered_from_the_one_before(desk):
    desk.ledger.start_anew()
    first = desk.ask()
    desk.ledger.newest = None
    desk.ledger.start_anew()
    assert desk.ask() != first
