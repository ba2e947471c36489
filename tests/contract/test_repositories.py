"""One suite for repositories: memory, SQLite, PostgreSQL; and the same answers from all of them, for generated questions."""

import math
import random
import string
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_repositories import MemoryReader
from pipelines_persistence.adapters.memory_unit_of_work import MemoryUnitOfWork
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.unit_of_work import SqlUnitOfWork
from pipelines_persistence.errors import ConfigurationError, RowConflict
from pipelines_persistence.repositories import Relation, RowRefused, Table, everything, field, nothing
from pipelines_persistence.repositories.specification import DEEPEST
from tests.things import THINGS, Mood, Thing, orders, specifications, tables

SQL = ["sqlite", "postgres"]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Part(msgspec.Struct):
    thing: str
    number: int
    name: str = ""


PARTS = Table(Part, key=["thing", "number"], name="parts", order=["-number"])
THINGS_PARTS = Relation("parts", PARTS, by={"key": "thing"})


@pytest.fixture(params=["memory", *SQL])
def units(request):
    if request.param == "memory":
        store = MemoryEventStore()
        units = MemoryUnitOfWork(store)
    else:
        engine = open_database(request.getfixturevalue(f"{request.param}_url"))
        store = SqlEventStore(engine)
        units = SqlUnitOfWork(engine, store)
    units.open(THINGS)
    units.open(PARTS)
    yield units
    store.close()


@pytest.fixture
def things(units):
    return units.repository(THINGS)


only_sql = pytest.mark.parametrize("units", SQL, indirect=True)


def keys(rows):
    return [row.key for row in rows]


# Rows


def test_a_row_comes_back_as_it_was_added_with_version_1(things):
    full = Thing(
        "ä'\"%s?:x\\",
        -7,
        2**63 - 1,
        "NULL",
        "",
        0.1,
        -1.5,
        flag=True,
        known=False,
        at=NOON.astimezone(),
        seen=NOON,
        mood=Mood.BAD,
        tags=["a\0b", "é"],
        mixed=[True, 1, None],
        price=Decimal("0.10"),
        version=99,
    )
    kept = things.add(full)
    assert kept == msgspec.structs.replace(full, version=1)
    assert things.get(full.key) == kept
    assert things.get(full.key).at.tzinfo is UTC
    assert type(things.get(full.key).mood) is Mood
    assert full.version == 99
    assert things.get("none") is None


def test_a_row_of_a_key_that_is_there_cannot_be_added(things):
    things.add(Thing("a", 1))
    with pytest.raises(
        RowConflict, match=r"the row 'a' of 'things' is at version 1, not absent: read it again"
    ) as conflict:
        things.add(Thing("a", 2))
    error = conflict.value
    assert (error.table, error.key, error.expected, error.actual) == ("things", ("a",), "absent", 1)
    assert things.get("a").number == 1


def test_an_update_takes_the_version_that_was_read_and_no_other(things):
    first = things.add(Thing("a"))
    second = things.update(msgspec.structs.replace(first, number=1))
    with pytest.raises(RowConflict) as conflict:
        things.update(msgspec.structs.replace(first, number=2))
    assert (second.version, conflict.value.expected, conflict.value.actual) == (2, 1, 2)
    assert things.get("a") == second
    with pytest.raises(RowConflict) as conflict:
        things.update(Thing("b"))
    assert conflict.value.actual == "absent"


def test_a_row_is_deleted_only_as_it_was_read(things):
    first = things.add(Thing("a"))
    things.add(Thing("b"))
    second = things.update(first)
    with pytest.raises(RowConflict):
        things.delete(first)
    things.delete(second)
    with pytest.raises(RowConflict):
        things.delete(second)
    assert keys(things.walk()) == ["b"]


def test_a_table_without_version_keeps_the_last_of_what_is_written(units):
    parts = units.repository(PARTS)
    parts.add(Part("a", 1, "old"))
    parts.update(Part("a", 1, "new"))
    assert parts.get("a", 1).name == "new"
    with pytest.raises(RowConflict, match="is present, not absent"):
        parts.add(Part("a", 1))
    with pytest.raises(RowConflict, match="is absent, not present"):
        parts.update(Part("a", 2))
    parts.delete(Part("a", 1))
    assert parts.count() == 0


