"""The model of events: where they come from, what is projected from them, how snapshots are taken."""

from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator

from pipelines_persistence.configuration.model import CUSTOM, Cron, Model

ProjectionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
"""Lower case, digits and '_': becomes a view in the database and an asset in Dagster."""

Place = Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)*$")]


def _import_path(value: str) -> str:
    if not CUSTOM.fullmatch(value):
        raise ValueError(f"{value!r} is no import path: expected 'module:attribute'")
    return value


def _stream_key(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise ValueError("a stream of Redis has a name")
    return value


class RedisConfig(Model):
    """Events from Redis Streams."""

    streams: tuple[Annotated[str, AfterValidator(_stream_key)], ...] = Field(min_length=1)
    """Keys of the streams to read."""

    url_variable: str = Field(default="REDIS_URL", pattern=r"^[A-Z_][A-Z0-9_]*$")
    """The environment variable that holds the server's URL, `redis://:password@host:6379/0`."""


class ProjectionConfig(Model):
    """A projection: a shipped one by its name, or one of your own."""

    enabled: bool = True
    """Whether it is run at all."""

    projection: Annotated[str, AfterValidator(_import_path)] | None = Field(
        default=None, examples=["mypackage.projections:Orders"]
    )
    """The import path of your own class."""

    options: dict[str, JsonValue] = Field(default={})
    """Arguments of the class, such as `deleted: [Closed]` for `live_entities`. Others are built anew."""

    skip_failing: bool = True
    """Put an event that cannot be worked in among the dead letters and go on; else stop before it."""


class SnapshotConfig(Model):
    """When the state of a stream is kept, so that loading it need not begin at its first event."""

    every: int = Field(default=100, ge=1)
    """Events since the last snapshot of the stream."""

    days: float | None = Field(default=None, gt=0)
    """Age of the last snapshot, where there are newer events; by default the age does not count."""


class PersonalConfig(Model):
    """Which parts of an event type's data belong to a person, and are encrypted with a key of that person's own."""

    subject: Place
    """Path of the field that names the person."""

    fields: tuple[Place, ...] = Field(min_length=1, examples=[["email", "address.street"]])
    """Paths of the fields to encrypt; a path through a list means each of its items."""


class EventsConfig(Model):
    """Event streams."""

    inbox: tuple[str, ...] = ()
    """Folders whose `.jsonl` and `.jsonl.gz` files are loaded when they come or change."""

    redis: RedisConfig | None = None
    """Redis Streams to read."""

    projections: dict[ProjectionName, ProjectionConfig] = Field(default={})
    """By name. The shipped ones run unless they are disabled here."""

    partitions: int = Field(default=1, ge=1, le=256)
    """Into how many shares the work of a projection by stream is divided when it is built next."""

    snapshots: SnapshotConfig = SnapshotConfig()
    """Of aggregates."""

    personal: dict[str, PersonalConfig] = Field(default={})
    """By event type; needs `PIPELINES_MASTER_KEY`."""

    lag_warning: int = Field(default=10_000, ge=0)
    """A check warns when a read model is more events behind the log than this."""

    fence_warning: float = Field(default=60.0, ge=0)
    """A check warns when an open transaction has held events back for more seconds than this."""

    schedule: Cron | None = Field(default=None, examples=["*/15 * * * *"])
    """When Dagster takes events in, beside the sensor that looks for news."""

    @model_validator(mode="after")
    def _distinct_inboxes(self) -> Self:
        plain = [str(PurePosixPath(path)) for path in self.inbox]
        if len(set(plain)) < len(plain):
            raise ValueError("an inbox is named twice")
        return self
