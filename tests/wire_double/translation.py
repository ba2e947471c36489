"""Messages of Qdrant's gRPC interface to the engine's types and back."""

import uuid
from datetime import UTC

import numpy as np
import qdrant_edge as edge
from qdrant_client import grpc as wire

from tests.wire_double.refusals import wrong

DISTANCES = {
    wire.Distance.Cosine: edge.Distance.Cosine,
    wire.Distance.Euclid: edge.Distance.Euclid,
    wire.Distance.Dot: edge.Distance.Dot,
    wire.Distance.Manhattan: edge.Distance.Manhattan,
}
FIELDS = {
    wire.FieldTypeKeyword: edge.PayloadSchemaType.Keyword,
    wire.FieldTypeInteger: edge.PayloadSchemaType.Integer,
    wire.FieldTypeFloat: edge.PayloadSchemaType.Float,
    wire.FieldTypeGeo: edge.PayloadSchemaType.Geo,
    wire.FieldTypeText: edge.PayloadSchemaType.Text,
    wire.FieldTypeBool: edge.PayloadSchemaType.Bool,
    wire.FieldTypeDatetime: edge.PayloadSchemaType.Datetime,
    wire.FieldTypeUuid: edge.PayloadSchemaType.Uuid,
}


def shard_config(config):
    """Return the engine's configuration for a `qdrant.CollectionConfig`."""
    params, hnsw = config.params, config.hnsw_config
    return edge.EdgeConfig(
        vectors={
            name: edge.EdgeVectorParams(
                size=vector.size,
                distance=DISTANCES[vector.distance],
                memory=edge.Memory.Cold if vector.on_disk else edge.Memory.Cached,
                quantization_config=_quantization(config),
            )
            for name, vector in params.vectors_config.params_map.map.items()
        },
        sparse_vectors={
            name: edge.EdgeSparseVectorParams(
                modifier=edge.Modifier.Idf if vector.modifier == wire.Modifier.Idf else None
            )
            for name, vector in params.sparse_vectors_config.map.items()
        }
        or None,
        hnsw_config=edge.HnswIndexConfig(
            m=hnsw.m, ef_construct=hnsw.ef_construct, full_scan_threshold=hnsw.full_scan_threshold
        ),
        wal_enabled=True,
    )


def _quantization(config):
    if not config.quantization_config.HasField("scalar"):
        return None
    return edge.ScalarQuantizationConfig(
        type=edge.ScalarType.Int8,
        quantile=config.quantization_config.scalar.quantile,
        memory=edge.Memory.Pinned,
    )


def point_id(message):
    return message.uuid if message.HasField("uuid") else message.num


def id_message(identifier):
    if isinstance(identifier, int):
        return wire.PointId(num=identifier)
    return wire.PointId(uuid=str(identifier))


def value(message):
    kind = message.WhichOneof("kind")
    if kind == "struct_value":
        return payload(message.struct_value.fields)
    if kind == "list_value":
        return [value(item) for item in message.list_value.values]
    return None if kind in {None, "null_value"} else getattr(message, kind)


def payload(fields):
    return {key: value(item) for key, item in fields.items()}


def fill(fields, values):
    for key, item in values.items():
        fields[key].CopyFrom(value_message(item))


def value_message(item):  # noqa: PLR0911 - one for each word
    match item:
        case None:
            return wire.Value(null_value=wire.NULL_VALUE)
        case bool():
            return wire.Value(bool_value=item)
        case int():
            return wire.Value(integer_value=item)
        case float():
            return wire.Value(double_value=item)
        case str():
            return wire.Value(string_value=item)
        case dict():
            struct = wire.Struct(fields={key: value_message(each) for key, each in item.items()})
            return wire.Value(struct_value=struct)
        case _:
            return wire.Value(list_value=wire.ListValue(values=[value_message(each) for each in item]))


def point(message, config):
    """Return the engine's point; what does not fit the collection is refused as the server does."""
    identifier = point_id(message.id)
    if isinstance(identifier, str):
        try:
            uuid.UUID(identifier)
        except ValueError as error:
            raise wrong(f"Unable to parse UUID: {identifier}") from error
    named = message.vectors.vectors.vectors
    return edge.Point(
        identifier,
        {name: _vector(name, vector, config) for name, vector in named.items()},
        payload(message.payload),
    )


def _vector(name, message, config):
    dense = config.params.vectors_config.params_map.map
    if name in dense:
        expected, got = dense[name].size, len(message.dense.data)
        if got != expected:
            raise wrong(f"Vector dimension error: expected dim: {expected}, got {got}")
        return list(message.dense.data)
    if name not in config.params.sparse_vectors_config.map:
        raise wrong(f"Not existing vector name error: {name}")
    if len(message.sparse.indices) != len(message.sparse.values):
        raise wrong("Validation error in body: must be the same length as indices")
    return edge.SparseVector(list(message.sparse.indices), list(message.sparse.values))


