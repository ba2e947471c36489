"""Requests that are put together from bytes say what messages would say."""

import uuid

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client import grpc as wire

from pipelines_persistence.adapters.qdrant_server.payloads import fill_fields, read_fields
from pipelines_persistence.adapters.qdrant_server.points import encoded
from pipelines_persistence.records import Points, SparseVector
from tests.wire_double.translation import value_message

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=200)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PAYLOADS = st.dictionaries(st.text(max_size=5), JSON, max_size=4)


def as_messages(collection, points, rows):
    """The same request, built the plain way."""
    request = wire.UpsertPoints(collection_name=collection, wait=True)
    for row in range(*rows.indices(len(points.ids))):
        named = {"dense": wire.Vector(dense=wire.DenseVector(data=points.vectors[row].tolist()))}
        if points.sparse:
            words = points.sparse[row]
            named["bm25"] = wire.Vector(sparse=wire.SparseVector(indices=words.indices, values=words.values))
        point = request.points.add(id=wire.PointId(uuid=points.ids[row]))
        point.vectors.CopyFrom(wire.Vectors(vectors=wire.NamedVectors(vectors=named)))
        for key, value in points.payloads[row].items():
            point.payload[key].CopyFrom(value_message(value))
    return request


def batch(payloads, dimension, sparse=None):
    vectors = np.random.default_rng(dimension).standard_normal((len(payloads), dimension)).astype(np.float32)
    return Points([str(uuid.uuid4()) for _ in payloads], vectors, payloads, sparse)


@settings(max_examples=60, deadline=None)
@given(payloads=st.lists(PAYLOADS, min_size=1, max_size=4), dimension=st.sampled_from([1, 31, 32, 384, 5000]))
def test_packed_points_are_the_message_they_stand_for(payloads, dimension):
    points = batch(payloads, dimension)
    rows = slice(0, len(payloads))
    assert wire.UpsertPoints.FromString(encoded("docs", points, rows)) == as_messages("docs", points, rows)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 300), min_size=1, max_size=4))
def test_packed_points_with_words_are_the_message_they_stand_for(sizes):
    sparse = [
        SparseVector([7 * n for n in range(size)], [n / 2 + 0.5 for n in range(size)]) for size in sizes
    ]
    points = batch([{"text": "a"} for _ in sizes], 40, sparse)
    rows = slice(0, len(sizes))
    assert wire.UpsertPoints.FromString(encoded("docs", points, rows)) == as_messages("docs", points, rows)


def test_a_slice_holds_its_rows_and_no_others():
    points = batch([{"n": n} for n in range(5)], 3)
    request = wire.UpsertPoints.FromString(encoded("docs", points, slice(2, 9)))
    assert [point.id.uuid for point in request.points] == list(points.ids[2:])
    assert [
        list(point.vectors.vectors.vectors["dense"].dense.data) for point in request.points
    ] == points.vectors[2:].tolist()
    assert request.wait


def test_a_matrix_that_is_not_contiguous_is_read_by_its_rows():
    points = batch([{}, {}], 6)
    strided = Points(points.ids, np.asfortranarray(points.vectors)[:, ::2], points.payloads)
    request = wire.UpsertPoints.FromString(encoded("docs", strided, slice(0, 2)))
    assert (
        list(request.points[1].vectors.vectors.vectors["dense"].dense.data) == points.vectors[1, ::2].tolist()
    )


@settings(max_examples=60, deadline=None)
@given(payload=PAYLOADS)
def test_a_payload_comes_back_as_it_was(payload):
    message = wire.PointStruct()
    fill_fields(message.payload, payload)
    back = read_fields(wire.PointStruct.FromString(message.SerializeToString()).payload)
    assert repr(sorted(back.items())) == repr(sorted(payload.items())) or back == payload
