"""What read models answer: kept under what identifies their content."""

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

    The key names the content that was asked, exactly: an answer is served to those who see the same content, and to nobody
    else, whether the read model went on, was built anew, was rolled back, or came back from a backup. Nothing has to be
    told when any of that happens. Nor is an answer kept beyond its freshness: who cannot tell what the content is cannot
    ask for it.
    """

    def __init__(self, cache: Cache, model: str, codec: Codec[T]) -> None:
        """Take the name of the read model, and how its answers become bytes."""
        self._answers = cache.namespace(f"read-{model}", codec, stale=0)

    def get_or_load(self, question: Json, loader: Callable[[], T], *, content: str) -> T:
        """Return the answer to a question.

        Args:
            question: what decides the answer, as JSON.
            loader: asks the read model; raises if the content is another one by then.
            content: identifies what the read model holds, such as `Standing.identity`; read now.
        """
        return self._answers.get_or_load(digest(content, question), loader)

    def clear(self) -> None:
        """Forget all answers, in all processes."""
        self._answers.clear()
