"""Adapts an embedder of the user's own, named by its import path `module:attribute`.

The attribute may be

- a function `texts -> vectors`, the texts as a list of strings, the vectors as anything that NumPy reads as
  an array of shape (len(texts), dimension);
- an object with `embed_documents`, `embed` or `encode`, each such a function; or
- a class or function without required arguments that returns one of these; called by the first use.

Whatever else of the `Embedder` port it has is used: `dimension`, `max_tokens`, `special_tokens`, `tokenizer`
(with `count`), `embed_query`, `fingerprint` or `version`. Raise the version whenever the vectors change: only
then does the index notice. Vectors are kept as they come, not normalized. Threads and deadlines are the embedder's
affair. One that is a service may raise `TimeoutError`, `ConnectionError`, what a client of HTTP makes of them, or our
`TransientError` (with `retry_after`): the call is then repeated, as `resilience.embedder` in the configuration says. Any
other error is final.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from pipelines_persistence.adapters.embedding.hashing import HashTokenizer
from pipelines_persistence.adapters.embedding.models import find_model
from pipelines_persistence.adapters.embedding.tokenization import HuggingFaceTokenizer
from pipelines_persistence.configuration import DEFAULT_MODEL
from pipelines_persistence.errors import (
    ConfigurationError,
    EmbedderUnavailable,
    EmbeddingError,
    PipelinesError,
)
from pipelines_persistence.importing import import_attribute
from pipelines_persistence.ingestion.vectors import verified
from pipelines_persistence.ports import Tokenizer
from pipelines_persistence.resilience import Guard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipelines_persistence.records import Matrix

_METHODS = ("embed_documents", "embed", "encode")
_MAX_TOKENS = 256
_AWAY = frozenset(
    {
        "http.client.IncompleteRead",
        "httpx.TimeoutException",
        "httpx.NetworkError",
        "httpx.RemoteProtocolError",
    }
)
"""Errors of clients that hide the system's, by name: nobody has to have the client installed."""
_Function = Callable[[list[str]], object]


