"""What every `VectorStore` keeps of payloads."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.points import SPEC, batch, identifier

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    SCALARS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def typed(value: object) -> object:
    """Tell 1 from 1.0 and True, which are equal in Python; of floats, stores keep 15 digits."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return (type(value), pytest.approx(value, rel=1e-15, abs=1e-300) if isinstance(value, float) else value)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payloads=st.lists(st.dictionaries(TEXT, JSON, max_size=5), min_size=1, max_size=5))
def test_any_payload_is_read_back_with_its_types(store, payloads):
    store.create("docs", SPEC)
    with store.session("docs"):
        store.upsert("docs", batch(range(len(payloads)), lambda number: payloads[number]))
        found = store.retrieve("docs", [identifier(number) for number in range(len(payloads))])
    by_id = {point.id: point.payload for point in found}
    assert [typed(by_id[identifier(number)]) for number in range(len(payloads))] == typed(payloads)
