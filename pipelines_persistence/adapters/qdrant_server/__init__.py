"""A Qdrant server, spoken to over gRPC.

address.py          the endpoint that a URL stands for
connection.py       one channel, deadlines, one immediate reconnect; every call goes through the guard
failures.py         what the server says when it refuses or fails, as errors of ours
specifications.py   a specification in the server's messages and back
building.py         collections made, changed and verified
catalog.py          collections, aliases and snapshots
shapes.py           what collections look like, remembered for the check of queries
points.py           points to the wire and back: vectors are packed, not listed
payloads.py         what is stored beside a vector
uploading.py        several writes under way at once
conditions.py       the filter language in the server's words
queries.py          searches
store.py            the port
"""

from pipelines_persistence.adapters.qdrant_server.connection import CallGuard
from pipelines_persistence.adapters.qdrant_server.store import QdrantServerStore

__all__ = ["CallGuard", "QdrantServerStore"]
