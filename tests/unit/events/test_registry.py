"""Typed events: names, versions, upcasters, and what passes through."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from pipelines_persistence.errors import ConfigurationError, EventRefused, EventTooNew
from pipelines_persistence.events import Cursor, EventRegistry, Moment, StoredEvent, UnknownEvent

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

shop = EventRegistry()


@shop.event("OrderPlaced", version=3)
class Order(msgspec.Struct, frozen=True):
    amount: Decimal
    currency: str
    lines: dict[int, str]
    placed: Moment | None = None


@shop.upcaster("OrderPlaced", from_version=1)
def split_the_price(data: dict[str, Any]) -> dict[str, Any]:
    amount, currency = data.pop("price").split()
    return data | {"amount": amount, "currency": currency}


@shop.upcaster("OrderPlaced", from_version=2)
def number_the_lines(data: dict[str, Any]) -> dict[str, Any]:
    lines = {str(number): line for number, line in enumerate(data.pop("items"), 1)}
    return data | {"lines": lines}


def stored(data, type_="OrderPlaced", schema_version=3):
    return StoredEvent(
        stream="order-7",
        version=4,
        cursor=Cursor(1, 0, 9),
        recorded_at=NOON,
        id=str(uuid4()),
        type=type_,
        data=data,
        schema_version=schema_version,
        occurred_at=NOON,
        correlation_id=None,
        causation_id=None,
        actor=None,
    )


def struct(**options):
    return msgspec.defstruct("Thing", [("name", str)], **{"frozen": True, **options})


ORDER = Order(Decimal("10.50"), "EUR", {1: "tea", 2: "cups"})


# Versions


@pytest.mark.parametrize(
    ("schema_version", "data"),
    [
        (1, b'{"price": "10.50 EUR", "items": ["tea", "cups"]}'),
        (2, b'{"amount": "10.50", "currency": "EUR", "items": ["tea", "cups"]}'),
        (3, b'{"amount": "10.50", "currency": "EUR", "lines": {"1": "tea", "2": "cups"}}'),
    ],
)
def test_data_of_every_version_becomes_the_event_of_today(schema_version, data):
    order = shop.decode(stored(data, schema_version=schema_version))
    assert order == ORDER
    assert str(order.amount) == "10.50"


def test_numbers_stay_exact_on_the_way_through_an_upcaster():
    registry = EventRegistry()

    @registry.event("Measured", version=2)
    class Measured(msgspec.Struct, frozen=True):
        exact: Decimal
        rough: float
        anything: Any

    seen = []

    @registry.upcaster("Measured", from_version=1)
    def keep(data):
        seen.append(data)
        return data

    data = b'{"exact": 0.12345678901234567890123, "rough": 1.5, "anything": [0.1, 123456789012345678901234567890]}'
    measured = registry.decode(stored(data, "Measured", 1))
    assert measured == Measured(
        Decimal("0.12345678901234567890123"), 1.5, [0.1, 123456789012345678901234567890]
    )
    assert [type(number) for number in measured.anything] == [float, int]
    assert type(seen[0]["rough"]) is float


def test_a_version_that_is_newer_than_this_process_asks_for_an_upgrade():
    with pytest.raises(EventTooNew, match="upgrade this process") as caught:
        shop.decode(stored(b"{}", schema_version=4))
    error = caught.value
    assert (error.stream, error.version, error.type, error.schema_version, error.known) == (
        "order-7",
        4,
        "OrderPlaced",
        4,
        3,
    )


@pytest.mark.parametrize("given", [{}, {1}, {2}])
def test_a_missing_link_is_refused_when_the_registry_is_first_used(given):
    registry = EventRegistry()
    thing = registry.event("Thing", version=3)(struct())
    for version in given:
        registry.upcaster("Thing", from_version=version)(dict)
    missing = min({1, 2} - set(given))
    for use in (registry.check, lambda: registry.encode(thing("a")), lambda: registry.decode(stored(b"{}"))):
        with pytest.raises(
            ConfigurationError, match=f"'Thing' has no upcaster from schema version {missing}"
        ):
            use()


def test_an_upcaster_that_leads_nowhere_is_refused():
    registry = EventRegistry()
    registry.upcaster("Thing", from_version=1)(dict)
    with pytest.raises(ConfigurationError, match="is not registered"):
        registry.check()
    registry.event("Thing")(struct())
    with pytest.raises(ConfigurationError, match="is at schema version 1"):
        registry.check()


def test_what_is_registered_after_the_first_use_is_checked_again():
    registry = EventRegistry()
    registry.check()
    registry.event("Thing", version=2)(struct())
    with pytest.raises(ConfigurationError):
        registry.decode(stored(b"{}", "Thing"))


def test_two_upcasters_from_one_version_are_refused():
    registry = EventRegistry()
    registry.upcaster("Thing", from_version=1)(dict)
    with pytest.raises(ConfigurationError, match="two upcasters"):
        registry.upcaster("Thing", from_version=1)(dict)


# Registration


def test_a_name_that_is_taken_is_refused():
    registry = EventRegistry()
    registry.event("Thing")(struct())
    with pytest.raises(ConfigurationError, match="'Thing' is taken"):
        registry.event("Thing", version=2)(struct())


@pytest.mark.parametrize("kind", [struct(frozen=False), struct(array_like=True), date])
def test_a_class_that_is_no_frozen_struct_is_refused(kind):
    with pytest.raises(ConfigurationError, match="Thing"):
        EventRegistry().event("Thing")(kind)


@pytest.mark.parametrize(("name", "version"), [("$Thing", 1), ("", 1), ("a\0", 1), ("Thing", 0)])
def test_a_name_or_version_that_no_log_could_keep_is_refused(name, version):
    with pytest.raises(ConfigurationError):
        EventRegistry().event(name, version)(struct())


def test_one_class_has_one_name():
    registry, thing = EventRegistry(), struct()
    registry.event("Thing")(thing)
    with pytest.raises(ConfigurationError, match="second name"):
        registry.event("Other")(thing)


class Leaf(msgspec.Struct, frozen=True):
    at: datetime
    next: "Leaf | None" = None


@pytest.mark.parametrize("kind", [datetime, datetime | None, list[Leaf], dict[str, tuple[int, Leaf]]])
def test_a_field_that_takes_naive_datetimes_is_refused_however_deep_it_is(kind):
    thing = msgspec.defstruct("Thing", [("when", kind)], frozen=True)
    with pytest.raises(ConfigurationError, match=r"when.*use events\.Moment"):
        EventRegistry().event("Thing")(thing)


# Use


def test_an_event_is_encoded_with_its_name_version_and_metadata_and_comes_back():
    event_id, cause = str(uuid4()), str(uuid4())
    placed = datetime(2026, 1, 1, 13, 30, tzinfo=timezone(timedelta(hours=1, minutes=30)))
    order = msgspec.structs.replace(ORDER, placed=placed)
    new = shop.encode(
        order, id=event_id, occurred_at=NOON, correlation_id="run 7", causation_id=cause, actor="Zoë"
    )
    assert (new.type, new.schema_version) == ("OrderPlaced", 3)
    assert (new.id, new.occurred_at, new.correlation_id, new.causation_id, new.actor) == (
        event_id,
        NOON,
        "run 7",
        cause,
        "Zoë",
    )
    assert shop.decode(stored(new.data)) == order


def test_metadata_that_is_not_given_is_made():
    before = datetime.now(UTC)
    first, second = shop.encode(ORDER), shop.encode(ORDER)
    assert first.id != second.id
    assert before <= first.occurred_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": "ten"},
        {"currency": 7},
        {"amount": Decimal("NaN")},
        {"placed": datetime(2026, 1, 1)},  # noqa: DTZ001 - naive on purpose
    ],
)
def test_what_could_not_be_read_back_is_refused_before_it_is_written(wrong):
    with pytest.raises(EventRefused):
        shop.encode(msgspec.structs.replace(ORDER, **wrong))


def test_an_event_of_no_registered_type_is_refused():
    with pytest.raises(EventRefused, match=r"@registry\.event"):
        shop.encode(struct()("a"))


def test_an_unknown_type_passes_through_whole():
    data = b'{ "any": 1.10 }'
    assert shop.decode(stored(data, "Foreign", 9)) == UnknownEvent("Foreign", 9, data)


@pytest.mark.parametrize(
    ("data", "schema_version", "field"),
    [
        (b'{"amount": "ten", "currency": "EUR", "lines": {}}', 3, r"\$\.amount"),
        (b'{"currency": "EUR", "lines": {}}', 3, "`amount`"),
        (
            b'{"amount": "1", "currency": "EUR", "lines": {}, "placed": "2026-01-01T12:00:00"}',
            3,
            r"\$\.placed",
        ),
        (b'{"amount": "1", "currency": 7, "items": []}', 2, r"\$\.currency"),
        (b'{"amount": "1", "currency": "EUR"}', 2, "upcaster from 2 failed with KeyError: 'items'"),
        (b'"text"', 1, "Expected `object`"),
        (b"[]", 3, "Expected `object`"),
    ],
)
def test_data_that_does_not_fit_its_type_names_stream_version_type_and_field(data, schema_version, field):
    with pytest.raises(EventRefused, match=field) as caught:
        shop.decode(stored(data, schema_version=schema_version))
    for part in ("version 4", "'order-7'", "'OrderPlaced'", f"version {schema_version}"):
        assert part in str(caught.value)


def test_the_versions_are_listed_by_name():
    assert shop.versions == {"OrderPlaced": 3}
