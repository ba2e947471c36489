"""Alembic's entry: runs the migrations on the connection that `database.open_database` holds."""

from alembic import context

from pipelines_persistence.adapters.sql.schema import metadata

# `begin_transaction` of Alembic is not used: the caller's transaction covers all migrations at once.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
