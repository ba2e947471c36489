"""What a cache shows in the UI: hit rates that plot themselves, and a table of its namespaces."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

import dagster as dg

from pipelines_persistence.caching import Cache, Stats

_FAMILIES = {"search": "searches", "queries": "questions", "read": "read models"}

Metadata = dict[str, dg.MetadataValue | float | int | str]


def cache_metadata(cache: Cache) -> Metadata:
    """Return what a cache is and did as metadata; what nobody asked is left out.

    Where processes share it, the counts are those of all of them, and else those of this run.
    """
    state = cache.state()
    asked = {name: stats for name, stats in cache.totals().items() if stats.lookups}
    rates: Metadata = {f"hit rate/{family}": rate for family, rate in _rates(asked).items()}
    rows = [dg.TableRecord({"namespace": name, **asdict(stats)}) for name, stats in asked.items()]
    table: Metadata = {"namespaces": dg.MetadataValue.table(rows)} if rows else {}
    return {
        **rates,
        "backend": state.backend,
        "shared": state.shared,
        "shared failures": state.failures,
        "entries": state.entries,
        "bytes": state.bytes,
        **table,
    }


def _rates(asked: Mapping[str, Stats]) -> dict[str, float]:
    """Return the hit rate of all, and of each family of namespaces: searches, questions, read models."""
    loads, lookups = Counter[str](), Counter[str]()
    for name, stats in asked.items():
        for family in ("all", _family(name)):
            loads[family] += stats.misses + stats.refreshes
            lookups[family] += stats.lookups
    return {family: round(1 - loads[family] / count, 4) for family, count in lookups.items()}


def _family(namespace: str) -> str:
    return _FAMILIES.get(namespace.partition("-")[0], namespace)
