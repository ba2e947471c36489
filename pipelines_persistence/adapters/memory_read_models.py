"""The `ReadModels` port in memory: for tests, and to replay a log aside. Nothing survives the process."""

import copy
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from pipelines_persistence.adapters.memory_repositories import MemoryReader
from pipelines_persistence.errors import ConfigurationError, StorageError
from pipelines_persistence.events import START, Cursor
from pipelines_persistence.projections.declaring import Projection
from pipelines_persistence.projections.ports import (
    ADVANCING,
    Build,
    BuildState,
    Checkpoint,
    CheckpointMoved,
    DeadLetter,
    NotCaughtUp,
    Standing,
    Step,
    build_of,
)
from pipelines_persistence.projections.rows import STREAM, Unit
from pipelines_persistence.projections.tables import Key, R, Table
from pipelines_persistence.repositories import Reader, Relation, Specification
from pipelines_persistence.repositories.ports import ALL

Content = dict[type, dict[Key, Any]]


class MemoryReadModels:
    """See `ReadModels`. Safe to share between threads."""

    def __init__(self) -> None:
        """Begin with no build."""
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._builds: dict[int, Build] = {}
        self._marks: dict[tuple[int, int], Checkpoint] = {}
        self._dead: dict[int, list[DeadLetter]] = {}
        self._content: dict[int, Content] = {}

    def open(
        self, projection: Projection, state: BuildState, *, partitions: int = 1, as_of: str = ""
    ) -> Build:
        """See `ReadModels`."""
        with self._lock:
            same = [build for build in self.builds(projection.name) if build.state is state]
            for build in same:
                if (build.fingerprint, build.as_of) == (projection.fingerprint, as_of):
                    return build
                self.drop(build)
            now = datetime.now(UTC)
            number = next(self._numbers)
            build = Build(number, projection.name, projection.fingerprint, state, partitions, as_of, now)
            self._builds[number], self._dead[number] = build, []
            self._content[number] = {table.row: {} for table in projection.tables}
            for index in range(partitions):
                self._marks[number, index] = Checkpoint(START, 0, now)
            return build

    def builds(self, projection: str = "") -> list[Build]:
        """See `ReadModels`."""
        with self._lock:
            return [build for build in self._builds.values() if projection in ("", build.projection)]

    def live(self, projection: str) -> Build | None:
        """See `ReadModels`."""
        return next((build for build in self.builds(projection) if build.state is BuildState.LIVE), None)

    def promote(self, build: Build) -> None:
        """See `ReadModels`."""
        with self._lock:
            live = self.live(build.projection)
            if live and live.id == build.id:
                return
            if live and max(self._cursors(live)) > min(self._cursors(build)):
                raise NotCaughtUp(f"{build.projection}: the live build went on, catch up with it")
            for other in self.builds(build.projection):
                if other.state in (BuildState.PREVIOUS, BuildState.WITHDRAWN):
                    self.drop(other)
            if live:
                self._change(live, BuildState.PREVIOUS)
            self._change(build, BuildState.LIVE)

    def rollback(self, projection: str) -> Build:
        """See `ReadModels`."""
        with self._lock:
            by_state = {build.state: build for build in self.builds(projection)}
            previous, live = by_state.get(BuildState.PREVIOUS), by_state.get(BuildState.LIVE)
            if previous is None or live is None:
                raise ConfigurationError(f"{projection!r} has no previous build to go back to")
            self._change(live, BuildState.WITHDRAWN)
            return self._change(previous, BuildState.LIVE)

    def drop(self, build: Build) -> None:
        """See `ReadModels`."""
        with self._lock:
            self._builds.pop(build.id, None)
            self._content.pop(build.id, None)
            self._dead.pop(build.id, None)
            for index in range(build.partitions):
                self._marks.pop((build.id, index), None)

    def standing(self, projection: str) -> Standing | None:
        """See `ReadModels`."""
        with self._lock:
            live = self.live(projection)
            if live is None:
                return None
            return Standing(live, tuple(self._marks[live.id, index] for index in range(live.partitions)))

    def checkpoint(self, build: Build, partition: int = 0) -> Checkpoint:
        """See `ReadModels`."""
        with self._lock:
            if (build.id, partition) not in self._marks:
                raise CheckpointMoved(f"the build {build.id} of {build.projection!r} is there no more")
            return self._marks[build.id, partition]

    def advance(self, step: Step, work: Callable[[Unit], None]) -> None:
        """See `ReadModels`."""
        with self._lock:
            mark = self.checkpoint(step.build, step.partition)
            if mark.cursor != step.old or self._builds[step.build.id].state not in ADVANCING:
                raise CheckpointMoved(f"{step.build.projection}: the checkpoint is not at {step.old}")
            unit = MemoryUnit(self._content[step.build.id])
            work(unit)
            unit.commit()
            updated_at = datetime.now(UTC) if step.events else mark.updated_at
            moved = Checkpoint(step.new, mark.events + step.events, updated_at)
            self._marks[step.build.id, step.partition] = moved
            self._dead[step.build.id] += step.dead

    def dead_letters(self, build: Build, limit: int = 100) -> list[DeadLetter]:
        """See `ReadModels`."""
        with self._lock:
            return sorted(self._dead[build.id], key=lambda letter: letter.cursor, reverse=True)[:limit]

    def count_dead(self, build: Build) -> int:
        """See `ReadModels`."""
        return len(self._dead[build.id])

    def repository(self, build: Build, table: Table[R]) -> Reader[R]:
        """See `ReadModels`."""
        return MemoryReader(table, partial(self._held, build, table), partial(self._located, build))

    def rows(
        self,
        build: Build,
        table: Table[R],
        specification: Specification[R] = ALL,
        limit: int | None = None,
    ) -> Iterator[R]:
        """See `ReadModels`."""
        return itertools.islice(self.repository(build, table).walk(specification), limit)

    def count(self, build: Build, table: Table[Any]) -> int:
        """See `ReadModels`."""
        return len(self._held(build, table))

    def close(self) -> None:
        """See `ReadModels`."""

    def _held(self, build: Build, table: Table[R]) -> list[R]:
        with self._lock:
            if build.id not in self._content:
                raise StorageError(
                    f"the build {build.id} of {build.projection!r} is there no more: look again"
                )
            return list(self._content[build.id][table.row].values())

    def _located(self, build: Build, relation: Relation[Any]) -> list[Any]:
        return self._held(build_of(self, build, relation), relation.table)

    def _cursors(self, build: Build) -> list[Cursor]:
        return [self._marks[build.id, index].cursor for index in range(build.partitions)]

    def _change(self, build: Build, state: BuildState) -> Build:
        self._builds[build.id] = changed = msgspec.structs.replace(build, state=state)
        return changed


