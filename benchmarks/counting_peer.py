"""The projection of `eventsourcing` that counts events by type, as its documentation advises: an event a transaction.

On PostgreSQL its `ProjectionRunner` follows a subscription. SQLite has no subscriptions there, so its notifications are
read in pages of 500 and worked in one by one, with the same recorder of tracking.
"""

from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import InfrastructureFactory, Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.sqlite import SQLiteTrackingRecorder
from eventsourcing.utils import Environment

_PER_STREAM = 10


class Item(Aggregate):
    """A stream."""

    @event("Registered")
    def __init__(self, number: int) -> None:
        self.number = number

    @staticmethod
    def create_id(number: int) -> UUID:
        """Return the id of a stream."""
        return uuid5(NAMESPACE_URL, f"item-{number}")

    @event("Changed")
    def change(self, number: int) -> None:
        """Take another number."""
        self.number = number


class SqliteCounts(SQLiteTrackingRecorder):
    """Counts, and how far they are."""

    def construct_create_table_statements(self) -> list[str]:
        """Add the table of counts."""
        table = "CREATE TABLE IF NOT EXISTS counts (type TEXT PRIMARY KEY, events INTEGER) WITHOUT ROWID"
        return [*super().construct_create_table_statements(), table]

    def count(self, name: str, tracking: Tracking) -> None:
        """Count one event."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO counts VALUES (?, 1) ON CONFLICT (type) DO UPDATE SET events = events + 1",
                (name,),
            )


class PostgresCounts(PostgresTrackingRecorder):
    """Counts, and how far they are."""

    def __init__(self, datastore: Any, **kwargs: Any) -> None:
        super().__init__(datastore, **kwargs)
        from psycopg.sql import SQL

        self.sql_create_statements.append(
            SQL("CREATE TABLE IF NOT EXISTS public.counts (type text PRIMARY KEY, events bigint)")
        )

    def count(self, name: str, tracking: Tracking) -> None:
        """Count one event."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO public.counts VALUES (%s, 1) ON CONFLICT (type) DO UPDATE SET events = counts.events + 1",
                (name,),
                prepare=True,
            )


class Counting(Projection[Any]):
    """Counts events by type."""

    name = "counting"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Count one event."""
        self.view.count(type(domain_event).__name__, tracking)


class PeerLog:
    """A log of `eventsourcing` with some events in it, and what counts them."""

    def __init__(self, environment: dict[str, str], events: int) -> None:
        """Fill the log."""
        self._environment = environment
        self._is_sqlite = environment["PERSISTENCE_MODULE"].endswith("sqlite")
        self._events = events
        self._app: Application[UUID] = Application(env=environment)
        for number in range(events // _PER_STREAM):
            item = Item(number)
            for change in range(_PER_STREAM - 1):
                item.change(change)
            self._app.save(item)
        if self._is_sqlite:
            factory = InfrastructureFactory.construct(Environment("counting", environment))
            self._view = factory.tracking_recorder(SqliteCounts)

    def project(self) -> None:
        """Count all events, from the first."""
        if self._is_sqlite:
            self._pull()
        else:
            self._follow()

    def close(self) -> None:
        """Let go of the database."""
        self._app.close()

    def _pull(self) -> None:
        view = self._view
        with view.datastore.transaction(commit=True) as cursor:
            cursor.execute("DELETE FROM tracking WHERE application_name <> '__migration__'")
            cursor.execute("DELETE FROM counts")
        projection, start = Counting(view), 1
        while True:
            page = self._app.recorder.select_notifications(start, 500)
            for notification in page:
                happened = self._app.mapper.to_domain_event(notification)
                projection.process_event(happened, Tracking("Application", notification.id))
            if len(page) < 500:
                return
            start = page[-1].id + 1

    def _follow(self) -> None:
        with ProjectionRunner(
            application_class=Application,
            projection_class=Counting,
            view_class=PostgresCounts,
            env=self._environment,
        ) as runner:
            runner.wait(self._app.recorder.max_notification_id(), timeout=120)
            with runner.view.datastore.transaction(commit=True) as cursor:
                cursor.execute(
                    f"DELETE FROM public.{runner.view.tracking_table_name} WHERE application_name <> '__migration__'"
                )
                cursor.execute("DELETE FROM public.counts")
