"""Which collections, aliases and snapshots the server has."""

from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING

from pipelines_persistence.adapters.qdrant.names import not_found
from pipelines_persistence.adapters.qdrant_server.connection import Connection
from pipelines_persistence.errors import IndexNotFound
from pipelines_persistence.records import SnapshotInfo

if TYPE_CHECKING:
    from qdrant_client import grpc as wire


def collections(connection: Connection) -> list[str]:
    """Return the names of the collections, sorted."""
    from qdrant_client import grpc as wire

    response = connection.call("Collections/List", wire.ListCollectionsRequest(), "listing the collections")
    return sorted(each.name for each in response.collections)


def drop(connection: Connection, collection: str) -> None:
    """Remove a collection; nothing happens if there is none."""
    from qdrant_client import grpc as wire

    request = wire.DeleteCollection(collection_name=collection)
    try:
        connection.call("Collections/Delete", request, f"dropping {collection!r}", collection)
    except IndexNotFound:
        return


def aliases(connection: Connection) -> dict[str, str]:
    """Return alias to collection."""
    from qdrant_client import grpc as wire

    response = connection.call("Collections/ListAliases", wire.ListAliasesRequest(), "listing the aliases")
    return {each.alias_name: each.collection_name for each in response.aliases}


def point_alias(connection: Connection, alias: str, collection: str) -> None:
    """Create an alias, or move it: the server applies all actions of one request in one step."""
    from qdrant_client import grpc as wire

    actions = [
        wire.AliasOperations(create_alias=wire.CreateAlias(alias_name=alias, collection_name=collection))
    ]
    if alias in aliases(connection):
        actions.insert(0, wire.AliasOperations(delete_alias=wire.DeleteAlias(alias_name=alias)))
    request = wire.ChangeAliases(actions=actions)
    connection.call("Collections/UpdateAliases", request, f"pointing {alias!r} to {collection!r}", collection)


def resolve(connection: Connection, name: str, known: Mapping[str, str] | None = None) -> str:
    """Return the collection that a name is or stands for.

    Raises:
        IndexNotFound: there is none.
    """
    from qdrant_client import grpc as wire

    found = aliases(connection) if known is None else known
    if name in found:
        return found[name]
    request = wire.CollectionExistsRequest(collection_name=name)
    response = connection.call("Collections/CollectionExists", request, f"looking for {name!r}")
    if not response.result.exists:
        raise not_found(name)
    return name


def snapshot(connection: Connection, collection: str) -> SnapshotInfo:
    """Make a copy of a collection."""
    from qdrant_client import grpc as wire

    request = wire.CreateSnapshotRequest(collection_name=collection)
    response = connection.call("Snapshots/Create", request, f"copying {collection!r}", collection)
    return _info(response.snapshot_description, collection)


def snapshots(connection: Connection, collection: str) -> list[SnapshotInfo]:
    """Return the copies of a collection, the newest first."""
    from qdrant_client import grpc as wire

    request = wire.ListSnapshotsRequest(collection_name=collection)
    response = connection.call("Snapshots/List", request, f"listing the copies of {collection!r}", collection)
    found = [_info(each, collection) for each in response.snapshot_descriptions]
    return sorted(found, key=lambda each: (str(each.created_at), each.name), reverse=True)


def delete_snapshot(connection: Connection, collection: str, name: str) -> None:
    """Remove a copy; nothing happens if there is none, and a path is the name of none."""
    from qdrant_client import grpc as wire

    if not name or "/" in name or name.startswith("."):
        return
    request = wire.DeleteSnapshotRequest(collection_name=collection, snapshot_name=name)
    try:
        connection.call("Snapshots/Delete", request, f"deleting a copy of {collection!r}", collection)
    except IndexNotFound:
        return


def _info(description: "wire.SnapshotDescription", collection: str) -> SnapshotInfo:
    known = description.HasField("creation_time")
    created = description.creation_time.ToDatetime(UTC) if known else None
    return SnapshotInfo(description.name, collection, description.size, created)