class MemoryUnit:
    """See `Unit`; nothing is seen before `commit`."""

    def __init__(self, content: Content) -> None:
        """Take what stands."""
        self._content = content
        self._changes: dict[type, dict[Key, Any]] = {row: {} for row in content}

    def load(self, table: Table[R], keys: Sequence[Key]) -> list[R]:
        """See `Unit`."""
        found = (self._changes[table.row].get(key, self._content[table.row].get(key)) for key in keys)
        return [copy.deepcopy(row) for row in found if row is not None]

    def upsert(self, table: Table[R], rows: Sequence[R]) -> None:
        """See `Unit`."""
        self._changes[table.row].update((table.key_of(row), copy.deepcopy(row)) for row in rows)

    def delete(self, table: Table[R], keys: Sequence[Key]) -> None:
        """See `Unit`."""
        self._changes[table.row].update(dict.fromkeys(keys))

    def delete_stream(self, table: Table[R], stream: str) -> None:
        """See `Unit`."""
        rows = self._content[table.row] | self._changes[table.row]
        self.delete(table, [key for key, row in rows.items() if row and getattr(row, STREAM) == stream])

    def from_end(self, table: Table[R], prefix: Key, offset: int, limit: int) -> list[R]:
        """See `Unit`."""
        rows = self._content[table.row] | self._changes[table.row]
        keys = sorted(
            (key for key, row in rows.items() if row and key[: len(prefix)] == prefix), reverse=True
        )
        return [copy.deepcopy(rows[key]) for key in keys[offset : offset + limit]]

    def commit(self) -> None:
        """Let others see what was changed."""
        for row, changes in self._changes.items():
            for key, value in changes.items():
                if value is None:
                    self._content[row].pop(key, None)
                else:
                    self._content[row][key] = value
