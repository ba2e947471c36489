"""One suite for the `SubjectKeys` port: memory, SQLite, PostgreSQL, each also behind a cache; and what only a database has."""

import base64
import os
import shlex
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipelines_persistence.adapters.aes import AesGcm, MasterKeys
from pipelines_persistence.adapters.memory_subject_keys import MemorySubjectKeys
from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_schema import subject_keys
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.subject_keys import SqlSubjectKeys
from pipelines_persistence.errors import ConfigurationError, DatabaseUnavailable
from pipelines_persistence.events import Expected, NewEvent, decode
from pipelines_persistence.events.personal import CachedKeys, PersonalData, PersonalDataStore

SQL = ["sqlite", "postgres"]


def master():
    return base64.b64encode(os.urandom(32)).decode()


class Home:
    """A place where keys are kept, which several processes open."""

    def __init__(self, url):
        self.master = master()
        self.url = url
        self.memory = MemorySubjectKeys()
        self.engines = []

    def engine(self):
        self.engines.append(open_database(self.url))
        return self.engines[-1]

    def open(self, keys=None):
        if self.url is None:
            return self.memory
        return SqlSubjectKeys(self.engine(), MasterKeys(self.master if keys is None else keys))

    def rows(self):
        with self.engine().connect() as connection:
            return connection.execute(subject_keys.select().order_by(subject_keys.c.subject)).all()


@pytest.fixture(params=["memory", *SQL])
def home(request):
    url = None if request.param == "memory" else request.getfixturevalue(f"{request.param}_url")
    home = Home(url)
    yield home
    for engine in home.engines:
        engine.dispose()


@pytest.fixture(params=["plain", "cached"])
def keys(request, home):
    return CachedKeys(home.open()) if request.param == "cached" else home.open()


only_sql = pytest.mark.parametrize("home", SQL, indirect=True)
only_sqlite = pytest.mark.parametrize("home", ["sqlite"], indirect=True)


# The port


def test_a_subject_has_one_key_which_is_found_by_its_id(keys, home):
    made = keys.obtain(["anna", "bert"])
    assert keys.obtain(["anna"]) == {"anna": made["anna"]}
    assert len({key.id for key in made.values()}) == len({key.secret for key in made.values()}) == 2
    assert all(len(key.secret) == 32 for key in made.values())
    ids = {key.id: key for key in made.values()}
    assert keys.find([*ids, "00000000-0000-0000-0000-000000000000"]) == ids
    assert home.open().find(list(ids)) == ids
    assert keys.find([]) == keys.obtain([]) == {}


def test_a_forgotten_key_is_gone_and_the_next_one_is_another(keys):
    old = keys.obtain(["anna", "bert"])
    assert keys.forget("anna") is True
    assert keys.forget("anna") is keys.forget("nobody") is False
    assert keys.find([key.id for key in old.values()]) == {old["bert"].id: old["bert"]}
    new = keys.obtain(["anna"])["anna"]
    assert new.id != old["anna"].id
    assert new.secret != old["anna"].secret
    assert keys.find([old["anna"].id]) == {}


def test_many_subjects_and_strange_names_are_kept_apart(keys):
    subjects = ["a", "A", "ä", " a", "a'--", "\U0001f600", *(f"s-{number}" for number in range(1200))]
    made = keys.obtain(subjects)
    assert set(made) == set(subjects)
    ids = {key.id: key for key in made.values()}
    assert len(ids) == len(subjects)
    assert keys.find(list(ids)) == ids


def test_processes_that_make_a_subjects_key_at_the_same_time_get_the_same_one(home):
    openers = [home.open() for _ in range(6)]
    for round_ in range(5):
        subjects = [f"{round_}-{number}" for number in range(20)]
        barrier = threading.Barrier(len(openers))

        def obtain(keys, wanted, barrier=barrier):
            barrier.wait()
            return keys.obtain(wanted)

        with ThreadPoolExecutor(len(openers)) as pool:
            orders = [subjects, subjects[::-1]] * 3
            made = list(pool.map(obtain, openers, orders))
        assert all(one == made[0] for one in made)
        assert home.open().obtain(subjects) == made[0]


