"""The embedded vector store: Qdrant Edge, the Rust engine in this process, no server.

Everything lies below one folder:

    registry.json                   alias to collection, replaced atomically
    collections/NAME/collection.json   what was asked for; written last, so a folder without it is no collection
    collections/NAME/shard/         the engine's own files
    locks/NAME.*                    who has the collection open; outside the shard, never removed
    snapshots/NAME/NAME-MOMENT/     copies, each like the folder of a collection
    trash/                          dropped collections on their way out
"""

from pipelines_persistence.adapters.qdrant_edge.store import EdgeVectorStore

__all__ = ["EdgeVectorStore"]
