"""Drives the platform as a user does: the console script, a fresh process for each step."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines_persistence.platform import Platform
from pipelines_persistence.settings import Settings

HERE = Path(__file__).parent
PIPELINES = Path(sys.executable).with_name("pipelines")


@dataclass
class Desk:
    """A folder of documents, a home, and the command line."""

    folder: Path
    docs: Path
    env: dict[str, str]

    def write(self, name, text):
        path = self.docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def start(self, *arguments, **env):
        command = [str(PIPELINES), *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, code=0, **env):
        with self.start(*arguments, "--json", **env) as process:
            output, errors = process.communicate(timeout=240)
        assert process.returncode == code, f"{process.returncode}\n{output}\n{errors}"
        return json.loads(output.splitlines()[-1])

    def ingest(self, *arguments, code=0, **env):
        return self.run(
            "ingest",
            "--docs",
            str(self.docs),
            "--embedder",
            "counting:Counting",
            *arguments,
            code=code,
            **env,
        )

    def embedded(self):
        """Return the texts that reached the embedder since the last call."""
        log = Path(self.env["COUNTING_LOG"])
        texts = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        log.unlink(missing_ok=True)
        return texts

    def audit(self, index="docs"):
        """Compare ledger and store, both ways, and return the texts by document."""
        with Platform(Settings(home=Path(self.env["PIPELINES_HOME"]))) as platform:
            generation = platform.ledger.live(index)
            assert platform.store.aliases()[index] == generation.collection
            expected = {
                chunk.point_id: (record.path, chunk.is_live)
                for record in platform.ledger.documents(generation)
                for chunk in platform.ledger.chunks(record.id)
            }
            stored = list(platform.store.scroll(generation.collection, vectors=True))
            assert {point.id for point in stored} == expected.keys(), "points are missing or stray"
            assert all(is_live for _, is_live in expected.values()), "chunks are pending"
            texts = {}
            for point in stored:
                assert point.payload["document"] == expected[point.id][0]
                texts.setdefault(point.payload["document"], []).append(
                    (point.payload["ordinal"], point.payload["text"])
                )
            return {document: [text for _, text in sorted(pieces)] for document, pieces in texts.items()}


@pytest.fixture
def desk(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PIPELINES_", "COUNTING_"))
    }
    environment |= {
        "PIPELINES_HOME": str(tmp_path / "home"),
        "COUNTING_LOG": str(tmp_path / "embedded.jsonl"),
        "PYTHONPATH": str(HERE),
        "COLUMNS": "200",
    }
    return Desk(tmp_path, docs, environment)
