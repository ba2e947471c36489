"""The order of hits: equals by their ids, as many as it takes, and fused rankings."""

import numpy as np
import pytest

from pipelines_persistence.adapters.qdrant.ranking import MAX_TIES, CheckedQuery, ranked
from pipelines_persistence.ports import Query
from pipelines_persistence.records import Hit, SparseVector

DENSE = np.zeros(2, np.float32)
WORDS = SparseVector([1], [1.0])


class Store:
    """Holds a ranking for each vector, equals in any order, and remembers what it was asked for."""

    def __init__(self, **rankings):
        self.rankings, self.windows = rankings, []

    def ask(self, sides):
        self.windows.append([side.window for side in sides])
        return [
            [Hit(identifier, score, {}) for identifier, score in self.rankings[side.using][: side.window]]
            for side in sides
        ]

    def search(self, *queries, gone=()):
        asked = [CheckedQuery(q, None if q.vector is None else [0.0, 0.0], q.sparse) for q in queries]
        return ranked(asked, self.ask, lambda ids: {one: {"id": one} for one in ids if one not in gone})


def ids(hits):
    return [hit.id for hit in hits]


def test_without_equals_at_the_cut_the_store_is_asked_once_for_one_more():
    store = Store(dense=[("c", 0.9), ("b", 0.5), ("a", 0.5), ("d", 0.1)])
    assert [ids(hits) for hits in store.search(Query(DENSE, limit=3), Query(DENSE, limit=0))] == [
        ["c", "a", "b"],
        [],
    ]
    assert store.windows == [[4]]


def test_equals_at_the_cut_are_asked_for_until_all_are_there():
    store = Store(
        dense=[(f"{number:04}", 0.5) for number in range(99, -1, -1)], bm25=[("x", 2.0), ("y", 1.0)]
    )
    found = store.search(Query(DENSE, limit=2), Query(sparse=WORDS, limit=1))
    assert [ids(hits) for hits in found] == [["0000", "0001"], ["x"]]
    assert store.windows == [[3, 2], [12], [48], [192]]


def test_endless_equals_are_not_followed_for_ever():
    store = Store(dense=[(f"{number:05}", 0.5) for number in range(9 * MAX_TIES)])
    assert ids(store.search(Query(DENSE, limit=2))[0]) == ["00000", "00001"]
    assert store.windows[-1] == [2 + MAX_TIES]


def test_two_rankings_are_fused_by_rank_and_equals_in_that_come_by_id():
    store = Store(dense=[("b", 0.9), ("a", 0.8), ("d", 0.7)], bm25=[("a", 9.0), ("b", 8.0), ("c", 7.0)])
    [hits] = store.search(Query(DENSE, WORDS, limit=4, rank_constant=1))
    assert ids(hits) == ["a", "b", "c", "d"]
    assert [hit.score for hit in hits] == pytest.approx([1 / 2 + 1 / 3, 1 / 3 + 1 / 2, 1 / 4, 1 / 4])
    assert [hit.payload for hit in hits] == [{"id": one} for one in "abcd"]


def test_a_point_that_is_removed_between_the_rankings_and_the_payloads_is_no_hit():
    store = Store(dense=[("b", 0.9)], bm25=[("a", 9.0)])
    assert ids(store.search(Query(DENSE, WORDS), gone={"b"})[0]) == ["a"]
