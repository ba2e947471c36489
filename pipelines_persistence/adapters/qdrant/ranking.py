"""Searches whose answer is decided by the points alone: hits of equal score come in the order of their ids.

The engine returns equals in the order in which it holds them, which differs from one copy of an index to the next, and in a
fused search moves ranks and with them scores. So one hit more is asked for than is wanted; where it equals the last one, more
are, until all equals are there. And the fusion is ours.

What remains the store's: which of more than `MAX_TIES` equals it returns, and what an approximate index does not find.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipelines_persistence.adapters.qdrant.names import DENSE, SPARSE
from pipelines_persistence.adapters.qdrant.validation import checked_query, checked_sparse
from pipelines_persistence.errors import StoreError
from pipelines_persistence.ports import Query
from pipelines_persistence.records import CollectionSpec, Hit, Payload, SparseVector

MAX_TIES = 1000
"""Hits that are asked for beyond those that are wanted."""

_WIDER = 4


@dataclass(frozen=True, slots=True)
class CheckedQuery:
    """A query of which the collection has the vectors.

    Attributes:
        dense: the components, or None.
    """

    query: Query
    dense: list[float] | None
    sparse: SparseVector | None


@dataclass(frozen=True, slots=True)
class Side:
    """A ranking by one vector.

    Attributes:
        using: the name of the vector.
        wanted: how many hits count.
        window: how many are asked for.
        with_payload: whether the payloads come with them.
    """

    asked: CheckedQuery
    using: str
    wanted: int
    window: int
    with_payload: bool


Ask = Callable[[Sequence[Side]], Sequence[list[Hit]]]
"""Returns the hits of each side, best first, in one call of the store."""

LookUp = Callable[[Sequence[str]], Mapping[str, Payload]]
"""Returns the payloads of the points that exist among some ids."""


def checked(query: Query, spec: CollectionSpec) -> CheckedQuery:
    """Return a query that fits a collection.

    Raises:
        StoreError: it has no vector, or none of this collection.
    """
    if query.vector is None and query.sparse is None:
        raise StoreError("the query has no vector: give a dense one, a sparse one, or both")
    if query.sparse is not None and not spec.sparse:
        raise StoreError("the collection has no sparse vectors: create one that has, and search there")
    return CheckedQuery(
        query,
        None if query.vector is None else checked_query(query.vector, spec),
        None if query.sparse is None else checked_sparse(query.sparse, "the query"),
    )


def ranked(queries: Sequence[CheckedQuery], ask: Ask, look_up: LookUp) -> list[list[Hit]]:
    """Return the hits of each query.

    Args:
        queries: one whose limit is 0 or less has no hits.
        ask: is called once, unless equals are cut off.
        look_up: is called once, if a query is by two vectors.
    """
    sides = [_sides(asked) for asked in queries]
    rankings = iter(_settled([*itertools.chain(*sides)], ask))
    return _with_payloads(
        [
            _answer(asked.query, [next(rankings) for _ in its_sides])
            for asked, its_sides in zip(queries, sides, strict=True)
        ],
        [len(its_sides) > 1 for its_sides in sides],
        look_up,
    )


def _sides(asked: CheckedQuery) -> list[Side]:
    limit = asked.query.limit
    if limit < 1:
        return []
    given = ((DENSE, asked.dense), (SPARSE, asked.sparse))
    names = [name for name, vector in given if vector is not None]
    wanted = limit if len(names) == 1 else max(asked.query.candidates, 1)
    return [Side(asked, name, wanted, wanted + 1, with_payload=len(names) == 1) for name in names]


def _settled(sides: list[Side], ask: Ask) -> list[list[Hit]]:
    """Return the hits of each side that count, equals by id."""
    found: dict[int, list[Hit]] = {}
    pending = dict(enumerate(sides))
    while pending:
        found |= zip(pending, ask([*pending.values()]), strict=True)
        pending = {
            number: replace(side, window=min(_WIDER * side.window, side.wanted + MAX_TIES))
            for number, side in pending.items()
            if _cuts_equals(side, found[number])
        }
    return [_in_order(found[number])[: side.wanted] for number, side in enumerate(sides)]


def _cuts_equals(side: Side, hits: Sequence[Hit]) -> bool:
    may_be_more = len(hits) == side.window and side.window < side.wanted + MAX_TIES
    return may_be_more and hits[side.wanted - 1].score == hits[-1].score


def _in_order(hits: Sequence[Hit]) -> list[Hit]:
    """Sort equals; which score is the better one depends on the distance, and the store knows."""
    groups = itertools.groupby(hits, key=lambda hit: hit.score)
    return [hit for _, equals in groups for hit in sorted(equals, key=lambda hit: hit.id)]


def _answer(query: Query, rankings: Sequence[list[Hit]]) -> list[Hit]:
    if len(rankings) < 2:
        return rankings[0] if rankings else []
    scores: defaultdict[str, float] = defaultdict(float)
    for hits in rankings:
        for rank, hit in enumerate(hits, 1):
            scores[hit.id] += 1 / (query.rank_constant + rank)
    best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[: query.limit]
    return [Hit(id=identifier, score=score, payload={}) for identifier, score in best]


def _with_payloads(answers: list[list[Hit]], are_fused: Sequence[bool], look_up: LookUp) -> list[list[Hit]]:
    ids = {hit.id for hits, fused in zip(answers, are_fused, strict=True) if fused for hit in hits}
    if not ids:
        return answers
    payloads = look_up(sorted(ids))
    # A point that was removed since is no hit.
    return [
        [replace(hit, payload=payloads[hit.id]) for hit in hits if hit.id in payloads] if fused else hits
        for hits, fused in zip(answers, are_fused, strict=True)
    ]
