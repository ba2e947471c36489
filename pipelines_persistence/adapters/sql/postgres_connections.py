"""Connections to PostgreSQL that never wait for ever: native timeouts, and a deadline of ours for a server that hangs.

The server ends a statement by its own clock, and the kernel notices a peer that is gone; neither helps against a server
that is stopped while its kernel still acknowledges. The driver has no deadline for a statement, so ours watches its waits.
"""

import math
import time
from collections.abc import Generator
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipelines_persistence.configuration.resilience import DatabaseConfig

if TYPE_CHECKING:
    import psycopg

RECYCLE = 1800  # seconds after which a connection is replaced: firewalls forget those that live long
IDLE = 1.0  # seconds after which a connection is asked before it is used: to ask always makes a small call a third slower


def postgres_engine(url: sa.URL, config: DatabaseConfig) -> sa.Engine:
    """Return an engine whose pool and connections are as configured; nothing is contacted yet."""
    engine = sa.create_engine(
        url,
        connect_args={name: value for name, value in _options(config).items() if name not in url.query},
        pool_size=config.connections,
        max_overflow=config.overflow,
        pool_timeout=config.connect_timeout,
        pool_recycle=RECYCLE,
    )
    _ask_the_idle(engine)
    # A second and a tenth more: the server's own answer to a statement that takes too long comes first.
    connection = _bounded_connection(config.timeout * 1.1 + 1)
    sa.event.listen(engine, "do_connect", lambda _, __, args, options: connection.connect(*args, **options))
    return engine


def _options(config: DatabaseConfig) -> dict[str, Any]:
    milliseconds = round(config.timeout * 1000)
    probe = max(1, round(config.silence / 3))
    return {
        "application_name": "pipelines",
        "connect_timeout": round(config.connect_timeout),
        "tcp_user_timeout": round(config.silence * 1000),
        "keepalives_idle": probe,
        "keepalives_interval": probe,
        "keepalives_count": 2,
        # The server looks after the other end: a client that is gone, or stopped, would hold the fence of the log.
        "options": f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds} "
        f"-c tcp_keepalives_idle={probe} -c tcp_keepalives_interval={probe} -c tcp_keepalives_count=2",
    }


def _ask_the_idle(engine: sa.Engine) -> None:
    """Replace connections that a restart of the server has ended, before anybody uses them."""

    @sa.event.listens_for(engine, "checkin")
    def _(connection: object, record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own
        del connection
        record.info["returned_at"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def _(connection: Any, record: Any, _proxy: object) -> None:  # noqa: ANN401 - the driver's own
        if time.monotonic() - record.info.get("returned_at", math.inf) < IDLE:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise sa.exc.InvalidatePoolError from error


@cache
def _bounded_connection(seconds: float) -> "type[psycopg.Connection[Any]]":
    import psycopg

    class BoundedConnection(psycopg.Connection[Any]):
        """A connection that is closed when the server has not answered in time."""

        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the driver's own protocol
            """Consume a generator of the driver; see `psycopg.Connection.wait`."""
            return super().wait(_bounded(self, gen, seconds), *args, **kwargs)

    return BoundedConnection


def _bounded(
    connection: "psycopg.Connection[Any]", steps: Generator[Any, Any, Any], seconds: float
) -> Generator[Any, Any, Any]:
    """Pass a generator's steps on until it ends; the driver looks in, with nothing ready, ten times a second."""
    import psycopg

    deadline = time.monotonic() + seconds
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                connection.close()  # what comes later belongs to nobody
                raise psycopg.OperationalError(f"no answer within {seconds:g} s")
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value