def test_what_was_read_is_a_value_and_changes_nothing_by_itself(things):
    things.add(Thing("a", tags=["x"]))
    things.get("a").tags.append("y")
    next(things.walk()).number = 7
    assert things.get("a") == Thing("a", tags=["x"])


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("text", "a\0b", "NUL"),
        ("text", "\ud800", "valid Unicode"),
        ("text", 7, "no text"),
        ("number", 2**63, "more than 64 bits"),
        ("number", True, "no integer"),
        ("number", None, "is null"),
        ("amount", float("nan"), "no finite number"),
        ("amount", 2**53 + 1, "no exact float"),
        ("flag", 1, "neither true nor false"),
        ("at", datetime(2026, 1, 1), "with a zone"),  # noqa: DTZ001 - the fault that is tested
        ("tags", [1], "kept as JSON"),
        ("mixed", [float("inf")], "does not come back"),
    ],
)
def test_a_row_that_some_database_could_not_keep_is_refused_by_all(things, name, value, reason):
    with pytest.raises(RowRefused, match=rf"Thing.{name}: .*{reason}"):
        things.add(Thing(**{"key": "a", name: value}))
    assert things.count() == 0


class Sized(msgspec.Struct):
    name: str
    number: int
    place: str = ""
    other: str | None = None
    free: str = ""


SIZED = Table(Sized, key=["name", "number"], name="sized", indexes=[["place", "other"]])


def incompressible(size):
    return "".join(random.Random(size).choices(string.ascii_letters, k=size))


def test_what_is_in_a_key_or_an_index_may_be_so_long_and_no_longer(units):
    units.open(SIZED)
    rows = units.repository(SIZED)
    full = Sized(incompressible(1998) + "é", 2**63 - 1, incompressible(999), incompressible(1001), "x" * 9000)
    assert rows.get(rows.add(full).name, full.number) == full
    for wrong in (
        msgspec.structs.replace(full, name=full.name + "x"),
        msgspec.structs.replace(full, name="n", place=full.place + "xx"),
    ):
        with pytest.raises(RowRefused, match="takes 2000 bytes of text at most"):
            rows.add(wrong)
    with pytest.raises(RowRefused, match=r"Sized\.place, other"):
        rows.update(msgspec.structs.replace(full, other=full.other + "x"))
    assert list(rows.walk()) == [full]


