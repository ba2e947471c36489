"""Personal data in events: sealed on the way in, revealed on the way out, unreadable once the key is deleted."""

import json
import re
import threading
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines_persistence.adapters.aes import AesGcm
from pipelines_persistence.adapters.memory_events import MemoryEventStore
from pipelines_persistence.adapters.memory_subject_keys import MemorySubjectKeys
from pipelines_persistence.errors import ConfigurationError, EventRefused, PersonalDataDamaged
from pipelines_persistence.events import Append, Expected, NewEvent
from pipelines_persistence.events.personal import (
    CACHE_SECONDS,
    CachedKeys,
    PersonalData,
    PersonalDataStore,
    SubjectKey,
    forget_subject,
)

ANY = Expected.ANY
RULE = PersonalData("who", ("email", "address.street", "guests.name"))


class World:
    """A store with rules, and what lies below it."""

    def __init__(self, rules=None, *, raw=None, keys=None):
        self.raw = raw or MemoryEventStore()
        self.keys = keys or MemorySubjectKeys()
        self.store = PersonalDataStore(self.raw, rules or {"Ordered": RULE}, self.keys, AesGcm())

    def append(self, data, type_="Ordered", **fields):
        event = NewEvent(type_, data, **fields)
        self.store.append("order-1", [event], ANY)
        return event

    @property
    def data(self):
        return [event.data for event in self.store.read("order-1")]

    @property
    def raw_data(self):
        return [event.data for event in self.raw.read("order-1")]


@pytest.fixture
def world():
    return World()


class Unusable:
    """Keys that nobody may ask for."""

    def obtain(self, subjects):
        raise AssertionError(subjects)

    find = forget = obtain