class CustomEmbedder:
    """The `Embedder` port over what an import path names."""

    def __init__(self, import_path: str, guard: Guard | None = None) -> None:
        """Import the attribute; a class or factory is called by the first use.

        Args:
            import_path: `module:attribute`.
            guard: each call that embeds goes through it.

        Raises:
            ConfigurationError: the module or the attribute cannot be imported, or is no embedder.
        """
        self._path = import_path
        self._guard = guard
        self._attribute = import_attribute(import_path, "embedding.backend")
        if not (_has_method(self._attribute) or callable(self._attribute)):
            raise self._wrong(f"is no embedder: it has none of {', '.join(_METHODS)} and cannot be called")

    @cached_property
    def fingerprint(self) -> str:
        """The import path and the embedder's own `fingerprint` or `version`."""
        version = self._own("fingerprint") or self._own("version")
        return f"custom {self._path}" + (f" {version}" if version else "")

    @cached_property
    def dimension(self) -> int:
        """Components of a vector; found by embedding a word where the embedder does not say."""
        if dimension := self._own("dimension"):
            return int(dimension)
        import numpy as np

        shape = np.asarray(self._call(self._embed, ["dimension"])).shape
        if len(shape) != 2 or shape[0] != 1 or shape[1] == 0:
            raise EmbeddingError(f"{self._path} returned shape {shape} for one text, expected (1, dimension)")
        return int(shape[1])

    @cached_property
    def max_tokens(self) -> int:
        """The embedder's own, or 256."""
        return int(self._own("max_tokens") or _MAX_TOKENS)

    @cached_property
    def special_tokens(self) -> int:
        """The embedder's own, or what its tokenizer adds."""
        own = self._own("special_tokens")
        return int(getattr(self.tokenizer, "special_tokens", 0) if own is None else own)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The embedder's own; else the default model's if that is installed; else a rule of thumb."""
        own: Any = getattr(self._target, "tokenizer", None)
        if hasattr(own, "count"):
            return cast("Tokenizer", own)
        default = find_model(DEFAULT_MODEL)
        return HuggingFaceTokenizer(default.tokenizer) if default else HashTokenizer()

    def embed_documents(self, texts: Sequence[str]) -> "Matrix":
        """Return what the embedder returns, as float32 of shape (len(texts), dimension).

        Raises:
            EmbeddingError: the embedder raises, or returns something else.
            EmbedderUnavailable: it says that it does not answer just now.
            CircuitOpen: it failed too often a moment ago.
        """
        if not texts:
            return verified([], 0, self.dimension)
        return verified(self._call(self._embed, list(texts)), len(texts), self.dimension)

    def embed_query(self, text: str) -> "NDArray[np.float32]":
        """Return shape (dimension,), float32, by the embedder's `embed_query` where it has one."""
        own = getattr(self._target, "embed_query", None)
        vectors = [self._call(own, text)] if own else self.embed_documents([text])
        vector: NDArray[np.float32] = verified(vectors, 1, self.dimension)[0]
        return vector

    @cached_property
    def _target(self) -> Any:  # noqa: ANN401 - the user's own
        if _has_method(self._attribute) or not _is_factory(self._attribute):
            return self._attribute
        try:
            made = self._attribute()
        except (Exception, SystemExit) as error:
            raise self._wrong(f"cannot be made: {type(error).__name__}: {error}") from error
        if not (_has_method(made) or callable(made)):
            raise self._wrong(f"made a {type(made).__name__}, which is no embedder")
        return made

    @cached_property
    def _embed(self) -> _Function:
        methods = (getattr(self._target, name, None) for name in _METHODS)
        return cast("_Function", next((method for method in methods if callable(method)), self._target))

    def _own(self, name: str) -> Any:  # noqa: ANN401 - the user's own
        value = getattr(self._target, name, None)
        return value() if callable(value) else value

    def _call(self, function: Callable[[Any], object], argument: object) -> object:
        if self._guard is None:
            return self._explained(function, argument)
        return self._guard.call(lambda: self._explained(function, argument))

    def _explained(self, function: Callable[[Any], object], argument: object) -> object:
        try:
            return function(argument)
        except PipelinesError:
            raise
        except (Exception, SystemExit) as error:
            if _is_away(error):
                raise EmbedderUnavailable(
                    f"{self._path} does not answer: {type(error).__name__}: {error}; try again later"
                ) from error
            raise EmbeddingError(f"{self._path} failed: {type(error).__name__}: {error}") from error

    def _wrong(self, problem: str) -> ConfigurationError:
        return ConfigurationError(f"embedding.backend {self._path!r} {problem}")


def _has_method(candidate: object) -> bool:
    # A class has the functions too, but nothing to call them on.
    return not inspect.isclass(candidate) and any(
        callable(getattr(candidate, name, None)) for name in _METHODS
    )


def _is_away(error: BaseException | None) -> bool:
    """Tell whether a service was not reached; clients of HTTP have errors of their own for that, over the system's."""
    for _ in range(10):  # as far as anybody nests them
        if error is None or isinstance(error, TimeoutError | ConnectionError):
            return error is not None
        if any(f"{kind.__module__}.{kind.__name__}" in _AWAY for kind in type(error).__mro__):
            return True
        reason = getattr(error, "reason", None)  # of urllib
        implied = error.__context__ if isinstance(error, OSError) else None  # requests raises without `from`
        error = reason if isinstance(reason, BaseException) else error.__cause__ or implied
    return False


def _is_factory(candidate: Callable[..., object]) -> bool:
    if inspect.isclass(candidate):
        return True
    try:
        parameters = inspect.signature(candidate).parameters.values()
    except ValueError:  # built in
        return False
    return not any(
        parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        for parameter in parameters
    )
