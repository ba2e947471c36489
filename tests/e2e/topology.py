"""The services of docker-compose.yml, started from what is installed: its commands, its environments, its health checks."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from benchmarks.servers import postgres_programs
from tests.e2e.conftest import free_port, members_of

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {
    "POSTGRES_PASSWORD": "of-the-superuser",
    "DAGSTER_POSTGRES_PASSWORD": "of-dagster",
    "PIPELINES_POSTGRES_PASSWORD": "of-pipelines",
    "REDIS_PASSWORD": "of-redis",
    "QDRANT_API_KEY": "of-qdrant",
}
FOLDERS = ("state", "dagster", "storage", "config", "redis", "qdrant", "logs", "user")
IN_DAGSTER_HOME = ("logs", ".logs_queue")
"""Folders that the image has, so that nothing need be written there."""


def interpolated(text, given):
    """Returns a string of the file as compose reads it."""

    def value(match):
        name, kind, rest = match.group(1), match.group(2), match.group(3)
        found = given.get(name)
        if not found and kind == ":?":
            raise KeyError(name)
        return found or rest or ""

    return re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", value, text).replace("$$", "$")


@dataclass
class Topology:
    """Processes in the place of containers; addresses and paths of containers become those of this machine."""

    folder: Path
    processes: dict = field(default_factory=dict)
    ports: dict = field(default_factory=dict)

    def __post_init__(self):
        self.compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
        self.services = self.compose["services"]
        for service in ("postgres:5432", "redis:6379", "qdrant:6334", "code:4000", "webserver:3000"):
            self.ports[service.partition(":")[0]] = free_port()
        for name in (*FOLDERS, *(f"dagster/{name}" for name in IN_DAGSTER_HOME)):
            (self.folder / name).mkdir()
        shutil.copy(ROOT / "deployment" / "dagster.yaml", self.folder / "dagster")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.ports['webserver']}"

    def environment(self, service):
        """Returns all that a process of the service sees: nothing of this process is among it."""
        own = {
            key: self._here(interpolated(value, SECRETS))
            for key, value in self.services[service].get("environment", {}).items()
        }
        image = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder / "user"),
            "DAGSTER_HOME": str(self.folder / "dagster"),
            "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}",  # the test's own embedder lies in the folder
        }
        return image | own | self._addresses(own)

    def _here(self, value):
        moved = {
            "/app/config": str(self.folder / "config"),
            "/var/lib/pipelines": str(self.folder / "state"),
            "/var/lib/dagster": str(self.folder / "storage"),
            **{
                f"{name}:{inner}": f"127.0.0.1:{self.ports[name]}"
                for name, inner in (("postgres", 5432), ("redis", 6379), ("qdrant", 6334))
            },
        }
        for there, here in moved.items():
            value = value.replace(there, here)
        return value

    def _addresses(self, own):
        """Returns the variables that hold nothing but a host or a port."""
        here = {
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": self.ports["postgres"],
            "CODE_SERVER_HOST": "127.0.0.1",
            "CODE_SERVER_BIND": "127.0.0.1",
            "CODE_SERVER_PORT": self.ports["code"],
            "DAGSTER_WEBSERVER_HOST": "127.0.0.1",
            "DAGSTER_WEBSERVER_PORT": self.ports["webserver"],
        }
        return {key: str(value) for key, value in here.items() if key in own}

    def command(self, service):
        return [interpolated(word, SECRETS) for word in self.services[service]["command"]]

    def start(self, service, command=None):
        """Starts a service in a session of its own, which ends as a whole, as a container does."""
        with (self.folder / "logs" / f"{service}.log").open("ab") as log:
            self.processes[service] = subprocess.Popen(
                command or self.command(service),
                cwd=ROOT,
                env=self.environment(service),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, service, command, seconds=60):
        """Runs a command in the environment of a service, as `docker compose exec` does."""
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment(service),
            timeout=seconds,
            capture_output=True,
            text=True,
            check=False,
        )

    def is_healthy(self, service):
        """Asks what the health check of the service asks, at the port that it has here."""
        if service == "qdrant":
            return self._listens(service)  # the double speaks no HTTP
        kind, *words = self.services[service]["healthcheck"]["test"]
        words = [interpolated(word, SECRETS) for word in words]
        inner = {"postgres": "5432", "redis": "6379"}.get(service)
        words = [word.replace(inner, str(self.ports[service])) if inner else word for word in words]
        if service == "postgres":
            words[0] = postgres_programs() / words[0]
        assert kind in {"CMD", "CMD-SHELL"}
        command = words if kind == "CMD" else ["sh", "-c", *words]
        return self.run(service, command).returncode == 0

    def _listens(self, service):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports[service])) == 0

    def await_healthy(self, service, seconds=120):
        deadline = time.monotonic() + seconds
        while not self.is_healthy(service):
            process = self.processes.get(service)
            assert process is None or process.poll() is None, f"{service} ended: {self.log(service)}"
            assert time.monotonic() < deadline, f"{service} is not healthy: {self.log(service)}"
            time.sleep(0.2)

    def log(self, service):
        return (self.folder / "logs" / f"{service}.log").read_text(errors="replace")[-4000:]

    def kill(self, service):
        """Ends all processes of a service at once, and waits until they are gone."""
        process = self.processes.pop(service)
        for member in members_of(process.pid):
            os.kill(member, signal.SIGKILL)
        process.wait()

    def close(self):
        for service in reversed(list(self.processes)):
            self.kill(service)

    def create_databases(self, port, superuser):
        """Runs what the image of PostgreSQL runs when its volume is empty."""
        self.ports["postgres"] = port
        programs = f"{postgres_programs()}{os.pathsep}{os.environ['PATH']}"
        given = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "POSTGRES_USER": superuser, "PATH": programs}
        script = ROOT / "deployment" / "postgres" / "databases.sh"
        subprocess.run([script], env=self.environment("postgres") | given, check=True, timeout=60)

    def start_redis(self):
        *shell, script = self.command("redis")
        here = f"<<END\nport {self.ports['redis']}\nbind 127.0.0.1\n"
        script = script.replace("<<END\n", here).replace("dir /data", f"dir {self.folder / 'redis'}")
        self.start("redis", [*shell, script])

    def start_qdrant(self):
        """Starts the double in the place of Qdrant."""
        options = ["--port", str(self.ports["qdrant"]), "--state", str(self.folder / "qdrant")]
        options += ["--api-key-env", "QDRANT__SERVICE__API_KEY"]
        self.start("qdrant", [sys.executable, "-m", "tests.wire_double", *options])
