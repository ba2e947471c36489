"""What the UI says about each asset, in Markdown: what it is, where it comes from, what to do with it."""

import inspect

from pipelines_persistence.projections import Projection

EVENT_LOG = (
    "The log of all events. A run takes in what lies in the inbox and in Redis and is not in the log yet: loading the "
    "same again appends nothing.\n\n"
    "Events that applications and ingestion runs append are in the log as well. The sensor `new_events` notices them "
    "and reports them here without a run; the data version is the place of the last event, so what follows the log "
    "runs only when it has moved.\n\n"
    "Read it: `pipelines events tail`"
)

SNAPSHOTS = (
    "The state of aggregates at some version, so that loading one need not begin at its first event. Never needed for "
    "a correct answer: without a snapshot its events are replayed.\n\n"
    "Followed at most once an hour, when events have come; saving an aggregate takes one when it is due, too."
)

_PROMISE = (
    "Exactly once: the rows and the place in the log are committed together. A changed projection is built beside what "
    "readers see and replaces it when it has caught up; *rebuild* in the launchpad does the same at any time."
)


def describe_feed(name: str) -> str:
    """Describe where events come from."""
    return f"Events at `{name}`, taken into the log; Dagster never writes them."


def describe_projection(projection: Projection) -> str:
    """Describe a read model."""
    words = inspect.getdoc(type(projection)) or f"The read model `{projection.name}`."
    takes = ", ".join(f"`{name}`" for name in sorted(projection.types)) or "all types"
    streams = ", ".join(f"`{name}`" for name in sorted(projection.categories)) or "all streams"
    facts = {
        "Events": f"{takes}; {streams}",
        "Main table": f"view `{projection.name}`, key {', '.join(f'`{name}`' for name in projection.tables[0].key)}",
        "Divided": "by stream" if projection.by_stream else "not: a row depends on several streams",
    }
    return "\n\n".join(
        (
            words,
            "\n".join(f"- **{name}**: {value}" for name, value in facts.items()),
            f"Ask it: `pipelines show {projection.name}`",
            _PROMISE,
        )
    )