@pytest.mark.parametrize("name", ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"])
def test_a_name_that_some_database_has_taken_is_refused_when_a_table_is_declared(name):
    row = msgspec.defstruct("Row", [("id", str), (name, str)])
    with pytest.raises(ConfigurationError, match=f"columns of its own named {name}"):
        Table(row, key=["id"], name="rows")


def test_a_column_of_json_is_neither_indexed_nor_in_an_order():
    for wrong in ({"indexes": [["tags"]]}, {"order": ["-tags"]}):
        with pytest.raises(ConfigurationError, match=r"\['tags'\] are kept as JSON"):
            Table(Thing, key=["key"], **wrong)


def test_other_words_of_sql_are_names_like_any(units):
    row = msgspec.defstruct("Row", [("select", str), ("rowid", str), ("oid", str), ("user", str)])
    table = Table(row, key=["select"], name="order", indexes=[["rowid", "oid"]])
    units.open(table)
    kept = units.repository(table).add(row("a", "b", "c", "d"))
    assert units.repository(table).find(field("oid") == "c", order=["user"]).items == [kept]


def test_a_zero_has_no_sign(things):
    kept = things.add(Thing("a", amount=-0.0, ratio=-0.0))
    for row in (kept, things.get("a"), things.update(kept)):
        assert [math.copysign(1, row.amount), math.copysign(1, row.ratio)] == [1, 1]


class Loose(msgspec.Struct):
    id: str
    any: Any = None
    word: Literal["a", "b", None] = None  # noqa: PYI061 - the spelling that is tested
    noted: Annotated[str | None, msgspec.Meta(description="free")] = None
    either: int | str | None = None


LOOSE = Table(Loose, key=["id"], name="loose")


def test_null_is_taken_wherever_the_type_takes_it(units):
    units.open(LOOSE)
    rows = units.repository(LOOSE)
    empty, full = rows.add(Loose("a")), rows.add(Loose("b", {"x": [1]}, "a", "n", "e"))
    assert [rows.get("a"), rows.get("b")] == [empty, full]
    for name in ("any", "word", "noted", "either"):
        assert [row.id for row in rows.walk(field(name).is_null())] == ["a"]
        assert [row.id for row in rows.walk(~field(name).is_null())] == ["b"]
    assert rows.get(rows.update(msgspec.structs.replace(full, any=None)).id).any is None


# Questions


@pytest.mark.parametrize(
    ("specification", "meant"),
    [
        (field("note") == "x", "a"),
        (field("note") != "x", "bc"),
        (~(field("note") == "x"), "bc"),
        (field("note") == None, "c"),  # noqa: E711 - the question that is tested
        (field("note").in_([]), ""),
        (~field("note").in_(["x"]), "bc"),
        (field("note").in_(["x", None]), "ac"),
        (field("note") < "y", "a"),
        (~(field("note") < "y"), "bc"),
        (field("note").is_null() | (field("note") > "x"), "bc"),
        (field("number") >= 2, "bc"),
        ((field("number") > 1) & (field("flag") == True), "c"),  # noqa: E712 - as above
        (field("text").starts_with("50%"), "b"),
        (field("text").starts_with("a"), "a"),
        (field("text").starts_with(""), "abc"),
        (field("text").starts_with("\ud7ff"), ""),
        (field("text").starts_with("\U0010ffff"), ""),
        (field("tags").contains("red"), "ab"),
        (~field("tags").contains("red"), "c"),
        (field("mixed").contains("a\\u0000b"), "c"),
        (field("mixed").contains(1), "b"),
        (field("mixed").contains(True), "c"),  # noqa: FBT003 - as above
        (field("mixed").contains(None), "b"),
        (field("price") == Decimal("0.10"), "a"),
        (field("at") > NOON.astimezone(), "bc"),
        (everything(), "abc"),
        (nothing(), ""),
        (~nothing() & ~~(field("key") == "b"), "b"),
    ],
)
def test_a_specification_means_these_rows_and_is_asked_of_a_row_as_well(things, specification, meant):
    for row in [
        Thing("a", 1, text="ab", note="x", tags=["red", "red"], price=Decimal("0.10"), at=NOON),
        Thing(
            "b", 2, text="50% off", note="y", tags=["red"], mixed=[1.0, None], at=NOON + timedelta(0, 0, 1)
        ),
        Thing(
            "c", 3, text="A", flag=True, mixed=[True, "a\\u0000b"], tags=["red\0x"], at=NOON + timedelta(1)
        ),
    ]:
        things.add(row)
    assert keys(things.walk(specification, order=["key"])) == list(meant)
    assert keys(row for row in things.walk(order=["key"]) if specification.holds(row)) == list(meant)
    assert (things.count(specification), things.exists(specification)) == (len(meant), bool(meant))
    first = things.first(specification, order=["-key"])
    assert (first.key if first else "") == meant[-1:]


class Undone(Exception):
    pass


@only_sql
def test_sql_answers_as_python_does_whatever_is_asked(units):
    """The law: for any rows, specification and order, the database gives what Python gives."""

    @settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
    @given(tables, specifications, orders)
    def ask(rows, specification, order):
        def fill(work):
            things = work.repository(THINGS)
            kept = [things.add(row) for row in rows]
            twin = MemoryReader(THINGS, lambda: kept, lambda _relation: [])
            assert keys(things.walk(specification, order=order)) == keys(
                twin.walk(specification, order=order)
            )
            assert set(keys(things.walk(specification))) == {
                row.key for row in kept if specification.holds(row)
            }
            assert things.count(~specification) == len(rows) - things.count(specification)
            assert paged(things, specification, order) == keys(twin.walk(specification, order=order))
            assert paged(twin, specification, order) == keys(twin.walk(specification, order=order))
            raise Undone

        with pytest.raises(Undone):
            units.run(fill)

    ask()


def paged(reader, specification, order, limit=2):
    found, after = [], None
    while True:
        page = reader.find(specification, order=order, limit=limit, after=after)
        found += keys(page.items)
        if page.next is None:
            return found
        after = page.next


@pytest.mark.parametrize("values", [10_000, 3_000])
def test_a_question_may_be_long(things, values):
    things.add(Thing("a", 7))
    names = [str(number) for number in range(values)]
    assert not things.exists(field("key").in_(names))
    if values < 5_000:
        long = nothing()
        for number in range(values):
            long |= field("number") == number
        assert things.count(long) == 1


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        (field("colour") == "red", "there is no column 'colour': there are key"),
        (field("numbr") == 1, r"there is no column 'numbr' \(did you mean 'number'\?\)"),
        (field("number") == "1", r"'1' does not fit the column 'number' \(integer\)"),
        (field("number") == True, "True does not fit"),  # noqa: E712 - as above
        (field("number") == 1.0, "1.0 does not fit"),
        (field("number") < 2**63, "more than 64 bits"),
        (field("number") < None, "ask with is_null"),
        (field("amount").in_([math.nan]), "nothing compares with it"),
        (field("amount") == math.inf, "finite"),
        (field("amount") == 2**53 + 1, "no exact float"),
        (field("text") == "a\0", "NUL"),
        (field("text") == "\ud800", "Unicode"),
        (field("flag") < True, "has no order"),
        (field("flag") == 1, "1 does not fit the column 'flag'"),
        (field("at") > datetime(2026, 1, 1), "no zone"),  # noqa: DTZ001 - as above
        (field("at") == datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), "no such moment in UTC"),
        (field("price") == "cheap", "'cheap' does not fit the column 'price'"),
        (field("price") < Decimal(1), "has no order"),
        (field("price").contains("1"), "is no list"),
        (field("text").contains("a"), "is no list"),
        (field("tags").contains(1), "1 does not fit the column 'tags'"),
        (field("number").starts_with("1"), "only a text"),
        (field("key").in_(map(str, range(10_001))), "10000 at most"),
    ],
)
def test_a_question_that_does_not_fit_says_so(things, specification, message):
    with pytest.raises(ConfigurationError, match=message):
        list(things.walk(specification))
    with pytest.raises(ConfigurationError, match=message):
        specification.holds(Thing("a"))


