from pathlib import Path

import pytest

from pipelines_persistence.configuration import CollectionConfig
from pipelines_persistence.errors import ConfigurationError, StorageError
from pipelines_persistence.schema import json_schema, reference
from pipelines_persistence.settings import Settings, load_configuration

ROOT = Path(__file__).parents[2]

VALID = """\
indexes:
  handbook:
    sources:
      - name: pages
        uri: docs/
    embedding:
      backend: hash
"""


def load(tmp_path, text):
    path = tmp_path / "pipelines.yaml"
    path.write_text(text, encoding="utf-8")
    return load_configuration(path)


def complaint(tmp_path, text):
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    return str(caught.value)


def test_the_shipped_configuration_loads():
    assert load_configuration(ROOT / "pipelines.yaml").indexes


def test_the_shipped_schema_and_reference_are_those_of_the_model():
    assert (ROOT / "docs" / "pipelines.schema.json").read_text(encoding="utf-8") == json_schema()
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == reference()


def test_a_payload_index_on_a_metadata_key_stands_where_the_metadata_is():
    indexes = (
        CollectionConfig(payload_indexes={"document": "keyword", "team": "keyword"}).spec(3).payload_indexes
    )
    assert indexes == {"document": "keyword", "metadata.team": "keyword"}


def test_what_is_left_out_has_its_default(tmp_path):
    index = load(tmp_path, VALID).indexes["handbook"]
    assert index.sources[0].include == ("**/*",)
    assert index.collection.payload_indexes == {"document": "keyword", "source": "keyword"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("backend: hash", "backand: hash", [":7: indexes.handbook.embedding", "did you mean 'backend'?"]),
        (
            "backend: hash",
            "backend: openvino2",
            [":7: indexes.handbook.embedding.backend", "openvino", "module:attribute"],
        ),
        (
            "uri: docs/",
            "url: docs/",
            [":4: indexes.handbook.sources.0", "(key 'uri')", "did you mean 'uri'?"],
        ),
        ("name: pages", "name: My Pages", [":4: indexes.handbook.sources.0.name", "'My Pages'"]),
        (
            "    embedding:",
            "    chunking: {tokens: few}\n    embedding:",
            [":6: indexes.handbook.chunking.tokens", "'few'"],
        ),
        ("    embedding:", "    chunking: {tokens: 32, overlap: 20}\n    embedding:", ["at most half"]),
        ("  handbook:", "  Hand book:", [":2: indexes", "Hand book"]),
        ("sources:\n", "sources: []\n    x:\n", [":3: indexes.handbook.sources", "at least 1 item"]),
        ("indexes:", "indices:", [":1: ", "unknown key", "did you mean 'indexes'?"]),
        (
            "backend: hash",
            "backend: hash\n      backend: openvino",
            [":8: backend: given twice, first in line 7"],
        ),
        ("backend: hash", "backend: [hash", ["no valid YAML"]),
        (
            "    sources:",
            "    schedule: 0 25 * * *\n    sources:",
            [":3: indexes.handbook.schedule", "'25' is no hour"],
        ),
        (
            "    embedding:",
            "    collection: {payload_indexes: {'': keyword}}\n    embedding:",
            [":6: indexes.handbook.collection.payload_indexes", "'' is no key"],
        ),
        (
            "    embedding:",
            "    collection: {payload_indexes: {'a\"b': keyword}}\n    embedding:",
            [":6: indexes.handbook.collection.payload_indexes", "is no key", "renamed"],
        ),
        (
            "    embedding:",
            "    collection: {tenant: a..b}\n    embedding:",
            [":6: indexes.handbook.collection.tenant", "'a..b' is no key"],
        ),
        (
            "    sources:",
            "    schedule: nightly\n    sources:",
            [":3: indexes.handbook.schedule", "five fields"],
        ),
        ("    sources:", "    owners: [me]\n    sources:", [":3: indexes.handbook.owners.0", "'me'"]),
        (
            "    sources:",
            "    sources: &s [{name: a, uri: b}]\n  hand-book:\n    sources: *s\n  hand_book:\n    sources:",
            ["differ"],
        ),
    ],
)
def test_a_wrong_key_or_value_names_file_line_path_and_remedy(tmp_path, old, new, expected):
    message = complaint(tmp_path, VALID.replace(old, new, 1))
    assert str(tmp_path / "pipelines.yaml") in message
    for part in expected:
        assert part in message


