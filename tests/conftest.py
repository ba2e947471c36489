"""Fixtures that several suites share."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import redis
import sqlalchemy as sa

from benchmarks.servers import postgres_programs, running_postgres
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
    if not postgres_programs():
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    settings = {
        "deadlock_timeout": "100ms",
        "max_connections": 60,
        "shared_buffers": "32MB",
        "jit": "off",
        "autovacuum": "off",  # its workers belong to another role, which may not be asked to leave a dropped database
    }
    with running_postgres(fsync="off", **settings) as url:
        yield url


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


class RedisServer(NamedTuple):
    """A server, and the URL of its first database, password included."""

    url: str
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="session")
def start_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], RedisServer]]:
    """Return a function that starts a Redis of its own on a spare port."""
    program = shutil.which("redis-server")
    if not program:
        pytest.skip("Redis is not installed: apt-get install redis-server")
    servers: list[RedisServer] = []

    def start() -> RedisServer:
        with socket.socket() as spare:
            spare.bind(("127.0.0.1", 0))
            port = spare.getsockname()[1]
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "s3cret"]
        folder = tmp_path_factory.mktemp("redis")
        process = subprocess.Popen([program, *options], cwd=folder, stdout=subprocess.DEVNULL)
        servers.append(RedisServer(f"redis://:s3cret@127.0.0.1:{port}/0", process))
        _await_redis(servers[-1])
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.wait()


def _await_redis(server: RedisServer) -> None:
    deadline = time.monotonic() + 30
    with redis.Redis.from_url(server.url) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                assert server.process.poll() is None, "redis-server ended at once"
                assert time.monotonic() < deadline
                time.sleep(0.01)
            else:
                return


@pytest.fixture(scope="session")
def redis_url(start_redis: Callable[[], RedisServer]) -> str:
    """Return the URL of a Redis that all tests share: each uses keys of its own."""
    return start_redis().url