def vectors_message(named):
    message = wire.VectorsOutput()
    for name, vector in (named or {}).items():
        output = message.vectors.vectors[name]
        if isinstance(vector, edge.SparseVector):
            output.sparse.SetInParent()
            output.sparse.indices.extend(vector.indices)
            output.sparse.values.extend(vector.values)
        else:
            output.dense.data.extend(np.asarray(vector, np.float32))
    return message


def record_message(record):
    message = wire.RetrievedPoint(id=id_message(record.id))
    fill(message.payload, record.payload or {})
    if record.vector:
        message.vectors.CopyFrom(vectors_message(record.vector))
    return message


def scored_message(point):
    message = wire.ScoredPoint(id=id_message(point.id), score=point.score, version=point.version)
    fill(message.payload, point.payload or {})
    return message


def condition_filter(message):
    """Return the engine's filter; None where there is none."""
    if message is None or not message.ByteSize():
        return None
    # On the wire an absent list is an empty one; to the engine that is not the same.
    return edge.Filter(
        must=[condition(each) for each in message.must] or None,
        should=[condition(each) for each in message.should] or None,
        must_not=[condition(each) for each in message.must_not] or None,
    )


def condition(message):  # noqa: PLR0911 - one for each word
    kind = message.WhichOneof("condition_one_of")
    inner = getattr(message, kind)
    match kind:
        case "filter":
            return condition_filter(inner) or edge.Filter()
        case "has_id":
            return edge.HasIdCondition({point_id(each) for each in inner.has_id})
        case "is_null":
            return edge.IsNullCondition(inner.key)
        case "is_empty":
            return edge.IsEmptyCondition(inner.key)
        case "has_vector":
            return edge.HasVectorCondition(inner.has_vector)
        case "nested":
            return edge.NestedCondition(inner.key, condition_filter(inner.filter) or edge.Filter())
        case "field":
            return _field(inner)
        case _:
            raise wrong(f"the double knows no condition {kind}")


def _field(message):
    if message.HasField("range"):
        return edge.FieldCondition(message.key, range=edge.RangeFloat(**_bounds(message.range)))
    if message.HasField("datetime_range"):
        moments = {
            word: stamp.ToDatetime(UTC).isoformat() for word, stamp in _bounds(message.datetime_range).items()
        }
        return edge.FieldCondition(message.key, range=edge.RangeDateTime(**moments))
    return edge.FieldCondition(message.key, match=_match(message.match))


def _bounds(message):
    return {word: getattr(message, word) for word in ("gt", "gte", "lt", "lte") if message.HasField(word)}


def _match(message):  # noqa: PLR0911 - one for each word
    kind = message.WhichOneof("match_value")
    inner = getattr(message, kind)
    match kind:
        case "boolean":
            return edge.MatchValue(np.bool_(inner))  # the binding takes True for a 1
        case "keyword" | "integer":
            return edge.MatchValue(inner)
        case "text":
            return edge.MatchText(inner)
        case "keywords":
            return edge.MatchAny(list(inner.strings))
        case "integers":
            return edge.MatchAny(list(inner.integers))
        case "except_keywords":
            return edge.MatchExcept(list(inner.strings))
        case "except_integers":
            return edge.MatchExcept(list(inner.integers))
        case _:
            raise wrong(f"the double knows no match {kind}")


def query(message):
    """Return the engine's query for a `qdrant.QueryPoints`."""
    if message.limit < 1:
        raise wrong("Validation error in body: [limit: value 0 invalid, must be 1 or larger]")
    return edge.QueryRequest(
        limit=message.limit,
        query=_scoring(message.query, message.using),
        prefetches=[_prefetch(each) for each in message.prefetch],
        filter=condition_filter(message.filter),
        params=_params(message.params),
        with_payload=message.with_payload.enable,
    )


def _prefetch(message):
    return edge.Prefetch(
        limit=message.limit,
        query=_scoring(message.query, message.using),
        filter=condition_filter(message.filter),
        params=_params(message.params),
    )


def _scoring(message, using):
    kind = message.WhichOneof("variant")
    if kind == "rrf":
        return edge.Fusion.Rrf(k=message.rrf.k if message.rrf.HasField("k") else 2)
    if kind != "nearest":
        raise wrong(f"the double knows no query {kind}")
    vector = message.nearest
    if vector.HasField("sparse"):
        sparse = edge.SparseVector(list(vector.sparse.indices), list(vector.sparse.values))
        return edge.Query.Nearest(sparse, using=using)
    return edge.Query.Nearest(list(vector.dense.data), using=using)


def _params(message):
    if not message.HasField("quantization"):
        return None
    asked = message.quantization
    return edge.SearchParams(
        quantization=edge.QuantizationSearchParams(rescore=asked.rescore, oversampling=asked.oversampling)
    )