TESTS = [
    field("count") == 1,
    field("mixed").contains("x"),
    field("note").in_(["a", None]),
    field("text").starts_with("q"),
    field("price").in_([Decimal(1), None]),
]


def nested(levels, shape):
    """Return a specification that is nested so deeply, its parts chosen so that neither can be flattened away."""
    deep = nothing()
    for number in range(400 if shape in {"wide", "negated"} else 1):
        deep |= TESTS[number % 5]
    for level in range(levels - 2):  # the innermost part and what is asked of it are two
        part = TESTS[level % 5]
        if shape == "negated" and level % 2:
            deep = ~deep
        elif shape == "negated":
            deep = deep & part
        elif shape == "to the right":
            deep = (part & deep) if level % 2 == 0 else (part | deep)
        else:
            for other in TESTS[: 4 if shape == "wide" else 1]:
                part = part & other if level % 2 == 0 else part | other
            deep = (deep & part) if level % 2 == 0 else (deep | part)
    return deep


@pytest.mark.parametrize("shape", ["to the left", "to the right", "wide", "negated"])
def test_a_specification_may_be_nested_to_the_limit_and_is_refused_beyond_it_by_all(things, shape):
    for row in [Thing("a", count=1), Thing("b", note="a"), Thing("c", text="q", mixed=["x"])]:
        things.add(row)
    order = ["-count", "note", "-seen", "known"]
    deep = nested(DEEPEST, shape)
    assert paged(things, deep, order, 1) == [row.key for row in things.walk(order=order) if deep.holds(row)]
    assert things.count(deep) + things.count(~deep if shape != "negated" else nothing()) <= 3
    with pytest.raises(ConfigurationError, match=f"more than {DEEPEST} levels"):
        things.count(nested(DEEPEST + 3, shape))


def test_what_is_nested_for_no_reason_is_not_nested(things):
    flat = field("number") == 0
    for number in range(300):
        flat = ~~(flat & (everything() & (field("number") != number + 1)))
    things.add(Thing("a"))
    assert things.count(flat) == 1


