"""What a run costs beyond the work itself: a run with nothing to do against the first one."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Figure, compare
from pipelines_persistence.configuration import EmbeddingConfig, IndexConfig, SourceConfig
from pipelines_persistence.platform import Platform
from pipelines_persistence.settings import Settings


def figures(documents: int = 500) -> Iterator[Figure]:
    """Compare an unchanged folder with a cold run over it; the hash embedder, so that only the engine counts."""
    with tempfile.TemporaryDirectory() as folder:
        docs = Path(folder) / "docs"
        docs.mkdir()
        for n in range(documents):
            body = "\n\n".join(f"Paragraph {p} of document {n}. " + "word " * 150 for p in range(12))
            (docs / f"{n}.md").write_text(f"# Document {n}\n\n{body}")
        config = IndexConfig(
            sources=(SourceConfig(name="docs", uri=str(docs)),), embedding=EmbeddingConfig(backend="hash")
        )
        warm = Path(folder) / "warm"
        yield compare(
            "ingestion, nothing to do : first run",
            lambda: _ingest(warm, config),
            lambda: _ingest(Path(tempfile.mkdtemp(dir=folder)), config),
            amount=documents,
            unit="documents",
            rounds=3,
        )


def _ingest(home: Path, config: IndexConfig) -> None:
    with Platform(Settings(home=home, config=home / "none.yaml")) as platform:
        platform.engine("docs", config).ingest()
