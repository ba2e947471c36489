"""Conditions as people type them."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.repositories import asked, field, named
from tests.things import THINGS, Thing

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
THING = Thing(
    "a=b", 7, None, "50% > x", None, 0.5, flag=True, at=NOON, tags=["team=search", "1"], mixed=[1, None, "x"]
)
PRICED = Thing("p", note="null", count=3, price=Decimal("0.10"))


@pytest.mark.parametrize(
    ("text", "row", "holds"),
    [
        ("key=a=b", THING, True),
        ("number=7", THING, True),
        ("number!=7", THING, False),
        ("number>=7", THING, True),
        ("number>7", THING, False),
        ("number<-1", THING, False),
        ("amount<=0.5", THING, True),
        ("text^=50%", THING, True),
        ("text=50% > x", THING, True),
        ("flag=true", THING, True),
        ("flag=false", THING, False),
        ("at=2026-01-01T13:00:00+01:00", THING, True),
        ("at<2026-01-01T12:00:00.000001Z", THING, True),
        ("count=null", THING, True),
        ("count!=null", THING, False),
        ("note=null", THING, True),
        ("note=null", PRICED, False),
        ('note="null"', PRICED, True),
        ("text=null", THING, False),
        ("tags=team=search", THING, True),
        ("tags!=team=data", THING, True),
        ("tags=1", THING, True),
        ("mixed=1", THING, True),
        ("mixed=x", THING, True),
        ("mixed=null", THING, False),
        ("mixed=null", PRICED, True),
        ("price=0.10", PRICED, True),
        ("price!=0.10", PRICED, False),
        ("price=0.1", PRICED, False),
    ],
)
def test_a_condition_means_what_it_says(text, row, holds):
    assert asked(THINGS, text).holds(row) is holds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("number", "is no condition: expected column=value"),
        ("=7", "is no condition"),
        ("numbers=7", "did you mean 'number'"),
        ("number=seven", "'seven' does not fit the column 'number'"),
        ("number=null", "'null' does not fit the column 'number'"),
        ("flag=maybe", "'maybe' does not fit"),
        ("at=2026-01-01T12:00:00", "has no zone"),
        ("at=noon", "'noon' does not fit"),
        ("price=cheap", "'cheap' does not fit the column 'price'"),
        ("tags>a", "does not fit the column 'tags'"),
        ("number^=1", "only a text starts"),
        ('note="', "no JSON"),
    ],
)
def test_a_condition_that_does_not_fit_says_so(text, message):
    with pytest.raises(ConfigurationError, match=message):
        asked(THINGS, text).holds(THING)


def pair(key: str, value: int):
    return (field("key") == key) & (field("number") == value)


def none():
    return field("count").is_null()


CATALOG = {"pair": pair, "none": none}


def test_a_name_with_what_it_takes_means_its_specification():
    assert named(CATALOG, "pair:a=b,7").holds(THING)
    assert named(CATALOG, "none").holds(THING)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pair", "'pair': pair takes KEY,VALUE; got none: write pair:KEY,VALUE"),
        ("pair:a", "'pair:a': pair takes KEY,VALUE; got 1: write pair:KEY,VALUE"),
        ("pair:a,b", "'pair:a,b': 'b' does not fit VALUE: Expected `int`"),
        ("none:1", "'none:1': none takes no argument; got 1: write none"),
        ("other", "there is no specification 'other': there are pair, none"),
    ],
)
def test_a_name_with_what_it_does_not_take_says_what_to_write(text, message):
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        named(CATALOG, text)
