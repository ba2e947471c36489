"""What a run shows in the UI: numbers that plot themselves, tables of what needs attention, a preview of the rows."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import dagster as dg
import msgspec

from pipelines_persistence.defs.events.ports import Loaded
from pipelines_persistence.events import Cursor, FenceLag, SnapshotCounts, StoredEvent
from pipelines_persistence.projections import DeadLetter, Kind, ProjectionReport, Table
from pipelines_persistence.projections.verification import Difference

Metadata = dict[str, dg.MetadataValue | float | int | str]
Cell = str | int | float | bool | None

PREVIEW = 10
"""Rows of a preview."""

_ROWS = 100
_CELL = 120
_EXACT = 2**53  # greater integers lose digits in a browser


def load_metadata(loaded: Loaded, fence: FenceLag, head: Cursor, newest: Sequence[StoredEvent]) -> Metadata:
    """Return what was taken into the log: each number on its own, so that the UI plots it over runs."""
    report: dict[str, Any] = dict(loaded.as_json())
    rejected, seconds = report["rejected"], float(report["seconds"])
    return {
        "events/read": report["read"],
        "events/appended": report["appended"],
        "events/duplicates": report["duplicates"],
        "events/refused": report.get("refused", 0),
        "events/rejected": report.get("rejected_total", len(rejected)),
        "streams": report["streams"],
        **({"rejected lines": rejected_table(rejected)} if rejected else {}),
        **(
            {"rate/events per second": round(report["read"] / seconds, 1)}
            if report["read"] and seconds
            else {}
        ),
        **fence_metadata(fence),
        "newest events": event_table(newest),
        "seconds/total": round(seconds, 3),
        "head": str(head),
    }


def news_metadata(
    events: int, streams: int, fence: FenceLag, head: Cursor, newest: Sequence[StoredEvent]
) -> Metadata:
    """Return what came into the log without a run of ours; both counts stop at a bound."""
    return {
        "events/new": events,
        "streams": streams,
        **fence_metadata(fence),
        "newest events": event_table(newest),
        "head": str(head),
    }


def fence_metadata(fence: FenceLag) -> Metadata:
    """Return what is committed and not yet shown."""
    return {"lag/events held back": fence.events, "lag/seconds held back": round(fence.seconds, 3)}


def projection_metadata(
    report: ProjectionReport, table: Table[Any], rows: Sequence[Any], letters: Sequence[DeadLetter]
) -> Metadata:
    """Return how a read model stands; the UI keeps the order, so what is most worth reading stands first."""
    return {
        **({"notice": report.notice} if report.notice else {}),
        **({"failing events": letter_table(letters)} if letters else {}),
        **({"preview": preview(table, rows)} if rows else {}),
        "events/worked in": report.events,
        "events/total": report.events_total,
        "events/dead letters": report.dead_letters,
        "dagster/row_count": report.rows,  # the UI shows it as the size of the asset
        "lag/events": report.lag,
        **({"rate/events per second": round(report.events / report.seconds, 1)} if report.events else {}),
        "seconds/total": round(report.seconds, 3),
        "build": report.build,
        "cursor": str(report.cursor),
    }


def snapshot_metadata(counts: SnapshotCounts) -> Metadata:
    """Return what was done about snapshots."""
    return {f"streams/{name}": count for name, count in msgspec.structs.asdict(counts).items()}


def column_schema(table: Table[Any]) -> dg.TableSchema:
    """Return the columns of a table as the UI shows them."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                "timestamp" if column.kind is Kind.MOMENT else str(column.kind),  # the UI knows that word
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable, unique=table.key == (column.name,)
                ),
            )
            for column in table.columns
        ]
    )


def preview(table: Table[Any], rows: Iterable[Any]) -> dg.MetadataValue:
    """Return rows of a read model as a table, whatever they hold."""
    names = [column.name for column in table.columns]
    return _table(names, ({name: getattr(row, name) for name in names} for row in rows))


def letter_table(letters: Sequence[DeadLetter]) -> dg.MetadataValue:
    """Return events that could not be worked in, with the reason of each."""
    names = ["stream", "version", "type", "error", "event_id"]
    return _table(names, ({name: getattr(letter, name) for name in names} for letter in letters))


def event_table(events: Sequence[StoredEvent]) -> dg.MetadataValue:
    """Return events without what they hold: metadata outlives a stream that is tombstoned."""
    names = ["stream", "version", "type", "occurred_at", "recorded_at"]
    return _table(names, ({name: getattr(event, name) for name in names} for event in events))


def rejected_table(rejected: Sequence[Mapping[str, object]]) -> dg.MetadataValue:
    """Return the lines that hold no event, with file, line and reason."""
    names = ["file", "line", "field", "reason"]
    return _table(names, ({name: line.get(name) for name in names} for line in rejected))


def difference_table(differences: Sequence[Difference]) -> dg.MetadataValue:
    """Return rows that are not what a replay gives."""
    names = ["table", "key", "column", "expected", "found"]
    return _table(names, (row for one in differences for row in _difference(one)))


def _difference(one: Difference) -> Iterator[Mapping[str, object]]:
    common = {"table": one.table, "key": ", ".join(map(str, one.key))}
    if one.expected is None or one.found is None:
        yield {**common, "column": "", "expected": one.expected or "no row", "found": one.found or "no row"}
        return
    for name in one.columns:
        yield {**common, "column": name, "expected": one.expected[name], "found": one.found[name]}


def _table(names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> dg.MetadataValue:
    shown = [
        dg.TableRecord({name: cell(row[name]) for name in names})
        for _, row in zip(range(_ROWS), rows, strict=False)
    ]
    columns = [dg.TableColumn(name, "string") for name in names]
    return dg.MetadataValue.table(shown, schema=dg.TableSchema(columns=columns))


def cell(value: object) -> Cell:
    """Return a value that fits into the cell of a table, and that a browser shows as it is."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= _EXACT:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    text = str(value) if isinstance(value, str | float | Decimal) else _as_json(value)
    plain = " ".join(text.split())
    return plain[:_CELL] + ("…" if len(plain) > _CELL else "")


def _as_json(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except TypeError:
        return str(value)
