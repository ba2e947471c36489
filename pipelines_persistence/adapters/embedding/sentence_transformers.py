"""The embedder for any sentence-transformers model, and for GPUs; needs the extra of that name."""

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal

from pipelines_persistence.adapters.embedding.models import ModelFolder, file_sha256, find_model
from pipelines_persistence.adapters.embedding.tokenization import HuggingFaceTokenizer, well_formed
from pipelines_persistence.adapters.embedding.vectors import normalized, require_within
from pipelines_persistence.errors import ConfigurationError, EmbeddingError
from pipelines_persistence.ingestion.vectors import verified

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipelines_persistence.records import Matrix

_VERSION = 1  # of what stands here: raise it when the same text may give another vector
_WEIGHTS = ("**/*.safetensors", "**/pytorch_model*.bin")


class SentenceTransformersEmbedder:
    """The `Embedder` port over sentence-transformers, on a GPU where there is one.

    A model that is not on this machine yet is downloaded by the first use of any property.
    """

    def __init__(self, model: str, precision: Literal["auto", "fp32", "bf16"] = "auto") -> None:
        """Look for the library; the model is loaded by the first `embed_*`.

        Args:
            model: the bundled model's name, a local folder or an id on the Hugging Face hub.
            precision: "auto" is fp32 on every device, so that an index can be read and written by
                machines with and without a GPU.

        Raises:
            ConfigurationError: the library is not installed.
        """
        if find_spec("sentence_transformers") is None:
            raise ConfigurationError(
                "embedding.backend 'sentence-transformers' is not installed: "
                "pip install 'pipelines-persistence[sentence-transformers]'"
            )
        self._name = model
        self._is_bf16 = precision == "bf16"
        self._lock = RLock()

    @cached_property
    def fingerprint(self) -> str:
        """Weights, tokenizer and settings by content: a copy of a model elsewhere has the same."""
        folder = self._folder
        return (
            f"sentence-transformers-{_VERSION} weights={_weights(folder)}"
            f" tokenizer={file_sha256(folder.tokenizer)[:16]}"
            f" steps={'+'.join(folder.modules)} pooling={folder.pooling} prompts={dict(folder.prompts)}"
            f" max_tokens={self.max_tokens} precision={'bf16' if self._is_bf16 else 'fp32'}"
        )

    @cached_property
    def dimension(self) -> int:
        """Components of a vector; a model with steps after the pooling is loaded to learn it."""
        if set(self._folder.modules) <= {"Transformer", "Pooling", "Normalize"}:
            return self._folder.dimension * len(self._folder.pooling.split("+"))
        return int(self._encoder.get_embedding_dimension())

    @property
    def max_tokens(self) -> int:
        """The model's limit for one text, special tokens included."""
        return self._folder.max_tokens

    @property
    def special_tokens(self) -> int:
        """What the model adds to every text; its prompt for documents counts too."""
        prompt = self._folder.prompts.get("document", "")
        return self.tokenizer.special_tokens + (self.tokenizer.count([prompt])[0] if prompt else 0)

    @cached_property
    def tokenizer(self) -> HuggingFaceTokenizer:
        """The model's own."""
        return HuggingFaceTokenizer(self._folder.tokenizer)

    def embed_documents(self, texts: Sequence[str]) -> "Matrix":
        """Return unit vectors, shape (len(texts), dimension), float32, in the order of `texts`.

        Raises:
            EmbeddingError: a text is longer than `max_tokens`, or the model fails.
        """
        counts = self.tokenizer.count(texts)
        require_within(self.max_tokens, [count + self.special_tokens for count in counts])
        return self._embed(texts, "encode_document")

    def embed_query(self, text: str) -> "NDArray[np.float32]":
        """Return a unit vector, shape (dimension,), float32; a longer text is cut at `max_tokens`."""
        vector: NDArray[np.float32] = self._embed([text], "encode_query")[0]
        return vector

    def _embed(self, texts: Sequence[str], method: str) -> "Matrix":
        if not texts:
            return verified([], 0, self.dimension)
        with self._lock:  # tokenizers and devices are not safe to share
            encode = getattr(self._encoder, method)
            try:
                vectors = encode(
                    list(map(well_formed, texts)), convert_to_tensor=True, show_progress_bar=False
                )
            except RuntimeError as error:
                raise EmbeddingError(f"the model {self._name!r} fails: {error}") from error
        return normalized(verified(vectors.float().cpu(), len(texts), self.dimension))

    @cached_property
    def _folder(self) -> ModelFolder:
        folder = find_model(self._name)
        if folder is None:
            _ = self._encoder  # downloads it
            folder = find_model(self._name)
        if folder is None:
            raise ConfigurationError(
                f"the model {self._name!r} was loaded but is not in the Hugging Face cache"
            )
        if not folder.tokenizer.is_file():
            raise ConfigurationError(
                f"the model {self._name!r} has no tokenizer.json: tokens cannot be counted"
            )
        return folder

    @cached_property
    def _encoder(self) -> Any:  # noqa: ANN401 - sentence-transformers is typed loosely
        with self._lock:
            return _load(self._name, is_bf16=self._is_bf16)


def _load(name: str, *, is_bf16: bool) -> Any:  # noqa: ANN401 - sentence-transformers is typed loosely
    import sentence_transformers
    from transformers.utils import logging

    folder = find_model(name)
    if folder:
        folder.verify()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        encoder = sentence_transformers.SentenceTransformer(
            str(folder.path) if folder else name,
            local_files_only=folder is not None,
            model_kwargs={"dtype": "bfloat16"} if is_bf16 else {"dtype": "float32"},
        )
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise ConfigurationError(f"the model {name!r} cannot be loaded: {error}") from error
    if folder:
        encoder.max_seq_length = folder.max_tokens
    return encoder


def _weights(folder: ModelFolder) -> str:
    if folder.trusted_sha256:
        return folder.trusted_sha256[:16]
    files = next((found for pattern in _WEIGHTS if (found := _files(folder.path, pattern))), [])
    if not files:
        raise ConfigurationError(f"{folder.path} holds no weights: model.safetensors is missing")
    return "+".join(file_sha256(file)[:16] for file in files)


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(file for file in folder.glob(pattern) if file.is_file())
