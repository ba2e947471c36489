"""Whether an embedder's service was not reached, whatever client of HTTP it is asked with."""

import socket
import urllib.request
from functools import partial
from types import ModuleType

import httpx
import pytest
import requests

from pipelines_persistence.adapters.embedding.custom import CustomEmbedder
from pipelines_persistence.errors import EmbedderUnavailable, EmbeddingError

CLIENTS = {
    "urllib": lambda url: urllib.request.urlopen(url, timeout=0.1).read(),
    "requests": lambda url: requests.post(url, json=["text"], timeout=0.1).json(),
    "httpx": lambda url: httpx.post(url, json=["text"], timeout=0.1).json(),
}


@pytest.fixture
def embedder(monkeypatch):
    """Return a function that makes an embedder of a function."""

    def make(function):
        module = ModuleType("an_embedder_of_ones_own")
        module.embed = lambda _texts: function()
        module.embed.dimension = 2
        monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
        return CustomEmbedder(f"{module.__name__}:embed")

    return make


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("listens", [False, True])
def test_a_service_that_is_down_or_silent_is_no_fault_of_the_text(embedder, client, listens):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if listens:
            taken.listen()
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(EmbedderUnavailable, match="try again later"):
            embedder(partial(CLIENTS[client], url)).embed_documents(["text"])


def refused():
    raise ValueError("this text is too long") from KeyError("limit")


def fail(error):
    raise error


def mended():
    try:
        fail(TimeoutError())
    except TimeoutError:
        raise ValueError("no such model") from None


def while_handling():
    try:
        fail(ConnectionError())
    except ConnectionError:
        raise ValueError("no such model")  # noqa: B904 - without `from`, as people write it


@pytest.mark.parametrize("function", [refused, while_handling, mended])
def test_what_a_service_says_of_a_text_is_final(embedder, function):
    with pytest.raises(EmbeddingError):
        embedder(function).embed_documents(["text"])
