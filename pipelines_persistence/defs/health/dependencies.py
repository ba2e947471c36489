"""Which dependencies there are, and what is checked of each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import dagster as dg

from pipelines_persistence.configuration import HealthConfig, PipelinesConfig
from pipelines_persistence.observations import Observation

GROUP = "dependencies"
REACHABLE = "reachable"

_PARTS = {"collection": "vector_store"}
"""What is observed by itself, and belongs to another dependency."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """One dependency as an asset that lies outside.

    Attributes:
        name: the kind of its observations.
        kind: what Dagster shows as an icon.
        checks: those that observations may have a verdict on, besides `reachable` and `latency`.
    """

    name: str
    kind: str
    description: str
    checks: tuple[str, ...] = ()

    @property
    def key(self) -> dg.AssetKey:
        """The key of its asset."""
        return dg.AssetKey([GROUP, self.name])

    @property
    def all_checks(self) -> tuple[str, ...]:
        """The names of its checks."""
        return (REACHABLE, "latency", *self.checks)

    def spec(self) -> dg.AssetSpec:
        """Return its asset."""
        return dg.AssetSpec(
            self.key, group_name=GROUP, kinds={self.kind}, description=self.description, metadata={}
        )

    def own(self, found: Iterable[Observation]) -> list[Observation]:
        """Return the observations that are about it or a part of it."""
        return [one for one in found if _PARTS.get(one.kind, one.kind) == self.name]


def dependencies(
    config: PipelinesConfig, *, database_kind: str, vector_store_kind: str, shared_cache: bool
) -> list[Dependency]:
    """Return what is there by this configuration."""
    found = [
        Dependency("home", "folder", "The folder that holds all local state, and its disk.", ("free_space",)),
        Dependency("ledger", "sqlite", "The record of what each index should hold."),
        Dependency("events", database_kind, "The database of events and read models.", ("fence_lag",)),
        Dependency(
            "vector_store",
            vector_store_kind,
            "The vectors, and each live collection.",
            ("indexed_share", "optimizer"),
        ),
        Dependency("embedder", "python", "What turns texts into vectors."),
    ]
    if shared_cache:
        found.append(
            Dependency("cache", "redis", "The cache that processes share. Without it each has its own.")
        )
    if config.events.redis is not None:
        found.append(Dependency("streams", "redis", "Redis, as a source of events."))
    if config.indexes:
        found.append(Dependency("source", "folder", "The sources of documents, each for itself."))
    return found


def descriptions(config: HealthConfig) -> Mapping[str, str]:
    """Return what each check says, with its threshold."""
    return {
        REACHABLE: "It answers.",
        "latency": f"A round trip takes no longer than {config.latency:g} s.",
        "free_space": f"At least {config.free_space / 2**30:g} GiB are free.",
        "fence_lag": "No open transaction holds committed events back for longer than `events.fence_warning` seconds.",
        "indexed_share": f"At least {config.indexed_share:.0%} of the vectors of a large collection are in its graph.",
        "optimizer": "No collection is red, and no optimizer failed.",
    }
