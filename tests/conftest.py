"""Fixtures that several suites share."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipelines_persistence.adapters.sql.database import open_database

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


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Start a PostgreSQL on a spare port from what is installed; return the URL of a role that is no superuser."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs and not shutil.which("initdb"):
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    bin_ = programs[-1] if programs else Path(shutil.which("initdb")).parent
    # It refuses to run as root.
    account = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    with socket.socket() as spare:
        spare.bind(("127.0.0.1", 0))
        port = spare.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if account:
        shutil.chown(folder, "postgres", "postgres")
    options = (
        f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c deadlock_timeout=100ms "
        "-c max_connections=60 -c shared_buffers=32MB -c jit=off"
    )

    def do(*command: str | Path) -> None:
        subprocess.run(command, check=True, capture_output=True, cwd=folder, timeout=60, **account)

    user = "postgres" if account else getpass.getuser()
    control = [bin_ / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log"]
    do(
        bin_ / "initdb",
        "-D",
        folder / "data",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "-U",
        user,
        "-N",
    )
    do(*control, "-o", options, "start")
    try:
        do(bin_ / "createuser", "-h", folder, "-p", str(port), "-U", user, "--createdb", "platform")
        yield f"postgresql+psycopg://platform@127.0.0.1:{port}/postgres"
    finally:
        do(*control, "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def _postgres_template(postgres: str) -> str:
    """Make a database that has been migrated, to copy from."""
    engine = sa.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE migrated")
    engine.dispose()
    open_database(postgres.replace("/postgres", "/migrated")).dispose()
    return postgres


@pytest.fixture
def postgres_url(_postgres_template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the URL of a fresh database with the platform's tables."""
    engine = sa.create_engine(_postgres_template, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    name = f"test_{abs(hash(request.node.nodeid))}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE migrated")
    yield _postgres_template.replace("/postgres", f"/{name}")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "migrated.sqlite"
    open_database(f"sqlite:///{path}").dispose()
    return path


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """Return the URL of a fresh database with the platform's tables."""
    shutil.copy(_sqlite_template, tmp_path / "events.sqlite")
    return f"sqlite:///{tmp_path / 'events.sqlite'}"
