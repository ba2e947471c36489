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
        ("http://[::1]:6333", "http://[::1]:6334"),
    ],
)
def test_the_port_of_rest_stands_for_the_one_of_grpc_and_nothing_secret_is_shown(url, expected):
    address = parse_address(url, 6334)
    assert str(address) == expected
    assert address.is_encrypted == expected.startswith("https")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6333",
        "ftp://secret@db",
        "http://",
        "http://:6333",
        "http://db:port",
        "http://user:secret@db:6333",
        "http://:secret@db",
        "https://db:6333/prefix",
        "http://db?api_key=secret",
        "http://db/#secret",
    ],
)
def test_what_is_no_url_is_refused_and_not_repeated(url):
    with pytest.raises(ConfigurationError, match=r"PIPELINES_QDRANT_URL.*localhost:6333") as refused:
        parse_address(url, 6334)
    assert "secret" not in str(refused.value)
    assert ("PIPELINES_QDRANT_API_KEY" in str(refused.value)) == ("more than a host" in str(refused.value))


@pytest.mark.parametrize(
    "url", ["http://user:secret@db", "http://db?api_key=secret", "http://db:7334/prefix"]
)
def test_what_a_url_says_beyond_host_and_port_would_do_nothing_and_is_refused(url):
    with pytest.raises(ConfigurationError, match="PIPELINES_QDRANT_API_KEY"):
        parse_address(url, 6334)


@pytest.mark.parametrize("key", ["secret\n", "sécret", "sec\x00ret"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(key):
    with pytest.raises(ConfigurationError, match="PIPELINES_QDRANT_API_KEY") as refused:
        QdrantServerStore("http://localhost", key)
    assert "ret" not in str(refused.value)
