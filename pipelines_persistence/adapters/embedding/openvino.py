"""The default embedder: a BERT sentence encoder compiled for this processor by OpenVINO."""

from collections.abc import Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Literal

from pipelines_persistence.adapters.embedding import bert
from pipelines_persistence.adapters.embedding.batching import token_batches
from pipelines_persistence.adapters.embedding.models import file_sha256, require_model
from pipelines_persistence.adapters.embedding.processors import available_cpus, core, has_bf16
from pipelines_persistence.adapters.embedding.tokenization import HuggingFaceTokenizer
from pipelines_persistence.adapters.embedding.vectors import normalized, require_within
from pipelines_persistence.errors import ConfigurationError, EmbeddingError
from pipelines_persistence.ingestion.vectors import verified

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from openvino import InferRequest

    from pipelines_persistence.records import Matrix

WINDOW = 1024
"""Texts that are sorted by length together: more would save little padding and take more memory."""

_VERSION = 1  # of what stands here and in bert.py: raise it when the same text may give another vector


class OpenVinoEmbedder:
    """The `Embedder` port over a compiled model; safe to share between threads, not across a fork."""

    def __init__(
        self, model: str, precision: Literal["auto", "fp32", "bf16"] = "auto", *, threads: int | None = None
    ) -> None:
        """Find the model; it is loaded by the first `embed_*`.

        Args:
            model: see `find_model`.
            precision: "auto" takes bf16 where the processor computes in it.
            threads: of the inference; all processors that this process may use by default.

        Raises:
            ConfigurationError: there is no such model, it is no BERT, or the processor has no bf16.
        """
        self._model = require_model(model)
        if problem := bert.obstacle(self._model):
            raise ConfigurationError(
                f"the model {model!r} cannot be compiled: {problem}. "
                "Use embedding.backend 'sentence-transformers' for it"
            )
        self._precision = precision
        self._threads = threads
        self._lock = Lock()
        self._tokenizer = HuggingFaceTokenizer(self._model.tokenizer)
        if precision == "bf16" and not has_bf16():
            raise ConfigurationError(
                "this processor does not compute in bf16: use embedding.precision 'auto'"
            )

    @cached_property
    def precision(self) -> str:
        """What the model computes in: "fp32" or "bf16"."""
        if self._precision == "auto":
            return "bf16" if has_bf16() else "fp32"
        return self._precision

    @cached_property
    def fingerprint(self) -> str:
        """Weights, tokenizer and settings by content: a copy of a model elsewhere has the same."""
        return (
            f"openvino-{_VERSION} weights={self._model.weights_sha256[:16]}"
            f" tokenizer={file_sha256(self._model.tokenizer)[:16]}"
            f" pooling={self._model.pooling} max_tokens={self.max_tokens} precision={self.precision}"
        )

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return self._model.dimension

    @property
    def max_tokens(self) -> int:
        """The model's limit for one text, special tokens included."""
        return self._model.max_tokens

    @property
    def special_tokens(self) -> int:
        """The start and end of a text."""
        return self._tokenizer.special_tokens

    @property
    def tokenizer(self) -> HuggingFaceTokenizer:
        """The model's own."""
        return self._tokenizer

    def embed_documents(self, texts: Sequence[str]) -> "Matrix":
        """Return unit vectors, shape (len(texts), dimension), float32, in the order of `texts`.

        Raises:
            EmbeddingError: a text is longer than `max_tokens`, or the model fails.
        """
        import numpy as np

        vectors = np.empty((len(texts), self.dimension), np.float32)
        for start in range(0, len(texts), WINDOW):
            ids = self._tokenizer.encode(texts[start : start + WINDOW])
            require_within(self.max_tokens, [len(row) for row in ids], first=start)
            vectors[start : start + len(ids)] = self._embed(ids)
        return vectors

    def embed_query(self, text: str) -> "NDArray[np.float32]":
        """Return a unit vector, shape (dimension,), float32; a longer text is cut at `max_tokens`."""
        [ids] = self._tokenizer.encode([text])
        if len(ids) > self.max_tokens:
            ids = [*ids[: self.max_tokens - 1], ids[-1]]
        vector: NDArray[np.float32] = self._embed([ids])[0]
        return vector

    def _embed(self, ids: list[list[int]]) -> "Matrix":
        import numpy as np

        vectors = np.empty((len(ids), self.dimension), np.float32)
        for batch in token_batches([len(row) for row in ids], longest=self.max_tokens):
            vectors[list(batch.rows)] = self._infer([ids[row] for row in batch.rows], batch.length)
        # The graph's own normalization is as coarse as its precision.
        return normalized(verified(vectors, len(ids), self.dimension))

    def _infer(self, ids: list[list[int]], length: int) -> "Matrix":
        import numpy as np

        tokens = np.zeros((len(ids), length), np.int64)
        mask = np.zeros_like(tokens)
        for row, known in enumerate(ids):
            tokens[row, : len(known)] = known
            mask[row, : len(known)] = 1
        with self._lock:
            try:
                self._request.infer([tokens, mask], share_inputs=True)
            except RuntimeError as error:
                raise EmbeddingError(f"the model fails on texts of {length} tokens: {error}") from error
            output: Matrix = self._request.get_output_tensor(0).data.copy()
        return output

    @cached_property
    def _request(self) -> "InferRequest":
        self._model.verify()
        graph = bert.build(self._model)
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": self._threads or available_cpus(),
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        try:
            return core().compile_model(graph, "CPU", settings).create_infer_request()
        except RuntimeError as error:
            raise EmbeddingError(f"the model {self._model.name!r} cannot be compiled: {error}") from error
