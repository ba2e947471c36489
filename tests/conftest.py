"""Fixtures that several suites share."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from a name below `../shared/data` to its path; an archive is unpacked first."""
    unpacked: dict[str, Path] = {}

    def find(name: str) -> Path:
        path = _SHARED / name
        if not path.exists():
            pytest.skip(f"{path} is not here: real data lies beside the repository, and is no part of it")
        if not name.endswith(".tar.zst"):
            return path
        if name not in unpacked:
            unpacked[name] = tmp_path_factory.mktemp("shared")
            subprocess.run(["tar", "--zstd", "-xf", path, "-C", unpacked[name]], check=True)
        return unpacked[name]

    return find
