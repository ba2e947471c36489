"""One collection: a shard of the real engine, and what was said of it when it was made."""

import math
import shutil
from threading import RLock

import qdrant_edge as edge
from qdrant_client import grpc as wire

from tests.wire_double import translation
from tests.wire_double.refusals import Refusal, no_index, no_point, wrong

FACETS = {wire.Keyword: "keyword", wire.Integer: "integer", wire.Bool: "bool", wire.Uuid: "uuid"}
ORDERED = {wire.Integer, wire.Float, wire.Datetime}


class Collection:
    """Lies in a folder: `info.pb` and `shard/`. Safe for threads."""

    def __init__(self, folder, config=None):
        self.folder = folder
        self.lock = RLock()
        self.dropped_points = 0
        if config is None:
            self.info = wire.CollectionInfo.FromString((folder / "info.pb").read_bytes())
            self.shard = edge.EdgeShard.load(str(folder / "shard"))
            return
        self.info = wire.CollectionInfo(config=config)
        (folder / "shard").mkdir(parents=True)
        self.shard = edge.EdgeShard.create(str(folder / "shard"), translation.shard_config(config))
        self._save()

    def _save(self):
        temporary = self.folder / "info.tmp"
        temporary.write_bytes(self.info.SerializeToString())
        temporary.replace(self.folder / "info.pb")

    def close(self):
        with self.lock:
            self.shard.flush()
            self.shard.close()

    def report(self):
        with self.lock:
            engine = self.shard.info()
            report = wire.CollectionInfo()
            report.CopyFrom(self.info)
            report.status = wire.Green
            report.optimizer_status.ok = True
            report.segments_count = engine.segments_count
            report.points_count = engine.points_count
            report.indexed_vectors_count = engine.indexed_vectors_count
            return report

    def change(self, request):
        """Apply a `qdrant.UpdateCollection`: the fields that it sets."""
        with self.lock:
            config = self.info.config
            config.hnsw_config.MergeFrom(request.hnsw_config)
            for name, diff in request.vectors_config.params_map.map.items():
                if name not in config.params.vectors_config.params_map.map:
                    raise wrong(f"Not existing vector name error: {name}")
                config.params.vectors_config.params_map.map[name].on_disk = diff.on_disk
            if request.quantization_config.HasField("disabled"):
                config.ClearField("quantization_config")
            elif request.quantization_config.HasField("scalar"):
                config.quantization_config.scalar.CopyFrom(request.quantization_config.scalar)
            for word in ("replication_factor", "write_consistency_factor"):
                if request.params.HasField(word):
                    setattr(config.params, word, getattr(request.params, word))
            self.shard.flush()
            self.shard.close()
            self.shard = edge.EdgeShard.load(str(self.folder / "shard"), translation.shard_config(config))
            self._save()

    def create_index(self, request):
        with self.lock:
            kind = translation.FIELDS[request.field_type]
            is_tenant = request.field_index_params.keyword_index_params.is_tenant
            schema = edge.KeywordIndexParams(is_tenant=True) if is_tenant else kind
            self._update(edge.UpdateOperation.create_field_index(request.field_name, schema))
            entry = wire.PayloadSchemaInfo(data_type=request.field_type + 1)
            if request.HasField("field_index_params"):
                entry.params.CopyFrom(request.field_index_params)
            self.info.payload_schema[request.field_name].CopyFrom(entry)
            self._save()

    def delete_index(self, key):
        with self.lock:
            if key in self.info.payload_schema:
                self._update(edge.UpdateOperation.delete_field_index(key))
                del self.info.payload_schema[key]
                self._save()

    def upsert(self, messages, *, wait):
        """Write points. Without `wait` the server acknowledges before it looks at them: bad ones are lost in silence."""
        with self.lock:
            points = []
            for message in messages:
                try:
                    points.append(translation.point(message, self.info.config))
                except Refusal:
                    if wait:
                        raise
                    self.dropped_points += 1
            if points:
                self._update(edge.UpdateOperation.upsert_points(points))

    def delete(self, selector):
        with self.lock:
            if selector.HasField("filter"):
                where = translation.condition_filter(selector.filter) or edge.Filter()
                self._update(edge.UpdateOperation.delete_points_by_filter(where))
            elif ids := [translation.point_id(each) for each in selector.points.ids]:
                self._update(edge.UpdateOperation.delete_points(ids))

    def overwrite_payload(self, request):
        values, selector = translation.payload(request.payload), request.points_selector
        with self.lock:
            if selector.HasField("filter"):
                where = translation.condition_filter(selector.filter) or edge.Filter()
                self._update(edge.UpdateOperation.overwrite_payload_by_filter(where, values))
                return
            for identifier in (translation.point_id(each) for each in selector.points.ids):
                if not self.shard.retrieve([identifier], with_payload=False, with_vector=False):
                    raise no_point(identifier)
                self._update(edge.UpdateOperation.overwrite_payload([identifier], values))

    def retrieve(self, request):
        with self.lock:
            ids = [translation.point_id(each) for each in request.ids]
            records = self.shard.retrieve(
                ids, with_payload=request.with_payload.enable, with_vector=request.with_vectors.enable
            )
        return [translation.record_message(record) for record in records]

    def scroll(self, request):
        if request.HasField("order_by"):
            key = request.order_by.key
            if self._kind(key) not in ORDERED:
                raise no_index(key, "integer, float, datetime")
            raise wrong("the double does not order by a field")
        offset = translation.point_id(request.offset) if request.HasField("offset") else None
        with self.lock:
            records, following = self.shard.scroll(
                edge.ScrollRequest(
                    offset,
                    request.limit,
                    translation.condition_filter(request.filter),
                    with_payload=request.with_payload.enable,
                    with_vector=request.with_vectors.enable,
                )
            )
        return [translation.record_message(record) for record in records], following

    def count(self, request):
        where = translation.condition_filter(request.filter)
        with self.lock:
            return self.shard.count(edge.CountRequest(exact=request.exact, filter=where))

    def facet(self, request):
        if self._kind(request.key) not in FACETS:
            raise no_index(request.key, ", ".join(FACETS.values()))
        if request.limit < 1:
            raise wrong("Validation error in body: [limit: value 0 invalid, must be 1 or larger]")
        where = translation.condition_filter(request.filter)
        with self.lock:
            response = self.shard.facet(
                edge.FacetRequest(request.key, request.limit, exact=request.exact, filter=where)
            )
        hits = [(hit.value, hit.count) for hit in response if hit.count]
        return [_facet_hit(each, count) for each, count in hits]

    def query(self, requests):
        for request in requests:
            self._require_vectors(request)
        batch = edge.QueryBatchRequest([translation.query(request) for request in requests])
        with self.lock:
            found = self.shard.query_batch(batch)
        return [[translation.scored_message(point) for point in points] for points in found]

    def copy_to(self, folder):
        with self.lock:
            self.shard.flush()
            shutil.copytree(self.folder, folder)

    def _kind(self, key):
        return self.info.payload_schema[key].data_type if key in self.info.payload_schema else None

    def _require_vectors(self, request):
        params = self.info.config.params
        dense = params.vectors_config.params_map.map
        for side in [*request.prefetch, request]:
            vector = side.query.nearest
            if side.query.WhichOneof("variant") != "nearest":
                continue
            names = dense if vector.HasField("dense") else params.sparse_vectors_config.map
            if side.using not in names:
                raise wrong(f"Not existing vector name error: {side.using}")
            if vector.HasField("dense") and len(vector.dense.data) != dense[side.using].size:
                expected, got = dense[side.using].size, len(vector.dense.data)
                raise wrong(f"Vector dimension error: expected dim: {expected}, got {got}")
            if not all(map(math.isfinite, vector.dense.data)):
                raise wrong("Vector contains invalid float values")

    def _update(self, operation):
        self.shard.update(operation)


def _facet_hit(value, count):
    kind = {bool: "bool_value", int: "integer_value", str: "string_value"}[type(value)]
    return wire.FacetHit(value=wire.FacetValue(**{kind: value}), count=count)