def test_no_writer_revives_a_key_that_another_process_forgets_meanwhile(home):
    seen, stop = [], threading.Event()

    def obtain():
        keys = home.open()
        while not stop.is_set():
            seen.append(keys.obtain(["anna"])["anna"].id)

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(obtain) for _ in range(3)]
        forgetful = home.open()
        forgotten = set()
        for _ in range(15):
            known = len(forgotten)
            while not set(seen) - forgotten:
                assert not any(writer.done() for writer in writers)
                time.sleep(0.001)
            before = set(seen)
            forgetful.forget("anna")
            forgotten |= before
            assert forgetful.find(list(before)) == {}
            assert len(forgotten) > known
        stop.set()
    for writer in writers:
        writer.result()
    assert home.open().find(list(forgotten)) == {}


# The master key


@only_sql
def test_a_key_stands_wrapped_in_the_database(home):
    secret = home.open().obtain(["anna"])["anna"].secret
    [row] = home.rows()
    assert secret not in row.secret


@only_sql
def test_without_a_master_key_nothing_is_sealed_and_the_error_says_how_to_make_one(home):
    keys = home.open("")
    with pytest.raises(ConfigurationError, match="PIPELINES_MASTER_KEY is not set") as refusal:
        keys.obtain(["anna"])
    assert home.rows() == []
    [command] = [line.strip() for line in str(refusal.value).splitlines() if line.startswith(" ")]
    program, *arguments = shlex.split(command)
    assert program == "python"
    made = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout
    assert home.open(made).obtain(["anna"])


@only_sql
def test_without_a_master_key_a_subject_can_be_forgotten_and_what_is_gone_is_known_to_be_gone(home):
    old = home.open().obtain(["anna", "bert"])
    keys = home.open("")
    assert keys.forget("anna")
    assert keys.find([old["anna"].id]) == {}
    with pytest.raises(ConfigurationError, match="is not set"):
        keys.find([old["bert"].id])


@only_sql
def test_a_wrong_master_key_is_an_error_that_shows_no_key(home):
    old = home.open().obtain(["anna"])["anna"]
    wrong = master()
    for attempt in (lambda keys: keys.find([old.id]), lambda keys: keys.obtain(["anna"])):
        with pytest.raises(ConfigurationError, match="does not open") as refusal:
            attempt(home.open(wrong))
        for secret in (wrong, home.master, repr(old.secret), old.secret.hex()):
            assert (
                secret not in f"{refusal.value!r} {refusal.value.__cause__!r} {refusal.value.__context__!r}"
            )
    assert home.open().find([old.id]) == {old.id: old}


@only_sql
def test_a_new_master_key_before_the_old_one_opens_everything_and_rewrapping_makes_the_old_one_needless(home):
    new, subjects = master(), [f"s-{number}" for number in range(700)]
    made = home.open().obtain(subjects)
    both = home.open(f"{new},{home.master}")
    made |= both.obtain(["late"])
    ids = {key.id: key for key in made.values()}
    assert both.find(list(ids)) == ids
    assert home.open(new).find([made["late"].id])
    with pytest.raises(ConfigurationError):
        home.open(new).find(list(ids))
    assert both.rewrap() == 700
    assert home.open(new).find(list(ids)) == ids
    assert both.rewrap() == 0


@only_sql
def test_a_wrapped_key_belongs_to_its_row(home):
    made = home.open().obtain(["anna", "bert"])
    secrets = [row.secret for row in home.rows()]
    with home.engine().begin() as connection:
        update = subject_keys.update().where(subject_keys.c.subject == "anna").values(secret=secrets[1])
        connection.execute(update)
    with pytest.raises(ConfigurationError):
        home.open().find([made["anna"].id])


