"""Whatever is done to a folder, an incremental run ends where a first run over the same folder would."""

import random
import shutil
from dataclasses import replace

import pytest

from pipelines_persistence.configuration import EmbeddingConfig, IndexConfig, SourceConfig
from pipelines_persistence.errors import DocumentError, Reason
from pipelines_persistence.ingestion.report import Change
from pipelines_persistence.platform import Platform
from pipelines_persistence.records import Markup, ParsedDocument
from pipelines_persistence.settings import Settings

WORDS = [f"word{n}" for n in range(60)]


def text(rng):
    return "\n\n".join(
        heading(rng) if rng.random() < 0.2 else sentence(rng) for _ in range(rng.randint(0, 12))
    )


def heading(rng):
    return f"{'#' * rng.randint(1, 3)} {rng.choice(WORDS)}"


def sentence(rng):
    return " ".join(rng.choices(WORDS, k=rng.randint(3, 80))) + "."


def edit(rng, docs):
    """Do one thing that people do to documents."""
    files = sorted(path for path in docs.rglob("*") if path.is_file())
    kind = rng.choice(["add", "change", "append", "delete", "move", "copy", "empty", "broken", "swap"])
    path = docs / rng.choice(["", "a", "b"]) / f"{rng.randint(0, 30)}.md"
    path.parent.mkdir(exist_ok=True)
    if kind == "add" or len(files) < 3:
        path.write_text(text(rng))
        return
    one, other = rng.sample(files, 2)
    match kind:
        case "change":
            one.write_text(text(rng))
        case "append":
            one.write_bytes(one.read_bytes() + f"\n\n{sentence(rng)}".encode())
        case "delete":
            one.unlink()
        case "move":
            shutil.move(one, path)
        case "copy":
            shutil.copy(one, path)
        case "empty":
            one.write_bytes(b"")
        case "broken":
            one.write_bytes(b"%PDF-1.7 and then nothing")
        case "swap":
            first, second = one.read_bytes(), other.read_bytes()
            one.write_bytes(second)
            other.write_bytes(first)


def content(platform):
    collection = platform.store.aliases()["docs"]
    return sorted(
        (point.id, str(sorted(point.payload.items()))) for point in platform.store.scroll(collection)
    )


@pytest.mark.parametrize("seed", range(3))
def test_incremental_runs_end_where_a_first_run_would(tmp_path, seed):
    rng = random.Random(seed)
    docs = tmp_path / "docs"
    docs.mkdir()
    config = IndexConfig(
        sources=(SourceConfig(name="docs", uri=str(docs)),),
        embedding=EmbeddingConfig(backend="hash"),
        chunking={"tokens": 96},
    )
    for round_ in range(12):
        for _ in range(rng.randint(1, 6)):
            edit(rng, docs)
        with Platform(Settings(home=tmp_path / "home")) as platform:
            engine = platform.engine("docs", config)
            planned = engine.plan()
            done = engine.ingest(approve_deletions=1000)
            assert planned.documents == done.documents
            assert (planned.embedded, planned.reused, planned.points) == (
                done.embedded,
                done.reused,
                done.points,
            )
            again = engine.plan()
            assert again.embedded == again.chunks == 0
            settled = (Change.UNCHANGED, Change.SKIPPED, Change.FAILED)
            assert sum(again.documents[change] for change in settled) == again.total
            incremental = content(platform)
        with Platform(Settings(home=tmp_path / f"fresh{round_}")) as platform:
            fresh = platform.engine("docs", config)
            report = fresh.ingest()
            # What fails now keeps its last good version in the index that has one.
            failing = {problem.document for problem in report.failures}
            expected = content(platform)
        assert [
            point for point in incremental if not any(repr(name) in point[1] for name in failing)
        ] == expected


class PickyParser:
    """Fails on one path, as a parser does that runs out of time."""

    version = "picky"

    def parse(self, data, path):
        if path == "moved.md":
            raise DocumentError(Reason.TIMEOUT, "too slow today")
        return ParsedDocument(data.decode(), Markup.MARKDOWN, "text/markdown")


def test_a_document_that_is_moved_and_fails_at_its_new_place_keeps_its_last_good_version(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# A\n\nStays.")
    (docs / "b.md").write_text("# B\n\nMoves.")
    config = IndexConfig(
        sources=(SourceConfig(name="docs", uri=str(docs)),), embedding=EmbeddingConfig(backend="hash")
    )
    with Platform(Settings(home=tmp_path / "home")) as platform:
        engine = replace(platform.engine("docs", config), parser=PickyParser())
        assert engine.ingest().points == 2
        (docs / "b.md").rename(docs / "moved.md")
        report = engine.ingest()
        assert (report.documents[Change.FAILED], report.documents[Change.DELETED], report.points) == (1, 0, 2)
