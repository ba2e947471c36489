"""Brings a store back in line with the ledger when their counts differ: a backup restored, files lost, a crash."""

from collections.abc import Iterable

from pipelines_persistence.ports import Ledger, VectorStore
from pipelines_persistence.records import Generation

_PAGE = 1000


def heal(ledger: Ledger, store: VectorStore, generation: Generation) -> str:
    """Remove points that the ledger does not know, and let lost ones be written again.

    A count decides whether to look; an exact audit of payloads and vectors is another matter.

    Returns:
        What was found, in a sentence; "" if there was nothing.
    """
    if store.count(generation.collection) == ledger.live_points(generation):
        return ""
    known = dict(ledger.points(generation))
    strays = [point.id for point in store.scroll(generation.collection) if known.pop(point.id, None) is None]
    for start in range(0, len(strays), _PAGE):
        store.delete(generation.collection, strays[start : start + _PAGE])
    lost = sum(known.values())
    if lost:
        ledger.doubt(generation)  # everything is written again; the vectors are in the cache
    return _told(lost, len(strays))


def difference(ledger: Ledger, store: VectorStore, generation: Generation) -> str:
    """Say that a run would have something to mend, without mending it."""
    held = store.count(generation.collection) if generation.collection in store.collections() else 0
    expected = ledger.live_points(generation)
    if held == expected:
        return ""
    return f"the store holds {held} points where the ledger expects {expected}: the next run mends that"


def _told(lost: int, strays: int) -> str:
    found: Iterable[str] = (
        f"{lost} points were lost in the store and are written again" if lost else "",
        f"{strays} points that the ledger does not know were removed" if strays else "",
    )
    return "; ".join(filter(None, found))
