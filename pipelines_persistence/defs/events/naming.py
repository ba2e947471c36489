"""What the parts of events are called in Dagster, and which icons they wear."""

import re

import dagster as dg

from pipelines_persistence.configuration import EventsConfig
from pipelines_persistence.ingestion.identity import value_hash

GROUP = "events"
JOB = "events"
VERIFICATION_JOB = "verify_events"
SCHEDULE = "take_in_events"
NEWS_SENSOR = "new_events"
RUNS_SENSOR = "dagster_runs"
AUTOMATION_SENSOR = "follow_events"

EVENT_LOG = dg.AssetKey(["event_log"])
SNAPSHOTS = dg.AssetKey(["snapshots"])

REJECTED = "no_rejected_lines"
FENCE_LAG = "fence_lag"
DENSE = "versions_are_dense"
DEAD = "no_dead_letters"
LAG = "lag"
REPLAY = "equals_a_replay"

DATA_VERSION = "dagster/data_version"
"""The tag of a materialization that says which version of the data it left."""

FOLLOWS = "pipelines/follows_events"
"""Tag of the runs that only follow the log, or only look: to record them in it would be news, and start them again."""


def read_model(projection: str) -> dg.AssetKey:
    """Return the key of the asset of a projection."""
    return dg.AssetKey(["read_models", projection])


def feeds(config: EventsConfig) -> dict[str, dg.AssetKey]:
    """Return the keys of what events are taken from, by their names in the configuration."""
    redis = config.redis.streams if config.redis else ()
    return _keys("inbox", config.inbox) | _keys("redis", redis)


def _keys(family: str, names: tuple[str, ...]) -> dict[str, dg.AssetKey]:
    plain = [re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_") or "_" for name in names]
    return {
        name: dg.AssetKey(
            [family, word if plain.count(word) == 1 else f"{word}_{value_hash({'feed': name})[:8]}"]
        )
        for name, word in zip(names, plain, strict=True)
    }


def database_kind(url: str) -> str:
    """Return the kind of a database by its URL; what is not said is in the home."""
    return "postgres" if url.startswith("postgres") else "sqlite"
