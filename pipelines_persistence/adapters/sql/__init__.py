"""The ledger in SQL: SQLAlchemy Core and Alembic."""
