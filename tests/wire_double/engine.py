"""All collections, their aliases and snapshots, in a folder that may outlive the server."""

import json
import shutil
import uuid
from threading import RLock

from qdrant_client import grpc as wire

from tests.wire_double.collection import Collection
from tests.wire_double.refusals import already_there, no_collection, wrong


class Engine:
    """`collections/NAME/`, `snapshots/NAME/`, `aliases.json`. Safe for threads."""

    def __init__(self, root):
        self._root = root
        self.lock = RLock()
        folders = (path.parent for path in sorted(root.glob("collections/*/info.pb")))
        self.collections = {folder.name: Collection(folder) for folder in folders}
        stored = root / "aliases.json"
        self.aliases = json.loads(stored.read_text()) if stored.exists() else {}

    def close(self):
        with self.lock:
            for collection in self.collections.values():
                collection.close()
            self.collections = {}

    def get(self, name):
        with self.lock:
            collection = self.collections.get(self.aliases.get(name, name))
        if collection is None:
            raise no_collection(name)
        return collection

    def create(self, request):
        name = request.collection_name
        with self.lock:
            if name in self.collections:
                raise already_there(name)
            if name in self.aliases:
                raise wrong(
                    f"Can't create collection with name {name}. Alias with the same name already exists"
                )
            folder = self._root / "collections" / name
            shutil.rmtree(folder, ignore_errors=True)
            self.collections[name] = Collection(folder, _config(request))

    def delete(self, name):
        with self.lock:
            collection = self.collections.pop(name, None)
            if collection is None:
                return False
            collection.close()
            (collection.folder / "info.pb").unlink()
            shutil.rmtree(collection.folder)
            self._write_aliases({alias: target for alias, target in self.aliases.items() if target != name})
            return True

    def change_aliases(self, actions):
        with self.lock:
            changed = dict(self.aliases)
            for action in actions:
                kind = action.WhichOneof("action")
                if kind == "delete_alias":
                    changed.pop(action.delete_alias.alias_name, None)
                    continue
                alias, name = action.create_alias.alias_name, action.create_alias.collection_name
                if name not in self.collections:
                    raise no_collection(name)
                if alias in self.collections:
                    raise already_there(alias)
                changed[alias] = name
            self._write_aliases(changed)

    def snapshot(self, name):
        collection = self.get(name)
        folder = self._root / "snapshots" / collection.folder.name / f"{name}-{uuid.uuid4().hex}.snapshot"
        collection.copy_to(folder)
        return _description(folder)

    def snapshots(self, name):
        folder = self._root / "snapshots" / self.get(name).folder.name
        return [_description(path) for path in folder.glob("*.snapshot")]

    def delete_snapshot(self, name, snapshot):
        folder = self._root / "snapshots" / self.get(name).folder.name / snapshot
        if "/" in snapshot or not folder.exists():
            return False
        shutil.rmtree(folder)
        return True

    def _write_aliases(self, aliases):
        temporary = self._root / "aliases.tmp"
        temporary.write_text(json.dumps(aliases))
        temporary.replace(self._root / "aliases.json")
        self.aliases = aliases


def _config(request):
    config = wire.CollectionConfig(
        params=wire.CollectionParams(
            shard_number=request.shard_number or 1,
            replication_factor=request.replication_factor or 1,
            write_consistency_factor=request.write_consistency_factor or 1,
            vectors_config=request.vectors_config,
        ),
        hnsw_config=wire.HnswConfigDiff(m=16, ef_construct=100, full_scan_threshold=10_000, on_disk=False),
    )
    if request.HasField("sparse_vectors_config"):
        config.params.sparse_vectors_config.CopyFrom(request.sparse_vectors_config)
    config.hnsw_config.MergeFrom(request.hnsw_config)
    if request.HasField("quantization_config"):
        config.quantization_config.CopyFrom(request.quantization_config)
    return config


def _description(folder):
    files = [path.stat() for path in folder.rglob("*") if path.is_file()]
    message = wire.SnapshotDescription(name=folder.name, size=sum(each.st_blocks * 512 for each in files))
    message.creation_time.FromNanoseconds(folder.stat().st_mtime_ns)
    return message