class Counting(MemorySubjectKeys):
    """Keys that note how they are asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def obtain(self, subjects):
        self.asked.append(("obtain", len(subjects)))
        return super().obtain(subjects)

    def find(self, ids):
        self.asked.append(("find", len(ids)))
        return super().find(ids)


# Seal and reveal


def test_personal_fields_are_read_back_byte_for_byte_and_are_not_in_the_store_below(world):
    data = (
        b'{ "who": "anna", "n":1.10, "email" : "anna@example.com","address":\t{"street":"Elm \\u0053t 1", "zip": "123"},'
        b' "guests":[ {"name":"Bob","age":1e2}, {"name":{"first":"Carl"}}, {} ], "big":123456789012345678901234567890}'
    )
    world.append(data)
    assert world.data == [data]
    [raw] = world.raw_data
    for personal in (b"anna@example", b"Elm ", b'"Bob"', b'"Carl"'):
        assert personal not in raw
    for other in (b'{ "who": "anna", "n":1.10, "email" : {', b', "zip": "123"}', b'"age":1e2', b"67890}"):
        assert other in raw


def test_values_of_every_kind_are_sealed_whole(world):
    for value in (b'"text"', b"-1.50", b"true", b"{}", b'[ "a", {"b": null} ]', b'""'):
        data = b'{"who": 7, "email": %b}' % value
        world.append(data)
        assert world.data[-1] == data
        assert b'"email": {"$sealed":"' in world.raw_data[-1]


def test_each_value_is_sealed_differently_each_time(world):
    data = b'{"who":"anna","guests":[{"name":"Bob"},{"name":"Bob"}]}'
    for _ in range(2):
        world.append(data)
    sealed = [guest["name"]["v"] for raw in world.raw_data for guest in json.loads(raw)["guests"]]
    assert len(set(sealed)) == 4


def test_a_path_means_nested_objects_and_names_that_hold_dots_alike(world):
    data = b'{"who":"anna","address.street":"Elm St","address":{"street":"Oak St"}}'
    world.append(data)
    assert world.data == [data]
    assert b" St" not in world.raw_data[0]  # a blank is no letter of Base64


def test_a_name_is_found_however_it_is_written_and_as_often_as_it_stands_there(world):
    data = b'{"who":"anna","em\\u0061il":"anna@a.org","email":"anna@b.org"}'
    world.append(data)
    assert world.data == [data]
    assert b".org" not in world.raw_data[0]


def test_null_stays_null_and_what_is_missing_needs_neither_subject_nor_key():
    world = World(keys=Unusable())
    for data in (
        b'{"email":null, "address":null}',
        b"{}",
        b'{"guests":[]}',
        b" null ",
        b"[]",
        b'{"address":{"zip":1}}',
    ):
        world.append(data)
        assert world.raw_data[-1] == world.data[-1] == data


def test_events_of_other_types_are_not_looked_into():
    world = World(keys=Unusable())
    data = b'{"email":"anna@example.com","$sealed":{"$sealed":"x","v":""},"address":1}'
    world.append(data, "Other")
    assert world.raw_data == world.data == [data]
    [batch] = world.raw.batches()
    world.raw.batches = lambda *_, **__: iter([batch])
    assert next(world.store.batches()) is batch


def test_every_way_of_writing_seals_and_every_way_of_reading_reveals(world):
    data = b'{"who":"anna","email":"anna@example.com"}'
    first, second, third = (NewEvent("Ordered", data) for _ in range(3))
    world.store.append("order-1", [first], ANY)
    world.store.append_many([Append("order-1", [second], ANY), Append("order-2", [NewEvent("Other")], ANY)])
    assert world.store.import_events(iter([("order-1", third)])).appended == 1
    assert all(b"anna@" not in raw for raw in world.raw_data)
    [batch] = world.store.batches(limit=10)
    stop = threading.Event()
    followed = next(world.store.subscribe(stop=stop))
    stop.set()
    for events in (
        world.store.read("order-1", backwards=True),
        world.store.read_all(types=["Ordered"]),
        [event for event in batch.events if event.type == "Ordered"],
        [event for event in followed.events if event.type == "Ordered"],
    ):
        assert [event.data for event in events] == [data] * 3


def test_the_same_append_again_returns_the_first_result(world):
    events = [NewEvent("Ordered", b'{"who":"anna","email":"anna@example.com"}')]
    first = world.store.append("order-1", events, 0)
    assert world.store.append("order-1", events, 0) == first
    world.keys.forget("anna")
    assert world.store.append("order-1", events, 0) == first
    assert world.data == [b'{"who":"anna","email":null}']


# Refused


@pytest.mark.parametrize(
    "who",
    [
        b"",
        b'"who":null,',
        b'"who":true,',
        b'"who":1.5,',
        b'"who":{},',
        b'"who":["a","b"],',
        b'"who":"a","who":"b",',
        b'"who":"",',
    ],
)
def test_personal_data_that_does_not_say_whose_it_is_is_refused_and_no_key_is_made(who):
    world = World(keys=Unusable())
    with pytest.raises(EventRefused):
        world.append(b'{%b"email":"anna@example.com"}' % who)
    assert world.raw_data == []


@pytest.mark.parametrize(
    "member", [b'"$sealed":1', b'"x":[{"\\u0024sealed":1}]', b'"email":{"$s\\u0065aled" :"a","v":""}']
)
def test_data_that_looks_as_if_it_were_sealed_is_refused(world, member):
    with pytest.raises(EventRefused, match="rename"):
        world.append(b'{"who":"anna",%b}' % member)
    assert world.raw_data == []


def test_text_that_only_speaks_of_sealed_data_is_taken(world):
    data = b'{"who":"anna","note":"{\\"$sealed\\":\\"a","to":"$sealed","email":"{\\"$sealed\\":\\"\\u00e9"}'
    world.append(data)
    assert world.data == [data]


@pytest.mark.parametrize("data", [b'{"who":"anna","address":"Elm St 1"}', b'{"guests":[["Bob"]]}', b'"anna"'])
def test_data_of_another_shape_than_its_rule_is_refused_since_what_is_personal_in_it_is_unknown(world, data):
    with pytest.raises(EventRefused, match="the rule for personal data"):
        world.append(data)


def test_personal_data_too_deep_for_a_reader_is_refused(world):
    def nested(levels):
        return b'{"who":"anna","guests":' + b"[" * levels + b'{"name":"Bob"}' + b"]" * levels + b"}"

    world.append(nested(90))
    assert world.data == [nested(90)]
    with pytest.raises(EventRefused, match="flatter"):
        world.append(nested(300))


@pytest.mark.parametrize(
    ("subject", "fields"), [("who", ()), ("", ("a",)), ("who", ("a..b",)), ("who", ("",))]
)
def test_a_rule_that_could_seal_nothing_is_refused(subject, fields):
    with pytest.raises(ConfigurationError):
        PersonalData(subject, fields)


# Forgotten


def test_a_forgotten_subject_reads_as_null_and_all_else_is_as_before(world):
    data = b'{"who": "%b", "email": "e@example.com", "address": {"street": "x", "zip": 1.0}, "guests": [{"name": {}}]}'
    for who in (b"anna", b"bert", b"anna"):
        world.append(data % who)
    before = list(world.store.read("order-1"))
    assert world.keys.forget("anna")
    gone = (
        b'{"who": "anna", "email": null, "address": {"street": null, "zip": 1.0}, "guests": [{"name": null}]}'
    )
    assert world.data == [gone, data % b"bert", gone]
    for was, is_ in zip(before, world.store.read("order-1"), strict=True):
        assert msgspec.structs.replace(was, data=b"") == msgspec.structs.replace(is_, data=b"")


def test_after_forgetting_new_data_of_the_subject_has_another_key_and_the_old_stays_unreadable(world):
    world.append(b'{"who":"anna","email":"old"}')
    world.keys.forget("anna")
    world.append(b'{"who":"anna","email":"new"}')
    assert world.data == [b'{"who":"anna","email":null}', b'{"who":"anna","email":"new"}']
    old, new = (json.loads(raw)["email"]["$sealed"] for raw in world.raw_data)
    assert old != new


def test_a_subject_is_the_same_person_as_text_and_as_integer(world):
    world.append(b'{"who":7,"email":"a"}')
    world.append(b'{"who":"7","email":"b"}')
    world.keys.forget("7")
    assert world.data == [b'{"who":7,"email":null}', b'{"who":"7","email":null}']


def test_the_subject_itself_can_be_personal():
    world = World({"Ordered": PersonalData("email", ("email",))})
    world.append(b'{"email":"anna@example.com"}')
    assert b"anna" not in world.raw_data[0]
    world.keys.forget("anna@example.com")
    assert world.data == [b'{"email":null}']


def test_an_append_that_races_with_forgetting_is_forgotten_too_and_revives_no_key():
    class ForgetsInBetween(MemoryEventStore):
        def append(self, *args):
            world.keys.forget("anna")
            return super().append(*args)

    world = World(raw=ForgetsInBetween())
    world.append(b'{"who":"anna","email":"a"}')
    assert world.data == [b'{"who":"anna","email":null}']
    stale = json.loads(world.raw_data[0])["email"]["$sealed"]
    assert world.keys.obtain(["anna"])["anna"].id != stale
    assert world.keys.find([stale]) == {}


def test_a_rule_may_lose_a_path_and_what_was_appended_before_a_rule_stays_readable():
    raw, keys = MemoryEventStore(), MemorySubjectKeys()
    plain, sealed = b'{"who":"anna","email":"plain"}', b'{"who":"anna","email":"sealed","phone":[1]}'
    World({"Other": RULE}, raw=raw, keys=keys).append(plain)
    World({"Ordered": PersonalData("who", ("email", "phone"))}, raw=raw, keys=keys).append(sealed)
    later = World({"Ordered": PersonalData("who", ("email.local", "name"))}, raw=raw, keys=keys)
    assert later.data == [plain, sealed]
    keys.forget("anna")
    assert later.data == [plain, b'{"who":"anna","email":null,"phone":null}']


# Damaged


def test_the_cipher_seals_the_same_differently_each_time_and_opens_nothing_that_is_not_whole():
    cipher, secret, other = AesGcm(), b"k" * 32, b"o" * 32
    sealed = [cipher.seal(secret, b"text", b"context") for _ in range(100)]
    assert len({one[:12] for one in sealed}) == len({one[12:] for one in sealed}) == 100
    assert cipher.open(secret, sealed[0], b"context") == b"text"
    for key, changed, context in [
        (other, sealed[0], b"context"),
        (secret, sealed[0], b"elsewhere"),
        (secret, sealed[0][:-1], b"context"),
        (secret, b"", b"context"),
        (secret, sealed[0][:12] + sealed[1][12:], b"context"),
    ]:
        with pytest.raises(ValueError, match="changed"):
            cipher.open(key, changed, context)


def stored(world, data, **fields):
    [event] = world.raw.read("order-1", 1, 1)
    world.raw._streams["order-1"] = [msgspec.structs.replace(event, data=data, **fields)]


def test_a_sealed_value_opens_nowhere_but_in_its_field_of_its_event(world):
    world.append(b'{"who":"anna","email":"a","guests":[{"name":"b"},{"name":"c"}]}')
    [raw] = world.raw_data
    [event] = world.raw.read("order-1")
    a, (b, c) = json.loads(raw)["email"], [guest["name"] for guest in json.loads(raw)["guests"]]

    def with_(email, *names):
        guests = [{"name": name} for name in names]
        return msgspec.json.encode({"who": "anna", "email": email, "guests": guests})

    assert with_(a, b, c) == raw
    for data, fields, place in [
        (with_(b, a, c), {}, "email"),
        (with_(a, c, b), {}, "guests.0.name"),
        (with_(a, b, b), {}, "guests.1.name"),
        (raw, {"id": NewEvent("x").id}, "email"),
        (raw.replace(b"email", b"phone"), {}, "phone"),
    ]:
        stored(world, data, **fields)
        with pytest.raises(PersonalDataDamaged, match="version 1 of the stream 'order-1'") as damage:
            list(world.store.read("order-1"))
        assert (damage.value.stream, damage.value.version, damage.value.field) == ("order-1", 1, place)
    other = World({"Renamed": RULE}, raw=world.raw, keys=world.keys)
    stored(world, raw, id=event.id, type="Renamed")
    with pytest.raises(PersonalDataDamaged):
        list(other.store.read("order-1"))


def test_no_damage_to_a_sealed_value_reads_as_null_or_as_something_that_was_never_there(world):
    data = b'{"who":"anna","email":"anna@example.com"}'
    world.append(data)
    [raw] = world.raw_data
    start, damaged = raw.index(b'{"$sealed"'), 0
    for keeps_key in (True, False):
        for place in range(start, len(raw)):
            for bit in (1, 2, 64):
                stored(world, raw[:place] + bytes([raw[place] ^ bit]) + raw[place + 1 :])
                try:
                    [found] = world.data
                except PersonalDataDamaged:
                    damaged += 1
                else:
                    # The name "$sealed" itself was hit, or bits of Base64 that say nothing: then nothing is hidden.
                    whole = data if keeps_key else b'{"who":"anna","email":null}'
                    assert found == whole or found == world.raw_data[0] != raw
        world.keys.forget("anna")
    assert damaged > 600


def test_what_stands_before_the_damage_is_read(world):
    world.append(b'{"who":"anna","email":"a"}')
    world.append(b'{"who":"anna","email":"b"}')
    [first, second] = world.raw.read("order-1")
    cut = msgspec.structs.replace(second, data=second.data.replace(b'"v":"', b'"v":"AAAA'))
    world.raw._streams["order-1"] = [first, cut]
    events = world.store.read("order-1")
    assert next(events).data == b'{"who":"anna","email":"a"}'
    with pytest.raises(PersonalDataDamaged, match="version 2"):
        next(events)


# How keys are looked up


def test_keys_are_looked_up_for_many_events_at_once():
    keys = Counting()
    world = World(keys=CachedKeys(keys, clock=lambda: 0.0))
    pairs = [
        ("order-1", NewEvent("Ordered", b'{"who":%d,"email":"a"}' % (number % 50))) for number in range(200)
    ]
    world.store.import_events(pairs)
    assert len([*world.store.read_all(), *world.store.read("order-1")]) == 400
    assert sum(len(batch.events) for batch in world.store.batches(limit=30)) == 200
    assert keys.asked == [("obtain", 50), ("find", 50)]


def test_a_key_that_another_process_forgot_is_found_for_some_seconds_and_no_longer():
    now, keys = [0.0], MemorySubjectKeys()
    world = World(keys=CachedKeys(keys, clock=lambda: now[0]))
    world.append(b'{"who":"anna","email":"a"}')
    assert world.data == [b'{"who":"anna","email":"a"}']
    keys.forget("anna")  # as another process would
    now[0] = CACHE_SECONDS - 0.01
    assert world.data == [b'{"who":"anna","email":"a"}']
    now[0] = CACHE_SECONDS
    assert world.data == [b'{"who":"anna","email":null}']


def test_a_walk_that_takes_long_does_not_outlast_the_key():
    now, keys = [0.0], MemorySubjectKeys()
    world = World(keys=CachedKeys(keys, clock=lambda: now[0]))
    for _ in range(2):
        world.append(b'{"who":"anna","email":"a"}')
    walk = world.store.read("order-1")
    assert next(walk).data == b'{"who":"anna","email":"a"}'
    keys.forget("anna")
    now[0] = CACHE_SECONDS
    assert next(walk).data == b'{"who":"anna","email":null}'


def test_a_key_that_was_forgotten_here_is_found_no_more_and_writers_never_take_a_remembered_one():
    keys = MemorySubjectKeys()
    cached = CachedKeys(keys, clock=lambda: 0.0)
    old = cached.obtain(["anna"])["anna"]
    assert cached.find([old.id]) == {old.id: old}
    keys.forget("anna")
    assert cached.obtain(["anna"])["anna"].id != old.id
    assert cached.find([old.id]) == {old.id: old}
    assert cached.forget("anna")
    assert cached.find([old.id]) == {}


def test_a_look_up_that_races_with_forgetting_is_not_remembered():
    class ForgottenMeanwhile(MemorySubjectKeys):
        def find(self, ids):
            found = super().find(ids)
            cached.forget("anna")
            return found

    cached = CachedKeys(ForgottenMeanwhile(), clock=lambda: 0.0)
    key = cached.obtain(["anna"])["anna"]
    assert cached.find([key.id]) == {key.id: key}
    assert cached.find([key.id]) == {}


def test_the_age_of_what_is_remembered_counts_from_before_it_was_looked_up():
    class Slow(Counting):
        def find(self, ids):
            found = super().find(ids)
            now[0] += 3
            return found

    now, keys = [0.0], Slow()
    cached = CachedKeys(keys, clock=lambda: now[0])
    key = cached.obtain(["anna"])["anna"]
    cached.find([key.id])
    now[0] = CACHE_SECONDS
    cached.find([key.id])
    assert keys.asked == [("obtain", 1), ("find", 1), ("find", 1)]


def test_only_so_many_keys_are_remembered_and_all_that_were_asked_for_are_returned():
    now, keys = [0.0], Counting()
    cached = CachedKeys(keys, size=10, clock=lambda: now[0])
    ids = [key.id for key in cached.obtain([str(number) for number in range(30)]).values()]
    assert set(cached.find(ids)) == set(ids)
    assert len(cached._entries) == 10
    now[0] = CACHE_SECONDS
    cached.find(ids[:1])
    assert len(cached._entries) == 1


def test_a_secret_is_in_no_repr():
    key = MemorySubjectKeys().obtain(["anna"])["anna"]
    assert repr(key) == f"SubjectKey(id={key.id!r})"
    assert isinstance(key, SubjectKey)


def test_forgetting_deletes_the_key_then_waits_for_the_other_processes_then_deletes_the_snapshots():
    done = []

    class Keys(MemorySubjectKeys):
        def forget(self, subject):
            done.append(f"forget {subject}")
            return super().forget(subject)

    keys = Keys()
    keys.obtain(["anna"])
    for existed in (True, False):
        done.clear()
        found = forget_subject(
            "anna",
            keys,
            lambda: done.append("snapshots"),
            sleep=lambda seconds: done.append(f"wait {seconds}"),
        )
        assert found is existed
        assert done == ["forget anna", f"wait {CACHE_SECONDS}", "snapshots"]


# Laws

BLANK = st.sampled_from(["", "", " ", "\n\t "])
NAMES = st.sampled_from([("a", "a"), ("a", "\\u0061"), ("b", "b"), ("c", "c"), ("a.b", "a.b"), ("é", "é")])
FIELDS = st.sets(st.sampled_from(["a", "b", "c", "a.b", "a.c", "b.a", "b.b.c", "a.b.c", "é.a"]), min_size=1)
MARKED = st.text("0123456789abcdef", min_size=12, max_size=12).map(lambda text: f'"{text}"')
SCALARS = MARKED | st.sampled_from(
    [
        "null",
        "true",
        "1.10",
        "-0",
        "1e-7",
        "123456789012345678901234567890",
        '"\\u00e9\\"{["',
        '"é"',
        '"$sealed"',
    ]
)


@st.composite
def containers(draw, values):
    blank = draw(BLANK)
    parts = draw(st.lists(values, max_size=4))
    if draw(st.booleans()):
        return f"[{blank}{f'{blank},'.join(parts)}{blank}]"
    names = draw(st.lists(NAMES, min_size=len(parts), max_size=len(parts)))
    members = [
        f'{blank}"{name}"{blank}:{blank}{value}' for (_, name), value in zip(names, parts, strict=True)
    ]
    return f"{{{','.join(members)}{blank}}}"


TEXTS = st.recursive(SCALARS, containers, max_leaves=12)


def parsed(data):
    """Return JSON with the texts of its numbers, and its objects as pairs: independent of what is tested."""
    number = "number {}".format
    return json.loads(data, parse_int=number, parse_float=number, object_pairs_hook=tuple)


def shredded(value, fields, path=""):
    """Return the parsed value with null for what is personal; `ValueError` where a path does not fit."""
    if value is None or path in fields:
        return None
    if isinstance(value, list):
        return [shredded(item, fields, path) for item in value]
    if isinstance(value, tuple):
        prefix = f"{path}." if path else ""
        return tuple((name, shredded(part, fields, prefix + name)) for name, part in value)
    if any(field.startswith(f"{path}.") for field in fields):
        raise ValueError(path)
    return value


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(NAMES, TEXTS), max_size=5), FIELDS)
def test_sealing_then_revealing_changes_no_byte_and_forgetting_changes_nothing_but_the_personal(
    members, fields
):
    world = World({"Ordered": PersonalData("who", tuple(fields))})
    parts = ['"who":"anna"', *(f'"{name}" : {value}' for (_, name), value in members)]
    data = f"{{{', '.join(parts)}}}"
    try:
        expected = shredded(parsed(data), fields)
    except ValueError:
        with pytest.raises(EventRefused):
            world.append(data.encode())
        return
    world.append(data.encode())
    assert world.data == [data.encode()]
    world.keys.forget("anna")
    [left] = world.data
    assert parsed(left) == expected
    # Whatever text was in a personal value only is nowhere in what is stored.
    [raw] = world.raw_data
    for text in re.findall("[0-9a-f]{12}", data):
        assert text in left.decode() or text not in raw.decode()


def test_the_moment_and_metadata_of_a_sealed_event_stay_as_they_were(world):
    event = world.append(
        b'{"who":"anna","email":"a"}',
        schema_version=3,
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        correlation_id="run",
        causation_id="cause",
        actor="me",
    )
    [stored_] = world.store.read("order-1")
    for name in NewEvent.__struct_fields__:
        assert getattr(stored_, name) == getattr(event, name), name
