"""The `SubjectKeys` port in memory: for tests, and for trying something out. Nothing survives the process."""

import os
import threading
from collections.abc import Collection
from uuid import uuid4

from pipelines_persistence.adapters.aes import KEY_BYTES
from pipelines_persistence.events.personal import SubjectKey


class MemorySubjectKeys:
    """See `SubjectKeys`. Safe to share between threads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._keys: dict[str, SubjectKey] = {}

    def obtain(self, subjects: Collection[str]) -> dict[str, SubjectKey]:
        """See `SubjectKeys`."""
        with self._lock:
            for subject in subjects:
                if subject not in self._keys:
                    self._keys[subject] = SubjectKey(str(uuid4()), os.urandom(KEY_BYTES))
            return {subject: self._keys[subject] for subject in subjects}

    def find(self, ids: Collection[str]) -> dict[str, SubjectKey]:
        """See `SubjectKeys`."""
        with self._lock:
            return {key.id: key for key in self._keys.values() if key.id in ids}

    def forget(self, subject: str) -> bool:
        """See `SubjectKeys`."""
        with self._lock:
            return self._keys.pop(subject, None) is not None
