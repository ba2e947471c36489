"""A PostgreSQL of one's own, started from what is installed; the tests use it too."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROLE = "platform"
"""Whose rights a URL gives: may create databases, and is no superuser."""


def postgres_programs() -> Path | None:
    """Return the folder of the newest PostgreSQL that is installed, or None."""
    folders = list(Path("/usr/lib/postgresql").glob("*/bin"))
    if folders:
        return max(folders, key=lambda folder: float(folder.parent.name))
    found = shutil.which("initdb")
    return Path(found).parent if found else None


@contextmanager
def running_postgres(**settings: object) -> Iterator[str]:
    """Run a server on a spare port for as long as the block lasts.

    Args:
        settings: of the server, such as `shared_buffers="256MB"`.

    Yields:
        The URL of its database `postgres`, for `ROLE`.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    programs = postgres_programs()
    if programs is None:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
    folder, port = Path(tempfile.mkdtemp(prefix="postgres-")), _spare_port()
    # It refuses to run as root.
    account: dict[str, Any] = (
        {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    )
    user = "postgres" if account else getpass.getuser()
    if account:
        shutil.chown(folder, "postgres", "postgres")

    def do(program: str, *arguments: str | Path) -> None:
        command = [programs / program, *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, timeout=60, **account)

    given = " ".join(f"-c {name}={value}" for name, value in settings.items())
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 {given}"
    control: list[str | Path] = ["-D", folder / "data", "-w", "-l", folder / "log"]
    do("initdb", "-D", folder / "data", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-U", user, "-N")
    do("pg_ctl", *control, "-o", options, "start")
    try:
        do("createuser", "-h", folder, "-p", str(port), "-U", user, "--createdb", ROLE)
        yield f"postgresql+psycopg://{ROLE}@127.0.0.1:{port}/postgres"
    finally:
        do("pg_ctl", *control, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _spare_port() -> int:
    with socket.socket() as spare:
        spare.bind(("127.0.0.1", 0))
        return int(spare.getsockname()[1])


def create_database(server: str, name: str) -> str:
    """Make an empty database on a server, and return its URL."""
    import psycopg

    url = server.rpartition("/")[0]
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{url}/{name}"
