"""A person who is forgotten: through the command line, with read models and files searched for what was personal."""

import base64
import json
import os

CONFIGURATION = """
indexes: {docs: {sources: [{name: docs, uri: docs}]}}
events:
  personal:
    OrderPlaced: {subject: customer, fields: [email, address.street]}
  projections:
    mail: {projection: "mail:Mail"}
"""
PROJECTION = """
import msgspec
from pipelines_persistence.events import decode
from pipelines_persistence.projections import Projection, Table, on

class Letter(msgspec.Struct):
    stream: str
    email: str | None
    total: int

class Mail(Projection):
    name = "mail"
    tables = (Table(Letter, key=["stream"]),)

    @on("OrderPlaced")
    def placed(self, event, models):
        data = decode(event.data)
        models[Letter].put(Letter(event.stream, data["email"], data["total"]))
"""


def order(number, customer, email):
    data = {
        "customer": customer,
        "email": email,
        "address": {"street": "Elm Street 7", "city": "Bonn"},
        "total": number,
    }
    return {
        "stream_id": f"order-{number}",
        "event_type": "OrderPlaced",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": data,
    }


def stored(desk):
    return b"".join(path.read_bytes() for path in (desk.folder / "home").glob("events.sqlite*"))


def test_what_was_personal_of_one_who_is_forgotten_is_nowhere_and_all_else_stays(desk):
    (desk.folder / "pipelines.yaml").write_text(CONFIGURATION)
    (desk.folder / "mail.py").write_text(PROJECTION)
    orders = [order(1, "ann", "ann@example.org"), order(2, "bob", "bob@example.org")]
    (desk.folder / "log.jsonl").write_text("\n".join(map(json.dumps, orders)))
    error = desk.run("events", "load", "log.jsonl", code=2)["error"]
    assert "PIPELINES_MASTER_KEY" in error["message"]
    desk.env["PIPELINES_MASTER_KEY"] = base64.b64encode(os.urandom(32)).decode()
    assert desk.run("events", "load", "log.jsonl")["appended"] == 2
    assert b"@example.org" not in stored(desk)
    assert b"Elm Street" not in stored(desk)
    desk.run("project")
    assert {row["email"] for row in desk.run("show", "mail")["rows"]} == {
        "ann@example.org",
        "bob@example.org",
    }

    answer = desk.run("events", "forget", "ann", "--yes")

    assert (answer["existed"], "mail" in answer["rebuilt"]) == (True, True)
    rows = {row["stream"]: (row["email"], row["total"]) for row in desk.run("show", "mail")["rows"]}
    assert rows == {"order-1": (None, 1), "order-2": ("bob@example.org", 2)}
    [event] = desk.run("events", "read", "order-1")["events"]
    assert event["data"] == {
        "customer": "ann",
        "email": None,
        "address": {"street": None, "city": "Bonn"},
        "total": 1,
    }
    error = desk.run("project", "mail", "--rollback", code=2)["error"]
    assert "no previous build" in error["message"]
    assert desk.run("events", "load", "log.jsonl")["duplicates"] == 2