def test_a_specification_has_no_more_values_than_every_database_takes(things):
    several = nothing()
    for start in range(0, 40_000, 10_000):
        several |= field("number").in_(range(start, start + 10_000))
    with pytest.raises(ConfigurationError, match="more than 30000 values"):
        things.count(several)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: 1 < field("number") < 3,
        lambda: (field("number") == 1) and (field("number") >= 0),
        lambda: (field("number") == 1) or (field("number") >= 0),
        lambda: not field("number").is_null(),
        lambda: not field("flag"),
        lambda: bool(nothing()),
    ],
)
def test_what_python_would_take_for_true_is_refused(ask):
    with pytest.raises(TypeError, match=r"with & \| ~ instead of and, or, not"):
        ask()


@pytest.mark.parametrize("values", ["12", b"12", 12, None])
def test_in_takes_several_values_and_not_the_characters_of_one(values):
    with pytest.raises(ConfigurationError, match="in_ on 'text' takes several values"):
        field("text").in_(values)


# Order and pages


def test_nulls_come_last_whichever_way_and_equal_rows_by_their_key(things):
    for key, count in [("d", None), ("a", 2), ("c", 1), ("b", 2), ("e", None)]:
        things.add(Thing(key, count=count))
    assert keys(things.walk(order=["count"])) == list("cabde")
    assert keys(things.walk(order=["-count"])) == list("abcde")
    assert keys(things.walk(order=["-count", "-key"])) == list("baced")
    with pytest.raises(ConfigurationError, match="'tags' is JSON, which has no order"):
        list(things.walk(order=["tags"]))
    with pytest.raises(ConfigurationError, match="no column 'size'"):
        things.find(order=["-size"])


def test_texts_are_ordered_by_code_points_everywhere(things):
    texts = ["a", "B", "ä", "Z", "\uffff", "\U00010000", "_", "a b", "a\tb"]
    for text in texts:
        things.add(Thing(text))
    assert keys(things.walk(order=["key"])) == sorted(texts)


@pytest.mark.parametrize(
    "order", [["number"], ["-count", "number"], ["note", "-number"], ["-seen"], ["-key"]]
)
def test_rows_that_are_there_throughout_come_once_although_others_come_and_go_between_pages(things, order):
    stay = [
        Thing(
            f"s{n}",
            n % 3,
            count=n % 2 or None,
            note=None if n % 4 else "x",
            seen=NOON + timedelta(microseconds=n) if n % 3 else None,
        )
        for n in range(9)
    ]
    for row in stay:
        things.add(row)
    come = iter([msgspec.structs.replace(row, key=f"{prefix}{row.key}") for row in stay for prefix in "az"])
    found, after, gone = [], None, []
    while True:
        page = things.find(order=order, limit=2, after=after)
        found += keys(page.items)
        for row in gone:
            things.delete(row)
        gone = [things.add(row) for row in [next(come, None), next(come, None), next(come, None)] if row]
        if page.next is None:
            break
        after = page.next
    assert len(set(found)) == len(found)
    assert [key for key in found if key[0] == "s"] == [
        key for key in keys(things.walk(order=order)) if key[0] == "s"
    ]


def test_the_last_page_has_no_next_and_a_page_after_the_last_row_is_empty(things):
    for key in "abc":
        things.add(Thing(key))
    first = things.find(order=["key"], limit=2)
    last = things.find(order=["key"], limit=2, after=first.next)
    assert (keys(first.items), keys(last.items), last.next) == (["a", "b"], ["c"], None)
    things.delete(things.get("c"))
    gone = things.find(order=["key"], limit=2, after=first.next)
    assert (gone.items, gone.next) == ([], None)
    assert things.find(nothing()).items == []
    for limit in (0, 1_000_001, 2**63 - 1):
        with pytest.raises(ConfigurationError, match=f"a page of {limit} rows"):
            things.find(limit=limit)


