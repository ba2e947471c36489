"""Typed settings from the environment, and the loading of `pipelines.yaml` with errors that can be acted on."""

import difflib
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines_persistence.configuration import EventsConfig, IndexConfig, PipelinesConfig
from pipelines_persistence.errors import ConfigurationError, StorageError


class Settings(BaseSettings):
    """Where things are; every field is read from `PIPELINES_<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix="PIPELINES_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    home: Path = Field(default=Path("dagster_home/data"))
    """Holds all state of a local run: ledger, collections, locks."""

    config: Path = Field(default=Path("pipelines.yaml"))
    """The file that says what to index."""

    database_url: SecretStr | None = None
    """Where events and read models are kept, such as `postgresql://user:password@host/name`; by default in the home."""

    master_key: SecretStr | None = None
    """Wraps the keys of persons whose data is sealed: 32 bytes in Base64; several, separated by commas, to rotate."""

    qdrant_url: SecretStr | None = None
    """Of a Qdrant server, such as `http://localhost:6333` or `https://host:6333`; by default the engine in the home is used."""

    qdrant_api_key: SecretStr | None = None
    """What the Qdrant server wants to see."""

    redis_url: SecretStr | None = None
    """Of a Redis or Valkey server for the shared cache, such as `redis://:password@localhost:6379/0`."""

    def home_directory(self) -> Path:
        """Return the home, made if need be.

        Raises:
            StorageError: it cannot be made.
        """
        home = self.home.expanduser().absolute()
        with _explained(home):
            home.mkdir(parents=True, exist_ok=True)
        return home

    def require_writable_home(self) -> None:
        """Find out before anything is started whether the home can be written; readers do not need it to be.

        Raises:
            StorageError: it cannot.
        """
        probe = self.home_directory() / ".write-probe"
        with _explained(probe.parent):
            probe.write_bytes(b"pipelines")
            probe.unlink()

    @property
    def indexes(self) -> dict[str, IndexConfig]:
        """The configured indexes; none if there is no file and nobody named one."""
        return self.configuration.indexes

    @property
    def events(self) -> EventsConfig:
        """What is configured for events; the default if there is no file and nobody named one."""
        return self.configuration.events

    @property
    def configuration(self) -> PipelinesConfig:
        """The content of the configuration file, or the defaults if there is no file and nobody named one."""
        if "config" not in self.model_fields_set and not self.config.exists():
            return PipelinesConfig(events=EventsConfig())
        return self.pipelines

    @cached_property
    def pipelines(self) -> PipelinesConfig:
        """The content of the configuration file; read once."""
        return load_configuration(self.config)


@contextmanager
def _explained(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"the home {home} cannot be written ({error.strerror}): "
            "free space or grant write access there, or set PIPELINES_HOME to another folder"
        ) from error


def load_configuration(path: Path) -> PipelinesConfig:
    """Read and check a `pipelines.yaml`.

    Raises:
        ConfigurationError: names the file, the line and the path of every wrong key, and what would be right.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path}: no such file; write one (see docs/configuration.md), set PIPELINES_CONFIG, or use --docs PATH"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{path}:{line}: no valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: no valid YAML: {error}") from error
    _reject_duplicate_keys(path, root)
    try:
        return PipelinesConfig.model_validate(content)
    except ValidationError as error:
        details = [dict(detail) for detail in error.errors()]
        lines = [_explain(path, root, detail) for detail in details if not _is_consequence(detail, details)]
        raise ConfigurationError("\n".join(lines)) from None


def _is_consequence(detail: dict[str, Any], details: Sequence[dict[str, Any]]) -> bool:
    """Whether something is only wrong because of a mistake below it: a list is too short for its items are invalid."""
    place = detail["loc"]
    return any(other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in details)


def _explain(path: Path, root: yaml.Node | None, detail: dict[str, Any]) -> str:
    location = [part for part in detail["loc"] if part != "[key]"]
    line, found = _locate(root, location)
    where = f"{path}:{line}: {'.'.join(map(str, found)) or '(top level)'}"
    if detail["type"] == "extra_forbidden":
        return f"{where}: unknown key; {_suggest(location)}"
    message = detail["msg"].removeprefix("Value error, ")
    missing = detail["type"] == "missing"
    given = "" if missing or isinstance(detail["input"], dict | list) else f", got {_shown(detail['input'])}"
    needed = f" (key {location[-1]!r})" if missing else ""
    return f"{where}: {message}{needed}{given}"


def _shown(value: object) -> str:
    if isinstance(value, date):
        return f"the date {value.isoformat()}: put quotes around it to make it a text"
    return repr(value)


def _locate(node: yaml.Node | None, location: Sequence[str | int]) -> tuple[int, list[str | int]]:
    """Follow a pydantic location through the YAML nodes: the line of the deepest that exists, and its path."""
    line, found = (node.start_mark.line + 1 if node else 1), []
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
        found.append(part)
    return line, found


def _suggest(location: Sequence[str | int]) -> str:
    """Say which keys are allowed where an unknown one stands, the nearest first."""
    model: object = PipelinesConfig
    for part in location[:-1]:
        model = _step(model, part)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return "remove it"
    allowed = list(model.model_fields)
    near = difflib.get_close_matches(str(location[-1]), allowed, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}expected one of: {', '.join(allowed)}"


def _step(annotation: object, part: str | int) -> object:
    """Return the type found below `part` in a model, a mapping or a sequence."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(part))
        return field.annotation if field else None
    arguments = typing.get_args(annotation)
    return arguments[1 if typing.get_origin(annotation) is dict else 0] if arguments else None


def _reject_duplicate_keys(path: Path, node: yaml.Node | None) -> None:
    """YAML lets the last of two equal keys win in silence; say so instead."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigurationError(
                    f"{path}:{line}: {key.value}: given twice, first in line {seen[key.value]}"
                )
            seen[key.value] = line
            _reject_duplicate_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _reject_duplicate_keys(path, item)
