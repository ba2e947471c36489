"""How values become bytes: MessagePack for most, the bare numbers for vectors."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from pipelines_persistence.caching.ports import Codec
from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.records import Hit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


def encoded(codec: Codec[T], value: T) -> bytes:
    """Return the bytes of a value, after trying whether they can be read back: none other may be kept.

    Raises:
        ConfigurationError: they cannot: the value is not of the codec's kind.
    """
    try:
        data = codec.encode(value)
        codec.decode(data)
    except Exception as error:
        raise ConfigurationError(
            f"the codec {codec.name!r} cannot keep a {type(value).__name__} and read it back: {error}; "
            "give a value of the namespace's kind, or another codec to another namespace"
        ) from error
    return data


class Struct(Generic[T]):
    """MessagePack of a type that msgspec knows: dataclasses, mappings, lists, moments.

    Args:
        name: changes whenever the type does, or what it means.
        kind: the type that comes back.
    """

    def __init__(self, name: str, kind: Any) -> None:  # noqa: ANN401 - such as `list[Hit]`, which is no class
        self.name = name
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(kind)

    def encode(self, value: T) -> bytes:
        """See `Codec`."""
        return self._encoder.encode(value)

    def decode(self, data: bytes) -> T:
        """See `Codec`."""
        return self._decoder.decode(data)


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes as they are."""

    name: str = "raw"

    def encode(self, value: bytes) -> bytes:
        """See `Codec`."""
        return value

    def decode(self, data: bytes) -> bytes:
        """See `Codec`."""
        return data


@dataclass(frozen=True, slots=True)
class Vector:
    """Vectors of shape (dimension,), float32, 4 bytes a number in little-endian order; read-only when they come back."""

    dimension: int
    name: str = "f32"

    def encode(self, value: "NDArray[np.float32]") -> bytes:
        """See `Codec`; raises ValueError for an array of another shape."""
        if value.shape != (self.dimension,):
            raise ValueError(f"its shape is {value.shape}, not ({self.dimension},)")
        return value.astype("<f4", copy=False).tobytes()

    def decode(self, data: bytes) -> "NDArray[np.float32]":
        """See `Codec`; raises ValueError where the bytes are no vector of this dimension."""
        import numpy as np

        return np.frombuffer(data, dtype="<f4").reshape(self.dimension)


class Hits:
    """What a search found. The payloads are JSON, which msgspec takes for anything."""

    name = "hits1"

    def __init__(self) -> None:
        self._bare: Struct[list[tuple[str, float, dict[str, Any]]]] = Struct(
            self.name, list[tuple[str, float, dict[str, Any]]]
        )

    def encode(self, value: list[Hit]) -> bytes:
        """See `Codec`."""
        return self._bare.encode([(hit.id, hit.score, hit.payload) for hit in value])

    def decode(self, data: bytes) -> list[Hit]:
        """See `Codec`."""
        return [Hit(*bare) for bare in self._bare.decode(data)]


def json_values() -> Struct[Any]:
    """Return the codec of JSON-like values."""
    return Struct("json", Any)
