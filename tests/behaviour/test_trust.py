"""No hole, no silent loss: failures, deletions that look like accidents, changed configurations, lost points."""

import shutil
import time
from pathlib import Path

from pipelines_persistence.platform import Platform
from pipelines_persistence.records import Points
from pipelines_persistence.settings import Settings


def fill(desk, count):
    for n in range(count):
        desk.write(f"{n:03}.md", f"# Document {n}\n\nThis is text number {n}.")


def test_a_document_that_cannot_be_embedded_fails_alone_and_keeps_its_last_good_version(desk):
    fill(desk, 5)
    desk.ingest()
    good = desk.audit()
    desk.write("001.md", "# Document 1\n\nPOISON")
    desk.write("new.md", "POISON too")
    desk.write("002.md", "# Document 2\n\nA better text.")
    report = desk.ingest()
    assert (report["documents"]["failed"], report["documents"]["changed"]) == (2, 1)
    assert {failure["document"] for failure in report["failures"]} == {"001.md", "new.md"}
    assert all("poisoned" in failure["reason"] for failure in report["failures"])
    texts = desk.audit()
    assert texts["001.md"] == good["001.md"]
    assert "better" in texts["002.md"][0]
    desk.write("001.md", "# Document 1\n\nHealed.")
    assert desk.ingest()["documents"] | {"unchanged": 0} == {
        **dict.fromkeys(report["documents"], 0),
        "changed": 1,
        "failed": 1,
    }


def test_an_embedder_that_never_works_fails_the_run_and_blames_no_document(desk):
    desk.write("a.md", "POISON one")
    desk.write("b.md", "POISON two")
    assert desk.ingest(code=1)["error"]["type"] == "EmbeddingError"
    desk.write("a.md", "good")
    desk.write("b.md", "good too")
    assert desk.ingest()["documents"]["added"] == 2


def test_a_listing_that_comes_back_empty_deletes_nothing_until_someone_approves(desk):
    fill(desk, 30)
    desk.ingest()
    shutil.rmtree(desk.docs)
    desk.docs.mkdir()
    report = desk.ingest()
    assert (report["documents"]["withheld"], report["documents"]["deleted"], report["points"]) == (30, 0, 30)
    assert "--approve-deletions 30" in report["notice"]
    assert desk.ingest("--approve-deletions", "29")["points"] == 30
    report = desk.ingest("--approve-deletions", "30")
    assert (report["documents"]["deleted"], report["points"]) == (30, 0)


def test_files_that_are_all_emptied_at_once_lose_nothing_until_someone_approves(desk):
    fill(desk, 30)
    desk.ingest()
    for path in desk.docs.iterdir():
        path.write_text("")
    assert desk.ingest()["points"] == 30
    assert desk.ingest("--approve-deletions", "30")["points"] == 0


def test_additions_apply_while_deletions_are_withheld(desk):
    fill(desk, 30)
    desk.ingest()
    shutil.rmtree(desk.docs)
    desk.write("new.md", "# New\n\nIt is in.")
    report = desk.ingest()
    assert (report["documents"]["added"], report["documents"]["withheld"]) == (1, 30)
    assert "new.md" in desk.audit()


def test_a_missing_source_fails_the_run_and_deletes_nothing(desk):
    fill(desk, 3)
    desk.ingest()
    shutil.rmtree(desk.docs)
    error = desk.ingest(code=1)["error"]
    assert error["type"] == "SourceUnavailable"
    assert str(desk.docs) in error["message"]
    assert len(desk.audit()) == 3


def test_a_changed_configuration_builds_a_new_generation_and_switches_to_it_whole(desk):
    fill(desk, 5)
    first = desk.ingest()
    second = desk.ingest("--chunk-tokens", "64")
    assert second["collection"] != first["collection"]
    assert (second["documents"]["added"], second["embedded"]) == (
        5,
        0,
    )  # the same texts: the vectors are reused
    third = desk.ingest("--chunk-tokens", "64", COUNTING_VERSION="2")
    assert third["embedded"] == 5
    desk.audit()
    with Platform(Settings(home=Path(desk.env["PIPELINES_HOME"]))) as platform:
        assert platform.store.collections() == [second["collection"], third["collection"]]  # one back is kept


