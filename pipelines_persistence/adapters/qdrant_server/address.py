"""Where the server is, from its URL."""

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from pipelines_persistence.errors import ConfigurationError

REST_PORT = 6333
"""What the URLs of Qdrant usually name. It does not speak gRPC."""


@dataclass(frozen=True, slots=True)
class Address:
    """A gRPC endpoint; as text it is fit for messages."""

    host: str
    port: int
    is_encrypted: bool

    @property
    def target(self) -> str:
        """As gRPC wants it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """Return it as a URL."""
        return f"{'https' if self.is_encrypted else 'http'}://{self.target}"


def parse_address(url: str, grpc_port: int) -> Address:
    """Return the endpoint that a URL stands for.

    Args:
        url: `http://HOST` or `https://HOST`. A port other than 6333, that of REST, is taken for the one of gRPC.
        grpc_port: where the URL names none, or 6333.

    Raises:
        ConfigurationError: the URL is none, or says more than where the server is; it is not repeated, for it may hold a
            password.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise _refused("it is malformed") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise _refused(_problem(parts))
    if "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise _refused(
            "it has more than a host and a port, of which nothing would be used; set PIPELINES_QDRANT_API_KEY to "
            "what the server wants to see"
        )
    grpc = grpc_port if port in {None, REST_PORT} else port
    return Address(parts.hostname, grpc or grpc_port, is_encrypted=parts.scheme == "https")


def _problem(parts: SplitResult) -> str:
    return (
        "it names no host"
        if parts.scheme in {"http", "https"}
        else "it begins with neither http:// nor https://"
    )


def _refused(problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"PIPELINES_QDRANT_URL: {problem}: write it like http://localhost:6333 or https://qdrant.example.com:6333"
    )