@pytest.mark.parametrize("cron", ["0 3 * * *", "*/15 8-18 * * mon-fri", "0,30 * 1 1-6 0", "@daily"])
def test_cron_expressions_are_taken_as_they_are(tmp_path, cron):
    text = VALID.replace("    sources:", f"    schedule: '{cron}'\n    sources:")
    assert load(tmp_path, text).indexes["handbook"].schedule == cron


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("2024-05-01", "put quotes around the date"),
        ("2024-05-01T10:00:00Z", "put quotes around the date"),
        ("[2024-05-01, 2024-05-02]", "put quotes around the date"),
        ("{a: 1}", "expected a text, a number"),
        ("[1, a]", "a list of texts or of numbers"),
        ("null", "expected a text, a number"),
        (".nan", "expected a text, a number"),
    ],
)
def test_metadata_of_no_type_is_refused_in_one_line(tmp_path, value, words):
    message = complaint(
        tmp_path, VALID.replace("uri: docs/", f"uri: docs/\n        metadata: {{when: {value}}}")
    )
    assert len(message.splitlines()) == 1
    assert ":6: indexes.handbook.sources.0.metadata.when: " in message
    assert words in message


def test_metadata_keeps_its_types(tmp_path):
    given = "{a: '2024-05-01', b: 1, c: 1.5, d: true, e: [x, y], f: [1, 2], g: [0.5, 1.5]}"
    text = VALID.replace("uri: docs/", f"uri: docs/\n        metadata: {given}")
    metadata = load(tmp_path, text).indexes["handbook"].sources[0].metadata
    assert metadata == {
        "a": "2024-05-01",
        "b": 1,
        "c": 1.5,
        "d": True,
        "e": ["x", "y"],
        "f": [1, 2],
        "g": [0.5, 1.5],
    }
    assert metadata["d"] is True


def test_a_date_where_a_text_belongs_is_told_to_be_quoted(tmp_path):
    message = complaint(tmp_path, VALID.replace("    sources:", "    description: 2024-05-01\n    sources:"))
    assert "the date 2024-05-01: put quotes around it" in message


def test_two_sources_of_one_name_are_refused(tmp_path):
    doubled = VALID.replace("uri: docs/\n", "uri: docs/\n      - name: pages\n        uri: more/\n")
    assert "two sources are named 'pages'" in complaint(tmp_path, doubled)


def test_all_mistakes_are_told_at_once(tmp_path):
    message = complaint(tmp_path, VALID.replace("uri: docs/", "url: docs/").replace("backend:", "backand:"))
    assert len(message.splitlines()) == 3


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(ConfigurationError, match="PIPELINES_CONFIG"):
        load_configuration(tmp_path / "nowhere.yaml")


def test_an_empty_file_is_told_to_be_empty(tmp_path):
    assert "pipelines.yaml:1" in complaint(tmp_path, "")


def test_a_home_that_cannot_be_written_is_a_clear_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with pytest.raises(StorageError, match="PIPELINES_HOME"):
        Settings(home=blocked / "home").home_directory()


def test_the_environment_names_home_and_configuration(tmp_path, monkeypatch):
    monkeypatch.setenv("PIPELINES_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINES_CONFIG", str(tmp_path / "p.yaml"))
    assert Settings().home_directory() == tmp_path / "home"
    assert Settings().config == tmp_path / "p.yaml"
    assert list((tmp_path / "home").iterdir()) == []


def test_a_file_may_have_events_alone_but_not_nothing(tmp_path):
    assert load(tmp_path, "events: {inbox: [inbox]}").indexes == {}
    assert "nothing is configured" in complaint(tmp_path, "indexes: {}")


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ("{inbx: [a]}", "events.inbx: unknown key; did you mean 'inbox'?"),
        ("{inbox: [a, a/]}", "an inbox is named twice"),
        ("{projections: {Loud: {}}}", "events.projections.Loud"),
        ("{projections: {mine: {projection: nowhere}}}", "is no import path"),
        ("{snapshots: {every: 0}}", "events.snapshots.every"),
        ("{personal: {Placed: {subject: a}}}", "events.personal.Placed: Field required (key 'fields')"),
        ("{redis: {streams: []}}", "events.redis.streams"),
        ("{schedule: nightly}", "is no cron expression"),
    ],
)
def test_a_mistake_in_the_events_is_named_with_its_place(tmp_path, events, message):
    assert message in complaint(tmp_path, f"events: {events}")
