import numpy as np
import pytest

from pipelines_persistence.adapters.embedding import create_embedder
from pipelines_persistence.configuration import EmbeddingConfig
from pipelines_persistence.errors import ConfigurationError, EmbeddingError

MODULE = """
import numpy as np
calls = []

def function(texts):
    return [[len(text) + 1.0, 1.0, 0.5] for text in texts]

class Embeds:
    def __init__(self):
        calls.append("made")
    def embed(self, texts):
        return np.array(function(texts))

class Encodes:
    fingerprint = "weights-3"
    def encode(self, texts):
        return np.array(function(texts), dtype=np.float64)

class Whole:
    dimension = 3
    max_tokens = 64
    special_tokens = 5
    class tokenizer:
        @staticmethod
        def count(texts):
            return [len(text) for text in texts]
    def version(self):
        return 2
    def embed_documents(self, texts):
        return function(texts)
    def embed_query(self, text):
        return [9.0, 9.0, 9.0]

def factory():
    return Embeds()

def factory_of_a_function():
    return function

class Nested:
    instance = Encodes()

class NeedsArguments:
    def __init__(self, url):
        pass

def wrong_count(texts):
    return [[1.0, 2.0]]

def not_a_number(texts):
    return [[float("nan"), 1.0] if text == "bad" else [1.0, 1.0] for text in texts]

def raises(texts):
    raise OSError("no route to host")

number = 7
nothing = factory_of_nothing = lambda: None
"""


@pytest.fixture
def custom(tmp_path, monkeypatch, request):
    """Makes embedders out of a module that stands in the working directory, a fresh one for each test."""
    name = f"mine_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda attribute: create_embedder(EmbeddingConfig(backend=f"{name}:{attribute}"))


@pytest.mark.parametrize(
    "attribute",
    ["function", "Embeds", "Encodes", "Whole", "factory", "factory_of_a_function", "Nested.instance"],
)
def test_functions_objects_classes_and_factories_are_embedders(custom, attribute):
    vectors = custom(attribute).embed_documents(["a", "bb"])

    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[2, 1, 0.5], [3, 1, 0.5]]


def test_what_an_embedder_does_not_say_is_found_out_or_has_a_default(custom):
    embedder = custom("Embeds")

    assert (embedder.dimension, embedder.max_tokens, embedder.special_tokens) == (3, 256, 2)
    assert embedder.tokenizer.count(["two words"]) == [2]
    assert embedder.embed_query("a").tolist() == [2, 1, 0.5]


def test_what_an_embedder_says_is_used(custom):
    embedder = custom("Whole")

    assert (embedder.dimension, embedder.max_tokens, embedder.special_tokens) == (3, 64, 5)
    assert embedder.tokenizer.count(["four"]) == [4]
    assert embedder.embed_query("a").tolist() == [9, 9, 9]


def test_the_fingerprint_is_the_import_path_and_the_version(custom):
    assert custom("Embeds").fingerprint.endswith(":Embeds")
    assert custom("Whole").fingerprint.endswith(":Whole 2")
    assert custom("Encodes").fingerprint.endswith(":Encodes weights-3")


def test_a_class_is_made_once_and_not_before_it_is_used(custom):
    embedder = custom("Embeds")
    calls = embedder._attribute.__init__.__globals__["calls"]
    assert calls == []

    embedder.embed_documents(["a"])
    embedder.embed_query("b")

    assert calls == ["made"]


def test_a_missing_module_is_named():
    with pytest.raises(ConfigurationError, match=r"'no_such_module:thing': no module 'no_such_module'"):
        create_embedder(EmbeddingConfig(backend="no_such_module:thing"))


def test_a_missing_attribute_is_named(custom):
    with pytest.raises(ConfigurationError, match="has no attribute 'absent'"):
        custom("absent")


def test_a_module_that_fails_to_import_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(
        ConfigurationError, match="importing 'broken_module' failed: RuntimeError: no licence"
    ):
        create_embedder(EmbeddingConfig(backend="broken_module:thing"))


def test_what_cannot_embed_is_refused(custom):
    with pytest.raises(ConfigurationError, match="is no embedder"):
        custom("number")
    with pytest.raises(ConfigurationError, match="made a NoneType, which is no embedder"):
        custom("nothing").embed_documents(["a"])
    with pytest.raises(ConfigurationError, match="cannot be made: TypeError"):
        custom("NeedsArguments").embed_documents(["a"])


def test_a_failure_of_the_embedder_is_an_embedding_error_with_its_cause(custom):
    with pytest.raises(EmbeddingError, match="failed: OSError: no route to host") as caught:
        custom("raises").embed_documents(["a"])

    assert isinstance(caught.value.__cause__, OSError)


def test_a_result_that_is_no_vector_for_each_text_is_refused(custom):
    with pytest.raises(EmbeddingError, match=r"shape \(1, 2\), expected \(3, 2\)"):
        custom("wrong_count").embed_documents(["a", "b", "c"])
    with pytest.raises(EmbeddingError, match="row 1 has a component that is not finite"):
        custom("not_a_number").embed_documents(["good", "bad"])
