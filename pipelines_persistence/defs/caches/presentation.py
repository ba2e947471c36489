"""What a cache shows in the UI: hit rates that plot themselves, and a table of its namespaces."""

from dataclasses import asdict

import dagster as dg

from pipelines_persistence.caching import Cache

Metadata = dict[str, dg.MetadataValue | float | int | str]


def cache_metadata(cache: Cache) -> Metadata:
    """Return what a cache is and did as metadata; rates of namespaces that nobody asked are left out.

    Where processes share it, the counts are those of all of them, and else those of this run.
    """
    state = cache.state()
    asked = {name: stats for name, stats in cache.totals().items() if stats.lookups}
    rates: Metadata = {f"hit rate/{name}": round(stats.hit_rate, 4) for name, stats in asked.items()}
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
