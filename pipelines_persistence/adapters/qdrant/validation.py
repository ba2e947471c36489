"""What the engine would accept and should not: checked before anything is written.

Found on 0.9.0: a NaN is stored; a vector of the wrong length is refused after the points before it were written; a sparse
vector with more indices than values is a panic that breaks the shard; an index may come twice;
very long vectors become zero and very short ones are not normalized; bytes become lists of integers and integers
beyond 64 bits floats; and a payload nested deeper than about 120 levels makes the whole collection unreadable.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from pipelines_persistence.errors import StoreError
from pipelines_persistence.records import CollectionSpec, Distance, Payload, Points, SparseVector

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_DEPTH = 32
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SAFE_NORMS = (1e-3, 1e15)
_INDICES = 2**32
_MAX_WEIGHT = 3.4e38


def checked_ids(ids: Iterable[str]) -> list[str]:
    """Return the ids, each a UUID in canonical form.

    Raises:
        StoreError: names the row and the id.
    """
    checked = [str(identifier) for identifier in ids]
    for row, identifier in enumerate(checked):
        if not _UUID.fullmatch(identifier):
            raise StoreError(
                f"row {row}: the id {identifier!r} is no UUID in canonical form (8-4-4-4-12, lower case)"
            )
    return checked


def checked_points(points: Points, spec: CollectionSpec) -> Points:
    """Return the batch as it can be written.

    Raises:
        StoreError: names the row and the id of the first point that cannot be.
    """
    ids = checked_ids(points.ids)
    if not len(ids) == len(points.vectors) == len(points.payloads):
        raise StoreError(
            f"{len(ids)} ids, {len(points.vectors)} vectors and {len(points.payloads)} payloads: give as many of each"
        )
    vectors = checked_vectors(points.vectors, spec, lambda row: f"row {row} (point {ids[row]})")
    payloads = [
        checked_payload(points.payloads[row], f"row {row} (point {ids[row]})") for row in range(len(ids))
    ]
    return Points(ids, vectors, payloads, _checked_sparse(points, ids, spec))


def _checked_sparse(points: Points, ids: Sequence[str], spec: CollectionSpec) -> list[SparseVector] | None:
    if (points.sparse is not None) != spec.sparse:
        has, needs = ("no", "a") if spec.sparse else ("a", "no")
        raise StoreError(
            f"the points have {has} sparse vector and the collection has {needs}: write as it is made"
        )
    if points.sparse is None:
        return None
    if len(points.sparse) != len(ids):
        raise StoreError(f"{len(ids)} ids and {len(points.sparse)} sparse vectors: give as many of each")
    return [
        checked_sparse(vector, f"row {row} (point {ids[row]})") for row, vector in enumerate(points.sparse)
    ]


def checked_sparse(vector: SparseVector, name: str) -> SparseVector:
    """Return a sparse vector that the engine takes as it is meant.

    Raises:
        StoreError: it has not as many indices as values, an index that is none or comes twice, or a value that is not finite.
    """
    indices, values = [int(index) for index in vector.indices], [float(value) for value in vector.values]
    if len(indices) != len(values):
        raise StoreError(f"{name}: the sparse vector has {len(indices)} indices and {len(values)} values")
    if len(set(indices)) != len(indices) or not all(0 <= index < _INDICES for index in indices):
        raise StoreError(f"{name}: the indices of a sparse vector are distinct and unsigned, of 32 bits")
    if not all(abs(value) <= _MAX_WEIGHT for value in values):
        raise StoreError(f"{name}: the sparse vector has a weight that is no finite number of 32 bits")
    return SparseVector(indices, values)


def checked_query(vector: "NDArray[np.float32]", spec: CollectionSpec) -> list[float]:
    """Return a query vector of shape (dimension,) as the engine takes it.

    Raises:
        StoreError: it is no vector of this collection.
    """
    import numpy as np

    row = np.asarray(vector)[np.newaxis]
    components: list[float] = checked_vectors(row, spec, lambda _: "the query")[0].tolist()
    return components


def checked_vectors(
    vectors: "NDArray[np.float32]", spec: CollectionSpec, name: Callable[[int], str]
) -> "NDArray[np.float32]":
    """Return vectors of shape (n, dimension) that the engine compares rightly; `name` names a row in an error."""
    import numpy as np

    if vectors.dtype != np.float32:
        raise StoreError(f"the vectors are {vectors.dtype}: float32 is expected")
    if not len(vectors):
        return vectors
    if vectors.shape[1:] != (spec.dimension,):
        raise StoreError(f"{name(0)}: the vector has shape {vectors.shape[1:]}, not ({spec.dimension},)")
    finite: list[bool] = np.isfinite(vectors).min(axis=1).tolist()
    _require(finite, name, "has NaN or infinity in it")
    return _with_safe_norms(vectors, name) if spec.distance is Distance.COSINE else vectors


def _require(good: list[bool], name: Callable[[int], str], problem: str) -> None:
    if not all(good):
        raise StoreError(f"{name(good.index(False))}: the vector {problem}")


def _with_safe_norms(vectors: "NDArray[np.float32]", name: Callable[[int], str]) -> "NDArray[np.float32]":
    """Scale vectors whose length the engine cannot square in float32; cosine sees only the direction."""
    import numpy as np

    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    _require((norms[:, 0] > 0).tolist(), name, "is zero, which has no direction to compare by cosine")
    low, high = _SAFE_NORMS
    if norms.min() >= low and norms.max() <= high:
        return vectors
    scaled: NDArray[np.float32] = (vectors / norms).astype(np.float32)
    return scaled


def checked_payload(payload: Payload, name: str) -> Payload:
    """Return a payload of nothing but what the engine stores as it is.

    Raises:
        StoreError: names the point and the field.
    """
    checked: Payload = {}
    for key, value in payload.items():
        try:
            checked[_text(key)] = _plain(value, 1)
        except ValueError as error:
            raise StoreError(f"{name}: payload field {key!r}: {error}") from error
    return checked


def _plain(value: object, depth: int) -> Any:  # noqa: ANN401 - the engine's own type of payload values
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool | int | float):
        return _number(value)
    if depth >= MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {_text(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(item, depth + 1) for item in value]
    raise ValueError(
        f"{type(value).__name__} is no JSON value: give text (RFC 3339 for a time), number, truth, None, list or mapping"
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"the key {value!r} is no text")  # noqa: TRY004 - becomes a StoreError
    if not value.isascii():
        value.encode()  # a lone surrogate is a ValueError
    return value


def _number(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no JSON number")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{value} does not fit 64 bits with a sign: store it as text")
    return value


def written_bytes(points: Points) -> int:
    """Estimate what a batch takes on disk: once in the log and once in the storage, and its indexes."""
    weights = sum(len(vector.indices) for vector in points.sparse or ())
    dense = int(points.vectors.nbytes) + 64 * len(points.ids)
    return 3 * (dense + 16 * weights) + payload_bytes(points.payloads)


def payload_bytes(payloads: Sequence[Payload]) -> int:
    """Estimate what payloads take on disk."""
    return 3 * len(msgspec.json.encode(payloads))
