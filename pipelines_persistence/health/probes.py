"""The probes: one for each dependency, and one for each collection, source and embedder."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pipelines_persistence.adapters.caching import EmbeddedValkey, chosen_backend, shared_level, try_out
from pipelines_persistence.adapters.redis_facts import RedisFacts, redis_facts
from pipelines_persistence.adapters.sources.reaching import reach_source
from pipelines_persistence.adapters.sql.facts import DatabaseFacts, database_facts
from pipelines_persistence.configuration import EmbeddingConfig, IndexConfig, SourceConfig
from pipelines_persistence.errors import ConfigurationError, PipelinesError, StoreError
from pipelines_persistence.health.probing import Finding, Probe, timed
from pipelines_persistence.health.thresholds import FENCE_LAG

if TYPE_CHECKING:
    from pipelines_persistence.observations import Measure
    from pipelines_persistence.platform import Platform


@runtime_checkable
class Versioned(Protocol):
    """A store that is a server, and tells its version."""

    def server_version(self) -> str:
        """Return the version that the server says it has."""


def probes(platform: "Platform") -> Iterator[Probe]:
    """Yield all probes, in the order in which a person looks; what they need is opened when they are used."""
    yield Probe("home", partial(_home, platform))
    yield Probe("configuration", partial(_configuration, platform))
    yield Probe("ledger", partial(_ledger, platform))
    yield Probe("events", partial(_events, platform))
    yield Probe("vector_store", partial(_store, platform))
    yield from _collections(platform)
    for embedding in _embeddings(platform):
        yield Probe(
            f"embedder:{embedding.backend}",
            partial(_embedder, platform, embedding),
            package_version(embedding.backend),
        )
    yield Probe("cache", partial(_cache, platform))
    yield Probe("streams", partial(_streams, platform))
    yield from _sources(platform)


def package_version(package: str) -> str:
    """Return the version of an installed package, "" where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _home(platform: "Platform") -> Finding:
    _, latency = timed(platform.settings.require_writable_home)
    disk = shutil.disk_usage(platform.home)
    measures: dict[str, Measure] = {"free_bytes": disk.free, "free_share": disk.free / disk.total}
    return Finding(
        f"{platform.home}: writable, {disk.free / 2**30:.1f} GiB free", latency=latency, measures=measures
    )


def _configuration(platform: "Platform") -> Finding:
    indexes = platform.settings.indexes
    told = ", ".join(indexes) or "no such file; only indexes made with --docs"
    return Finding(f"{platform.settings.config}: {told}", measures={"indexes": len(indexes)})


def _ledger(platform: "Platform") -> Finding:
    live, latency = timed(platform.ledger.live_generations)
    path = platform.home / "ledger.sqlite"
    size = path.stat().st_size if path.exists() else 0
    return Finding(
        f"answers; {len(live)} live indexes",
        package_version("sqlalchemy"),
        latency,
        {"bytes": size, "live_indexes": len(live)},
    )


def _events(platform: "Platform") -> Finding:
    eventing = platform.eventing
    facts = database_facts(eventing.database)
    lag, head = eventing.store.fence_lag(), eventing.store.head()
    held = (
        f"; {lag.events} events held back for {lag.seconds:.0f} s by an open transaction"
        if lag.events
        else ""
    )
    return Finding(
        f"{eventing.database.url.render_as_string()}: answers, the log ends at {head}{held}",
        f"{facts.kind} {facts.version}",
        facts.latency,
        {
            **_database_measures(facts),
            FENCE_LAG: lag.seconds if lag.events else 0.0,
            "events_held": lag.events,
        },
        {FENCE_LAG: platform.settings.events.fence_warning},
    )


def _database_measures(facts: DatabaseFacts) -> "dict[str, Measure]":
    measures: dict[str, Measure] = {"bytes": facts.bytes, "connections_in_use": facts.in_use}
    if facts.most is not None:
        measures["most_connections"] = facts.most
    if facts.sessions is not None:
        measures["server_sessions"] = facts.sessions
    return measures


def _store(platform: "Platform") -> Finding:
    store = platform.store
    names, latency = timed(store.collections)
    points = {name: store.count(name) for name in names}
    unknown = [name for name in points if platform.ledger.by_collection(name) is None]
    told = f"; no index knows {', '.join(unknown)}" if unknown else ""
    return Finding(
        f"answers; {len(points)} collections, {sum(points.values())} points{told}",
        store.server_version() if isinstance(store, Versioned) else package_version("qdrant-edge-py"),
        latency,
        {"collections": len(points), "points": sum(points.values()), "unknown_collections": len(unknown)},
    )


