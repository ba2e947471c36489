"""What collections look like, remembered for a while: queries are checked against it before they are sent."""

import time
from collections.abc import Callable
from threading import Lock

from pipelines_persistence.records import CollectionSpec

KEPT = 30.0
"""Seconds. What is remembered is never the reason to refuse something: it is looked up again first."""


class Shapes:
    """Remembers the shape that each name had when it was last looked up."""

    def __init__(
        self, look_up: Callable[[str], CollectionSpec], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._lock = Lock()
        self._known: dict[str, tuple[float, CollectionSpec]] = {}

    def remembered(self, name: str) -> CollectionSpec | None:
        """Return the shape that a name had a moment ago, or None."""
        seen, spec = self._known.get(name, (0.0, None))
        return spec if self._clock() - seen < KEPT else None

    def now(self, name: str) -> CollectionSpec:
        """Return the shape that a name has.

        Raises:
            IndexNotFound: there is none of that name.
        """
        spec = self._look_up(name)
        with self._lock:
            self._known[name] = (self._clock(), spec)
        return spec

    def forget(self) -> None:
        """Forget everything, for names mean something else by now."""
        with self._lock:
            self._known.clear()
