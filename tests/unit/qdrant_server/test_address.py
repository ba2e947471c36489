"""Which endpoint a URL stands for."""

import pytest

from pipelines_persistence.adapters.qdrant_server import QdrantServerStore
from pipelines_persistence.adapters.qdrant_server.address import parse_address
from pipelines_persistence.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost", "http://localhost:6334"),
        ("http://localhost:6333", "http://localhost:6334"),
        ("http://localhost:6333/", "http://localhost:6334"),
        ("http://localhost:16334", "http://localhost:16334"),
        ("https://abc.cloud.qdrant.io:6333", "https://abc.cloud.qdrant.io:6334"),
        ("https://qdrant.example.com:443", "https://qdrant.example.com:443"),
        ("http://user:secret@db:6333", "http://db:6334"),
        ("http://[::1]:6333", "http://[::1]:6334"),
    ],
)
def test_the_port_of_rest_stands_for_the_one_of_grpc_and_nothing_secret_is_shown(url, expected):
    address = parse_address(url, 6334)
    assert str(address) == expected
    assert address.is_encrypted == expected.startswith("https")


@pytest.mark.parametrize(
    "url", ["", "localhost:6333", "ftp://secret@db", "http://", "http://:6333", "http://db:port"]
)
def test_what_is_no_url_is_refused_and_not_repeated(url):
    with pytest.raises(ConfigurationError, match=r"PIPELINES_QDRANT_URL.*localhost:6333") as refused:
        parse_address(url, 6334)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("key", ["secret\n", "sécret", "sec\x00ret"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(key):
    with pytest.raises(ConfigurationError, match="PIPELINES_QDRANT_API_KEY") as refused:
        QdrantServerStore("http://localhost", key)
    assert "ret" not in str(refused.value)
