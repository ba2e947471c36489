"""What read models answer: keyed by their build, and as new as their checkpoint."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from pipelines_persistence.caching.ports import Cache, Codec
from pipelines_persistence.records import Json

T = TypeVar("T")


def digest(*parts: Json) -> str:
    """Return a key of fixed length: equal for equal values, whatever the order of the keys of mappings."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> Json:
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, Sequence):
        return [*value]
    raise TypeError(f"{type(value).__name__} cannot be part of a cache key: give its text")


class CachedReads(Generic[T]):
    """Answers of one read model.

    A build has a name of its own, so a rebuild that is swapped in shares nothing with the one before. Within a build the
    checkpoint only goes forward, so it is the version: an answer from before it is not good enough, and never replaces a
    later one. Nothing has to be told when a projection has run.
    """

    def __init__(self, cache: Cache, model: str, codec: Codec[T]) -> None:
        """Take the name of the read model, and how its answers become bytes."""
        self._answers = cache.namespace(f"read-{model}", codec)
        self._tag = f"read-model-{model}"

    def get_or_load(self, question: Json, loader: Callable[[], T], *, build: str, checkpoint: int) -> T:
        """Return the answer to a question, at least as new as the checkpoint.

        Args:
            question: what decides the answer, as JSON.
            loader: asks the read model; called after build and checkpoint were read.
            build: the name of the live build.
            checkpoint: its position, read before the answer.
        """
        return self._answers.get_or_load(
            digest(build, question), loader, version=checkpoint, tags=[self._tag]
        )

    def warm(self, question: Json, answer: T, *, build: str, checkpoint: int) -> bool:
        """Put an answer there before anybody asks; False if a newer one is there."""
        return self._answers.set(digest(build, question), answer, version=checkpoint, tags=[self._tag])

    def clear(self) -> None:
        """Forget all answers, in all processes."""
        self._answers.clear()
