"""A row with a column of every kind, and strategies for rows, specifications and orders that look for trouble."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum

import msgspec
from hypothesis import strategies as st

from pipelines_persistence.repositories import Field, Table, everything, field, nothing


class Mood(StrEnum):
    GOOD = "good"
    BAD = "bad"


class Thing(msgspec.Struct):
    key: str
    number: int = 0
    count: int | None = None
    text: str = ""
    note: str | None = None
    amount: float = 0.0
    ratio: float | None = None
    flag: bool = False
    known: bool | None = None
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    seen: datetime | None = None
    mood: Mood = Mood.GOOD
    tags: list[str] = []
    mixed: list[int | float | bool | str | None] | None = None
    price: Decimal | None = None
    version: int = 1


THINGS = Table(Thing, key=["key"], name="things", order=["-number"], indexes=[["number"]], version="version")

_EAST = timezone(timedelta(hours=5, minutes=30))
_NOON = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)

texts = st.one_of(
    st.text(st.sampled_from("aAbB%_\\*'\"\n äé€😀\uffff\ud7ff\ue000\U0010ffff"), max_size=3),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4),
)
items = st.one_of(texts, st.sampled_from(["a\0b", "a", "a\\u0000b"]))
numbers = st.sampled_from([0, 1, -1, 2, 2**53 + 1, 2**53 + 2, 2**63 - 1, -(2**63)])
floats = st.sampled_from([0.0, -0.0, 0.1, 0.1 + 2**-56, 1.0, 1.5, -1.5, 5e-324, 1.7e308, float(2**53)])
moments = st.sampled_from(
    [
        _NOON,
        _NOON.astimezone(_EAST),
        _NOON + timedelta(microseconds=1),
        _NOON - timedelta(days=40000),
        (_NOON + timedelta(days=40000)).astimezone(_EAST),
    ]
)
prices = st.sampled_from([Decimal("0.10"), Decimal("0.1"), Decimal(-3), Decimal("1E+2")])
mixed_items = st.one_of(st.sampled_from([0, 1, True, False, None, 1.0, -0.0, 2.5, 2**53, "1", "true"]), items)


def rows(key=texts):
    none = st.none()
    return st.builds(
        Thing,
        key=key,
        number=numbers,
        count=none | numbers,
        text=texts,
        note=none | texts,
        amount=floats,
        ratio=none | floats,
        flag=st.booleans(),
        known=none | st.booleans(),
        at=moments,
        seen=none | moments,
        mood=st.sampled_from(Mood),
        tags=st.lists(items, max_size=3),
        mixed=none | st.lists(mixed_items, max_size=3),
        price=none | prices,
    )


tables = st.lists(rows(), max_size=7, unique_by=lambda row: row.key)

_VALUES = {
    **dict.fromkeys(["number", "count"], numbers),
    **dict.fromkeys(["key", "text", "note"], texts),
    **dict.fromkeys(["amount", "ratio"], floats | st.sampled_from([0, 1])),
    **dict.fromkeys(["at", "seen"], moments),
}
_UNORDERED = {
    **dict.fromkeys(["flag", "known"], st.booleans()),
    "price": prices,
    "mood": st.sampled_from([*Mood, "good", "other"]),
    "tags": st.lists(items, max_size=2),
}
_ALL = _VALUES | _UNORDERED


def _about(kinds, build):
    return st.one_of(*(st.builds(build, st.just(field(name)), values) for name, values in kinds.items()))


_COMPARISONS = [Field.__lt__, Field.__le__, Field.__gt__, Field.__ge__]
_EQUALITIES = [Field.__eq__, Field.__ne__]
_NULLABLE = {name: values | st.none() for name, values in _ALL.items()}
_CONTAINED = {
    "tags": texts | st.sampled_from(["a", "a\\u0000b"]),
    "mixed": mixed_items.filter(lambda item: "\0" not in str(item)),
}

leaves = st.one_of(
    *(_about(_VALUES, compare) for compare in _COMPARISONS),
    *(_about(_NULLABLE, compare) for compare in _EQUALITIES),
    _about({name: st.lists(values, max_size=3) for name, values in _NULLABLE.items()}, Field.in_),
    _about(_CONTAINED, Field.contains),
    _about(dict.fromkeys(["text", "note", "key", "mood"], texts), Field.starts_with),
    st.sampled_from([field(name).is_null() for name in [*_ALL, "mixed"]]),
    st.sampled_from([everything(), nothing()]),
)

specifications = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=6,
)

_ORDERED = [name for name in Thing.__struct_fields__ if name not in {"tags", "mixed", "price"}]
orders = st.lists(
    st.builds(lambda name, sign: sign + name, st.sampled_from(_ORDERED), st.sampled_from(["", "-"])),
    max_size=3,
)
