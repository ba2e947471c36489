"""Whether a read model is what its log says: a sample of the streams is replayed aside and compared, row by row."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from pipelines_persistence.errors import ProjectionFailed, StorageError
from pipelines_persistence.events import EventStore, Partition
from pipelines_persistence.events.records import BUCKETS
from pipelines_persistence.projections.declaring import Projection
from pipelines_persistence.projections.ports import Build, BuildState, CheckpointMoved, ReadModels
from pipelines_persistence.projections.tables import Key, Table
from pipelines_persistence.projections.working import OnError, Tally, Worker

_TRIES = 5
_SHOWN = 20  # differences
_CLOSE = 1e-9  # sums of floats differ in the last digits where batches were cut differently

Fields = dict[str, Any]


class Difference(msgspec.Struct, frozen=True):
    """A row that is not what the replay says.

    Attributes:
        table: its name within the read model; "" for the main one.
        expected: by the replay; None if there should be no such row.
        found: in the read model; None if there is none.
    """

    table: str
    key: Key
    expected: Fields | None
    found: Fields | None

    @property
    def columns(self) -> list[str]:
        """The columns that differ; none where there is no row to compare."""
        if self.expected is None or self.found is None:
            return []
        return [name for name, value in self.expected.items() if not _same(value, self.found[name])]


class Verification(msgspec.Struct, frozen=True):
    """What a comparison has shown.

    Attributes:
        sample: which streams were replayed, in words; "" if none were.
        events: replayed.
        rows: that the replay gave.
        differing: how many rows differ; `differences` are the first of them.
        obstacle: why the sample could not be replayed, although the read model worked it in.
        notice: why nothing was compared.
    """

    sample: str = ""
    events: int = 0
    rows: int = 0
    differing: int = 0
    differences: Sequence[Difference] = ()
    obstacle: str = ""
    notice: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the read model; also where nothing was compared."""
        return not self.differing and not self.obstacle


@dataclass(frozen=True)
class Verifier:
    """Compares read models with replays.

    Attributes:
        scratch: gives empty read models for a replay, which nobody else sees.
        limit: about how many events to replay. A projection whose rows depend on several streams is compared only if
            its log has no more than that; one by stream with a share of the streams, 1/256 of them at least.
        chance: draws the share, so that another one is looked at each time.
        notify: told after each batch; may raise `RunCancelled`.
    """

    store: EventStore
    models: ReadModels
    scratch: Callable[[], ReadModels]
    limit: int = 5000
    chance: random.Random = field(default_factory=random.SystemRandom)
    notify: Callable[[Tally], None] = lambda _tally: None

    def verify(self, projection: Projection) -> Verification:
        """Compare the live build of a projection with a replay up to where it stands.

        Raises:
            CheckpointMoved: the build was replaced again and again meanwhile.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._verify(projection)
            except CheckpointMoved:  # it was dropped meanwhile: look at the one that took its place
                continue
        return self._verify(projection)

    def _verify(self, projection: Projection) -> Verification:
        build = self.models.live(projection.name)
        if build is None:
            return Verification(notice="it was never built")
        if build.fingerprint != projection.fingerprint:
            return Verification(
                notice=f"the live build is {build.fingerprint}, the code {projection.fingerprint}"
            )
        total = sum(self.models.checkpoint(build, index).events for index in range(build.partitions))
        if total > self.limit and not projection.by_stream:
            return Verification(
                notice=f"its rows depend on all streams, and {total} events are more than the {self.limit} to replay"
            )
        shares = list(self._shares(total, build.partitions))
        try:
            parts = [_Comparison(self, projection, build, share).result() for share in shares]
        except ProjectionFailed as error:
            return Verification(sample=_in_words(shares), obstacle=str(error))
        return Verification(
            sample=_in_words(shares),
            events=sum(part.events for part in parts),
            rows=sum(part.rows for part in parts),
            differing=sum(part.differing for part in parts),
            differences=[found for part in parts for found in part.differences][:_SHOWN],
            notice="; ".join(part.notice for part in parts if part.notice),
        )

    def _shares(self, total: int, partitions: int) -> Iterator[Partition]:
        """Return all partitions of a build, or a smaller share that lies within one of them."""
        if total <= self.limit:
            yield from (Partition(index, partitions) for index in range(partitions))
            return
        times = min(math.ceil(total / (self.limit * partitions)), BUCKETS // partitions)
        yield Partition(self.chance.randrange(partitions * times), partitions * times)


class _Comparison:
    """One share of the streams: its replay, and the rows of the live build that belong to it."""

    def __init__(self, verifier: Verifier, projection: Projection, build: Build, share: Partition) -> None:
        self._models, self._projection, self._build, self._share = verifier.models, projection, build, share
        self._dead: set[str] = set()
        self._tally = Tally(verifier.notify)
        self._aside = verifier.scratch()
        self._copy = self._aside.open(projection, BuildState.ASIDE, partitions=share.of)
        self._worker = Worker(
            verifier.store,
            self._aside,
            projection,
            self._copy,
            share.index,
            OnError.STOP,  # what the live build worked in does not fail, and what it passed over is not tried
            keep=lambda event: event.id not in self._dead,
            tally=self._tally,
        )

    def result(self) -> Verification:
        """Replay and compare; again from there on if the live build moves while its rows are read."""
        # A stream's bucket is taken modulo the number of shares, and that is a multiple of the number of partitions.
        partition = self._share.index % self._build.partitions
        for _ in range(_TRIES):
            mark = self._models.checkpoint(self._build, partition).cursor
            letters = self._models.dead_letters(self._build, self._models.count_dead(self._build))
            self._dead.update(letter.event_id for letter in letters)
            self._worker.catch_up(mark)
            try:
                compared = self._compare()
            except StorageError:
                self._models.checkpoint(self._build, partition)  # its tables may be gone, and this says so
                raise
            if self._models.checkpoint(self._build, partition).cursor == mark:
                return compared
        return Verification(
            notice=f"it moved {_TRIES} times while it was read: try again when less is coming in"
        )

    def _compare(self) -> Verification:
        rows, differing, first = 0, 0, list[Difference]()
        for table in self._projection.tables:
            expected = {table.key_of(row): _fields(row) for row in self._aside.rows(self._copy, table)}
            rows += len(expected)
            for difference in _differences(table, expected, self._found(table)):
                differing += 1
                if len(first) < _SHOWN:
                    first.append(difference)
        return Verification(events=self._tally.events, rows=rows, differing=differing, differences=first)

    def _found(self, table: Table[Any]) -> Iterator[Any]:
        rows = self._models.rows(self._build, table)
        return rows if self._share.of == 1 else (row for row in rows if self._share.holds(row.stream))


def _differences(
    table: Table[Any], expected: dict[Key, Fields], found: Iterator[Any]
) -> Iterator[Difference]:
    for row in found:
        key, fields = table.key_of(row), _fields(row)
        wanted = expected.pop(key, None)
        if wanted is None or not _same(wanted, fields):
            yield Difference(table.name, key, wanted, fields)
    for key, wanted in expected.items():
        yield Difference(table.name, key, wanted, None)


def _fields(row: Any) -> Fields:  # noqa: ANN401 - a row of any table
    plain: Fields = msgspec.to_builtins(row, builtin_types=(datetime,))
    return plain


def _same(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return one == other


def _in_words(shares: Sequence[Partition]) -> str:
    [first, *rest] = shares
    return "all streams" if rest or first.of == 1 else f"share {first.index + 1} of {first.of} of the streams"
