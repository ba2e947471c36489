"""A projection worker in a process of its own, to be killed: `python projecting.py URL run|rebuild`."""

import sys

import msgspec

from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.read_models import SqlReadModels
from pipelines_persistence.projections import Projection, ProjectionRunner, Table


class Count(msgspec.Struct):
    stream: str
    events: int
    versions: int


class Counts(Projection):
    """Adding up shows at once what was worked in twice or not at all."""

    name = "counts"
    tables = (Table(Count, key=["stream"]),)
    by_stream = True
    batch_size = 20

    def project(self, events, models):
        self.prefetch(events, models)
        for event in events:
            row = models[Count].get(event.stream) or Count(event.stream, 0, 0)
            row.events += 1
            row.versions += event.version
            models[Count].put(row)


if __name__ == "__main__":
    engine = open_database(sys.argv[1])
    runner = ProjectionRunner(SqlEventStore(engine), SqlReadModels(engine))

    def notify(tally):
        sys.stdout.write(f"{tally.events}\n")
        sys.stdout.flush()

    runner.run(Counts(), rebuild=sys.argv[2] == "rebuild", notify=notify)
