"""A process that works in units of work until it is killed: each moves one from `a` to `b`, with an event for it."""

import sys

from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.adapters.sql.event_store import SqlEventStore
from pipelines_persistence.adapters.sql.unit_of_work import SqlUnitOfWork
from pipelines_persistence.events import Expected, NewEvent
from tests.moving import ACCOUNTS, moved


def tell(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main(url: str) -> None:
    engine = open_database(url)
    units = SqlUnitOfWork(engine, SqlEventStore(engine))
    units.open(ACCOUNTS)

    def move(work) -> None:
        accounts = work.repository(ACCOUNTS)
        accounts.update(moved(accounts.get("a"), -1))
        tell("half")
        work.events.append("transfers-1", [NewEvent("Moved")], Expected.ANY)
        accounts.update(moved(accounts.get("b"), 1))
        tell("all")

    while True:
        units.run(move)


if __name__ == "__main__":
    main(sys.argv[1])
