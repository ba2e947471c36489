"""A person who is forgotten: through the command line, with read models and files searched for what was personal."""

import base64
import json
import os
from uuid import uuid4

import redis

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


def test_an_event_that_could_never_be_forgotten_is_named_with_its_line_and_the_others_are_in(desk):
    (desk.folder / "pipelines.yaml").write_text(CONFIGURATION)
    (desk.folder / "mail.py").write_text(PROJECTION)
    desk.env["PIPELINES_MASTER_KEY"] = base64.b64encode(os.urandom(32)).decode()
    nobody = order(2, None, "bob@example.org")
    lines = [order(1, "ann", "ann@example.org"), nobody, order(3, "cat", "cat@example.org")]
    (desk.folder / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = desk.run("events", "load", "log.jsonl")
    assert report["appended"] == 2
    [line] = report["rejected"]
    assert (line["line"], line["field"]) == (2, "data")
    assert "never be forgotten" in line["reason"]


def test_what_is_personal_never_reaches_the_shared_cache_so_nothing_is_left_there(desk, redis_url):
    prefix = f"{uuid4()}:"
    (desk.folder / "pipelines.yaml").write_text(f"{CONFIGURATION}cache: {{prefix: '{prefix}'}}")
    (desk.folder / "mail.py").write_text(PROJECTION)
    (desk.folder / "log.jsonl").write_text(json.dumps(order(1, "ann", "ann@example.org")))
    desk.env["PIPELINES_MASTER_KEY"] = base64.b64encode(os.urandom(32)).decode()
    desk.env["PIPELINES_REDIS_URL"] = redis_url
    desk.run("events", "load", "log.jsonl")
    desk.run("project")
    assert [row["email"] for row in desk.run("show", "mail", "--limit", "9")["rows"]] == ["ann@example.org"]
    desk.run("show", "pipeline_board", "--limit", "9")
    with redis.Redis.from_url(redis_url) as server:
        names = [name.decode() for name in server.scan_iter(f"{prefix}v:*")]
        held = b"".join(part for name in names for part in server.hgetall(name).values())
    assert {name.removeprefix(prefix).split(".")[0] for name in names} == {"v:read-pipeline_board"}
    assert b"ann@example.org" not in held
    desk.run("events", "forget", "ann", "--yes")
    assert [row["email"] for row in desk.run("show", "mail")["rows"]] == [None]


def test_no_key_is_made_under_a_master_key_that_does_not_open_those_there_are(desk):
    (desk.folder / "pipelines.yaml").write_text(CONFIGURATION)
    (desk.folder / "mail.py").write_text(PROJECTION)
    right, wrong = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
    data = {customer: json.dumps(order(1, customer, "x@example.org")["data"]) for customer in ("ann", "bob")}
    append = ("events", "append")
    desk.run(*append, "order-1", "OrderPlaced", "--data", data["ann"], PIPELINES_MASTER_KEY=right)
    error = desk.run(
        *append, "order-2", "OrderPlaced", "--data", data["bob"], code=2, PIPELINES_MASTER_KEY=wrong
    )
    assert error["error"]["type"] == "ConfigurationError"
    assert desk.run("project", "mail", PIPELINES_MASTER_KEY=right)["projections"][0]["rows"] == 1
    error = desk.run("events", "forget", "ann", "--yes", code=2)["error"]
    assert "nothing was done" in error["message"]
    assert desk.run("events", "rewrap", PIPELINES_MASTER_KEY=f"{wrong},{right}")["rewrapped"] == 1
    [event] = desk.run("events", "read", "order-1", PIPELINES_MASTER_KEY=wrong)["events"]
    assert event["data"]["email"] == "x@example.org"


def test_a_rule_on_a_type_of_the_platform_is_refused(desk):
    (desk.folder / "pipelines.yaml").write_text(
        "events: {personal: {ReasoningStep: {subject: customer, fields: [state_text]}}}"
    )
    assert "type of your own" in desk.run("project", code=2)["error"]["message"]