def test_a_new_generation_that_would_lose_documents_is_not_promoted(desk):
    fill(desk, 30)
    first = desk.ingest()
    shutil.rmtree(desk.docs)
    desk.docs.mkdir()
    report = desk.ingest("--chunk-tokens", "64")
    assert "is not promoted" in report["notice"]
    assert desk.run("status")["indexes"][0]["collection"] == first["collection"]
    assert len(desk.audit()) == 30


def test_points_that_were_lost_in_the_store_are_written_again_without_embedding(desk):
    fill(desk, 5)
    report = desk.ingest()
    desk.embedded()
    with Platform(Settings(home=Path(desk.env["PIPELINES_HOME"]))) as platform:
        lost = [point.id for point in platform.store.scroll(report["collection"])][:2]
        platform.store.delete(report["collection"], lost)
    assert desk.ingest()["points"] == 5
    assert desk.embedded() == []
    desk.audit()


def test_a_store_that_was_deleted_is_filled_again_without_embedding(desk):
    fill(desk, 5)
    desk.ingest()
    desk.embedded()
    shutil.rmtree(Path(desk.env["PIPELINES_HOME"]) / "qdrant")
    assert desk.ingest()["points"] == 5
    assert desk.embedded() == []
    assert len(desk.audit()) == 5
    assert desk.run("search", "text number 3")["hits"]


def test_a_ledger_that_was_deleted_begins_anew_and_meets_no_old_points(desk):
    fill(desk, 5)
    old = desk.ingest()["collection"]
    for path in Path(desk.env["PIPELINES_HOME"]).glob("ledger.sqlite*"):
        path.unlink()
    desk.write("000.md", "# Changed\n\nSince the ledger was lost.")
    report = desk.ingest()
    assert report["points"] == 5
    desk.audit()
    [store] = [check for check in desk.run("doctor")["checks"] if check["name"] == "vector store"]
    assert f"no index knows {old}" in store["detail"]


def test_points_that_the_ledger_does_not_know_are_removed(desk):
    fill(desk, 5)
    report = desk.ingest()
    with Platform(Settings(home=Path(desk.env["PIPELINES_HOME"]))) as platform:
        [point, *_] = platform.store.scroll(report["collection"], vectors=True)
        stray = Points(["6a4c4f4e-0000-4000-8000-000000000001"], point.vector[None], [point.payload])
        platform.store.upsert(report["collection"], stray)
    assert (
        "the store holds 6 points"
        in desk.run("plan", "--docs", str(desk.docs), "--embedder", "counting:Counting")["notice"]
    )
    report = desk.ingest()
    assert report["points"] == 5
    assert "1 points that the ledger does not know were removed" in report["notice"]
    desk.audit()


def test_a_store_restored_from_an_older_backup_is_brought_up_to_date(desk):
    fill(desk, 6)
    desk.ingest()
    home = Path(desk.env["PIPELINES_HOME"])
    shutil.copytree(home / "qdrant", desk.folder / "backup")
    (desk.docs / "000.md").unlink()
    (desk.docs / "001.md").unlink()
    desk.write("002.md", "# Document 2\n\nIn a new version.")
    desk.ingest()
    shutil.rmtree(home / "qdrant")
    shutil.move(desk.folder / "backup", home / "qdrant")
    assert desk.ingest()["points"] == 4
    assert "new version" in desk.audit()["002.md"][0]


def test_a_source_with_nothing_left_loses_nothing_however_small_it_is(desk):
    fill(desk, 2)
    desk.ingest()
    for path in desk.docs.iterdir():
        path.unlink()
    report = desk.ingest()
    assert (report["documents"]["withheld"], report["points"]) == (2, 2)
    assert desk.ingest("--approve-deletions", "2")["points"] == 0


def test_a_new_generation_without_a_document_that_fails_now_is_not_promoted(desk):
    fill(desk, 4)
    first = desk.ingest()
    desk.write("001.md", "POISON")
    desk.ingest()
    report = desk.ingest("--chunk-tokens", "64")
    assert "is not promoted: it lacks 1 documents" in report["notice"]
    assert desk.run("status")["indexes"][0]["collection"] == first["collection"]
    assert "001.md" in desk.audit()
    assert desk.ingest("--chunk-tokens", "64", "--approve-deletions", "1")["notice"] == ""
    assert "001.md" not in desk.audit()


