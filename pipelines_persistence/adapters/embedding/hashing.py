"""An embedder without a model: for tests and plumbing, where vectors must be quick and always the same.

Feature hashing (Weinberger et al. 2009): each word adds +1 or -1 to one of 384 components, both taken from
a hash of the word, so texts that share words are near each other. It knows nothing of meaning.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING

from pipelines_persistence.adapters.embedding.tokenization import pieces
from pipelines_persistence.adapters.embedding.vectors import normalized

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipelines_persistence.records import Matrix

DIMENSION = 384
MAX_TOKENS = 512
_VERSION = 1  # raise it when the same text may give another vector or count

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")
_TOKEN = re.compile(rf"[{_CJK}]|[^\W{_CJK}]{{1,8}}|[^\w\s]")
_WINDOW = 512  # texts whose words are held in memory together


class HashTokenizer:
    """The `Tokenizer` port by a rule: a CJK character, a symbol or up to eight letters are one token."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text; there are no special tokens."""
        return [sum(len(_TOKEN.findall(piece)) for piece in pieces(text)) for text in texts]


class HashEmbedder:
    """The `Embedder` port by feature hashing; gives the same vectors on every machine."""

    fingerprint = f"hash-{_VERSION} dimension={DIMENSION}"
    dimension = DIMENSION
    max_tokens = MAX_TOKENS
    special_tokens = 0
    tokenizer = HashTokenizer()

    def embed_documents(self, texts: Sequence[str]) -> "Matrix":
        """Return unit vectors, shape (len(texts), 384), float32; a text of any length is read whole."""
        import numpy as np

        vectors = np.empty((len(texts), DIMENSION), np.float32)
        for start in range(0, len(texts), _WINDOW):
            window = texts[start : start + _WINDOW]
            vectors[start : start + len(window)] = _embed(window)
        return vectors

    def embed_query(self, text: str) -> "NDArray[np.float32]":
        """Return a unit vector, shape (384,), float32."""
        vector: NDArray[np.float32] = _embed([text])[0]
        return vector


def _embed(texts: Sequence[str]) -> "Matrix":
    import numpy as np

    words = [_WORD.findall(text.lower()) for text in texts]
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    slots = np.fromiter(map(_slot, chain.from_iterable(words)), np.int64, int(lengths.sum()))
    cells = np.repeat(np.arange(len(texts)) * DIMENSION, lengths) + (slots >> 1)
    sums = np.bincount(cells, 1.0 - 2.0 * (slots & 1), len(texts) * DIMENSION)
    vectors = sums.reshape(-1, DIMENSION).astype(np.float32)
    # Without words, or when all of them cancel out, the text as a whole is the only word.
    for row in np.flatnonzero(~vectors.any(axis=1)):
        vectors[row, _slot(texts[int(row)].strip()) >> 1] = 1.0
    return normalized(vectors)


@lru_cache(maxsize=1 << 17)
def _slot(word: str) -> int:
    """Twice the component, plus 1 where the sign is negative."""
    digest = blake2b(word.encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % (2 * DIMENSION)
