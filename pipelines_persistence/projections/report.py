"""What a run of a projection says about itself."""

import msgspec

from pipelines_persistence.events import Cursor
from pipelines_persistence.records import Json


class ProjectionReport(msgspec.Struct, frozen=True):
    """How a projection stands after a run.

    Attributes:
        build: the number of the build that readers see.
        events: how many were worked in by this run; `events_total` by all runs of the build.
        dead_letters: events of the build that could not be worked in.
        rows: in the main table.
        cursor: everything up to there is in the tables.
        lag: events behind that, which came while it ran.
        notice: what a person should know or decide.
    """

    projection: str
    build: int
    fingerprint: str
    events: int
    events_total: int
    dead_letters: int
    rows: int
    cursor: Cursor
    lag: int
    seconds: float
    notice: str = ""

    @property
    def data_version(self) -> str:
        """Moves only when an event was worked in, buried, or the build replaced."""
        return f"{self.build}-{self.events_total}-{self.dead_letters}"

    def as_json(self) -> dict[str, Json]:
        """The report as the command line prints it."""
        return {
            "projection": self.projection,
            "build": self.build,
            "fingerprint": self.fingerprint,
            "events": self.events,
            "events_total": self.events_total,
            "dead_letters": self.dead_letters,
            "rows": self.rows,
            "cursor": str(self.cursor),
            "lag": self.lag,
            "seconds": round(self.seconds, 3),
            "notice": self.notice,
        }
