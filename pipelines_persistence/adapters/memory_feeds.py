"""The `FeedPositions` port in memory: for tests, and for trying something out. Nothing survives the process."""

from collections.abc import Mapping


class MemoryFeedPositions:
    """See `FeedPositions`."""

    def __init__(self) -> None:
        """Begin with no feed."""
        self._positions: dict[str, str] = {}

    def get(self, feed: str) -> str | None:
        """See `FeedPositions`."""
        return self._positions.get(feed)

    def put(self, feed: str, position: str) -> None:
        """See `FeedPositions`."""
        self._positions[feed] = position

    def beginning(self, prefix: str) -> Mapping[str, str]:
        """See `FeedPositions`."""
        return {feed: position for feed, position in self._positions.items() if feed.startswith(prefix)}
