"""What happens when a vector store is not ours alone: another home, a lost alias, a changed number of shards."""

import pytest

from pipelines_persistence.configuration import IndexConfig
from pipelines_persistence.errors import AliasTaken, ConfigurationError, IndexNotFound, StoreUnavailable
from pipelines_persistence.health import diagnose
from pipelines_persistence.platform import Platform
from pipelines_persistence.settings import Settings
from tests.wire_double import WireDouble
from tests.wire_double.faults import Fault


@pytest.fixture
def double():
    with WireDouble() as double:
        yield double


@pytest.fixture
def home(tmp_path, double):
    """Return a function that opens a platform with a home of its own over the same server."""
    (tmp_path / "pipelines.yaml").write_text(
        "events: {}\ncache: {backend: none}\nresilience: {vector_store: {retry: {attempts: 3, wait: 0.01}}}\n"
    )

    def open_home(name):
        return Platform(
            Settings(home=tmp_path / name, config=tmp_path / "pipelines.yaml", qdrant_url=double.url)
        )

    return open_home


def config(folder, count, **collection):
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{number}.md").write_text(f"# Pump {number}\n\nIt is cleaned on Mondays.")
    content = {
        "sources": [{"name": "docs", "uri": str(folder)}],
        "embedding": {"backend": "hash"},
        "collection": collection,
    }
    return IndexConfig.model_validate(content)


def test_another_home_does_not_take_an_alias_unless_it_is_told_to(home, tmp_path):
    ours, theirs = config(tmp_path / "ours", 3), config(tmp_path / "theirs", 1)
    with home("a") as mine, home("b") as other:
        mine.engine("docs", ours).ingest()
        with pytest.raises(AliasTaken, match=r"names 'docs-g1-\w+', which this home's ledger does not know"):
            other.engine("docs", theirs).ingest()
        assert other.ledger.live("docs") is None
        assert len(mine.searcher.search("which pump?", "docs", limit=10)) == 3
        other.engine("docs", theirs).ingest(take_over=True)
        with pytest.raises(IndexNotFound, match="another home keeps an index of that name"):
            mine.searcher.search("which pump?", "docs")
        other.engine("docs", theirs).ingest()  # it is its own now


def test_an_alias_that_is_gone_is_told_by_search_and_doctor_and_put_back(home, tmp_path, double):
    with home("a") as mine:
        engine = mine.engine("docs", config(tmp_path / "docs", 3))
        engine.ingest()
        double.engine.aliases.clear()
        with pytest.raises(IndexNotFound, match="has no alias 'docs' any more"):
            mine.searcher.search("which pump?", "docs")
        [seen] = [check for check in diagnose(mine) if check["name"].startswith("collection")]
        assert (seen["status"], "`pipelines ingest docs` mends that" in seen["detail"]) == ("failed", True)
        engine.ingest()
        assert mine.searcher.search("which pump?", "docs")


def test_another_number_of_shards_is_another_generation_and_other_tuning_is_told_by_the_plan(home, tmp_path):
    with home("a") as mine:
        first = mine.engine("docs", config(tmp_path / "docs", 3)).ingest()
        tuned = mine.engine("docs", config(tmp_path / "docs", 3, quantization="int8", on_disk=True))
        assert tuned.plan().notice == "the collection is changed in place: quantization, on_disk"
        assert tuned.ingest().collection == first.collection
        assert tuned.plan().notice == ""
        sharded = mine.engine("docs", config(tmp_path / "docs", 3, shards=2))
        assert sharded.plan().documents["added"] == 3
        second = sharded.ingest()
        assert (second.collection != first.collection, second.embedded, second.points) == (True, 0, 3)


def test_a_search_spends_its_attempts_once(home, tmp_path, double):
    with home("a") as mine:
        mine.engine("docs", config(tmp_path / "docs", 3)).ingest()
        double.faults.plan(Fault(status="UNAVAILABLE"))
        before = mine.guards["vector_store"].state().failures
        with pytest.raises(StoreUnavailable):
            mine.searcher.search("which pump?", "docs")
        assert mine.guards["vector_store"].state().failures - before == 3


@pytest.mark.parametrize("question", ["", "  \n"])
def test_an_empty_question_has_no_answer(home, tmp_path, question):
    with home("a") as mine:
        mine.engine("docs", config(tmp_path / "docs", 1)).ingest()
        with pytest.raises(ConfigurationError, match="the question is empty"):
            mine.searcher.search(question, "docs")