def test_a_token_belongs_to_its_table_and_order(units, things):
    for key in "ab":
        things.add(Thing(key))
    token = things.find(order=["number"], limit=1).next
    assert token.isascii()
    for order in (["-number"], ["key"], ["number", "-key"]):
        with pytest.raises(ConfigurationError, match="another table or order"):
            things.find(order=order, after=token)
    for wrong in ("", "x", token[:-3], token + "AAAA", "ä", token.swapcase()):
        with pytest.raises(ConfigurationError, match=r"no token of a page|another table"):
            things.find(order=["number"], after=wrong)
    with pytest.raises(ConfigurationError, match="another table"):
        units.repository(PARTS).find(after=token)


# Includes


def test_related_rows_come_with_a_page_those_of_each_row_in_their_order(units, things):
    parts = units.repository(PARTS)
    for key in "abc":
        things.add(Thing(key))
    for thing, number in [("a", 1), ("a", 2), ("a", 3), ("c", 1), ("x", 1)]:
        parts.add(Part(thing, number))
    few = Relation("few", PARTS, by={"key": "thing"}, most=2)
    up = Relation("up", PARTS, by={"key": "thing"}, order=["number"])
    page = things.find(order=["key"], include=[THINGS_PARTS, few, up])
    numbers = {
        relation.name: [[part.number for part in page.related(relation, row)] for row in page.items]
        for relation in (THINGS_PARTS, few, up)
    }
    assert numbers == {"parts": [[3, 2, 1], [], [1]], "few": [[3, 2], [], [1]], "up": [[1, 2, 3], [], [1]]}
    assert things.find(nothing(), include=[few]).items == []
    with pytest.raises(ConfigurationError, match="'parts' was not included"):
        things.find().related(THINGS_PARTS, page.items[0])


def test_a_relation_may_link_by_several_fields(units, things):
    parts = units.repository(PARTS)
    for key, number in [("a", 1), ("b", 2)]:
        things.add(Thing(key, number))
        parts.add(Part(key, number, f"{key}{number}"))
        parts.add(Part(key, 9))
    same = Relation("same", PARTS, by={"key": "thing", "number": "number"})
    page = things.find(order=["key"], include=[same])
    assert [[part.name for part in page.related(same, row)] for row in page.items] == [["a1"], ["b2"]]


@only_sql
def test_an_include_is_one_query_for_the_whole_page(units, things):
    for number in range(30):
        things.add(Thing(f"{number}"))
        units.repository(PARTS).add(Part(f"{number}", 1))
    statements = []
    sa.event.listen(units._own.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    page = things.find(limit=25, include=[THINGS_PARTS])
    assert sum(len(page.related(THINGS_PARTS, row)) for row in page.items) == 25
    assert sum(statement.startswith("SELECT") for statement in statements) == 2


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ({}, "needs fields to link by"),
        ({"key": "number"}, "which are integer and text"),
        ({"tags": "thing"}, "which are json and text"),
        ({"kay": "thing"}, "no column 'kay'"),
    ],
)
def test_a_relation_that_cannot_hold_is_refused(things, by, message):
    with pytest.raises(ConfigurationError, match=message):
        things.find(include=[Relation("wrong", PARTS, by=by)])


def test_a_key_has_all_its_parts_of_their_types(units):
    parts = units.repository(PARTS)
    with pytest.raises(ConfigurationError, match="the key of Part has the fields thing, number"):
        parts.get("a")
    with pytest.raises(ConfigurationError, match="'1' does not fit the column 'number'"):
        parts.get("a", "1")


# Tables


def test_a_table_is_made_once_and_kept_with_its_rows(units, things):
    things.add(Thing("a"))
    units.open(THINGS)
    assert units.repository(THINGS).count() == 1


def test_a_table_whose_struct_was_changed_is_not_taken_for_the_old_one(units):
    class Other(msgspec.Struct):
        thing: str
        number: int
        name: list[str] = []

    with pytest.raises(ConfigurationError, match="'parts' was made with other columns than Other has"):
        units.open(Table(Other, key=["thing", "number"], name="parts"))
    with pytest.raises(ConfigurationError, match="Part has no name"):
        units.open(Table(Part, key=["thing", "number"]))
    with pytest.raises(ConfigurationError, match="is not open"):
        units.repository(Table(Other, key=["thing"], name="others"))


def test_a_version_is_an_integer_beside_the_key():
    for version in ("key", "text", "count", "none"):
        with pytest.raises(ConfigurationError, match="must name an integer"):
            Table(Thing, key=["key"], version=version)
