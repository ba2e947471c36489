"""Personal data in units of work: sealed on its way into the log, and its keys stand or fall with the events."""

import base64
import os
from contextlib import ExitStack

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from pipelines_persistence.errors import ConfigurationError, EventRefused
from pipelines_persistence.eventing import Eventing
from pipelines_persistence.events import Expected, NewEvent
from pipelines_persistence.repositories import field
from pipelines_persistence.settings import Settings
from tests.moving import ACCOUNTS, Account

CONFIGURATION = """
indexes: {docs: {sources: [{name: docs, uri: docs}]}}
events: {personal: {Placed: {subject: customer, fields: [email]}}}
"""
PLACED = {"customer": "c-1", "email": "zoe@example.org"}


@pytest.fixture(params=["sqlite", "postgres"])
def eventing(request, tmp_path):
    (tmp_path / "pipelines.yaml").write_text(CONFIGURATION)
    settings = Settings(
        home=tmp_path / "home",
        config=tmp_path / "pipelines.yaml",
        database_url=SecretStr(request.getfixturevalue(f"{request.param}_url").replace("+psycopg", "")),
        master_key=SecretStr(base64.b64encode(os.urandom(32)).decode()),
    )
    with ExitStack() as exits:
        eventing = Eventing(settings, exits)
        eventing.units.open(ACCOUNTS)
        yield eventing


def place(work):
    work.repository(ACCOUNTS).add(Account("c-1", 1))
    work.events.append("order-1", [NewEvent.of("Placed", PLACED)], Expected.NO_STREAM)
    return [event.data for event in work.events.read("order-1")]


def held(eventing, query):
    with eventing.database.connect() as connection:
        return connection.execute(sa.text(query)).scalars().all()


def test_what_is_personal_is_sealed_and_read_in_the_clear_by_the_unit_and_after_it(eventing):
    [within] = eventing.units.run(place)
    [after] = eventing.store.read("order-1")
    assert b"zoe@example.org" in within
    assert within == after.data
    assert not any(b"zoe" in bytes(data) for data in held(eventing, "SELECT data FROM events"))


def test_a_key_that_was_made_in_a_unit_that_failed_is_remembered_by_nobody(eventing):
    def fail(work):
        place(work)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        eventing.units.run(fail)
    assert held(eventing, "SELECT id FROM subject_keys") == []
    eventing.units.run(place)
    [event] = eventing.store.read("order-1")
    assert b"zoe@example.org" in event.data


def test_personal_data_without_a_subject_is_refused_and_the_row_with_it(eventing):
    def nameless(work):
        work.repository(ACCOUNTS).add(Account("c-1"))
        work.events.append("order-1", [NewEvent.of("Placed", {"email": "zoe@example.org"})], Expected.ANY)

    with pytest.raises(EventRefused):
        eventing.units.run(nameless)
    assert eventing.units.repository(ACCOUNTS).count() == 0


def test_read_models_see_what_a_unit_has_appended_and_are_asked_by_name(eventing):
    eventing.units.run(place)
    with pytest.raises(ConfigurationError, match="stream_summary was never built"):
        eventing.read_model("stream_summary")
    eventing.runner.run(eventing.projection("stream_summary").projection)
    board = eventing.read_model("stream_summary")
    assert board.get("order-1").last_type == "Placed"
    assert board.count(field("category").in_(["order"]) & (field("events") > 1)) == 0
