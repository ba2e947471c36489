"""The model of the health checks."""

from pydantic import Field

from pipelines_persistence.configuration.model import Cron, Model


class HealthConfig(Model):
    """What is observed of each dependency, and from when on it is worth a warning."""

    schedule: Cron | None = Field(default="*/15 * * * *", examples=["*/15 * * * *"])
    """A cron expression (UTC) at which Dagster observes the dependencies while it runs; null for never."""

    latency: float = Field(default=1.0, gt=0)
    """Seconds that a round trip to a dependency may take; an embedder may take them for a short text."""

    deadline: float = Field(default=30.0, gt=0)
    """Seconds after which a dependency that has not answered is taken for failed."""

    free_space: int = Field(default=2**30, ge=0)
    """Bytes that must be free on the disk of the home."""

    indexed_share: float = Field(default=0.9, ge=0, le=1)
    """The share of a collection's vectors that has to be in its graph, above 50,000 points; below, they are scanned."""

    history: int = Field(default=90, ge=1)
    """Days for which observations are kept."""