def test_an_embedder_that_changes_its_dimension_gets_a_new_generation_and_no_old_vector(desk):
    fill(desk, 3)
    (desk.folder / "mine.py").write_text(
        "import os\ndef embed(texts):\n    return [[1.0 + len(t)] * int(os.environ['SIZE']) for t in texts]\n"
    )
    arguments = ("ingest", "--docs", str(desk.docs), "--embedder", "mine:embed")
    first = desk.run(*arguments, SIZE="8")
    second = desk.run(*arguments, SIZE="9")
    assert second["collection"] != first["collection"]
    assert second["embedded"] == 3
    assert desk.run(*arguments, SIZE="8")["points"] == 3


def test_an_embedder_that_exits_does_not_end_the_run_in_peace(desk):
    fill(desk, 3)
    (desk.folder / "mine.py").write_text("import sys\ndef embed(texts):\n    sys.exit(0)\n")
    desk.run("ingest", "--docs", str(desk.docs), "--embedder", "mine:embed", code=1)


def test_a_configuration_that_is_named_and_missing_is_an_error_even_if_the_index_is_known(desk):
    fill(desk, 2)
    desk.ingest()
    error = desk.run("ingest", "docs", code=2, PIPELINES_CONFIG=str(desk.folder / "typo.yaml"))["error"]
    assert "typo.yaml" in error["message"]


def test_a_home_inside_the_documents_is_left_out(desk):
    fill(desk, 3)
    inside = {"PIPELINES_HOME": str(desk.docs / "state [1]" / "home")}
    assert desk.ingest(**inside)["documents"]["added"] == 3
    assert desk.ingest(**inside)["documents"]["unchanged"] == 3


def test_a_search_needs_no_writable_home(desk):
    fill(desk, 2)
    desk.ingest()
    home = Path(desk.env["PIPELINES_HOME"])
    (home / ".write-probe").mkdir()  # stands in the way of whoever tries to write there
    assert desk.run("search", "text number 1")["hits"]
    assert desk.ingest(code=1)["error"]["type"] == "StorageError"


def test_a_second_run_on_an_index_says_who_holds_it(desk):
    fill(desk, 3)
    with desk.start(
        "ingest", "--docs", str(desk.docs), "--embedder", "counting:Counting", COUNTING_DELAY="5"
    ) as first:
        holder = Path(desk.env["PIPELINES_HOME"]) / "locks" / "docs.holder.json"
        deadline = time.monotonic() + 30
        while not holder.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        error = desk.ingest(code=1)["error"]
        assert error["type"] == "IndexBusy"
        assert f"process {first.pid}" in error["message"]
        first.communicate(timeout=60)
    assert first.returncode == 0
    assert desk.ingest()["documents"]["unchanged"] == 3


def test_metadata_of_the_configuration_is_typed_wins_over_the_document_and_changes_without_a_vector(desk):
    desk.write("a.md", "---\nyear: 2024\nteam: mine\n---\n# A\n\nText.")
    configuration = desk.folder / "pipelines.yaml"
    template = (
        "indexes:\n  handbook:\n    sources:\n      - {{name: pages, uri: docs, metadata: {{team: {team}, public: true}}}}\n"
        "    embedding: {{backend: 'counting:Counting'}}\n"
    )
    configuration.write_text(template.format(team="web"))
    assert desk.run("ingest", "handbook")["embedded"] == 1
    [hit] = desk.run(
        "search", "text", "--where", "year=2024", "--where", "public=true", "--where", "team=web"
    )["hits"]
    assert hit["metadata"] == {"year": 2024, "team": "web", "public": True}
    assert desk.run("search", "text", "--where", 'year="2024"')["hits"] == []
    configuration.write_text(template.format(team="docs"))
    report = desk.run("ingest")
    assert (report["documents"]["changed"], report["embedded"], report["reused"]) == (1, 0, 1)
    assert len(desk.run("search", "text", "--where", "team=docs")["hits"]) == 1


def test_wrong_usage_exits_with_2_and_is_json_where_json_was_asked_for(desk):
    assert desk.run("ingest", "--frobnicate", code=2)["error"]["type"] == "UsageError"
    assert desk.run("search", code=2)["error"]["type"] == "UsageError"
    assert desk.run("ingest", "nowhere", code=2)["error"]["type"] == "ConfigurationError"
    assert (
        desk.run("ingest", "--docs", ".", "--chunk-tokens", "3", code=2)["error"]["type"]
        == "ConfigurationError"
    )