@pytest.mark.parametrize(
    "text", ["not Base64!", "AAAA", "é" * 44, base64.b64encode(b"k" * 31).decode(), f"{master()};"]
)
def test_a_malformed_master_key_is_refused_and_not_shown(text):
    for given in (text, f"{master()}, {text}"):
        with pytest.raises(ConfigurationError, match="no list of keys") as refusal:
            MasterKeys(given)
        assert text not in str(refusal.value)
        assert refusal.value.__context__ is None


def test_master_keys_are_in_no_repr():
    text = master()
    shown = repr(MasterKeys(text))
    assert text not in shown
    assert repr(base64.b64decode(text)) not in shown


@only_sql
def test_keys_and_events_share_a_database_and_forgetting_leaves_the_streams_as_they_are(home):
    engine = home.engine()
    keys = CachedKeys(SqlSubjectKeys(engine, MasterKeys(home.master)))
    store = PersonalDataStore(
        SqlEventStore(engine), {"Ordered": PersonalData("who", ("email",))}, keys, AesGcm()
    )
    pairs = [
        ("order-1", NewEvent.of("Ordered", {"who": number % 3, "email": f"{number}@example.com"}))
        for number in range(9)
    ]
    store.import_events(pairs)
    assert [event.data for event in store.read("order-1")] == [event.data for _, event in pairs]
    assert keys.forget("1")
    emails = [decode(event.data)["email"] for event in store.read_all()]
    assert emails == [None if number % 3 == 1 else f"{number}@example.com" for number in range(9)]
    assert [event.version for event in store.read("order-1")] == list(range(1, 10))


# What lies in the files


def files(url):
    database = Path(sa.make_url(url).database)
    paths = [Path(f"{database}{end}") for end in ("", "-wal", "-shm")]
    return b"".join(path.read_bytes() for path in paths if path.exists())


@only_sqlite
def test_no_file_of_the_database_holds_the_personal_text_and_every_other_text_is_there(home):
    rules = {"Ordered": PersonalData("who", ("email", "address.street"))}
    store = PersonalDataStore(SqlEventStore(home.engine()), rules, home.open(), AesGcm())
    value = {
        "who": "anna",
        "email": "anna@example.com",
        "address": {"street": "Elm Street 1", "zip": "ZIP-98"},
    }
    event = NewEvent.of("Ordered", value)
    store.append("order-1", [event], Expected.NO_STREAM)
    store.import_events([("order-2", NewEvent.of("Ordered", value))])
    content = files(home.url)
    assert b"ZIP-98" in content
    assert b"anna@example.com" not in content
    assert b"Elm Street 1" not in content
    assert [stored.data for stored in store.read("order-1")] == [event.data]


@only_sqlite
def test_no_file_of_the_database_holds_a_key_that_was_forgotten(home):
    engine = home.engine()

    @sa.event.listens_for(engine, "checkout")
    def _as_many_builds_do(connection, _record, _proxy):
        connection.execute("PRAGMA secure_delete = OFF")

    keys = SqlSubjectKeys(engine, MasterKeys(home.master))
    for number in range(120):
        keys.obtain([f"s-{number * 7919 % 120}"])
    rows = home.rows()
    gone, kept = rows[::3], [row for row in rows if row not in rows[::3]]
    assert all(row.secret in files(home.url) for row in gone)
    for row in gone:
        keys.forget(row.subject)
    content = files(home.url)
    assert not any(row.secret in content or row.id.encode() in content for row in gone)
    assert all(row.secret in content for row in kept)


@only_sqlite
def test_forgetting_while_someone_reads_says_that_it_has_to_be_repeated(home):
    engine = home.engine()

    @sa.event.listens_for(engine, "checkout")
    def _in_no_mood_to_wait(connection, _record, _proxy):
        connection.execute("PRAGMA busy_timeout = 20")

    keys = SqlSubjectKeys(engine, MasterKeys(home.master))
    key = keys.obtain(["anna"])["anna"]
    reader = home.engine().connect().execution_options(sqlite_begin="DEFERRED")
    with reader:
        reader.execute(subject_keys.select()).all()
        with pytest.raises(DatabaseUnavailable, match="again"):
            keys.forget("anna")
        assert keys.find([key.id]) == {}
    assert keys.forget("anna") is False