def _collections(platform: "Platform") -> Iterator[Probe]:
    try:
        live = {generation.collection: generation.index for generation in platform.ledger.live_generations()}
    except PipelinesError:
        return  # said by the probe of the ledger
    for name in sorted(live):
        yield Probe(f"collection:{name}", partial(_collection, platform, name, live[name]))


def _collection(platform: "Platform", name: str, index: str) -> Finding:
    seen = platform.store.aliases().get(index)
    if seen != name:
        told = f"names {seen!r}" if seen else "is gone"
        raise StoreError(
            f"the alias {index!r}, through which it is searched, {told}: `pipelines ingest {index}` mends that"
        )
    info, latency = timed(lambda: platform.store.info(name))
    measures: dict[str, Measure] = {
        "points": info.points,
        "indexed_share": info.indexed_share,
        "segments": info.segments,
        "status": info.status,
        "optimizer": info.optimizer,
    }
    if info.bytes is not None:
        measures["bytes"] = info.bytes
    told = f"{info.points} points in {info.segments} segments, {info.indexed_share:.0%} in the graph, {info.status}"
    return Finding(told, latency=latency, measures=measures)


def _embeddings(platform: "Platform") -> list[EmbeddingConfig]:
    """Return each embedding that is in use or configured, once."""
    found: dict[EmbeddingConfig, None] = {}
    try:
        for generation in platform.ledger.live_generations():
            found[IndexConfig.model_validate_json(generation.configuration).embedding] = None
        for config in platform.settings.indexes.values():
            found[config.embedding] = None
    except PipelinesError:
        pass  # said by the probes of the ledger and the configuration
    return list(found) or [EmbeddingConfig()]


def _embedder(platform: "Platform", config: EmbeddingConfig) -> Finding:
    embedder = platform.embedder(config)
    embedder.embed_query("is the model loaded?")
    vector, latency = timed(lambda: embedder.embed_query("is the embedder well?"))
    name = config.model if config.backend != "hash" else "hash"
    return Finding(
        f"{name}: embeds, dimension {len(vector)}", latency=latency, measures={"dimension": len(vector)}
    )


def _cache(platform: "Platform") -> Finding | None:
    config, secret = platform.settings.configuration.cache, platform.settings.redis_url
    url = secret.get_secret_value() if secret else None
    level = shared_level(config, platform.home, url)
    if level is None:
        return None
    timeout = platform.settings.configuration.health.latency
    if chosen_backend(config, url) == "valkey":
        latency = try_out(level)
        server = EmbeddedValkey(platform.home, config.server_memory).url
        return replace(_redis(server, timeout, "the home"), latency=latency)
    # What it says of itself first: a refused log-in is a mistake, and no outage.
    found = _redis(url or "", timeout, "PIPELINES_REDIS_URL")
    return replace(found, latency=try_out(level))


def _streams(platform: "Platform") -> Finding | None:
    config = platform.settings.events.redis
    if config is None:
        return None
    url = os.environ.get(config.url_variable)
    if not url:
        raise ConfigurationError(f"events.redis: set the environment variable {config.url_variable}")
    return _redis(url, platform.settings.configuration.resilience.streams.timeout, config.url_variable)


def _redis(url: str, timeout: float, variable: str) -> Finding:
    facts = redis_facts(url, timeout, variable)
    rate = "" if facts.hit_rate is None else f", {facts.hit_rate:.0%} of all look-ups found something"
    told = f"answers; {facts.keys} keys, {facts.memory / 2**20:.1f} MiB{rate}"
    if not facts.version:
        told = "answers; its user may not ask how it is (INFO)"
    return Finding(told, facts.version, facts.latency, _redis_measures(facts) if facts.version else {})


def _redis_measures(facts: RedisFacts) -> "dict[str, Measure]":
    measures: dict[str, Measure] = {
        "bytes": facts.memory,
        "most_bytes": facts.most_memory,
        "clients": facts.clients,
        "keys": facts.keys,
        "evicted_keys": facts.evicted,
    }
    return measures if facts.hit_rate is None else {**measures, "hit_rate": facts.hit_rate}


def _sources(platform: "Platform") -> Iterator[Probe]:
    try:
        indexes = platform.settings.indexes
    except PipelinesError:
        return  # said by the probe of the configuration
    for index, config in indexes.items():
        for source in config.sources:
            yield Probe(f"source:{index}/{source.name}", partial(_source, platform, source))


def _source(platform: "Platform", config: SourceConfig) -> Finding:
    base = platform.settings.config.absolute().parent
    timeout = platform.settings.configuration.resilience.sources.timeout
    shown, latency = timed(lambda: reach_source(config, base, timeout))
    return Finding(f"{shown}: is there", latency=latency)
