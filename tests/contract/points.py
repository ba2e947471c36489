"""Points for the contract suites of the vector store."""

import uuid
from dataclasses import replace

import numpy as np

from pipelines_persistence.records import CollectionSpec, Points, SparseVector

DIMENSION = 8
SPEC = CollectionSpec(dimension=DIMENSION, payload_indexes={"document": "keyword", "page": "integer"})


def identifier(number: int) -> str:
    return str(uuid.UUID(int=number))


def batch(numbers, payload=lambda number: {"number": number}, dimension=DIMENSION) -> Points:
    numbers = list(numbers)
    vectors = np.array(
        [np.random.default_rng(number).standard_normal(dimension) for number in numbers], np.float32
    )
    return Points(
        [identifier(number) for number in numbers],
        vectors.reshape(len(numbers), dimension),
        [payload(number) for number in numbers],
    )


def numbers(points) -> list[int]:
    return [uuid.UUID(point.id).int for point in points]


WITH_WORDS = replace(SPEC, sparse=True)


def words(number) -> SparseVector:
    """The words of a point: 0 is in all of them, higher ones are rarer."""
    indices = [word for word in range(7) if number % (word + 1) == 0]
    return SparseVector(indices, [1.0 + ((number * 7 + word) % 5) / 4 for word in indices])


def batch_with_words(numbers, payload=lambda number: {"number": number}) -> Points:
    numbers = list(numbers)
    return replace(batch(numbers, payload), sparse=[words(number) for number in numbers])
