"""A specification in the server's messages, and what the server says of a collection in our words.

The fields that newer servers call deprecated (`on_disk`, `always_ram`) are sent, for older ones silently ignore their
successors (`memory`); either is understood when it is read back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipelines_persistence.adapters.qdrant.names import DENSE, SPARSE, field_path
from pipelines_persistence.records import CollectionSpec, Distance, HnswSpec, IndexedType

if TYPE_CHECKING:
    from qdrant_client import grpc as wire

DISTANCES = {Distance.COSINE: 1, Distance.EUCLID: 2, Distance.DOT: 3, Distance.MANHATTAN: 4}
"""`qdrant.Distance`."""

FIELD_TYPES: dict[IndexedType, int] = {
    "keyword": 0, "integer": 1, "float": 2, "geo": 3, "text": 4, "bool": 5, "datetime": 6, "uuid": 7,
}  # fmt: skip
"""`qdrant.FieldType`; the numbers of `qdrant.PayloadSchemaType` are one higher."""

_COLD = 1


@dataclass(frozen=True, slots=True)
class Standing:
    """What a collection is, as the server reports it.

    Attributes:
        tenants: paths of the fields that divide it among tenants.
        indexes: path of a payload field, in the server's notation, to the type of its index.
    """

    dimension: int
    distance: Distance
    sparse: bool
    quantization: Literal["none", "int8"]
    on_disk: bool
    hnsw: HnswSpec
    shards: int
    replicas: int
    write_consistency: int
    indexes: Mapping[str, IndexedType]
    tenants: frozenset[str]

    def indexes_by_key(self) -> dict[str, IndexedType]:
        """Return the indexes under the keys of the port, which have no quotes."""
        return {path.strip('"'): kind for path, kind in self.indexes.items()}

    def spec(self) -> CollectionSpec:
        """Return what points and queries are checked against."""
        return CollectionSpec(
            dimension=self.dimension,
            distance=self.distance,
            quantization=self.quantization,
            sparse=self.sparse,
            payload_indexes=self.indexes_by_key(),
        )


def creation(collection: str, spec: CollectionSpec) -> "wire.CreateCollection":
    """Return the request that makes a collection."""
    from qdrant_client import grpc as wire

    dense = wire.VectorParams(
        size=spec.dimension,
        distance=DISTANCES[spec.distance],  # type: ignore[arg-type]  # the number of an enum
        on_disk=spec.on_disk,
    )
    sparse = {SPARSE: wire.SparseVectorParams(modifier=wire.Modifier.Idf)} if spec.sparse else {}
    return wire.CreateCollection(
        collection_name=collection,
        vectors_config=wire.VectorsConfig(params_map=wire.VectorParamsMap(map={DENSE: dense})),
        sparse_vectors_config=wire.SparseVectorConfig(map=sparse) if sparse else None,
        hnsw_config=_hnsw(spec.hnsw),
        quantization_config=wire.QuantizationConfig(scalar=_scalar())
        if spec.quantization == "int8"
        else None,
        shard_number=spec.shards,
        replication_factor=spec.replicas,
        write_consistency_factor=spec.write_consistency,
    )


def change(collection: str, spec: CollectionSpec) -> "wire.UpdateCollection":
    """Return the request that brings an existing collection to other tuning."""
    from qdrant_client import grpc as wire

    compressed = (
        wire.QuantizationConfigDiff(scalar=_scalar())
        if spec.quantization == "int8"
        else wire.QuantizationConfigDiff(disabled=wire.Disabled())
    )
    dense = wire.VectorParamsDiff(on_disk=spec.on_disk)
    return wire.UpdateCollection(
        collection_name=collection,
        hnsw_config=_hnsw(spec.hnsw),
        quantization_config=compressed,
        vectors_config=wire.VectorsConfigDiff(params_map=wire.VectorParamsDiffMap(map={DENSE: dense})),
        params=wire.CollectionParamsDiff(
            replication_factor=spec.replicas, write_consistency_factor=spec.write_consistency
        ),
    )


def index_creation(collection: str, key: str, spec: CollectionSpec) -> "wire.CreateFieldIndexCollection":
    """Return the request that makes one payload index, and waits for it."""
    from qdrant_client import grpc as wire

    tenant = wire.PayloadIndexParams(keyword_index_params=wire.KeywordIndexParams(is_tenant=True))
    return wire.CreateFieldIndexCollection(
        collection_name=collection,
        wait=True,
        field_name=field_path(key),
        field_type=FIELD_TYPES[spec.payload_indexes[key]],  # type: ignore[arg-type]  # the number of an enum
        field_index_params=tenant if key == spec.tenant else None,
    )


def standing(info: "wire.CollectionInfo") -> Standing:
    """Read the configuration that a server reports; a collection that others made may lack our vectors."""
    params, hnsw = info.config.params, info.config.hnsw_config
    dense = params.vectors_config.params_map.map.get(DENSE, params.vectors_config.params)
    distances = {number: distance for distance, number in DISTANCES.items()}
    return Standing(
        dimension=dense.size,
        distance=distances.get(dense.distance, Distance.COSINE),
        sparse=_is_weighted(params),
        quantization=_quantization(info),
        on_disk=dense.on_disk or dense.memory == _COLD,
        hnsw=HnswSpec(
            m=hnsw.m,
            ef_construct=hnsw.ef_construct,
            full_scan_threshold=hnsw.full_scan_threshold,
            on_disk=hnsw.on_disk or hnsw.memory == _COLD,
        ),
        shards=params.shard_number,
        replicas=params.replication_factor or 1,
        write_consistency=params.write_consistency_factor or 1,
        indexes=_indexes(info),
        tenants=frozenset(
            path
            for path, schema in info.payload_schema.items()
            if schema.params.keyword_index_params.is_tenant
        ),
    )


def _indexes(info: "wire.CollectionInfo") -> dict[str, IndexedType]:
    words = {number + 1: word for word, number in FIELD_TYPES.items()}
    return {path: words[schema.data_type] for path, schema in sorted(info.payload_schema.items())}


def _is_weighted(params: "wire.CollectionParams") -> bool:
    """Tell whether there is a sparse vector that the server weighs by rarity."""
    sparse = params.sparse_vectors_config.map
    return SPARSE in sparse and sparse[SPARSE].modifier == 1  # qdrant.Modifier.Idf


def _quantization(info: "wire.CollectionInfo") -> Literal["none", "int8"]:
    named = info.config.params.vectors_config.params_map.map
    own = DENSE in named and named[DENSE].quantization_config.HasField("scalar")
    return "int8" if own or info.config.quantization_config.HasField("scalar") else "none"


def _hnsw(spec: HnswSpec) -> "wire.HnswConfigDiff":
    from qdrant_client import grpc as wire

    return wire.HnswConfigDiff(
        m=spec.m,
        ef_construct=spec.ef_construct,
        full_scan_threshold=spec.full_scan_threshold,
        on_disk=spec.on_disk,
    )


def _scalar() -> "wire.ScalarQuantization":
    from qdrant_client import grpc as wire

    return wire.ScalarQuantization(type=wire.QuantizationType.Int8, quantile=0.99, always_ram=True)
