"""Words beside vectors: a switch in the configuration, an index that is searched by both."""

import json

import pytest

from pipelines_persistence.platform import Platform
from pipelines_persistence.settings import Settings

CONFIGURATION = """
indexes:
  handbook:
    sources: [{{name: pages, uri: docs, metadata: {{team: {team}}}}}]
    embedding: {{backend: "counting:Counting"}}
    chunking: {{tokens: 64}}
    collection: {{sparse: {sparse}, tenant: team, payload_indexes: {{ordinal: integer}}}}
"""


def configure(desk, *, sparse="bm25", team="web"):
    (desk.folder / "pipelines.yaml").write_text(CONFIGURATION.format(sparse=sparse, team=team))


def opened(desk):
    return Platform(Settings(home=desk.folder / "home", config=desk.folder / "pipelines.yaml"))


def points(desk):
    """Return the points of the live generation by text."""
    with opened(desk) as platform:
        return {point.payload["text"]: point for point in platform.store.scroll("handbook", vectors=True)}


def collection(desk):
    return desk.run("status")["indexes"][0]["collection"]


@pytest.fixture
def handbook(desk):
    for name, text in {
        "pip": "Install the package with pip, then run it.",
        "error": "The client says E4711 when the deadline is over.",
        "wait": "The client waits for the server, and waits.",
        "signs": "--- *** !!! --- and of the",
    }.items():
        desk.write(f"{name}.md", text)
    configure(desk)
    assert desk.run("ingest")["embedded"] == len(desk.embedded()) == 4
    return desk


def found(desk, question, *options):
    hits = desk.run("search", question, *options)["hits"]
    return [hit["document"].removesuffix(".md") for hit in hits]


def test_a_rare_word_is_found_by_its_letters(handbook):
    assert found(handbook, "E4711", "--mode", "sparse") == ["error"]
    assert found(handbook, "E4711", "--limit", "1") == ["error"]
    assert len(found(handbook, "E4711", "--mode", "dense")) == 4


def test_a_second_run_is_in_step_and_writes_nothing(handbook):
    report = handbook.run("ingest")
    assert (report["documents"]["unchanged"], report["chunks"], report["embedded"]) == (4, 0, 0)
    assert handbook.run("plan")["chunks"] == 0


def test_switching_words_on_and_off_builds_a_generation_and_embeds_nothing(handbook):
    first = collection(handbook)
    for sparse in ("none", "bm25"):
        configure(handbook, sparse=sparse)
        before = collection(handbook)
        report = handbook.run("ingest")
        assert (report["embedded"], report["points"]) == (0, 4)
        assert handbook.embedded() == []
        assert collection(handbook) != before
        assert {bool(point.sparse) for point in points(handbook).values()} == {sparse == "bm25"}
    assert collection(handbook) != first
    assert found(handbook, "E4711", "--mode", "sparse") == ["error"]


def test_words_that_are_switched_off_cannot_be_asked_for(handbook):
    configure(handbook, sparse="none")
    handbook.run("ingest")
    error = handbook.run("search", "E4711", "--mode", "sparse", code=2)
    assert "sparse: bm25" in json.dumps(error)
    assert len(found(handbook, "E4711")) == 4


def test_other_metadata_sends_no_vector_and_leaves_the_words(handbook):
    before = points(handbook)
    configure(handbook, team="docs")
    report = handbook.run("ingest")
    assert (report["documents"]["changed"], report["embedded"]) == (4, 0)
    after = points(handbook)
    assert {point.payload["metadata"]["team"] for point in after.values()} == {"docs"}
    assert {text: point.sparse for text, point in after.items()} == {
        text: p.sparse for text, p in before.items()
    }


def test_points_that_were_lost_come_back_with_their_words(handbook):
    with opened(handbook) as platform:
        platform.store.delete("handbook", [point.id for point in platform.store.scroll("handbook")][:3])
    report = handbook.run("ingest")
    assert (report["points"], report["embedded"]) == (4, 0)
    assert found(handbook, "E4711", "--mode", "sparse") == ["error"]
    assert len(points(handbook)) == 4


def test_a_filter_and_values_are_asked_for_together(handbook):
    where = ["--where", "team=web"]
    json_filter = json.dumps({"must_not": [{"key": "document", "match": {"any": ["wait.md", "signs.md"]}}]})
    assert set(found(handbook, "client", *where, "--filter", json_filter)) == {"pip", "error"}
    assert found(handbook, "client", "--where", "team=other", "--filter", json_filter) == []
    late = json.dumps({"must": [{"key": "ordinal", "range": {"gte": 1}}]})
    assert found(handbook, "client", "--filter", late) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ('{"must": [{"key": "ordinal", "range": {"from": 3}}]}', "--filter: must[0].range: 'from'"),
        ('{"must": [{"key": "ordinal", "match": {"value": 99999999999999999999}}]}', "64 bits"),
        ('{"must": [{"has_id": ["one"]}]}', "UUID"),
    ],
)
def test_a_filter_that_is_none_says_where(handbook, text, words):
    assert words in json.dumps(handbook.run("search", "client", "--filter", text, code=2))
